//! Reading the shipped log back: segment after segment, each bound to the one before, up to the moment asked for.

use std::{
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use store::backup::{Applier, Batch};

use super::{FOLDER, LogPlace, PART, SegmentHead, parse_name};
use crate::{
    Error, Opener, Place, Progress, Result,
    error::{back, joined},
    place::Entry,
    sealed::{Label, OpeningReader},
};

/// Bytes of a segment's content at most: a batch, and the largest page.
const SEGMENT_BYTES: u64 = 32 * 1024 * 1024;
/// Every how many segments it is told how far it has come.
const TOLD_EVERY: u64 = 200;

/// The log at a place, up to a moment.
#[derive(Debug, Clone)]
pub struct Restorable {
    /// The place.
    pub place: Place,
    /// The keys at hand.
    pub opener: Opener,
    /// The moment; none for the newest.
    pub to: Option<Timestamp>,
    /// Who is told how far it has come.
    pub progress: Progress,
}

impl Restorable {
    /// Puts the log back onto a copy; answers when the last commit was made that is in it now, if there was any.
    pub(crate) async fn replay(&self, base: &LogPlace, applier: Arc<Mutex<Applier>>) -> Result<Option<Timestamp>> {
        let mut newest = None;
        let mut previous: Option<String> = None;
        let wanted = self.wanted(base).await?;
        let of = wanted.len();
        for (expected, (number, entry)) in (base.segment..).zip(wanted) {
            let done = expected - base.segment;
            self.progress.check()?;
            if done.is_multiple_of(TOLD_EVERY) {
                self.progress.tell(format!("putting the log back: {done} of {of} segments"));
            }
            let label = Label { bundle: base.series.clone(), part: PART.to_owned(), index: expected };
            if number != expected {
                return Err(Error::Missing { what: format!("the segment {expected} of the log {}", base.series) });
            }
            let (batch, head, sha256) = self.fetch(&label, &entry).await?;
            if previous.as_ref().is_some_and(|known| *known != head.previous_sha256) {
                let reason = "it does not follow the segment before it".to_owned();
                return Err(Error::Damaged { part: label.to_string(), reason });
            }
            previous = Some(sha256);
            let until = self.to.unwrap_or(Timestamp::MAX);
            let within: Vec<_> = head.commits.iter().take_while(|commit| commit.at <= until).collect();
            let is_cut = within.len() < head.commits.len();
            let last = if is_cut { within.last().map_or(0, |c| c.frame) } else { u32::MAX };
            newest = within.last().map(|c| c.at).or(newest);
            let applier = Arc::clone(&applier);
            let written = tokio::task::spawn_blocking(move || {
                let mut applier = applier.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(applier.apply(&batch, Some(last))?)
            });
            joined(written.await)?;
            if is_cut {
                break;
            }
        }
        Ok(newest)
    }

    /// The segments from the copy on up to the last one with a commit within the time. Frames behind the last commit are
    /// not wanted: their transaction ends later.
    async fn wanted(&self, base: &LogPlace) -> Result<Vec<(u64, Entry)>> {
        let mut wanted = Vec::new();
        let mut last = 0;
        for entry in self.place.list(&format!("{FOLDER}/{}", base.series)).await? {
            let name = entry.name.rsplit('/').next().unwrap_or_default();
            let Some((number, first_us, _)) = parse_name(name) else { continue };
            if number < base.segment {
                continue;
            }
            if self.to.is_some_and(|to| first_us > to.as_microsecond()) {
                break;
            }
            wanted.push((number, entry));
            if first_us > 0 {
                last = wanted.len();
            }
        }
        wanted.truncate(last);
        Ok(wanted)
    }

    async fn fetch(&self, label: &Label, entry: &Entry) -> Result<(Batch, SegmentHead, String)> {
        let pieces = self.place.get(&entry.name).await?;
        let (opener, label, name) = (self.opener.clone(), label.clone(), entry.name.clone());
        let read = tokio::task::spawn_blocking(move || {
            let damaged = |reason: &str| Error::Damaged { part: label.to_string(), reason: reason.to_owned() };
            let mut reader = OpeningReader::new(&opener, &label, pieces.into_reader())?;
            let mut content = Vec::new();
            reader
                .by_ref()
                .take(SEGMENT_BYTES)
                .read_to_end(&mut content)
                .map_err(|e| back(e, "a segment of the log can't be read"))?;
            let sealed = reader.finish()?.sealed;
            let (length, rest) = content.split_first_chunk::<4>().ok_or_else(|| damaged("it is too short"))?;
            let (text, frames) = rest
                .split_at_checked(u32::from_be_bytes(*length) as usize)
                .ok_or_else(|| damaged("it is too short"))?;
            let head: SegmentHead = serde_json::from_slice(text).map_err(|e| damaged(&e.to_string()))?;
            let should_be = super::segment_name(label.index, &head.commits);
            if !name.ends_with(&should_be) {
                return Err(damaged("its name says other times than it holds"));
            }
            let batch = Batch {
                from: head.from,
                to: head.to,
                page_size: head.page_size,
                big_endian: head.big_endian,
                commits: head.commits.clone(),
                frames: frames.to_vec(),
            };
            Ok((batch, head, sealed.sha256))
        });
        joined(read.await)
    }
}
