//! The crate web, not yet begun.
