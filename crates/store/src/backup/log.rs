//! SQLite's write-ahead log as a file: its head, its frames, and the checksum that runs from one to the next
//! (<https://sqlite.org/fileformat2.html#walformat>). Only what ends in a commit counts.

use std::{fs::File, os::unix::fs::FileExt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) const HEAD: usize = 32;
pub(super) const FRAME_HEAD: usize = 24;

/// A place in the log: behind a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which run of the log: they change when it starts over.
    pub salts: [u8; 8],
    /// The last frame; 0 before the first.
    pub frame: u32,
    /// The running checksum behind it.
    pub checksum: [u32; 2],
}

/// A commit in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its last frame.
    pub frame: u32,
    /// Pages of the file after it.
    pub pages: u32,
    /// When it was made.
    pub at: Timestamp,
}

/// Frames that follow each other, as they stand in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Behind which place they come.
    pub from: Position,
    /// The place behind the last.
    pub to: Position,
    /// Bytes of a page.
    pub page_size: u32,
    /// Whether checksums are made of big-endian words.
    pub big_endian: bool,
    /// Commits that end in here. One with many pages may begin in an earlier batch.
    pub commits: Vec<Commit>,
    /// The frames: 24 bytes of head and a page each.
    pub frames: Vec<u8>,
}

/// The log's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) page_size: u32,
    pub(super) big_endian: bool,
    pub(super) salts: [u8; 8],
    pub(super) checksum: [u32; 2],
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

impl Head {
    /// None where there is none yet, or one that is just being written.
    pub(super) fn read(log: &File) -> std::io::Result<Option<Self>> {
        let mut bytes = [0_u8; HEAD];
        match log.read_exact_at(&mut bytes, 0) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let magic = word(&bytes, 0);
        let big_endian = magic & 1 == 1;
        let checksum = checksum([0, 0], &bytes[..24], big_endian);
        if magic & !1 != 0x377f_0682 || checksum != [word(&bytes, 24), word(&bytes, 28)] {
            return Ok(None);
        }
        let mut salts = [0_u8; 8];
        salts.copy_from_slice(&bytes[16..24]);
        Ok(Some(Self { page_size: word(&bytes, 8), big_endian, salts, checksum }))
    }

    /// Before its first frame.
    pub(super) fn start(&self) -> Position {
        Position { salts: self.salts, frame: 0, checksum: self.checksum }
    }

    pub(super) fn frame_bytes(&self) -> usize {
        FRAME_HEAD + self.page_size as usize
    }
}

/// Whether this run of the log is the one that follows: the first salt counts up.
pub(super) fn follows(before: [u8; 8], after: [u8; 8]) -> bool {
    word(&after, 0) == word(&before, 0).wrapping_add(1)
}

pub(super) fn checksum(start: [u32; 2], bytes: &[u8], big_endian: bool) -> [u32; 2] {
    let [mut first, mut second] = start;
    for pair in bytes.chunks_exact(8) {
        let [a, b] = [0, 4].map(|at| {
            let word = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
        });
        first = first.wrapping_add(a).wrapping_add(second);
        second = second.wrapping_add(b).wrapping_add(first);
    }
    [first, second]
}

/// A frame that follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) page: u32,
    /// Pages of the file, where the frame ends a commit.
    pub(super) commit: Option<u32>,
    pub(super) checksum: [u32; 2],
}

/// Reads a frame's head and checks it with its page against what came before. None: it does not follow.
pub(super) fn check(before: &Position, bytes: &[u8], big_endian: bool) -> Option<Frame> {
    let (head, page) = bytes.split_at_checked(FRAME_HEAD)?;
    if head[8..16] != before.salts {
        return None;
    }
    let sum = checksum(checksum(before.checksum, &head[..8], big_endian), page, big_endian);
    if sum != [word(head, 16), word(head, 20)] || word(head, 0) == 0 {
        return None;
    }
    let pages = word(head, 4);
    Some(Frame { page: word(head, 0), commit: (pages > 0).then_some(pages), checksum: sum })
}

/// The running checksum that stands in a frame's own head; none where there is no such frame of this run.
pub(super) fn noted(log: &File, head: &Head, frame: u32) -> std::io::Result<Option<[u32; 2]>> {
    if frame == 0 {
        return Ok(Some(head.checksum));
    }
    let mut bytes = [0_u8; FRAME_HEAD];
    let at = HEAD as u64 + u64::from(frame - 1) * head.frame_bytes() as u64;
    match log.read_exact_at(&mut bytes, at) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    Ok((bytes[8..16] == head.salts).then(|| [word(&bytes, 16), word(&bytes, 20)]))
}

/// Times as the log's order has them: a commit was made no later than any behind it, of which `later` is the earliest that
/// is known. A commit notes its time when it stands, and another may stand and note its own meanwhile.
pub(super) fn in_order(commits: &mut [Commit], later: Option<Timestamp>) {
    let mut bound = later.unwrap_or(Timestamp::MAX);
    for commit in commits.iter_mut().rev() {
        commit.at = commit.at.min(bound);
        bound = commit.at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_commit_is_later_than_one_behind_it() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let commits = |times: [i64; 4]| times.map(|second| Commit { frame: 1, pages: 1, at: at(second) });
        // The second one's writer was held up before it noted its time, and the third was acknowledged meanwhile.
        let mut all = commits([1, 5, 2, 6]);
        in_order(&mut all, None);
        assert_eq!(all, commits([1, 2, 2, 6]));
        let mut all = commits([1, 5, 7, 6]);
        in_order(&mut all, Some(at(4)));
        assert_eq!(all, commits([1, 4, 4, 4]));
    }
}
