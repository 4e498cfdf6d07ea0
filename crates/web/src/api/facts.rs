//! What a type does not say of a field: its range, its unit, the words it may be. The description of the API is enriched
//! with it, and handlers check by the same lists.

/// What a task can be.
pub(super) const TASK_STATUSES: &[&str] = &["pending", "in_progress", "completed", "failed", "cancelled"];
/// How much a task matters.
pub(super) const PRIORITIES: &[&str] = &["low", "medium", "high", "critical"];
/// What an approval can be.
pub(super) const APPROVAL_STATUSES: &[&str] = &["pending", "approved", "rejected", "expired"];
/// What a notification can be.
pub(super) const NOTIFICATION_STATUSES: &[&str] = &["unread", "read", "archived"];
const NOTIFICATION_TYPES: &[&str] = &["alert", "approval", "status", "error", "info"];
const CHANNELS: &[&str] = &["web", "email", "push", "sms"];
const ROLES: &[&str] = &["admin", "user", "observer"];
const USER_STATUSES: &[&str] = &["active", "inactive", "suspended"];
const SERVER_STATUSES: &[&str] = &["active", "inactive", "error"];
/// How much may go wrong.
pub(super) const RISKS: &[&str] = &["low", "normal", "high"];
const EFFECTS: &[&str] = &["allow", "ask", "deny"];
const STEP_STATES: &[&str] = &[
    "planned",
    "awaiting_approval",
    "allowed",
    "started",
    "succeeded",
    "failed",
    "denied",
    "skipped",
    "outcome_unknown",
];

/// What is said of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fact {
    /// One of these words.
    Words(&'static [&'static str]),
    /// Characters of a text, least and most.
    Chars(usize, usize),
    /// A number, least and most.
    Range(i64, i64),
    /// Entries of a list, at most.
    Items(usize),
}
use Fact::{Chars, Items, Range, Words};

/// Field by field: the schema, the field, what is said of it.
pub(super) const FACTS: &[(&str, &str, Fact)] = &[
    ("Task", "title", Chars(1, 255)),
    ("Task", "status", Words(TASK_STATUSES)),
    ("Task", "priority", Words(PRIORITIES)),
    ("Task", "estimated_duration", Range(0, i32::MAX as i64)),
    ("Task", "actual_duration", Range(0, i32::MAX as i64)),
    ("NewTask", "title", Chars(1, 255)),
    ("NewTask", "priority", Words(PRIORITIES)),
    ("NewTask", "estimated_duration", Range(0, i32::MAX as i64)),
    ("TaskEdit", "title", Chars(1, 255)),
    ("TaskEdit", "status", Words(TASK_STATUSES)),
    ("TaskEdit", "priority", Words(PRIORITIES)),
    ("TaskEdit", "estimated_duration", Range(0, i32::MAX as i64)),
    ("TaskEdit", "actual_duration", Range(0, i32::MAX as i64)),
    ("Remark", "summary", Chars(0, 4000)),
    ("Memory", "content", Chars(1, 1000)),
    ("NewFact", "content", Chars(1, 1000)),
    ("FactEdit", "content", Chars(1, 1000)),
    ("Memory", "source", Words(&["person", "task"])),
    ("Approval", "status", Words(APPROVAL_STATUSES)),
    ("Said", "note", Chars(0, 4000)),
    ("Account", "role", Words(ROLES)),
    ("Account", "status", Words(USER_STATUSES)),
    ("NewBrowser", "name", Chars(1, 100)),
    ("NewPasskey", "name", Chars(1, 100)),
    ("NewPerson", "username", Chars(1, 100)),
    ("NewPerson", "email", Chars(3, 255)),
    ("NewPerson", "role", Words(ROLES)),
    ("NewPerson", "password", Chars(15, 1000)),
    ("NewPassword", "new_password", Chars(15, 1000)),
    ("PasswordReset", "new_password", Chars(15, 1000)),
    ("NewPerson", "first_name", Chars(0, 100)),
    ("NewPerson", "last_name", Chars(0, 100)),
    ("AccountEdit", "username", Chars(1, 100)),
    ("AccountEdit", "email", Chars(3, 255)),
    ("AccountEdit", "role", Words(ROLES)),
    ("AccountEdit", "status", Words(USER_STATUSES)),
    ("AccountEdit", "first_name", Chars(0, 100)),
    ("AccountEdit", "last_name", Chars(0, 100)),
    ("Session", "role", Words(ROLES)),
    ("NewWatcher", "name", Chars(1, 100)),
    ("WatcherEdit", "name", Chars(1, 100)),
    ("Watcher", "error_count", Range(0, i32::MAX as i64)),
    ("Server", "status", Words(SERVER_STATUSES)),
    ("NewServer", "name", Chars(1, 100)),
    ("NewServer", "args", Items(100)),
    ("ServerEdit", "args", Items(100)),
    ("Policy", "effect", Words(EFFECTS)),
    ("Policy", "risk", Words(RISKS)),
    ("NewRule", "risk", Words(RISKS)),
    ("RuleEdit", "risk", Words(RISKS)),
    ("Policy", "position", Range(1, i32::MAX as i64)),
    ("Policy", "approval_ttl_minutes", Range(1, 525_600)),
    ("NewRule", "name", Chars(1, 100)),
    ("NewRule", "effect", Words(EFFECTS)),
    ("NewRule", "position", Range(1, i32::MAX as i64)),
    ("NewRule", "approval_ttl_minutes", Range(1, 525_600)),
    ("RuleEdit", "name", Chars(1, 100)),
    ("RuleEdit", "effect", Words(EFFECTS)),
    ("RuleEdit", "position", Range(1, i32::MAX as i64)),
    ("RuleEdit", "approval_ttl_minutes", Range(1, 525_600)),
    ("Judged", "effect", Words(EFFECTS)),
    ("Notification", "type", Words(NOTIFICATION_TYPES)),
    ("Notification", "status", Words(NOTIFICATION_STATUSES)),
    ("Notification", "channel", Words(CHANNELS)),
    ("NotificationEdit", "status", Words(NOTIFICATION_STATUSES)),
    ("LogLine", "level", Words(&store::system_logs::LEVELS)),
    ("Line", "level", Words(&store::system_logs::LEVELS)),
    ("Line", "module", Chars(0, 100)),
    ("Line", "message", Chars(0, 8000)),
    ("Line", "request_id", Chars(0, 100)),
    ("Step", "state", Words(STEP_STATES)),
    ("ScheduleEdit", "cron", Chars(1, 100)),
    ("ScheduleEdit", "time_zone", Chars(1, 100)),
];

/// Words of a filter in the address: the path, the field, the words.
pub(super) const FILTERS: &[(&str, &str, &[&str])] = &[
    ("/v1/tasks", "status", TASK_STATUSES),
    ("/v1/tasks", "priority", PRIORITIES),
    ("/v1/tasks", "sort", super::tasks::ORDERS),
    ("/v1/tasks/search", "status", TASK_STATUSES),
    ("/v1/tasks/search", "priority", PRIORITIES),
    ("/v1/approvals", "status", APPROVAL_STATUSES),
    ("/v1/notifications", "status", NOTIFICATION_STATUSES),
    ("/v1/briefing", "period", &["day", "week"]),
    ("/v1/ids", "kind", &store::beginnings::KINDS),
    ("/v1/logs", "level", &store::system_logs::LEVELS),
];
