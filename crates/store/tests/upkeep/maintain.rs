//! Upkeep beside those who write: nobody waits long, and what was bloated or half-made is whole afterwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use store::{
    maintain::{self, Action},
    tasks::{self, NewTask},
};
use tokio_util::sync::CancellationToken;

use crate::common::{Db, Engine, connect};

crate::on_both!(beside_writers, only_the_owner_may, a_stop_is_heeded);

fn silent() -> maintain::Progress {
    Arc::new(|_: &str| {})
}

fn done<'a>(actions: &'a [Action], place: &str) -> Option<&'a Action> {
    actions.iter().find(|a| a.place == place)
}

/// Writes tasks until told to stop; answers how many, and how long the slowest took.
async fn write(db: &Db, stop: &AtomicBool) -> (usize, Duration) {
    let (mut written, mut slowest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        tasks::create(&db.bob, &db.store, &NewTask::titled("beside the upkeep")).await.unwrap();
        slowest = slowest.max(began.elapsed());
        written += 1;
    }
    (written, slowest)
}

async fn beside_writers(db: &Db) {
    match db.engine {
        Engine::Postgres => {
            let owner = connect(&db.owner).await;
            for sql in [
                // No autovacuum beside it: its snapshot would keep dead rows from being removed.
                "CREATE TABLE bloated (id bigint PRIMARY KEY, word text) WITH (autovacuum_enabled = off)",
                "INSERT INTO bloated SELECT n, 'x' FROM generate_series(1, 150000) n",
                "CREATE INDEX bloated_word_ccnew ON bloated(word)",
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'bloated_word_ccnew'::regclass",
                "DELETE FROM bloated WHERE id % 20 <> 0",
                "VACUUM ANALYZE bloated",
                "DELETE FROM bloated WHERE id % 40 <> 0",
                "SELECT pg_stat_force_next_flush()",
            ] {
                owner.batch_execute(sql).await.unwrap();
            }
        }
        Engine::Sqlite => {
            db.task("to be found").await;
            // The index forgets everything that it has read.
            let store::Target::Sqlite(path) = &db.owner.target else { panic!("SQLite has a file") };
            let file = rusqlite::Connection::open(path).unwrap();
            file.execute_batch("INSERT INTO idx_tasks_fulltext (idx_tasks_fulltext) VALUES ('delete-all')").unwrap();
        }
    }
    let stop = AtomicBool::new(false);
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let progress: maintain::Progress = Arc::new(move |what: &str| heard.lock().unwrap().push(what.to_owned()));
    let work = async {
        let actions = maintain::run(&db.owner, progress, &CancellationToken::new()).await;
        stop.store(true, Ordering::Relaxed);
        actions.unwrap()
    };
    let (actions, (written, slowest)) = tokio::join!(work, write(db, &stop));
    assert!(written > 0 && slowest < Duration::from_secs(5), "{written} written, the slowest in {slowest:?}");
    assert!(!told.lock().unwrap().is_empty());
    match db.engine {
        Engine::Postgres => {
            assert_eq!(done(&actions, "bloated_word_ccnew").map(|a| a.what), Some("removed"), "{actions:#?}");
            assert_eq!(done(&actions, "bloated_pkey").map(|a| a.what), Some("rebuilt"), "{actions:#?}");
            assert_eq!(done(&actions, "bloated").map(|a| a.what), Some("vacuumed"), "{actions:#?}");
            assert_eq!(done(&actions, "system_logs").map(|a| a.what), Some("analysed"), "{actions:#?}");
            let sql = "SELECT pg_relation_size('bloated_pkey') < 1000000, NOT EXISTS (SELECT FROM pg_index WHERE NOT indisvalid)";
            let row = connect(&db.owner).await.query_one(sql, &[]).await.unwrap();
            assert_eq!((row.get::<_, bool>(0), row.get::<_, bool>(1)), (true, true));
            // In the end nothing is left to do to it. Rows that a writer's snapshot could still see during the first run
            // are removed by a later one; a snapshot is as old as the oldest transaction of any database of the server.
            let mut again = Vec::new();
            for _ in 0..20 {
                again = maintain::run(&db.owner, silent(), &CancellationToken::new()).await.unwrap();
                assert!(done(&again, "bloated_pkey").is_none(), "{again:#?}");
                if done(&again, "bloated").is_none() {
                    break;
                }
            }
            assert!(done(&again, "bloated").is_none(), "{again:#?}");
        }
        Engine::Sqlite => {
            assert_eq!(done(&actions, "idx_tasks_fulltext").map(|a| a.what), Some("rebuilt"), "{actions:#?}");
            assert_eq!(done(&actions, "idx_logs_fulltext").map(|a| a.what), Some("merged"), "{actions:#?}");
            db.store.close().await;
            let again = maintain::run(&db.owner, silent(), &CancellationToken::new()).await.unwrap();
            assert_eq!(done(&again, "idx_tasks_fulltext").map(|a| a.what), Some("merged"), "{again:#?}");
            assert_eq!(done(&again, "the write-ahead log").map(|a| a.what), Some("shrunk"), "{again:#?}");
        }
    }
}

async fn only_the_owner_may(db: &Db) {
    let ran = maintain::run(&db.config, silent(), &CancellationToken::new()).await;
    if db.engine == Engine::Sqlite {
        assert!(ran.is_ok(), "whoever may write the file owns it");
        return;
    }
    let said = ran.unwrap_err().to_string();
    assert!(said.contains("are the owner's") && said.contains("DATABASE_URL=postgres://"), "{said}");
}

async fn a_stop_is_heeded(db: &Db) {
    let stop = CancellationToken::new();
    stop.cancel();
    let actions = maintain::run(&db.owner, silent(), &stop).await.unwrap();
    assert!(actions.is_empty(), "{actions:#?}");
}
