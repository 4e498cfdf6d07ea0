//! API tokens: who makes them, how far they reach, and when they end.

use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use domain::accounts;
use serde_json::json;
use store::{Actor, approvals, tasks};
use uuid::Uuid;

use super::house::{Browser, House};

async fn code(program: &Browser<'_>, path: &str) -> (StatusCode, String) {
    let answer = program.get(path).await;
    let code =
        if answer.status.is_success() { String::new() } else { answer.json()["code"].as_str().unwrap().to_owned() };
    (answer.status, code)
}

#[tokio::test]
async fn a_token_is_made_shown_once_used_and_revoked() {
    let (house, ada) = House::with_ada().await;
    let person = house.browser(ada).await;
    let made = person.post_json("/v1/tokens", &json!({"name": "report", "scopes": ["tasks", "read"], "days": 7})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made = made.json();
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("stw_") && token.ends_with(made["hint"].as_str().unwrap()));
    assert_eq!(made["scopes"], json!(["read", "tasks"]));
    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    let listed = person.get("/v1/tokens").await;
    assert!(listed.text.contains("report") && !listed.text.contains(token), "it is shown once");
    assert!(person.get(&path).await.json()["last_used_at"].is_null());

    let mut program = house.stranger();
    program.bearer = Some(token.to_owned());
    let present = program.get("/v1/auth/session").await.json();
    assert_eq!((&present["username"], &present["scopes"]), (&json!("ada"), &json!(["read", "tasks"])));
    // A program needs neither a body nor the header against forged requests.
    let created = program.post_json("/v1/tasks", &json!({"title": "from a program"})).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let place = created.header("location").to_owned();
    let id: Uuid = place.rsplit('/').next().unwrap().parse().unwrap();
    let provenance = tasks::provenance(&Actor::user(ada), &house.store, id).await.unwrap().unwrap();
    assert!(provenance.outside, "a program's word is not a person's");
    let done = program.request(Method::POST, &format!("{place}/complete")).body(Body::empty()).unwrap();
    assert_eq!(house.send(done).await.status, StatusCode::OK);
    house.store.close().await; // what was used is written down with the end at the latest
    let (house, ada) = house.reopened(ada).await;
    let person = house.browser(ada).await;
    assert!(person.get(&path).await.json()["last_used_at"].is_string());

    let mut program = house.stranger();
    program.bearer = Some(token.to_owned());
    assert_eq!(program.get("/v1/tasks").await.status, StatusCode::OK);
    let gone = person.request(Method::DELETE, &path).header("x-steward-csrf", "1").body(Body::empty()).unwrap();
    assert_eq!(house.send(gone).await.status, StatusCode::NO_CONTENT);
    assert_eq!(code(&program, "/v1/tasks").await, (StatusCode::UNAUTHORIZED, "token_refused".to_owned()));
    assert_eq!(person.get("/v1/tokens").await.json()["data"], json!([]));
    assert!(person.get("/v1/tokens?ended=true").await.text.contains("report"), "its row stays, for the record");
}

#[tokio::test]
async fn a_token_reaches_no_further_than_its_scopes_and_its_owner() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let (_, approval) = house.asked(bob, ada).await;
    let decision = format!("/v1/approvals/{approval}/decision");
    let yes = json!({"decision": "approve"});

    let reader = house.program(bob, bob, &["read"]).await;
    assert_eq!(reader.get("/v1/tasks").await.status, StatusCode::OK);
    for (path, body) in [("/v1/tasks", json!({"title": "x"})), (decision.as_str(), yes.clone())] {
        let refused = reader.post_json(path, &body).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (StatusCode::FORBIDDEN, &json!("scope_needed")),
            "{path}"
        );
    }
    let writer = house.program(bob, bob, &["tasks"]).await;
    assert_eq!(code(&writer, "/v1/tasks").await, (StatusCode::FORBIDDEN, "scope_needed".to_owned()));
    assert_eq!(writer.post_json("/v1/tasks", &json!({"title": "x"})).await.status, StatusCode::CREATED);
    // No token makes tokens, ends sessions or opens a page, whatever its scopes.
    let all: Vec<&str> = domain::tokens::Scope::ALL.iter().map(|s| s.as_str()).collect();
    let wide = house.program(bob, bob, &all).await;
    for path in ["/v1/tokens", "/v1/auth/logout"] {
        let refused = wide.post_json(path, &json!({})).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (StatusCode::FORBIDDEN, &json!("person_needed")),
            "{path}"
        );
    }
    assert_eq!(wide.get("/tasks").await.status, StatusCode::SEE_OTHER, "a page asks for the log-in");
    // Bob sees nobody else's account, and neither does his token.
    assert_eq!(
        wide.get("/v1/audit?entity_type=user").await.json()["data"],
        reader.get("/v1/audit?entity_type=user").await.json()["data"]
    );
    assert_eq!(wide.post_json(&decision, &yes).await.status, StatusCode::OK);
    assert_eq!(approvals::get(&Actor::user(bob), &house.store, approval).await.unwrap().unwrap().status, "approved");
}

#[tokio::test]
async fn an_agents_token_never_decides() {
    let (house, ada) = House::with_ada().await;
    let (_, approval) = house.asked(ada, ada).await;
    let employee = store::users::agent(&Actor::service(), &house.store, accounts::EMPLOYEE).await.unwrap().unwrap();
    let person = house.browser(ada).await;
    let new = json!({"name": "agent", "scopes": ["read", "decide"], "user_id": employee});
    let refused = person.post_json("/v1/tokens", &new).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("only people decide"), "{}", refused.text);
    // A person's token stops deciding once its owner is an agent.
    let bob = house.add_user(ada, "bob", "admin").await;
    let program = house.program(bob, bob, &["read", "decide"]).await;
    store::users::make_agent(&Actor::user(ada), &house.store, bob, "tested").await.unwrap();
    let decision = format!("/v1/approvals/{approval}/decision");
    let refused = program.post_json(&decision, &json!({"decision": "approve"})).await;
    assert_eq!((refused.status, &refused.json()["code"]), (StatusCode::FORBIDDEN, &json!("scope_needed")));
    assert_eq!(approvals::get(&Actor::user(ada), &house.store, approval).await.unwrap().unwrap().status, "pending");
}

#[tokio::test]
async fn no_token_lets_a_folder_decide() {
    let (house, ada) = House::with_ada().await;
    let program = house.program(ada, ada, &["read", "watchers"]).await;
    let config = json!({"path": "/vault", "playbook": "p", "decides": "ada"});
    let new = json!({"name": "vault", "watcher_type": "vault", "config": config});
    let refused = program.post_json("/v1/watchers", &new).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("no token lets a folder decide"), "{}", refused.text);
}

#[tokio::test]
async fn a_token_ends_with_its_owner_and_wrong_ones_open_nothing() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let mut program = house.program(bob, bob, &["read"]).await;
    accounts::set_status(&house.store, &Actor::user(ada), bob, "suspended").await.unwrap();
    assert_eq!(code(&program, "/v1/tasks").await, (StatusCode::UNAUTHORIZED, "token_refused".to_owned()));
    accounts::set_status(&house.store, &Actor::user(ada), bob, "active").await.unwrap();
    assert_eq!(program.get("/v1/tasks").await.status, StatusCode::OK);
    // The cookie of a session is no token, and a request with a wrong token does not fall back to the cookie.
    let person = house.browser(bob).await;
    let session = person.cookie.clone().unwrap().split_once('=').unwrap().1.to_owned();
    program.cookie = person.cookie.clone();
    for wrong in [session.as_str(), "stw_", "x", ""] {
        program.bearer = Some(wrong.to_owned());
        assert_eq!(program.get("/v1/tasks").await.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
    }
    let too_much = [
        json!({"name": "", "scopes": ["read"]}),
        json!({"name": "x", "scopes": []}),
        json!({"name": "x", "scopes": ["everything"]}),
        json!({"name": "x", "scopes": ["read"], "days": 0}),
        json!({"name": "x", "scopes": ["read"], "days": 367}),
    ];
    for body in too_much {
        assert_eq!(person.post_json("/v1/tokens", &body).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
    let others = person.post_json("/v1/tokens", &json!({"name": "x", "scopes": ["read"], "user_id": ada})).await;
    assert_eq!(others.status, StatusCode::FORBIDDEN, "nobody makes a token of another person");
}
