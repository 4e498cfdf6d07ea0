//! Putting the log back: frames onto a copy of the file, up to a commit. The copy is nobody's database meanwhile.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use super::log::{self, Batch, FRAME_HEAD, Position};
use crate::{Error, Result};

/// Brings a copy forward. Blocking.
#[derive(Debug)]
pub struct Applier {
    file: File,
    page_size: u32,
    at: Option<Position>,
    pages: Option<u32>,
}

impl Applier {
    /// For the copy at `path`, which was made at `at`; none where the log was empty then.
    pub fn new(path: &Path, at: Option<Position>) -> Result<Self> {
        let fail = |e: std::io::Error| Error::Storage(format!("{} can't be opened: {e}", path.display()));
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
        let mut size = [0_u8; 2];
        file.read_exact_at(&mut size, 16).map_err(fail)?;
        // The one size that does not fit into two bytes is written as 1.
        let page_size = match u16::from_be_bytes(size) {
            1 => 65_536,
            other => u32::from(other),
        };
        Ok(Self { file, page_size, at, pages: None })
    }

    /// Writes the frames of a batch up to frame `last` (all of them where none is given). Each must follow the one
    /// before; frames before the copy's own moment are passed over.
    pub fn apply(&mut self, batch: &Batch, last: Option<u32>) -> Result<()> {
        let broken = |why: &str| Err(Error::Schema(format!("the log does not fit the copy: {why}")));
        let follows = match &self.at {
            Some(at) if at.salts == batch.from.salts => at.frame >= batch.from.frame,
            // The log started over, which it does only when all of it was handed out.
            Some(at) => batch.from.frame == 0 && log::follows(at.salts, batch.from.salts),
            None => batch.from.frame == 0,
        };
        if !follows {
            return broken("frames are missing between them");
        }
        if batch.page_size != self.page_size {
            return broken("its pages have another size");
        }
        let own = self.at.filter(|at| at.salts == batch.from.salts);
        let mut at = batch.from;
        for bytes in batch.frames.chunks(FRAME_HEAD + batch.page_size as usize) {
            if last.is_some_and(|last| at.frame >= last) {
                break;
            }
            let Some(frame) = log::check(&at, bytes, batch.big_endian) else {
                return broken("a frame does not follow the one before it");
            };
            at = Position { frame: at.frame + 1, checksum: frame.checksum, ..at };
            if let Some(own) = own.filter(|own| at.frame <= own.frame) {
                if at.frame == own.frame && at.checksum != own.checksum {
                    return broken("it is another log at the copy's own place");
                }
                continue;
            }
            let place = u64::from(frame.page - 1) * u64::from(self.page_size);
            self.file
                .write_all_at(&bytes[FRAME_HEAD..], place)
                .map_err(|e| Error::Storage(format!("the copy can't be written: {e}")))?;
            if frame.commit.is_some() {
                self.pages = frame.commit;
            }
        }
        if own.is_none_or(|own| at.frame > own.frame) {
            self.at = Some(at);
        }
        Ok(())
    }

    /// Cuts the file to its size after the last commit and makes it durable.
    pub fn finish(self) -> Result<()> {
        let fail = |e: std::io::Error| Error::Storage(format!("the copy can't be written: {e}"));
        if let Some(pages) = self.pages {
            self.file.set_len(u64::from(pages) * u64::from(self.page_size)).map_err(fail)?;
        }
        self.file.sync_all().map_err(fail)
    }
}
