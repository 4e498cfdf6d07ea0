//! The crate workers, not yet begun.
