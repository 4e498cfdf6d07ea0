//! What a backup needs of a database that is SQL. Of a PostgreSQL database see [`postgres`]; of a SQLite file: a copy as of one moment beside running writers, what it holds, the write-ahead
//! log as it grows, and putting the log back onto a copy.
//!
//! While the log is **shipped**, a mark stands beside the file. Every connection of Steward, in whichever process, then
//! leaves checkpoints alone and notes the time of each commit; [`Source`] is the one that checkpoints. So the log starts
//! over only when all of it was handed out.

mod apply;
mod facts;
mod log;
mod mark;
pub mod postgres;
mod source;

pub(crate) use self::mark::watch;
pub use self::{
    apply::Applier,
    facts::{Facts, check, facts},
    log::{Batch, Commit, Position},
    mark::{is_shipped, ship, unship},
    source::{Checkpoint, Keep, Snapshot, Source, Step},
};
