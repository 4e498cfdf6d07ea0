//! Ships the log of a SQLite database until it is killed, as Steward does: the process that the proof of the safe kills.
//! Arguments: the folder of data, the folder of the backups, and from how many bytes of log on it raises the alarm. A line
//! `backup` on its standard input makes a backup; it says of each what came of it, and of each alarm what it is.
#![allow(clippy::print_stdout, reason = "whoever started it reads its output")]

use std::{
    io::{BufRead, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use backup::{
    Attachments, Engine, Place, Progress, Safe,
    engine::SqliteEngine,
    keys::Recipients,
    place::Access,
    safe::Keep,
    ship::{self, Pace, Shipping},
};
use store::Vault;
use tokio_util::sync::CancellationToken;

/// Bytes of the log that may wait for the place.
const ROOM: u64 = 100_000_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [data, kept, large_log_bytes] = words.as_slice() else {
        return Err("usage: shipper DATA-FOLDER PLACE LARGE-LOG-BYTES".into());
    };
    let data = Path::new(data);
    let database = data.join("steward.db");
    let vault = Vault::open(&data.join("master.key"), &data.join("attachments"))?;
    let recipients = Recipients::master(&vault);
    let shipping = Arc::new(Mutex::new(Shipping::open(&database, &data.join("backup"), recipients.clone(), ROOM)?));
    let safe = Safe {
        place: Place::open(kept, &Access::default())?,
        recipients: Some(recipients),
        engine: Engine::Sqlite(SqliteEngine::new(database).with_shipping(Arc::clone(&shipping))),
        vault: Some(vault),
        attachments_dir: data.join("attachments"),
        master_key_file: data.join("master.key"),
        data_dir: data.to_owned(),
        settings_file: data.join("steward.toml"),
        models_file: data.join("models.toml"),
        scratch_dir: data.join("backup"),
        keep: Keep::default(),
        progress: Progress::default(),
        version: "0",
    };
    let (asked, runtime) = (safe.clone(), tokio::runtime::Handle::current());
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_ok_and(|line| line == "backup") {
                match runtime.block_on(asked.create()) {
                    Ok(made) => say(&format!("backup {}", made.id)),
                    Err(e) => say(&format!("refused {e}")),
                }
            }
        }
    });
    let claim = safe.claim();
    let copy = move || {
        let safe = safe.clone();
        async move {
            let made = safe.create().await?;
            say(&format!("copy {}", made.id));
            Ok(())
        }
    };
    let limits = Pace { large_log_bytes: large_log_bytes.parse()?, ..Pace::default() };
    say("ready");
    let attachments = Attachments::new(data.join("attachments"));
    let alarm = |alarm| say(&format!("alarm {alarm:?}"));
    ship::run(shipping, attachments, claim, limits, alarm, copy, CancellationToken::new()).await;
    Ok(())
}

/// One line, whole. Whoever has gone hears nothing.
fn say(words: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{}", words.replace('\n', " ")).and_then(|()| out.flush()));
}
