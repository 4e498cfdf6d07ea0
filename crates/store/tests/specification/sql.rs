//! The specification's SQL blocks, cut into statements and named parts. It reads the dialect of that one document, and
//! stops with the statement in hand where it meets something it does not know.

use std::sync::LazyLock;

use regex::Regex;

use super::{Specification, short_slug, slug};

/// A table as the specification writes it.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
}

/// A column as the specification writes it.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// `VARCHAR(100)`, `UUID[]`, `TIMESTAMP` …
    pub kind: String,
    pub not_null: bool,
    pub unique: bool,
    pub primary_key: bool,
    pub default: Option<String>,
    /// The table a foreign key leads to.
    pub references: Option<String>,
}

/// A CHECK with a name.
#[derive(Debug, Clone)]
pub struct NamedCheck {
    pub table: String,
    pub name: String,
    /// For `column IN ('a', 'b')`: the column and its words.
    pub words: Option<(String, Vec<String>)>,
}

/// An index with its keys as written, lower case, without spaces.
#[derive(Debug, Clone)]
pub struct Index {
    pub name: String,
    pub table: String,
    pub keys: String,
}

/// A view with the names of its columns.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    pub columns: Vec<String>,
}

/// A policy.
#[derive(Debug, Clone)]
pub struct Policy {
    pub name: String,
    pub table: String,
    pub role: String,
}

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).expect(stringify!($name)));
    };
}
pattern!(PARTITIONED, r"(?s)^CREATE TABLE (\w+) \(.*\) PARTITION BY (.*)$");
pattern!(PARTITION, r"^CREATE TABLE (\w+) PARTITION OF (\w+) (.*)$");
pattern!(TABLE, r"(?s)^CREATE TABLE (\w+) \((.*)\)$");
pattern!(INDEX, r"^CREATE INDEX (\w+) ON (\w+)\s*(?:USING (\w+))?\s*\((.*)\)$");
pattern!(ADD_CHECK, r"^ALTER TABLE (\w+) ADD CONSTRAINT (\w+) (CHECK .*)$");
pattern!(GUARD, r"^ALTER TABLE (\w+) ENABLE ROW LEVEL SECURITY$");
pattern!(POLICY, r"^CREATE POLICY (\w+) ON (\w+) FOR \w+ TO (\w+) ");
pattern!(VIEW, r"^CREATE VIEW (\w+) AS SELECT (.*?) FROM \w+ \w ");
pattern!(FUNCTION, r"^CREATE OR REPLACE FUNCTION (\w+)\s*\(.*?\)\s*RETURNS (\w+)");
pattern!(SCHEDULE, r"^SELECT cron\.schedule\('([^']+)', '([^']+)', (.*)\)$");
pattern!(CALL, r"\b([a-z]+_[a-z_]+)\(");
pattern!(WORDS, r"^CHECK \((\w+) IN \((.*)\)\)$");
pattern!(COLUMN, r"^(\w+) ([A-Z]+(?:\(\d+\))?(?:\[\])?)\s*(.*)$");
pattern!(DEFAULT, r"DEFAULT ('[^']*'|\w+(?:\(\))?)");
pattern!(REFERENCES, r"REFERENCES (\w+)\(id\)");

/// Reads one fenced block.
pub(super) fn read_block(spec: &mut Specification, heading: &str, block: &str) {
    let (statements, notes) = split(block);
    for statement in &statements {
        read_statement(spec, heading, statement);
    }
    for note in notes {
        spec.add(format!("note {}: {}", slug(heading), short_slug(&note)), &note, heading);
    }
}

fn read_statement(spec: &mut Specification, heading: &str, statement: &str) {
    let called: Vec<String> = CALL.captures_iter(statement).map(|c| c[1].to_owned()).collect();
    if let Some(found) = PARTITIONED.captures(statement) {
        spec.add(format!("table {}", &found[1]), &format!("PARTITION BY {}", &found[2]), heading);
    } else if let Some(found) = PARTITION.captures(statement) {
        spec.partitions.push(found[1].to_owned());
        spec.add(format!("partition {}", &found[1]), &found[3], heading);
    } else if let Some(found) = TABLE.captures(statement) {
        read_table(spec, heading, &found[1], &found[2]);
    } else if let Some(found) = INDEX.captures(statement) {
        let keys: String = found[4].to_ascii_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        spec.indexes.push(Index { name: found[1].to_owned(), table: found[2].to_owned(), keys });
        let method = found.get(3).map(|m| format!("USING {} ", m.as_str())).unwrap_or_default();
        spec.add(format!("index {}", &found[1]), &format!("{} {method}({})", &found[2], &found[4]), heading);
    } else if let Some(found) = ADD_CHECK.captures(statement) {
        add_check(spec, heading, &found[1], &found[2], &found[3]);
    } else if let Some(found) = GUARD.captures(statement) {
        spec.guarded.push(found[1].to_owned());
        spec.add(format!("row-level-security {}", &found[1]), "ENABLE ROW LEVEL SECURITY", heading);
    } else if let Some(found) = POLICY.captures(statement) {
        spec.policies.push(Policy { name: found[1].to_owned(), table: found[2].to_owned(), role: found[3].to_owned() });
        spec.add_once(format!("role {}", &found[3]), "named by the policies, defined nowhere", heading);
        let rest = statement.split_once(" FOR ").map_or("", |(_, rest)| rest);
        spec.add(format!("policy {}.{}", &found[2], &found[1]), &format!("FOR {rest}"), heading);
    } else if let Some(found) = VIEW.captures(statement) {
        let columns: Vec<String> = top_level_items(&found[2]).iter().map(|item| output_name(item)).collect();
        spec.add(format!("view {}", &found[1]), &columns.join(", "), heading);
        spec.views.push(View { name: found[1].to_owned(), columns });
    } else if let Some(found) = FUNCTION.captures(statement) {
        spec.functions.push(found[1].to_owned());
        spec.add(format!("function {}", &found[1]), &format!("RETURNS {}", &found[2]), heading);
    } else if let Some(found) = SCHEDULE.captures(statement) {
        spec.schedules.push((found[1].to_owned(), found[2].to_owned()));
        spec.add(format!("schedule {}", &found[1]), &format!("{} {}", &found[2], &found[3]), heading);
    } else {
        panic!("the specification has a statement this reader does not know: {statement}");
    }
    // What is called and defined nowhere is asked for all the same.
    let builtin = |name: &str| name.starts_with("gen_random") || name.starts_with("json_") || name.starts_with("to_ts");
    for name in called {
        let aggregate = name == "string_agg";
        if !builtin(&name) && !aggregate && !spec.functions.contains(&name) && !is_table(spec, &name) {
            spec.add_once(format!("function {name}"), "called, defined nowhere", heading);
        }
    }
}

fn is_table(spec: &Specification, name: &str) -> bool {
    spec.tables.iter().any(|t| t.name == name)
}

fn read_table(spec: &mut Specification, heading: &str, table: &str, body: &str) {
    spec.add(format!("table {table}"), "CREATE TABLE", heading);
    let mut columns = Vec::new();
    for item in top_level_items(body) {
        if let Some(rest) = item.strip_prefix("CONSTRAINT ") {
            let (name, check) = rest.split_once(' ').unwrap_or_else(|| panic!("no constraint in {item}"));
            add_check(spec, heading, table, name, check);
            continue;
        }
        let found = COLUMN.captures(&item).unwrap_or_else(|| panic!("no column in {item}"));
        let rest = &found[3];
        spec.add(format!("column {table}.{}", &found[1]), &format!("{} {rest}", &found[2]), heading);
        columns.push(Column {
            name: found[1].to_owned(),
            kind: found[2].to_owned(),
            not_null: rest.contains("NOT NULL") || rest.contains("PRIMARY KEY"),
            unique: rest.contains("UNIQUE"),
            primary_key: rest.contains("PRIMARY KEY"),
            default: DEFAULT.captures(rest).map(|d| d[1].to_owned()),
            references: REFERENCES.captures(rest).map(|r| r[1].to_owned()),
        });
    }
    spec.tables.push(Table { name: table.to_owned(), columns });
}

fn add_check(spec: &mut Specification, heading: &str, table: &str, name: &str, check: &str) {
    spec.add(format!("constraint {table}.{name}"), check, heading);
    let words = WORDS.captures(check).map(|found| {
        let words = found[2].split(',').map(|w| w.trim().trim_matches('\'').to_owned()).collect();
        (found[1].to_owned(), words)
    });
    spec.checks.push(NamedCheck { table: table.to_owned(), name: name.to_owned(), words });
}

/// The name a select item comes out under.
fn output_name(item: &str) -> String {
    let last = item.rsplit(|c: char| c.is_whitespace() || c == '.').next().unwrap_or(item);
    last.to_owned()
}

/// Cuts a list at its commas, not at those inside parentheses or CASE … END (which has none here) or quotes.
fn top_level_items(list: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut depth, mut quoted) = (0_u32, false);
    for c in list.chars() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().expect("starts with one").push(c);
    }
    items.iter().map(|i| i.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|i| !i.is_empty()).collect()
}

/// A block's statements, each on one line and without comments, and the comments that stand after the last of them.
fn split(block: &str) -> (Vec<String>, Vec<String>) {
    let (mut statements, mut notes) = (Vec::new(), Vec::new());
    let mut open = String::new();
    let (mut quoted, mut dollars) = (false, false);
    for line in block.lines() {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            if !quoted && !dollars && rest.starts_with("--") {
                if open.trim().is_empty() {
                    notes.push(rest.trim_start_matches('-').trim().to_owned());
                }
                break;
            }
            if rest.starts_with("$$") {
                dollars = !dollars;
                open.push_str("$$");
                rest = &rest[2..];
                continue;
            }
            if dollars && rest.starts_with("--") {
                break; // a comment inside a function's body
            }
            if c == '\'' && !dollars {
                quoted = !quoted;
            }
            rest = &rest[c.len_utf8()..];
            if c == ';' && !quoted && !dollars {
                statements.push(open.split_whitespace().collect::<Vec<_>>().join(" "));
                open.clear();
                notes.clear();
            } else {
                open.push(c);
            }
        }
        open.push('\n');
    }
    assert!(open.trim().is_empty(), "a statement does not end: {open}");
    (statements, notes)
}
