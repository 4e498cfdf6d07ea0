//! The JSON API, as a program uses it.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use serde_json::json;

use super::house::{House, PASSWORD};

#[tokio::test]
async fn log_in_work_and_log_out() {
    let (house, _) = House::with_ada().await;
    let mut client = house.stranger();
    let refused = client.get("/v1/tasks").await;
    assert_eq!((refused.status, refused.json()["code"].clone()), (StatusCode::UNAUTHORIZED, json!("log_in_needed")));
    let wrong = client.post_json("/v1/auth/login", &json!({"login": "ada", "password": "x"})).await;
    assert_eq!((wrong.status, wrong.json()["code"].clone()), (StatusCode::UNAUTHORIZED, json!("log_in_refused")));
    let came = client.post_json("/v1/auth/login", &json!({"username": "ada", "password": PASSWORD})).await;
    assert_eq!(came.status, StatusCode::OK, "{}", came.text);
    client.cookie = Some(came.header("set-cookie").split(';').next().unwrap().to_owned());
    let present = client.get("/v1/auth/session").await.json();
    assert_eq!(
        (&present["username"], &present["role"], &present["is_agent"]),
        (&json!("ada"), &json!("admin"), &json!(false))
    );
    assert_eq!(present["csrf_token"], came.json()["csrf_token"]);

    let made = client.post_json("/v1/tasks", &json!({"title": "Call the tax office"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let path = made.header("location").to_owned();
    assert_eq!(client.get(&path).await.json()["title"], "Call the tax office");
    let done = client.post_json(&format!("{path}/complete"), &json!({"summary": "called"})).await.json();
    assert_eq!(
        (&done["status"], &done["metadata"]["summary"], &done["notice"]),
        (&json!("completed"), &json!("called"), &json!(null))
    );
    let again = client.post_json(&format!("{path}/complete"), &json!({})).await;
    assert_eq!((again.status, again.json()["code"].clone()), (StatusCode::CONFLICT, json!("conflict")));

    let out = house
        .send(
            client.request(Method::POST, "/v1/auth/logout").header("x-steward-csrf", "1").body(Body::empty()).unwrap(),
        )
        .await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/v1/auth/session").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn lists_go_on_by_cursor() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    for n in 0..5 {
        assert_eq!(
            client.post_json("/v1/tasks", &json!({"title": format!("task {n}")})).await.status,
            StatusCode::CREATED
        );
    }
    let (mut titles, mut path) = (Vec::new(), "/v1/tasks?limit=2&status=pending".to_owned());
    for _ in 0..5 {
        let page = client.get(&path).await.json();
        titles.extend(page["data"].as_array().unwrap().iter().map(|t| t["title"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/tasks?limit=2&status=pending&cursor={next}");
    }
    assert_eq!(titles, ["task 4", "task 3", "task 2", "task 1", "task 0"]);
    for bad in ["limit=0", "limit=201", "cursor=x", "status=lost", "sort=title"] {
        let refused = client.get(&format!("/v1/tasks?{bad}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        assert_eq!(refused.json()["errors"][0]["field"], bad.split('=').next().unwrap());
    }
}

#[tokio::test]
async fn a_decision_by_json() {
    let (house, ada) = House::with_ada().await;
    let (task, id) = house.asked(ada, ada).await;
    let (client, path) = (house.browser(ada).await, format!("/v1/approvals/{id}"));
    let asked = client.get(&path).await.json();
    assert_eq!((&asked["status"], &asked["call"]["tool"]), (&json!("pending"), &json!("move_file")));
    assert_eq!(
        client.get(&format!("/v1/approvals?status=pending&task_id={task}")).await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let runs = client.get(&format!("/v1/tasks/{task}/runs")).await.json();
    assert_eq!(runs["data"][0]["steps"][0]["state"], "awaiting_approval");

    let decide = format!("{path}/decision");
    let forged = house
        .send(
            client
                .request(Method::POST, &decide)
                .header("origin", "http://evil.example")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(r#"{"decision":"approve"}"#))
                .unwrap(),
        )
        .await;
    assert_eq!((forged.status, forged.json()["code"].clone()), (StatusCode::FORBIDDEN, json!("cross_site")));
    let text = house
        .send(
            client
                .request(Method::POST, &decide)
                .header(header::CONTENT_TYPE, "text/plain")
                .body(Body::from(r#"{"decision":"approve"}"#))
                .unwrap(),
        )
        .await;
    assert_eq!(text.status, StatusCode::FORBIDDEN, "what a foreign form could send");
    for (body, status) in [
        (json!({"decision": "perhaps"}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"decision": "approve", "extra": 1}), StatusCode::UNPROCESSABLE_ENTITY),
        (
            json!({"decision": "approve", "arguments": {"source": 1, "destination": "/b"}}),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (json!({"decision": "reject", "arguments": {}}), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(client.post_json(&decide, &body).await.status, status, "{body}");
    }
    let done = client.post_json(&decide, &json!({"decision": "approve", "note": "yes", "arguments": {"source": "/inbox/a.pdf", "destination": "/b"}})).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(done.json()["status"], "approved");
    assert_eq!(client.post_json(&decide, &json!({"decision": "reject"})).await.status, StatusCode::CONFLICT);
    assert_eq!(client.get(&path).await.json()["edited_arguments"], r#"{"destination":"/b","source":"/inbox/a.pdf"}"#);
}

#[tokio::test]
async fn every_list_answers() {
    let (house, ada) = House::with_ada().await;
    house.asked(ada, ada).await;
    let client = house.browser(ada).await;
    for path in [
        "/v1/notifications",
        "/v1/watchers",
        "/v1/servers",
        "/v1/policies",
        "/v1/logs?level=error",
        "/v1/audit?entity_type=task",
        "/v1/approvals",
        "/v1/tasks",
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        assert!(answer.json()["data"].is_array() && answer.json().get("next").is_some(), "{path}");
    }
    let server = client.get("/v1/servers").await.json()["data"][0].clone();
    assert!(server.get("environment").is_none(), "no secrets");
    let tools = client.get(&format!("/v1/servers/{}/tools", server["id"].as_str().unwrap())).await.json();
    assert_eq!(tools["data"][0]["is_usable"], true);
    assert_eq!(client.get("/v1/status").await.json()["database"], "SQLite");
    let briefing = client.get("/v1/briefing?period=week").await.json();
    assert_eq!((&briefing["period"], &briefing["to_decide"]["count"]), (&json!("week"), &json!(1)));
    assert_eq!(client.get("/v1/briefing?period=year").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let malformed = house
        .send(
            client
                .request(Method::POST, "/v1/tasks")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from("{"))
                .unwrap(),
        )
        .await;
    assert_eq!((malformed.status, malformed.json()["code"].clone()), (StatusCode::BAD_REQUEST, json!("malformed")));
}

#[tokio::test]
async fn searching_answers_marked_pieces() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    for title in ["Moving <b>invoices</b>", "Water the plants"] {
        client.post_json("/v1/tasks", &json!({"title": title, "tags": ["home"]})).await;
    }
    let found =
        client.get("/v1/tasks/search?q=invo*&status=pending&tag=home&created_from=2020-01-01T00:00:00Z").await.json();
    assert_eq!(found["data"][0]["title"], "Moving <b>invoices</b>");
    assert_eq!(
        found["data"][0]["snippet"]["title"],
        json!([{"text": "Moving <b>", "hit": false}, {"text": "invoices", "hit": true}, {"text": "</b>", "hit": false}])
    );
    assert_eq!(client.get("/v1/tasks/search?q=-invoices").await.json()["data"][0]["title"], "Water the plants");
    assert_eq!(client.get("/v1/tasks/search?q=%22%29%28%27*").await.json()["data"], json!([]));
    for bad in ["status=done", "created_from=soon", "assigned_to=x", "query=x"] {
        let refused = client.get(&format!("/v1/tasks/search?{bad}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {}", refused.text);
    }
    let page = client.get("/tasks?q=invoice").await.text;
    assert!(page.contains("Moving &lt;b&gt;<mark>invoices</mark>&lt;/b&gt;") && !page.contains("plants"), "{page}");
    assert!(client.get("/tasks?q=nothing-like-it").await.text.contains("No task matches"));
}
