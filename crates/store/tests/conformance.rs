//! Every verb of the store on both databases, with the same assertions: each scenario is written once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;

#[path = "conformance/activity.rs"]
mod activity;
#[path = "conformance/api_tokens.rs"]
mod api_tokens;
#[path = "conformance/approvals.rs"]
mod approvals;
#[path = "conformance/audit_requests.rs"]
mod audit_requests;
#[path = "conformance/audit_trail.rs"]
mod audit_trail;
#[path = "conformance/briefing.rs"]
mod briefing;
#[path = "conformance/events.rs"]
mod events;
#[path = "conformance/files_and_logs.rs"]
mod files_and_logs;
#[path = "conformance/idempotency_keys.rs"]
mod idempotency_keys;
#[path = "conformance/kept_files.rs"]
mod kept_files;
#[path = "conformance/mcp_servers.rs"]
mod mcp_servers;
#[path = "conformance/models.rs"]
mod models;
#[path = "conformance/notifications.rs"]
mod notifications;
#[path = "conformance/passkeys.rs"]
mod passkeys;
#[path = "conformance/policies_and_schedules.rs"]
mod policies_and_schedules;
#[path = "conformance/push_subscriptions.rs"]
mod push_subscriptions;
#[path = "conformance/runs.rs"]
mod runs;
#[path = "conformance/search.rs"]
mod search;
#[path = "conformance/second_factors.rs"]
mod second_factors;
#[path = "conformance/server_grants.rs"]
mod server_grants;
#[path = "conformance/sessions.rs"]
mod sessions;
#[path = "conformance/task_queue.rs"]
mod task_queue;
#[path = "conformance/tasks.rs"]
mod tasks;
#[path = "conformance/transactions.rs"]
mod transactions;
#[path = "conformance/trust.rs"]
mod trust;
#[path = "conformance/users.rs"]
mod users;
#[path = "conformance/watchers.rs"]
mod watchers;
