//! The second factor: six digits that an authenticator app makes of a shared secret and the time (TOTP, RFC 6238), and
//! recovery codes for the day the app is lost. A code is taken once.

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, RngCore};
use ring::hmac;
use serde::Serialize;
use serde_json::json;
use store::{Actor, Store, Vault, sealed::Purpose, second_factors, users};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{
    Error, Result,
    accounts::as_service,
    guessing::{self, DeviceKey},
    playbook::sha256_hex,
};

/// A code is of this many seconds …
const STEP_S: i64 = 30;
/// … and of those before and after, for clocks differ.
const DRIFT_STEPS: i64 = 1;
/// Bytes of a secret: as many as SHA-1 gives.
const SECRET_BYTES: usize = 20;
/// Recovery codes of a user.
const CODES: usize = 10;
/// How long one has for the code after the password.
const CHALLENGE: SignedDuration = SignedDuration::from_mins(5);
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The code of a step (RFC 4226 over the number of steps since 1970).
fn code_of(secret: &[u8], step: i64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let mac = mac.as_ref();
    let place = usize::from(mac.last().copied().unwrap_or_default() & 0xf);
    let four = mac.get(place..place + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).unwrap_or_default();
    (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000
}

/// The step whose code this is, about now; compared without telling by the time it takes.
fn step_of(secret: &[u8], code: &str, now: Timestamp) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let present = now.as_second().div_euclid(STEP_S);
    (present - DRIFT_STEPS..=present + DRIFT_STEPS).fold(None, |found, step| {
        let right = format!("{:06}", code_of(secret, step));
        if bool::from(right.as_bytes().ct_eq(code.as_bytes())) { Some(step) } else { found }
    })
}

fn base32(bytes: &[u8]) -> String {
    let bits = |at: usize| {
        (0..5).fold(0_usize, |value, bit| {
            let place = at * 5 + bit;
            let byte = bytes.get(place / 8).copied().unwrap_or_default();
            (value << 1) | usize::from((byte >> (7 - place % 8)) & 1)
        })
    };
    (0..(bytes.len() * 8).div_ceil(5)).map(|at| char::from(BASE32[bits(at)])).collect()
}

/// What an authenticator app is given; shown once.
#[derive(Clone, Serialize)]
pub struct Enrolment {
    /// The secret, in base 32, to be typed in.
    pub secret: String,
    /// The same as an address, for a picture that the app reads.
    pub uri: String,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enrolment").finish_non_exhaustive()
    }
}

/// How one's second factor stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// Whether a log-in asks for it.
    pub is_on: bool,
    /// Since when.
    pub confirmed_at: Option<Timestamp>,
    /// Recovery codes that are left.
    pub recovery_codes_left: i64,
}

/// How one's own second factor stands.
pub async fn state(store: &Store, actor: &Actor) -> Result<State> {
    let Some(me) = actor.user_id() else { return Err(Error::LogInRefused) };
    let confirmed_at = second_factors::get(actor, store, me).await?.and_then(|found| found.confirmed_at);
    let recovery_codes_left = second_factors::codes_left(&as_service(actor), store, me).await?;
    Ok(State { is_on: confirmed_at.is_some(), confirmed_at, recovery_codes_left })
}

/// Begins to give oneself a second factor; it counts once [`confirm`] saw a code of it.
pub async fn begin(store: &Store, vault: &Vault, actor: &Actor) -> Result<Enrolment> {
    let Some(me) = actor.user_id() else { return Err(Error::LogInRefused) };
    let account = users::account(actor, store, me).await?.ok_or(Error::LogInRefused)?;
    if account.is_agent {
        return Err(Error::Conflict("an agent never logs in, so it has no second factor".to_owned()));
    }
    let mut bytes = [0_u8; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let secret = base32(&bytes);
    let sealed = vault.seal_json(&Purpose::second_factor(me), &json!({ "totp": hex::encode(bytes) }))?;
    if !second_factors::begin(&as_service(actor), store, me, sealed).await? {
        return Err(Error::Conflict("there is a second factor already; take it away first".to_owned()));
    }
    let name: String = account.username.bytes().fold(String::new(), |mut out, b| {
        use std::fmt::Write;
        if b.is_ascii_alphanumeric() || b"._-".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing into a String does not fail.
            let _ = write!(out, "%{b:02X}");
        }
        out
    });
    let uri =
        format!("otpauth://totp/Steward:{name}?secret={secret}&issuer=Steward&algorithm=SHA1&digits=6&period={STEP_S}");
    Ok(Enrolment { secret, uri })
}

async fn secret(store: &Store, vault: &Vault, user_id: Uuid, is_confirmed: bool) -> Result<Option<Vec<u8>>> {
    let Some(found) = second_factors::secret(&Actor::service(), store, user_id, is_confirmed).await? else {
        return Ok(None);
    };
    let opened = vault.unseal_json(&Purpose::second_factor(user_id), &found.secret)?;
    let odd = || store::Error::Vault("a second factor's secret is not what was sealed".to_owned());
    let text = opened.get("totp").and_then(serde_json::Value::as_str).ok_or_else(odd)?;
    Ok(Some(hex::decode(text).map_err(|_| odd())?))
}

/// Confirms what [`begin`] began by a code of the app; answers the recovery codes, which are shown this once.
pub async fn confirm(store: &Store, vault: &Vault, actor: &Actor, code: &str) -> Result<Vec<String>> {
    let Some(me) = actor.user_id() else { return Err(Error::LogInRefused) };
    let secret = secret(store, vault, me, false)
        .await?
        .ok_or_else(|| Error::Conflict("there is no second factor to confirm; begin with one first".to_owned()))?;
    let step = step_of(&secret, code, store::now()).ok_or_else(|| {
        Error::invalid("code", "this is not the app's present code; look at its clock, and try the next one")
    })?;
    let (codes, hashes) = new_codes();
    let service = as_service(actor);
    store
        .transaction(move |tx| {
            Box::pin(async move {
                if !second_factors::confirm(&service, tx, me, step).await? {
                    return Err(Error::Conflict(
                        "it was confirmed or taken away in this moment; look again".to_owned(),
                    ));
                }
                Ok::<_, Error>(second_factors::set_codes(&service, tx, me, hashes).await?)
            })
        })
        .await?;
    Ok(codes)
}

/// Fresh recovery codes in place of all before; shown this once.
pub async fn renew_codes(store: &Store, actor: &Actor) -> Result<Vec<String>> {
    if !state(store, actor).await?.is_on {
        return Err(Error::Conflict("there is no second factor to recover".to_owned()));
    }
    let Some(me) = actor.user_id() else { return Err(Error::LogInRefused) };
    let (codes, hashes) = new_codes();
    let service = as_service(actor);
    store
        .transaction(move |tx| {
            Box::pin(async move { Ok::<_, Error>(second_factors::set_codes(&service, tx, me, hashes).await?) })
        })
        .await?;
    Ok(codes)
}

/// Codes of 80 bits, in four groups, and their hashes.
fn new_codes() -> (Vec<String>, Vec<String>) {
    let code = || {
        let text: String = (0..16).map(|_| char::from(BASE32[rand::rng().random_range(0..32)])).collect();
        format!("{}-{}-{}-{}", &text[..4], &text[4..8], &text[8..12], &text[12..])
    };
    let codes: Vec<String> = (0..CODES).map(|_| code()).collect();
    let hashes = codes.iter().map(|code| sha256_hex(&plain(code))).collect();
    (codes, hashes)
}

fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase()
}

/// Takes a second factor away: one's own, or for a user administrator that of somebody who lost it.
pub async fn remove(store: &Store, actor: &Actor, user_id: Uuid) -> Result<()> {
    if second_factors::remove(actor, store, user_id).await? {
        Ok(())
    } else {
        Err(Error::NotFound("second factor".to_owned()))
    }
}

/// Whether a log-in of this user needs a code.
pub async fn is_on(store: &Store, user_id: Uuid) -> Result<bool> {
    Ok(second_factors::secret(&Actor::service(), store, user_id, true).await?.is_some())
}

/// Checks a code of the app, or a recovery code, and uses it up. Tries are few: a code is short.
pub async fn check(store: &Store, vault: &Vault, user_id: Uuid, code: &str) -> Result<()> {
    guessing::begin_code(store, user_id).await?;
    let service = Actor::service();
    let taken = match secret(store, vault, user_id, true).await? {
        None => false,
        Some(secret) => match step_of(&secret, code, store::now()) {
            Some(step) => second_factors::take_step(&service, store, user_id, step).await?,
            None => second_factors::take_code(&service, store, user_id, &sha256_hex(&plain(code))).await?,
        },
    };
    if !taken {
        return Err(Error::invalid(
            "code",
            "this code is wrong, too old or used; try the next one, or a recovery code",
        ));
    }
    guessing::code_succeeded(store, user_id).await
}

/// What shows that the password was right, until the code follows: five minutes long.
pub fn challenge(key: &DeviceKey, user_id: Uuid) -> String {
    let ends = (store::now() + CHALLENGE).as_second();
    let claim = format!("{user_id}.{ends}");
    format!("{claim}.{}", key.proof("second factor", &claim))
}

/// Whose password was right, if that was shown in time.
pub fn challenged(key: &DeviceKey, text: &str) -> Option<Uuid> {
    let (claim, proof) = text.rsplit_once('.').filter(|_| text.len() <= 200)?;
    let (user_id, ends) = claim.split_once('.')?;
    let in_time = ends.parse().is_ok_and(|ends: i64| store::now().as_second() < ends);
    (in_time && key.proves("second factor", claim, proof)).then(|| user_id.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{STEP_S, base32, code_of, new_codes, plain, step_of};

    #[test]
    fn codes_are_as_rfc_6238_says() {
        // The last six of the eight digits in its appendix B.
        for (second, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            assert_eq!(code_of(b"12345678901234567890", second / STEP_S), code, "{second}");
        }
    }

    #[test]
    fn a_code_is_of_its_time() {
        let (secret, at) = (b"12345678901234567890", |s| Timestamp::from_second(s).unwrap());
        assert_eq!(step_of(secret, "287082", at(59)), Some(1));
        assert_eq!(step_of(secret, " 287 082 ", at(59 + 30)), Some(1));
        assert_eq!(step_of(secret, "287082", at(59 + 61)), None, "too old");
        for wrong in ["", "28708", "2870820", "000000", "२८७०८२"] {
            assert_eq!(step_of(secret, wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn base_32_is_as_rfc_4648_says() {
        for (bytes, text) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn recovery_codes_differ_and_are_read_as_they_are_typed() {
        let (codes, hashes) = new_codes();
        assert_eq!(codes.iter().collect::<std::collections::BTreeSet<_>>().len(), 10);
        assert_eq!(plain(&codes[0].to_lowercase().replace('-', " ")).len(), 16);
        assert_eq!(crate::playbook::sha256_hex(&plain(&codes[0].to_lowercase())), hashes[0]);
    }
}
