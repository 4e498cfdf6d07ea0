//! `master_key`: which key the database is sealed with, by its fingerprint. For Steward itself.

use jiff::Timestamp;

use crate::{Actor, Result, Run, statement::statements, value::row};

row! {
    /// The key that seals.
    pub struct MasterKey {
        /// Says which key it is and nothing of it: 16 hexadecimal digits.
        pub fingerprint: String,
        /// Since when it seals.
        pub since: Timestamp,
    }
}

statements! {
    GET: MasterKey = "master_key/get";
    PUT: MasterKey = "master_key/put";
}

/// The key that the database is sealed with; none before the first was noted.
pub async fn get(actor: &Actor, on: impl Run) -> Result<Option<MasterKey>> {
    on.optional(actor, &GET, Vec::new()).await
}

/// Notes that another key seals from now on.
pub async fn put(actor: &Actor, on: impl Run, fingerprint: &str) -> Result<bool> {
    Ok(on.execute(actor, &PUT, vec![fingerprint.into()]).await? > 0)
}
