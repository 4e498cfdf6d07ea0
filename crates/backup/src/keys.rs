//! Whose keys open a backup: the master key, or recipients' private keys, whose public halves are all a node needs in
//! order to write what it can't read.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::Vault;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// What the master key's own key for backups is derived for.
const PURPOSE: &str = "backup";
/// Recipients of one backup at most.
const MOST_RECIPIENTS: usize = 20;
/// Bytes of a file of private keys at most.
const IDENTITY_BYTES: u64 = 64 * 1024;

/// A key of 32 bytes, wiped when it goes.
pub type Key = Zeroizing<[u8; 32]>;

/// A bundle's key, sealed for whoever may open it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrap {
    /// `master` or `age`.
    pub by: String,
    /// The sealed key, base64.
    pub key: String,
}

/// For whom backups are sealed.
#[derive(Clone)]
pub enum Recipients {
    /// For whoever holds the master key.
    Master(Vault),
    /// For the holders of these public keys alone (`age1…`).
    People(Vec<String>),
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Master(_) => f.write_str("Master"),
            Self::People(people) => f.debug_tuple("People").field(people).finish(),
        }
    }
}

impl Recipients {
    /// For the master key of this vault.
    pub fn master(vault: &Vault) -> Self {
        Self::Master(vault.clone())
    }

    /// For these public keys, each as age writes it (`age1…`).
    pub fn people(keys: &[String]) -> Result<Self> {
        if keys.is_empty() || keys.len() > MOST_RECIPIENTS {
            return Err(Error::Config(format!(
                "name 1 to {MOST_RECIPIENTS} recipients of backups, not {}",
                keys.len()
            )));
        }
        for key in keys {
            recipient(key)?;
        }
        Ok(Self::People(keys.to_vec()))
    }

    /// Sixteen digits that tell whose keys open what is sealed now.
    pub(crate) fn id(&self) -> String {
        let named = match self {
            Self::Master(vault) => vault.fingerprints().into_iter().next().unwrap_or_default(),
            Self::People(people) => people.join(" "),
        };
        let mut id = hex::encode(Sha256::digest(named));
        id.truncate(16);
        id
    }

    /// Whether only recipients' private keys open what is sealed.
    pub fn are_people(&self) -> bool {
        matches!(self, Self::People(_))
    }
}

fn recipient(key: &str) -> Result<age::x25519::Recipient> {
    key.parse().map_err(|e| {
        Error::Config(format!(
            "the recipient {:?} is no public key ({e}); make one with age-keygen, and give what begins with age1",
            key.chars().take(80).collect::<String>()
        ))
    })
}

/// A fresh key, and its wraps for the recipients.
#[derive(Clone)]
pub struct Sealer {
    key: Key,
    wraps: Vec<Wrap>,
    /// What the wraps are bound to: a bundle's id.
    bundle: String,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A key for one bundle, which exists in memory and in its wraps alone.
    pub fn new(bundle: &str, recipients: &Recipients) -> Result<Self> {
        let mut key = Zeroizing::new([0_u8; 32]);
        rand::rng().fill_bytes(&mut *key);
        let failed = |e: &dyn std::fmt::Display| Error::Internal(format!("a backup's key can't be sealed: {e}"));
        let wrap = match recipients {
            Recipients::Master(vault) => {
                let master = vault.derive(PURPOSE);
                let mut nonce = [0_u8; 24];
                rand::rng().fill_bytes(&mut nonce);
                let sealed = XChaCha20Poly1305::new((&*master).into())
                    .encrypt(XNonce::from_slice(&nonce), Payload { msg: &*key, aad: bundle.as_bytes() })
                    .map_err(|e| failed(&e))?;
                Wrap { by: "master".to_owned(), key: BASE64.encode([nonce.as_slice(), &sealed].concat()) }
            }
            Recipients::People(people) => {
                let known = people.iter().map(|key| recipient(key)).collect::<Result<Vec<_>>>()?;
                let encryptor = age::Encryptor::with_recipients(known.iter().map(|r| r as &dyn age::Recipient))
                    .map_err(|e| failed(&e))?;
                let mut sealed = Vec::new();
                let mut out = encryptor.wrap_output(&mut sealed).map_err(|e| failed(&e))?;
                std::io::Write::write_all(&mut out, &*key)
                    .and_then(|()| std::io::Write::write_all(&mut out, bundle.as_bytes()))
                    .and_then(|()| out.finish().map(drop))
                    .map_err(|e| failed(&e))?;
                Wrap { by: "age".to_owned(), key: BASE64.encode(sealed) }
            }
        };
        Ok(Self { key, wraps: vec![wrap], bundle: bundle.to_owned() })
    }

    /// The bundle.
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn wraps(&self) -> &[Wrap] {
        &self.wraps
    }
}

/// The keys at hand for opening.
#[derive(Clone, Default)]
pub struct Opener {
    /// That of the key that seals, and those of older ones.
    master: Vec<Key>,
    people: Vec<age::x25519::Identity>,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener")
            .field("master", &self.master.len())
            .field("people", &self.people.len())
            .finish_non_exhaustive()
    }
}

impl Opener {
    /// With the master key of this vault.
    #[must_use]
    pub fn with_master(mut self, vault: &Vault) -> Self {
        self.master = vault.derive_all(PURPOSE);
        self
    }

    /// With the private keys in a file that age-keygen made. Blocking.
    pub fn with_identities(mut self, file: &std::path::Path) -> Result<Self> {
        let fail = |e| Error::file(format!("the private keys in {} can't be read", file.display()), e);
        if std::fs::metadata(file).map_err(fail)?.len() > IDENTITY_BYTES {
            return Err(Error::Config(format!(
                "{} is larger than {IDENTITY_BYTES} bytes; it holds no keys",
                file.display()
            )));
        }
        let text = Zeroizing::new(std::fs::read_to_string(file).map_err(fail)?);
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            // What stands there is not shown: it may be a key.
            let identity = line.parse().map_err(|_| {
                Error::Config(format!("{} holds a line that is no private key (AGE-SECRET-KEY-1…)", file.display()))
            })?;
            self.people.push(identity);
        }
        if self.people.is_empty() {
            return Err(Error::Config(format!("{} holds no private key", file.display())));
        }
        Ok(self)
    }

    /// Opens a bundle's key. The error says which key is wanted.
    pub(crate) fn open(&self, bundle: &str, wraps: &[Wrap]) -> Result<Key, String> {
        for wrap in wraps {
            let Ok(sealed) = BASE64.decode(&wrap.key) else { continue };
            let opened = match wrap.by.as_str() {
                "master" => self.open_master(bundle, &sealed),
                "age" => self.open_age(bundle, &sealed),
                _ => None,
            };
            if let Some(key) = opened {
                return Ok(key);
            }
        }
        Err(if wraps.iter().any(|w| w.by == "age") {
            "it was sealed for recipients, and no private key at hand is one of theirs; give it with --identity FILE"
        } else if self.master.is_empty() {
            "it was sealed with the master key, which is not at hand; name it with master_key_file"
        } else {
            "it was sealed with another master key; name the right one with master_key_file"
        }
        .to_owned())
    }

    fn open_master(&self, bundle: &str, sealed: &[u8]) -> Option<Key> {
        let (nonce, body) = sealed.split_at_checked(24)?;
        self.master.iter().find_map(|master| {
            let cipher = XChaCha20Poly1305::new((&**master).into());
            let plain =
                cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: bundle.as_bytes() }).ok()?;
            key_of(&Zeroizing::new(plain))
        })
    }

    fn open_age(&self, bundle: &str, sealed: &[u8]) -> Option<Key> {
        let identities = self.people.iter().map(|i| i as &dyn age::Identity);
        let mut reader = age::Decryptor::new_buffered(sealed).ok()?.decrypt(identities).ok()?;
        let mut plain = Zeroizing::new(Vec::new());
        std::io::Read::read_to_end(&mut reader, &mut plain).ok()?;
        let (key, bound) = plain.split_at_checked(32)?;
        if bound == bundle.as_bytes() { key_of(key) } else { None }
    }
}

fn key_of(plain: &[u8]) -> Option<Key> {
    Some(Zeroizing::new(plain.try_into().ok()?))
}
