//! Who may do what with SQL alone, past our code: each table and view of the live catalogue, each column, tried by each
//! role in each relation. On PostgreSQL another program's connection sends the text as `app_user` or `app_service`; on
//! SQLite it meets the guard of the store's own connection. The answers stand in `golden/permissions_sql.txt`, one file
//! for both, with what only one of them can be asked at its end. A table that is missing in [`TABLES`] fails the test.

#[path = "raw_postgres.rs"]
mod only_postgres;
#[path = "raw_owner.rs"]
mod owner;
#[path = "world.rs"]
#[allow(dead_code, reason = "the matrix of verbs uses the rest")]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use futures_util::future::join3;
use owner::Owner;
use tokio_postgres::{Client, SimpleQueryMessage};
use world::{RELATIONS, ROLES, World};

use crate::{
    Target,
    common::{self, Db, Engine, id, kind, undone},
    postgres::translate,
    run::Run,
    schedules,
    statement::Statement,
    users,
    value::Row,
};

const HEAD: &str = "\
# What SQL alone may do, past our code: one line a table, a try and a relation to the row, one column a role; the same on
# both databases. The columns that a line speaks of stand at its end; a line without them speaks of all others, or of the
# whole row.
# seen      the row is answered                 -         it is not
# hidden    the row is answered, not this column of it
# done      the change was made                 nothing   no row was changed, and nothing was said of it
# refused   the actor may not do this at all    a name    the constraint that refused, after permission was given
# creator   made the task and its watcher (a watcher acts as this user); the row of users and accounts is this user's
# assignee  the task is assigned to, asked for the approval, keeps the journal
# stranger  neither; any: the relation makes no difference
";

/// Columns and values.
type Fresh = &'static [(&'static str, &'static str)];

/// Every table and view that both databases have: what finds the row that is tried, and what a second row must have of
/// its own. Names in braces are those of [`fill`].
const TABLES: &[(&str, &str, Fresh)] = &[
    ("accounts", "id = '{creator}'", &[("id", "{new}"), ("username", "raw"), ("email", "raw@example.org")]),
    ("agents", "user_id = '{employee}'", &[("user_id", "{other}")]),
    ("api_tokens", "id = '{api_token}'", &[("id", "{new}"), ("token", "{hex}")]),
    ("approval_calls", "approval_id = '{approval}'", &[("approval_id", "{bare_approval}")]),
    ("approval_edits", "approval_id = '{approval}'", &[("approval_id", "{bare_approval}")]),
    ("approval_votes", "approval_id = '{approval}'", &[("approval_id", "{bare_approval}")]),
    ("approvals", "id = '{bare_approval}'", &[("id", "{new}")]),
    ("audit_chain", "seq = 1", &[("seq", "999999"), ("audit_id", "{new}")]),
    ("audit_requests", "request_id = '{request}'", &[("audit_id", "{new}")]),
    ("audit_trail", "entity_id = '{task}' AND action = 'task_created'", &[("id", "{new}")]),
    ("contacts", "address = 'bob@example.org'", &[("address", "raw@example.org")]),
    ("daily_activity", "level = 'info'", &[]),
    ("file_attachments", "id = '{attachment}'", &[("id", "{new}")]),
    ("handbook", "version = 1", &[("version", "2")]),
    ("idempotency_keys", "user_id = '{creator}' AND key = 'key'", &[("key", "raw")]),
    ("kept_files", "storage_path = 'ab/kept'", &[("storage_path", "ab/raw")]),
    ("login_tries", "key = '{link}'", &[("key", "{hex}")]),
    ("master_key", "fingerprint = '0123456789abcdef'", &[("fingerprint", "fedcba9876543210")]),
    ("mcp_servers", "id = '{server}'", &[("id", "{new}"), ("name", "raw")]),
    ("memories", "id = '{memory}'", &[("id", "{new}")]),
    ("model_spend", "model = 'main'", &[("model", "raw")]),
    ("model_turns", "id = '{turn}'", &[("id", "{new}"), ("ordinal", "99")]),
    ("notification_channels", "channel = 'email'", &[("channel", "sms"), ("id", "{new}")]),
    ("notification_outbox", "notification_id = '{notification}'", &[("notification_id", "{new}")]),
    ("notifications", "id = '{notification}'", &[("id", "{new}")]),
    ("passkeys", "user_id = '{creator}'", &[("id", "{new}"), ("credential_sha256", "{hex}")]),
    ("playbooks", "name = 'used'", &[("id", "{new}"), ("name", "raw")]),
    ("policies", "id = '{policy}'", &[("id", "{new}"), ("name", "raw")]),
    ("push_keys", "id = 1", &[("id", "2")]),
    ("push_subscriptions", "user_id = '{creator}'", &[("id", "{new}"), ("endpoint_sha256", "{hex}")]),
    ("recovery_codes", "user_id = '{creator}'", &[("code", "{hex}")]),
    ("role_permissions", "role = 'user' AND permission = 'task_create'", &[("permission", "raw")]),
    ("runs", "id = '{run}'", &[("id", "{new}"), ("number", "99")]),
    ("schedule_fires", "name = 'cleanup-sessions'", &[("name", "log-partitions")]),
    ("schedules", "name = 'cleanup-sessions'", &[("name", "raw")]),
    ("schema_migrations", "version = 1", &[("version", "9999")]),
    ("second_factors", "user_id = '{creator}'", &[("user_id", "{other}")]),
    ("server_grants", "server_id = '{server}'", &[("server_id", "{new}")]),
    ("server_tools", "server_id = '{server}' AND name = 'move_file'", &[("name", "raw")]),
    ("sessions", "id = '{session}'", &[("id", "{new}"), ("token", "{hex}")]),
    ("setup_links", "token = '{link}'", &[("token", "{hex}")]),
    ("steps", "id = '{step}'", &[("id", "{new}"), ("ordinal", "99")]),
    ("system_logs", "id = '{log}'", &[("id", "{new}")]),
    ("system_logs_partitioned", "id = '{log}'", &[("id", "{new}")]),
    ("task_provenance", "task_id = '{task}'", &[("task_id", "{second}")]),
    ("task_queue", "task_id = '{queued}'", &[("task_id", "{second}"), ("assignee", "{other}"), ("priority_rank", "9")]),
    ("task_summary", "id = '{task}'", &[("id", "{new}")]),
    ("tasks", "id = '{task}'", &[("id", "{new}")]),
    ("users", "id = '{creator}'", &[("id", "{new}"), ("username", "raw"), ("email", "raw@example.org")]),
    ("watcher_cursors", "watcher_id = '{watcher}'", &[]),
    ("watcher_events", "watcher_id = '{watcher}' AND event_key = 'key'", &[("event_key", "raw")]),
    ("watchers", "id = '{watcher}'", &[("id", "{new}")]),
    ("work_time", "worked_ms > 0", &[("day", "2020-01-01")]),
];

/// Tables that SQLite alone has: indexes of its own that triggers keep, with their shadows. They are no one's to write.
const ONLY_SQLITE: &[&str] = &["task_dependencies", "idx_tasks_fulltext", "idx_logs_fulltext"];

fn fill(text: &str, db: &Db, w: &World) -> String {
    let new = uuid::Uuid::from_u128(0xabc);
    let values = [
        ("task", w.task.id),
        ("second", w.second),
        ("approval", w.approval),
        ("bare_approval", w.bare_approval),
        ("run", w.run),
        ("step", w.step),
        ("turn", w.turn),
        ("memory", w.memory),
        ("attachment", w.attachment),
        ("watcher", w.watcher),
        ("notification", w.notification),
        ("creator", w.creator),
        ("session", w.session),
        ("api_token", w.api_token),
        ("log", w.log),
        ("other", w.other),
        ("server", w.server),
        ("policy", w.policy),
        ("request", w.request),
        ("employee", id(&db.employee)),
        ("new", new),
    ];
    let filled =
        values.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), &id.to_string()));
    filled.replace("{link}", &w.link).replace("{hex}", &"e".repeat(64))
}

/// What a statement answered: for each row, which columns hold a value; and how many rows it changed.
struct Answer {
    rows: Vec<Vec<bool>>,
    changed: u64,
}

/// Sends SQL as somebody.
enum Sender<'a> {
    Sqlite(&'a Db),
    Postgres(Client),
}

impl Sender<'_> {
    /// One statement, undone again. What refuses is answered by its name.
    async fn send(&self, w: &World, sql: &str) -> Result<Answer, String> {
        let answer = match self {
            Self::Postgres(client) => {
                let (saved, answer, undone) = join3(
                    client.batch_execute("SAVEPOINT tried"),
                    client.simple_query(sql),
                    client.batch_execute("ROLLBACK TO SAVEPOINT tried"),
                )
                .await;
                saved.unwrap();
                undone.unwrap();
                answer.map(of_messages).map_err(|e| match e.code().map(tokio_postgres::error::SqlState::code) {
                    // Not for this kind of relation, which is no's other word.
                    Some("55000" | "0A000") => "refused".to_owned(),
                    _ => kind(&translate("raw", &e)),
                })
            }
            Self::Sqlite(db) => {
                let text: &'static str = Box::leak(sql.to_owned().into_boxed_str());
                let statement: &'static Statement =
                    Box::leak(Box::new(Statement::new("raw", text, text, &[], false, false)));
                let (actor, reads) = (w.actor.clone(), sql.starts_with("SELECT"));
                undone(&db.store, move |tx| {
                    Box::pin(async move {
                        if reads {
                            tx.rows(&actor, statement, Vec::new()).await.map(of_rows)
                        } else {
                            let changed = tx.execute(&actor, statement, Vec::new()).await?;
                            Ok(Answer { rows: Vec::new(), changed })
                        }
                    })
                })
                .await
                .map_err(|e| kind(&e))
            }
        };
        answer.map_err(refused)
    }
}

/// SQLite's own words for a refusal.
fn refused(told: String) -> String {
    let own = ["because it is a view", "may not be modified"];
    if own.iter().any(|words| told.contains(words)) { "refused".to_owned() } else { told }
}

fn of_messages(messages: Vec<SimpleQueryMessage>) -> Answer {
    let mut answer = Answer { rows: Vec::new(), changed: 0 };
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => answer.rows.push((0..row.len()).map(|i| row.get(i).is_some()).collect()),
            SimpleQueryMessage::CommandComplete(count) => answer.changed = count,
            _ => {}
        }
    }
    answer
}

fn of_rows(rows: Vec<Row>) -> Answer {
    let holds = |row| match row {
        Row::Sqlite(values) => values.iter().map(|v| *v != rusqlite::types::Value::Null).collect(),
        Row::Postgres(_) => panic!("this is SQLite"),
    };
    Answer { rows: rows.into_iter().map(holds).collect(), changed: 0 }
}

/// Table, number of the try in its order, the try, column; then role and relation.
type Cells = BTreeMap<(String, usize, &'static str, String), BTreeMap<(&'static str, &'static str), String>>;
const SEE: usize = 0;
const SEE_COLUMN: usize = 1;

async fn matrix(db: &Db) -> Cells {
    let owner = Owner::of(db).await;
    let mut cells = Cells::new();
    let worlds = world::every(db).await;
    let mut columns = BTreeMap::new();
    for (table, ..) in TABLES {
        columns.insert(*table, owner.columns(table).await);
    }
    for ((role, relation), w) in &worlds {
        // Columns that are hidden must hold something, or nothing is shown by their absence.
        users::touch_login(&db.service, &db.store, w.creator).await.unwrap();
        let sender = match &db.owner.target {
            Target::Sqlite(_) => Sender::Sqlite(db),
            Target::Postgres(_) => Sender::Postgres(only_postgres::acting_as(db, &w.actor).await),
        };
        for (table, condition, fresh) in TABLES {
            let columns = &columns[table];
            let condition = fill(condition, db, w).replace("{queued}", &owner.queued(db, w).await);
            let literals = owner.literals(table, columns, &condition).await;
            let mut note = |order, what, column: &str, answer: String| {
                assert!(!answer.contains("unexpected"), "{role} as {relation}: {what} {table} {column}: {answer}");
                let key = ((*table).to_owned(), order, what, column.to_owned());
                cells.entry(key).or_default().insert((role, relation), answer);
            };
            let (row, seen) = see(&sender, w, table, &condition, columns, &literals).await;
            note(SEE, "see", "", row);
            for (column, answer) in columns.iter().zip(seen) {
                note(SEE_COLUMN, "see", column, answer);
            }
            // A change to what a second row has of its own; where a column has nothing such, to what it holds.
            let values: Vec<String> = columns
                .iter()
                .zip(&literals)
                .map(|(c, literal)| {
                    let own = fresh.iter().find(|(name, _)| name == c);
                    own.map_or_else(|| literal.clone(), |(_, text)| format!("'{}'", fill(text, db, w)))
                })
                .collect();
            let insert = format!("INSERT INTO {table} (\"{}\") VALUES ({})", columns.join("\", \""), values.join(", "));
            // Through a view SQLite counts no row.
            let inserted = sender.send(w, &insert).await.map_or_else(|e| e, |_| "done".to_owned());
            note(2, "insert", "", inserted);
            for (column, value) in columns.iter().zip(&values) {
                let update = format!("UPDATE {table} SET \"{column}\" = {value} WHERE {condition}");
                note(3, "update", column, changed(sender.send(w, &update).await));
            }
            let delete = format!("DELETE FROM {table} WHERE {condition}");
            note(4, "delete", "", changed(sender.send(w, &delete).await));
        }
    }
    cells
}

fn changed(answer: Result<Answer, String>) -> String {
    answer.map_or_else(|e| e, |a| if a.changed > 0 { "done" } else { "nothing" }.to_owned())
}

/// How the row is answered, and each of its columns.
async fn see(
    sender: &Sender<'_>,
    w: &World,
    table: &str,
    condition: &str,
    columns: &[String],
    literals: &[String],
) -> (String, Vec<String>) {
    let alike = |word: &str| (word.to_owned(), vec![word.to_owned(); columns.len()]);
    let hidden_or = |shown: bool, literal: &String| if shown || literal == "NULL" { "seen" } else { "hidden" };
    match sender.send(w, &format!("SELECT \"{}\" FROM {table} WHERE {condition}", columns.join("\", \""))).await {
        Ok(answer) => match answer.rows.first() {
            None => alike("-"),
            Some(row) => (
                "seen".to_owned(),
                row.iter().zip(literals).map(|(shown, literal)| hidden_or(*shown, literal).to_owned()).collect(),
            ),
        },
        Err(refusal) => {
            // A column that is not granted refuses the whole row: one by one, then.
            let mut each = Vec::new();
            for column in columns {
                each.push(sender.send(w, &format!("SELECT \"{column}\" FROM {table} WHERE {condition}")).await);
            }
            let Some(rows) = each.iter().find_map(|a| a.as_ref().ok()) else { return alike(&refusal) };
            if rows.rows.is_empty() {
                return alike("-");
            }
            for ((answer, literal), column) in each.iter().zip(literals).zip(columns) {
                assert!(
                    answer.is_ok() || literal != "NULL",
                    "{table}.{column} is hidden: let the world put a value there"
                );
            }
            let of = |a: &Result<Answer, String>| if a.is_ok() { "seen" } else { "hidden" }.to_owned();
            ("seen".to_owned(), each.iter().map(of).collect())
        }
    }
}

/// Lines of a matrix: columns that are answered alike stand together, and relations that make no difference as one.
fn lines(cells: &Cells) -> Vec<Vec<String>> {
    let mut out = vec![
        ["table", "try", "relation"].iter().chain(ROLES).map(|s| (*s).to_owned()).chain([String::new()]).collect(),
    ];
    let mut groups: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for ((table, order, what, column), answers) in cells {
        groups.entry((table, order, what, answers)).or_default().push(column);
    }
    for ((table, order, what, answers), columns) in groups {
        let whole = cells.get(&(table.clone(), SEE, "see", String::new()));
        if *order == SEE_COLUMN && whole == Some(answers) {
            continue;
        }
        let told = columns.join(" ");
        let cell = |role, relation| answers.get(&(role, relation)).cloned().unwrap_or_default();
        let same = ROLES.iter().all(|role| {
            let each: BTreeSet<String> = RELATIONS.iter().map(|r| cell(role, r)).filter(|c| !c.is_empty()).collect();
            each.len() == 1
        });
        let relations = if same { &["any"][..] } else { RELATIONS };
        for relation in relations {
            let of = |role: &&'static str| cell(role, if same { "stranger" } else { relation });
            let named = [table.clone(), (*what).to_owned(), (*relation).to_owned()];
            out.push(named.into_iter().chain(ROLES.iter().map(of)).chain([told.clone()]).collect());
        }
    }
    out
}

/// The text of lines in columns.
fn aligned(cells: &[Vec<String>]) -> String {
    let widths: Vec<usize> =
        (0..cells[0].len()).map(|c| cells.iter().map(|l| l[c].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in cells {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(text, "{}", padded.join("  ").trim_end()).unwrap();
    }
    text
}

/// What SQLite keeps beside the tables is written by its triggers alone, and its structure by migrations.
async fn only_sqlite(db: &Db, owner: &Owner) -> String {
    let beside: BTreeSet<String> = owner.relations().await;
    let known: BTreeSet<String> =
        TABLES.iter().map(|t| t.0).chain(ONLY_SQLITE.iter().copied()).map(str::to_owned).collect();
    assert_eq!(beside, known, "a table of SQLite is not tried: add it to TABLES");
    let mut text = String::from("\n# Only on SQLite, tried by each of user, admin, agent and service.\n");
    let mut tries: Vec<String> = Vec::new();
    for table in ONLY_SQLITE {
        let column = &owner.columns(table).await[0];
        tries.push(format!("INSERT INTO {table} (\"{column}\") VALUES ('x')"));
        tries.push(format!("UPDATE {table} SET \"{column}\" = 'x'"));
        tries.push(format!("DELETE FROM {table}"));
    }
    tries.extend(
        [
            "DELETE FROM idx_tasks_fulltext_data",
            "DROP TABLE main.tasks",
            "DROP TRIGGER guard_tasks_insert",
            "DROP VIEW temp.tasks",
            "CREATE TEMP TABLE shadow (id TEXT)",
            "CREATE TRIGGER main.mine AFTER INSERT ON tasks BEGIN SELECT 1; END",
            "ALTER TABLE main.tasks RENAME TO mine",
            "ATTACH DATABASE ':memory:' AS other",
            "PRAGMA writable_schema = ON",
        ]
        .map(str::to_owned),
    );
    let store = &db.store;
    for sql in tries {
        let leaked: &'static str = Box::leak(sql.clone().into_boxed_str());
        let statement: &'static Statement =
            Box::leak(Box::new(Statement::new("raw", leaked, leaked, &[], false, false)));
        let mut answers = BTreeSet::new();
        for actor in [&db.bob, &db.ada, &db.employee, &db.service] {
            let actor = actor.clone();
            let answer =
                undone(store, move |tx| Box::pin(async move { tx.execute(&actor, statement, Vec::new()).await })).await;
            answers.insert(answer.map_or_else(|e| refused(kind(&e)), |_| "done".to_owned()));
        }
        let answers: Vec<String> = answers.into_iter().collect();
        writeln!(text, "{:<10}{sql}", answers.join(", ")).unwrap();
    }
    text
}

/// What an engine answers: the lines of the matrix, and the section that is its own.
async fn answers(engine: Engine) -> (Vec<Vec<String>>, String) {
    let mut found = (Vec::new(), String::new());
    common::with(engine, async |db| {
        let (on, at) = (&db.store, crate::now());
        schedules::plan(&db.service, on, "cleanup-sessions", at).await.unwrap();
        schedules::fire(&db.service, on, "cleanup-sessions", at, "w", common::seconds(60)).await.unwrap();
        found.0 = lines(&matrix(db).await);
        let owner = Owner::of(db).await;
        found.1 = match engine {
            Engine::Sqlite => only_sqlite(db, &owner).await,
            Engine::Postgres => only_postgres::section(db, &owner).await,
        };
    })
    .await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_alone_is_answered_as_the_golden_file_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/permissions_sql.txt");
    let (lite, server) = tokio::join!(answers(Engine::Sqlite), answers(Engine::Postgres));
    let (found, only) = ([lite.0, server.0], [lite.1, server.1]);
    let alike: BTreeSet<&Vec<String>> = found[0].iter().collect();
    let other: BTreeSet<&Vec<String>> = found[1].iter().collect();
    let differing: Vec<String> = (alike.difference(&other).map(|l| format!("SQLite     {}", l.join(" "))))
        .chain(other.difference(&alike).map(|l| format!("PostgreSQL {}", l.join(" "))))
        .collect();
    assert!(differing.is_empty(), "the databases answer differently:\n{}", differing.join("\n"));
    let text = format!("{HEAD}{}{}{}", aligned(&found[0]), only[1], only[0]);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let (said, is): (BTreeSet<&str>, BTreeSet<&str>) = (golden.lines().collect(), text.lines().collect());
    let differing: Vec<String> = said
        .difference(&is)
        .map(|line| format!("golden {line}"))
        .chain(is.difference(&said).map(|line| format!("found  {line}")))
        .collect();
    assert!(golden == text, "not as tests/golden/permissions_sql.txt says:\n{}", differing.join("\n"));
}
