//! Events become lines: levels, columns, metadata, and no secret among them.

use serde_json::json;
use store::{Actor, Config, Store, migrate, system_logs};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use workers::logs::LogQueue;

use super::database;
use crate::config::LogLevel;

const USER: &str = "019ab000-0000-7000-8000-000000000001";
const TASK: &str = "019ab000-0000-7000-8000-000000000002";

/// What `say` leaves in the log of a fresh database, oldest first.
async fn lines_of(least: LogLevel, say: impl FnOnce()) -> Vec<system_logs::LogLine> {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::from_url(&format!("sqlite://{}", folder.path().join("steward.db").display())).unwrap();
    migrate::migrate(&config).await.unwrap();
    let store = Store::open(&config).await.unwrap();
    let queue = LogQueue::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(database(queue.clone(), least)), say);
    let end = CancellationToken::new();
    end.cancel();
    queue.write(store.clone(), end).await;
    let filter = system_logs::Filter::default();
    let mut lines = system_logs::find(&Actor::service(), &store, &filter, 100).await.unwrap();
    lines.sort_by_key(|line| line.id);
    store.close().await;
    lines
}

#[tokio::test]
async fn levels_are_the_specifications() {
    let say = || {
        tracing::trace!("t");
        tracing::debug!("d");
        tracing::info!("i");
        tracing::warn!("w");
        tracing::error!("e");
        tracing::error!(critical = true, "c");
        tracing::info!(target: "hyper::server", "not ours");
        tracing::info!(target: "stewardess", "nor this");
    };
    let said = async |least| -> Vec<String> {
        let lines = lines_of(least, say).await;
        lines.iter().map(|l| format!("{} {}", l.level, l.message.clone().unwrap())).collect()
    };
    assert_eq!(said(LogLevel::Debug).await, ["debug t", "debug d", "info i", "warning w", "error e", "critical c"]);
    assert_eq!(said(LogLevel::Info).await, ["info i", "warning w", "error e", "critical c"]);
    assert_eq!(said(LogLevel::Critical).await, ["critical c"]);
}

#[tokio::test]
async fn columns_are_filled_from_the_event_and_its_spans() {
    let lines = lines_of(LogLevel::Info, || {
        let request = tracing::info_span!(
            "request",
            request_id = "r-7",
            ip = %"192.0.2.7",
            user_agent = "curl/8",
            user_id = tracing::field::Empty,
            part = "outer"
        );
        request.record("user_id", USER);
        let _in_request = request.enter();
        let _in_task = tracing::debug_span!("work", task_id = TASK, part = "inner").entered();
        tracing::warn!(attempt = 3, is_last = false, error = "no route", "the mail was not sent");
    })
    .await;
    let line = &lines[0];
    assert_eq!(line.message.as_deref(), Some("the mail was not sent: no route"));
    assert_eq!((line.level.as_str(), line.module.as_deref()), ("warning", Some("steward::logging::tests")));
    assert_eq!((line.request_id.as_deref(), line.user_agent.as_deref()), (Some("r-7"), Some("curl/8")));
    assert_eq!(line.ip_address, Some("192.0.2.7".parse().unwrap()));
    // Neither the user nor the task is there: the line stands all the same, and says whom it meant.
    assert_eq!((line.user_id, line.task_id), (None, None));
    assert_eq!(
        line.metadata,
        Some(json!({"part": "inner", "attempt": 3, "is_last": false, "error": "no route", "user_id": USER}))
    );
}

#[tokio::test]
async fn no_secret_gets_into_a_line() {
    let lines = lines_of(LogLevel::Info, || {
        let _span = tracing::info_span!("x", api_key = "s3cret-1").entered();
        tracing::info!(
            password = "s3cret-2",
            authorization = "Basic s3cret-3",
            url = "postgres://ada:s3cret-4@db/x",
            error = "Bearer s3cret-5-long-enough was refused",
            "sent to https://ada:s3cret-6@host/?token=s3cret-7"
        );
    })
    .await;
    let text = serde_json::to_string(&lines).unwrap();
    assert!(!text.contains("s3cret"), "{text}");
    assert!(text.contains("[redacted]") && text.contains("db/x"), "{text}");
}

#[test]
fn what_can_not_be_meant_is_refused() {
    for said in ["info", "warn,steward=debug", "store", "TRACE", "off", "web[request]=trace", "tokio_postgres=info"] {
        assert!(super::wanted(said).is_ok(), "{said}");
    }
    for said in ["verbose", "info,loud", "steward=chatty", "everything please"] {
        let refused = super::wanted(said).unwrap_err().to_string();
        assert!(refused.contains("STEWARD_LOG") && refused.contains("write a level"), "{refused}");
    }
}
