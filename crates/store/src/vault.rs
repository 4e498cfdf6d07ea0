//! The vault: what lies encrypted at rest. Secrets are sealed into the database; files into `attachments/`, each
//! under a key of its own that the master key wraps. Content streams through; nothing is held in memory whole.
//!
//! A file is: magic, wrapped key, then chunks of 64 KiB sealed in order with the last one marked (the STREAM
//! construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015), so that a cut or reordered file is refused.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{
        Aead, Payload,
        stream::{DecryptorBE32, EncryptorBE32},
    },
};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretBox};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"STWDATT1";
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const STREAM_NONCE: usize = 19;

/// The master key and the folder of attachments. Cloning shares the key.
#[derive(Clone)]
pub struct Vault {
    key: Arc<SecretBox<[u8; 32]>>,
    folder: PathBuf,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A file taken into the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where, below the vault's folder.
    pub storage_path: String,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// SHA-256 of the content, hex.
    pub sha256: String,
}

impl Vault {
    /// Reads the master key, or makes one with mode 0600 where there is none.
    pub fn open(key_file: &Path, folder: &Path) -> Result<Self> {
        let wrong = |what: &str, e: &dyn std::fmt::Display| {
            Error::Vault(format!("the master key {} {what}: {e}", key_file.display()))
        };
        let text = match std::fs::read_to_string(key_file) {
            Ok(text) => Zeroizing::new(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let mut key = Zeroizing::new([0_u8; 32]);
                rand::rng().fill_bytes(&mut *key);
                let text = Zeroizing::new(hex::encode(*key));
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(key_file)
                    .map_err(|e| wrong("can't be made", &e))?;
                file.write_all(text.as_bytes())
                    .and_then(|()| file.sync_all())
                    .map_err(|e| wrong("can't be written", &e))?;
                text
            }
            Err(e) => return Err(wrong("can't be read", &e)),
        };
        let mut key = Box::new([0_u8; 32]);
        hex::decode_to_slice(text.trim(), &mut *key)
            .map_err(|_| wrong("is damaged", &"it must hold 64 hexadecimal digits; restore it from your backup"))?;
        Ok(Self { key: Arc::new(SecretBox::new(key)), folder: folder.to_owned() })
    }

    /// The same key with another folder of attachments: a restored one that is looked at.
    #[must_use]
    pub fn at(&self, folder: &Path) -> Self {
        Self { key: Arc::clone(&self.key), folder: folder.to_owned() }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.expose_secret().into())
    }

    fn seal(&self, purpose: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0_u8; 24];
        rand::rng().fill_bytes(&mut nonce);
        let mut out = nonce.to_vec();
        let sealed = self.cipher().encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: purpose });
        out.extend(sealed.map_err(|_| Error::Vault("a secret can't be sealed".to_owned()))?);
        Ok(out)
    }

    fn unseal(&self, purpose: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let opened = sealed.split_at_checked(24).and_then(|(nonce, body)| {
            self.cipher().decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: purpose }).ok()
        });
        opened.map(Zeroizing::new).ok_or_else(|| {
            Error::Vault(
                "a secret can't be opened: it was sealed with another master key or altered; restore the right key"
                    .to_owned(),
            )
        })
    }

    /// A secret of its own for `purpose`, always the same for the same master key. What is sealed shows nothing of it,
    /// and it shows nothing of the master key.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        // HMAC-SHA-256 with the key's 32 bytes (RFC 2104), written out: the key is shorter than a block.
        let pad = |byte: u8| {
            let mut block = Zeroizing::new([byte; 64]);
            block.iter_mut().zip(self.key.expose_secret()).for_each(|(b, k)| *b ^= k);
            block
        };
        let inner = Zeroizing::new(<[u8; 32]>::from(
            Sha256::new().chain_update(*pad(0x36)).chain_update(b"steward ").chain_update(purpose).finalize(),
        ));
        Zeroizing::new(Sha256::new().chain_update(*pad(0x5c)).chain_update(*inner).finalize().into())
    }

    /// Seals a JSON document for a row of the database; `purpose` ties it to its place.
    pub fn seal_json(&self, purpose: &str, value: &Json) -> Result<Json> {
        let plain = Zeroizing::new(value.to_string());
        Ok(json!({ "sealed": BASE64.encode(self.seal(purpose.as_bytes(), plain.as_bytes())?), "v": 1 }))
    }

    /// Opens what [`Self::seal_json`] sealed for the same purpose.
    pub fn unseal_json(&self, purpose: &str, sealed: &Json) -> Result<Json> {
        let bytes = sealed.get("sealed").and_then(Json::as_str).and_then(|t| BASE64.decode(t).ok());
        let bytes =
            bytes.ok_or_else(|| Error::Vault("a sealed value has not the form that Steward writes".to_owned()))?;
        serde_json::from_slice(&self.unseal(purpose.as_bytes(), &bytes)?)
            .map_err(|e| Error::Vault(format!("a sealed value is no JSON: {e}")))
    }

    fn place(&self, storage_path: &str) -> Result<PathBuf> {
        let safe =
            storage_path.split('/').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'));
        if safe {
            Ok(self.folder.join(storage_path))
        } else {
            Err(Error::Vault("an attachment's place in the vault has a wrong form".to_owned()))
        }
    }

    /// Streams a file's content in, refusing it when it holds more than `max_bytes`. It is durable when this returns.
    /// Blocking: call it off the async threads.
    pub fn store(&self, source: &mut dyn Read, max_bytes: u64) -> Result<Stored> {
        let id = Uuid::now_v7().to_string();
        let storage_path = format!("{}/{id}", &id[34..]);
        let target = self.place(&storage_path)?;
        let folder = target.parent().unwrap_or(&self.folder);
        let failed =
            |e: std::io::Error| Error::Storage(format!("the attachment can't be kept in {}: {e}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut unfinished = Unfinished(Some(target.clone()));
        let mut out =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target).map_err(failed)?;
        let (mut file_key, mut nonce) = (Zeroizing::new([0_u8; 32]), [0_u8; STREAM_NONCE]);
        rand::rng().fill_bytes(&mut *file_key);
        rand::rng().fill_bytes(&mut nonce);
        let wrapped = self.seal(storage_path.as_bytes(), &*file_key)?;
        out.write_all(MAGIC)
            .and_then(|()| out.write_all(&wrapped))
            .and_then(|()| out.write_all(&nonce))
            .map_err(failed)?;
        let mut stream = EncryptorBE32::from_aead(XChaCha20Poly1305::new((&*file_key).into()), (&nonce).into());
        let (mut hash, mut size_bytes) = (Sha256::new(), 0_u64);
        let mut chunk = read_chunk(source)?;
        loop {
            size_bytes += chunk.len() as u64;
            if size_bytes > max_bytes {
                return Err(Error::Vault(format!(
                    "the file is larger than the limit of {max_bytes} bytes; raise max_bytes or shrink the file"
                )));
            }
            hash.update(&chunk);
            let next = read_chunk(source)?;
            let seal_failed = |_| Error::Vault("a chunk can't be sealed".to_owned());
            if next.is_empty() {
                out.write_all(&stream.encrypt_last(chunk.as_slice()).map_err(seal_failed)?).map_err(failed)?;
                break;
            }
            out.write_all(&stream.encrypt_next(chunk.as_slice()).map_err(seal_failed)?).map_err(failed)?;
            chunk = next;
        }
        out.sync_all().map_err(failed)?;
        File::open(folder).and_then(|f| f.sync_all()).map_err(failed)?;
        unfinished.0 = None;
        Ok(Stored { storage_path, size_bytes, sha256: hex::encode(hash.finalize()) })
    }

    /// Streams a kept file's content out; refuses an altered, cut or foreign one. Blocking.
    pub fn read(&self, storage_path: &str, out: &mut dyn Write) -> Result<u64> {
        let altered = || {
            Error::Vault(format!(
                "the attachment {storage_path} was altered, cut off or sealed with another key; restore it from a backup"
            ))
        };
        let failed = |e: std::io::Error| Error::Storage(format!("the attachment {storage_path} can't be read: {e}"));
        let mut file = File::open(self.place(storage_path)?).map_err(failed)?;
        let mut head = [0_u8; 8 + 24 + 32 + TAG + STREAM_NONCE];
        file.read_exact(&mut head).map_err(|_| altered())?;
        let (magic, rest) = head.split_at(8);
        let (wrapped, nonce) = rest.split_at(24 + 32 + TAG);
        if magic != MAGIC {
            return Err(altered());
        }
        let file_key = self.unseal(storage_path.as_bytes(), wrapped)?;
        let cipher = XChaCha20Poly1305::new_from_slice(&file_key).map_err(|_| altered())?;
        let mut stream = DecryptorBE32::from_aead(cipher, nonce.into());
        let mut size = 0;
        let mut chunk = read_up_to(&mut file, CHUNK + TAG)?;
        loop {
            let next = read_up_to(&mut file, CHUNK + TAG)?;
            if next.is_empty() {
                let plain = Zeroizing::new(stream.decrypt_last(chunk.as_slice()).map_err(|_| altered())?);
                out.write_all(&plain).map_err(failed)?;
                return Ok(size + plain.len() as u64);
            }
            let plain = Zeroizing::new(stream.decrypt_next(chunk.as_slice()).map_err(|_| altered())?);
            out.write_all(&plain).map_err(failed)?;
            size += plain.len() as u64;
            chunk = next;
        }
    }

    /// Places of kept files that were not touched for `age`, at most `limit`. Blocking.
    pub fn older_than(&self, age: std::time::Duration, limit: usize) -> Vec<String> {
        let Ok(folders) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let is_old = |e: &std::fs::DirEntry| {
            e.metadata().and_then(|m| m.modified()).is_ok_and(|t| t.elapsed().is_ok_and(|passed| passed >= age))
        };
        folders
            .flatten()
            .flat_map(|folder| {
                let name = folder.file_name();
                let files = std::fs::read_dir(folder.path()).into_iter().flatten().flatten();
                files
                    .filter(is_old)
                    .map(move |f| format!("{}/{}", name.to_string_lossy(), f.file_name().to_string_lossy()))
            })
            .take(limit)
            .collect()
    }

    /// Whether there is a file at this place. Blocking.
    pub fn holds(&self, storage_path: &str) -> bool {
        self.place(storage_path).is_ok_and(|path| path.is_file())
    }

    /// Removes a kept file; one that is gone already is no error.
    pub fn remove(&self, storage_path: &str) -> Result<()> {
        match std::fs::remove_file(self.place(storage_path)?) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::Storage(format!("{storage_path}: {e}"))),
            _ => Ok(()),
        }
    }
}

/// Removes a file that was not finished.
struct Unfinished(Option<PathBuf>);
impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        if let Err(e) = std::fs::remove_file(path) {
            tracing::warn!(file = %path.display(), error = %e, "an unfinished attachment could not be removed");
        }
    }
}

fn read_chunk(source: &mut dyn Read) -> Result<Zeroizing<Vec<u8>>> {
    read_up_to(source, CHUNK)
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
mod tests {
    use super::*;

    fn vault() -> (tempfile::TempDir, Vault) {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(&dir.path().join("master.key"), &dir.path().join("attachments")).unwrap();
        (dir, vault)
    }

    #[test]
    fn files_of_every_size_come_back_and_are_unreadable_at_rest() {
        let (dir, vault) = vault();
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
            let content = vec![b'x'; size];
            let stored = vault.store(&mut content.as_slice(), u64::MAX).unwrap();
            assert_eq!(stored.sha256, hex::encode(Sha256::digest(&content)));
            let mut back = Vec::new();
            assert_eq!(vault.read(&stored.storage_path, &mut back).unwrap(), size as u64);
            assert!(back == content);
            let raw = std::fs::read(dir.path().join("attachments").join(&stored.storage_path)).unwrap();
            assert!(!raw.windows(16).any(|w| w == [b'x'; 16]));
        }
    }

    #[test]
    fn altered_cut_and_swapped_files_are_refused() {
        let (dir, vault) = vault();
        let stored = vault.store(&mut vec![7; 2 * CHUNK].as_slice(), u64::MAX).unwrap();
        let path = dir.path().join("attachments").join(&stored.storage_path);
        let whole = std::fs::read(&path).unwrap();
        let mut altered = whole.clone();
        altered[200] ^= 1;
        for bad in [altered, whole[..whole.len() - CHUNK].to_vec(), whole[..whole.len() - 1].to_vec(), Vec::new()] {
            std::fs::write(&path, bad).unwrap();
            assert!(vault.read(&stored.storage_path, &mut Vec::new()).is_err());
        }
        assert!(vault.read("../../etc/passwd", &mut Vec::new()).is_err());
    }

    #[test]
    fn too_large_is_refused_and_leaves_nothing() {
        let (dir, vault) = vault();
        assert!(vault.store(&mut vec![0; 100].as_slice(), 99).unwrap_err().to_string().contains("limit of 99"));
        let left = std::fs::read_dir(dir.path().join("attachments"))
            .unwrap()
            .flat_map(|d| std::fs::read_dir(d.unwrap().path()).unwrap())
            .count();
        assert_eq!(left, 0);
    }

    // Checked against another program's HMAC: python3 -c "import hmac; print(hmac.new(bytes(range(32)), b'steward x', 'sha256').hexdigest())"
    #[test]
    fn a_derived_secret_is_the_keys_and_the_purposes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("master.key");
        std::fs::write(&file, hex::encode((0..32).collect::<Vec<u8>>())).unwrap();
        let vault = Vault::open(&file, dir.path()).unwrap();
        assert_eq!(hex::encode(*vault.derive("x")), "208026ebe768c7530360d37632bf7f298c120485e2d851d9e68ad8933350f7e4");
        assert_ne!(*vault.derive("x"), *vault.derive("y"));
    }

    #[test]
    fn a_sealed_value_opens_only_for_its_purpose_and_key() {
        let (_dir, vault_a) = vault();
        let (_other, vault_b) = vault();
        let secret = json!({"TOKEN": "s3cret"});
        let sealed = vault_a.seal_json("server:1", &secret).unwrap();
        assert!(!sealed.to_string().contains("s3cret"));
        assert_eq!(vault_a.unseal_json("server:1", &sealed).unwrap(), secret);
        assert!(vault_a.unseal_json("server:2", &sealed).is_err());
        assert!(vault_b.unseal_json("server:1", &sealed).is_err());
    }
}
