//! The guessing of passwords: counted in the database, so that every node and every restart knows of it, before a
//! password is looked at.
//!
//! Three counts, each within fifteen minutes: tries for an account from an address, tries from an address, and tries
//! for an account from anywhere. The last one would lock an owner out while somebody guesses; so a browser in which that
//! account once logged in bears a mark ([`Device`]), and is counted by itself.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use rand::RngCore;
use ring::hmac;
use store::{Actor, Store, login_tries};
use uuid::Uuid;

use crate::{Error, Result, playbook::sha256_hex};

/// How long tries count.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// Tries for an account from one address, or from one marked browser.
const PER_ACCOUNT_AND_PLACE: i32 = 10;
/// Tries from one address, whatever the account.
const PER_ADDRESS: i32 = 60;
/// Tries for an account from everywhere, marked browsers aside; NIST 800-63B allows a hundred.
const PER_ACCOUNT: i32 = 50;
/// Tries of a code of the second factor.
const PER_CODE: i32 = 10;

/// Proves that a mark is ours; it never prints.
#[derive(Debug, Clone)]
pub struct DeviceKey(hmac::Key);

impl DeviceKey {
    /// From a secret of the installation's own.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// What shows that a claim of this kind is ours.
    pub(crate) fn proof(&self, kind: &str, claim: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, format!("{kind}\n{claim}").as_bytes()).as_ref())
    }

    /// Whether it does.
    pub(crate) fn proves(&self, kind: &str, claim: &str, proof: &str) -> bool {
        let Ok(proof) = URL_SAFE_NO_PAD.decode(proof) else { return false };
        hmac::verify(&self.0, format!("{kind}\n{claim}").as_bytes(), &proof).is_ok()
    }
}

/// A browser in which an account logged in: random bytes, and a proof that they are ours and of this account.
#[derive(Debug, Clone)]
pub struct Device(String);

/// The name under which tries for an account are counted.
fn account(login: &str) -> String {
    login.trim().to_lowercase()
}

impl Device {
    /// A mark for a browser in which `login` logged in.
    pub fn new(key: &DeviceKey, login: &str) -> Self {
        let mut bytes = [0_u8; 16];
        rand::rng().fill_bytes(&mut bytes);
        let id = URL_SAFE_NO_PAD.encode(bytes);
        let proof = key.proof("device", &signed(&id, login));
        Self(format!("{id}.{proof}"))
    }

    /// The mark a browser bears, if it is ours and of this account.
    pub fn read(key: &DeviceKey, login: &str, text: &str) -> Option<Self> {
        let (id, proof) = text.split_once('.').filter(|_| text.len() <= 100)?;
        key.proves("device", &signed(id, login), proof).then(|| Self(text.to_owned()))
    }

    /// For the cookie.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn signed(id: &str, login: &str) -> String {
    format!("{id}\n{}", account(login))
}

/// A try that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Try<'a> {
    /// Name or address of the account.
    pub login: &'a str,
    /// From where.
    pub ip: Option<IpAddr>,
    /// The browser's mark, where it bears one of this account.
    pub device: Option<&'a Device>,
}

impl Try<'_> {
    /// What is counted, and up to how many.
    fn keys(&self) -> Vec<(String, i32)> {
        let (account, place) = (account(self.login), place(self.ip));
        let key = |parts: &[&str]| sha256_hex(&parts.join("\n"));
        match self.device {
            Some(device) => vec![(key(&["device", &account, device.as_str()]), PER_ACCOUNT_AND_PLACE)],
            None => vec![
                (key(&["account and address", &account, &place]), PER_ACCOUNT_AND_PLACE),
                (key(&["address", &place]), PER_ADDRESS),
                (key(&["account", &account]), PER_ACCOUNT),
            ],
        }
    }
}

/// An address as it is counted: of IPv6 the network, for whoever has one address there has them all.
fn place(ip: Option<IpAddr>) -> String {
    match ip {
        None => "nowhere".to_owned(),
        Some(IpAddr::V4(ip)) => ip.to_string(),
        Some(IpAddr::V6(ip)) => format!("{:x?}", &ip.segments()[..4]),
    }
}

/// Counts a try before it is made, so that many at once are counted too. Refused: too many were made of late.
pub async fn begin(store: &Store, attempt: &Try<'_>) -> Result<()> {
    count(store, attempt.keys()).await
}

/// The same for a code of the second factor, of which tries are few wherever they come from: who makes them knows the
/// password.
pub(crate) async fn begin_code(store: &Store, user_id: Uuid) -> Result<()> {
    count(store, vec![(code_key(user_id), PER_CODE)]).await
}

/// Takes the last try of a code back: it was none.
pub(crate) async fn code_succeeded(store: &Store, user_id: Uuid) -> Result<()> {
    Ok(login_tries::forgive(&Actor::service(), store, &[code_key(user_id)]).await?)
}

fn code_key(user_id: Uuid) -> String {
    sha256_hex(&format!("code\n{user_id}"))
}

async fn count(store: &Store, keys: Vec<(String, i32)>) -> Result<()> {
    let service = Actor::service();
    let since = store::now() - WINDOW;
    let names: Vec<String> = keys.iter().map(|(key, _)| key.clone()).collect();
    let counted = login_tries::note(&service, store, &names, since).await?;
    let limit_of = |key: &str| keys.iter().find(|(k, _)| k == key).map_or(0, |(_, limit)| *limit);
    let ends = counted.iter().filter(|c| c.tries > limit_of(&c.key)).map(|c| c.since + WINDOW).max();
    match ends {
        None => Ok(()),
        Some(end) => {
            let left = end.duration_since(store::now()).as_secs().max(0) + 1;
            Err(Error::TooManyTries { retry_after_s: u32::try_from(left).unwrap_or(u32::MAX) })
        }
    }
}

/// Forgets the tries of an account that logged in; those of its address are kept but for this one.
pub async fn succeeded(store: &Store, attempt: &Try<'_>) -> Result<()> {
    let names: Vec<String> = attempt.keys().into_iter().map(|(key, _)| key).collect();
    Ok(login_tries::forgive(&Actor::service(), store, &names).await?)
}

#[cfg(test)]
mod tests {
    use super::{Device, DeviceKey, Try, place};

    #[test]
    fn a_mark_is_of_one_account_and_one_installation() {
        let (key, other) = (DeviceKey::new(&[1; 32]), DeviceKey::new(&[2; 32]));
        let mark = Device::new(&key, "Ada");
        assert!(Device::read(&key, "ada ", mark.as_str()).is_some(), "a name is the same name in capitals");
        assert!(Device::read(&other, "ada", mark.as_str()).is_none());
        assert!(Device::read(&key, "bob", mark.as_str()).is_none());
        for wrong in ["", ".", "a.b", &mark.as_str()[1..], &"x".repeat(500)] {
            assert!(Device::read(&key, "ada", wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_counted_together() {
        let of = |login, ip: &str| Try { login, ip: Some(ip.parse().unwrap()), device: None }.keys();
        assert_eq!(of("Ada", "192.0.2.1"), of(" ada", "192.0.2.1"));
        assert_ne!(of("ada", "192.0.2.1")[0], of("ada", "192.0.2.2")[0]);
        assert_eq!(of("ada", "192.0.2.1")[2], of("ada", "192.0.2.2")[2]);
        assert_eq!(place(Some("2001:db8::1".parse().unwrap())), place(Some("2001:db8::ffff:1".parse().unwrap())));
        let mark = Device::new(&DeviceKey::new(&[1; 32]), "ada");
        let marked = Try { login: "ada", ip: None, device: Some(&mark) }.keys();
        assert!(
            marked.iter().all(|key| !of("ada", "192.0.2.1").contains(key)),
            "a marked browser is counted by itself"
        );
    }
}
