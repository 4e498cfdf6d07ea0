//! Reads docs/database-schema.md, the specification, and takes it apart into clauses: what the ledger must answer for,
//! and what the schema tests look for in a live database. Nothing here knows what Steward made of them.
#![allow(dead_code, reason = "the ledger and the schema tests each read their own part")]

mod sql;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub use sql::{Index, NamedCheck, Policy, Table, View};

/// One thing the specification asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// `kind name`, unique: `column users.email`, `index idx_tasks_status`, `bullet query-optimization: …`.
    pub id: String,
    /// The specification's words, on one line.
    pub text: String,
    /// The heading it stands under, as written, without the hashes.
    pub heading: String,
}

/// The whole specification.
#[derive(Debug, Default)]
pub struct Specification {
    pub clauses: Vec<Clause>,
    /// Every heading of level 2 and 3, in order.
    pub headings: Vec<String>,
    pub tables: Vec<Table>,
    pub checks: Vec<NamedCheck>,
    pub indexes: Vec<Index>,
    pub views: Vec<View>,
    pub functions: Vec<String>,
    pub policies: Vec<Policy>,
    /// Tables under row-level security.
    pub guarded: Vec<String>,
    /// Partitions: the child's name.
    pub partitions: Vec<String>,
    /// Schedules: name and cron expression.
    pub schedules: Vec<(String, String)>,
}

/// The specification, parsed once a process.
pub static SPECIFICATION: LazyLock<Specification> = LazyLock::new(|| parse(&text()));

/// The top of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/store has a grandparent").to_owned()
}

/// The specification's text.
pub fn text() -> String {
    let path = root().join("docs/database-schema.md");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{} cannot be read: {e}", path.display()))
}

fn parse(text: &str) -> Specification {
    let mut spec = Specification::default();
    let mut heading = String::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        if line.starts_with("```") {
            block = match block.take() {
                Some(done) => {
                    sql::read_block(&mut spec, &heading, &done);
                    None
                }
                None => Some(String::new()),
            };
        } else if let Some(open) = &mut block {
            open.push_str(line);
            open.push('\n');
        } else if let Some(title) = line.strip_prefix("### ") {
            title.trim().clone_into(&mut heading);
            spec.headings.push(heading.clone());
        } else if let Some(title) = line.strip_prefix("## ") {
            title.trim().clone_into(&mut heading);
            spec.headings.push(heading.clone());
            spec.add(format!("section {}", slug(title)), title.trim(), &heading);
        } else if let Some(bullet) = line.strip_prefix("- ") {
            spec.add(format!("bullet {}: {}", slug(&heading), short_slug(bullet)), bullet, &heading);
        }
    }
    assert!(block.is_none(), "the specification ends inside a code block");
    spec
}

impl Specification {
    /// Adds a clause; the same id twice is an error in the parser.
    pub(crate) fn add(&mut self, id: String, text: &str, heading: &str) {
        assert!(self.clauses.iter().all(|c| c.id != id), "two clauses are called {id}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.clauses.push(Clause { id, text, heading: heading.to_owned() });
    }

    /// Adds a clause unless an earlier statement already implied it.
    pub(crate) fn add_once(&mut self, id: String, text: &str, heading: &str) {
        if self.clauses.iter().all(|c| c.id != id) {
            self.add(id, text, heading);
        }
    }

    /// The table of that name.
    pub fn table(&self, name: &str) -> &Table {
        self.tables.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("the specification has no table {name}"))
    }
}

/// Lower-case words joined by hyphens.
pub fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// The slug of a sentence: as much of it as names it.
pub fn short_slug(text: &str) -> String {
    let label = text.split(':').next().unwrap_or(text);
    slug(label)
}
