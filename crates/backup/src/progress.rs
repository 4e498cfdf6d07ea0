//! How far something long has come, told to whoever wants to know.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

/// Bytes between two words about the same stream.
const EVERY_BYTES: u64 = 8 * 1024 * 1024;

type Tell = dyn Fn(&str) + Send + Sync;

/// Whoever is told; nobody by default.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Tell>>);

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Progress").field(&self.0.is_some()).finish()
    }
}

impl Progress {
    /// Calls `tell` with each step, from any thread; it may not wait.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, words: impl AsRef<str>) {
        if let Some(tell) = &self.0 {
            tell(words.as_ref());
        }
    }
}

/// Tells how much of a stream has passed.
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
        let got = self.inner.read(into)?;
        self.passed(got);
        Ok(got)
    }
}
