//! A server is started, watched, started again with a growing wait, given up, and stopped.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{PATIENCE, limits, spec, watch};
use tools::{CallError, EventKind, Limits, StartError, probe};

#[tokio::test]
async fn a_probe_lists_the_tools_page_by_page() {
    let tools = probe(&spec("files", &["--page-size", "3"]), &limits()).await.unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    let expected =
        ["append", "create_directory", "environment", "fail", "get_file_info", "huge", "move_file", "refuse"];
    assert_eq!(names, expected);
    let again = probe(&spec("files", &[]), &limits()).await.unwrap();
    assert_eq!(tools, again, "a definition has the same hash however it is listed");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let limits = limits();
    let dies = spec("files", &["--exit-at-start", "7", "--say", "npm error 404"]);
    let error = probe(&dies, &limits).await.unwrap_err().to_string();
    assert_eq!(error, "it ended by itself (exit code 7); the last it wrote: npm error 404");
    let impatient = Limits { start_timeout: Duration::from_millis(300), ..limits.clone() };
    let error = probe(&spec("files", &["--never-ready"]), &impatient).await.unwrap_err();
    assert!(matches!(error, StartError::TooSlow { .. }), "{error}");
    for args in [&["--endless-pages"][..], &["--tools", "1001"]] {
        let error = probe(&spec("files", args), &limits).await.unwrap_err();
        assert!(matches!(error, StartError::Protocol { .. }), "{error}");
    }
    let mut nowhere = spec("files", &[]);
    nowhere.directory = Some("/no/such/directory".into());
    let error = probe(&nowhere, &limits).await.unwrap_err().to_string();
    assert!(error.contains("/no/such/directory") && error.contains("does not exist"), "{error}");
    let mut nothing = spec("files", &[]);
    nothing.command = "no-such-program-anywhere".into();
    let error = probe(&nothing, &limits).await.unwrap_err();
    assert_eq!(error, StartError::NoProgram { command: "no-such-program-anywhere".into() });
    let mut silent = spec("files", &[]);
    silent.command = "true".into();
    assert!(matches!(probe(&silent, &limits).await.unwrap_err(), StartError::Exited { .. }));
}

#[tokio::test]
async fn news_comes_in_order_and_the_heart_beats() {
    let limits = Limits { ping_interval: Duration::from_millis(20), ..limits() };
    let mut server = watch(spec("files", &["--garbage", "--ask"]), limits);
    assert_eq!(server.next().await, EventKind::Starting);
    let EventKind::Running { server_version, capabilities, tools } = server.running().await else { unreachable!() };
    assert_eq!(server_version, "scripted-mcp-server 1.0");
    assert_eq!(capabilities, ["logging", "tools"]);
    assert_eq!(tools.len(), 8);
    for _ in 0..3 {
        server.until(|kind| *kind == EventKind::Heartbeat).await;
    }
    server.handle.stop().await;
    server.until(|kind| *kind == EventKind::Stopped).await;
    assert!(server.handle.tools().is_none());
}

#[tokio::test]
async fn a_missed_ping_ends_the_server_and_starts_it_again() {
    let limits =
        Limits { ping_interval: Duration::from_millis(20), ping_timeout: Duration::from_millis(100), ..limits() };
    let mut server = watch(spec("files", &["--ignore-ping"]), limits);
    server.running().await;
    assert!(server.failed().await.contains("did not answer a ping"));
    server.running().await;
}

#[tokio::test]
async fn a_long_call_is_no_missed_ping_but_what_hangs_after_it_is() {
    let limits =
        Limits { ping_interval: Duration::from_millis(20), ping_timeout: Duration::from_millis(300), ..limits() };
    let mut server = watch(spec("files", &["--block-on", "append"]), limits);
    server.running().await;
    let timeout = Some(Duration::from_secs(2));
    let call = tools::ToolCall { tool: "append", definition_sha256: None, arguments: "{}", timeout, news: None };
    let started = Instant::now();
    let error = server.handle.call(call).await.unwrap_err();
    assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
    assert!(started.elapsed() >= Duration::from_secs(2), "the call had its time");
    assert!(server.failed().await.contains("did not answer a ping"));
    server.running().await;
}

#[tokio::test]
async fn the_wait_grows_to_its_cap_and_then_it_is_given_up_until_asked_for() {
    let limits = Limits { max_restarts_in_window: 4, ..limits() };
    let mut server = watch(spec("files", &["--exit-at-start", "1", "--say", "no licence"]), limits);
    for wait in [20, 40, 80, 100] {
        let EventKind::Failed { reason, retry_in } =
            server.until(|kind| !matches!(kind, EventKind::Starting | EventKind::Stderr { .. })).await
        else {
            panic!("not failed")
        };
        assert!(reason.contains("exit code 1") && reason.contains("no licence"), "{reason}");
        assert_eq!(retry_in, Duration::from_millis(wait));
    }
    let given_up = server.until(|kind| !matches!(kind, EventKind::Starting | EventKind::Stderr { .. })).await;
    let EventKind::GaveUp { reason } = given_up else { panic!("{given_up:?}") };
    assert!(reason.contains("failed 5 times"), "{reason}");
    let error = server.call("append", "{}").await.unwrap_err();
    assert!(matches!(&error, CallError::NotStarted { reason } if reason.contains("was given up")), "{error}");
    let error = server.handle.wait_running(PATIENCE).await.unwrap_err();
    assert!(matches!(error, CallError::NotStarted { .. }), "{error}");
    // Nothing happens by itself now; asking starts it, with a clean record.
    server.handle.retry();
    assert_eq!(server.until(|kind| !matches!(kind, EventKind::Stderr { .. })).await, EventKind::Starting);
    let failed = server.until(|kind| !matches!(kind, EventKind::Stderr { .. })).await;
    assert!(
        matches!(failed, EventKind::Failed { retry_in, .. } if retry_in == Duration::from_millis(20)),
        "{failed:?}"
    );
    server.handle.stop().await;
}

#[tokio::test]
async fn a_server_given_up_is_tried_again_after_the_window() {
    let limits = Limits { max_restarts_in_window: 0, restart_window: Duration::from_millis(200), ..limits() };
    let mut server = watch(spec("files", &["--exit-at-start", "1"]), limits);
    for _ in 0..2 {
        let started = Instant::now();
        server.until(|kind| matches!(kind, EventKind::GaveUp { .. })).await;
        server.until(|kind| matches!(kind, EventKind::Starting)).await;
        assert!(started.elapsed() >= Duration::from_millis(200));
    }
}

#[tokio::test]
async fn a_flood_of_stderr_is_bounded_and_counted() {
    let limits = Limits { stderr_lines_per_minute: 10, line_bytes: 50, ..limits() };
    let mut server = watch(spec("files", &["--flood-stderr", "20000"]), limits);
    server.running().await;
    server.handle.stop().await;
    let mut kept = Vec::new();
    while let Ok(event) = server.events.try_recv() {
        if let EventKind::Stderr { line } = event.kind {
            kept.push(line);
        }
    }
    // What came before `Running` was passed over above.
    assert!(kept.len() <= 11, "{}", kept.len());
    assert_eq!(kept.last().unwrap(), "19990 lines were left out; 10 a minute are kept");
    assert!(kept.iter().all(|line| line.len() <= 50));
}

#[tokio::test]
async fn a_receiver_that_does_not_listen_holds_nothing_up() {
    let (sender, _events) = tokio::sync::mpsc::channel(1);
    let context = tools::Context {
        limits: Limits { ping_interval: Duration::from_millis(5), ..limits() },
        run_dir: None,
        events: sender,
        shutdown: tokio_util::sync::CancellationToken::new(),
    };
    let handle = tools::supervise(spec("files", &["--flood-stderr", "1000"]), &context);
    handle.wait_running(PATIENCE).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), handle.stop()).await.unwrap();
}
