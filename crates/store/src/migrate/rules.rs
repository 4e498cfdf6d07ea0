//! What a migration of PostgreSQL may not do to a table that grows with the work: hold a lock for longer than it takes to
//! note a change. These tests read the texts of all migrations since the first release.

use regex::Regex;

use super::{MIGRATIONS, online, split};

/// The last migration that came with the first release: an empty database needs no such care.
const FIRST_RELEASE: i32 = 21;

/// Landed before this rule: it builds an index of `tasks` in its transaction.
const BEFORE_THE_RULE: [i32; 1] = [24];

/// Tables that grow with the work.
const BIG: [&str; 16] = [
    "tasks",
    "approvals",
    "system_logs",
    "sessions",
    "file_attachments",
    "notifications",
    "notification_outbox",
    "audit_trail",
    "audit_chain",
    "task_provenance",
    "task_queue",
    "runs",
    "steps",
    "approval_calls",
    "watcher_events",
    "schedule_fires",
];

/// (What a statement looks like, what to do instead.)
const FORBIDDEN: [(&str, &str); 12] = [
    (
        r"^create (unique )?index (if not exists )?\w+ on (only )?BIG\b",
        "build it CONCURRENTLY in a migration of its own that is marked `-- online`",
    ),
    (
        r"^alter table (only )?BIG add (constraint \w+ )?(unique|primary key) ?\(",
        "build a unique index beside the work (`-- online`), then ADD CONSTRAINT … USING INDEX",
    ),
    (r"^alter table (only )?BIG add constraint \w+ exclude", "no exclusion constraint can be built beside the work"),
    (
        r"^alter table (only )?BIG .*alter (column )?\w+ (set data )?type",
        "it rewrites the table: add a column and fill it in batches",
    ),
    (
        r"^alter table (only )?BIG .*set not null",
        "add CHECK (… IS NOT NULL) NOT VALID, and validate it in a migration marked `-- online`",
    ),
    (
        r"^alter table (only )?BIG .*add column (if not exists )?\w+ [^,]*default [^,]*\(",
        "a default that is worked out row by row rewrites the table",
    ),
    (
        r"^alter table (only )?BIG .*add column (if not exists )?\w+ [^,]*(generated|unique|primary key)",
        "it rewrites or indexes the table",
    ),
    (
        r"^alter table (only )?BIG .*validate constraint",
        "validate in a migration of its own that is marked `-- online`",
    ),
    (r"^alter table (only )?BIG .*(set tablespace|set logged|set unlogged|cluster on)", "it rewrites the table"),
    (r"^(cluster|vacuum full|reindex (table|index)) ", "it locks the table while it rewrites it"),
    (
        r"^(update|delete from) (only )?(public\.)?BIG\b",
        "it locks every row it meets: let a scheduled job do it in batches",
    ),
    (r"^lock (table )?", "a lock is taken by the statement that needs it, and no longer"),
];

/// What may follow ADD, so that the rules above see a column when there is one.
const WORDS: [&str; 7] = ["column", "constraint", "check", "foreign", "unique", "primary", "exclude"];

/// What is wrong with the text of a migration that runs in a transaction.
fn objections(text: &str) -> Vec<String> {
    let big = format!("(public\\.)?({})", BIG.join("|"));
    let constraint =
        Regex::new(&format!(r"^alter table (only )?{big} .*add (constraint \w+ )?(check|foreign key)")).unwrap();
    let references = Regex::new(&format!(r"^alter table (only )?{big} .*add (column )?.* references ")).unwrap();
    let alter = Regex::new(&format!("^alter table (only )?{big} ")).unwrap();
    let add = Regex::new(r"\badd (\w+)").unwrap();
    let mut found = Vec::new();
    for statement in split::statements(text) {
        let line = split::without_comments(statement).to_lowercase();
        for (pattern, instead) in FORBIDDEN {
            if Regex::new(&pattern.replace("BIG", &big)).unwrap().is_match(&line) {
                found.push(format!("{}: {instead}", split::shortened(statement)));
            }
        }
        if alter.is_match(&line)
            && let Some(word) = add.captures_iter(&line).map(|c| c[1].to_owned()).find(|w| !WORDS.contains(&w.as_str()))
        {
            found.push(format!("{}: write ADD COLUMN {word}", split::shortened(statement)));
        }
        if (constraint.is_match(&line) || references.is_match(&line)) && !line.contains("not valid") {
            found.push(format!(
                "{}: add it NOT VALID, and validate it in a migration of its own that is marked `-- online`",
                split::shortened(statement)
            ));
        }
    }
    found
}

#[test]
fn no_migration_holds_a_big_table() {
    for migration in MIGRATIONS.iter().filter(|m| m.version > FIRST_RELEASE && !BEFORE_THE_RULE.contains(&m.version)) {
        if online::is_online(migration.postgres) {
            let steps = online::steps(migration.postgres).unwrap_or_else(|e| panic!("{}: {e}", migration.name));
            assert!(!steps.is_empty(), "{} is marked `-- online` and takes no step", migration.name);
            continue;
        }
        let found = objections(migration.postgres);
        assert!(found.is_empty(), "migration {} {}:\n{}", migration.version, migration.name, found.join("\n"));
    }
}

#[test]
fn what_holds_a_big_table_is_seen() {
    for bad in [
        "CREATE INDEX idx_a ON tasks(title);",
        "create unique index idx_a on public.audit_trail (id);",
        "ALTER TABLE tasks ADD CONSTRAINT c CHECK (title <> '');",
        "ALTER TABLE tasks ADD CHECK (title <> '');",
        "ALTER TABLE steps ADD COLUMN t UUID REFERENCES tasks(id);",
        "ALTER TABLE steps ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES tasks(id);",
        "ALTER TABLE steps ADD CONSTRAINT u UNIQUE (x);",
        "ALTER TABLE steps ALTER COLUMN name TYPE TEXT;",
        "ALTER TABLE steps ALTER name SET NOT NULL;",
        "ALTER TABLE runs ADD COLUMN x UUID NOT NULL DEFAULT gen_random_uuid();",
        "ALTER TABLE runs ADD COLUMN x INTEGER UNIQUE;",
        "ALTER TABLE runs ADD x INTEGER UNIQUE;",
        "ALTER TABLE runs VALIDATE CONSTRAINT c;",
        "UPDATE tasks SET title = 'x';",
        "DELETE FROM system_logs;",
        "LOCK TABLE tasks;",
        "REINDEX TABLE tasks;",
    ] {
        assert_eq!(objections(bad).len(), 1, "{bad}: {:?}", objections(bad));
    }
    for good in [
        "CREATE TABLE tokens (id UUID PRIMARY KEY, user_id UUID REFERENCES users(id)); CREATE INDEX idx_tokens ON tokens(user_id);",
        "ALTER TABLE tasks ADD COLUMN note TEXT;",
        "ALTER TABLE tasks ADD COLUMN version INTEGER NOT NULL DEFAULT 1;",
        "ALTER TABLE tasks ADD CONSTRAINT c CHECK (title <> '') NOT VALID;",
        "ALTER TABLE steps ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES tasks(id) NOT VALID;",
        "ALTER TABLE runs ADD CONSTRAINT u UNIQUE USING INDEX idx_u;",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $fn$ UPDATE tasks SET title = 'x'; $fn$;",
        "CREATE TRIGGER t AFTER UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION f();",
    ] {
        assert_eq!(objections(good), Vec::<String>::new(), "{good}");
    }
}
