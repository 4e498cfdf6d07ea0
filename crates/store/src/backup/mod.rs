//! What the safe needs of a database that is SQL.

pub mod postgres;
