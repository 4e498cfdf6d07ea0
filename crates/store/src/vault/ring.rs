//! The master key's file: one key a line in hexadecimal digits. The first seals; those after it only open what they sealed
//! before. A running Steward takes up what changes in it.

use std::{
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use rand::RngCore;
use secrecy::{ExposeSecret, SecretBox};
use zeroize::Zeroizing;

use super::hmac;
use crate::{Error, Result};

/// Keys of a file at most.
const MOST_KEYS: usize = 16;
/// Bytes of a file at most.
const FILE_BYTES: u64 = 16 * 1024;
/// Hexadecimal digits of a fingerprint.
const FINGERPRINT_CHARS: usize = 16;

/// A key of 32 bytes with the name it goes by.
pub(super) struct Key {
    secret: SecretBox<[u8; 32]>,
    /// Says which key it is and nothing of it.
    pub fingerprint: String,
}

impl Key {
    fn new(bytes: Box<[u8; 32]>) -> Self {
        let mut fingerprint = hex::encode(hmac(&bytes, &[b"steward ", b"fingerprint"]));
        fingerprint.truncate(FINGERPRINT_CHARS);
        Self { secret: SecretBox::new(bytes), fingerprint }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut bytes = Box::new([0_u8; 32]);
        hex::decode_to_slice(line.trim(), &mut *bytes).ok()?;
        Some(Self::new(bytes))
    }

    pub fn bytes(&self) -> &[u8; 32] {
        self.secret.expose_secret()
    }
}

/// The keys of a file, at least one.
pub(super) struct Ring(Vec<Key>);

impl Ring {
    /// The key that seals.
    pub fn first(&self) -> &Key {
        &self.0[0]
    }

    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    pub fn named(&self, fingerprint: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.fingerprint == fingerprint)
    }

    fn read(file: &Path) -> Result<Self> {
        let wrong = |what: &str| wrong(file, what);
        let size = std::fs::metadata(file).map_err(|e| wrong(&format!("can't be read: {e}")))?.len();
        let damaged = || wrong("is damaged: each line must hold 64 hexadecimal digits; restore it from your backup");
        if size > FILE_BYTES {
            return Err(damaged());
        }
        let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|e| wrong(&format!("can't be read: {e}")))?);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(Key::parse).collect::<Option<Vec<_>>>().ok_or_else(damaged)?;
        if keys.is_empty() || keys.len() > MOST_KEYS {
            return Err(damaged());
        }
        Ok(Self(keys))
    }
}

fn wrong(file: &Path, what: &str) -> Error {
    Error::Vault(format!("the master key {} {what}", file.display()))
}

/// By what a changed file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let meta = std::fs::metadata(file).ok()?;
        Some(Self { modified: meta.modified().ok(), size: meta.len(), inode: meta.ino() })
    }
}

/// The file with what was last read of it.
pub(super) struct Keys {
    file: PathBuf,
    read: RwLock<(Arc<Ring>, Option<Stamp>)>,
}

impl Keys {
    /// Reads the file, or makes one with a new key and mode 0600 where there is none.
    pub fn open(file: &Path) -> Result<Self> {
        if !file.exists() {
            let mut key = Zeroizing::new([0_u8; 32]);
            rand::rng().fill_bytes(&mut *key);
            write_new(file, &Zeroizing::new(hex::encode(*key)))?;
        }
        let stamp = Stamp::of(file);
        Ok(Self { file: file.to_owned(), read: RwLock::new((Arc::new(Ring::read(file)?), stamp)) })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The keys as they stand in the file now; where it can't be read, as they stood last.
    pub fn ring(&self) -> Arc<Ring> {
        let stamp = Stamp::of(&self.file);
        {
            let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
            if stamp.is_none() || read.1 == stamp {
                return Arc::clone(&read.0);
            }
        }
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        if read.1 != stamp {
            match Ring::read(&self.file) {
                Ok(ring) => read.0 = Arc::new(ring),
                Err(e) => {
                    tracing::warn!(error = %e, "the master key's file changed and can't be read; the keys that were read before stay");
                }
            }
            read.1 = stamp;
        }
        Arc::clone(&read.0)
    }

    /// Puts a key in the first place; those that stand there open on. None makes a new one. It is in the file, whole,
    /// when this returns. One that stands there already comes to the first place.
    pub fn put_first(&self, new: Option<&Path>) -> Result<()> {
        let ring = Ring::read(&self.file)?;
        let key = match new {
            None => {
                let mut bytes = Box::new([0_u8; 32]);
                rand::rng().fill_bytes(&mut *bytes);
                Key::new(bytes)
            }
            Some(file) => {
                let mut given = Ring::read(file)?;
                if given.0.len() != 1 {
                    return Err(wrong(file, "must hold one new key: 64 hexadecimal digits"));
                }
                given.0.remove(0)
            }
        };
        let older = ring.0.iter().filter(|old| old.fingerprint != key.fingerprint);
        let all: Vec<&Key> = std::iter::once(&key).chain(older).collect();
        if all.len() > MOST_KEYS {
            return Err(wrong(&self.file, "holds 16 keys; let go of older ones first: steward key forget"));
        }
        self.write(&all)
    }

    /// Takes a key that does not seal out of the file. False: there is none such.
    pub fn forget(&self, fingerprint: &str) -> Result<bool> {
        let ring = Ring::read(&self.file)?;
        let left: Vec<&Key> = ring
            .0
            .iter()
            .enumerate()
            .filter(|(n, k)| *n == 0 || k.fingerprint != fingerprint)
            .map(|(_, k)| k)
            .collect();
        if left.len() == ring.0.len() {
            return Ok(false);
        }
        self.write(&left).map(|()| true)
    }

    /// In the place of the file, whole or not at all.
    fn write(&self, keys: &[&Key]) -> Result<()> {
        let mut text = Zeroizing::new(String::with_capacity(keys.len() * 65));
        for key in keys {
            let line = Zeroizing::new(hex::encode(key.bytes()));
            text.push_str(&line);
            text.push('\n');
        }
        let mut beside = self.file.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        match std::fs::remove_file(&beside) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(wrong(&beside, &format!("was left and can't be removed: {e}")));
            }
            _ => {}
        }
        write_new(&beside, &text)?;
        std::fs::rename(&beside, &self.file).map_err(|e| wrong(&self.file, &format!("can't be written: {e}")))?;
        let folder = self.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| wrong(&self.file, &format!("can't be written for sure: {e}")))
    }
}

fn write_new(file: &Path, text: &str) -> Result<()> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()))
        .map_err(|e| wrong(file, &format!("can't be made: {e}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("master.key");
        std::fs::write(&file, text).unwrap();
        (dir, file)
    }

    fn names(keys: &Keys) -> Vec<String> {
        keys.ring().keys().iter().map(|k| k.fingerprint.clone()).collect()
    }

    #[test]
    fn a_new_key_comes_first_and_the_old_ones_stay_until_they_are_let_go() {
        let (dir, path) = file(&"42".repeat(32));
        let keys = Keys::open(&path).unwrap();
        let old = names(&keys)[0].clone();
        keys.put_first(None).unwrap();
        let both = names(&keys);
        assert_eq!((both.len(), &both[1]), (2, &old), "and whoever has it open sees it");
        assert!(!keys.forget(&both[0]).unwrap(), "the one that seals stays");
        let given = dir.path().join("given");
        std::fs::write(&given, format!("# mine\n{}\n", "24".repeat(32))).unwrap();
        keys.put_first(Some(&given)).unwrap();
        keys.put_first(Some(&given)).unwrap();
        assert_eq!(names(&keys)[1..], both, "twice is once");
        assert!(keys.forget(&old).unwrap());
        assert_eq!(names(&keys).len(), 2);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_refused_and_never_written_over() {
        for text in ["", "42", "not hex", &format!("{}\nrest", "42".repeat(32)), &"42".repeat(33)] {
            let (_dir, path) = file(text);
            assert!(Keys::open(&path).is_err(), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        // One that goes bad while Steward runs leaves it with what it had.
        let (_dir, path) = file(&"42".repeat(32));
        let keys = Keys::open(&path).unwrap();
        let was = names(&keys);
        std::fs::write(&path, "x").unwrap();
        assert_eq!(names(&keys), was);
        assert!(keys.put_first(None).is_err());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(names(&keys), was);
    }
}
