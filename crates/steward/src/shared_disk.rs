//! Whether a folder lies on a disk that other machines share: there SQLite's write-ahead log can't keep two programs apart, and
//! a database can break for good.

use std::path::Path;

/// What `statfs` calls the file systems that a network or another program stands behind.
#[cfg(target_os = "linux")]
const SHARED: [(u32, &str); 9] = [
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "SMB (CIFS)"),
    (0xfe53_4d42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
];

/// The kind of shared disk that the path lies on, or will lie on once it is made; none where it is a disk of this machine, or
/// that can't be told. Blocking.
#[cfg(target_os = "linux")]
pub(crate) fn kind(path: &Path) -> Option<&'static str> {
    let there = path.ancestors().find(|folder| folder.exists())?;
    let disk = nix::sys::statfs::statfs(there).ok()?;
    u32::try_from(disk.filesystem_type().0 & 0xffff_ffff).ok().and_then(name)
}

/// Nothing is known of it here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn kind(_: &Path) -> Option<&'static str> {
    None
}

#[cfg(target_os = "linux")]
fn name(kind: u32) -> Option<&'static str> {
    SHARED.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name)
}

/// What is wrong with a database there, and what to do.
pub(crate) fn trouble(kind: &str, path: &Path) -> (String, String) {
    (
        format!("{} lies on a shared disk ({kind}), where a SQLite database can break for good", path.display()),
        "move data_dir to a disk of this machine, or use PostgreSQL (steward db move --to URL); until then let no other \
         machine open it"
            .to_owned(),
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{kind, name};

    #[test]
    fn a_shared_disk_is_told_from_one_s_own() {
        assert_eq!(
            [name(0x6969), name(0xff53_4d42), name(0xef53), name(0x9123_683e)],
            [Some("NFS"), Some("SMB (CIFS)"), None, None]
        );
        // What is not there yet lies where the nearest folder above it does.
        assert_eq!(kind(std::path::Path::new("/proc/none/of/it")), None);
    }
}
