//! Backups: what a bundle is, how it is encrypted, where it is kept, and how it comes back.
//!
//! A **bundle** is one whole backup: parts (the database, settings, the list of attachments), each an encrypted stream
//! bound to its bundle, name and place, and a manifest that names them all with size and SHA-256. It counts from the
//! moment its clear table of contents stands, which is written last. Attachments are ciphertext under their own names
//! already; they are copied once, as they come ([`attachments`]) or with a bundle, and shared by all bundles. A **place** is where bundles are kept: a directory or
//! S3-compatible storage. What a database gives and takes is the one thing in which the two engines differ.

pub mod attachments;
pub mod bundle;
pub mod claim;
pub mod engine;
pub mod error;
mod files;
pub mod keys;
pub mod manifest;
pub mod place;
pub mod postgres;
mod progress;
pub mod safe;
pub mod sealed;
pub mod ship;

pub use attachments::Attachments;
pub use bundle::{Bundle, Writer};
pub use claim::Claim;
pub use engine::{Engine, Server};
pub use error::{Error, Result};
pub use keys::{Opener, Sealer};
pub use manifest::{Contents, Manifest};
pub use place::Place;
pub use progress::Progress;
pub use safe::Safe;
