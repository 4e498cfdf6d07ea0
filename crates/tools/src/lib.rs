//! MCP servers as Steward uses them: started, watched, called once per decision, and ended with all they started.
//!
//! A server is a program somebody else wrote. It is given a small environment, bounded time and memory, and no trust:
//! what it says of its tools is hashed and must be approved by a person, and what its tools return is data.
//!
//! [`Supervisors`] keeps the wanted servers running; a [`ServerHandle`] calls one. Of every call that has no result a
//! [`CallError`] says whether the server may have acted. [`probe`] asks a server what it offers where none runs.
//!
//! [`builtin`] holds servers that need no program: they are spoken to, approved and called like any other.
//!
//! [`own`] is the other direction: Steward's own server, for other people's agents.

mod asking;
mod authorize;
mod bearer;
pub mod builtin;
mod connection;
mod definition;
mod error;
mod events;
mod frames;
mod frozen;
mod handle;
mod leftovers;
mod limits;
mod lines;
mod link;
mod news;
pub mod own;
mod peer;
mod process;
mod reader;
mod registry;
mod remote;
mod resources;
mod result;
mod secrets;
mod session;
mod spec;
mod supervisor;

pub use asking::{Asks, Question};
pub use authorize::{Authorization, ClientIdentity, Grant, challenge};
pub use bearer::{GrantKeeper, Granted};
pub use definition::{ToolDefinition, canonical_json};
pub use error::{CallError, StartError};
pub use events::{EventKind, ServerEvent};
pub use handle::{ServerHandle, ToolCall};
pub use leftovers::reap_leftovers;
pub use limits::Limits;
pub use news::{CallNews, Progress};
pub use registry::Supervisors;
pub use resources::{Resource, ResourceLink, links, resources_in};
pub use result::CallResult;
pub use session::probe;
pub use spec::ServerSpec;
pub use supervisor::{Context, supervise};
