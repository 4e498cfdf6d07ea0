//! The vault: what lies encrypted at rest. Secrets are sealed into the database; files into `attachments/`, each
//! under a key of its own that the master key wraps.

mod files;
mod ring;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::RngCore;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use self::files::{HEAD_BYTES, KeptFile, Limits, Stored};
use self::ring::Keys;
use crate::{Error, Result, sealed::Purpose};

/// The master key and the folder of attachments. Cloning shares both.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<Keys>,
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
    /// Reads the master key's file, or makes one with mode 0600 where there is none.
    pub fn open(key_file: &Path, folder: &Path) -> Result<Self> {
        Ok(Self {
            keys: Arc::new(Keys::open(key_file)?),
            folder: folder.to_owned(),
            limits: Limits::default(),
            busy: Arc::default(),
        })
    }

    /// The same keys with another folder of attachments: a restored one that is looked at.
    #[must_use]
    pub fn at(&self, folder: &Path) -> Self {
        Self { keys: Arc::clone(&self.keys), folder: folder.to_owned(), limits: self.limits, busy: Arc::default() }
    }

    /// The master key's file.
    pub fn key_file(&self) -> &Path {
        self.keys.file()
    }

    /// Which keys there are, none of which it shows: the one that seals, then those that only open.
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys.ring().keys().iter().map(|key| key.fingerprint.clone()).collect()
    }

    /// Has a key seal from now on: the one in the file `new`, or one that is made. Those before it still open. Blocking.
    pub fn put_first(&self, new: Option<&Path>) -> Result<()> {
        self.keys.put_first(new)
    }

    /// Takes a key that no longer seals out of the file. False: there is none such. Blocking.
    pub fn forget(&self, fingerprint: &str) -> Result<bool> {
        self.keys.forget(fingerprint)
    }

    fn seal(&self, purpose: &[u8], plain: &[u8]) -> Result<(Vec<u8>, String)> {
        let ring = self.keys.ring();
        let mut nonce = [0_u8; 24];
        rand::rng().fill_bytes(&mut nonce);
        let mut out = nonce.to_vec();
        let cipher = XChaCha20Poly1305::new(ring.first().bytes().into());
        let sealed = cipher.encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: purpose });
        out.extend(sealed.map_err(|_| Error::Vault("a secret can't be sealed".to_owned()))?);
        Ok((out, ring.first().fingerprint.clone()))
    }

    /// `key` names the key that sealed it; what names none is tried with all of them.
    fn unseal(&self, purpose: &[u8], sealed: &[u8], key: Option<&str>) -> Result<Zeroizing<Vec<u8>>> {
        let ring = self.keys.ring();
        let file = self.keys.file().display();
        let tried = match key {
            None => ring.keys(),
            Some(name) => std::slice::from_ref(ring.named(name).ok_or_else(|| {
                Error::Vault(format!(
                    "a secret can't be opened: it was sealed with the master key {name}, which {file} does not hold; restore the right key"
                ))
            })?),
        };
        let opened = sealed.split_at_checked(24).and_then(|(nonce, body)| {
            tried.iter().find_map(|key| {
                let cipher = XChaCha20Poly1305::new(key.bytes().into());
                cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: purpose }).ok()
            })
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
        derived(self.keys.ring().first().bytes(), purpose)
    }

    /// The same of every key there is, that which seals first.
    pub fn derive_all(&self, purpose: &str) -> Vec<Zeroizing<[u8; 32]>> {
        self.keys.ring().keys().iter().map(|key| derived(key.bytes(), purpose)).collect()
    }

    /// Seals a JSON document for a row of the database; `purpose` ties it to its place.
    pub fn seal_json(&self, purpose: &Purpose, value: &Json) -> Result<Json> {
        let plain = Zeroizing::new(value.to_string());
        let (sealed, key) = self.seal(purpose.as_bytes(), plain.as_bytes())?;
        Ok(json!({ "sealed": BASE64.encode(sealed), "v": 2, "key": key }))
    }

    /// Opens what [`Self::seal_json`] sealed for the same purpose.
    pub fn unseal_json(&self, purpose: &Purpose, sealed: &Json) -> Result<Json> {
        let bytes = sealed.get("sealed").and_then(Json::as_str).and_then(|t| BASE64.decode(t).ok());
        let bytes =
            bytes.ok_or_else(|| Error::Vault("a sealed value has not the form that Steward writes".to_owned()))?;
        let plain = self.unseal(purpose.as_bytes(), &bytes, sealed.get("key").and_then(Json::as_str))?;
        serde_json::from_slice(&plain).map_err(|e| Error::Vault(format!("a sealed value is no JSON: {e}")))
    }

    /// Whether a value is sealed with the key that seals now.
    pub fn is_current(&self, sealed: &Json) -> bool {
        sealed.get("key").and_then(Json::as_str) == Some(&self.keys.ring().first().fingerprint)
    }

    /// The same value sealed with the key that seals now.
    pub fn seal_anew(&self, purpose: &Purpose, sealed: &Json) -> Result<Json> {
        self.seal_json(purpose, &self.unseal_json(purpose, sealed)?)
    }
}

fn derived(key: &[u8; 32], purpose: &str) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(hmac(key, &[b"steward ", purpose.as_bytes()]))
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
        let (one, two) = (Purpose::server_environment("1"), Purpose::server_environment("2"));
        let sealed = vault_a.seal_json(&one, &secret).unwrap();
        assert!(!sealed.to_string().contains("s3cret"));
        assert_eq!(vault_a.unseal_json(&one, &sealed).unwrap(), secret);
        assert!(vault_a.unseal_json(&two, &sealed).is_err());
        let said = vault_b.unseal_json(&one, &sealed).unwrap_err().to_string();
        assert!(said.contains(&vault_a.fingerprints()[0]) && said.contains("master.key"), "{said}");
    }

    #[test]
    fn an_older_key_opens_and_the_new_one_seals_also_for_whoever_runs_already() {
        let (dir, running) = vault();
        let (purpose, secret) = (Purpose::channel_secret("email"), json!({"password": "s3cret"}));
        let mut old = running.seal_json(&purpose, &secret).unwrap();
        let at_the_terminal = Vault::open(&dir.path().join("master.key"), dir.path()).unwrap();
        at_the_terminal.put_first(None).unwrap();
        assert!(!running.is_current(&old));
        assert_eq!(running.unseal_json(&purpose, &old).unwrap(), secret);
        let new = running.seal_json(&purpose, &secret).unwrap();
        assert!(at_the_terminal.is_current(&new) && running.is_current(&running.seal_anew(&purpose, &old).unwrap()));
        // As it was sealed before keys had names.
        old.as_object_mut().unwrap().remove("key");
        assert_eq!(running.unseal_json(&purpose, &old).unwrap(), secret);
        let gone = running.fingerprints().pop().unwrap();
        assert!(running.forget(&gone).unwrap());
        assert!(running.unseal_json(&purpose, &old).is_err() && running.unseal_json(&purpose, &new).is_ok());
    }
}
