//! PostgreSQL's part of the safe that is SQL: one moment held still for a dump, what a restored database needs before and
//! after, and how the archive of the log (WAL) stands. The programs that copy are `backup`'s.

mod archive;
mod held;
mod libpq;
mod place;

pub use self::{
    archive::{Archive, Server, archive, clock, last_replayed, server, set_archiving, switch_log},
    held::{Facts, Held, Incarnation, facts, incarnation, is_same_database, reader, set_apart},
    libpq::LibPq,
    place::{Place, drop_database, make_database, prepare_roles, settle, swap_in},
};
