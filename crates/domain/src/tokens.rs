//! API tokens: made once and shown once, kept as a hash, bounded by scopes and time. A token acts as its owner, so it
//! never reaches further than its owner does; its scopes narrow that.

use jiff::SignedDuration;
use rand::{Rng, distr::Alphanumeric};
use store::{
    Actor, Store,
    api_tokens::{self, ApiToken, NewApiToken},
    cache::Use,
    sessions::{self, Session},
};
use uuid::Uuid;

use crate::{Error, Result, playbook::sha256_hex};

/// What every token begins with, so that scanners for leaked secrets, and our own log, know it at sight.
pub const PREFIX: &str = "stw_";
/// Random characters of a token: 256 bits …
const BODY_CHARS: usize = 43;
/// … and a checksum, by which a slip of the pen is known without asking the database.
const CHECK_CHARS: usize = 6;
/// The longest a token may last, in days.
pub const MAX_DAYS: u32 = 366;
/// Tokens of one user that may be valid at once.
pub const MAX_TOKENS: usize = 50;

/// How far a token reaches. What no scope speaks of (sessions, tokens, passwords) is for people who are logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// See what the owner may see.
    Read,
    /// Make and change tasks, their files, runs and requests for approval.
    Tasks,
    /// Decide approvals; never in an agent's token.
    Decide,
    /// Mark notifications as read.
    Notifications,
    /// Write lines to the log.
    Logs,
    /// Make and change watchers.
    Watchers,
    /// Make and change servers, and approve their tools.
    Servers,
    /// Make and change rules and playbooks.
    Policies,
    /// Make and change users.
    Users,
    /// Schedules, backups and what else an administrator runs.
    System,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Tasks,
        Self::Decide,
        Self::Notifications,
        Self::Logs,
        Self::Watchers,
        Self::Servers,
        Self::Policies,
        Self::Users,
        Self::System,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Tasks => "tasks",
            Self::Decide => "decide",
            Self::Notifications => "notifications",
            Self::Logs => "logs",
            Self::Watchers => "watchers",
            Self::Servers => "servers",
            Self::Policies => "policies",
            Self::Users => "users",
            Self::System => "system",
        }
    }

    /// Whether a session reaches so far: the log-in of a person does, a token where its scopes say so and, for
    /// deciding, its owner is a person.
    pub fn is_held_by(self, session: &Session) -> bool {
        let Some(scopes) = &session.scopes else { return true };
        scopes.iter().any(|s| s == self.as_str()) && !(self == Self::Decide && session.is_agent)
    }
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// As whom it acts: oneself (None), or for a user administrator an agent.
    pub user_id: Option<Uuid>,
    /// What it is for, 1–100 characters.
    pub name: String,
    /// Words of [`Scope`], 1–10.
    pub scopes: Vec<String>,
    /// How long it lasts, 1 to [`MAX_DAYS`] days.
    pub days: u32,
}

fn check_of(body: &str) -> String {
    sha256_hex(body).chars().take(CHECK_CHARS).collect()
}

/// A fresh token: `stw_`, 43 random letters and digits, and six of a checksum.
fn mint() -> String {
    let body: String = rand::rng().sample_iter(Alphanumeric).take(BODY_CHARS).map(char::from).collect();
    format!("{PREFIX}{body}{}", check_of(&body))
}

/// Whether a text has the form of a token, checksum included.
pub fn is_well_formed(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    rest.len() == BODY_CHARS + CHECK_CHARS
        && rest.bytes().all(|b| b.is_ascii_alphanumeric())
        && rest.split_at_checked(BODY_CHARS).is_some_and(|(body, check)| check_of(body) == check)
}

/// Makes a token, and answers it with its row. It is shown this once.
pub async fn create(store: &Store, actor: &Actor, new: NewToken) -> Result<(String, ApiToken)> {
    let name = new.name.trim();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", "a token needs a name of 1 to 100 characters, which says what it is for"));
    }
    let scopes = scopes_of(&new.scopes)?;
    if !(1..=MAX_DAYS).contains(&new.days) {
        return Err(Error::invalid("days", format!("a token lasts from 1 to {MAX_DAYS} days, not {}", new.days)));
    }
    let refused = || Error::from(store::Error::Refused { what: "api_tokens".to_owned() });
    let user_id = new.user_id.or(actor.user_id()).ok_or_else(refused)?;
    let token = mint();
    let row = NewApiToken {
        user_id,
        name: name.to_owned(),
        token_sha256: sha256_hex(&token),
        hint: token.chars().skip(token.len() - 4).collect(),
        scopes,
        expires_at: store::now() + SignedDuration::from_hours(24 * i64::from(new.days)),
    };
    let actor = actor.clone();
    let made = store
        .transaction(move |tx| {
            Box::pin(async move {
                let limit = i64::try_from(MAX_TOKENS).unwrap_or(i64::MAX);
                if api_tokens::list(&actor, tx, Some(user_id), false, limit).await?.len() >= MAX_TOKENS {
                    return Err(Error::Conflict(format!(
                        "there are {MAX_TOKENS} valid tokens already; revoke one that is not needed any more"
                    )));
                }
                let id = api_tokens::create(&actor, tx, &row).await?;
                api_tokens::get(&actor, tx, id).await?.ok_or_else(refused)
            })
        })
        .await?;
    Ok((token, made))
}

/// The words, each once and in the order of [`Scope::ALL`].
fn scopes_of(words: &[String]) -> Result<Vec<String>> {
    let known = || Scope::ALL.map(Scope::as_str).join(", ");
    if let Some(unknown) = words.iter().find(|w| !Scope::ALL.iter().any(|s| s.as_str() == w.as_str())) {
        let unknown: String = unknown.chars().take(40).collect();
        return Err(Error::invalid("scopes", format!("there is no scope {unknown:?}; there are: {}", known())));
    }
    let scopes: Vec<String> =
        Scope::ALL.iter().map(|s| s.as_str()).filter(|s| words.iter().any(|w| w == s)).map(str::to_owned).collect();
    if scopes.is_empty() {
        return Err(Error::invalid("scopes", format!("a token needs at least one scope: {}", known())));
    }
    Ok(scopes)
}

/// Revokes a token of one's own, or for a user administrator anybody's.
pub async fn revoke(store: &Store, actor: &Actor, id: Uuid) -> Result<()> {
    if api_tokens::revoke(actor, store, id).await? {
        return Ok(());
    }
    match api_tokens::get(actor, store, id).await? {
        Some(_) => Err(Error::Conflict("this token was revoked before".to_owned())),
        None => Err(Error::NotFound(format!("token {id}"))),
    }
}

/// What a token lets do, if it is valid; its use is noted at most once a minute.
pub async fn valid(store: &Store, token: &str) -> Result<Option<Session>> {
    if !is_well_formed(token) {
        return Ok(None);
    }
    let (service, token_sha256) = (Actor::service(), sha256_hex(token));
    let Some(session) = api_tokens::valid(&service, store, &token_sha256).await? else { return Ok(None) };
    let (now, is_unused) = (store::now(), session.last_accessed == session.created_at);
    if is_unused || now.duration_since(session.last_accessed) > SignedDuration::from_secs(60) {
        let used =
            Use { session_id: session.id, token_sha256, at: now, expires_at: session.expires_at, is_token: true };
        sessions::note_use(&service, store, &session, used).await?;
    }
    Ok(Some(session))
}

#[cfg(test)]
mod tests {
    use super::{PREFIX, Scope, is_well_formed, mint, scopes_of};

    #[test]
    fn a_token_is_known_by_its_form() {
        let token = mint();
        assert!(is_well_formed(&token), "{token}");
        assert_ne!(token, mint());
        let redacted = crate::redact::text(&token);
        assert_eq!(redacted, "stw_[redacted]");
        let slip = format!("{}{}", &token[..token.len() - 1], if token.ends_with('0') { '1' } else { '0' });
        for wrong in [slip.as_str(), PREFIX, "", &token[1..], "stw_é", &format!("{token}0")] {
            assert!(!is_well_formed(wrong), "{wrong}");
        }
    }

    #[test]
    fn scopes_are_words_that_exist() {
        let words = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(scopes_of(&words(&["tasks", "read", "read"])).unwrap(), ["read", "tasks"]);
        let all = words(&Scope::ALL.map(Scope::as_str));
        assert_eq!(scopes_of(&all).unwrap(), all);
        assert!(scopes_of(&[]).is_err());
        assert!(scopes_of(&words(&["read", "everything"])).unwrap_err().to_string().contains("everything"));
    }
}
