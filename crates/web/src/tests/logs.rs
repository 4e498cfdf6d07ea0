//! The log through the API: batches that programs hand in, filters, pages and the search.

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::house::House;

fn messages(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|l| l["message"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_program_hands_in_lines_and_reads_its_own() {
    let (house, ada) = House::with_ada().await;
    let (bob, cat) = (house.add_user(ada, "bob", "user").await, house.add_user(ada, "cat", "user").await);
    let (bobs, cats, adas) = (house.browser(bob).await, house.browser(cat).await, house.browser(ada).await);
    let hour_ago = (store::now() - jiff::SignedDuration::from_hours(1)).to_string();
    let lines = json!({"lines": [
        {"level": "debug", "message": "begin", "timestamp": hour_ago},
        {"level": "warning", "module": "importer", "message": "skipped postgres://bob:hunter2@db/x", "request_id": "r-9",
         "metadata": {"api_key": "hunter2", "row": 3}},
        {"level": "critical", "module": "importer", "message": "the import stopped"},
    ]});
    let written = bobs.post_json("/v1/logs", &lines).await;
    assert_eq!((written.status, written.json()), (StatusCode::CREATED, json!({"written": 3})), "{}", written.text);
    let page = bobs.get("/v1/logs?level=warning&module=importer").await.json();
    assert_eq!(messages(&page).len(), 2);
    let skipped = page["data"].as_array().unwrap().iter().find(|l| l["level"] == "warning").unwrap().clone();
    assert_eq!(skipped["message"], "skipped postgres://[redacted]@db/x");
    assert_eq!(skipped["metadata"], json!({"api_key": "[redacted]", "row": 3}));
    assert_eq!((&skipped["user_id"], &skipped["request_id"]), (&json!(bob), &json!("r-9")));
    assert!(messages(&cats.get("/v1/logs").await.json()).is_empty(), "another's");
    assert_eq!(messages(&adas.get(&format!("/v1/logs?user_id={bob}")).await.json()).len(), 3);
    assert_eq!(messages(&adas.get("/v1/logs?search=imports+-skipped").await.json()), ["the import stopped"]);
    let until = format!("/v1/logs?to={}", (store::now() - jiff::SignedDuration::from_mins(30)));
    assert_eq!(messages(&bobs.get(&until).await.json()), ["begin"]);
}

#[tokio::test]
async fn pages_of_the_log_go_on_by_cursor() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    let lines: Vec<Value> = (0..1000).map(|n| json!({"level": "info", "message": format!("line {n}")})).collect();
    assert_eq!(client.post_json("/v1/logs", &json!({"lines": lines})).await.status, StatusCode::CREATED);
    for query in ["", "&search=line"] {
        let (mut seen, mut path) = (Vec::new(), format!("/v1/logs?limit=200&module=api{query}"));
        loop {
            let page = client.get(&path).await.json();
            seen.extend(messages(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/logs?limit=200&module=api{query}&cursor={next}");
        }
        assert_eq!(seen.len(), 1000, "{query}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 1000, "{query}: none twice");
    }
}

#[tokio::test]
async fn wrong_lines_are_named_and_nothing_is_written() {
    let (house, ada) = House::with_ada().await;
    let client = house.browser(ada).await;
    let good = json!({"level": "info", "message": "good"});
    let with = |field: &str, value: Value| {
        let mut line = good.clone();
        line[field] = value;
        json!({"lines": [good, line]})
    };
    let long = |n: usize| json!("x".repeat(n));
    for (body, field) in [
        (json!({"lines": []}), "lines"),
        (json!({"lines": vec![good.clone(); 1001]}), "lines"),
        (with("level", json!("loud")), "lines[1].level"),
        (with("message", long(8001)), "lines[1].message"),
        (with("module", long(101)), "lines[1].module"),
        (with("request_id", long(101)), "lines[1].request_id"),
        (with("metadata", json!({"x": "y".repeat(17_000)})), "lines[1].metadata"),
        (with("timestamp", json!("2020-01-01T00:00:00Z")), "lines[1].timestamp"),
        (with("timestamp", json!("9000-01-01T00:00:00Z")), "lines[1].timestamp"),
        (with("user_id", json!(Uuid::now_v7())), "lines[1].user_id"),
    ] {
        let refused = client.post_json("/v1/logs", &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    assert!(messages(&client.get("/v1/logs?module=api").await.json()).is_empty(), "all or none");
    for bad in ["level=loud", "from=yesterday", "user_id=x", "search_for=x", "limit=201"] {
        let refused = client.get(&format!("/v1/logs?{bad}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        assert_eq!(refused.json()["errors"][0]["field"], bad.split('=').next().unwrap());
    }
    // A task that is not there, or not one's own, costs the line nothing but its mark.
    let body = json!({"lines": [{"level": "info", "message": "of a task", "task_id": Uuid::now_v7()}]});
    assert_eq!(client.post_json("/v1/logs", &body).await.status, StatusCode::CREATED);
    assert!(client.get("/v1/logs?module=api").await.json()["data"][0]["task_id"].is_null());
}
