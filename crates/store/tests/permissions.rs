//! Who may do what: each verb, tried by each role in each relation to the rows, on both databases. The answers stand in
//! `golden/permissions.txt`, one file for both; `UPDATE_GOLDEN=1` writes it anew, and its difference is what a review
//! reads.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

#[path = "permissions/access.rs"]
mod access;
mod common;
#[path = "permissions/files.rs"]
mod files;
#[path = "permissions/functions.rs"]
mod functions;
#[path = "permissions/list.rs"]
mod list;
#[path = "permissions/rows.rs"]
mod rows;
#[path = "permissions/telling.rs"]
mod telling;
#[path = "permissions/thinking.rs"]
mod thinking;
#[path = "permissions/trust.rs"]
mod trust;
#[path = "permissions/verbs.rs"]
mod verbs;
#[path = "permissions/world.rs"]
mod world;

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use common::{Db, Engine, kind, pooler::Pooler, undone};
use store::Store;
use world::{RELATIONS, ROLES};

const HEAD: &str = "\
# Who may do what. One line a verb and relation to the rows it touches, one column a role; the same on both databases.
# seen      the row is answered                 -         it is not
# done      the change was made                 nothing   no row was changed, and nothing was said of it
# refused   the actor may not do this at all    a name    the constraint that refused
# creator   made the task, its watcher; is told by the notification, logged in by the session, uploaded the file
# assignee  the task is assigned to, asked for the approval, keeps the journal
# stranger  neither
# A watcher acts as the user who made it: its lines are the creator's.
";

async fn matrix(db: &Db) -> String {
    let mut cells: Vec<Vec<String>> = vec![["verb", "relation"].iter().chain(ROLES).map(|s| (*s).to_owned()).collect()];
    let worlds = world::every(db).await;
    for verb in list::VERBS {
        for relation in RELATIONS {
            let mut line = vec![(*verb).to_owned(), (*relation).to_owned()];
            for role in ROLES {
                let Some(world) = worlds.get(&(*role, *relation)) else {
                    line.push(String::new());
                    continue;
                };
                let world = world.clone();
                let outcome =
                    undone(&db.store, move |tx| Box::pin(async move { verbs::attempt(verb, tx, &world).await })).await;
                line.push(outcome.unwrap_or_else(|e| kind(&e)));
            }
            cells.push(line);
        }
    }
    let widths: Vec<usize> =
        (0..cells[0].len()).map(|c| cells.iter().map(|l| l[c].chars().count()).max().unwrap_or(0)).collect();
    let mut text = HEAD.to_owned();
    for line in cells {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(text, "{}", padded.join("  ").trim_end()).unwrap();
    }
    text
}

/// PostgreSQL behind PgBouncer, which gives each transaction another session: every verb, with every kind of parameter.
async fn through_a_pooler() -> String {
    let mut text = String::new();
    common::with(Engine::Postgres, async |db| {
        let bouncer = Pooler::start(&db.config, 2, &[]).await;
        let config = bouncer.before(&db.config);
        let store = Store::open(&config).await.unwrap();
        let (owner, people) = (db.owner.clone(), db.people.clone());
        let pooled = Db { engine: db.engine, store, config, owner, people };
        text = matrix(&pooled).await;
        pooled.store.close().await;
    })
    .await;
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_answer_as_the_golden_file_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/permissions.txt");
    let mut found = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut text = String::new();
        common::with(engine, async |db| text = matrix(db).await).await;
        found.push(text);
    }
    found.push(through_a_pooler().await);
    for (name, other) in [("PostgreSQL", &found[1]), ("PgBouncer ", &found[2])] {
        let differing: Vec<String> = found[0]
            .lines()
            .zip(other.lines())
            .filter(|(a, b)| a.split_whitespace().ne(b.split_whitespace()))
            .map(|(a, b)| format!("SQLite     {a}\n{name} {b}"))
            .collect();
        assert!(differing.is_empty(), "the databases answer differently:\n{}", differing.join("\n"));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found[0]).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let (said, is): (BTreeSet<&str>, BTreeSet<&str>) = (golden.lines().collect(), found[0].lines().collect());
    let differing: Vec<String> = said
        .difference(&is)
        .map(|line| format!("golden {line}"))
        .chain(is.difference(&said).map(|line| format!("found  {line}")))
        .collect();
    assert!(golden == found[0], "not as tests/golden/permissions.txt says:\n{}", differing.join("\n"));
}

/// A verb that is not tried is a hole in the matrix.
#[test]
fn every_verb_of_the_store_is_tried() {
    let tried: BTreeSet<&str> = list::VERBS.iter().map(|v| v.split(' ').next().unwrap()).collect();
    let verb = regex::Regex::new(r"pub async fn (\w+)\(\s*actor: &Actor,\s*on: (?:impl Run|&(?:crate::)?Transaction)")
        .unwrap();
    let mut there = BTreeSet::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let table = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        there.extend(verb.captures_iter(&text).map(|found| format!("{table}.{}", &found[1])));
    }
    assert!(there.len() > 70, "only {} verbs were found", there.len());
    assert_eq!(tried, there.iter().map(String::as_str).collect());
}
