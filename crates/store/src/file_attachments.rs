//! `file_attachments`: files that hang on tasks. Their content is in the vault.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    tasks::{Cursor, from_place},
    value::{Scalar, page, row},
};

row! {
    /// A file on a task.
    pub struct Attachment {
        /// Id.
        pub id: Uuid,
        /// Name shown: safe on any system; never a path.
        pub filename: String,
        /// Name as it came, at most 255 characters.
        pub original_filename: String,
        /// Type, guessed; never trusted.
        pub mime_type: Option<String>,
        /// Size of the content in bytes.
        pub file_size: Option<i64>,
        /// Where the vault keeps it, below its folder.
        pub storage_path: String,
        /// Who brought it.
        pub uploaded_by: Option<Uuid>,
        /// The task.
        pub task_id: Option<Uuid>,
        /// When.
        pub created_at: Timestamp,
        /// When it may be removed.
        pub expires_at: Option<Timestamp>,
        /// Whether the stored file is encrypted.
        pub is_encrypted: bool,
        /// SHA-256 of the content.
        pub hash_checksum: Option<String>,
    }
}

/// An attachment to be noted.
#[derive(Debug, Clone)]
pub struct NewAttachment {
    /// Name shown.
    pub filename: String,
    /// Name as it came.
    pub original_filename: String,
    /// Type, guessed.
    pub mime_type: Option<String>,
    /// Size of the content in bytes.
    pub file_size: i64,
    /// Where the vault keeps it.
    pub storage_path: String,
    /// The task.
    pub task_id: Uuid,
    /// SHA-256 of the content.
    pub hash_checksum: String,
    /// When it may be removed; never without.
    pub expires_at: Option<Timestamp>,
}

statements! {
    CREATE: Attachment = "file_attachments/create";
    LIST: Attachment = "file_attachments/list";
    NEWEST: Attachment = "file_attachments/newest";
    GET: Attachment = "file_attachments/get";
    DELETE: Attachment = "file_attachments/delete";
    STORED: Scalar<bool> = "file_attachments/stored";
    AFTER: Attachment = "file_attachments/after";
    NAMED: Attachment = "file_attachments/named";
    UNKEPT: Attachment = "file_attachments/unkept";
    MOVE_TO: Attachment = "file_attachments/move_to";
    EXPIRE: Scalar<String> = "file_attachments/expire";
}

/// Notes an encrypted file of the actor's on a task.
pub async fn create(actor: &Actor, on: impl Run, new: &NewAttachment) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![
        id.into(),
        (&new.filename).into(),
        (&new.original_filename).into(),
        new.mime_type.clone().into(),
        new.file_size.into(),
        (&new.storage_path).into(),
        new.task_id.into(),
        true.into(),
        (&new.hash_checksum).into(),
        new.expires_at.into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// Files of a task, at most 200.
pub async fn list(actor: &Actor, on: impl Run, task_id: Uuid) -> Result<Vec<Attachment>> {
    on.list(actor, &LIST, vec![task_id.into()]).await
}

/// Files that the actor may see, the newest first, after `cursor`, at most `limit`.
pub async fn newest(actor: &Actor, on: impl Run, cursor: Option<Cursor>, limit: i64) -> Result<Vec<Attachment>> {
    on.list(actor, &NEWEST, from_place(cursor, limit)).await
}

/// Removes a file's row. False: no such row, or not the actor's to remove. What the vault keeps of it is swept when no other
/// row names it.
pub async fn delete(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &DELETE, vec![id.into()]).await? > 0)
}

/// One file's row.
pub async fn get(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Attachment>> {
    on.optional(actor, &GET, vec![id.into()]).await
}

/// Whether any row names this place in the vault.
pub async fn is_stored(actor: &Actor, on: impl Run, storage_path: &str) -> Result<bool> {
    Ok(on.one::<Scalar<bool>>(actor, &STORED, vec![storage_path.into()]).await?.0)
}

/// The rows that name this place in the vault, at most 200.
pub async fn named(actor: &Actor, on: impl Run, storage_path: &str) -> Result<Vec<Attachment>> {
    on.list(actor, &NAMED, vec![storage_path.into()]).await
}

/// Rows whose file has no row in `kept_files`, as older ones have none, at most `limit` (0–1000). For Steward itself only.
pub async fn unkept(actor: &Actor, on: impl Run, limit: i64) -> Result<Vec<Attachment>> {
    on.list(actor, &UNKEPT, vec![page(limit)]).await
}

/// Has the rows that name one place name another, where the same content is. For Steward itself only.
pub async fn move_to(actor: &Actor, on: impl Run, from: &str, to: &str) -> Result<u64> {
    on.execute(actor, &MOVE_TO, vec![from.into(), to.into()]).await
}

/// The rows after an id, in its order, at most `limit`: to walk them all.
pub async fn after(actor: &Actor, on: impl Run, id: Uuid, limit: i64) -> Result<Vec<Attachment>> {
    on.list(actor, &AFTER, vec![id.into(), page(limit)]).await
}

/// Removes the rows of files whose time is over, at most `limit` of them, and answers where the vault keeps these files.
pub async fn expire(actor: &Actor, on: impl Run, limit: i64) -> Result<Vec<String>> {
    Ok(on.list::<Scalar<String>>(actor, &EXPIRE, vec![page(limit)]).await?.into_iter().map(|s| s.0).collect())
}
