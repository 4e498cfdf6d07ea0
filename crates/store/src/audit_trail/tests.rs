//! The chain on both databases: one history has one head, and nothing is replaced on the quiet.

use std::{path::Path, time::Duration};

use serde_json::json;
use tokio_postgres::Client;

use crate::{
    Actor, Config, Store, canonical, migrate,
    prepared::{connect, with_database},
    sqlite::{self, Access},
    tasks::{self, NewTask},
    users::{self, NewUser},
};

/// An audit row as texts, in the order of the table's columns.
type Texts = [Option<String>; 10];

/// Rows that are hard to write alike: numbers, escapes, keys in another order, addresses, nothing at all.
fn odd() -> Vec<Texts> {
    let values = [
        None,
        Some("{}"),
        Some(r#"{"b": 1e2, "aa": [1.10, -0.0, 1E-3], "a": {"ü": "\ud83d\ude00\u0001\"\\"}, "b": 2}"#),
        Some("[]"),
        Some("null"),
        Some(r#""a text""#),
        Some("12345678901234567890.12345678901234567890"),
    ];
    let addresses = [None, Some("192.0.2.7"), Some("2001:db8::1"), Some("10.0.0.0/8")];
    let agents = [None, Some(""), Some("Fire\"fox\\ „ü“\n\t\u{7f}")];
    (0..84)
        .map(|n: usize| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            [
                Some(format!("00000000-0000-7000-8000-{n:012}")),
                None,
                Some(format!("odd_{n}")),
                own((!n.is_multiple_of(3)).then_some("task")),
                n.is_multiple_of(2).then(|| format!("00000000-0000-7000-9000-{n:012}")),
                own(values[n % 7]),
                own(values[(n / 7) % 7]),
                own(addresses[n % 4]),
                own(agents[n % 3]),
                Some(format!("2026-11-22T17:50:{:02}.{:06}Z", n % 60, n * 11_111 % 1_000_000)),
            ]
        })
        .collect()
}

/// A history of the ordinary kind.
async fn work(config: &Config) {
    let store = Store::open(config).await.unwrap();
    let new = |name: &str| NewUser {
        username: name.to_owned(),
        email: format!("{name}@example.org"),
        password_hash: "x".to_owned(),
        role: "admin".to_owned(),
        first_name: Some("Ädä \u{1F600}".to_owned()),
        last_name: None,
    };
    let ada = users::create(&Actor::service(), &store, &new("ada")).await.unwrap();
    let ada = Actor::user(ada).from_request(Some("192.0.2.7".parse().unwrap()), Some("a \"b\" ü"), None);
    for n in 0..5 {
        let task = NewTask {
            metadata: json!({ "n": 1.50, "e": 1e-7, "big": u64::MAX, "z": [n], "a": { "ä": "\u{1F600}" } }),
            tags: vec!["x".to_owned()],
            ..NewTask::titled("tâche \\ \" \u{1}")
        };
        let id = tasks::create(&ada, &store, &task).await.unwrap();
        let mut row = tasks::get(&ada, &store, id).await.unwrap().unwrap();
        row.metadata = json!({ "n": 1.5, "zz": null });
        tasks::update(&ada, &store, &row).await.unwrap();
        tasks::assign(&ada, &store, id, ada.user_id()).await.unwrap();
    }
    store.close().await;
}

/// Every row and hash of a PostgreSQL, in the chain's order.
async fn of_postgres(client: &Client) -> (Vec<Texts>, Vec<String>) {
    let sql = "SELECT a.id::text, a.user_id::text, a.action::text, a.entity_type::text, a.entity_id::text, a.old_values::text, a.new_values::text,
        a.ip_address::text, a.user_agent, to_char(a.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), c.sha256::text
        FROM audit_chain c JOIN audit_trail a ON a.id = c.audit_id ORDER BY c.seq";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|r| (std::array::from_fn(|n| r.get(n)), r.get::<_, String>(10))).unzip()
}

async fn into_postgres(client: &Client, rows: &[Texts]) {
    client
        .batch_execute("BEGIN; ALTER TABLE audit_trail DROP CONSTRAINT IF EXISTS audit_trail_user_id_fkey")
        .await
        .unwrap();
    let sql = "INSERT INTO audit_trail (id, user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
        VALUES ($1::text::uuid, $2::text::uuid, $3::text, $4::text, $5::text::uuid, $6::text::jsonb, $7::text::jsonb, $8::text::inet, $9::text, $10::text::timestamptz)";
    for row in rows {
        let params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = row.iter().map(|t| t as _).collect();
        client.execute(sql, &params).await.unwrap();
    }
    client.batch_execute("COMMIT").await.unwrap();
}

const LITE_ROWS: &str = "SELECT a.id, a.user_id, a.action, a.entity_type, a.entity_id, a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at, c.sha256
     FROM audit_chain c JOIN audit_trail a ON a.id = c.audit_id ORDER BY c.seq";

/// The same of a SQLite file.
fn of_sqlite(path: &Path) -> (Vec<Texts>, Vec<String>) {
    let file = sqlite::connect(path, Access::Migrate, Duration::from_secs(5)).unwrap().0;
    let mut rows = file.prepare(LITE_ROWS).unwrap();
    let rows = rows.query_map([], |r| Ok((std::array::from_fn(|n| r.get(n).unwrap()), r.get(10)?))).unwrap();
    rows.map(Result::unwrap).unzip()
}

fn into_sqlite(path: &Path, rows: &[Texts]) {
    let file = sqlite::connect(path, Access::Migrate, Duration::from_secs(5)).unwrap().0;
    file.execute_batch("PRAGMA foreign_keys = OFF; BEGIN").unwrap();
    let sql = "INSERT INTO audit_trail (id, user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, jsonb_text(?6), jsonb_text(?7), ?8, ?9, ?10)";
    for row in rows {
        file.execute(sql, rusqlite::params_from_iter(row)).unwrap();
    }
    file.execute_batch("COMMIT").unwrap();
}

async fn new_file(folder: &Path, name: &str) -> Config {
    let config = Config::from_url(&format!("sqlite://{}", folder.join(name).display())).unwrap();
    migrate::migrate(&config).await.unwrap();
    config
}

/// Ids and times are each database's own, so the same verbs cannot give the same rows. What one database made of them is
/// therefore written into the other, row for row: its own triggers must come to the same hash at every position.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_history_has_one_head_on_both_databases() {
    let folder = tempfile::tempdir().unwrap();
    let made_on_sqlite = {
        let config = new_file(folder.path(), "made.db").await;
        work(&config).await;
        into_sqlite(&folder.path().join("made.db"), &odd());
        of_sqlite(&folder.path().join("made.db"))
    };
    assert!(made_on_sqlite.0.len() > 95);
    with_database(async |config| {
        migrate::migrate(config).await.unwrap();
        let client = connect(config).await;
        client.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
        into_postgres(&client, &made_on_sqlite.0).await;
        assert!(of_postgres(&client).await.1 == made_on_sqlite.1, "SQLite's history on PostgreSQL");
    })
    .await;
    with_database(async |config| {
        migrate::migrate(config).await.unwrap();
        let client = connect(config).await;
        work(config).await;
        into_postgres(&client, &odd()).await;
        let made = of_postgres(&client).await;
        assert!(made.0.len() > 95);
        new_file(folder.path(), "copy.db").await;
        into_sqlite(&folder.path().join("copy.db"), &made.0);
        assert!(of_sqlite(&folder.path().join("copy.db")).1 == made.1, "PostgreSQL's history on SQLite");
    })
    .await;
}

/// The ways round a trigger for UPDATE and DELETE that SQLite has.
#[tokio::test]
async fn nothing_is_replaced_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    new_file(folder.path(), "steward.db").await;
    let path = folder.path().join("steward.db");
    into_sqlite(&path, &odd());
    let before = of_sqlite(&path);
    let file = sqlite::connect(&path, Access::Migrate, Duration::from_secs(5)).unwrap().0;
    for sql in [
        "INSERT OR REPLACE INTO audit_trail (id, action) SELECT id, 'x' FROM audit_trail LIMIT 1",
        "INSERT OR REPLACE INTO audit_chain SELECT * FROM audit_chain LIMIT 1",
        "INSERT OR REPLACE INTO audit_chain SELECT seq + 1000, audit_id, previous_sha256, sha256 FROM audit_chain LIMIT 1",
        "INSERT INTO audit_trail (id, action) SELECT id, 'x' FROM audit_trail WHERE true ON CONFLICT (id) DO UPDATE SET action = 'x'",
        "UPDATE OR REPLACE audit_chain SET seq = 1 WHERE seq = 2",
        "UPDATE audit_trail SET action = 'x'",
        "DELETE FROM audit_trail",
        "DELETE FROM audit_chain",
    ] {
        let said = file.execute_batch(sql).unwrap_err().to_string();
        assert!(said.contains("append-only"), "{sql}: {said}");
    }
    assert!(of_sqlite(&path) == before);
    // The head is the one that the rows' texts give.
    assert_eq!(before.1.len(), 84);
    assert_ne!(before.1[83], canonical::GENESIS_SHA256);
}
