//! Webhooks over the whole router: signed, once, bounded, durable before the answer.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use domain::watchers::{self as rules, NewWatcher};
use serde_json::{Value as Json, json};
use store::{Actor, file_attachments, notifications, tasks, watchers};
use uuid::Uuid;

use super::house::{Answer, House};

const SECRET: &str = "sixteen signs or more";

async fn hook(house: &House, actor: &Actor, config: Json) -> Uuid {
    let mut config = config;
    config["playbook"] = json!("p");
    let new = NewWatcher {
        name: "shop".to_owned(),
        watcher_type: "webhook".to_owned(),
        config,
        credentials: Some(json!({ "secret": SECRET })),
    };
    rules::add(&house.store, &house.state.vault, actor, new).await.unwrap()
}

/// HMAC-SHA-256 written out (RFC 2104), so that the test does not use what it tests.
fn sign(text: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let mut block = [0_u8; 64];
    block[..SECRET.len()].copy_from_slice(SECRET.as_bytes());
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    hex::encode(Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize())
}

async fn call(house: &House, id: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = Request::post(format!("/hooks/{id}"))
        .header(header::HOST, "127.0.0.1:8000")
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.send(request.body(Body::from(body.to_vec())).unwrap()).await
}

#[tokio::test]
async fn a_call_becomes_a_task_once() {
    let (house, ada) = House::with_ada().await;
    let ada = Actor::user(ada);
    let id = hook(&house, &ada, json!({ "scheme": "github", "title": "Repository" })).await;
    let body = br#"{"action": "opened", "number": 7}"#;
    let signed = format!("sha256={}", sign(body));
    let headers = [("x-hub-signature-256", signed.as_str()), ("x-github-event", "issues")];
    let first = call(&house, &id.to_string(), &headers, body).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
    let again = call(&house, &id.to_string(), &headers, body).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, json!({ "duplicate": true })));
    let all = tasks::list(&ada, &house.store, None, None, 10).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].id.to_string(), first.json()["task_id"].as_str().unwrap());
    assert_eq!((all[0].title.as_str(), &all[0].metadata["event"]["body"]["number"]), ("Repository: issues", &json!(7)));
    let from = tasks::provenance(&ada, &house.store, all[0].id).await.unwrap().unwrap();
    assert!(from.outside && from.source == "watcher:shop");
    let files = file_attachments::list(&ada, &house.store, all[0].id).await.unwrap();
    let mut kept = Vec::new();
    domain::files::open(&house.store, &house.state.vault, &files[0])
        .await
        .unwrap()
        .copy(0, u64::MAX, &mut kept)
        .unwrap();
    assert_eq!(kept, body, "byte for byte");
}

#[tokio::test]
async fn what_is_not_signed_makes_nothing() {
    let (house, ada) = House::with_ada().await;
    let ada = Actor::user(ada);
    let id = hook(&house, &ada, json!({})).await.to_string();
    let body = b"{}";
    let good = sign(body);
    for headers in [
        &[][..],
        &[("x-signature-256", "00")],
        &[("x-signature-256", "no hex")],
        &[("x-hub-signature-256", good.as_str())],
    ] {
        assert_eq!(call(&house, &id, headers, body).await.status, StatusCode::UNAUTHORIZED, "{headers:?}");
    }
    // That none of them was believed stands at the webhook, and is told once.
    let shop = id.parse().unwrap();
    let watcher = watchers::get(&ada, &house.store, shop).await.unwrap().unwrap();
    let said = watcher.last_error.unwrap();
    assert!(said.starts_with("3 calls were refused within the last hour") && watcher.error_count == 1, "{said}");
    let told = notifications::list(&ada, &house.store, None, 10).await.unwrap();
    assert_eq!(told.iter().filter(|n| n.title == "The webhook shop refuses its calls").count(), 1, "{told:?}");
    assert_eq!(call(&house, &id, &[("x-signature-256", &good)], b"{ }").await.status, StatusCode::UNAUTHORIZED);
    for other in ["nonsense", "019b0000-0000-7000-8000-000000000000"] {
        assert_eq!(call(&house, other, &[("x-signature-256", &good)], body).await.status, StatusCode::NOT_FOUND);
    }
    let folder = watchers::create(&ada, &house.store, "inbox", "folder", json!({})).await.unwrap();
    let answer = call(&house, &folder.to_string(), &[("x-signature-256", &good)], body).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "another kind is none");
    watchers::set_active(&ada, &house.store, id.parse().unwrap(), false).await.unwrap();
    let answer = call(&house, &id, &[("x-signature-256", &good)], body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "one that rests wants it again later");
    assert!(tasks::list(&ada, &house.store, None, None, 10).await.unwrap().is_empty());
    assert!(!call(&house, &id, &[], body).await.text.contains(SECRET));
}

#[tokio::test]
async fn a_sender_is_bounded_in_size_and_in_number() {
    let (house, ada) = House::with_ada().await;
    let id = hook(&house, &Actor::user(ada), json!({})).await.to_string();
    let large = vec![b'x'; 1024 * 1024 + 1];
    let answer = call(&house, &id, &[("x-signature-256", &sign(&large))], &large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let fits = vec![b'x'; 900 * 1024];
    assert_eq!(call(&house, &id, &[("x-signature-256", &sign(&fits))], &fits).await.status, StatusCode::ACCEPTED);
    let mut refused = 0;
    for _ in 0..130 {
        let answer = call(&house, &id, &[], b"").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
            refused += 1;
        }
    }
    assert!(refused >= 10, "{refused}");
}

#[tokio::test]
async fn an_old_call_is_refused() {
    let (house, ada) = House::with_ada().await;
    let id = hook(&house, &Actor::user(ada), json!({ "timestamp_header": "x-time" })).await.to_string();
    let now = store::now().as_second();
    for (time, status) in
        [(now, StatusCode::ACCEPTED), (now - 301, StatusCode::UNAUTHORIZED), (now + 400, StatusCode::UNAUTHORIZED)]
    {
        let signed = sign(format!("{time}.body").as_bytes());
        let answer = call(&house, &id, &[("x-signature-256", &signed), ("x-time", &time.to_string())], b"body").await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}
