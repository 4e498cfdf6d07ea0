//! Telling somebody something once, whoever says it and however often.

use jiff::Timestamp;
use serde_json::Value as Json;
use store::{
    Actor, Store,
    notifications::{self, Notification},
};
use uuid::Uuid;

use crate::{Error, Result};

/// Characters of a message.
const MOST_CHARS: usize = 16_000;

/// What is told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Whom.
    pub(crate) user_id: Uuid,
    /// In a few words.
    pub(crate) title: String,
    /// In full.
    pub(crate) message: String,
    /// `alert`, `status` …
    pub(crate) kind: &'static str,
    /// `low` to `critical`.
    pub(crate) priority: &'static str,
    /// What it is about.
    pub(crate) data: Option<Json>,
}

/// Tells it under an id that is the same for the same thing. False: it was told before, here or on another node.
pub(crate) async fn told_once(store: &Store, id: Uuid, told: Told, now: Timestamp) -> Result<bool> {
    let whole = Notification {
        id,
        user_id: Some(told.user_id),
        title: told.title.chars().take(255).collect(),
        message: Some(told.message.chars().take(MOST_CHARS).collect()),
        r#type: told.kind.to_owned(),
        priority: told.priority.to_owned(),
        status: "unread".to_owned(),
        data: told.data,
        read_at: None,
        sent_at: None,
        created_at: now,
        scheduled_for: None,
        channel: "web".to_owned(),
    };
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let service = Actor::service();
                let is_new = notifications::put_copy(&service, tx, id, "web", &whole, None).await?;
                if is_new {
                    // On the web it is delivered as it is written.
                    notifications::sent(&service, tx, id).await?;
                }
                Ok::<_, Error>(is_new)
            })
        })
        .await
}
