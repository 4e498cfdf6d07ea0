//! A database of one's own for each test, made by the migrations alone and gone afterwards.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};

use crate::specification::root;

/// Longer than any test here, shorter than a run's patience.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The migrations of `engine`, by number: file name and text.
pub fn migrations(engine: &str) -> Vec<(String, String)> {
    let folder: PathBuf = root().join("crates/store/migrations").join(engine);
    let mut files: Vec<(String, String)> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("a folder's entry"))
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "sql"))
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).expect("a migration reads");
            (entry.file_name().into_string().expect("a plain name"), text)
        })
        .collect();
    files.sort();
    files
}

/// Runs `test` on a fresh PostgreSQL database with every migration applied, and drops the database whatever happens.
pub async fn with_postgres<F, T>(test: F)
where
    F: FnOnce(Client) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let url = std::env::var("STEWARD_TEST_POSTGRES_URL")
        .expect("STEWARD_TEST_POSTGRES_URL is not set: run ./test, or name a PostgreSQL 15+ superuser URL there");
    let config: Config = url.parse().expect("STEWARD_TEST_POSTGRES_URL is a PostgreSQL URL");
    let name = format!("steward_schema_{}", uuid::Uuid::new_v4().simple());
    let admin = connect(&config).await;
    admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.expect("CREATE DATABASE");

    let mut own = config.clone();
    own.dbname(&name);
    let outcome = tokio::spawn(tokio::time::timeout(TIME_LIMIT, async move {
        let client = connect(&own).await;
        // The roles belong to the whole cluster, so only one test at a time may look whether to create them. Advisory
        // locks belong to a database: this one is taken in the database that all tests share.
        let shared = connect(&config).await;
        shared.batch_execute("SELECT pg_advisory_lock(hashtextextended('steward.test.roles', 0))").await.expect("lock");
        migrate(&client).await;
        drop(shared);
        test(client).await;
    }))
    .await;
    admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.expect("DROP DATABASE");
    match outcome {
        Ok(in_time) => in_time.expect("the test takes too long"),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// A second connection to the database of `client`.
pub async fn another(client: &Client) -> Client {
    let name: String = client.query_one("SELECT current_database()::text", &[]).await.expect("its name").get(0);
    let url = std::env::var("STEWARD_TEST_POSTGRES_URL").expect("set, since there is a first connection");
    let mut config: Config = url.parse().expect("parsed before");
    config.dbname(&name);
    connect(&config).await
}

/// Applies every migration in one transaction.
async fn migrate(client: &Client) {
    client.batch_execute("BEGIN").await.expect("BEGIN");
    for (name, text) in migrations("postgres") {
        // In an empty database what is built beside the work goes into the one transaction as well.
        let text = if text.lines().any(|l| l == "-- online") { text.replace(" CONCURRENTLY", "") } else { text };
        client.batch_execute(&text).await.unwrap_or_else(|e| panic!("{name}: {}", explain(&e)));
    }
    client.batch_execute("COMMIT; SET timezone = 'UTC'").await.expect("COMMIT");
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config
        .connect(NoTls)
        .await
        .unwrap_or_else(|e| panic!("the PostgreSQL of STEWARD_TEST_POSTGRES_URL does not answer: {e}"));
    tokio::spawn(connection);
    client
}

/// The server's own words.
pub fn explain(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |e| format!("{}: {}", e.code().code(), e.message()))
}
