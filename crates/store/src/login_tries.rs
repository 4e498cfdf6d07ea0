//! `login_tries`: how often log-ins were tried of late. For Steward itself alone.

use jiff::Timestamp;

use crate::{Actor, Result, Run, statement::statements, value::row};

row! {
    /// A count.
    pub struct Tries {
        /// What is counted: a SHA-256 in hex.
        pub key: String,
        /// How many, this one included.
        pub tries: i32,
        /// Since when.
        pub since: Timestamp,
    }
}

statements! {
    NOTE: Tries = "login_tries/note" split;
    FORGIVE: Tries = "login_tries/forgive";
    PRUNE: Tries = "login_tries/prune";
}

/// Counts a try under each key (at most eight) and answers the counts; one that began before `since` begins anew. What is
/// that old goes.
pub async fn note(actor: &Actor, on: impl Run, keys: &[String], since: Timestamp) -> Result<Vec<Tries>> {
    on.execute(actor, &PRUNE, vec![since.into()]).await?;
    on.list(actor, &NOTE, vec![keys.to_vec().into(), since.into()]).await
}

/// Takes the last try back under each key: it was none.
pub async fn forgive(actor: &Actor, on: impl Run, keys: &[String]) -> Result<()> {
    on.execute(actor, &FORGIVE, vec![keys.to_vec().into()]).await.map(drop)
}
