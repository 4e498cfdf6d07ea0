//! Which passwords are taken (NIST 800-63B): long ones, of any characters, that nobody guesses first. No rule asks for
//! kinds of characters, and none makes a password expire.

use std::{
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::{SaltString, rand_core::OsRng},
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use crate::{Error, Result};

/// Characters at least, for a password may be all that guards an account.
pub const MIN_CHARS: usize = 15;
/// Characters at most.
pub const MAX_CHARS: usize = 1000;
/// What remains of a password without common words, sequences and the account's own names has at least so many.
const OWN_CHARS: usize = 6;

/// A list of passwords that became known elsewhere, by the SHA-1 of each (in which such lists are given out).
pub trait KnownPasswords: Send + Sync {
    /// Whether a password is on the list. Blocking. An error is a sentence that says what is wrong with the list.
    fn holds(&self, sha1: &[u8]) -> Result<bool, String>;
}

static KNOWN: OnceLock<Box<dyn KnownPasswords>> = OnceLock::new();

/// Has new passwords looked up in a list. False: there was one before, which stays.
pub fn look_up_in(list: Box<dyn KnownPasswords>) -> bool {
    KNOWN.set(list).is_ok()
}

/// Passwords hashed at once: each takes 19 MiB and a core.
static HASHING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));
/// How many wait for that; what comes beyond is refused rather than kept waiting.
static IN_LINE: AtomicUsize = AtomicUsize::new(0);
const LINE: usize = 64;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// The parameters OWASP gives for Argon2id: 19 MiB, two passes, one lane.
fn argon2() -> Argon2<'static> {
    #[cfg(test)]
    tests::HASHED.fetch_add(1, Ordering::SeqCst);
    let params = Params::new(19 * 1024, 2, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Counts whoever waits, for as long as it does.
struct InLine;
impl InLine {
    fn join() -> Option<Self> {
        let before = IN_LINE.fetch_add(1, Ordering::SeqCst);
        let me = Self;
        (before < LINE).then_some(me)
    }
}
impl Drop for InLine {
    fn drop(&mut self) {
        IN_LINE.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn hashing<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let busy = || Error::Store(store::Error::Busy("many passwords are being checked".to_owned()));
    let line = InLine::join().ok_or_else(busy)?;
    let permit = tokio::time::timeout(PATIENCE, Arc::clone(&HASHING).acquire_owned()).await;
    let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
    drop(line);
    // The place is held until the work is done, also where nobody waits for it any more.
    let work = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Store(store::Error::Busy(e.to_string())))?
}

/// The PHC string (Argon2id) of a password, after [`check`]; `names` are the account's own.
pub async fn hash_password(password: String, names: &[String]) -> Result<String> {
    let names = names.to_vec();
    hashing(move || {
        let password = normal(&password);
        check(&password, &names)?;
        let salt = SaltString::generate(&mut OsRng);
        argon2()
            .hash_password(password.as_bytes(), &salt)
            .map(|h| h.to_string())
            .map_err(|e| Error::invalid("password", format!("the password can't be hashed: {e}")))
    })
    .await
}

/// Whether a password is the one behind a hash. Without a hash as much work is done for nothing, so that the time
/// taken does not tell whether an account exists.
pub async fn verify_password(password: String, hash: Option<String>) -> Result<bool> {
    hashing(move || {
        let password = normal(&password);
        let parsed = hash.as_deref().and_then(|h| PasswordHash::new(h).ok());
        if let Some(parsed) = parsed {
            return Ok(argon2().verify_password(password.as_bytes(), &parsed).is_ok());
        }
        let salt = SaltString::generate(&mut OsRng);
        drop(argon2().hash_password(password.as_bytes(), &salt));
        Ok(false)
    })
    .await
}

/// Words that people take first; a password of nothing else is guessed at once.
const COMMON: [&str; 40] = [
    "passwort",
    "password",
    "passw0rd",
    "kennwort",
    "letmein",
    "welcome",
    "willkommen",
    "administrator",
    "admin",
    "steward",
    "secret",
    "geheim",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "dragon",
    "monkey",
    "master",
    "hello",
    "hallo",
    "login",
    "trustno1",
    "superman",
    "batman",
    "whatever",
    "changeme",
    "default",
    "test",
    "user",
    "root",
    "qwertz",
    "qwerty",
    "abc",
    "asdf",
    "zaq",
    "wsx",
    "the",
    "my",
];
/// Rows of keys and the like; a stretch of one (of four and more) counts as nothing.
const WALKS: [&str; 7] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
];
const STRETCH: usize = 4;

/// A password in one form, however it was typed (composed or decomposed accents, full-width letters).
pub fn normal(password: &str) -> String {
    password.nfkc().collect()
}

/// Refuses a password that is too short, too long or too easily guessed; `names` are the account's own. Blocking where
/// a list is looked up.
pub fn check(password: &str, names: &[String]) -> Result<()> {
    let refused = |message: String| Err(Error::invalid("password", message));
    let length = password.chars().count();
    if !(MIN_CHARS..=MAX_CHARS).contains(&length) {
        return refused(format!(
            "the password has {length} characters; it needs {MIN_CHARS} to {MAX_CHARS} (four or five words make a good one)"
        ));
    }
    if own_chars(password, names) < OWN_CHARS {
        return refused(
            "this password is guessed among the first: it is made of common words, sequences, repeats or your own name; take \
             four or five words that have nothing to do with each other"
                .to_owned(),
        );
    }
    let Some(list) = KNOWN.get() else { return Ok(()) };
    match list.holds(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()).as_ref()) {
        Ok(false) => Ok(()),
        Ok(true) => refused("this password became known in a theft of data elsewhere; take another one".to_owned()),
        // A list that can't be read must not keep everybody from setting a password.
        Err(reason) => {
            tracing::warn!(%reason, "a new password could not be looked up in the list of known passwords");
            Ok(())
        }
    }
}

/// How many characters are the password's own.
fn own_chars(password: &str, names: &[String]) -> usize {
    let mut text: String = password.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    // Punctuation and blanks count where there is much of them, for they may be all there is.
    let others = password.chars().filter(|c| !c.is_alphanumeric()).collect::<std::collections::BTreeSet<_>>().len();
    let names = names.iter().flat_map(|name| name.split(['@', '.', '_', '-'])).map(str::to_lowercase);
    let names: Vec<String> = names.filter(|name| name.chars().count() >= 3).collect();
    for word in names.iter().map(String::as_str).chain(COMMON) {
        text = text.replace(word, " ");
    }
    text = without_walks(&text);
    let kept: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
    others.min(OWN_CHARS) * usize::from(kept.is_empty()) + without_repeats(&kept)
}

/// The text without stretches of rows of keys, forwards or backwards.
fn without_walks(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut place = 0;
    while place < chars.len() {
        let longest = WALKS
            .iter()
            .flat_map(|walk| [walk.chars().collect::<Vec<_>>(), walk.chars().rev().collect()])
            .map(|walk| common_run(&chars[place..], &walk))
            .max()
            .unwrap_or(0);
        if longest >= STRETCH {
            out.push(' ');
            place += longest;
        } else {
            out.push(chars[place]);
            place += 1;
        }
    }
    out
}

/// How far `text` runs along `walk` from wherever its first character stands there.
fn common_run(text: &[char], walk: &[char]) -> usize {
    let Some(start) = text.first().and_then(|first| walk.iter().position(|c| c == first)) else { return 0 };
    text.iter().zip(&walk[start..]).take_while(|(a, b)| a == b).count()
}

/// The length without repeats: the shortest beginning of which the whole is made.
fn without_repeats(chars: &[char]) -> usize {
    (1..=chars.len())
        .find(|period| chars.iter().enumerate().all(|(place, c)| chars.get(place % period) == Some(c)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{argon2, check, hash_password, normal, verify_password};

    /// How often a password was hashed; each with the same parameters, and so the same work.
    pub(super) static HASHED: AtomicUsize = AtomicUsize::new(0);

    #[tokio::test]
    async fn as_much_is_hashed_for_an_account_that_there_is_not() {
        let hash = hash_password("four words are enough".to_owned(), &[]).await.unwrap();
        let expected = argon2().params().clone();
        assert!(hash.contains(&format!("m={},t={},p={}", expected.m_cost(), expected.t_cost(), expected.p_cost())));
        let work = async |hash: Option<&str>| {
            let before = HASHED.load(Ordering::SeqCst);
            let right = verify_password("not the password".to_owned(), hash.map(str::to_owned)).await.unwrap();
            (right, HASHED.load(Ordering::SeqCst) - before)
        };
        assert_eq!(work(Some(&hash)).await, (false, 1));
        assert_eq!(work(None).await, (false, 1), "nobody has this name");
        assert_eq!(work(Some("no hash")).await, (false, 1), "an account without a password");
    }

    fn says(password: &str) -> String {
        let names = ["ada".to_owned(), "ada.lovelace@example.org".to_owned()];
        check(password, &names).map_or_else(|e| e.to_string(), |()| String::new())
    }

    #[test]
    fn length_is_what_counts() {
        for good in [
            "correct horse battery staple",
            "four words are enough",
            "another long password",
            "Zwölf Boxkämpfer jagen",
            "日本語のながいあいことばです。ね",
            "kf83hdkw92hsx7q",
        ] {
            let said = says(good);
            assert!(said.is_empty(), "{good}: {said}");
        }
        assert!(says("short").contains("15 to 1000"));
        assert!(says("fourteen chars").contains("15 to 1000"));
        assert!(says(&"x y ".repeat(251)).contains("15 to 1000"));
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for bad in [
            "passwordpassword",
            "Password12345678",
            "PASSWORD!!!!!!!!",
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "xy9xy9xy9xy9xy9xy9",
            "123456789012345678",
            "qwertyuiopasdfghjkl",
            "lkjhgfdsapoiuytrewq",
            "1qaz2wsx3edc4rfv",
            "adalovelace12345",
            "AdaLovelace-Example",
            "stewardsteward123",
            "                ",
            "letmein letmein letmein",
        ] {
            let said = says(bad);
            assert!(said.contains("guessed") || said.contains("15 to"), "{bad}: {said:?}");
        }
    }

    #[test]
    fn one_password_has_one_form() {
        assert_eq!(normal("cafe\u{301}"), normal("caf\u{e9}"));
        assert_eq!(normal("ＡＢＣ"), "ABC");
    }
}
