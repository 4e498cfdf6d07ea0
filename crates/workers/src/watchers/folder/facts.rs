//! What the file system says about a file, and the fingerprint made of it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    File,
    Folder,
    Symlink,
    /// A socket, pipe or device.
    Special,
}

/// One observation of a file, never through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size_bytes: u64,
    modified: (i64, i64),
    // The time of the last change of anything, permissions included.
    changed: (i64, i64),
}

impl Facts {
    pub(super) fn of(meta: &Metadata) -> Self {
        let kind = meta.file_type();
        let kind = if kind.is_file() {
            Kind::File
        } else if kind.is_dir() {
            Kind::Folder
        } else if kind.is_symlink() {
            Kind::Symlink
        } else {
            Kind::Special
        };
        Self {
            kind,
            device: meta.dev(),
            inode: meta.ino(),
            size_bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// The file's place on its disk, whatever its name.
    pub(super) fn id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Same file with the same content, as far as size and time of change tell.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.id() == other.id()
            && self.size_bytes == other.size_bytes
            && self.modified == other.modified
    }

    /// `device:inode:size:mtime_ns`.
    pub(super) fn fingerprint(&self) -> String {
        format!("{}:{}:{}:{}", self.device, self.inode, self.size_bytes, nanoseconds(self.modified))
    }

    /// The time of the last change of anything, in nanoseconds since 1970.
    pub(super) fn changed_ns(&self) -> i128 {
        nanoseconds(self.changed)
    }

    /// When the content last changed; a time no calendar holds becomes the nearest that it does.
    pub(super) fn modified(&self) -> Timestamp {
        let nearest = if self.modified.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_nanosecond(nanoseconds(self.modified)).unwrap_or(nearest)
    }
}

fn nanoseconds((seconds, rest): (i64, i64)) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}
