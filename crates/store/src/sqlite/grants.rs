//! Which statements a role may not run at all: what the grants of `migrations/postgres/0021_privileges.sql` say, before any
//! row is looked at. The guard judges row by row, so without this list a statement that meets no row would pass.
//! `src/prepared.rs` asks PostgreSQL and compares.

use crate::{Actor, Principal, statement::Statement};

/// Refused to users, agents and whoever is not known.
pub(crate) const NOT_FOR_USERS: &[&str] = &[
    "api_tokens/by_token",
    "api_tokens/touch_all",
    "file_attachments/expire",
    "log_keeping/detach",
    "log_keeping/discard",
    "log_keeping/drain",
    "log_keeping/partitions",
    "log_keeping/read",
    "log_keeping/remove",
    "mcp_servers/secrets",
    "mcp_servers/set_status",
    "schedule_fires/create",
    "schedule_fires/finish",
    "schedule_fires/give_back",
    "schedule_fires/prune",
    "schedule_fires/renew",
    "schedule_fires/retake",
    "schedules/advance",
    "schedules/follow",
    "schedules/log_partitions",
    "schedules/record",
    "schedules/refresh_statistics",
    "schedules/unreadable",
    "server_tools/see",
    "server_tools/withdraw",
    "sessions/by_token",
    "sessions/cleanup",
    "sessions/create",
    "sessions/tokens",
    "sessions/touch",
    "sessions/touch_all",
    "setup_links/clear",
    "setup_links/create",
    "setup_links/take",
    "users/credentials",
    "users/touch_login",
];

/// Refused to Steward itself where no person acts.
pub(crate) const NOT_FOR_SERVICE: &[&str] = &[
    "api_tokens/create",
    "api_tokens/revoke",
    "approvals/add_call",
    "approvals/add_edit",
    "approvals/approve",
    "approvals/create",
    "approvals/reject",
    "file_attachments/create",
    "mcp_servers/create",
    "mcp_servers/delete",
    "mcp_servers/set_active",
    "notifications/set_status",
    "policies/create",
    "policies/delete",
    "runs/create",
    "runs/finish",
    "schedules/request",
    "schedules/set",
    "server_tools/approve",
    "steps/ask",
    "steps/create",
    "steps/end",
    "steps/start",
    "steps/unsend",
    "system_logs/search",
    "task_provenance/create",
    "tasks/assign",
    "tasks/create",
    "tasks/delete",
    "tasks/lock",
    "tasks/search",
    "tasks/set_status",
    "tasks/update",
    "users/account",
    "users/accounts",
    "users/set_role",
    "users/set_status",
    "watcher_cursors/put",
    "watcher_events/create",
    "watchers/create",
    "watchers/delete",
    "watchers/set_active",
];

/// Whether the actor's role may run the statement on rows that the guard then judges.
pub(super) fn is_granted(actor: &Actor, statement: &Statement) -> bool {
    let refused = if actor.principal == Principal::Service { NOT_FOR_SERVICE } else { NOT_FOR_USERS };
    refused.binary_search(&statement.name).is_err()
}
