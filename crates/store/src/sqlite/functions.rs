//! The SQL functions that migrations, triggers and guards call on SQLite: who acts, since when, and with which rights
//! (on PostgreSQL: settings of the transaction and SQL functions), and the canonical texts of the audit trail.
//!
//! Permanent triggers use them, so another program can read the file but not write it behind the audit's back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rusqlite::functions::{Context as Call, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result, ffi};
use uuid::Uuid;

use crate::canonical::{self, AuditRow, Json};
use crate::value::time_text;

/// The two roles a statement can run as: PostgreSQL's `app_user` and `app_service`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorRole {
    /// Somebody: a person or an agent.
    User,
    /// Steward itself, where no person acts.
    Service,
}

/// Who runs the statements of the current transaction. Set it anew for every transaction.
#[derive(Debug, Clone)]
pub struct Context {
    /// None for the service.
    pub user_id: Option<Uuid>,
    /// Which of the two roles.
    pub role: ActorRole,
    /// What the user's role grants (`*`: everything); empty unless the user is active.
    pub permissions: Arc<BTreeSet<String>>,
    /// A program: what only a person may do is refused, whatever the role.
    pub is_agent: bool,
    /// For the audit trail.
    pub ip_address: Option<String>,
    /// For the audit trail.
    pub user_agent: Option<String>,
    /// For the audit trail.
    pub request_id: Option<String>,
    /// The transaction's time, UTC, `YYYY-MM-DDTHH:MM:SS.ffffffZ`. Empty: it is taken when a statement first asks for it.
    pub now: String,
}

/// The context that a connection's functions read.
pub type SharedContext = Arc<Mutex<Context>>;

/// What only a person may do; the same list as in `has_permission()` on PostgreSQL.
const PERSONS_ONLY: [&str; 5] =
    ["approval_decide", "approval_decide_own", "policy_admin", "server_admin", "user_admin"];

/// Separates the parts of what `audit_changes()` returns; JSON text cannot hold it unescaped.
const PART: char = '\u{1e}';

impl Context {
    /// Whether the actor holds `permission` now.
    pub fn has_permission(&self, permission: &str) -> bool {
        (self.permissions.contains("*") || self.permissions.contains(permission))
            && !(self.is_agent && PERSONS_ONLY.contains(&permission))
    }

    fn moment(&mut self) -> &str {
        if self.now.is_empty() {
            self.now = time_text(crate::value::now());
        }
        &self.now
    }
}

const RIGHTS: &str = "SELECT g.permission FROM main.users u JOIN main.role_permissions g ON g.role = u.role \
     WHERE u.id = ?1 AND u.status = 'active'";
/// An agent never gets more than what role `user` gives, whatever role its row names.
const RIGHTS_OF_AGENT: &str = "SELECT g.permission FROM main.role_permissions g \
     WHERE g.role = 'user' AND g.permission <> '*' AND EXISTS (\
       SELECT 1 FROM main.users u JOIN main.role_permissions o ON o.role = u.role \
       WHERE u.id = ?1 AND u.status = 'active' AND o.permission IN ('*', g.permission))";

/// What a user holds, and whether it is an agent.
#[derive(Debug, Clone)]
pub(super) struct Rights {
    pub(super) permissions: Arc<BTreeSet<String>>,
    pub(super) is_agent: bool,
}

/// What the user holds now.
pub(super) fn rights(conn: &Connection, user: &str) -> Result<Rights> {
    let is_agent = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM main.agents WHERE user_id = ?1)")?
        .query_row([user], |row| row.get(0))?;
    let mut rights = conn.prepare_cached(if is_agent { RIGHTS_OF_AGENT } else { RIGHTS })?;
    let held = rights.query_map([user], |row| row.get(0))?.collect::<Result<_>>()?;
    Ok(Rights { permissions: Arc::new(held), is_agent })
}

/// Registers every function on `conn`. They read `ctx` whenever a statement runs.
pub fn register(conn: &Connection, ctx: SharedContext) -> Result<()> {
    register_actor(conn, ctx)?;
    register_definer(conn)?;
    register_texts(conn)
}

/// Constant within a statement, which is what SQLite calls deterministic: the planner may then use an index for
/// `created_by = current_user_id()`, and calls the function once.
fn constant() -> FunctionFlags {
    FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS
}

fn register_actor(conn: &Connection, ctx: SharedContext) -> Result<()> {
    let c = Arc::clone(&ctx);
    conn.create_scalar_function("current_user_id", 0, constant(), move |_| {
        let ctx = locked(&c);
        Ok(if ctx.role == ActorRole::Service { None } else { ctx.user_id.map(|id| id.to_string()) })
    })?;
    let c = Arc::clone(&ctx);
    conn.create_scalar_function("is_service", 0, constant(), move |_| Ok(locked(&c).role == ActorRole::Service))?;
    let c = Arc::clone(&ctx);
    conn.create_scalar_function("has_permission", 2, constant(), move |call| {
        let (user, permission) = (text(call, 0)?, text(call, 1)?);
        let ctx = locked(&c);
        let is_me = match (user, ctx.user_id, ctx.role) {
            (Some(user), Some(me), ActorRole::User) => user == me.to_string(),
            _ => false,
        };
        Ok(is_me && permission.is_some_and(|p| ctx.has_permission(p)))
    })?;
    let c = Arc::clone(&ctx);
    conn.create_scalar_function("now", 0, constant(), move |_| Ok(locked(&c).moment().to_owned()))?;
    let c = Arc::clone(&ctx);
    conn.create_scalar_function("from_now", 1, constant(), move |call| {
        let length = SignedDuration::from_millis(call.get(0)?);
        let now: Timestamp = locked(&c).moment().parse().map_err(|e| failed(format!("now: {e}")))?;
        now.checked_add(length).map(time_text).map_err(|e| failed(format!("from_now: {e}")))
    })?;
    let c = Arc::clone(&ctx);
    conn.create_scalar_function("current_ip", 0, constant(), move |_| Ok(locked(&c).ip_address.clone()))?;
    let c = Arc::clone(&ctx);
    conn.create_scalar_function("current_request", 0, constant(), move |_| Ok(locked(&c).request_id.clone()))?;
    conn.create_scalar_function("current_agent", 0, constant(), move |_| Ok(locked(&ctx).user_agent.clone()))
}

/// `as_definer(x)` returns x and lets the one row that is being written pass `take_definer()` in the guard: so a trigger
/// of the schema proves that it, and no statement of an actor, writes the queue or the audit trail. It stands for
/// SECURITY DEFINER. The guard takes the ticket at once, so none is ever left over for a later statement.
fn register_definer(conn: &Connection) -> Result<()> {
    let each_time = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    let ticket = Arc::new(AtomicBool::new(false));
    let t = Arc::clone(&ticket);
    conn.create_scalar_function("as_definer", 1, each_time, move |call| {
        t.store(true, Ordering::SeqCst);
        call.get::<Value>(0)
    })?;
    conn.create_scalar_function("take_definer", 0, each_time, move |_| Ok(ticket.swap(false, Ordering::SeqCst)))?;
    // For a rule that no CHECK of the table can hold.
    conn.create_scalar_function("violate", 1, constant(), |call| -> Result<bool> {
        Err(failed(format!("CHECK constraint failed: {}", text(call, 0)?.unwrap_or_default())))
    })?;
    // For views of what the actor may not read at all.
    conn.create_scalar_function("refuse", 1, constant(), move |call| -> Result<bool> {
        Err(failed(format!("refused: {}", text(call, 0)?.unwrap_or_default())))
    })
}

fn register_texts(conn: &Connection) -> Result<()> {
    conn.create_scalar_function("sha256_hex", 1, constant(), |call| Ok(text(call, 0)?.map(canonical::sha256_hex)))?;
    conn.create_scalar_function("jsonb_text", 1, constant(), |call| {
        text(call, 0)?.map(canonical::jsonb_text).transpose().map_err(|error| failed(error.to_string()))
    })?;
    conn.create_scalar_function("audit_time", 1, constant(), |call| text(call, 0)?.map(audit_time).transpose())?;
    conn.create_scalar_function("audit_canonical", 10, constant(), audit_canonical)?;
    conn.create_scalar_function("audit_values", -1, constant(), audit_values)?;
    conn.create_scalar_function("audit_changes", -1, constant(), audit_changes)?;
    conn.create_scalar_function("audit_part", 2, constant(), |call| {
        let index = call.get::<u32>(1)?;
        Ok(text(call, 0)?.and_then(|parts| parts.split(PART).nth(index as usize)).map(str::to_owned))
    })
}

fn locked(ctx: &SharedContext) -> MutexGuard<'_, Context> {
    // The context is replaced as a whole, so a panic elsewhere cannot have left half of one.
    ctx.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(message: String) -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CONSTRAINT_DATATYPE), Some(message))
}

fn text<'a>(call: &'a Call<'_>, index: usize) -> Result<Option<&'a str>> {
    call.get_raw(index).as_str_or_null().map_err(|error| failed(error.to_string()))
}

/// A stored time as `to_jsonb(timestamptz)` prints it in a session at UTC: `2026-11-22T17:50:54.12+00:00`.
fn audit_time(stored: &str) -> Result<String> {
    let body = stored.strip_suffix('Z').filter(|body| body.len() == 26);
    match body.and_then(|body| body.split_once('.')) {
        Some((seconds, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            Ok(format!("{seconds}{point}{fraction}+00:00"))
        }
        None => Err(failed(format!("not a stored time (YYYY-MM-DDTHH:MM:SS.ffffffZ): {stored}"))),
    }
}

fn audit_canonical(call: &Call<'_>) -> Result<String> {
    let needed = |index, name: &str| text(call, index)?.ok_or_else(|| failed(format!("audit_trail.{name} is NULL")));
    canonical::audit_text(&AuditRow {
        id: needed(0, "id")?,
        user_id: text(call, 1)?,
        action: needed(2, "action")?,
        entity_type: text(call, 3)?,
        entity_id: text(call, 4)?,
        old_values: text(call, 5)?,
        new_values: text(call, 6)?,
        ip_address: text(call, 7)?,
        user_agent: text(call, 8)?,
        created_at: needed(9, "created_at")?,
    })
    .map_err(|error| failed(error.to_string()))
}

/// `audit_values('column[:kind]', value, …)`: the row as a JSON object, secrets hidden.
fn audit_values(call: &Call<'_>) -> Result<String> {
    let mut members = Vec::with_capacity(call.len() / 2);
    for index in (0..call.len()).step_by(2) {
        let column = Column::of(call, index)?;
        let value = column.value(call, index + 1)?;
        members.push((column.name.to_owned(), column.shown(value)));
    }
    Ok(Json::object(members).to_text())
}

/// `audit_changes('column[:kind]', old, new, …)`: NULL where nothing changed, else what changed as old object, new
/// object and the names, for `audit_part(…, 0 | 1 | 2)`. Values differ where their `jsonb` would.
fn audit_changes(call: &Call<'_>) -> Result<Option<String>> {
    let (mut was, mut is, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for index in (0..call.len()).step_by(3) {
        let column = Column::of(call, index)?;
        if same_bytes(call.get_raw(index + 1), call.get_raw(index + 2)) {
            continue;
        }
        let (old, new) = (column.value(call, index + 1)?, column.value(call, index + 2)?);
        if old != new {
            names.push(column.name);
            was.push((column.name.to_owned(), column.shown(old)));
            is.push((column.name.to_owned(), column.shown(new)));
        }
    }
    if names.is_empty() {
        return Ok(None);
    }
    let (was, is) = (Json::object(was).to_text(), Json::object(is).to_text());
    Ok(Some(format!("{was}{PART}{is}{PART}{}", names.join(","))))
}

fn same_bytes(a: ValueRef<'_>, b: ValueRef<'_>) -> bool {
    match (a, b) {
        (ValueRef::Null, ValueRef::Null) => true,
        (ValueRef::Integer(a), ValueRef::Integer(b)) => a == b,
        (ValueRef::Text(a), ValueRef::Text(b)) => a == b,
        _ => false,
    }
}

/// A column as an audit trigger names it: `name`, or `name:time`, `name:bool`, `name:json`, `name:secret`,
/// `name:secret-json`, `name:json-credentials` (an object whose member `credentials` is a secret).
struct Column<'a> {
    name: &'a str,
    kind: &'a str,
}

impl<'a> Column<'a> {
    fn of(call: &'a Call<'_>, index: usize) -> Result<Self> {
        let given = text(call, index)?.unwrap_or_default();
        let (name, kind) = given.split_once(':').unwrap_or((given, ""));
        Ok(Self { name, kind })
    }

    fn value(&self, call: &Call<'_>, index: usize) -> Result<Json> {
        Ok(match (call.get_raw(index), self.kind) {
            (ValueRef::Null, _) => Json::Null,
            (ValueRef::Integer(i), "bool") => Json::Bool(i != 0),
            (ValueRef::Integer(i), _) => Json::Number(i.to_string()),
            (ValueRef::Text(_), "json" | "secret-json" | "json-credentials") => {
                Json::parse(text(call, index)?.unwrap_or_default())
                    .map_err(|error| failed(format!("{}: {error}", self.name)))?
            }
            (ValueRef::Text(_), "time") => Json::String(audit_time(text(call, index)?.unwrap_or_default())?),
            (ValueRef::Text(_), _) => Json::String(text(call, index)?.unwrap_or_default().to_owned()),
            (ValueRef::Real(_) | ValueRef::Blob(_), _) => {
                return Err(failed(format!("{}: no such type in the schema", self.name)));
            }
        })
    }

    /// A secret shows that it is there, never what it is.
    fn shown(&self, value: Json) -> Json {
        match value {
            Json::Null => Json::Null,
            _ if self.kind.starts_with("secret") => secret(),
            Json::Object(members) if self.kind == "json-credentials" => {
                let hidden = |(name, value): (String, Json)| match (name.as_str(), value) {
                    ("credentials", value) if value != Json::Null => (name, secret()),
                    (_, value) => (name, value),
                };
                Json::Object(members.into_iter().map(hidden).collect())
            }
            value => value,
        }
    }
}

fn secret() -> Json {
    Json::String("(secret)".to_owned())
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod guard_tests;
#[cfg(test)]
#[path = "schema_tests.rs"]
mod schema_tests;
