//! What the web needs of the rest of the program, and does not know itself.

use domain::{Error, brain::limits::Limits};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Actor, BoxFuture, Store, Vault, watchers::Watcher};
use utoipa::ToSchema;

/// A watcher's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it watches: `folder`, `imap` …
    pub watcher_type: String,
    /// What its kind needs, without secrets.
    pub config: Value,
    /// Passwords and tokens, in clear.
    pub credentials: Option<Value>,
    /// Whether its maker may have it reach into the private net.
    pub may_reach_private: bool,
}

/// What a watcher would make a task of.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Preview {
    /// The task's title.
    pub title: String,
    /// Its description.
    pub description: Option<String>,
    /// Where it was seen.
    pub source: String,
    /// Files that would hang on it.
    pub files: Vec<String>,
}

/// A language model that is set up.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ModelEntry {
    /// Its name in the settings.
    pub name: String,
    /// Whose it is: `anthropic`, `openai`, `gemini` or `ollama`.
    pub provider: String,
    /// The provider's name of it.
    pub model: String,
    /// Where it is asked, where that is not the provider's usual place.
    pub url: Option<String>,
    /// What it is used for: `default`, `fallback`, or a kind of task.
    pub used_for: Vec<String>,
    /// Tokens of question and answer together.
    pub window_tokens: u64,
    /// US dollars for a million tokens read.
    pub input_usd_per_mtok: f64,
    /// US dollars for a million tokens written.
    pub output_usd_per_mtok: f64,
}

/// The language models and what they may use up.
#[derive(Debug, Clone)]
pub struct Models {
    /// Those that are set up; none where nobody described any.
    pub entries: Vec<ModelEntry>,
    /// What work may use up.
    pub limits: Limits,
    /// Where they are described.
    pub file: String,
}

/// How a test of telling ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It went out.
    Sent,
    /// It is still being tried.
    UnderWay,
    /// It did not go out, and why.
    Failed(String),
}

/// How backups stand.
#[derive(Debug, Clone)]
pub struct Backups {
    /// Where they are kept, without secrets.
    pub place: String,
    /// Who can open them.
    pub sealed_for: String,
    /// How many are kept, in words.
    pub keeps: String,
    /// What was seen at the place; none where it has not answered yet.
    pub seen: Option<Seen>,
}

/// What was seen at the place of the backups.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was looked.
    pub at: Timestamp,
    /// Whole backups, newest first; none where the place could not be looked at, which is an alarm.
    pub bundles: Option<Vec<Bundle>>,
    /// Ones that can't be used, with why.
    pub unusable: Vec<(String, String)>,
    /// The newest moment that comes back if this machine is lost.
    pub newest: Option<Timestamp>,
    /// What is as it should be, in words.
    pub well: Vec<String>,
    /// What is wrong or soon will be, with what to do.
    pub alarms: Vec<String>,
}

/// A backup.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its id.
    pub id: String,
    /// The moment it stands for.
    pub as_of: Timestamp,
    /// Bytes at the place, without attachments, which all share.
    pub size_bytes: u64,
    /// Whether moments after it come back from it too.
    pub has_log: bool,
    /// The schema's version.
    pub schema_version: i32,
}

/// One thing that was looked at, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is, in a word or two.
    pub what: String,
    /// `well`, `note`, `warning` or `wrong`.
    pub state: &'static str,
    /// How it stands.
    pub said: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What other parts of the program do for the web.
pub trait Hands: std::fmt::Debug + Send + Sync {
    /// Refuses settings that a watcher of this kind can't use, or a kind that there is not. Blocks for no longer than a
    /// look at the disk. `kept` are the names of playbooks that are kept in the database and switched on.
    fn check_watcher(&self, settings: &Settings, kept: &[String]) -> domain::Result<()>;

    /// What a watcher would make tasks of now, at most `most`; nothing is changed.
    fn preview_watcher<'a>(
        &'a self,
        on: (&'a Store, &'a Vault),
        actor: &'a Actor,
        watcher: &'a Watcher,
        most: usize,
    ) -> BoxFuture<'a, domain::Result<Vec<Preview>>>;

    /// Sets a way up (`email`, `push` or `sms`), or anew as a whole.
    fn set_way<'a>(
        &'a self,
        on: (&'a Store, &'a Vault),
        actor: &'a Actor,
        channel: &'a str,
        config: Value,
        secret: Option<Value>,
    ) -> BoxFuture<'a, domain::Result<()>>;

    /// Sends the actor a test by `email`, `push` or `sms`, and answers what became of it.
    fn test_way<'a>(
        &'a self,
        on: (&'a Store, &'a Vault),
        actor: &'a Actor,
        channel: &'a str,
    ) -> BoxFuture<'a, domain::Result<Told>>;

    /// The whole path of a folder on this machine; `~` is the home of whoever runs Steward. One that is missing is made where
    /// it lies below that home, and refused elsewhere. Blocks for no longer than a look at the disk.
    fn folder(&self, path: &str) -> domain::Result<String>;

    /// The language models that are set up.
    fn models(&self) -> Models;

    /// How backups stand, as far as it could be seen within a few seconds; none where nobody here keeps any.
    fn backups(&self) -> BoxFuture<'static, Option<Backups>> {
        Box::pin(std::future::ready(None))
    }

    /// Looks at everything Steward stands on, which takes seconds; none where nobody here can.
    fn look(&self) -> BoxFuture<'static, domain::Result<Option<Vec<Finding>>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// A new key for pushes to browsers.
    fn make_push_key(&self) -> domain::Result<SecretString> {
        Err(no_browsers())
    }

    /// The public half of such a key, as a browser wants it.
    fn push_public(&self, _key: &SecretString) -> domain::Result<String> {
        Err(no_browsers())
    }

    /// Refuses what no browser gives when it asks to be told, and answers its address.
    fn check_browser(&self, _browser: &Value) -> domain::Result<String> {
        Err(no_browsers())
    }
}

fn no_browsers() -> Error {
    Error::Conflict("this Steward tells no browsers".to_owned())
}
