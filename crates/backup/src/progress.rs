//! How far something long has come, told to whoever wants to know; and that it is to be broken off.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use crate::{Error, Result, error::through};

/// Bytes between two words about the same stream.
const EVERY_BYTES: u64 = 8 * 1024 * 1024;

type Tell = dyn Fn(&str) + Send + Sync;

/// Whoever is told, nobody by default; and whether it is to go on.
#[derive(Clone, Default)]
pub struct Progress {
    told: Option<Arc<Tell>>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("is_told", &self.told.is_some()).field("stop", &self.stop).finish()
    }
}

impl Progress {
    /// Calls `tell` with each step, from any thread; it may not wait.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { told: Some(Arc::new(tell)), stop: CancellationToken::new() }
    }

    /// The same, broken off when `stop` is cancelled: at the next piece of whatever it is.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    pub(crate) fn tell(&self, words: impl AsRef<str>) {
        if let Some(tell) = &self.told {
            tell(words.as_ref());
        }
    }

    /// Cancelled where it is to be broken off.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// An error where it is to be broken off.
    pub(crate) fn check(&self) -> Result<()> {
        if self.stop.is_cancelled() { Err(Error::Cancelled("it was broken off".to_owned())) } else { Ok(()) }
    }
}

/// Tells how much of a stream has passed, and passes no more when it is to be broken off.
pub(crate) struct Passing<T> {
    inner: T,
    progress: Progress,
    what: String,
    bytes: u64,
    told_bytes: u64,
}

impl<T> Passing<T> {
    /// `what` stands before the bytes, as in `database/dump kept: 12 MB`.
    pub(crate) fn new(inner: T, progress: &Progress, what: String) -> Self {
        Self { inner, progress: progress.clone(), what, bytes: 0, told_bytes: 0 }
    }

    fn passed(&mut self, count: usize) {
        self.bytes += count as u64;
        if self.bytes - self.told_bytes >= EVERY_BYTES {
            self.told_bytes = self.bytes;
            self.progress.tell(format!("{}: {} MB", self.what, self.bytes / 1_000_000));
        }
    }
}

impl<W: Write> Write for Passing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.progress.check().map_err(through)?;
        let taken = self.inner.write(bytes)?;
        self.passed(taken);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Passing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.progress.check().map_err(through)?;
        let got = self.inner.read(into)?;
        self.passed(got);
        Ok(got)
    }
}
