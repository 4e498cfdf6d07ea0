//! `notification_channels`: by which ways people are told beside the web, with sealed credentials.

use serde_json::Value as Json;

use crate::{Actor, Result, Run, statement::statements, value::row};

row! {
    /// A way, as an administrator sees it.
    pub struct Channel {
        /// `email`, `push` or `sms`.
        pub channel: String,
        /// Where and how.
        pub config: Json,
        /// Whether it is used.
        pub is_active: bool,
    }
}
row! {
    /// A way with its sealed credentials.
    pub struct Way {
        /// `email`, `push` or `sms`.
        pub channel: String,
        /// Where and how.
        pub config: Json,
        /// Sealed.
        pub secret: Option<Json>,
    }
}

statements! {
    PUT: Channel = "notification_channels/put";
    LIST: Channel = "notification_channels/list";
    SECRETS: Way = "notification_channels/secrets";
    DELETE: Channel = "notification_channels/delete";
}

/// Sets a way up, or anew. For an administrator.
pub async fn put(actor: &Actor, on: impl Run, channel: &str, config: Json, secret: Option<Json>) -> Result<bool> {
    Ok(on.execute(actor, &PUT, vec![channel.into(), config.into(), secret.into()]).await? > 0)
}

/// The ways the actor may see.
pub async fn list(actor: &Actor, on: impl Run) -> Result<Vec<Channel>> {
    on.list(actor, &LIST, Vec::new()).await
}

/// The ways in use, with their sealed credentials. For Steward itself only.
pub async fn ways(actor: &Actor, on: impl Run) -> Result<Vec<Way>> {
    on.list(actor, &SECRETS, Vec::new()).await
}

/// Takes a way away. False: there is none, or not allowed.
pub async fn delete(actor: &Actor, on: impl Run, channel: &str) -> Result<bool> {
    Ok(on.execute(actor, &DELETE, vec![channel.into()]).await? > 0)
}
