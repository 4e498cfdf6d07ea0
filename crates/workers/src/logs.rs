//! Lines on their way into `system_logs`: gathered, bounded, written in batches by one task.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;
use store::{
    Actor, Store,
    system_logs::{self, NewLogLine},
    value::time_text,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Lines that wait at most; past it the oldest of the least weight go first.
const WAITING: usize = 8192;
/// Lines in one statement.
const BATCH: usize = 500;
/// How long a batch is gathered.
const GATHER: Duration = Duration::from_millis(200);

/// Where lines are handed in. Cloning shares the queue.
#[derive(Debug, Clone, Default)]
pub struct LogQueue(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    lines: Mutex<(VecDeque<NewLogLine>, u64)>,
    arrived: Notify,
}

impl LogQueue {
    /// Hands in a line; never waits. `level` is one of the specification's five.
    pub fn push(&self, level: &'static str, module: &str, message: &str, task_id: Option<Uuid>) {
        let line = NewLogLine {
            id: Uuid::now_v7(),
            timestamp: time_text(store::now()),
            level,
            module: module.chars().take(100).collect(),
            message: message.chars().filter(|c| *c != '\0').take(8000).collect(),
            user_id: None,
            task_id,
            request_id: None,
            metadata: json!({}),
        };
        let mut guard = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, dropped) = &mut *guard;
        if lines.len() >= WAITING {
            // Errors are never dropped for the sake of what weighs less.
            let victim =
                ["debug", "info", "warning"].iter().find_map(|l| lines.iter().position(|line| line.level == *l));
            // … but they too are bounded.
            let victim = victim.or_else(|| (lines.len() >= 4 * WAITING).then_some(0));
            if let Some(victim) = victim {
                lines.remove(victim);
                *dropped += 1;
            }
        }
        lines.push_back(line);
        drop(guard);
        self.0.arrived.notify_one();
    }

    fn take(&self) -> Vec<NewLogLine> {
        let mut guard = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, dropped) = &mut *guard;
        if *dropped > 0 {
            let count = std::mem::take(dropped);
            drop(guard);
            self.push(
                "warning",
                "steward::logs",
                &format!("{count} log lines were dropped because the database could not keep up"),
                None,
            );
            return self.take();
        }
        let count = lines.len().min(BATCH);
        lines.drain(..count).collect()
    }

    fn put_back(&self, batch: Vec<NewLogLine>) {
        let mut guard = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in batch.into_iter().rev() {
            guard.0.push_front(line);
        }
    }

    /// Writes what comes until `shutdown`, and then what is left.
    pub async fn write(self, store: Store, shutdown: CancellationToken) {
        let mut pause = GATHER;
        loop {
            let ending = tokio::select! {
                () = shutdown.cancelled() => true,
                () = self.0.arrived.notified() => { tokio::select! { () = tokio::time::sleep(pause) => {}, () = shutdown.cancelled() => {} }; false }
            };
            loop {
                let batch = self.take();
                if batch.is_empty() {
                    break;
                }
                match system_logs::append(&Actor::service(), &store, &batch).await {
                    Ok(_) => pause = GATHER,
                    Err(e) => {
                        // Not through tracing: that would come back here.
                        eprintln!("log lines can't be written yet: {e}");
                        if ending || !e.is_transient() {
                            break;
                        }
                        self.put_back(batch);
                        pause = (pause * 2).min(Duration::from_secs(10));
                        self.0.arrived.notify_one();
                        break;
                    }
                }
            }
            if ending {
                return;
            }
        }
    }
}
