//! Of every call it is known whether the server may have acted, and what it got is what was frozen.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::{os::unix::fs::PermissionsExt, time::Duration};

use common::{Watched, eventually, limits, lines, spec, watch, with};
use serde_json::{Value, json};
use tools::{CallError, EventKind, Limits, ToolCall, canonical_json};

fn not_started(result: Result<tools::CallResult, CallError>) -> String {
    match result {
        Err(CallError::NotStarted { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn unknown(result: Result<tools::CallResult, CallError>) -> String {
    match result {
        Err(CallError::OutcomeUnknown { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

async fn ready(args: &[&str], limits: Limits) -> (Watched, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut server = watch(with(spec("files", args), "EFFECTS_LOG", &dir.path().join("effects")), limits);
    server.running().await;
    (server, dir)
}

#[tokio::test]
async fn what_the_server_gets_is_the_frozen_text() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("capture");
    let (server, _effects) = ready(&["--capture", capture.to_str().unwrap()], limits()).await;
    let frozen =
        r#"{ "z":1.0, "a":{"é":"\u00e9\n","big":123456789012345678901234567890},"line":"x", "n":[1e3,-0.0,null] }"#;
    server.call("append", frozen).await.unwrap();
    server.call("append", "{\n  \"line\": \"two\\nlines\"\n}").await.unwrap();
    let got: Vec<String> = lines(&capture).into_iter().filter(|line| line.contains("tools/call")).collect();
    // Byte for byte, and therefore equal in canonical form too.
    assert!(got[0].contains(&format!("\"arguments\":{frozen}")), "{}", got[0]);
    let canonical = |text: &str| canonical_json(&serde_json::from_str::<Value>(text).unwrap());
    let second: Value = serde_json::from_str(&got[1]).unwrap();
    assert_eq!(canonical_json(&second["params"]["arguments"]), canonical(r#"{"line":"two\nlines"}"#));
    assert_eq!(got.len(), 2);
}

#[tokio::test]
async fn tools_act_and_their_own_errors_are_results() {
    let (server, dir) = ready(&[], limits()).await;
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("Rechnung März.pdf"), "12345").unwrap();
    let facts = server.call("get_file_info", &json!({"path": path("Rechnung März.pdf")}).to_string()).await.unwrap();
    assert!(facts.text.contains("size: 5") && !facts.is_error);
    server.call("create_directory", &json!({"path": path("2026/03")}).to_string()).await.unwrap();
    let from_to = json!({"source": path("Rechnung März.pdf"), "destination": path("2026/03/Rechnung.pdf")}).to_string();
    server.call("move_file", &from_to).await.unwrap();
    assert_eq!(std::fs::read_to_string(path("2026/03/Rechnung.pdf")).unwrap(), "12345");
    let again = server.call("move_file", &from_to).await.unwrap();
    assert!(again.is_error && again.text.contains("Destination already exists"), "{again:?}");
    assert!(server.call("fail", "{}").await.unwrap().is_error);
    let effects = lines(&dir.path().join("effects"));
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert_eq!(effects[1], format!("move_file {from_to}"));
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let (server, _dir) = ready(&[], limits()).await;
    let error = server.call("refuse", "{}").await.unwrap_err();
    assert_eq!(error, CallError::Refused { code: -32602, message: "refused, as always".into() });
}

#[tokio::test]
async fn what_is_wrong_before_the_call_is_never_sent() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("capture");
    let (server, _effects) = ready(&["--capture", capture.to_str().unwrap()], limits()).await;
    for arguments in ["", "[]", "null", "{\"line\":", "{\"line\":\"a\",\"line\":\"b\"}"] {
        not_started(server.call("append", arguments).await);
    }
    assert!(not_started(server.call("no_such_tool", "{}").await).contains("does not offer"));
    let offered = server.handle.tools().unwrap();
    let append = offered.iter().find(|tool| tool.name == "append").unwrap();
    let call = |sha256| ToolCall {
        tool: "append",
        definition_sha256: Some(sha256),
        arguments: "{}",
        timeout: None,
        news: None,
    };
    assert!(not_started(server.handle.call(call("0000")).await).contains("approve it again"));
    server.handle.call(call(&append.sha256)).await.unwrap();
    server.handle.stop().await;
    assert!(not_started(server.call("append", "{}").await).contains("stopped"));
    assert_eq!(lines(&capture).iter().filter(|line| line.contains("tools/call")).count(), 1);
}

#[tokio::test]
async fn a_call_that_hangs_is_unknown_and_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("capture");
    let args = ["--hang-on", "append", "--capture", capture.to_str().unwrap()];
    let (server, effects) = ready(&args, limits()).await;
    let timeout = Some(Duration::from_millis(300));
    let call = ToolCall { tool: "append", definition_sha256: None, arguments: r#"{"line":"x"}"#, timeout, news: None };
    assert!(unknown(server.handle.call(call).await).contains("within 0.3 s"));
    eventually("it acts all the same", || lines(&effects.path().join("effects")).len() == 1).await;
    eventually("the cancellation arrives", || lines(&capture).iter().any(|l| l.contains("notifications/cancelled")))
        .await;
    // The server is well otherwise, and an answer that nobody awaits harms nothing.
    assert!(!server.call("create_directory", &json!({"path": effects.path()}).to_string()).await.unwrap().is_error);
}

#[tokio::test]
async fn a_call_whose_caller_leaves_is_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("capture");
    let args = ["--hang-on", "append", "--capture", capture.to_str().unwrap()];
    let (server, effects) = ready(&args, limits()).await;
    let log = effects.path().join("effects");
    tokio::select! {
        result = server.call("append", "{}") => panic!("{result:?}"),
        () = eventually("the effect", || !lines(&log).is_empty()) => {}
    }
    eventually("the cancellation arrives", || lines(&capture).iter().any(|l| l.contains("notifications/cancelled")))
        .await;
}

#[tokio::test]
async fn a_server_that_dies_after_the_effect_leaves_an_unknown_outcome() {
    let (mut server, dir) = ready(&["--crash-on", "append"], limits()).await;
    unknown(server.call("append", r#"{"line":"x"}"#).await);
    assert_eq!(lines(&dir.path().join("effects")).len(), 1, "once, and not repeated");
    assert!(server.failed().await.contains("exit code 3"));
    server.running().await;
    assert_eq!(lines(&dir.path().join("effects")).len(), 1, "a restart repeats nothing");
}

#[tokio::test]
async fn a_call_no_byte_of_which_was_written_is_not_started() {
    // The server stops reading during the first call; the pipe fills up behind it, and what waits was never sent.
    let (server, _dir) = ready(&["--block-on", "append"], limits()).await;
    let filler = format!(r#"{{"line":"{}"}}"#, "x".repeat(900_000));
    let timeout = Some(Duration::from_millis(500));
    let call = |arguments| {
        server.handle.call(ToolCall { tool: "append", definition_sha256: None, arguments, timeout, news: None })
    };
    let (first, second, third) = tokio::join!(call("{}"), call(&filler), call("{}"));
    unknown(first);
    unknown(second);
    assert!(not_started(third).contains("took in nothing"));
}

#[tokio::test]
async fn a_shutdown_lets_the_call_in_flight_finish_and_otherwise_says_unknown() {
    for lets_it_go in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let world = dir.path().to_owned();
        let spec = with(spec("files", &[]), "PAUSE_AFTER", &world);
        let stop_grace = if lets_it_go { common::PATIENCE } else { limits().stop_grace };
        let limits = Limits { stop_grace, ..limits() };
        let mut server = watch(with(spec, "EFFECTS_LOG", &world.join("effects")), limits);
        server.running().await;
        let stopped = async {
            eventually("the world stops", || world.join("paused").exists()).await;
            if lets_it_go {
                let stop = server.handle.stop();
                let go = async {
                    eventually("it stops", || server.handle.tools().is_none()).await;
                    std::fs::write(world.join("go"), "").unwrap();
                };
                tokio::join!(stop, go);
            } else {
                server.handle.stop().await;
            }
        };
        let (result, ()) = tokio::join!(server.call("append", "{}"), stopped);
        assert_eq!(lines(&world.join("effects")).len(), 1);
        if lets_it_go {
            assert_eq!(result.unwrap().text, "Appended.");
        } else {
            assert!(unknown(result).contains("stopped before it answered"));
        }
    }
}

#[tokio::test]
async fn calls_side_by_side_get_their_own_answers() {
    let (server, dir) = ready(&["--garbage", "--ask"], limits()).await;
    let calls = (0..50).map(|n| {
        let path = dir.path().join(format!("d{n}"));
        let server = &server;
        async move { (n, server.call("create_directory", &json!({"path": path}).to_string()).await) }
    });
    for (n, result) in futures_util::future::join_all(calls).await {
        assert!(result.unwrap().text.ends_with(&format!("/d{n}")));
    }
    assert_eq!(lines(&dir.path().join("effects")).len(), 50);
}

#[tokio::test]
async fn a_result_too_long_to_keep_is_cut_and_not_lost() {
    let (server, _dir) = ready(&[], Limits { max_result_bytes: 100_000, ..limits() }).await;
    let whole = server.call("huge", r#"{"size_bytes":90000}"#).await.unwrap();
    assert_eq!((whole.text.len(), whole.truncated), (90_000, false));
    // Read whole and cut; and too long even to be read whole.
    for size in [1_000_000, 9_000_000] {
        let cut = server.call("huge", &json!({"size_bytes": size}).to_string()).await.unwrap();
        assert!(cut.truncated && !cut.is_error);
        assert_eq!(cut.text, "h".repeat(100_000));
        assert!(cut.json["size_bytes"].as_u64().unwrap() > size, "{}", cut.json["size_bytes"]);
        assert!(cut.json.to_string().len() < 110_000);
    }
}

#[tokio::test]
async fn a_changed_tool_is_refused_from_the_moment_it_is_announced() {
    let (mut server, dir) = ready(&["--change-after", "2"], limits()).await;
    let before = server.handle.tools().unwrap();
    let sha256 = |tools: &[tools::ToolDefinition]| {
        tools.iter().find(|tool| tool.name == "append").map(|tool| tool.sha256.clone()).unwrap()
    };
    let decided = sha256(&before);
    let call = || {
        let tool =
            ToolCall { tool: "append", definition_sha256: Some(&decided), arguments: "{}", timeout: None, news: None };
        server.handle.call(tool)
    };
    call().await.unwrap();
    call().await.unwrap();
    // Whether still announced, or listed already: the third never reaches the server as the tool it no longer is.
    let mut third = call().await;
    if third.is_ok() {
        // The announcement came after the answer, so one more may have passed before it; never after it.
        let changed = server.until(|kind| matches!(kind, EventKind::ToolsChanged { .. })).await;
        assert!(matches!(changed, EventKind::ToolsChanged { .. }));
        let tool =
            ToolCall { tool: "append", definition_sha256: Some(&decided), arguments: "{}", timeout: None, news: None };
        third = server.handle.call(tool).await;
    } else {
        server.until(|kind| matches!(kind, EventKind::ToolsChanged { .. })).await;
    }
    not_started(third);
    let now = server.handle.tools().unwrap();
    assert_ne!(sha256(&now), decided);
    assert_eq!(now.len(), before.len());
    assert!(lines(&dir.path().join("effects")).len() <= 3);
}

#[tokio::test]
async fn a_tool_that_changes_without_a_word_is_noticed() {
    let often = Duration::from_millis(50);
    let limits = Limits { ping_interval: often, relist_interval: often, ..limits() };
    let (mut server, _dir) = ready(&["--change-after", "1", "--quietly"], limits).await;
    server.call("append", "{}").await.unwrap();
    let changed = server.until(|kind| matches!(kind, EventKind::ToolsChanged { .. })).await;
    let EventKind::ToolsChanged { tools } = changed else { unreachable!() };
    assert_eq!(tools[0].description.as_deref(), Some("Appends a line, and mails it."));
}

#[tokio::test]
async fn the_environment_of_a_server_is_small_and_its_secrets_stay_out_of_the_news() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("leaky");
    let server = common::server();
    std::fs::write(&script, format!("#!/bin/sh\necho \"my token is $TOKEN\" >&2\nexec {}\n", server.display()))
        .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut leaky = spec("leaky", &[]);
    leaky.command = script.to_str().unwrap().to_owned();
    let mut server = watch(with(leaky, "TOKEN", "hunter2hunter2".as_ref()), limits());
    let said = server.until(|kind| matches!(kind, EventKind::Stderr { .. })).await;
    assert_eq!(said, EventKind::Stderr { line: "my token is [secret]".into() });
    server.handle.wait_running(common::PATIENCE).await.unwrap();
    let names = server.call("environment", "{}").await.unwrap().text;
    // Cargo sets this for the test itself; it stands for everything of ours that is none of a server's business.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!names.contains("CARGO") && names.contains("TOKEN") && names.contains("PATH"), "{names}");
}
