//! The ledger (docs/spec.md) answers for every clause of the specification (docs/database-schema.md), and every answer
//! can be checked: rows without a clause, departures without a ruling and tests that do not exist fail here.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test stops where it can't go on")]

mod specification;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;
use sha2::{Digest, Sha256};

use specification::{SPECIFICATION, root};

/// The specification is a contract: it changes by agreement, not by editing. Then this changes with it.
const SPECIFICATION_SHA256: &str = "3b144755fd0fadc41ffa11ac0a601d5b05a469e373653560929418c61030443f";

/// A row of the ledger.
struct Row {
    id: String,
    text: String,
    status: String,
    why: String,
    tests: Vec<String>,
    heading: String,
}

struct Ledger {
    rows: Vec<Row>,
    headings: Vec<String>,
    /// Number of the ruling to the tests that show it.
    rulings: BTreeMap<String, Vec<String>>,
}

static LEDGER: LazyLock<Ledger> = LazyLock::new(|| {
    let path = root().join("docs/spec.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{} cannot be read: {e}", path.display()));
    let mut ledger = Ledger { rows: Vec::new(), headings: Vec::new(), rulings: BTreeMap::new() };
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("### ").or_else(|| line.strip_prefix("## ")) {
            title.trim().clone_into(&mut heading);
            ledger.headings.push(heading.clone());
        }
        let cells = cells(line);
        if cells.len() == 5 && cells[0].starts_with('`') {
            ledger.rows.push(Row {
                id: plain(&cells[0]),
                text: plain(&cells[1]),
                status: cells[2].clone(),
                why: cells[3].clone(),
                tests: names(&cells[4]),
                heading: heading.clone(),
            });
        } else if cells.len() == 5 && cells[0].len() == 2 && cells[0].chars().all(|c| c.is_ascii_digit()) {
            let again = ledger.rulings.insert(cells[0].clone(), names(&cells[4]));
            assert!(again.is_none(), "ruling {} stands twice in docs/spec.md", cells[0]);
        }
    }
    ledger
});

/// The cells of a table's line; `\|` is a bar within a cell.
fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line.trim().strip_prefix('|').and_then(|l| l.strip_suffix('|')) else { return Vec::new() };
    inner.replace("\\|", "\u{1}").split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

fn plain(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

/// The names in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every `.rs` file below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("a folder's entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The names of all functions marked as tests, in sources and test folders.
fn test_functions() -> BTreeSet<String> {
    let attribute =
        Regex::new(r"#\[(?:tokio::)?test(?:\([^\]]*\))?\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)").unwrap();
    // A scenario that is run on each engine is a test by its own name.
    let on_both = Regex::new(r"on_both!\(([\w\s,]+)\)").unwrap();
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    let mut functions = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        functions.extend(attribute.captures_iter(&text).map(|c| c[1].to_owned()));
        for list in on_both.captures_iter(&text) {
            functions.extend(list[1].split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
        }
    }
    functions
}

#[test]
fn the_specification_is_word_for_word() {
    let digest = Sha256::digest(specification::text().as_bytes());
    assert_eq!(hex::encode(digest), SPECIFICATION_SHA256, "docs/database-schema.md has been edited");
}

#[test]
fn every_clause_has_its_row_and_every_row_its_clause() {
    let rows: BTreeMap<&str, &Row> = LEDGER.rows.iter().map(|r| (r.id.as_str(), r)).collect();
    assert_eq!(rows.len(), LEDGER.rows.len(), "docs/spec.md has two rows for one clause");
    let mut wrong = String::new();
    for clause in &SPECIFICATION.clauses {
        let quoted = clause.text.replace('|', "\\|");
        match rows.get(clause.id.as_str()) {
            None => writeln!(wrong, "missing, under \"{}\":\n| `{}` | `{quoted}` | | | |", clause.heading, clause.id),
            Some(row) if row.text != clause.text || row.heading != clause.heading => {
                writeln!(wrong, "differs, under \"{}\":\n| `{}` | `{quoted}` | | | |", clause.heading, clause.id)
            }
            Some(_) => Ok(()),
        }
        .expect("a string takes every line");
    }
    for row in &LEDGER.rows {
        if SPECIFICATION.clauses.iter().all(|c| c.id != row.id) {
            writeln!(wrong, "no such clause: {}", row.id).expect("a string takes every line");
        }
    }
    assert!(wrong.is_empty(), "docs/spec.md and docs/database-schema.md do not match:\n{wrong}");
    assert!(SPECIFICATION.clauses.len() > 150, "the specification's reader finds almost nothing");
}

#[test]
fn the_ledger_follows_the_specification_s_headings() {
    let followed: Vec<&String> = LEDGER.headings.iter().filter(|h| SPECIFICATION.headings.contains(h)).collect();
    assert_eq!(followed, SPECIFICATION.headings.iter().collect::<Vec<_>>());
}

#[test]
fn every_status_is_known_and_shown_by_a_test_that_exists() {
    let departs = Regex::new(r"^departs \((\d\d(?:, \d\d)*)\)$").unwrap();
    let functions = test_functions();
    let mut cited = BTreeSet::new();
    for row in &LEDGER.rows {
        if let Some(found) = departs.captures(&row.status) {
            for number in found[1].split(", ") {
                assert!(LEDGER.rulings.contains_key(number), "{}: there is no ruling {number}", row.id);
                cited.insert(number.to_owned());
            }
            assert!(!row.why.is_empty(), "{}: a departure says why", row.id);
        } else {
            assert_eq!(row.status, "implemented", "{}: unknown status", row.id);
        }
        assert!(!row.tests.is_empty(), "{}: no test shows it", row.id);
        for test in &row.tests {
            assert!(functions.contains(test), "{}: there is no test called {test}", row.id);
        }
    }
    for (number, tests) in &LEDGER.rulings {
        assert!(cited.contains(number), "ruling {number} is cited by no clause");
        assert!(!tests.is_empty(), "ruling {number} is shown by no test");
        for test in tests {
            assert!(functions.contains(test), "ruling {number}: there is no test called {test}");
        }
    }
}

#[test]
fn every_departure_in_a_migration_has_its_ruling() {
    let fix = Regex::new(r"FIX ((?:\d\d)(?:, \d\d)*)").unwrap();
    let mut found = BTreeSet::new();
    for engine in ["postgres", "sqlite"] {
        let folder = root().join("crates/store/migrations").join(engine);
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let text = std::fs::read_to_string(entry.expect("a folder's entry").path()).expect("a migration reads");
            for marks in fix.captures_iter(&text) {
                found.extend(marks[1].split(", ").map(str::to_owned));
            }
        }
    }
    let known: BTreeSet<String> = LEDGER.rulings.keys().cloned().collect();
    assert!(found.is_subset(&known), "marked in a migration and not in docs/spec.md: {:?}", found.difference(&known));
}

#[test]
fn the_pool_is_as_specified() {
    let config = store::Config::from_url("postgres://steward@db.example.org/steward").expect("a URL");
    assert_eq!(config.pool_size, 20);
    assert_eq!(config.idle_timeout.as_secs(), 300);
    assert_eq!(config.connect_timeout.as_secs(), 30);
}
