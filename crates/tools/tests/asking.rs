//! What happens while a call lasts: the server says how far it is, asks a person, is told what it may look at, and gives
//! files away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::{PATIENCE, Watched, eventually, limits, lines, spec, watch, with};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tools::{CallNews, CallResult, Question, ToolCall};

/// A server with these flags, whose effects are counted in the folder.
async fn ready(args: &[&str]) -> (Watched, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut server = watch(with(spec("rooms", args), "EFFECTS_LOG", &dir.path().join("effects")), limits());
    server.running().await;
    (server, dir)
}

/// Calls `append`; `answer` is given the server's question. Answers the result and how far the server said it was.
async fn call<F: Future<Output = ()>>(server: &Watched, answer: impl Fn(Question) -> F) -> (CallResult, Vec<String>) {
    let (sender, mut news) = mpsc::channel(16);
    let call = ToolCall {
        tool: "append",
        definition_sha256: None,
        arguments: r#"{"line":"x"}"#,
        timeout: None,
        news: Some(&sender),
    };
    let mut said = Vec::new();
    let work = async {
        let call = server.handle.call(call);
        tokio::pin!(call);
        loop {
            tokio::select! {
                biased;
                Some(heard) = news.recv() => match heard {
                    CallNews::Progress(progress) => said.push(progress.to_string()),
                    CallNews::Question(question) => answer(question).await,
                },
                done = &mut call => return done.unwrap(),
            }
        }
    };
    let result = tokio::time::timeout(PATIENCE, work).await.expect("the call has a limit of its own");
    while let Ok(CallNews::Progress(progress)) = news.try_recv() {
        said.push(progress.to_string());
    }
    (result, said)
}

async fn nobody(question: Question) {
    drop(question);
}

#[tokio::test]
async fn how_far_it_is_is_heard() {
    let (server, dir) = ready(&["--progress", "append"]).await;
    let (_, said) = call(&server, nobody).await;
    assert_eq!(said, ["1 of 3: sweeping", "2 of 3: sweeping", "3 of 3: sweeping"]);
    assert_eq!(lines(&dir.path().join("effects")).len(), 1);
}

#[tokio::test]
async fn a_person_answers_declines_or_is_not_there() {
    let (server, dir) = ready(&["--elicit", "append"]).await;
    let effects = dir.path().join("effects");
    let told = |result: CallResult| serde_json::from_str::<Value>(&result.text).unwrap();
    let (result, _) = call(&server, nobody).await;
    assert_eq!(told(result), json!({"action": "cancel"}));
    let (result, _) = call(&server, |question| async move {
        assert_eq!(question.message, "Which room?");
        question.decline().await;
    })
    .await;
    assert_eq!(told(result), json!({"action": "decline"}));
    assert!(lines(&effects).is_empty(), "nothing was done without a yes");
    let (result, _) = call(&server, |question| async move {
        let mut content = question.asks.defaults();
        content.insert("beds".to_owned(), json!(2));
        question.accept(content).await;
    })
    .await;
    assert_eq!(told(result), json!({"action": "accept", "content": {"beds": 2, "room": "blue"}}));
    assert_eq!(lines(&effects).len(), 1);
    // Whoever calls without a person at hand is not asked, and the server hears so.
    assert_eq!(told(server.call("append", "{}").await.unwrap()), json!({"action": "cancel"}));
}

#[tokio::test]
async fn a_secret_is_not_asked_for() {
    let (server, dir) = ready(&["--elicit", "append", "--secret"]).await;
    let (result, _) = call(&server, |question| async move { panic!("it was asked: {}", question.message) }).await;
    assert!(result.text.contains("decline"), "{}", result.text);
    assert!(lines(&dir.path().join("effects")).is_empty());
}

#[tokio::test]
async fn it_is_told_which_folders_its_owner_named() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("capture");
    let mut spec = spec("rooms", &["--ask", "--capture", capture.to_str().unwrap()]);
    spec.args.push(dir.path().to_str().unwrap().to_owned());
    let mut server = watch(spec, limits());
    server.running().await;
    let expected = format!("file://{}", dir.path().display());
    eventually("it hears its roots", || {
        lines(&capture).iter().any(|line| line.contains("roots") && line.contains(&expected))
    })
    .await;
    let greeting = lines(&capture)[0].clone();
    assert!(greeting.contains("elicitation") && greeting.contains("roots"), "{greeting}");
}

#[tokio::test]
async fn what_it_gives_away_is_read_within_bounds() {
    let (server, _dir) = ready(&["--attach"]).await;
    let result = server.call("attach", "{}").await.unwrap();
    let carried = tools::resources_in(&result.json);
    assert_eq!(
        carried.iter().map(|r| (r.name.as_str(), r.bytes.as_slice())).collect::<Vec<_>>(),
        [("plan.txt", &b"sweep"[..])]
    );
    let named = tools::links(&result.json);
    assert_eq!(named.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["report.txt", "missing.txt"]);
    let read = server.handle.read_resource(&named[0].uri).await.unwrap();
    assert_eq!(read[0].bytes, b"all is swept");
    let refused = server.handle.read_resource(&named[1].uri).await.unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
}
