//! `notifications`: what people are told.

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{Scalar, page, row},
};

row! {
    /// Something a person is told.
    pub struct Notification {
        /// Id.
        pub id: Uuid,
        /// Who is told.
        pub user_id: Option<Uuid>,
        /// In a few words.
        pub title: String,
        /// In full.
        pub message: Option<String>,
        /// `alert`, `approval`, `status`, `error` or `info`.
        pub r#type: String,
        /// `low`, `normal`, `high` …
        pub priority: String,
        /// `unread`, `read` or `archived`.
        pub status: String,
        /// What it is about: `task_id`, `approval_id` …
        pub data: Option<Json>,
        /// When read.
        pub read_at: Option<Timestamp>,
        /// When delivered; on the web at once.
        pub sent_at: Option<Timestamp>,
        /// When made.
        pub created_at: Timestamp,
        /// Not before.
        pub scheduled_for: Option<Timestamp>,
        /// `web`, `email`, `push` or `sms`.
        pub channel: String,
    }
}

/// A notification to be made.
#[derive(Debug, Clone)]
pub struct NewNotification {
    /// Who is told.
    pub user_id: Uuid,
    /// In a few words; cut to 255 characters.
    pub title: String,
    /// In full.
    pub message: Option<String>,
    /// `alert`, `approval`, `status`, `error` or `info`.
    pub r#type: &'static str,
    /// What it is about.
    pub data: Json,
}

statements! {
    CREATE: Notification = "notifications/create";
    LIST: Notification = "notifications/list";
    LIST_STATUS: Notification = "notifications/list_status";
    SET_STATUS: Notification = "notifications/set_status";
    UNREAD: Scalar<i64> = "notifications/unread";
}

/// Tells somebody on the web, at once.
pub async fn create(actor: &Actor, on: impl Run, new: &NewNotification) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let title: String = new.title.chars().take(255).collect();
    let params = vec![
        id.into(),
        new.user_id.into(),
        title.into(),
        new.message.clone().into(),
        new.r#type.into(),
        "normal".into(),
        new.data.clone().into(),
        "web".into(),
        None::<Timestamp>.into(),
        crate::now().into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// The actor's own notifications that are due, newest first.
pub async fn list(actor: &Actor, on: impl Run, status: Option<&str>, limit: i64) -> Result<Vec<Notification>> {
    match status {
        Some(status) => on.list(actor, &LIST_STATUS, vec![page(limit), status.into()]).await,
        None => on.list(actor, &LIST, vec![page(limit)]).await,
    }
}

/// How many of the actor's own are due and unread, counted up to `most` (1–1000).
pub async fn unread(actor: &Actor, on: impl Run, most: i64) -> Result<i64> {
    Ok(on.one::<Scalar<i64>>(actor, &UNREAD, vec![page(most)]).await?.0)
}

/// Marks one of the actor's own as `unread`, `read` or `archived`. False: none such.
pub async fn set_status(actor: &Actor, on: impl Run, id: Uuid, status: &str) -> Result<bool> {
    Ok(on.execute(actor, &SET_STATUS, vec![id.into(), status.into()]).await? > 0)
}
