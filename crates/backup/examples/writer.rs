//! Writes tasks into a database without end and says of each when it was tried and when it was acknowledged: the process
//! that the proof of the safe kills. Arguments: the database's URL, the user's id, the first number, how many at once,
//! how many milliseconds each of them rests after a write, and the folder of data whose vault takes in a file for each
//! seventh of them, where there is one.
#![allow(clippy::print_stdout, reason = "whoever started it reads its output")]

use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use store::{
    Actor, Config, Store, Vault,
    file_attachments::{self, NewAttachment},
    kept_files,
    tasks::{self, NewTask},
};

/// Which numbers come with a file.
const WITH_FILE: u64 = 41;
/// How often its number stands in a file.
const TIMES: usize = 500;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ([url, user, first, writers, rest_ms] | [url, user, first, writers, rest_ms, _]) = words.as_slice() else {
        return Err("usage: writer URL USER-ID FIRST-NUMBER WRITERS REST-MS [DATA-FOLDER]".into());
    };
    let vault = match words.get(5).map(Path::new) {
        Some(data) => Some(Vault::open(&data.join("master.key"), &data.join("attachments"))?),
        None => None,
    };
    let mut config = Config::from_url(url)?;
    config.connect_timeout = Duration::from_secs(2);
    config.statement_timeout = Duration::from_secs(5);
    let (actor, next) = (Actor::user(user.parse()?), Arc::new(AtomicU64::new(first.parse()?)));
    let rest = Duration::from_millis(rest_ms.parse()?);
    let store = loop {
        // The database may be down just now.
        match Store::open(&config).await {
            Ok(store) => break store,
            Err(e) if e.is_transient() => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(e) => return Err(e.into()),
        }
    };
    let mut parts = tokio::task::JoinSet::new();
    for _ in 0..writers.parse::<usize>()? {
        let (store, actor, next, vault) = (store.clone(), actor.clone(), Arc::clone(&next), vault.clone());
        parts.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                say("try", number)?;
                let written = match vault.clone().filter(|_| number.is_multiple_of(WITH_FILE)) {
                    Some(vault) => with_file(&store, &actor, vault, number).await,
                    None => tasks::create(&actor, &store, &NewTask::titled(number.to_string())).await.map(drop),
                };
                if written.is_ok() {
                    say("ack", number)?;
                    tokio::time::sleep(rest).await;
                } else {
                    // It stands or not; whoever counts may not expect either.
                    say("err", number)?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
    }
    match parts.join_next().await {
        Some(ended) => {
            let ended: std::io::Result<()> = ended?;
            Ok(ended?)
        }
        None => Ok(()),
    }
}

/// A task with a file: the file is durable before a row names it.
async fn with_file(store: &Store, actor: &Actor, vault: Vault, number: u64) -> store::Result<()> {
    let content = number.to_string().repeat(TIMES);
    let kept = tokio::task::spawn_blocking(move || vault.store(&mut content.as_bytes(), u64::MAX)).await;
    let file = kept.map_err(|e| store::Error::Unavailable(e.to_string()))??;
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let task_id = tasks::create(&actor, tx, &NewTask::titled(number.to_string())).await?;
                kept_files::create(&Actor::service(), tx, &file).await?;
                let new = NewAttachment {
                    filename: number.to_string(),
                    original_filename: number.to_string(),
                    mime_type: None,
                    file_size: i64::try_from(file.size_bytes).unwrap_or(i64::MAX),
                    storage_path: file.storage_path.clone(),
                    task_id,
                    hash_checksum: file.sha256.clone(),
                    expires_at: None,
                };
                file_attachments::create(&actor, tx, &new).await.map(drop)
            })
        })
        .await
}

/// One line, whole, with this machine's clock in microseconds.
fn say(what: &str, number: u64) -> std::io::Result<()> {
    let line = format!("{what} {number} {}\n", jiff::Timestamp::now().as_microsecond());
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}
