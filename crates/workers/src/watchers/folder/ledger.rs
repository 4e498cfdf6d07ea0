//! Remembers which files are dealt with, so that a look need not ask the intake about each again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::facts::Facts;

/// Twice what one look goes through; past it everything is forgotten and asked again.
const MAX_MARKS: usize = 400_000;

/// A bounded memory of path and facts, as hashes of 128 bits under keys of this process.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keys: [RandomState; 2],
    marks: HashMap<(u64, u64), u32>,
    look: u32,
}

impl Ledger {
    fn key(&self, path: &Path, facts: &Facts) -> (u64, u64) {
        (self.keys[0].hash_one((path, facts)), self.keys[1].hash_one((path, facts)))
    }

    /// Begins a look: what it does not meet is forgotten by [`Ledger::end_look`].
    pub(super) fn begin_look(&mut self) {
        self.look = self.look.wrapping_add(1);
    }

    /// Whether the file, as it is now, is dealt with.
    pub(super) fn meets(&mut self, path: &Path, facts: &Facts) -> bool {
        let key = self.key(path, facts);
        match self.marks.get_mut(&key) {
            Some(look) => {
                *look = self.look;
                true
            }
            None => false,
        }
    }

    /// Ends a look that went through everything.
    pub(super) fn end_look(&mut self) {
        let look = self.look;
        self.marks.retain(|_, met| *met == look);
    }

    /// Notes that the file, as it is now, is dealt with.
    pub(super) fn mark(&mut self, path: &Path, facts: &Facts) {
        if self.marks.len() >= MAX_MARKS {
            self.marks.clear();
        }
        let key = self.key(path, facts);
        self.marks.insert(key, self.look);
    }
}
