//! The vault: what lies encrypted at rest. Secrets are sealed into the database; files into `attachments/`, each
//! under a key of its own that the master key wraps.

mod files;

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretBox};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use self::files::{HEAD_BYTES, KeptFile, Limits, Stored};
use crate::{Error, Result};

/// The master key and the folder of attachments. Cloning shares the key.
#[derive(Clone)]
pub struct Vault {
    key: Arc<SecretBox<[u8; 32]>>,
    folder: PathBuf,
    limits: Limits,
    busy: Arc<files::Busy>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("folder", &self.folder).finish_non_exhaustive()
    }
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
        Ok(Self {
            key: Arc::new(SecretBox::new(key)),
            folder: folder.to_owned(),
            limits: Limits::default(),
            busy: Arc::default(),
        })
    }

    /// The same key with another folder of attachments: a restored one that is looked at.
    #[must_use]
    pub fn at(&self, folder: &Path) -> Self {
        Self { key: Arc::clone(&self.key), folder: folder.to_owned(), limits: self.limits, busy: Arc::default() }
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
        Zeroizing::new(hmac(self.key.expose_secret(), &[b"steward ", purpose.as_bytes()]))
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
}

/// HMAC-SHA-256 with a key of 32 bytes (RFC 2104), written out: the key is shorter than a block.
fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = Zeroizing::new([byte; 64]);
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let inner = parts.iter().fold(Sha256::new_with_prefix(*pad(0x36)), Digest::chain_update);
    let inner = Zeroizing::new(<[u8; 32]>::from(inner.finalize()));
    Sha256::new_with_prefix(*pad(0x5c)).chain_update(*inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn vault() -> (tempfile::TempDir, Vault) {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(&dir.path().join("master.key"), &dir.path().join("attachments")).unwrap();
        (dir, vault)
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
