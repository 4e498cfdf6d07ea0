//! The crate tools, not yet begun.
