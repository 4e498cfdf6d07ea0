//! Writes tasks into a database without end and says of each when it was tried and when it was acknowledged: the process
//! that the proof of the safe kills. Arguments: the database's URL, the user's id, the first number, how many at once, and
//! how many milliseconds each of them rests after a write.
#![allow(clippy::print_stdout, reason = "whoever started it reads its output")]

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use store::{
    Actor, Config, Store,
    tasks::{self, NewTask},
};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, user, first, writers, rest_ms] = words.as_slice() else {
        return Err("usage: writer URL USER-ID FIRST-NUMBER WRITERS REST-MS".into());
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
        let (store, actor, next) = (store.clone(), actor.clone(), Arc::clone(&next));
        parts.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                say("try", number)?;
                if tasks::create(&actor, &store, &NewTask::titled(number.to_string())).await.is_ok() {
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

/// One line, whole, with this machine's clock in microseconds.
fn say(what: &str, number: u64) -> std::io::Result<()> {
    let line = format!("{what} {number} {}\n", jiff::Timestamp::now().as_microsecond());
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}
