//! Opening a file so that it is surely the one that was watched, and inside the folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::RefusalKind;
use super::facts::{Facts, Kind};
use super::names::quoted;

/// What came of opening a file.
#[derive(Debug)]
pub(super) enum Opened {
    File(File, Facts),
    /// Gone since it was seen.
    Vanished,
    /// Another file, or another content, than was seen.
    Changed,
    Refused(RefusalKind, Facts),
    /// The disk or the system failed; worth another try.
    Trouble(String),
}

/// Opens the file that was seen with `seen` below `root`. Never waits on a pipe, never follows a link at the end of
/// the path, and checks where the path led in case a folder on the way was exchanged for a link.
pub(super) fn open(root: &Path, path: &Path, seen: &Facts) -> Opened {
    match try_open(root, path, seen) {
        Ok(opened) => opened,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Opened::Vanished,
            io::ErrorKind::PermissionDenied => Opened::Refused(RefusalKind::Unreadable, *seen),
            // What stands there now is a link, or something that cannot be opened: look again.
            _ if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::EMLINK | libc::ENXIO)) => Opened::Changed,
            _ => Opened::Trouble(format!(
                "The file {} cannot be opened: {error}. Check the disk it is on; it is tried again by itself.",
                quoted(path)
            )),
        },
    }
}

fn try_open(root: &Path, path: &Path, seen: &Facts) -> io::Result<Opened> {
    // Non-blocking: should a pipe have taken the file's place, opening it must not hang.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    let facts = Facts::of(&meta);
    if facts.kind != Kind::File || !facts.same_content(seen) {
        return Ok(Opened::Changed);
    }
    if meta.nlink() == 0 {
        return Ok(Opened::Vanished);
    }
    if !location(&file, path)?.starts_with(fs::canonicalize(root)?) {
        return Ok(Opened::Refused(RefusalKind::SymlinkOut, facts));
    }
    Ok(Opened::File(file, facts))
}

/// Where the open file really lies.
fn location(file: &File, path: &Path) -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // The kernel's word on the open file itself; the path could be exchanged once more.
        if let Ok(link) = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
            return Ok(link);
        }
    }
    let _ = file;
    fs::canonicalize(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn facts(path: &Path) -> Facts {
        Facts::of(&fs::symlink_metadata(path).unwrap())
    }

    #[test]
    fn only_the_file_that_was_seen_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let seen = facts(&path);
        assert!(matches!(open(dir.path(), &path, &seen), Opened::File(..)));

        fs::write(&path, "longer").unwrap();
        assert!(matches!(open(dir.path(), &path, &seen), Opened::Changed));

        fs::remove_file(&path).unwrap();
        assert!(matches!(open(dir.path(), &path, &seen), Opened::Vanished));

        let outside = tempfile::NamedTempFile::new().unwrap();
        symlink(outside.path(), &path).unwrap();
        assert!(matches!(open(dir.path(), &path, &facts(outside.path())), Opened::Changed));
    }

    #[test]
    fn a_folder_exchanged_for_a_link_does_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("a"), "secret").unwrap();
        symlink(outside.path(), dir.path().join("sub")).unwrap();
        let path = dir.path().join("sub/a");
        let opened = open(dir.path(), &path, &facts(&path));
        assert!(matches!(opened, Opened::Refused(RefusalKind::SymlinkOut, _)), "{opened:?}");
    }

    #[test]
    fn a_pipe_in_the_files_place_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "").unwrap();
        let seen = facts(&path);
        fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(matches!(open(dir.path(), &path, &seen), Opened::Changed));
    }
}
