//! Steward's own MCP server over HTTP: an agent asks and waits, people decide, and nothing reaches further than its token.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use domain::{
    decide::{Decision, decide},
    requests::{self, NewRequest},
};
use serde_json::{Value as Json, json};
use store::{Actor, audit_trail, notifications, tasks};
use uuid::Uuid;

use super::house::{Answer, Browser, House};

/// Sends one message of the protocol.
async fn send(program: &Browser<'_>, message: &Json) -> Answer {
    let request = program
        .request(Method::POST, "/mcp")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .body(Body::from(message.to_string()));
    program.house.send(request.unwrap()).await
}

/// Asks something; answers the whole message that comes back.
async fn ask(program: &Browser<'_>, method: &str, params: Json) -> Json {
    let answer = send(program, &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let lines = answer.text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    let messages = lines.filter_map(|line| serde_json::from_str::<Json>(line).ok());
    messages.into_iter().find(|m| m["id"] == 1).unwrap_or_else(|| panic!("no answer in {}", answer.text))
}

/// Calls a tool: what it answers, or the sentence with which it refuses.
async fn call(program: &Browser<'_>, tool: &str, arguments: Json) -> Result<Json, String> {
    let answer = ask(program, "tools/call", json!({"name": tool, "arguments": arguments})).await;
    let result = &answer["result"];
    assert!(result.is_object(), "{answer}");
    if result["isError"] == true {
        return Err(result["content"][0]["text"].as_str().unwrap().to_owned());
    }
    // Clients of older versions of the protocol read the text alone.
    let text: Json = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
    Ok(text)
}

async fn names(program: &Browser<'_>) -> Vec<String> {
    let listed = ask(program, "tools/list", json!({})).await;
    listed["result"]["tools"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap().to_owned()).collect()
}

/// An agent's program.
async fn agent<'a>(house: &'a House, ada: Uuid, scopes: &[&str]) -> Browser<'a> {
    let employee = store::users::agent(&Actor::service(), &house.store, domain::accounts::EMPLOYEE).await;
    house.program(ada, employee.unwrap().unwrap(), scopes).await
}

#[tokio::test]
async fn an_agent_asks_waits_and_is_given_what_the_person_made_of_it() {
    let (house, ada) = House::with_ada().await;
    let program = agent(&house, ada, &["read", "tasks"]).await;
    let begun = ask(
        &program,
        "initialize",
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}),
    )
    .await;
    assert_eq!(begun["result"]["serverInfo"]["name"], "steward");
    assert!(begun["result"]["instructions"].as_str().unwrap().contains("approval_request"));

    let wanted =
        json!({"summary": "Pay 12 EUR to Kiosk", "arguments": {"to": "Kiosk", "cents": 1200}, "reason": "bread"});
    let asked = call(&program, "approval_request", wanted).await.unwrap();
    let id = asked["id"].as_str().unwrap().to_owned();
    assert_eq!((&asked["status"], &asked["action_type"]), (&json!("pending"), &json!("request")));
    let told = notifications::list(&Actor::user(ada), &house.store, None, 10).await.unwrap();
    assert_eq!(told.iter().map(|n| n.title.as_str()).collect::<Vec<_>>(), ["Asked: Pay 12 EUR to Kiosk"]);
    // It does not wait where no time is given.
    let now = call(&program, "approval_wait", json!({"approval_id": id, "seconds": 0})).await.unwrap();
    assert_eq!(now["status"], "pending");

    // While one waits, a person looks at it and decides.
    let person = house.browser(ada).await;
    let decide = async {
        let page = person.get(&format!("/approvals/{id}")).await;
        assert!(page.text.contains("Pay 12 EUR to Kiosk") && page.text.contains("1200"), "{}", page.text);
        let queue = person.get("/approvals").await;
        assert!(queue.text.contains("Pay 12 EUR to Kiosk"));
        let yes = json!({"decision": "approve", "note": "half of it", "arguments": {"to": "Kiosk", "cents": 600}});
        let request = person
            .request(Method::POST, &format!("/v1/approvals/{id}/decision"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-steward-csrf", "1")
            .body(Body::from(yes.to_string()));
        let decided = house.send(request.unwrap()).await;
        assert_eq!(decided.status, StatusCode::OK, "{}", decided.text);
    };
    let waiting = call(&program, "approval_wait", json!({"approval_id": id, "seconds": 300}));
    let (answer, ()) = tokio::join!(waiting, decide);
    let answer = answer.unwrap();
    assert_eq!((&answer["status"], &answer["notes"]), (&json!("approved"), &json!("half of it")));
    assert_eq!(answer["arguments"], json!({"to": "Kiosk", "cents": 600}));
    assert_eq!(answer["was_changed"], true);
    assert_eq!(answer["details"]["arguments"]["cents"], 1200, "what was asked for stands as it was");

    // The same by the API, and in the record.
    let read = program.get(&format!("/v1/approvals/{id}")).await.json();
    assert_eq!(read["edited_arguments"], r#"{"cents":600,"to":"Kiosk"}"#);
    let history = call(&program, "audit_history", json!({"entity_type": "approval", "entity_id": id})).await.unwrap();
    assert!(history["changes"].is_array());
    let rows = audit_trail::list(&Actor::user(ada), &house.store, Some("approval"), id.parse().ok(), 10).await.unwrap();
    assert_eq!(rows.len(), 2, "asked and decided");
    let task = answer["task_id"].as_str().unwrap();
    let done = call(&program, "task_finish", json!({"task_id": task, "status": "completed", "summary": "paid"})).await;
    assert_eq!(done.unwrap()["metadata"]["summary"], "paid");
    let late = call(&program, "approval_request", json!({"summary": "again", "task_id": task})).await.unwrap_err();
    assert!(late.contains("the task is completed"), "{late}");
}

#[tokio::test]
async fn nothing_here_decides_and_no_tool_reaches_further_than_its_token() {
    let (house, ada) = House::with_ada().await;
    let all: Vec<&str> = domain::tokens::Scope::ALL.iter().map(|s| s.as_str()).collect();
    let wide = house.program(ada, ada, &all).await;
    let known = names(&wide).await;
    assert_eq!(
        known,
        [
            "approval_request",
            "approval_wait",
            "approval_list",
            "task_create",
            "task_get",
            "task_list",
            "task_search",
            "task_finish",
            "task_assign",
            "file_read",
            "file_add",
            "log_search",
            "log_write",
            "audit_history"
        ],
        "whoever adds one that decides anything breaks what Steward promises"
    );
    let reader = house.program(ada, ada, &["read"]).await;
    assert!(!names(&reader).await.iter().any(|n| n == "task_create" || n == "approval_request" || n == "log_write"));
    let refused = call(&reader, "task_create", json!({"title": "x"})).await.unwrap_err();
    assert!(refused.contains("scope tasks") && refused.contains("steward token create"), "{refused}");
    let writer = house.program(ada, ada, &["tasks"]).await;
    assert!(call(&writer, "task_list", json!({})).await.unwrap_err().contains("scope read"));
    assert!(ask(&writer, "resources/list", json!({})).await["result"]["resources"].as_array().unwrap().is_empty());

    // What is another's is not there.
    let bob = house.add_user(ada, "bob", "user").await;
    let (task, approval) = house.asked(ada, ada).await;
    let of_bob = house.program(bob, bob, &["read", "tasks"]).await;
    for (tool, arguments) in [
        ("task_get", json!({"task_id": task})),
        ("approval_wait", json!({"approval_id": approval, "seconds": 0})),
        ("approval_request", json!({"summary": "x", "task_id": task})),
        ("task_finish", json!({"task_id": task, "status": "cancelled"})),
        ("file_read", json!({"file_id": task})),
    ] {
        let said = call(&of_bob, tool, arguments).await.unwrap_err();
        assert!(said.contains("or you may not see it"), "{tool}: {said}");
    }
    let gone = ask(&of_bob, "resources/read", json!({"uri": format!("steward://tasks/{task}")})).await;
    assert!(gone["error"]["message"].as_str().unwrap().contains("may not see it"), "{gone}");

    // A cookie opens nothing, and neither does nobody.
    let person = house.browser(ada).await;
    for browser in [&person, &house.stranger()] {
        let refused = send(browser, &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{}", refused.text);
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn tasks_files_and_lines_are_read_and_written() {
    let (house, ada) = House::with_ada().await;
    let program = agent(&house, ada, &["read", "tasks", "logs"]).await;
    let new = json!({"title": "Water the plants", "assigned_to": "ada", "due_date": "2099-01-01T08:00:00Z", "tags": ["home"], "kind": "triage"});
    let task = call(&program, "task_create", new).await.unwrap();
    let id = task["id"].as_str().unwrap();
    assert_eq!((&task["assigned_to"], &task["metadata"]["kind"]), (&json!(ada), &json!("triage")));
    let provenance = tasks::provenance(&Actor::user(ada), &house.store, id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((provenance.outside, provenance.source.as_str()), (true, "mcp"));

    let whole = call(&program, "task_get", json!({"task_id": id})).await.unwrap();
    assert_eq!((&whole["outside"], &whole["files"]), (&json!(true), &json!([])));
    let found = call(&program, "task_search", json!({"query": "plants"})).await.unwrap();
    assert_eq!(found["tasks"][0]["id"], id);
    for n in 0..3 {
        call(&program, "task_create", json!({"title": format!("task {n}")})).await.unwrap();
    }
    let (mut seen, mut next) = (Vec::new(), Json::Null);
    loop {
        let page = call(&program, "task_list", json!({"limit": 2, "cursor": next})).await.unwrap();
        seen.extend(page["tasks"].as_array().unwrap().iter().map(|t| t["title"].as_str().unwrap().to_owned()));
        next = page["next"].clone();
        if next.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["task 2", "task 1", "task 0", "Water the plants"]);

    let file = json!({"task_id": id, "filename": "note.txt", "text": "first line\nsecond line\n"});
    let file = call(&program, "file_add", file).await.unwrap()["id"].as_str().unwrap().to_owned();
    let bytes = json!({"task_id": id, "filename": "b.bin", "base64": "AP8="});
    let bytes = call(&program, "file_add", bytes).await.unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(call(&program, "file_read", json!({"file_id": bytes})).await.unwrap()["base64"], "AP8=");
    let part = call(&program, "file_read", json!({"file_id": file, "offset": 6, "length": 10})).await.unwrap();
    assert_eq!((&part["text"], &part["next_offset"]), (&json!("line\nsecon"), &json!(16)));
    let read = ask(&program, "resources/read", json!({"uri": format!("steward://files/{file}")})).await;
    assert_eq!(read["result"]["contents"][0]["text"], "first line\nsecond line\n");
    let read = ask(&program, "resources/read", json!({"uri": format!("steward://tasks/{id}")})).await;
    assert!(read["result"]["contents"][0]["text"].as_str().unwrap().contains("note.txt"));
    let places = ask(&program, "resources/templates/list", json!({})).await;
    assert_eq!(places["result"]["resourceTemplates"].as_array().unwrap().len(), 4);

    let line = json!({"level": "warning", "message": "the can is empty", "task_id": id});
    call(&program, "log_write", line).await.unwrap();
    let lines = call(&program, "log_search", json!({"query": "empty", "level": "warning"})).await.unwrap();
    assert_eq!(
        (&lines["lines"][0]["message"], &lines["lines"][0]["module"]),
        (&json!("the can is empty"), &json!("mcp"))
    );
}

#[tokio::test]
async fn wrong_words_change_nothing_and_are_told_how_to_be_right() {
    let (house, ada) = House::with_ada().await;
    let program = agent(&house, ada, &["read", "tasks", "logs"]).await;
    for (tool, arguments, words) in [
        ("task_create", json!({}), "title"),
        ("task_create", json!({"title": "x", "colour": "red"}), "unknown field `colour`"),
        ("task_create", json!({"title": " "}), "1 to 255"),
        ("task_create", json!({"title": "x", "assigned_to": "nobody"}), "there is no user"),
        ("task_create", json!({"title": "x", "priority": "odd"}), "priority"),
        ("task_create", json!({"title": "x", "kind": "two\nlines"}), "a task's kind"),
        ("task_list", json!({"status": "odd"}), "pending, in_progress"),
        ("task_list", json!({"cursor": "odd"}), "`next` of the page before"),
        ("task_finish", json!({"task_id": Uuid::nil(), "status": "odd"}), "completed, failed or cancelled"),
        ("approval_request", json!({"summary": ""}), "1 to 200"),
        ("approval_request", json!({"summary": "x", "minutes": 0}), "1 to 43200"),
        ("approval_request", json!({"summary": "x", "risk": "odd"}), "normal or high"),
        ("approval_request", json!({"summary": "x", "arguments": {"a": "x".repeat(70_000)}}), "65536"),
        ("approval_wait", json!({"approval_id": Uuid::nil(), "seconds": 301}), "0 to 300"),
        ("log_write", json!({"level": "odd", "message": "x"}), "debug, info"),
        ("file_read", json!({"file_id": Uuid::nil(), "length": 0}), "1 to 262144"),
        ("file_add", json!({"task_id": Uuid::nil(), "filename": "x", "text": "x"}), "may not see it"),
        ("file_add", json!({"task_id": Uuid::nil(), "filename": "x"}), "one of the two"),
        ("file_add", json!({"task_id": Uuid::nil(), "filename": "x", "base64": "%"}), "no base64"),
    ] {
        let said = call(&program, tool, arguments).await.unwrap_err();
        assert!(said.contains(words), "{tool}: {said}");
    }
    assert!(tasks::list(&Actor::user(ada), &house.store, None, None, 10).await.unwrap().is_empty());
    let unknown = ask(&program, "tools/call", json!({"name": "approval_decide", "arguments": {}})).await;
    assert!(unknown["error"]["message"].as_str().unwrap().contains("no tool approval_decide"), "{unknown}");
    let large = "x".repeat(300 * 1024);
    let refused = send(&program, &json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": large}})).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_program_has_only_so_many_questions_open() {
    let (house, ada) = House::with_ada().await;
    let actor = Actor::user(ada);
    let task = tasks::create(&actor, &house.store, &tasks::NewTask::titled("many questions")).await.unwrap();
    let ask = async || {
        let new = NewRequest {
            task_id: Some(task),
            summary: "May I?".to_owned(),
            arguments: serde_json::Map::new(),
            reason: None,
            risk: "normal".to_owned(),
            minutes: 5,
            via: "mcp",
        };
        requests::ask(&house.store, &actor, new).await
    };
    let mut first = None;
    for _ in 0..requests::MOST_OPEN {
        first = Some(ask().await.unwrap().id);
    }
    let refused = ask().await.unwrap_err().to_string();
    assert!(refused.contains("100 questions of yours wait"), "{refused}");
    let yes = Decision { approve: true, note: None, arguments: None };
    decide(&house.store, &actor, first.unwrap(), yes).await.unwrap();
    ask().await.expect("one was decided");
}
