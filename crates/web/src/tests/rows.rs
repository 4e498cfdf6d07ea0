//! Rows through the API: parts of them, their tags, changes, and requests that are sent twice.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use serde_json::{Value, json};

use super::house::{Answer, Browser, House};

async fn send(client: &Browser<'_>, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut request = client.request(method, path).header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.house.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_row_is_read_in_part_and_not_again_while_it_stands() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    let made = client.post_json("/v1/tasks", &json!({"title": "Call", "tags": ["home"]})).await;
    let path = made.header("location").to_owned();
    let whole = client.get(&path).await;
    let tag = whole.header("etag").to_owned();
    assert_eq!(made.header("etag"), tag, "the tag of the row as it was made");
    let part = client.get(&format!("{path}?fields=id,tags")).await;
    assert_eq!(part.json(), json!({"id": whole.json()["id"], "tags": ["home"]}));
    assert_eq!(part.header("etag"), tag, "what is sent back with it is about the whole row");
    let known = send(&client, Method::GET, &path, &[("if-none-match", &tag)], &Value::Null).await;
    assert_eq!((known.status, known.text.as_str(), known.header("etag")), (StatusCode::NOT_MODIFIED, "", &*tag));
    let list = client.get("/v1/tasks?fields=title&limit=1").await;
    assert_eq!(list.json(), json!({"data": [{"title": "Call"}], "next": null}));
    let again = send(
        &client,
        Method::GET,
        "/v1/tasks?fields=title&limit=1",
        &[("if-none-match", list.header("etag"))],
        &Value::Null,
    )
    .await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    let wrong = client.get("/v1/tasks?fields=title,secret").await;
    assert_eq!(
        (wrong.status, wrong.json()["errors"][0]["field"].clone()),
        (StatusCode::UNPROCESSABLE_ENTITY, json!("fields"))
    );
}

#[tokio::test]
async fn a_change_of_nothing_is_one_and_no_body_is_none() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    let made = client.post_json("/v1/tasks", &json!({"title": "Call"})).await;
    for path in [made.header("location"), "/v1/notifications/wishes"] {
        assert_eq!(client.patch_json(path, &json!({})).await.status, StatusCode::OK, "{path}");
        // Whatever its head says.
        let empty = client.patch_nothing(path).await;
        assert_eq!((empty.status, &empty.json()["code"]), (StatusCode::BAD_REQUEST, &json!("malformed")), "{path}");
    }
}

#[tokio::test]
async fn a_change_is_a_merge_patch_and_meets_the_row_that_was_read() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    let new = json!({"title": "Call", "description": "soon", "metadata": {"a": 1, "b": 2}, "estimated_duration": 5});
    let made = client.post_json("/v1/tasks", &new).await;
    let (path, tag) = (made.header("location").to_owned(), made.header("etag").to_owned());
    let first =
        json!({"description": null, "metadata": {"b": null, "c": 3}, "priority": "high", "status": "in_progress"});
    let changed = send(&client, Method::PATCH, &path, &[("if-match", &tag)], &first).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let row = changed.json();
    assert_eq!(
        (
            &row["title"],
            &row["description"],
            &row["metadata"],
            &row["priority"],
            &row["status"],
            &row["estimated_duration"]
        ),
        (&json!("Call"), &json!(null), &json!({"a": 1, "c": 3}), &json!("high"), &json!("in_progress"), &json!(5))
    );
    assert_eq!(changed.header("etag"), client.get(&path).await.header("etag"));
    let late = send(&client, Method::PATCH, &path, &[("if-match", &tag)], &json!({"title": "Write"})).await;
    let said = late.json();
    assert_eq!(
        (late.status, &said["code"], &said["current"]),
        (StatusCode::PRECONDITION_FAILED, &json!("changed"), &row)
    );
    assert_eq!(said["changes"][0]["action"], "task_updated");
    assert_eq!(client.get(&path).await.json()["title"], "Call");
    for (patch, field) in [
        (json!({"title": ""}), "title"),
        (json!({"title": null}), "title"),
        (json!({"priority": "urgent"}), "priority"),
        (json!({"created_by": ada}), "created_by"),
        (json!({"due_date": "soon"}), "due_date"),
        (json!({"metadata": 7}), "metadata"),
        (json!([]), "body"),
        (json!({"dependencies": [row["id"]]}), "dependencies"),
    ] {
        let refused = send(&client, Method::PATCH, &path, &[], &patch).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{patch}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{patch}");
    }
    let moved = send(&client, Method::PATCH, &path, &[], &json!({"status": "failed"})).await;
    assert_eq!(moved.json()["status"], "failed");
    assert_eq!(
        send(&client, Method::PATCH, &path, &[], &json!({"status": "completed"})).await.status,
        StatusCode::CONFLICT
    );
    let gone = send(&client, Method::DELETE, &path, &[], &json!({})).await;
    assert_eq!((gone.status, client.get(&path).await.status), (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn servers_policies_watchers_and_users_are_changed() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    let server = json!({"name": "files", "command": "npx", "args": ["-y"], "environment": {"KEY": "hunter2"}});
    let made = client.post_json("/v1/servers", &server).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let path = made.header("location").to_owned();
    let changed = send(
        &client,
        Method::PATCH,
        &path,
        &[],
        &json!({"args": ["-y", "x"], "is_active": false, "environment": {"KEY": "s3cret"}}),
    )
    .await;
    assert_eq!((changed.status, changed.json()["args"].clone()), (StatusCode::OK, json!(["-y", "x"])));
    let audit = client.get("/v1/audit?entity_type=mcp_server").await.text;
    for text in [&changed.text, &client.get(&path).await.text, &audit] {
        assert!(!text.contains("hunter2") && !text.contains("s3cret"), "{text}");
    }
    let rule = client.post_json("/v1/policies", &json!({"name": "no", "effect": "deny", "tool": "delete_*"})).await;
    let rule_path = rule.header("location").to_owned();
    let changed = send(&client, Method::PATCH, &rule_path, &[], &json!({"condition": "args.path == '/'"})).await;
    assert_eq!(changed.json()["condition"], "args.path == '/'");
    let broken = send(&client, Method::PATCH, &rule_path, &[], &json!({"condition": "args.("})).await;
    assert_eq!(broken.json()["errors"][0]["field"], "condition", "{}", broken.text);
    let call = json!({"server": "files", "tool": "delete_file", "arguments": {"path": "/"}});
    let judged = client.post_json("/v1/policies/test", &call).await.json();
    assert_eq!((&judged["effect"], &judged["rule"]), (&json!("deny"), &json!("no")));
    let watcher = json!({"name": "inbox", "type": "folder", "config": {"path": "/in", "playbook": "p"}});
    let made = client.post_json("/v1/watchers", &watcher).await;
    let path = made.header("location").to_owned();
    let changed = send(&client, Method::PATCH, &path, &[], &json!({"config": {"path": "/other"}})).await;
    assert_eq!(changed.json()["config"], json!({"path": "/other", "playbook": "p"}), "{}", changed.text);
    assert_eq!(
        send(&client, Method::PATCH, &path, &[], &json!({"config": {"path": null}})).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(client.post_json(&format!("{path}/pause"), &json!({})).await.json()["is_active"], false);
    assert_eq!(client.post_json("/v1/watchers", &watcher).await.status, StatusCode::CONFLICT);
    let bob = json!({"username": "bob", "email": "bob@example.org", "password": "correct horse battery"});
    let made = client.post_json("/v1/users", &bob).await;
    let path = made.header("location").to_owned();
    let changed = send(
        &client,
        Method::PATCH,
        &path,
        &[],
        &json!({"role": "observer", "preferences": {"zone": "UTC"}, "status": "suspended"}),
    )
    .await;
    assert_eq!(
        (&changed.json()["role"], &changed.json()["status"]),
        (&json!("observer"), &json!("suspended")),
        "{}",
        changed.text
    );
    let last = send(&client, Method::PATCH, &format!("/v1/users/{ada}"), &[], &json!({"role": "user"})).await;
    assert_eq!(last.status, StatusCode::CONFLICT, "the last admin stays one");
    assert_eq!(client.get("/v1/users?limit=1").await.json()["data"][0]["username"], "ada");
}

#[tokio::test]
async fn a_request_under_a_key_is_done_once() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let (client, other) = (house.browser(ada).await, house.browser(bob).await);
    let key = [("idempotency-key", "k-1")];
    let post = async |client: &Browser<'_>, body: &Value| send(client, Method::POST, "/v1/tasks", &key, body).await;
    let first = post(&client, &json!({"title": "once"})).await;
    let again = post(&client, &json!({"title": "once"})).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(
        (&first.text, first.header("location"), first.header("etag")),
        (&again.text, again.header("location"), again.header("etag"))
    );
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    let differs = post(&client, &json!({"title": "twice"})).await;
    assert_eq!(
        (differs.status, differs.json()["code"].clone()),
        (StatusCode::UNPROCESSABLE_ENTITY, json!("key_reused"))
    );
    assert_eq!(post(&other, &json!({"title": "another's"})).await.status, StatusCode::CREATED, "a key is its user's");
    assert_eq!(client.get("/v1/tasks").await.json()["data"].as_array().unwrap().len(), 2, "ada sees both users' tasks");
    // What was refused changed nothing and gives its key back.
    let refused = [("idempotency-key", "k-2")];
    assert_eq!(
        send(&client, Method::POST, "/v1/tasks", &refused, &json!({"title": ""})).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        send(&client, Method::POST, "/v1/tasks", &refused, &json!({"title": "now"})).await.status,
        StatusCode::CREATED
    );
    // Two at once: one is done, the other is told to wait, or gets its answer.
    let both = [("idempotency-key", "k-3")];
    let body = json!({"title": "at once"});
    let (a, b) = tokio::join!(
        send(&client, Method::POST, "/v1/tasks", &both, &body),
        send(&client, Method::POST, "/v1/tasks", &both, &body)
    );
    for answer in [&a, &b] {
        assert!([StatusCode::CREATED, StatusCode::CONFLICT].contains(&answer.status), "{}", answer.text);
    }
    let titles = client.get("/v1/tasks?fields=title").await.text;
    assert_eq!(titles.matches("at once").count(), 1);
    // A request that ended without an answer is never repeated blindly.
    let service = store::Actor::service();
    let row = store::idempotency_keys::get(&service, &house.store, ada, "k-1").await.unwrap().unwrap();
    assert!(!row.answer.unwrap().to_string().contains("once"), "what is kept is sealed");
    store::idempotency_keys::begin(&service, &house.store, ada, "k-4", &row.request_sha256).await.unwrap();
    let open = send(&client, Method::POST, "/v1/tasks", &[("idempotency-key", "k-4")], &json!({"title": "once"})).await;
    assert_eq!((open.status, open.json()["code"].clone()), (StatusCode::CONFLICT, json!("key_in_use")));
    let nobody = send(&house.stranger(), Method::POST, "/v1/tasks", &key, &json!({"title": "once"})).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn answers_come_small_and_bodies_are_not_deep() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    for n in 0..20 {
        client.post_json("/v1/tasks", &json!({"title": format!("task {n}")})).await;
    }
    for encoding in ["gzip", "zstd"] {
        let request = client.request(Method::GET, "/v1/tasks").header("accept-encoding", encoding);
        let (headers, bytes) = house.send_raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(headers["content-encoding"], encoding);
        assert!(bytes.len() < 4000, "{encoding}: {}", bytes.len());
    }
    let request = client.request(Method::GET, "/v1/auth/session").header("accept-encoding", "gzip");
    let (headers, _) = house.send_raw(request.body(Body::empty()).unwrap()).await;
    assert!(!headers.contains_key("content-encoding"), "what is small stays as it is");
    let deep = format!(r#"{{"title":"x","metadata":{}{}}}"#, "{\"a\":".repeat(40), "1".to_owned() + &"}".repeat(40));
    let request = client.request(Method::POST, "/v1/tasks").header(header::CONTENT_TYPE, "application/json");
    let refused = house.send(request.body(Body::from(deep)).unwrap()).await;
    assert_eq!(
        (refused.status, refused.json()["code"].clone()),
        (StatusCode::BAD_REQUEST, json!("malformed")),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn what_is_another_by_now_is_not_removed() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    let task = client.post_json("/v1/tasks", &json!({"title": "Call"})).await;
    let rule = client.post_json("/v1/policies", &json!({"name": "never", "effect": "deny"})).await;
    let fact = client.post_json("/v1/memories", &json!({"content": "Mondays are for mail"})).await;
    for (made, change) in [
        (task, json!({"title": "Call again"})),
        (rule, json!({"effect": "ask"})),
        (fact, json!({"content": "Tuesdays are for mail"})),
    ] {
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let (path, stale) = (made.header("location").to_owned(), made.header("etag").to_owned());
        assert_eq!(client.patch_json(&path, &change).await.status, StatusCode::OK, "{path}");
        let refused = send(&client, Method::DELETE, &path, &[("if-match", &stale)], &json!({})).await;
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{path}: {}", refused.text);
        let tag = client.get(&path).await.header("etag").to_owned();
        assert_ne!(tag, stale);
        let removed = send(&client, Method::DELETE, &path, &[("if-match", &tag)], &json!({})).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT, "{path}: {}", removed.text);
        assert_eq!(client.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let path = "/v1/notifications/wishes";
    let stale = client.get(path).await.header("etag").to_owned();
    let berlin = json!({"time_zone": "Europe/Berlin"});
    let changed = send(&client, Method::PATCH, path, &[("if-match", &stale)], &berlin).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let refused = send(&client, Method::PATCH, path, &[("if-match", &stale)], &json!({"time_zone": "UTC"})).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{}", refused.text);
}

#[tokio::test]
async fn a_filtered_list_s_pages_are_full() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    for n in 0..40 {
        let priority = if n % 20 == 0 { "critical" } else { "low" };
        let due = if n % 20 == 0 { json!(format!("2027-01-{:02}T12:00:00Z", 20 - n / 2)) } else { Value::Null };
        let new = json!({"title": format!("task {n}"), "priority": priority, "tags": [priority], "due_date": due,
                         "estimated_duration": 5, "assigned_to": if n % 20 == 0 { json!(ada) } else { Value::Null }});
        assert_eq!(client.post_json("/v1/tasks", &new).await.status, StatusCode::CREATED);
    }
    for (filter, expected) in [
        ("priority=critical".to_owned(), ["task 20", "task 0"]),
        ("tag=critical&status=pending".to_owned(), ["task 20", "task 0"]),
        (format!("assigned_to={ada}"), ["task 20", "task 0"]),
        (format!("created_by={ada}&tag=critical"), ["task 20", "task 0"]),
        ("due_from=2027-01-01T00:00:00Z&due_before=2027-02-01T00:00:00Z".to_owned(), ["task 20", "task 0"]),
        ("sort=due".to_owned(), ["task 20", "task 0"]),
        ("sort=due&priority=critical&due_from=2027-01-10T00:00:00Z".to_owned(), ["task 20", "task 0"]),
    ] {
        let first = client.get(&format!("/v1/tasks?limit=1&{filter}")).await.json();
        let next = first["next"].as_str().unwrap_or_else(|| panic!("{filter}: {first}"));
        let second = client.get(&format!("/v1/tasks?limit=1&{filter}&cursor={next}")).await.json();
        let titles = [&first, &second].map(|page| page["data"][0]["title"].as_str().unwrap_or_default().to_owned());
        assert_eq!(titles, expected, "{filter}");
        assert_eq!((second["next"].clone(), second["data"].as_array().unwrap().len()), (Value::Null, 1), "{filter}");
    }
    let page = client.get("/tasks?priority=critical&limit=1").await.text;
    assert!(page.contains("task 20") && !page.contains("task 19"), "{page}");
    let next = page.split("href=\"/tasks?priority=critical&amp;cursor=").nth(1).unwrap().split('"').next().unwrap();
    let page = client.get(&format!("/tasks?priority=critical&limit=1&cursor={next}")).await.text;
    assert!(page.contains("task 0<") && !page.contains("cursor="), "{page}");
    assert!(client.get("/tasks?tag=none").await.text.contains("No task matches"));
    let audit = format!("/v1/audit?action=task_created&user_id={ada}&limit=2&fields=action");
    let made = json!([{"action": "task_created"}, {"action": "task_created"}]);
    assert_eq!(client.get(&format!("{audit}&from=2020-01-01T00:00:00Z")).await.json()["data"], made);
    assert_eq!(client.get(&format!("{audit}&to=2020-01-01T00:00:00Z")).await.json()["data"], json!([]));
    assert_eq!(client.get(&format!("{audit}&from=2099-01-01T00:00:00Z")).await.json()["data"], json!([]));
}

#[tokio::test]
async fn the_description_and_its_page_are_open() {
    let (house, _) = House::with_ada().await;
    let stranger = house.stranger();
    let document = stranger.get("/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let page = stranger.get("/docs").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("POST /v1/approvals/{id}/decision"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
}
