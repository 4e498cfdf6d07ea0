//! The crate domain, not yet begun.
