//! What SQL on a guarded connection may not even ask for: another structure, a switched-off guard, and rows that the
//! schema's triggers keep. SQLite asks when it prepares a statement; on PostgreSQL the same is the owner's alone.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Indexes and lists that triggers keep, and the list of migrations.
const KEPT: [&str; 4] = ["idx_logs_fulltext", "idx_tasks_fulltext", "schema_migrations", "task_dependencies"];
/// Settings that a guard or a rule of the schema rests on.
const SETTINGS: [&str; 6] = [
    "foreign_keys",
    "ignore_check_constraints",
    "query_only",
    "recursive_triggers",
    "trusted_schema",
    "writable_schema",
];

/// Allows what Steward's statements need.
pub(super) fn authorize(asked: &AuthContext<'_>) -> Authorization {
    let refused = match asked.action {
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => asked.accessor.is_none() && KEPT.contains(&table_name),
        AuthAction::Pragma { pragma_name, pragma_value } => pragma_value.is_some() && SETTINGS.contains(&pragma_name),
        // ANALYZE makes tables of this kind.
        AuthAction::CreateTable { table_name } => !table_name.starts_with("sqlite_stat"),
        AuthAction::CreateIndex { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::CreateVtable { .. }
        | AuthAction::DropIndex { .. }
        | AuthAction::DropTable { .. }
        | AuthAction::DropTempIndex { .. }
        | AuthAction::DropTempTable { .. }
        | AuthAction::DropTempTrigger { .. }
        | AuthAction::DropTempView { .. }
        | AuthAction::DropTrigger { .. }
        | AuthAction::DropView { .. }
        | AuthAction::DropVtable { .. }
        | AuthAction::AlterTable { .. }
        | AuthAction::Attach { .. }
        | AuthAction::Detach { .. } => true,
        _ => false,
    };
    if refused { Authorization::Deny } else { Authorization::Allow }
}
