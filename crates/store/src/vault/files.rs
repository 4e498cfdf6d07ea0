//! Files in the vault: content streams in under a key of its own, and out again in any part. Nothing is held in memory
//! whole.
//!
//! A file is: magic, nonce, then chunks of 64 KiB sealed in order with the last one marked (the STREAM construction of
//! Hoang, Reyhanitabar, Rogaway and Vizár, 2015), so that a cut or reordered file is refused and any part of it can be
//! read alone. It bears the name of its content: a keyed hash of it, which shows nothing to whoever sees only the
//! folder, and a word of its own, so that a file is never taken for one that was removed before it. Its key stands in
//! its row of `kept_files`, wrapped by the master key; the file itself never changes. Older files (`STWDATT1`) bear
//! their wrapped key themselves.

use std::{
    collections::HashSet,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::stream::{EncryptorBE32, NewStream, StreamBE32, StreamPrimitive},
};
use rand::RngCore;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Vault, hmac};
use crate::{Error, Result, sealed::Purpose};

const MAGIC: &[u8; 8] = b"STWDATT2";
/// Of files that bear their own key, wrapped.
const OLD_MAGIC: &[u8; 8] = b"STWDATT1";
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const STREAM_NONCE: usize = 19;
/// A key of 32 bytes, wrapped.
const WRAPPED: usize = 24 + 32 + TAG;
/// Bytes of a content's beginning that are told apart, to see what it is.
pub const HEAD_BYTES: usize = 4096;
/// Where files are until they are whole.
const INCOMING: &str = "incoming";

/// How much the vault takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file that somebody adds.
    pub file_bytes: u64,
    /// Bytes of all files together.
    pub total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 100_000_000, total_bytes: 10_000_000_000 }
    }
}

/// Files that are being taken in by this process: no sweep takes them.
#[derive(Debug, Default)]
pub(super) struct Busy {
    places: Mutex<HashSet<String>>,
    bytes: AtomicU64,
}

/// A file on its way in, until it belongs to a row or is given up.
#[derive(Debug)]
struct Flight {
    busy: Arc<Busy>,
    place: String,
    bytes: AtomicU64,
}

impl Flight {
    fn begin(busy: &Arc<Busy>, place: String) -> Self {
        busy.places.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone());
        Self { busy: Arc::clone(busy), place, bytes: AtomicU64::new(0) }
    }

    fn rename(&mut self, place: &str) {
        let mut places = self.busy.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(place.to_owned());
        places.remove(&std::mem::replace(&mut self.place, place.to_owned()));
    }

    /// Counts what came; answers how much is on its way in all.
    fn add(&self, bytes: u64) -> u64 {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.busy.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.busy.bytes.fetch_sub(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        self.busy.places.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}

/// A file taken into the vault. While it lives, no sweep of this process takes the file.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Where, below the vault's folder.
    pub storage_path: String,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// The content's first bytes, [`HEAD_BYTES`] at most.
    pub head: Vec<u8>,
    /// Its key, wrapped for its row of `kept_files`.
    pub sealed_key: Json,
    _flight: Arc<Flight>,
}

impl Vault {
    /// The same with these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How much it takes in.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Bytes on their way in, in this process.
    pub fn incoming_bytes(&self) -> u64 {
        self.busy.bytes.load(Ordering::Relaxed)
    }

    fn path(&self, storage_path: &str) -> Result<PathBuf> {
        let words = storage_path.split('/').skip(usize::from(storage_path.starts_with("incoming/")));
        let is_plain = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if words.clone().count() > 0 && words.clone().all(is_plain) {
            Ok(self.folder.join(storage_path))
        } else {
            Err(Error::Vault("an attachment's place in the vault has a wrong form".to_owned()))
        }
    }

    /// Streams a file's content in, refusing it when it holds more than `max_bytes`. It is durable when this returns.
    /// Blocking: call it off the async threads.
    pub fn store(&self, source: &mut dyn Read, max_bytes: u64) -> Result<Stored> {
        self.store_beside(source, max_bytes, 0)
    }

    /// The same beside `used_bytes` of other files; together they may hold no more than the limit of all.
    pub fn store_beside(&self, source: &mut dyn Read, max_bytes: u64, used_bytes: u64) -> Result<Stored> {
        let temporary = format!("{INCOMING}/{}", Uuid::now_v7());
        let mut flight = Flight::begin(&self.busy, temporary.clone());
        let path = self.path(&temporary)?;
        let failed = |e: std::io::Error| {
            Error::Storage(format!("the attachment can't be kept in {}: {e}", self.folder.display()))
        };
        std::fs::create_dir_all(self.folder.join(INCOMING)).map_err(failed)?;
        let mut unfinished = Unfinished(Some(path.clone()));
        let mut out =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        let (mut key, mut nonce) = (Zeroizing::new([0_u8; 32]), [0_u8; STREAM_NONCE]);
        rand::rng().fill_bytes(&mut *key);
        rand::rng().fill_bytes(&mut nonce);
        out.write_all(MAGIC).and_then(|()| out.write_all(&nonce)).map_err(failed)?;
        let mut stream = EncryptorBE32::from_aead(XChaCha20Poly1305::new((&*key).into()), (&nonce).into());
        let (mut hash, mut size_bytes) = (Sha256::new(), 0_u64);
        let mut chunk = read_up_to(source, CHUNK)?;
        let head = chunk.iter().take(HEAD_BYTES).copied().collect();
        loop {
            size_bytes += chunk.len() as u64;
            if size_bytes > max_bytes {
                return Err(Error::TooLarge { limit_bytes: max_bytes });
            }
            if used_bytes.saturating_add(flight.add(chunk.len() as u64)) > self.limits.total_bytes {
                return Err(Error::Quota { total_bytes: self.limits.total_bytes });
            }
            hash.update(&chunk);
            let next = read_up_to(source, CHUNK)?;
            let seal_failed = |_| Error::Vault("a chunk can't be sealed".to_owned());
            if next.is_empty() {
                out.write_all(&stream.encrypt_last(chunk.as_slice()).map_err(seal_failed)?).map_err(failed)?;
                break;
            }
            out.write_all(&stream.encrypt_next(chunk.as_slice()).map_err(seal_failed)?).map_err(failed)?;
            chunk = next;
        }
        out.sync_all().map_err(failed)?;
        let sha256 = hex::encode(hash.finalize());
        let storage_path = self.name_of(&sha256);
        let sealed_key = self.seal_json(&Purpose::file_key(&storage_path), &json!({ "key": BASE64.encode(*key) }))?;
        let target = self.path(&storage_path)?;
        let folder = target.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Both names are known as busy for the moment in which the file has one or the other.
        let before = Flight::begin(&self.busy, temporary);
        flight.rename(&storage_path);
        std::fs::rename(&path, &target).map_err(failed)?;
        unfinished.0 = None;
        drop(before);
        sync(folder).and_then(|()| sync(&self.folder)).map_err(failed)?;
        Ok(Stored { storage_path, size_bytes, sha256, head, sealed_key, _flight: Arc::new(flight) })
    }

    /// A new place for a content.
    fn name_of(&self, sha256: &str) -> String {
        let name = hex::encode(hmac(&self.derive("names of kept files"), &[sha256.as_bytes()]));
        let mut own = [0_u8; 8];
        rand::rng().fill_bytes(&mut own);
        format!("{}/{name}-{}", &name[..2], hex::encode(own))
    }

    /// Opens a kept file; `sealed_key` is that of its row in `kept_files`, none for an older file that bears its own.
    /// One that is missing, cut off, altered in its head or sealed with another key is refused. Blocking.
    pub fn open_file(&self, storage_path: &str, sealed_key: Option<&Json>) -> Result<KeptFile> {
        let damaged = |what: &str| damaged(storage_path, what);
        let mut file = File::open(self.path(storage_path)?).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => damaged("is missing"),
            _ => Error::Storage(format!("the attachment {storage_path} can't be read: {e}")),
        })?;
        let cut = |_| damaged("is cut off");
        let mut magic = [0_u8; 8];
        file.read_exact(&mut magic).map_err(cut)?;
        let (key, head_bytes) = if magic == *OLD_MAGIC {
            let mut wrapped = [0_u8; WRAPPED];
            file.read_exact(&mut wrapped).map_err(cut)?;
            (self.unseal(storage_path.as_bytes(), &wrapped, None)?, 8 + WRAPPED + STREAM_NONCE)
        } else if magic == *MAGIC {
            let sealed = sealed_key.ok_or_else(|| damaged("has lost the row with its key"))?;
            let opened = self.unseal_json(&Purpose::file_key(storage_path), sealed)?;
            let key = opened["key"].as_str().and_then(|text| BASE64.decode(text).ok()).map(Zeroizing::new);
            (key.ok_or_else(|| damaged("has no key in its row"))?, 8 + STREAM_NONCE)
        } else {
            return Err(damaged("begins as no file of the vault does"));
        };
        let mut nonce = [0_u8; STREAM_NONCE];
        file.read_exact(&mut nonce).map_err(cut)?;
        let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| damaged("has a key of a wrong length"))?;
        let sealed_bytes = file.metadata().map_err(cut)?.len().saturating_sub(head_bytes as u64);
        let chunks = sealed_bytes.div_ceil((CHUNK + TAG) as u64);
        let size_bytes = sealed_bytes.checked_sub(chunks * TAG as u64).filter(|_| chunks > 0);
        Ok(KeptFile {
            place: storage_path.to_owned(),
            file,
            stream: StreamBE32::from_aead(cipher, (&nonce).into()),
            head_bytes: head_bytes as u64,
            size_bytes: size_bytes.ok_or_else(|| damaged("is cut off"))?,
            chunks,
            bears_key: magic == *OLD_MAGIC,
        })
    }

    /// Places of kept files that were not touched for `age`, at most `limit`. Blocking.
    pub fn older_than(&self, age: Duration, limit: usize) -> Vec<String> {
        let Ok(folders) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        folders
            .flatten()
            .filter(|folder| folder.file_name().len() == 2)
            .flat_map(|folder| {
                let name = folder.file_name();
                let files = std::fs::read_dir(folder.path()).into_iter().flatten().flatten();
                files
                    .filter(move |file| is_older(file, age))
                    .map(move |f| format!("{}/{}", name.to_string_lossy(), f.file_name().to_string_lossy()))
            })
            .take(limit)
            .collect()
    }

    /// Whether this process is just taking the file in.
    pub fn is_busy(&self, storage_path: &str) -> bool {
        self.busy.places.lock().unwrap_or_else(PoisonError::into_inner).contains(storage_path)
    }

    /// Removes what never became whole, was not touched for `age` and is not being written by this process; answers how
    /// many. Blocking.
    pub fn clear_incoming(&self, age: Duration) -> Result<usize> {
        let Ok(files) = std::fs::read_dir(self.folder.join(INCOMING)) else { return Ok(0) };
        let mut removed = 0;
        for file in files.flatten().filter(|file| is_older(file, age)) {
            let place = format!("{INCOMING}/{}", file.file_name().to_string_lossy());
            if !self.is_busy(&place) {
                self.remove(&place)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether there is a file at this place. Blocking.
    pub fn holds(&self, storage_path: &str) -> bool {
        self.path(storage_path).is_ok_and(|path| path.is_file())
    }

    /// Removes a kept file; one that is gone already is no error. Blocking.
    pub fn remove(&self, storage_path: &str) -> Result<()> {
        match std::fs::remove_file(self.path(storage_path)?) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::Storage(format!("{storage_path}: {e}"))),
            _ => Ok(()),
        }
    }
}

fn is_older(file: &std::fs::DirEntry, age: Duration) -> bool {
    file.metadata().and_then(|m| m.modified()).is_ok_and(|t| t.elapsed().is_ok_and(|passed| passed >= age))
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder).and_then(|f| f.sync_all())
}

fn damaged(place: &str, what: &str) -> Error {
    Error::Damaged(format!("the file {place} in the vault {what}; restore it from a backup"))
}

/// A kept file, opened.
pub struct KeptFile {
    place: String,
    file: File,
    stream: StreamBE32<XChaCha20Poly1305>,
    head_bytes: u64,
    size_bytes: u64,
    chunks: u64,
    bears_key: bool,
}

impl std::fmt::Debug for KeptFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptFile").field("place", &self.place).finish_non_exhaustive()
    }
}

impl KeptFile {
    /// Bytes of its content, if it is whole.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether it is an older one, which bears its own key.
    pub fn bears_key(&self) -> bool {
        self.bears_key
    }

    /// Writes the content from the byte `from` to before `to`; each chunk proves itself before any of it is written.
    /// Blocking.
    pub fn copy(&mut self, from: u64, to: u64, out: &mut dyn Write) -> Result<()> {
        let chunk_bytes = CHUNK as u64;
        if self.size_bytes == 0 {
            return self.chunk(0).map(drop);
        }
        let (mut at, to) = (from, to.min(self.size_bytes));
        while at < to {
            let index = at / chunk_bytes;
            let begin = index * chunk_bytes;
            let chunk = self.chunk(index)?;
            let end = (begin + chunk.len() as u64).min(to);
            let part = usize::try_from(at - begin).ok().zip(usize::try_from(end - begin).ok());
            let part =
                part.and_then(|(low, high)| chunk.get(low..high)).ok_or_else(|| damaged(&self.place, "is cut off"))?;
            out.write_all(part).map_err(|e| Error::Storage(format!("the content can't be written: {e}")))?;
            at = end;
        }
        Ok(())
    }

    fn chunk(&mut self, index: u64) -> Result<Zeroizing<Vec<u8>>> {
        let altered = || damaged(&self.place, "was altered or cut off");
        let is_last = index + 1 == self.chunks;
        let place = self.head_bytes + index * (CHUNK + TAG) as u64;
        let failed = |e: std::io::Error| Error::Storage(format!("the attachment {} can't be read: {e}", self.place));
        if self.file.stream_position().map_err(failed)? != place {
            self.file.seek(SeekFrom::Start(place)).map_err(failed)?;
        }
        let sealed = read_up_to(&mut self.file, CHUNK + TAG)?;
        let position = u32::try_from(index).map_err(|_| altered())?;
        self.stream.decrypt(position, is_last, sealed.as_slice()).map(Zeroizing::new).map_err(|_| altered())
    }

    /// Its content as a source, to be kept anew.
    pub fn into_reader(self) -> impl Read + Send {
        Reading { file: self, index: 0, chunk: Zeroizing::new(Vec::new()), used: 0 }
    }

    /// Reads it whole and answers the SHA-256 of its content in hex; none where `stop` said so meanwhile. Blocking.
    pub fn digest(&mut self, stop: &dyn Fn() -> bool) -> Result<Option<String>> {
        let mut hash = Sha256::new();
        for index in 0..self.chunks {
            if stop() {
                return Ok(None);
            }
            hash.update(&self.chunk(index)?);
        }
        Ok(Some(hex::encode(hash.finalize())))
    }
}

/// A kept file read from its beginning.
struct Reading {
    file: KeptFile,
    index: u64,
    chunk: Zeroizing<Vec<u8>>,
    used: usize,
}

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.used == self.chunk.len() && self.index < self.file.chunks {
            self.chunk = self.file.chunk(self.index).map_err(std::io::Error::other)?;
            (self.index, self.used) = (self.index + 1, 0);
        }
        let rest = &self.chunk[self.used..];
        let size = rest.len().min(out.len());
        out[..size].copy_from_slice(&rest[..size]);
        self.used += size;
        Ok(size)
    }
}

/// Removes a file that was not finished.
struct Unfinished(Option<PathBuf>);
impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        if let Err(e) = std::fs::remove_file(path)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), error = %e, "an unfinished attachment could not be removed");
        }
    }
}

fn read_up_to(mut source: &mut dyn Read, size: usize) -> Result<Zeroizing<Vec<u8>>> {
    let mut chunk = Zeroizing::new(Vec::with_capacity(size));
    Read::by_ref(&mut source)
        .take(size as u64)
        .read_to_end(&mut chunk)
        .map_err(|e| Error::Vault(format!("the file can't be read: {e}")))?;
    Ok(chunk)
}

#[cfg(test)]
mod tests;
