//! Lines on their way into `system_logs`: gathered, bounded, written in batches by one task.
//!
//! When the database can't keep up, the oldest `debug` lines go first, then `info`, then `warning`; how many went is
//! itself logged. `error` and `critical` never go while the process lives: when they fill half of the memory they move to a
//! file that is read back when the database answers again, by the next process if need be (`spill.rs`); a line for which
//! neither has room is written to stderr, whole.

mod spill;
mod writer;

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::json;
use store::system_logs::{LEVELS, NewLogLine};
use tokio::sync::Notify;
use uuid::Uuid;

use self::spill::Spill;
pub use self::writer::is_writing;

/// Lines that wait in memory at most.
const WAITING: usize = 16_384;
/// Bytes that waiting lines hold at most.
const WAITING_BYTES: usize = 32 << 20;
/// Lines in one statement.
const BATCH: usize = 1000;
/// Bytes in one statement, unless a single line has more.
const BATCH_BYTES: usize = 4 << 20;
/// Characters of a message; the rest is cut.
pub const MESSAGE_CHARS: usize = 8000;
/// The lightest level that is never dropped, by its place among the levels.
const KEPT: usize = 3;

/// Where lines are handed in. Cloning shares the queue.
#[derive(Debug, Clone, Default)]
pub struct LogQueue(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    /// Rung when lines that may not be dropped fill half of the memory.
    pressed: Notify,
    spill: Option<Spill>,
}

/// A line with its place in the order of arrival and its size.
#[derive(Debug)]
struct Held {
    number: u64,
    bytes: usize,
    line: NewLogLine,
}

/// What waits: one queue a level, so that the oldest of the least weight is found at once.
#[derive(Debug, Default)]
struct Waiting {
    by_level: [VecDeque<Held>; 5],
    lines: usize,
    bytes: usize,
    /// Lines and bytes of `error` and `critical`.
    kept: (usize, usize),
    next: u64,
    /// Lines dropped since it was last told, by level.
    dropped: [u64; KEPT],
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.lines >= WAITING || self.bytes >= WAITING_BYTES
    }

    fn is_pressed(&self) -> bool {
        self.kept.0 >= WAITING / 2 || self.kept.1 >= WAITING_BYTES / 2
    }

    /// Takes a line in; gives it back where there is room neither for it nor by dropping a lighter one.
    fn offer(&mut self, line: NewLogLine) -> Result<(), Box<NewLogLine>> {
        let level = place(&line);
        while self.is_full() {
            let lightest = self.by_level.iter().position(|queue| !queue.is_empty()).unwrap_or(KEPT);
            // What is heavier than the new line stays, and the new line goes.
            if lightest > level && level < KEPT {
                self.dropped[level] += 1;
                return Ok(());
            }
            if lightest >= KEPT {
                return Err(Box::new(line));
            }
            self.pop(lightest);
            self.dropped[lightest] += 1;
        }
        let held = Held { number: self.next, bytes: size(&line), line };
        self.next += 1;
        self.lines += 1;
        self.bytes += held.bytes;
        if level >= KEPT {
            self.kept = (self.kept.0 + 1, self.kept.1 + held.bytes);
        }
        self.by_level[level].push_back(held);
        Ok(())
    }

    fn pop(&mut self, level: usize) -> Option<NewLogLine> {
        let held = self.by_level[level].pop_front()?;
        self.lines -= 1;
        self.bytes -= held.bytes;
        if level >= KEPT {
            self.kept = (self.kept.0 - 1, self.kept.1 - held.bytes);
        }
        Some(held.line)
    }

    /// The oldest lines in the order they came, of these levels, at most `most` and not more than go into one statement.
    fn take(&mut self, levels: std::ops::Range<usize>, most: usize) -> Vec<NewLogLine> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < most && (bytes < BATCH_BYTES || taken.is_empty()) {
            let first = |level: &usize| self.by_level[*level].front().map(|held| held.number);
            let oldest = levels.clone().filter(|l| first(l).is_some()).min_by_key(first);
            let Some(line) = oldest.and_then(|level| self.pop(level)) else { break };
            bytes += size(&line);
            taken.push(line);
        }
        taken
    }

    /// Says once how many lines were dropped.
    fn tell_dropped(&mut self) -> Option<NewLogLine> {
        let [debug, info, warning] = std::mem::take(&mut self.dropped);
        let count = debug + info + warning;
        (count > 0).then(|| {
            let message = format!(
                "{count} log lines were dropped because the database could not keep up (debug {debug}, info {info}, warning {warning})"
            );
            let mut line = NewLogLine::new("warning", "steward::logs", message);
            line.metadata = json!({"dropped": {"debug": debug, "info": info, "warning": warning}});
            line
        })
    }
}

/// A level's place among the levels; what is none of them is refused by the database and told on stderr.
fn place(line: &NewLogLine) -> usize {
    LEVELS.iter().position(|level| *level == line.level).unwrap_or(KEPT)
}

/// About how many bytes of memory a line holds.
fn size(line: &NewLogLine) -> usize {
    fn document(value: &serde_json::Value) -> usize {
        use serde_json::Value as V;
        32 + match value {
            V::String(s) => s.len(),
            V::Array(list) => list.iter().map(document).sum(),
            V::Object(map) => map.iter().map(|(name, v)| name.len() + 48 + document(v)).sum(),
            V::Null | V::Bool(_) | V::Number(_) => 0,
        }
    }
    let texts = [Some(&line.module), Some(&line.message), line.request_id.as_ref(), line.user_agent.as_ref()];
    256 + texts.into_iter().flatten().map(String::len).sum::<usize>() + document(&line.metadata)
}

impl LogQueue {
    /// A queue whose heaviest lines may wait in this file (mode 0600, at most 64 MiB) when memory is short. What a former
    /// process left there is written first.
    pub fn with_spill(file: PathBuf) -> Self {
        Self(Arc::new(Queue { spill: Some(Spill::new(file)), ..Queue::default() }))
    }

    /// Hands in a line; never waits. `level` is one of the specification's five. Secrets that the message's look gives away
    /// are taken out.
    pub fn push(&self, level: &'static str, module: &str, message: &str, task_id: Option<Uuid>) {
        let mut line = NewLogLine::new(level, module, domain::redact::text(message));
        line.task_id = task_id;
        self.offer(line);
    }

    /// Hands in a whole line; never waits.
    pub fn offer(&self, mut line: NewLogLine) {
        if let Some((end, _)) = line.message.char_indices().nth(MESSAGE_CHARS) {
            line.message.truncate(end);
            line.message.push('…');
        }
        let mut waiting = self.waiting();
        let refused = waiting.offer(line).err();
        let is_pressed = waiting.is_pressed();
        drop(waiting);
        if let Some(line) = refused {
            to_stderr("no room is left for a log line that must not be lost, so it stands here alone", &line);
        }
        if is_pressed {
            self.0.pressed.notify_one();
        }
        self.0.arrived.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last resort: a line in full on stderr, with why it stands there.
fn to_stderr(why: &str, line: &NewLogLine) {
    eprintln!("{why}: {}", serde_json::to_string(line).unwrap_or_else(|_| line.message.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: &'static str, n: usize) -> NewLogLine {
        NewLogLine::new(level, "test", n.to_string())
    }

    /// The levels and numbers of what waits, as they would be written.
    fn drained(waiting: &mut Waiting) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let batch = waiting.take(0..5, BATCH);
            if batch.is_empty() {
                return all;
            }
            assert!(batch.len() <= BATCH);
            all.extend(batch.into_iter().map(|l| format!("{} {}", l.level, l.message)));
        }
    }

    #[test]
    fn lines_are_taken_in_the_order_they_came() {
        let mut waiting = Waiting::default();
        let levels = ["info", "debug", "critical", "debug", "warning", "error", "info"];
        for (n, level) in levels.into_iter().enumerate() {
            waiting.offer(line(level, n)).unwrap();
        }
        let wanted: Vec<String> = levels.iter().enumerate().map(|(n, l)| format!("{l} {n}")).collect();
        assert_eq!(drained(&mut waiting), wanted);
        assert_eq!((waiting.lines, waiting.bytes, waiting.kept), (0, 0, (0, 0)));
    }

    #[test]
    fn the_oldest_of_the_least_weight_goes_first() {
        let mut waiting = Waiting::default();
        waiting.offer(line("info", 0)).unwrap();
        for n in 1..WAITING {
            waiting.offer(line(if n < 11 { "debug" } else { "warning" }, n)).unwrap();
        }
        for n in 0..12 {
            waiting.offer(line("error", n)).unwrap();
        }
        assert_eq!(waiting.dropped, [10, 1, 1], "all debug lines, the info line, then the oldest warning");
        // Full of what weighs more: a light line goes itself, a heavy one takes a warning's place.
        waiting.offer(line("debug", 1)).unwrap();
        waiting.offer(line("critical", 1)).unwrap();
        assert_eq!(waiting.dropped, [11, 1, 2]);
        assert_eq!(waiting.lines, WAITING);
        let told = waiting.tell_dropped().unwrap();
        assert!(told.message.starts_with("14 log lines were dropped"), "{}", told.message);
        assert!(waiting.tell_dropped().is_none(), "told once");
        let rest = drained(&mut waiting);
        assert_eq!(rest.iter().filter(|l| l.starts_with("error") || l.starts_with("critical")).count(), 13);
        assert_eq!(rest[0], "warning 13");
    }

    #[test]
    fn errors_are_given_back_rather_than_dropped() {
        let mut waiting = Waiting::default();
        for n in 0..WAITING {
            waiting.offer(line("error", n)).unwrap();
        }
        assert!(waiting.is_pressed());
        assert_eq!(waiting.offer(line("critical", 1)).unwrap_err().message, "1");
        waiting.offer(line("info", 1)).unwrap();
        assert_eq!(waiting.dropped, [0, 1, 0]);
        assert_eq!(waiting.lines, WAITING);
    }

    #[test]
    fn memory_is_bounded_by_bytes_too() {
        let mut waiting = Waiting::default();
        let big = "x".repeat(8000);
        for _ in 0..WAITING {
            waiting.offer(NewLogLine::new("info", "test", big.clone())).unwrap();
        }
        assert!(waiting.bytes <= WAITING_BYTES + 9000, "{} bytes", waiting.bytes);
        assert!(waiting.dropped[1] > 0);
        assert!(waiting.take(0..5, BATCH).iter().map(size).sum::<usize>() <= BATCH_BYTES + 9000);
    }
}
