//! The settings that all polling watchers share, and reading each kind's own.

use outside::{Result, Trouble, address::Reach};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

/// The names of the shared ones.
const SHARED: &[&str] = &[
    "playbook",
    "assign_to",
    "priority",
    "kind",
    "every_s",
    "silent_after_h",
    "allow_private",
    domain::watchers::CREDENTIALS,
];
/// Seconds between two looks at least …
const SOONEST_S: u64 = 5;
/// … and at most.
const LATEST_S: u64 = 7 * 24 * 3600;

/// What all kinds share.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Common {
    /// The playbook that does the work.
    pub playbook: Option<String>,
    /// Whose task it is; the employee's where it is left out.
    pub assign_to: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    pub priority: Option<String>,
    /// The tasks' kind, by which a model is chosen.
    pub kind: Option<String>,
    /// Seconds between two looks.
    pub every_s: Option<u64>,
    /// Hosts that may be reached although they are not public.
    pub allow_private: Vec<String>,
}

impl Common {
    /// What may be reached.
    pub(super) fn reach(&self, may_reach_private: bool) -> Reach {
        if may_reach_private { Reach::with(self.allow_private.iter().cloned()) } else { Reach::public() }
    }
}

/// The shared settings, and what is left for the kind.
pub(super) fn split(config: &Json) -> Result<(Common, Json)> {
    let object = config
        .as_object()
        .ok_or_else(|| Trouble::lasting("the settings must be a JSON object, such as {\"playbook\": \"…\"}"))?;
    let (shared, own): (Map<String, Json>, Map<String, Json>) =
        object.clone().into_iter().partition(|(name, _)| SHARED.contains(&name.as_str()));
    let common: Common = serde_json::from_value(Json::Object(shared)).map_err(|e| wrong(&e))?;
    if common.playbook.is_none() && common.assign_to.is_none() {
        return Err(Trouble::lasting("say who does the work: a playbook, or a person in assign_to"));
    }
    if common.every_s.is_some_and(|s| !(SOONEST_S..=LATEST_S).contains(&s)) {
        return Err(Trouble::lasting(format!("every_s must be from {SOONEST_S} to {LATEST_S} seconds")));
    }
    if let Some(kind) = &common.kind {
        domain::tasks::check_kind(kind).map_err(|e| Trouble::lasting(e.to_string()))?;
    }
    if let Some(priority) = &common.priority
        && !["low", "medium", "high", "critical"].contains(&priority.as_str())
    {
        return Err(Trouble::lasting(format!("priority must be low, medium, high or critical, not {priority:?}")));
    }
    Ok((common, Json::Object(own)))
}

/// A kind's own settings.
pub(super) fn read<T: DeserializeOwned>(own: Json) -> Result<T> {
    serde_json::from_value(own).map_err(|e| wrong(&e))
}

fn wrong(e: &serde_json::Error) -> Trouble {
    Trouble::lasting(format!("the settings do not fit: {e}"))
}

/// A text among the credentials.
pub(super) fn secret(credentials: Option<&Json>, name: &str) -> Option<SecretString> {
    credentials?.get(name)?.as_str().map(|s| SecretString::from(s.to_owned()))
}

/// The headers that credentials for HTTP make: `token`, `user` with `password`, or `headers`.
pub(super) fn headers(credentials: Option<&Json>) -> Result<Vec<(String, String)>> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let Some(credentials) = credentials else { return Ok(Vec::new()) };
    let text = |name: &str| credentials.get(name).and_then(Json::as_str);
    let mut headers = Vec::new();
    if let Some(token) = text("token") {
        headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    if let (Some(user), Some(password)) = (text("user"), text("password")) {
        headers.push(("authorization".to_owned(), format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))));
    }
    for (name, value) in credentials.get("headers").and_then(Json::as_object).into_iter().flatten() {
        let value = value.as_str().ok_or_else(|| Trouble::lasting("headers among the credentials must be texts"))?;
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    if headers.is_empty() {
        return Err(Trouble::lasting("the credentials need a token, a user with a password, or headers"));
    }
    Ok(headers)
}
