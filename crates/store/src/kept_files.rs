//! `kept_files`: the files in the vault, with their wrapped keys and what was found when they were last read. All of it is
//! for Steward itself.

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::{
    Actor, Result, Run, Transaction,
    statement::statements,
    value::{Scalar, Value, page, row},
    vault::Stored,
};

row! {
    /// A file in the vault.
    pub struct KeptRow {
        /// Where the vault keeps it, below its folder.
        pub storage_path: String,
        /// SHA-256 of the content, hex.
        pub content_sha256: String,
        /// Bytes of the content.
        pub size_bytes: i64,
        /// Its key, wrapped by the master key.
        #[schema(value_type = Object)]
        pub sealed_key: Json,
        /// When it was taken in.
        pub created_at: Timestamp,
        /// When it was last read and compared.
        pub checked_at: Timestamp,
        /// What was wrong with it then.
        pub trouble: Option<String>,
    }
}
row! {
    /// How much is kept.
    pub struct Figures {
        /// How many files.
        pub files: i64,
        /// Bytes of their contents.
        pub size_bytes: i64,
    }
}

statements! {
    CREATE: KeptRow = "kept_files/create";
    ALIKE: KeptRow = "kept_files/alike";
    GET: KeptRow = "kept_files/get";
    LOCK: KeptRow = "kept_files/lock";
    DROP_UNUSED: Scalar<String> = "kept_files/drop_unused";
    UNUSED: Scalar<String> = "kept_files/unused";
    DUE: KeptRow = "kept_files/due";
    CHECKED: KeptRow = "kept_files/checked";
    TROUBLED: KeptRow = "kept_files/troubled";
    FIGURES: Figures = "kept_files/figures";
}

/// Notes a file that was taken in; in the transaction that makes the first row which names it.
pub async fn create(actor: &Actor, on: impl Run, file: &Stored) -> Result<()> {
    let size = i64::try_from(file.size_bytes).unwrap_or(i64::MAX);
    let params = vec![
        (&file.storage_path).into(),
        (&file.sha256).into(),
        size.into(),
        file.sealed_key.clone().into(),
        Value::Null,
    ];
    on.execute(actor, &CREATE, params).await.map(drop)
}

/// Notes a file that is lost: rows name it, and it can't be read.
pub async fn create_lost(
    actor: &Actor,
    on: impl Run,
    (storage_path, content_sha256, size_bytes): (&str, &str, i64),
    trouble: &str,
) -> Result<()> {
    let params = vec![
        storage_path.into(),
        content_sha256.into(),
        size_bytes.into(),
        Json::Object(serde_json::Map::new()).into(),
        trouble.into(),
    ];
    on.execute(actor, &CREATE, params).await.map(drop)
}

/// Files with this content in which nothing is wrong, at most 10, the oldest first.
pub async fn alike(actor: &Actor, on: impl Run, content_sha256: &str) -> Result<Vec<KeptRow>> {
    on.list(actor, &ALIKE, vec![content_sha256.into()]).await
}

/// One by its place.
pub async fn get(actor: &Actor, on: impl Run, storage_path: &str) -> Result<Option<KeptRow>> {
    on.optional(actor, &GET, vec![storage_path.into()]).await
}

/// Those at these places that there are, held until the transaction's end: none is let go meanwhile.
pub async fn lock(actor: &Actor, on: &Transaction, places: Vec<String>) -> Result<Vec<KeptRow>> {
    on.list(actor, &LOCK, vec![places.into()]).await
}

/// Lets go of those at these places that nothing names any more, and answers their places: the files may then be removed.
/// Whoever was about to name one is waited for.
pub async fn drop_unused(actor: &Actor, on: &Transaction, places: Vec<String>) -> Result<Vec<String>> {
    // What is named meanwhile shows only to a statement that begins after the lock.
    lock(actor, on, places.clone()).await?;
    Ok(on.list::<Scalar<String>>(actor, &DROP_UNUSED, vec![places.into()]).await?.into_iter().map(|s| s.0).collect())
}

/// Places of files that no attachment names, at most `limit` (0–1000).
pub async fn unused(actor: &Actor, on: impl Run, limit: i64) -> Result<Vec<String>> {
    Ok(on.list::<Scalar<String>>(actor, &UNUSED, vec![page(limit)]).await?.into_iter().map(|s| s.0).collect())
}

/// Those that were not read since a moment, longest ago first, at most `limit` (0–1000).
pub async fn due(actor: &Actor, on: impl Run, before: Timestamp, limit: i64) -> Result<Vec<KeptRow>> {
    on.list(actor, &DUE, vec![before.into(), page(limit)]).await
}

/// Notes that a file was read and what is wrong with it. False: it is not there any more.
pub async fn checked(actor: &Actor, on: impl Run, storage_path: &str, trouble: Option<&str>) -> Result<bool> {
    Ok(on.execute(actor, &CHECKED, vec![storage_path.into(), trouble.map(str::to_owned).into()]).await? > 0)
}

/// Files with which something is wrong, at most `limit` (0–1000).
pub async fn troubled(actor: &Actor, on: impl Run, limit: i64) -> Result<Vec<KeptRow>> {
    on.list(actor, &TROUBLED, vec![page(limit)]).await
}

/// How much is kept.
pub async fn figures(actor: &Actor, on: impl Run) -> Result<Figures> {
    on.one(actor, &FIGURES, Vec::new()).await
}
