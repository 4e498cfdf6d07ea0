//! Who holds a file open for writing, as far as the system tells.

use std::collections::HashSet;

/// Which of these files (device, inode) some process holds open for writing. Best effort: other users' processes are
/// seen only by root, another machine's never, and a search that takes too long ends with what it found.
#[cfg(target_os = "linux")]
pub(super) fn open_for_writing(files: &HashSet<(u64, u64)>) -> HashSet<(u64, u64)> {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, Instant};

    const MAX_HANDLES: usize = 200_000;
    const TIME_LIMIT: Duration = Duration::from_millis(300);

    let mut held = HashSet::new();
    if files.is_empty() {
        return held;
    }
    let began = Instant::now();
    let mut handles = 0;
    let Ok(processes) = fs::read_dir("/proc") else { return held };
    for process in processes.flatten() {
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // A process that ended, or is somebody else's, is passed over.
        let Ok(open) = fs::read_dir(process.path().join("fd")) else { continue };
        for handle in open.flatten() {
            handles += 1;
            if handles > MAX_HANDLES || began.elapsed() > TIME_LIMIT || held.len() == files.len() {
                return held;
            }
            // Cheap checks first: pipes and sockets have no path, and only writers are worth asking the disk about.
            let path = handle.path();
            let on_disk = fs::read_link(&path).is_ok_and(|target| target.is_absolute() && !target.starts_with("/dev"));
            if !on_disk || !is_writer(&process.path().join("fdinfo").join(handle.file_name())) {
                continue;
            }
            if let Ok(meta) = fs::metadata(&path) {
                let id = (meta.dev(), meta.ino());
                if files.contains(&id) {
                    held.insert(id);
                }
            }
        }
    }
    held
}

/// Elsewhere nobody tells; standing still has to do.
#[cfg(not(target_os = "linux"))]
pub(super) fn open_for_writing(_files: &HashSet<(u64, u64)>) -> HashSet<(u64, u64)> {
    HashSet::new()
}

#[cfg(target_os = "linux")]
fn is_writer(fdinfo: &std::path::Path) -> bool {
    const ACCESS_MODE: u32 = 0o3;
    std::fs::read_to_string(fdinfo)
        .ok()
        .and_then(|text| {
            let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
            u32::from_str_radix(flags.trim(), 8).ok()
        })
        .is_some_and(|flags| flags & ACCESS_MODE != 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::collections::HashSet;
    use std::fs::{File, OpenOptions, hard_link};

    use super::super::facts::Facts;
    use super::open_for_writing;

    #[test]
    fn writers_are_seen_and_readers_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (read, write) = (dir.path().join("read"), dir.path().join("write"));
        let written = File::create(&write).unwrap();
        drop(File::create(&read).unwrap());
        let reader = File::open(&read).unwrap();
        let id = |file: &File| Facts::of(&file.metadata().unwrap()).id();
        let both = HashSet::from([id(&reader), id(&written)]);
        assert_eq!(open_for_writing(&both), HashSet::from([id(&written)]));

        drop(written);
        assert!(open_for_writing(&both).is_empty());

        // Under another name it is still the same file.
        hard_link(&read, dir.path().join("other")).unwrap();
        let appender = OpenOptions::new().append(true).open(dir.path().join("other")).unwrap();
        assert_eq!(open_for_writing(&both), HashSet::from([id(&appender)]));
    }
}
