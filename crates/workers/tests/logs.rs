//! The log at volume, on real databases: nothing heavy is lost when the database stops, months are made and drained beside
//! running writers, and old months leave in steps that may each be the last before a crash.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

#[path = "../../store/tests/common/cluster.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod cluster;
mod common;

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use cluster::{Cluster, Stop};
use common::{Database, PATIENCE};
use store::{
    Actor, Config, Store,
    log_keeping::{self as months, LogMonth},
    migrate, schedules,
    system_logs::{self, Filter, NewLogLine},
    value::time_text,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{
    log_keeping::{self, Keeping},
    logs::LogQueue,
};

/// Waits until `look` is true, or fails after [`PATIENCE`].
async fn until(what: &str, look: impl AsyncFn() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let found = async {
        while !look().await {
            tick.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, found).await.is_ok(), "not in time: {what}");
}

fn at(time: &str, n: i64) -> NewLogLine {
    let time: jiff::Timestamp = time.parse().unwrap();
    NewLogLine {
        timestamp: time_text(time + jiff::SignedDuration::from_secs(n)),
        ..NewLogLine::new("info", "test", format!("line {n} of {time}"))
    }
}

async fn append(store: &Store, lines: &[NewLogLine]) {
    for part in lines.chunks(1000) {
        assert_eq!(system_logs::append(&Actor::service(), store, part).await.unwrap(), part.len() as u64);
    }
}

async fn count(store: &Store, module: &str) -> usize {
    let filter = Filter { module: Some(module), ..Filter::default() };
    system_logs::find(&Actor::service(), store, &filter, 1000).await.map_or(0, |lines| lines.len())
}

async fn place(store: &Store, name: &str) -> Option<LogMonth> {
    months::partitions(&Actor::service(), store).await.unwrap().into_iter().find(|m| m.name == name)
}

/// The address of a database that the shared server holds.
fn address(config: &Config) -> String {
    let store::Target::Postgres(target) = &config.target else { panic!("not PostgreSQL") };
    let base = std::env::var("STEWARD_TEST_POSTGRES_URL").expect("STEWARD_TEST_POSTGRES_URL is not set; run ./test");
    format!("{}/{}", base.rsplit_once('/').unwrap().0, target.get_dbname().unwrap())
}

/// What psql answers, rows and columns apart by blanks.
fn ask(url: &str, sql: &str) -> String {
    let out = Command::new("psql").args(["-X", "-q", "-A", "-t", "-F", " ", "-d", url, "-c", sql]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stops_costs_no_error_line() {
    let cluster = Cluster::start(&["fsync = off"]);
    let mut config = Config::from_url(&cluster.url("postgres")).unwrap();
    config.connect_timeout = Duration::from_secs(2);
    migrate::migrate(&config).await.unwrap();
    let (store, folder) = (Store::open(&config).await.unwrap(), tempfile::tempdir().unwrap());
    let spill = folder.path().join("waiting.jsonl");
    let (queue, end) = (LogQueue::with_spill(spill.clone()), CancellationToken::new());
    let writer = tokio::spawn(queue.clone().write(store.clone(), end.clone()));
    queue.push("info", "before", "all is well", None);
    until("the first line stands", async || count(&store, "before").await == 1).await;
    cluster.stop(Stop::Immediate);
    // Far more than memory holds: light lines go, heavy ones move into the file.
    for n in 0..30_000 {
        queue.push("debug", "light", &n.to_string(), None);
        if n % 2 == 0 {
            queue.push(if n % 4 == 0 { "error" } else { "critical" }, "heavy", &n.to_string(), None);
        }
    }
    until("heavy lines are brought to safety", async || spill.exists()).await;
    cluster.resume();
    let url = cluster.url("postgres");
    let stands = |module: &str| ask(&url, &format!("SELECT count(*) FROM system_logs WHERE module = '{module}'"));
    until("every heavy line stands", async || stands("heavy") == "15000").await;
    until("the file is read back", async || !spill.exists()).await;
    // Each light line stands, or was counted.
    let sql = "SELECT sum((metadata #>> '{dropped,debug}')::bigint) + (SELECT count(*) FROM system_logs WHERE module = 'light')
               FROM system_logs WHERE module = 'steward::logs'";
    until("each light line stands or is counted", async || ask(&url, sql) == "30000").await;
    // At the end the database is away: what is heavy waits for the next process, once.
    cluster.stop(Stop::Immediate);
    queue.push("critical", "last", "the end", None);
    queue.push("info", "last", "not so heavy", None);
    end.cancel();
    tokio::time::timeout(Duration::from_secs(6), writer).await.expect("the end is bounded").unwrap();
    assert!(spill.exists());
    cluster.resume();
    let (queue, end) = (LogQueue::with_spill(spill.clone()), CancellationToken::new());
    let writer = tokio::spawn(queue.clone().write(store.clone(), end.clone()));
    until("the next process writes it", async || count(&store, "last").await == 1).await;
    until("the file is read back", async || !spill.exists()).await;
    end.cancel();
    writer.await.unwrap();
}

/// What the database refuses for a reason of its own waits until the reason is over; a line that alone is refused for ever
/// holds up no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_of_the_database_is_no_lines_fault() {
    let database = Database::postgres().await;
    let (store, url) = (Store::open(&database.config).await.unwrap(), address(&database.config));
    ask(
        &url,
        "CREATE TABLE trouble (n integer); CREATE SEQUENCE refusals; GRANT SELECT ON trouble TO PUBLIC; GRANT ALL ON SEQUENCE refusals TO PUBLIC;
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.message = 'poison' OR EXISTS (SELECT 1 FROM trouble) THEN
                 PERFORM nextval('refusals'); RAISE EXCEPTION 'no rule says why';
             END IF;
             RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON system_logs FOR EACH ROW EXECUTE FUNCTION refuse();
         INSERT INTO trouble VALUES (1)",
    );
    let (queue, end) = (LogQueue::default(), CancellationToken::new());
    let writer = tokio::spawn(queue.clone().write(store.clone(), end.clone()));
    for n in 0..40 {
        queue.push("info", "waits", &n.to_string(), None);
    }
    let refusals = async || ask(&url, "SELECT last_value FROM refusals").parse::<u64>().unwrap();
    until("the lines are refused, one by one and again", async || refusals().await > 30).await;
    ask(&url, "DELETE FROM trouble");
    until("every line stands", async || count(&store, "waits").await == 40).await;
    let before = refusals().await;
    queue.push("error", "bad", "poison", None);
    until("it is refused", async || refusals().await > before).await;
    for n in 0..3 {
        queue.push("info", "beside", &n.to_string(), None);
    }
    until("the others are written", async || count(&store, "beside").await == 3).await;
    queue.push("info", "after", "the way is free", None);
    until("later ones too", async || count(&store, "after").await == 1).await;
    assert_eq!(count(&store, "bad").await, 0);
    end.cancel();
    writer.await.unwrap();
    store.close().await;
}

async fn what_is_left_is_written_at_the_end(postgres: bool) {
    let folder = tempfile::tempdir().unwrap();
    let database = if postgres { Database::postgres().await } else { Database::sqlite(folder.path()).await };
    let store = Store::open(&database.config).await.unwrap();
    let (queue, end) = (LogQueue::default(), CancellationToken::new());
    for n in 0..2500 {
        queue.push("info", "many", &n.to_string(), None);
    }
    // A user that is not there, and a line that no database takes: the others stand.
    queue.offer(NewLogLine { user_id: Some(Uuid::now_v7()), ..NewLogLine::new("error", "odd", "whose?") });
    queue.offer(NewLogLine { request_id: Some("x".repeat(101)), ..NewLogLine::new("error", "odd", "too long") });
    queue.offer(NewLogLine::new("warning", "odd", "the next one"));
    end.cancel();
    queue.write(store.clone(), end).await;
    let filter = Filter { module: Some("odd"), ..Filter::default() };
    let odd = system_logs::find(&Actor::service(), &store, &filter, 10).await.unwrap();
    let said: BTreeSet<&str> = odd.iter().filter_map(|l| l.message.as_deref()).collect();
    assert_eq!(said, BTreeSet::from(["whose?", "the next one"]));
    assert!(odd.iter().any(|l| l.metadata.as_ref().is_some_and(|m| m.get("user_id").is_some())));
    let name = format!("system_logs_{}", store::now().strftime("%Y_%m"));
    assert_eq!(place(&store, &name).await.unwrap().lines, 2502);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_is_written_at_the_end_on_postgres() {
    what_is_left_is_written_at_the_end(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_is_written_at_the_end_on_sqlite() {
    what_is_left_is_written_at_the_end(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_partition_is_drained_beside_writers() {
    let database = Database::postgres().await;
    let store = Store::open(&database.config).await.unwrap();
    let (stop, never) = (CancellationToken::new(), CancellationToken::new());
    // Writers go on in the present month and in months that are missing.
    let writers: Vec<_> = ["2024-03-05T00:00:00Z", "2024-04-05T00:00:00Z", "2026-11-05T00:00:00Z"]
        .into_iter()
        .map(|month| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move {
                let mut written = 0;
                while !stop.is_cancelled() {
                    let lines: Vec<NewLogLine> = (0..50).map(|n| at(month, n)).collect();
                    match system_logs::append(&Actor::service(), &store, &lines).await {
                        Ok(_) => written += 50,
                        // A lock was held a moment too long; nothing of the batch stands.
                        Err(e) => assert!(matches!(e, store::Error::Busy(_)), "{e}"),
                    }
                }
                written
            })
        })
        .collect();
    until("lines wait in the default partition", async || {
        place(&store, "system_logs_default").await.is_some_and(|m| m.lines > 500)
    })
    .await;
    let said = log_keeping::prepare(&store, &never).await.unwrap();
    assert!(said.starts_with("0 partitions made ahead, 2 out of the default partition"), "{said}");
    stop.cancel();
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    let url = address(&database.config);
    let places = "SELECT DISTINCT tableoid::regclass::text FROM system_logs WHERE module = 'test' ORDER BY 1";
    assert_eq!(ask(&url, places), "system_logs_2024_03 system_logs_2024_04 system_logs_2026_11");
    let lines = ask(&url, "SELECT count(*) FROM system_logs WHERE module = 'test'");
    assert_eq!(lines, written.to_string(), "no line is lost or doubled");
    // The new months are guarded and indexed like the others, and nobody is granted anything on them.
    let guarded = "SELECT relrowsecurity AND relforcerowsecurity AND coalesce(relacl::text, '') NOT LIKE '%app_%' FROM pg_class WHERE relname = 'system_logs_2024_03'";
    assert_eq!(ask(&url, guarded), "t");
    let indexes =
        |table: &str| ask(&url, &format!("SELECT count(*) FROM pg_index WHERE indrelid = '{table}'::regclass"));
    assert_eq!(indexes("system_logs_2024_03"), indexes("system_logs"));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn months_are_made_although_a_writer_holds_a_lock() {
    let database = Database::postgres().await;
    let store = Store::open(&database.config).await.unwrap();
    append(&store, &[at("2024-03-05T00:00:00Z", 0)]).await;
    let url = address(&database.config);
    let mut writer = Command::new("psql").args(["-X", "-q", "-d", &url]).stdin(Stdio::piped()).spawn().unwrap();
    let mut said = writer.stdin.take().unwrap();
    writeln!(said, "BEGIN; LOCK TABLE system_logs_default IN ROW EXCLUSIVE MODE;").unwrap();
    let held = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'system_logs_default'::regclass AND mode = 'RowExclusiveLock' AND granted)";
    until("a writer holds its lock", async || ask(&url, held) == "t").await;
    let (making, never) = (store.clone(), CancellationToken::new());
    let made = tokio::spawn(async move { log_keeping::prepare(&making, &never).await });
    // The writer holds its lock for longer than one try waits, and others write meanwhile.
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'system_logs_default'::regclass AND NOT granted)";
    until("it waits for the writer", async || ask(&url, waits) == "t").await;
    until("its first try is over", async || ask(&url, waits) == "f").await;
    append(&store, &[at(&store::now().to_string(), 0)]).await;
    assert!(!made.is_finished());
    writeln!(said, "COMMIT;").unwrap();
    drop(said);
    assert!(writer.wait().unwrap().success());
    let said = tokio::time::timeout(PATIENCE, made).await.unwrap().unwrap().unwrap();
    assert!(said.contains("1 out of the default partition"), "{said}");
    assert_eq!(place(&store, "system_logs_default").await.unwrap().lines, 0);
    assert_eq!(schedules::ensure_log_partitions(&Actor::service(), &store).await.unwrap(), 0);
    store.close().await;
}

/// The ids in an archive.
fn archived(path: &Path) -> Vec<Uuid> {
    let mut text = String::new();
    zstd::stream::read::Decoder::new(std::fs::File::open(path).unwrap()).unwrap().read_to_string(&mut text).unwrap();
    text.lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["id"].as_str().unwrap().parse().unwrap())
        .collect()
}

async fn old_months_are_exported_and_leave(postgres: bool) {
    let folder = tempfile::tempdir().unwrap();
    let database = if postgres { Database::postgres().await } else { Database::sqlite(folder.path()).await };
    let store = Store::open(&database.config).await.unwrap();
    let keeping = Keeping { archive_dir: folder.path().join("log-archive"), retention_months: 13 };
    let (now, never) = ("2026-11-22T10:00:00Z".parse().unwrap(), CancellationToken::new());
    let september: Vec<NewLogLine> = (0..2300).map(|n| at("2025-09-10T00:00:00Z", n)).collect();
    append(&store, &september).await;
    append(&store, &[at("2025-10-01T00:00:00Z", 0)]).await;
    let archive = keeping.archive_dir.join("system_logs_2025_09.jsonl.zst");
    let wanted: Vec<Uuid> = september.iter().map(|l| l.id).collect();

    // The archive can't be written: nothing leaves.
    std::fs::write(&keeping.archive_dir, "in the way").unwrap();
    log_keeping::prepare(&store, &never).await.unwrap();
    let error = log_keeping::retire(&store, &keeping, now, &never).await.unwrap_err();
    assert!(error.to_string().contains("its lines stay in the database"), "{error}");
    std::fs::remove_file(&keeping.archive_dir).unwrap();

    // A crash in the middle of the export left half a file.
    std::fs::create_dir(&keeping.archive_dir).unwrap();
    std::fs::write(keeping.archive_dir.join("system_logs_2025_09.part"), "half").unwrap();
    let said = log_keeping::retire(&store, &keeping, now, &never).await.unwrap();
    assert_eq!(said, "1 months with 2300 lines exported and dropped");
    assert_eq!(archived(&archive), wanted, "every line, in order");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&archive).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let files = || std::fs::read_dir(&keeping.archive_dir).unwrap().count();
    assert_eq!(files(), 1, "no half file is left");
    assert_eq!(place(&store, "system_logs_2025_10").await.unwrap().lines, 1, "thirteen months stay");
    assert_eq!(place(&store, "system_logs_2025_09").await, None);

    // A crash between export and drop: the archive is there, and so are the lines. They leave, and no second copy is made.
    append(&store, &september).await;
    log_keeping::prepare(&store, &never).await.unwrap();
    if postgres {
        assert!(months::detach(&Actor::service(), &store, "2025_09").await.unwrap(), "it had got as far as that");
    }
    log_keeping::run(&store, &keeping, &never).await.unwrap();
    assert_eq!((files(), archived(&archive).len()), (1, 2300));
    let gone = |m: &LogMonth| !m.name.starts_with("system_logs_2025_09");
    assert!(months::partitions(&Actor::service(), &store).await.unwrap().iter().all(gone));

    // Lines that come for a month that has left get an archive of their own.
    let late = at("2025-09-20T00:00:00Z", 1);
    append(&store, std::slice::from_ref(&late)).await;
    log_keeping::prepare(&store, &never).await.unwrap();
    log_keeping::retire(&store, &keeping, now, &never).await.unwrap();
    assert_eq!(archived(&keeping.archive_dir.join("system_logs_2025_09.2.jsonl.zst")), [late.id]);
    assert_eq!(archived(&archive).len(), 2300);

    // Keep all.
    let all = Keeping { retention_months: 0, ..keeping.clone() };
    append(&store, &[at("2025-08-01T00:00:00Z", 0)]).await;
    assert_eq!(
        log_keeping::retire(&store, &all, now, &never).await.unwrap(),
        "0 months with 0 lines exported and dropped"
    );
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_months_are_exported_and_leave_on_postgres() {
    old_months_are_exported_and_leave(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_months_are_exported_and_leave_on_sqlite() {
    old_months_are_exported_and_leave(false).await;
}
