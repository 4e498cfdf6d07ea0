//! What a person can say of an approval besides yes and no, on its page and through the API.

use axum::http::StatusCode;
use jiff::SignedDuration;
use serde_json::json;
use store::{Actor, approvals};

use super::house::House;

#[tokio::test]
async fn a_call_is_sent_back_with_what_should_be_different() {
    let (house, ada) = House::with_ada().await;
    let (task, id) = house.asked(ada, ada).await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let path = format!("/approvals/{id}/decision");
    let silent = browser.post(&path, &[("decision", "changes"), ("note", "  ")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(silent.text.contains("what should be different"));
    let words = "Into the folder Taxes, please.";
    assert_eq!(browser.post(&path, &[("decision", "changes"), ("note", words)]).await.status, StatusCode::SEE_OTHER);
    let row = approvals::get(&actor, &house.store, id).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.notes.as_deref()), ("rejected", Some(words)));
    let page = browser.get(&format!("/approvals/{id}")).await.text;
    assert!(page.contains("asked for changes") && page.contains(words), "{page}");
    assert!(!page.contains("as approved"), "nothing was approved");
    let again = browser.post(&path, &[("decision", "changes"), ("note", words)]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "once");
    domain::tasks::set_status(&house.store, &actor, task, "cancelled", None).await.unwrap();

    let (_, id) = house.asked(ada, ada).await;
    let path = format!("/v1/approvals/{id}/decision");
    let without = browser.post_json(&path, &json!({"decision": "changes"})).await;
    assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY);
    let edited = json!({"decision": "changes", "note": words, "arguments": {}});
    assert_eq!(browser.post_json(&path, &edited).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let done = browser.post_json(&path, &json!({"decision": "changes", "note": words})).await;
    assert_eq!((done.status, done.json()["status"].as_str()), (StatusCode::OK, Some("rejected")));
    let whole = browser.get(&format!("/v1/approvals/{id}")).await.json();
    assert_eq!(whole["edited_arguments"], "{\"resolution\":\"changes\"}");
    // Where no call waits there is nothing to change.
    let (_, unknown) = house.unknown(ada, ada).await;
    let path = format!("/approvals/{unknown}/decision");
    let refused = browser.post(&path, &[("decision", "changes"), ("note", "x")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_yes_to_what_a_rule_denies_by_now_is_refused() {
    let (house, ada) = House::with_ada().await;
    let (_, id) = house.asked(ada, ada).await;
    let browser = house.browser(ada).await;
    let rule = browser.post_json("/v1/policies", &json!({"name": "never", "effect": "deny"})).await;
    assert_eq!(rule.status, StatusCode::CREATED, "{}", rule.text);
    let api = browser.post_json(&format!("/v1/approvals/{id}/decision"), &json!({"decision": "approve"})).await;
    assert_eq!(api.status, StatusCode::CONFLICT, "{}", api.text);
    assert!(api.text.contains("nothing would run"), "{}", api.text);
    let desk = browser.post(&format!("/approvals/{id}/decision"), &[("decision", "approve")]).await;
    assert_eq!(desk.status, StatusCode::CONFLICT);
    assert!(desk.text.contains("nothing would run") && desk.text.contains("never"), "{}", desk.text);
    let row = approvals::get(&Actor::user(ada), &house.store, id).await.unwrap().unwrap();
    assert_eq!(row.status, "pending");
}

#[tokio::test]
async fn there_can_be_more_time() {
    let (house, ada) = House::with_ada().await;
    let eve = house.add_user(ada, "eve", "user").await;
    let (_, id) = house.asked(ada, ada).await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let page = format!("/approvals/{id}");
    assert!(browser.get(&page).await.text.contains("Take more time"));
    let done = browser.post(&format!("{page}/extend"), &[("hours", "24")]).await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, format!("{page}?extended=yes").as_str())
    );
    let end = approvals::get(&actor, &house.store, id).await.unwrap().unwrap().expires_at.unwrap();
    assert!(end > store::now() + SignedDuration::from_hours(23));
    assert!(browser.get(&format!("{page}?extended=yes")).await.text.contains("more time to decide"));
    for (hours, status) in [
        ("1", StatusCode::UNPROCESSABLE_ENTITY),
        ("0", StatusCode::UNPROCESSABLE_ENTITY),
        ("721", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(browser.post(&format!("{page}/extend"), &[("hours", hours)]).await.status, status, "{hours}");
    }
    let more = json!({"expires_at": (end + SignedDuration::from_hours(24)).to_string()});
    let at_eve = house.browser(eve).await;
    assert_eq!(at_eve.post_json(&format!("/v1{page}/extend"), &more).await.status, StatusCode::NOT_FOUND);
    let answer = browser.post_json(&format!("/v1{page}/extend"), &more).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let people = browser.get(&format!("/v1{page}/deciders")).await.json();
    assert_eq!(people["data"], json!([]), "nobody else is an administrator here");
    assert!(browser.post(&format!("{page}/decision"), &[("decision", "reject")]).await.status.is_redirection());
    assert_eq!(browser.post_json(&format!("/v1{page}/extend"), &more).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_question_is_answered_in_words_and_a_limit_is_granted() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    for (kind, button, word) in [("question", "Send the answer", "the blue one"), ("budget", "Grant as much again", "")]
    {
        let id = house.question(ada, kind).await;
        let page = browser.get(&format!("/approvals/{id}")).await.text;
        assert!(page.contains("Which of the two?") && page.contains(button), "{page}");
        assert!(!page.contains("The exact call") && !page.contains("Ask for changes"), "no call waits: {page}");
        let path = format!("/approvals/{id}/decision");
        if kind == "question" {
            let silent = browser.post(&path, &[("decision", "approve"), ("note", "")]).await;
            assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY, "an answer needs words");
        }
        let done = browser.post(&path, &[("decision", "approve"), ("note", word)]).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
        let row = approvals::get(&actor, &house.store, id).await.unwrap().unwrap();
        assert_eq!((row.status.as_str(), row.notes.unwrap_or_default().as_str()), ("approved", word));
        domain::tasks::set_status(&house.store, &actor, row.task_id.unwrap(), "cancelled", None).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_server_asks_is_filled_in_and_an_address_is_only_shown() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let id = house.server_question(ada, None).await;
    // The server waits no longer than it said, so there is no more time to give.
    let later = store::now() + jiff::SignedDuration::from_hours(48);
    assert!(domain::reconsider::extend(&house.store, &Actor::user(ada), id, later).await.is_err());
    let page = browser.get(&format!("/approvals/{id}")).await.text;
    for part in ["Which room shall it be?", "name=\"arg.room\"", "name=\"arg.beds\"", "Send the answer", "outside"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("The exact call") && !page.contains("Ask for changes"), "{page}");
    assert!(browser.get("/approvals").await.text.contains("Asked by servers at work"));
    let path = format!("/approvals/{id}/decision");
    let answer = |beds| [("decision", "approve"), ("arg.room", "=red"), ("arg.beds", beds)];
    let wrong = browser.post(&path, &answer("0")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    assert!(wrong.text.contains("does not fit the form"), "{}", wrong.text);
    assert_eq!(browser.post(&path, &answer("2")).await.status, StatusCode::SEE_OTHER);
    let row = approvals::get(&actor, &house.store, id).await.unwrap().unwrap();
    let said = domain::server_questions::answer(&actor, &house.store, &row).await.unwrap();
    assert_eq!((row.status.as_str(), said), ("approved", json!({"room": "red", "beds": 2})));
    domain::tasks::set_status(&house.store, &actor, row.task_id.unwrap(), "cancelled", None).await.unwrap();
    let id = house.server_question(ada, Some("https://pay.example.org/sign-in?x=1")).await;
    let page = browser.get(&format!("/approvals/{id}")).await.text;
    assert!(page.contains("https://pay.example.org/sign-in?x=1") && page.contains("Steward opens nothing"), "{page}");
    assert!(!page.contains("href=\"https://pay"), "nothing to be clicked by accident");
    let path = format!("/approvals/{id}/decision");
    assert_eq!(browser.post(&path, &[("decision", "reject")]).await.status, StatusCode::SEE_OTHER);
    let row = approvals::get(&actor, &house.store, id).await.unwrap().unwrap();
    assert_eq!(row.status, "rejected");
}

#[tokio::test]
async fn somebody_else_is_asked_to_decide() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let eve = house.add_user(ada, "eve", "user").await;
    let (_, id) = house.asked(bob, ada).await;
    let (at_ada, at_bob, at_eve) = (house.browser(ada).await, house.browser(bob).await, house.browser(eve).await);
    let path = format!("/approvals/{id}/ask");
    let page = at_bob.get(&format!("/approvals/{id}")).await.text;
    assert!(page.contains("Ask somebody else to decide") && page.contains(&ada.to_string()));
    let (to_ada, to_eve) = (ada.to_string(), eve.to_string());
    assert_eq!(at_eve.post(&path, &[("to", &to_ada)]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(at_bob.post(&path, &[("to", &to_eve)]).await.status, StatusCode::UNPROCESSABLE_ENTITY, "eve may not");
    let told = at_bob.post(&path, &[("to", &to_ada), ("note", "I am away")]).await;
    assert_eq!(told.header("location"), format!("/approvals/{id}?asked=ada"));
    assert!(at_bob.get(told.header("location")).await.text.contains("was asked to decide"));
    let notes = at_ada.get("/notifications").await.text;
    assert!(notes.contains("bob asks you to decide") && notes.contains("I am away"));
    let decide = format!("/approvals/{id}/decision");
    assert_eq!(at_ada.post(&decide, &[("decision", "reject")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(at_bob.post(&path, &[("to", &to_ada)]).await.status, StatusCode::CONFLICT, "it is decided");
}
