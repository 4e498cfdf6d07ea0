//! Folders that no name leads out of: each part of a path is opened below the one before it, and none may be a link.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{self, AtFlags, OFlag},
    sys::stat::{self, FileStat, Mode, SFlag},
    unistd::{self, UnlinkatFlags},
};

use super::Failure;

/// Bytes of a path.
const PATH_BYTES: usize = 4096;
/// Entries of one folder that are looked at.
const MOST_ENTRIES: usize = 10_000;

/// A folder that may be touched.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

/// Where something is or shall be: its folder, opened, and its name within.
pub(super) struct Place {
    dir: OwnedFd,
    name: OsString,
    /// The whole path, for people.
    pub shown: String,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    File,
    Folder,
    Link,
    Other,
}

impl Sort {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Link => "link",
            Self::Other => "other",
        }
    }

    fn of(facts: &FileStat) -> Self {
        let sort = SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT;
        if sort == SFlag::S_IFREG {
            Self::File
        } else if sort == SFlag::S_IFDIR {
            Self::Folder
        } else if sort == SFlag::S_IFLNK {
            Self::Link
        } else {
            Self::Other
        }
    }
}

/// One entry of a folder.
pub(super) struct Entry {
    pub name: OsString,
    pub sort: Sort,
    pub size_bytes: u64,
    /// Seconds since 1970.
    pub modified_s: i64,
}

impl Folder {
    /// Reads a folder's path as its owner wrote it; `~/` is the home folder.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let home = || std::env::home_dir().filter(|home| home.is_absolute());
        let path = match text.strip_prefix("~/") {
            Some(rest) => home().ok_or("there is no home folder; write the whole path")?.join(rest),
            None if text == "~" => home().ok_or("there is no home folder; write the whole path")?,
            None => PathBuf::from(text),
        };
        let climbs = path.components().any(|part| part == Component::ParentDir);
        if climbs || !path.is_absolute() || text.contains('\0') {
            return Err(format!("the folder {text:?} must be a whole path that begins with / or ~/, without .. in it"));
        }
        if let Some(own) = domain::own_places::reached_from(&path) {
            return Err(format!(
                "the folder {text:?} reaches {}, where Steward keeps its own data; name narrower folders",
                own.display()
            ));
        }
        Ok(Self { path: path.components().collect() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder itself. Its owner may have put a link there.
    pub(super) fn open(&self) -> Result<OwnedFd, Failure> {
        fcntl::open(&self.path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|e| trouble(&self.path.display().to_string(), e))
    }

    /// A folder below, by its parts.
    fn descend(&self, parts: &[&OsStr]) -> Result<OwnedFd, Failure> {
        let mut dir = self.open()?;
        let mut shown = self.path.clone();
        for part in parts {
            shown.push(part);
            dir = below(&dir, part).map_err(|e| trouble(&shown.display().to_string(), e))?;
        }
        Ok(dir)
    }
}

/// A folder within another, never through a link.
pub(super) fn below(dir: &OwnedFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let how = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    fcntl::openat(dir, name, how, Mode::empty())
}

/// The parts of a path below one of the folders, and which.
fn within<'a, 'p>(folders: &'a [Folder], path: &'p str) -> Result<(&'a Folder, Vec<&'p OsStr>), Failure> {
    let bad = path.len() > PATH_BYTES || path.contains('\0') || !path.starts_with('/');
    if bad || path.split('/').any(|part| part == "." || part == "..") {
        return Err(Failure::refused(format!(
            "path must be a whole path without . or .. in it, of at most {PATH_BYTES} bytes"
        )));
    }
    for folder in folders {
        if let Ok(rest) = Path::new(path).strip_prefix(&folder.path) {
            return Ok((folder, rest.components().map(Component::as_os_str).collect()));
        }
    }
    let allowed: Vec<String> = folders.iter().map(|f| f.path.display().to_string()).collect();
    Err(Failure::refused(format!("{path} is not within the folders that may be touched: {}", allowed.join(", "))))
}

/// Opens a folder at or below those that may be touched.
pub(super) fn folder_at(folders: &[Folder], path: &str) -> Result<OwnedFd, Failure> {
    let (folder, parts) = within(folders, path)?;
    folder.descend(&parts)
}

/// Makes a folder with those above it that are missing; true where it was not there.
pub(super) fn make_folder(folders: &[Folder], path: &str) -> Result<bool, Failure> {
    let (folder, parts) = within(folders, path)?;
    let mut dir = folder.open()?;
    let mut is_new = false;
    for part in parts {
        match stat::mkdirat(&dir, part, Mode::from_bits_truncate(0o700)) {
            Ok(()) => is_new = true,
            Err(Errno::EEXIST) => is_new = false,
            Err(e) => return Err(trouble(path, e)),
        }
        dir = below(&dir, part).map_err(|e| trouble(path, e))?;
    }
    Ok(is_new)
}

impl Place {
    /// Where a path leads; what is to stand there need not be there.
    pub(super) fn find(folders: &[Folder], path: &str) -> Result<Self, Failure> {
        let (folder, mut parts) = within(folders, path)?;
        let Some(name) = parts.pop() else {
            return Err(Failure::refused(format!("{path} is the folder itself; name something within it")));
        };
        Ok(Self { dir: folder.descend(&parts)?, name: name.to_owned(), shown: path.to_owned() })
    }

    /// What stands there; none where nothing does.
    pub(super) fn facts(&self) -> Result<Option<(Sort, u64)>, Failure> {
        match stat::fstatat(&self.dir, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(facts) => Ok(Some((Sort::of(&facts), size(&facts)))),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(self.trouble(e)),
        }
    }

    /// Opens the file that stands there for reading.
    pub(super) fn read(&self) -> Result<File, Failure> {
        open_file(&self.dir, &self.name)
            .map_err(|e| self.trouble(e))?
            .ok_or_else(|| Failure::refused(format!("{} is no file", self.shown)))
    }

    /// Writes a file whole, under a name of its own first; puts it in the place of what stands there only where that is wanted.
    pub(super) fn write(&self, content: &[u8], overwrite: bool) -> Result<(), Failure> {
        let temporary = OsString::from(format!(".steward-{}", uuid::Uuid::new_v4().simple()));
        let how = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = fcntl::openat(&self.dir, temporary.as_os_str(), how, Mode::from_bits_truncate(0o600))
            .map_err(|e| self.trouble(e))?;
        let mut file = File::from(made);
        let put = io::Write::write_all(&mut file, content)
            .and_then(|()| file.sync_all())
            .map_err(|e| errno(&e))
            .and_then(|()| {
                if overwrite {
                    // Who could read it before can read it after.
                    if let Ok(facts) = stat::fstatat(&self.dir, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
                        && Sort::of(&facts) == Sort::File
                    {
                        stat::fchmod(&file, Mode::from_bits_truncate(facts.st_mode & 0o777))?;
                    }
                    fcntl::renameat(&self.dir, temporary.as_os_str(), &self.dir, self.name.as_os_str())
                } else {
                    put_if_free(&self.dir, &temporary, &self.dir, &self.name)
                }
            });
        put.map_err(|e| {
            // It bears a name that nobody looks for; what is left of it says so.
            let _ = unistd::unlinkat(&self.dir, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
            self.trouble(e)
        })
    }

    /// Moves the file that stands here to a place where nothing does.
    pub(super) fn move_to(&self, to: &Self) -> Result<(), Failure> {
        match self.facts()? {
            Some((Sort::File, _)) => {}
            Some(_) => return Err(Failure::refused(format!("{} is no file; only files are moved", self.shown))),
            None => return Err(self.trouble(Errno::ENOENT)),
        }
        put_if_free(&self.dir, &self.name, &to.dir, &to.name).map_err(|e| match e {
            Errno::ENOENT => self.trouble(e),
            e => to.trouble(e),
        })
    }

    fn trouble(&self, e: Errno) -> Failure {
        trouble(&self.shown, e)
    }
}

/// Opens a file for reading; none where something else stands there. A pipe in its place does not hang.
pub(super) fn open_file(dir: &OwnedFd, name: &OsStr) -> nix::Result<Option<File>> {
    let how = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = fcntl::openat(dir, name, how, Mode::empty())?;
    let is_file = Sort::of(&stat::fstat(&file)?) == Sort::File;
    Ok(is_file.then(|| File::from(file)))
}

/// The entries of a folder by name, at most 10,000, and whether there are more.
pub(super) fn entries(dir: &OwnedFd, shown: &str) -> Result<(Vec<Entry>, bool), Failure> {
    let again = dir.try_clone().map_err(|e| trouble(shown, errno(&e)))?;
    let mut found = Vec::new();
    let mut is_cut = false;
    for entry in Dir::from_fd(again).map_err(|e| trouble(shown, e))?.iter() {
        let entry = entry.map_err(|e| trouble(shown, e))?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        if found.len() >= MOST_ENTRIES {
            is_cut = true;
            break;
        }
        // What went meanwhile is left out.
        if let Ok(facts) = stat::fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            let (sort, modified_s) = (Sort::of(&facts), facts.st_mtime);
            found.push(Entry { name: name.to_owned(), sort, size_bytes: size(&facts), modified_s });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((found, is_cut))
}

fn size(facts: &FileStat) -> u64 {
    u64::try_from(facts.st_size).unwrap_or(0)
}

/// Gives a file another name unless that is taken: first the second name, then the first one goes.
fn put_if_free(from: &OwnedFd, name: &OsStr, to: &OwnedFd, new_name: &OsStr) -> nix::Result<()> {
    match unistd::linkat(from, name, to, new_name, AtFlags::empty()) {
        Ok(()) => unistd::unlinkat(from, name, UnlinkatFlags::NoRemoveDir),
        // Disks that know no second names.
        Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::EMLINK) => {
            match stat::fstatat(to, new_name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EEXIST),
                Err(Errno::ENOENT) => fcntl::renameat(from, name, to, new_name),
                Err(e) => Err(e),
            }
        }
        Err(e) => Err(e),
    }
}

pub(super) fn errno(e: &io::Error) -> Errno {
    e.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// What went wrong with a file, for people.
pub(super) fn trouble(shown: &str, e: Errno) -> Failure {
    Failure::refused(match e {
        Errno::ENOENT => format!("{shown} is not there, or its folder is not"),
        Errno::EEXIST => format!("{shown} is there already, and was left as it is"),
        Errno::ELOOP | Errno::ENOTDIR | Errno::EMLINK => {
            format!("{shown} is a link or leads through one (or through what is no folder); links are not followed")
        }
        Errno::EACCES | Errno::EPERM => format!("Steward may not touch {shown}; look at its rights"),
        Errno::EXDEV => format!("{shown} is on another disk; write it there and remove it here"),
        Errno::EISDIR | Errno::ENOTEMPTY => format!("{shown} is a folder"),
        Errno::ENAMETOOLONG => format!("{shown} is too long a name"),
        Errno::ENOSPC | Errno::EDQUOT => format!("there is no room for {shown} on the disk"),
        e => format!("{shown} can't be used ({})", e.desc()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn words<T>(done: Result<T, Failure>) -> String {
        match done {
            Err(Failure::Refused(said)) => said,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it was done"),
        }
    }

    #[test]
    fn no_name_leads_out() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let inside = tempfile::tempdir().unwrap();
        let root = inside.path();
        symlink(outside.path(), root.join("way")).unwrap();
        symlink(outside.path().join("secret"), root.join("file")).unwrap();
        std::fs::create_dir(root.join("sub")).unwrap();
        std::fs::write(root.join("sub/a"), "a").unwrap();
        let folders = [Folder::parse(root.to_str().unwrap()).unwrap()];
        let at = |rest: &str| format!("{}/{rest}", root.display());
        for path in
            [at("../x"), at("sub/../../x"), at("./a"), "relative".to_owned(), at("a\0b"), at(&"x/".repeat(3000))]
        {
            let said = words(Place::find(&folders, &path));
            assert!(said.contains("whole path"), "{path}: {said}");
        }
        for path in [format!("{}/secret", outside.path().display()), format!("{}x/a", root.display()), "/".to_owned()] {
            let said = words(Place::find(&folders, &path));
            assert!(said.contains("not within the folders"), "{path}: {said}");
        }
        assert!(words(Place::find(&folders, &at("way/secret"))).contains("links are not followed"));
        let link = Place::find(&folders, &at("file")).unwrap();
        assert!(words(link.read()).contains("links are not followed"));
        let free = Place::find(&folders, &at("b")).unwrap();
        assert!(words(link.move_to(&free)).contains("no file"));
        // Written over, a link is replaced and what it leads to stays.
        link.write(b"mine", true).unwrap();
        assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"s");
        assert_eq!(std::fs::read(root.join("file")).unwrap(), b"mine");
        assert!(words(Place::find(&folders, root.to_str().unwrap())).contains("the folder itself"));
    }

    #[test]
    fn nothing_is_written_over_unasked() {
        let inside = tempfile::tempdir().unwrap();
        let folders = [Folder::parse(inside.path().to_str().unwrap()).unwrap()];
        let place = |name: &str| Place::find(&folders, &format!("{}/{name}", inside.path().display())).unwrap();
        place("a").write(b"one", false).unwrap();
        assert!(words(place("a").write(b"two", false)).contains("is there already"));
        place("b").write(b"other", false).unwrap();
        assert!(words(place("a").move_to(&place("b"))).contains("b is there already"));
        place("a").move_to(&place("c")).unwrap();
        assert!(words(place("a").move_to(&place("d"))).contains("is not there"));
        let sub = format!("{}/sub/below", inside.path().display());
        assert!(make_folder(&folders, &sub).unwrap() && !make_folder(&folders, &sub).unwrap());
        assert!(words(make_folder(&folders, &format!("{}/b/x", inside.path().display()))).contains("no folder"));
        assert!(words(place("sub").write(b"x", true)).contains("is a folder"));
        let dir = folders[0].open().unwrap();
        let (found, is_cut) = entries(&dir, "it").unwrap();
        let names: Vec<_> = found.iter().map(|e| (e.name.to_str().unwrap(), e.sort.word(), e.size_bytes)).collect();
        assert_eq!(names[..2], [("b", "file", 5), ("c", "file", 3)]);
        assert_eq!((names.len(), names[2].1, is_cut), (3, "folder", false));
    }
}
