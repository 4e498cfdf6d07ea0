//! `notifications`: what people are told.

use jiff::Timestamp;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    tasks::{Cursor, from_place},
    value::{Scalar, page as most_rows, row},
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
        #[schema(value_type = Option<Object>)]
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

/// Those that one statement of [`read_all`] marks.
const READ_AT_ONCE: u64 = 1000;

statements! {
    CREATE: Notification = "notifications/create";
    LIST: Notification = "notifications/list";
    LIST_STATUS: Notification = "notifications/list_status";
    SET_STATUS: Notification = "notifications/set_status";
    READ_ALL: Notification = "notifications/read_all";
    UNREAD: Scalar<i64> = "notifications/unread";
    GET: Notification = "notifications/get";
    SENT: Notification = "notifications/sent";
    LIST_WAYS: Notification = "notifications/list_ways";
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
        priority_of(new.r#type).into(),
        new.data.clone().into(),
        "web".into(),
        None::<Timestamp>.into(),
        crate::now().into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// How urgent a kind is where nobody says: what is wrong wakes people, what was done does not.
fn priority_of(kind: &str) -> &'static str {
    match kind {
        "alert" | "error" => "high",
        "info" | "status" => "low",
        _ => "normal",
    }
}

/// Puts one to be sent by another way than the web. The id makes it one however often it is put. False: it is there
/// already.
pub async fn put_copy(
    actor: &Actor,
    on: impl Run,
    id: Uuid,
    channel: &str,
    of: &Notification,
    not_before: Option<Timestamp>,
) -> Result<bool> {
    if get(actor, on, id).await?.is_some() {
        return Ok(false);
    }
    let params = vec![
        id.into(),
        of.user_id.into(),
        (&of.title).into(),
        of.message.clone().into(),
        of.r#type.as_str().into(),
        of.priority.as_str().into(),
        of.data.clone().into(),
        channel.into(),
        not_before.into(),
        None::<Timestamp>.into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(true)
}

/// One that the actor may see.
pub async fn get(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Notification>> {
    on.optional(actor, &GET, vec![id.into()]).await
}

/// Notes that one was delivered. For Steward itself only. False: it was noted before.
pub async fn sent(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &SENT, vec![id.into()]).await? > 0)
}

/// The actor's own that went or go out by other ways than the web, newest first.
pub async fn list_ways(actor: &Actor, on: impl Run, limit: i64) -> Result<Vec<Notification>> {
    on.list(actor, &LIST_WAYS, vec![most_rows(limit)]).await
}

/// The actor's own notifications that are due, newest first.
pub async fn list(actor: &Actor, on: impl Run, status: Option<&str>, limit: i64) -> Result<Vec<Notification>> {
    self::page(actor, on, status, None, limit).await
}

/// The same from a place on.
pub async fn page(
    actor: &Actor,
    on: impl Run,
    status: Option<&str>,
    cursor: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Notification>> {
    let mut params = from_place(cursor, limit);
    let statement = if let Some(status) = status {
        params.push(status.into());
        &LIST_STATUS
    } else {
        &LIST
    };
    on.list(actor, statement, params).await
}

/// How many of the actor's own are due and unread, counted up to `most` (1–1000).
pub async fn unread(actor: &Actor, on: impl Run, most: i64) -> Result<i64> {
    Ok(on.one::<Scalar<i64>>(actor, &UNREAD, vec![most_rows(most)]).await?.0)
}

/// Marks one of the actor's own as `unread`, `read` or `archived`. False: none such.
pub async fn set_status(actor: &Actor, on: impl Run, id: Uuid, status: &str) -> Result<bool> {
    Ok(on.execute(actor, &SET_STATUS, vec![id.into(), status.into()]).await? > 0)
}

/// Marks the actor's own that are due and unread as read, all of them. Answers how many these were.
pub async fn read_all(actor: &Actor, on: impl Run) -> Result<u64> {
    let mut marked = 0;
    loop {
        let more = on.execute(actor, &READ_ALL, Vec::new()).await?;
        marked += more;
        if more < READ_AT_ONCE {
            return Ok(marked);
        }
    }
}
