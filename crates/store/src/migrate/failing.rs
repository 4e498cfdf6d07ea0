//! Tests of migrations that go wrong: the schema stays as it was, and on SQLite nothing happens without a good copy.

use std::{
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{MIGRATIONS, Migration, postgres, sqlite};
use crate::{Error, prepared};

/// The first `known` migrations and one more with this text.
pub(super) fn and(known: usize, text: &'static str) -> &'static [Migration] {
    let version = i32::try_from(known).unwrap() + 1;
    let further = Migration { version, name: "further", postgres: text, sqlite: text };
    Box::leak([&MIGRATIONS[..known], &[further]].concat().into_boxed_slice())
}

/// How many there are.
const ALL: usize = MIGRATIONS.len();

const GOOD: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY);";
const BAD: &str = "CREATE TABLE notes (id INTEGER PRIMARY KEY); INSERT INTO tasks (title) VALUES (NULL);";

/// A migrated file in a folder of its own.
fn migrated() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steward.db");
    sqlite::migrate(&path, MIGRATIONS).unwrap();
    (folder, path)
}

/// Everything the schema says, and how far it has come.
fn schema(path: &Path) -> (Vec<String>, i64) {
    let file = Connection::open(path).unwrap();
    let mut all = file.prepare("SELECT type || name || coalesce(sql, '') FROM sqlite_schema ORDER BY 1").unwrap();
    let all: Vec<String> = all.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    let come = if all.is_empty() {
        0
    } else {
        file.query_row("SELECT count(*) FROM schema_migrations", [], |r| r.get(0)).unwrap()
    };
    (all, come)
}

fn copies(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    all.filter(|p| p.extension().is_some_and(|e| e == "copy")).collect()
}

#[test]
fn a_failing_migration_leaves_a_sqlite_file_as_it_was() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().join("steward.db");
    let said = sqlite::migrate(&path, and(5, BAD)).unwrap_err();
    assert!(
        matches!(&said, Error::Schema(text) if text.contains("migration 6 further failed") && text.contains("as it was")),
        "{said}"
    );
    assert_eq!(schema(&path), (vec![], 0), "not even the first five");
    let (_folder, path) = migrated();
    let before = schema(&path);
    sqlite::migrate(&path, and(ALL, BAD)).unwrap_err();
    assert_eq!(schema(&path), before);
    sqlite::migrate(&path, and(ALL, GOOD)).unwrap();
    assert_eq!(schema(&path).1, i64::try_from(ALL).unwrap() + 1, "and nothing stands in the way of the next try");
}

#[test]
fn a_verified_copy_is_made_first() {
    let (folder, path) = migrated();
    let before = schema(&path);
    assert!(copies(folder.path()).is_empty(), "a new file has nothing to copy");
    let report = sqlite::migrate(&path, and(ALL, GOOD)).unwrap();
    assert_eq!(report.applied, ["further"]);
    let copy = report.copy.unwrap();
    assert_eq!(copies(folder.path()), std::slice::from_ref(&copy));
    assert_eq!(schema(&copy), before, "the copy is what was");
    assert_eq!(schema(&path).1, i64::try_from(ALL).unwrap() + 1);
    assert_eq!(sqlite::migrate(&path, and(ALL, GOOD)).unwrap().copy, None, "nothing to do, nothing to copy");
}

#[test]
fn two_that_migrate_an_older_file_at_once_both_succeed() {
    let (_folder, path) = migrated();
    let all = and(ALL, GOOD);
    let mut applied: Vec<_> = std::thread::scope(|threads| {
        let both = [0, 1].map(|_| threads.spawn(|| sqlite::migrate(&path, all).unwrap().applied));
        both.into_iter().map(|t| t.join().unwrap()).collect()
    });
    applied.sort_by_key(Vec::len);
    assert_eq!(applied, [vec![], vec!["further".to_owned()]]);
    assert_eq!(schema(&path).1, i64::try_from(ALL).unwrap() + 1);
}

#[test]
fn without_a_copy_nothing_is_migrated() {
    // Its name would be longer than a folder allows; no permission keeps a superuser from writing.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x".repeat(240));
    sqlite::migrate(&path, MIGRATIONS).unwrap();
    let before = schema(&path);
    let said = sqlite::migrate(&path, and(ALL, GOOD)).unwrap_err();
    assert!(matches!(&said, Error::Storage(text) if text.contains("nothing was migrated")), "{said}");
    assert_eq!(schema(&path), before);
}

#[test]
fn a_damaged_file_is_not_migrated() {
    let (_folder, path) = migrated();
    let before = schema(&path);
    let page: u64 = {
        let file = Connection::open(&path).unwrap();
        let page: i64 = file
            .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'idx_tasks_priority'", [], |r| r.get(0))
            .unwrap();
        page.try_into().unwrap()
    };
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start((page - 1) * 4096)).unwrap();
    file.write_all(&[0xff; 4096]).unwrap();
    drop(file);
    let said = sqlite::migrate(&path, and(ALL, GOOD)).unwrap_err();
    assert!(matches!(&said, Error::Storage(text) if text.contains("nothing was migrated")), "{said}");
    assert_eq!(schema(&path), before);
}

#[tokio::test]
async fn a_failing_migration_leaves_a_postgresql_database_as_it_was() {
    prepared::with_database(async |config| {
        let tables = async || -> i64 {
            let client = prepared::connect(config).await;
            client.query_one("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", &[]).await.unwrap().get(0)
        };
        let said = postgres::migrate(config, and(5, BAD)).await.unwrap_err();
        assert!(matches!(&said, Error::Schema(text) if text.contains("migration 6 further failed") && text.contains("as it was")), "{said}");
        assert_eq!(tables().await, 0, "not even the first five");
        postgres::migrate(config, MIGRATIONS).await.unwrap();
        let before = tables().await;
        postgres::migrate(config, and(ALL, BAD)).await.unwrap_err();
        assert_eq!(tables().await, before);
        assert_eq!(super::status(config).await.unwrap().applied.len(), ALL);
        assert_eq!(postgres::migrate(config, and(ALL, GOOD)).await.unwrap().applied, ["further"]);
    })
    .await;
}
