//! What the web needs of the rest of the program, and does not know itself.

use serde_json::Value;

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

/// What other parts of the program do for the web.
pub trait Hands: std::fmt::Debug + Send + Sync {
    /// Refuses settings that a watcher of this kind can't use, or a kind that there is not. Blocks for no longer than a
    /// look at the disk.
    fn check_watcher(&self, settings: &Settings) -> domain::Result<()>;
}
