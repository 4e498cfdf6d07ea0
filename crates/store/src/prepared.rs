//! Tests over every statement of the store: both databases understand it, its columns are the row struct's, its file is
//! used, and the lists by which SQLite answers like PostgreSQL (grants, names of unique rules) are what PostgreSQL says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use futures_util::FutureExt;
use tokio_postgres::{Client, NoTls, types::ToSql};

use crate::{
    Config, Target, every_statement as every, migrate,
    sqlite::{self, Access, grants},
    value::Value,
};

/// Runs `test` with the address of an empty PostgreSQL database, which is dropped whatever happens.
pub(crate) async fn with_database(test: impl AsyncFnOnce(&Config)) {
    let url = std::env::var("STEWARD_TEST_POSTGRES_URL")
        .expect("STEWARD_TEST_POSTGRES_URL is not set: run ./test, or name a PostgreSQL 15+ superuser URL there");
    let mut config = Config::from_url(&url).unwrap();
    let admin = connect(&config).await;
    let name = format!("steward_prepared_{}", uuid::Uuid::now_v7().simple());
    admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
    let Target::Postgres(target) = &mut config.target else { panic!("STEWARD_TEST_POSTGRES_URL is no PostgreSQL URL") };
    target.dbname(&name);
    let tested = std::panic::AssertUnwindSafe(test(&config)).catch_unwind().await;
    admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    if let Err(panic) = tested {
        std::panic::resume_unwind(panic);
    }
}

/// A connection of its own, as whoever the address names.
pub(crate) async fn connect(config: &Config) -> Client {
    let Target::Postgres(target) = &config.target else { panic!("this is no PostgreSQL URL") };
    let (client, connection) = target.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Runs `test` on a fresh, migrated PostgreSQL database.
async fn with_postgres(test: impl AsyncFnOnce(&Client)) {
    with_database(async |config| {
        migrate::migrate(config).await.unwrap();
        test(&connect(config).await).await;
    })
    .await;
}

/// A guarded connection to a fresh, migrated SQLite file.
async fn with_sqlite(folder: &Path) -> rusqlite::Connection {
    let path = folder.join("steward.db");
    migrate::migrate(&Config::from_url(&format!("sqlite://{}", path.display())).unwrap()).await.unwrap();
    sqlite::connect(&path, Access::Write, Duration::from_secs(5)).unwrap().0
}

#[tokio::test]
async fn every_statement_is_prepared_on_both_and_answers_the_structs_columns() {
    let folder = tempfile::tempdir().unwrap();
    let lite = with_sqlite(folder.path()).await;
    with_postgres(async |client| {
        for statement in every() {
            let name = statement.name;
            let pg =
                client.prepare(statement.postgres()).await.unwrap_or_else(|e| panic!("{name} on PostgreSQL: {e:?}"));
            let sq = lite
                .prepare(statement.sqlite())
                .unwrap_or_else(|e| panic!("{name} on SQLite: {e}\n{}", statement.sqlite()));
            let answers: Vec<&str> = pg.columns().iter().map(tokio_postgres::Column::name).collect();
            assert_eq!(answers.len(), sq.column_count(), "{name} answers as many columns on both");
            // A list may be passed and not used on one of the two: never more than what is given.
            assert!(sq.parameter_count() <= pg.params().len(), "{name}: parameters");
            let columns: Vec<&str> = statement.columns().iter().map(|c| c.trim_start_matches("r#")).collect();
            if answers.is_empty() || columns.is_empty() || name == "audit_trail/chain" {
                continue; // executed only, a single value, or read by place
            }
            assert_eq!(&answers[..columns.len()], columns, "{name} on PostgreSQL");
            assert_eq!(sq.column_names().collect::<Vec<_>>(), answers, "{name} on SQLite");
            let further: &[&str] = match name {
                "approvals/call" => &["edited_arguments", "edited_sha256"],
                "tasks/search" => &["title_marked", "description_marked"],
                "system_logs/search" => &["marked"],
                _ => &[],
            };
            assert_eq!(&answers[columns.len()..], further, "{name} answers nothing that is not read");
        }
    })
    .await;
}

#[test]
fn every_file_is_a_statement_and_no_name_stands_twice() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut files = BTreeSet::new();
    for table in std::fs::read_dir(&root).unwrap() {
        let table = table.unwrap();
        for file in std::fs::read_dir(table.path()).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            files.insert(format!("{}/{}", table.file_name().to_string_lossy(), file));
        }
    }
    let mut wanted = BTreeSet::new();
    for statement in every() {
        let shared = format!("{}.sql", statement.name);
        if files.contains(&shared) {
            assert!(wanted.insert(shared), "{} stands twice", statement.name);
        } else {
            for engine in ["postgres", "sqlite"] {
                assert!(wanted.insert(format!("{}.{engine}.sql", statement.name)), "{} stands twice", statement.name);
            }
        }
    }
    assert_eq!(files, wanted, "each file under sql/ belongs to a statement");
}

#[tokio::test]
async fn what_a_role_may_not_run_is_what_postgresql_says() {
    with_postgres(async |client| {
        for (role, list) in [("app_user", grants::NOT_FOR_USERS), ("app_service", grants::NOT_FOR_SERVICE)] {
            let mut refused = Vec::new();
            for statement in every() {
                let prepared = client.prepare(statement.postgres()).await.unwrap();
                let nothing: Vec<&(dyn ToSql + Sync)> =
                    prepared.params().iter().map(|_| &Value::Null as &(dyn ToSql + Sync)).collect();
                client.batch_execute(&format!("BEGIN; SET LOCAL ROLE {role}")).await.unwrap();
                let answer = client.query(&prepared, &nothing).await;
                client.batch_execute("ROLLBACK").await.unwrap();
                if let Err(e) = answer
                    && e.as_db_error().is_some_and(|e| e.message().starts_with("permission denied for"))
                {
                    refused.push(statement.name);
                }
            }
            refused.sort_unstable();
            assert_eq!(list, refused, "statements that {role} may not run, in order");
        }
    })
    .await;
}

#[tokio::test]
async fn unique_rules_have_postgresqls_names() {
    let folder = tempfile::tempdir().unwrap();
    let lite = with_sqlite(folder.path()).await;
    let mut rules = lite
        .prepare(
            "SELECT group_concat(m.name || '.' || c.name, ', ' ORDER BY c.seqno) FROM sqlite_schema m, pragma_index_list(m.name, 'main') i, pragma_index_info(i.name, 'main') c
             WHERE m.type = 'table' AND i.\"unique\" AND c.name IS NOT NULL AND m.name NOT LIKE 'idx_%' GROUP BY m.name, i.name",
        )
        .unwrap();
    let rules: Vec<String> = rules.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    with_postgres(async |client| {
        let rows = client
            .query(
                "SELECT (SELECT string_agg(t.relname || '.' || a.attname, ', ' ORDER BY k.place) FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(num, place)
                         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.num), i.relname::text
                 FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
                 WHERE x.indisunique AND x.indexprs IS NULL AND t.relnamespace = 'public'::regnamespace",
                &[],
            )
            .await
            .unwrap();
        let theirs: BTreeMap<String, String> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        let mut looked = 0;
        for rule in &rules {
            if let Some(name) = theirs.get(rule) {
                assert_eq!(&sqlite::unique(rule), name, "{rule}");
                looked += 1;
            }
        }
        assert!(looked > 25, "only {looked} rules were looked at");
    })
    .await;
}
