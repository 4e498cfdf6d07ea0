//! The one task that writes waiting lines into the database, tries again, and brings the heavy ones to safety.

use std::{pin::pin, time::Duration};

use serde_json::json;
use store::{
    Actor, Error, Store,
    system_logs::{self, NewLogLine},
};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{BATCH, KEPT, LogQueue, place, to_stderr};

/// How long a batch is gathered, and the first pause after a failure.
const GATHER: Duration = Duration::from_millis(200);
/// The longest pause after a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// How long the database may take for what is left when Steward ends.
const ENDING: Duration = Duration::from_secs(2);
/// Lines refused one by one before the database itself is taken to be in trouble.
const MOST_SUSPECTS: usize = 8;

tokio::task_local! {
    static WRITING: ();
}

/// Whether this task is writing log lines just now: what it says then must not become a log line again.
pub fn is_writing() -> bool {
    WRITING.try_with(|()| ()).is_ok()
}

/// How a batch ended.
enum Wrote {
    /// It stands (or was told line by line on stderr why a line never will).
    All,
    /// The database does not answer now.
    NotNow(Error),
}

impl LogQueue {
    /// Writes what comes until `shutdown`, and then what is left. Lines that may not be lost and can't be written by then
    /// stay in the file, or where there is none on stderr.
    pub async fn write(self, store: Store, shutdown: CancellationToken) {
        WRITING.scope((), self.keep_writing(store, shutdown)).await;
    }

    async fn keep_writing(self, store: Store, shutdown: CancellationToken) {
        let (mut pause, mut is_well) = (GATHER, true);
        let mut held: Vec<NewLogLine> = Vec::new();
        self.read_back(&store, &shutdown).await;
        while !shutdown.is_cancelled() {
            if held.is_empty() {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = self.0.arrived.notified() => {}
                }
                // What comes in the meantime goes along.
                self.pause(pause, &shutdown).await;
                held = self.take();
            }
            while !held.is_empty() {
                match self.attempt(&store, &held, &shutdown).await {
                    Wrote::All => {
                        if !std::mem::replace(&mut is_well, true) {
                            eprintln!("log lines are written again");
                        }
                        pause = GATHER;
                        self.read_back(&store, &shutdown).await;
                        held = self.take();
                    }
                    Wrote::NotNow(e) => {
                        // Not through tracing: that would come back here.
                        if std::mem::replace(&mut is_well, false) {
                            eprintln!("log lines can't be written now, and wait: {e}");
                        }
                        self.relieve().await;
                        if shutdown.is_cancelled() {
                            break;
                        }
                        pause = (pause * 2).min(PAUSE);
                        self.pause(pause, &shutdown).await;
                        // With more lines in the batch it shows whether one of them is to blame.
                        self.fill_up(&mut held);
                    }
                }
            }
        }
        self.end(&store, held).await;
    }

    /// A batch, with the word on what was dropped in front.
    fn take(&self) -> Vec<NewLogLine> {
        let mut batch = Vec::new();
        self.fill_up(&mut batch);
        batch
    }

    fn fill_up(&self, batch: &mut Vec<NewLogLine>) {
        if batch.len() < BATCH {
            let mut waiting = self.waiting();
            batch.extend(waiting.tell_dropped());
            batch.append(&mut waiting.take(0..super::LEVELS.len(), BATCH.saturating_sub(batch.len())));
        }
    }

    async fn pause(&self, length: Duration, shutdown: &CancellationToken) {
        let mut over = pin!(sleep(length));
        loop {
            tokio::select! {
                () = &mut over => return,
                () = shutdown.cancelled() => return,
                () = self.0.pressed.notified() => self.relieve().await,
            }
        }
    }

    /// Tries to write a batch. While the database keeps it waiting, the file relieves the memory; once Steward ends, it
    /// waits no longer than [`ENDING`].
    async fn attempt(&self, store: &Store, batch: &[NewLogLine], shutdown: &CancellationToken) -> Wrote {
        let mut work = pin!(write_out(store, batch));
        let mut ending = pin!(async {
            shutdown.cancelled().await;
            sleep(ENDING).await;
        });
        loop {
            tokio::select! {
                wrote = &mut work => return wrote,
                () = self.0.pressed.notified() => self.relieve().await,
                () = &mut ending => return too_slow(),
            }
        }
    }

    /// Moves lines that may not be lost into the file, while they fill half of the memory.
    async fn relieve(&self) {
        if self.0.spill.is_none() {
            return;
        }
        loop {
            let batch = {
                let mut waiting = self.waiting();
                if !waiting.is_pressed() {
                    return;
                }
                waiting.take(KEPT..super::LEVELS.len(), BATCH)
            };
            self.keep(batch).await;
        }
    }

    /// Brings lines to safety: into the file, or onto stderr.
    async fn keep(&self, lines: Vec<NewLogLine>) {
        let refused = match self.0.spill.clone() {
            None => Err(("the database does not answer".to_owned(), lines)),
            Some(spill) => match tokio::task::spawn_blocking(move || spill.keep(lines)).await {
                Ok(kept) => kept,
                Err(e) => return eprintln!("log lines could not be brought to safety: {e}"),
            },
        };
        if let Err((why, lines)) = refused {
            for line in &lines {
                to_stderr(&format!("a log line could not be kept ({why}), so it stands here alone"), line);
            }
        }
    }

    /// Writes what lies in the file, as far as the database takes it.
    async fn read_back(&self, store: &Store, shutdown: &CancellationToken) {
        let Some(spill) = &self.0.spill else { return };
        loop {
            let reader = spill.clone();
            let next = tokio::task::spawn_blocking(move || reader.next(BATCH)).await;
            let (lines, end) = match next {
                Ok(Ok(next)) => next,
                Ok(Err(e)) => return eprintln!("{} can't be read: {e}", spill.path()),
                Err(e) => return eprintln!("{} can't be read: {e}", spill.path()),
            };
            if end == 0 {
                return;
            }
            if !lines.is_empty() && !matches!(self.attempt(store, &lines, shutdown).await, Wrote::All) {
                return;
            }
            let (writer, was_last) = (spill.clone(), lines.is_empty());
            match tokio::task::spawn_blocking(move || writer.done(end)).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return eprintln!("{} can't be removed: {e}", spill.path()),
                Err(e) => return eprintln!("{} can't be removed: {e}", spill.path()),
            }
            if was_last || shutdown.is_cancelled() {
                return;
            }
        }
    }

    /// Steward ends: what is left is written, and what can't be is brought to safety or counted.
    async fn end(&self, store: &Store, mut held: Vec<NewLogLine>) {
        let end = Instant::now() + ENDING;
        loop {
            if held.is_empty() {
                held = self.take();
            }
            if held.is_empty() {
                return;
            }
            match timeout_at(end, write_out(store, &held)).await {
                Ok(Wrote::All) => held.clear(),
                Ok(Wrote::NotNow(_)) | Err(_) => break,
            }
        }
        let mut lost = 0;
        while !held.is_empty() {
            let (heavy, light): (Vec<_>, Vec<_>) = held.into_iter().partition(|line| place(line) >= KEPT);
            lost += light.len();
            if !heavy.is_empty() {
                self.keep(heavy).await;
            }
            held = self.take();
        }
        if lost > 0 {
            eprintln!("{lost} log lines below error could not be written before the end");
        }
    }
}

fn too_slow() -> Wrote {
    Wrote::NotNow(Error::Unavailable("it gave no answer before the end".to_owned()))
}

/// Whether the database took offence at what stands in a line, and will again; `Database` says that it may have.
fn may_be_the_lines_fault(e: &Error) -> bool {
    matches!(e, Error::Constraint { .. } | Error::Database { .. } | Error::Decode { .. })
}

/// Writes a batch. Where the database refuses it for good, it is halved until the line that is to blame is alone. What it
/// refuses for a reason that names no rule is the line's fault only if most lines beside it are taken; else it is the
/// database's trouble, and all wait. (What stands already is passed over when it is sent again.)
async fn write_out(store: &Store, batch: &[NewLogLine]) -> Wrote {
    let (mut stood, mut suspects) = (0, Vec::new());
    let mut parts = vec![batch.to_vec()];
    while let Some(mut part) = parts.pop() {
        match system_logs::append(&Actor::service(), store, &part).await {
            Ok(_) => stood += part.len(),
            Err(e) if !may_be_the_lines_fault(&e) => return Wrote::NotNow(e),
            Err(_) if part.len() > 1 => {
                let rest = part.split_off(part.len() / 2);
                parts.push(rest);
                parts.push(part);
            }
            // The user is gone: the line stays, and says whom it meant.
            Err(e) if e.constraint() == Some("foreign_key") && part.iter().any(|l| l.user_id.is_some()) => {
                for line in &mut part {
                    if let (Some(id), Some(map)) = (line.user_id.take(), line.metadata.as_object_mut()) {
                        map.insert("user_id".to_owned(), json!(id));
                    }
                }
                parts.push(part);
            }
            Err(e @ Error::Database { .. }) => {
                suspects.extend(part.pop().map(|line| (e, line)));
                // No need to ask line by line: more are refused than one batch of bad lines would explain.
                if suspects.len() > MOST_SUSPECTS.max(stood) {
                    break;
                }
            }
            Err(e) => {
                for line in &part {
                    refused(&e, line);
                }
            }
        }
    }
    if suspects.len() > stood
        && let Some((e, _)) = suspects.pop()
    {
        return Wrote::NotNow(e);
    }
    for (e, line) in &suspects {
        refused(e, line);
    }
    Wrote::All
}

fn refused(e: &Error, line: &NewLogLine) {
    to_stderr(&format!("the database refused a log line ({e}), so it stands here alone"), line);
}
