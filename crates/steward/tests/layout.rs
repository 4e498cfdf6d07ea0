//! The house rules that a program can check (CONTRIBUTING.md gives the reason for each): who may import what, where SQL
//! stands, how long a file may be, and what has no place in the repository.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test stops where it can't go on")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Lines of a source file at most: what one can hold in mind.
const FILE_LINES: usize = 500;

/// What each crate of the workspace may import from the others.
const IMPORTS: &[(&str, &[&str])] = &[
    ("store", &[]),
    ("domain", &["store"]),
    ("backup", &["store"]),
    ("outside", &[]),
    ("tools", &["domain", "outside", "store"]),
    ("workers", &["backup", "domain", "outside", "store", "tools"]),
    ("web", &["domain", "store", "tools"]),
    ("steward", &["backup", "domain", "outside", "store", "tools", "workers", "web"]),
];

/// Crates from outside that one crate alone may know.
const OWNERS: &[(&str, &str)] = &[
    ("tokio-postgres", "store"),
    ("deadpool-postgres", "store"),
    ("tokio-postgres-rustls", "store"),
    ("rusqlite", "store"),
    ("redis", "store"),
    ("rmcp", "tools"),
    ("object_store", "backup"),
    ("age", "backup"),
    ("async-imap", "outside"),
    ("calcard", "outside"),
    ("feed-rs", "outside"),
    ("lettre", "outside"),
    ("mail-parser", "outside"),
    ("scraper", "outside"),
    ("axum", "web"),
    ("axum-extra", "web"),
    ("tower-http", "web"),
    ("utoipa-axum", "web"),
    ("maud", "web"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/steward has a grandparent")
}

/// Every file of the repository with its text: what git would take, by the folders that .gitignore leaves out.
static FILES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a folder's entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), ".git" | "target" | "artifacts" | "node_modules") {
                    walk(&path, found);
                }
            } else {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(root(), &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
    // What is no text (pictures) has no words.
    paths.iter().filter_map(|path| Some((name(path), std::fs::read_to_string(path).ok()?))).collect()
});

fn sources() -> impl Iterator<Item = &'static (String, String)> {
    FILES
        .iter()
        .filter(|(name, _)| name.starts_with("crates/") && Path::new(name).extension().is_some_and(|e| e == "rs"))
}

/// Name of the crate to its dependencies of every kind.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let manifests = FILES.iter().filter(|(name, _)| name.starts_with("crates/") && name.ends_with("/Cargo.toml"));
    let mut found = BTreeMap::new();
    for (name, text) in manifests {
        let manifest: toml::Table = text.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut names = BTreeSet::new();
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let table = manifest.get(kind).and_then(toml::Value::as_table);
            names.extend(table.into_iter().flat_map(|t| t.keys().cloned()));
        }
        let lints = manifest.get("lints").and_then(|l| l.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(lints, Some(true), "{name}: the workspace's lints hold for every crate");
        found.insert(name.split('/').nth(1).expect("crates/<name>/…").to_owned(), names);
    }
    found
}

/// Each place as `file:line`.
fn places(files: impl Iterator<Item = &'static (String, String)>, pattern: &str) -> Vec<String> {
    let pattern = regex::Regex::new(pattern).expect("a pattern");
    let line_of = |text: &str, at: usize| text[..at].matches('\n').count() + 1;
    files
        .flat_map(|(name, text)| pattern.find_iter(text).map(move |m| format!("{name}:{}", line_of(text, m.start()))))
        .collect()
}

#[test]
fn crates_import_only_what_they_may() {
    let dependencies = dependencies();
    let crates: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(crates, IMPORTS.iter().map(|(name, _)| *name).collect(), "a new crate needs its line in IMPORTS");
    for (name, allowed) in IMPORTS {
        for (inner, _) in IMPORTS {
            let imports = dependencies[*name].contains(*inner);
            assert!(!imports || allowed.contains(inner), "{name} may not import {inner}");
        }
    }
}

#[test]
fn drivers_and_frameworks_have_one_owner() {
    for (name, names) in dependencies() {
        for (outside, owner) in OWNERS {
            assert!(name == *owner || !names.contains(*outside), "{outside} belongs to {owner}; {name} imports it");
        }
    }
}

#[test]
fn every_source_opens_with_its_purpose() {
    let silent: Vec<&String> = sources().filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "files whose first line does not say what they are for: {silent:?}");
}

#[test]
fn no_source_is_too_long() {
    let kinds = [".rs", ".sql", ".js", ".css", ".html"];
    let long: Vec<String> = FILES
        .iter()
        .filter(|(name, _)| kinds.iter().any(|kind| name.ends_with(kind)))
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES)
        .map(|(name, lines)| format!("{name}: {lines}"))
        .collect();
    assert!(long.is_empty(), "more than {FILE_LINES} lines: {long:?}");
}

/// Tests that reach round the store, as the database's owner may: to turn a clock that cannot be turned otherwise, and to
/// count what is there without asking those whom they test.
const SQL_IN_TESTS: &[&str] = &["crates/workers/tests/job.rs", "crates/workers/tests/logs.rs"];

#[test]
fn sql_stands_in_the_store_alone() {
    let sql = r"\b(?:SELECT\s[^;]{1,300}?\sFROM\s|INSERT INTO\s|UPDATE\s\w+\sSET\s|DELETE FROM\s|CREATE TABLE\s|DROP TABLE\s)";
    let elsewhere = |(name, _): &&(String, String)| {
        !name.starts_with("crates/store/")
            && name != "crates/steward/tests/layout.rs"
            && !SQL_IN_TESTS.contains(&name.as_str())
    };
    let found = places(sources().filter(elsewhere), sql);
    assert!(found.is_empty(), "SQL outside crates/store: {found:?}");
    let listed = |(name, _): &&(String, String)| SQL_IN_TESTS.contains(&name.as_str());
    let held = places(sources().filter(listed), sql);
    for file in SQL_IN_TESTS {
        assert!(held.iter().any(|place| place.starts_with(file)), "{file} holds no SQL any more: take it off the list");
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Taken apart, so that this file does not find itself.
    let words = ["todo!", "unimplemented!", "dbg!"].map(|w| format!(r"\b{w}\("));
    let marks = ["TO", "FIX", "XX"].map(|w| {
        format!(
            r"\b{w}{}\b",
            if w == "TO" {
                "DO"
            } else if w == "FIX" {
                "ME"
            } else {
                "X"
            }
        )
    });
    let pattern = words.into_iter().chain(marks).chain([format!(r"#\[{}", "ignore")]).collect::<Vec<_>>().join("|");
    let found = places(
        FILES.iter().filter(|(name, _)| name != "crates/steward/tests/layout.rs" && name != "LICENSE"),
        &pattern,
    );
    assert!(found.is_empty(), "left for later: {found:?}");
}

#[test]
fn cargo_run_starts_steward() {
    // README's first command; the workspace has a second program.
    let manifest = FILES.iter().find(|(name, _)| name == "crates/steward/Cargo.toml").expect("the program's manifest");
    assert!(manifest.1.contains("\ndefault-run = \"steward\"\n"), "cargo run would not know which program to run");
}

#[test]
fn no_test_sleeps() {
    let pattern = format!(r"\b{}\(", "sleep");
    let tests = sources().filter(|(name, _)| {
        (name.contains("/tests/") || name.ends_with("_tests.rs")) && name != "crates/steward/tests/layout.rs"
    });
    let found = places(tests, &pattern);
    assert!(found.is_empty(), "wait for what is awaited, with a time limit: {found:?}");
}

#[test]
fn no_machine_s_own_paths() {
    let places_of_one_machine = ["work", "farm", "root", "Users", "tmp", "var/tmp"].join("|");
    let pattern = format!(r#"(?m)(?:^|[\s"'`(=])/(?:{places_of_one_machine})(?:/|["'`\s])"#);
    let found = places(
        FILES.iter().filter(|(name, _)| name != "crates/steward/tests/layout.rs" && name != "Cargo.lock"),
        &pattern,
    );
    assert!(found.is_empty(), "paths that exist on one machine: {found:?}");
}
