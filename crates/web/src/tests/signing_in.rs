//! Coming in: bounds on guessing, sessions of one's own, a new password, and showing again who one is.

use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use domain::{
    accounts,
    decide::{Decision, decide_from_afar},
    sign_in,
};
use serde_json::{Value as Json, json};
use store::{Actor, approvals, policies, policies::NewPolicy};

use super::house::{Answer, Browser, House, PASSWORD};

async fn log_in(browser: &Browser<'_>, login: &str, password: &str) -> Answer {
    browser.post_json("/v1/auth/login", &json!({"login": login, "password": password})).await
}

/// The cookies that an answer sets, as the browser sends them.
fn cookies(answer: &Answer) -> String {
    let all = answer.headers.get_all("set-cookie").iter();
    all.map(|c| c.to_str().unwrap().split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

async fn send(house: &House, browser: &Browser<'_>, method: Method, path: &str) -> Answer {
    house.send(browser.request(method, path).header("x-steward-csrf", "1").body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_owner_still_comes_in() {
    let (house, _) = House::with_ada().await;
    let mut owner = house.stranger();
    let came = log_in(&owner, "ada", PASSWORD).await;
    assert_eq!(came.status, StatusCode::OK, "{}", came.text);
    owner.cookie = Some(cookies(&came));
    let guesser = house.stranger();
    let mut answers = Vec::new();
    for n in 0..12 {
        answers.push(log_in(&guesser, "Ada", &format!("a wrong password {n}")).await);
    }
    let refused = answers.iter().filter(|a| a.status == StatusCode::UNAUTHORIZED).count();
    assert_eq!(refused, 10);
    let last = answers.last().unwrap();
    assert_eq!((last.status, &last.json()["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("too_many_tries")));
    let wait: u32 = last.header("retry-after").parse().unwrap();
    assert!((800..=901).contains(&wait), "{wait}");
    // Also with the right password, and for an account that does not exist: it shows nothing.
    assert_eq!(log_in(&guesser, "ada", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    let nobody = log_in(&guesser, "nobody", "a wrong password").await;
    assert_eq!((nobody.status, &nobody.json()["detail"]), (StatusCode::UNAUTHORIZED, &answers[0].json()["detail"]));
    // The owner's browser is known, and so is not locked out by it.
    let again = log_in(&owner, "ada", PASSWORD).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    // What is counted outlives a restart and is shared by nodes, for it stands in the database.
    let (house, _) = house.reopened(uuid::Uuid::nil()).await;
    assert_eq!(log_in(&house.stranger(), "ada", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let (one, two, three) = (house.browser(bob).await, house.browser(bob).await, house.browser(bob).await);
    let listed = one.get("/v1/auth/sessions").await.json();
    let listed = listed["data"].as_array().unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed.iter().filter(|s| s["is_this"] == true).count(), 1);
    assert!(listed.iter().all(|s| s.get("token").is_none()));
    let of =
        async |browser: &Browser<'_>| browser.get("/v1/auth/session").await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/auth/sessions/{}", of(&two).await);
    let stranger = house.browser(ada).await;
    assert_eq!(send(&house, &stranger, Method::DELETE, &path).await.status, StatusCode::NOT_FOUND, "not another's");
    assert_eq!(send(&house, &one, Method::DELETE, &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(two.get("/v1/auth/session").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(send(&house, &one, Method::DELETE, "/v1/auth/sessions").await.status, StatusCode::NO_CONTENT);
    assert_eq!(three.get("/v1/auth/session").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(one.get("/v1/auth/session").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let (here, there) = (house.browser(bob).await, house.browser(bob).await);
    let change = async |present: &str, new: &str| {
        here.post_json("/v1/auth/password", &json!({"current_password": present, "new_password": new})).await
    };
    let field = |answer: &Answer| answer.json()["errors"][0]["field"].as_str().unwrap_or_default().to_owned();
    let wrong = change("not the password", "four other words here").await;
    assert_eq!((wrong.status, field(&wrong)), (StatusCode::UNPROCESSABLE_ENTITY, "current_password".to_owned()));
    for weak in ["short", "passwordpassword", "bob bob bob bob bob"] {
        let refused = change(PASSWORD, weak).await;
        assert_eq!(
            (refused.status, field(&refused)),
            (StatusCode::UNPROCESSABLE_ENTITY, "password".to_owned()),
            "{weak}"
        );
    }
    assert_eq!(there.get("/v1/auth/session").await.status, StatusCode::OK, "nothing was changed");
    assert_eq!(change(PASSWORD, "four other words here").await.status, StatusCode::NO_CONTENT);
    assert_eq!(there.get("/v1/auth/session").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(here.get("/v1/auth/session").await.status, StatusCode::OK);
    assert_eq!(log_in(&house.stranger(), "bob", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(&house.stranger(), "bob", "four other words here").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_yes_to_high_risk_needs_somebody_who_has_just_shown_who_it_is() {
    let (house, ada) = House::with_ada().await;
    let me = Actor::user(ada);
    let new = NewPolicy {
        position: 1,
        name: "moves are grave".to_owned(),
        server: "*".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: false,
        effect: "ask".to_owned(),
        approval_ttl_minutes: 60,
    };
    let rule = domain::rules::add_with_risk(
        &house.store,
        &me,
        new,
        None,
        ("high".to_owned(), store::policies::Asking::default()),
    )
    .await
    .unwrap();
    assert_eq!(policies::list(&me, &house.store).await.unwrap()[0].risk, "high");
    let (_, id) = house.asked_by_rule(ada, ada, Some((rule, "moves are grave".to_owned()))).await;
    let (_, other) = house.asked_by_rule(ada, ada, Some((rule, "moves are grave".to_owned()))).await;
    let approval = approvals::get(&me, &house.store, id).await.unwrap().unwrap();
    assert_eq!(approval.details.unwrap()["risk"], "high");

    // A token never shows who it is; neither does a log-in of long ago.
    let path = format!("/v1/approvals/{id}/decision");
    let program = house.program(ada, ada, &["read", "decide"]).await;
    let refused = program.post_json(&path, &json!({"decision": "approve"})).await;
    assert_eq!((refused.status, &refused.json()["code"]), (StatusCode::FORBIDDEN, &json!("reauthentication_needed")));
    let yes = Decision { approve: true, note: None, arguments: None };
    let stale = decide_from_afar(&house.store, &me, id, yes.clone(), false).await.unwrap_err();
    assert!(matches!(stale, domain::Error::ReauthenticationNeeded));
    let edited = Decision { arguments: Some(json!({"source": "/a", "destination": "/b"})), ..yes };
    assert!(decide_from_afar(&house.store, &me, id, edited, false).await.is_err());

    let browser = house.browser(ada).await;
    let token = browser.cookie.clone().unwrap().split_once('=').unwrap().1.to_owned();
    let mut session = accounts::session(&house.store, &token).await.unwrap().unwrap();
    assert!(sign_in::is_fresh(&session));
    session.authenticated_at = Some(store::now() - sign_in::FRESH);
    assert!(!sign_in::is_fresh(&session));
    let before = browser.get("/v1/auth/session").await.json()["authenticated_at"].clone();
    let wrong = browser.post_json("/v1/auth/reauthenticate", &json!({"password": "wrong"})).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let again = browser.post_json("/v1/auth/reauthenticate", &json!({"password": PASSWORD})).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT, "{}", again.text);
    let after: Json = browser.get("/v1/auth/session").await.json()["authenticated_at"].clone();
    assert!(after.as_str() > before.as_str(), "{before} {after}");
    assert_eq!(browser.post_json(&path, &json!({"decision": "approve"})).await.status, StatusCode::OK);
    // A no is never of high risk.
    let no = program.post_json(&format!("/v1/approvals/{other}/decision"), &json!({"decision": "reject"})).await;
    assert_eq!(no.status, StatusCode::OK, "{}", no.text);
}
