//! Rules at the desk and through the API: where one stands, and how it is changed, moved and paused.

use axum::http::StatusCode;
use serde_json::json;
use store::{Actor, policies};
use uuid::Uuid;

use super::house::House;

/// Names of the rules in the order in which they are asked; no place is held by two.
async fn order(house: &House, actor: &Actor) -> Vec<String> {
    let rows = policies::list(actor, &house.store).await.unwrap();
    assert!(
        rows.is_sorted_by(|a, b| a.position < b.position),
        "{:?}",
        rows.iter().map(|r| r.position).collect::<Vec<_>>()
    );
    rows.into_iter().map(|row| row.name).collect()
}

async fn named(house: &House, actor: &Actor, name: &str) -> policies::Policy {
    policies::list(actor, &house.store).await.unwrap().into_iter().find(|row| row.name == name).unwrap()
}

fn fields<'a>(name: &'a str, effect: &'a str, place: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("name", name), ("server", "*"), ("tool", "send_*"), ("effect", effect), ("place", place)]
}

#[tokio::test]
async fn a_rule_that_is_put_first_is_asked_first() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    // Two at one place, as older versions made them.
    for name in ["old a", "old b"] {
        let new = policies::NewPolicy {
            position: 1,
            name: name.to_owned(),
            server: "*".to_owned(),
            tool: "send_*".to_owned(),
            condition: None,
            outside: false,
            effect: "ask".to_owned(),
            approval_ttl_minutes: 60,
        };
        policies::create(&actor, &house.store, &new).await.unwrap();
    }
    for name in ["1", "2", "3", "4", "5"] {
        let effect = if name == "5" { "deny" } else { "allow" };
        assert_eq!(browser.post("/policies/new", &fields(name, effect, "first")).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(order(&house, &actor).await, ["5", "4", "3", "2", "1", "old a", "old b"]);
    let tried = browser.post("/policies/try", &[("server", "mail"), ("tool", "send_mail"), ("arguments", "{}")]).await;
    assert!(tried.text.contains("> deny</span>"), "{}", tried.text);

    let new = json!({"name": "by the API", "effect": "ask", "position": 1});
    let made = browser.post_json("/v1/policies", &new).await;
    assert_eq!((made.status, &made.json()["position"]), (StatusCode::CREATED, &json!(1)));
    let second = json!({"name": "second", "effect": "ask", "position": 2});
    assert_eq!(browser.post_json("/v1/policies", &second).await.status, StatusCode::CREATED);
    assert_eq!(order(&house, &actor).await[..3], ["by the API", "second", "5"]);
    let last = named(&house, &actor, "old b").await;
    let moved = browser.patch_json(&format!("/v1/policies/{}", last.id), &json!({"position": 1})).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.text);
    assert_eq!(order(&house, &actor).await[..3], ["old b", "by the API", "second"]);
    let set = domain::presets::apply(&house.store, &actor, "community", "*").await.unwrap();
    let order = order(&house, &actor).await;
    assert_eq!((order[..2].to_vec(), order.last()), (vec![set[0].0.clone(), set[1].0.clone()], Some(&set[2].0)));
}

#[tokio::test]
async fn rules_are_moved_and_paused() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    for name in ["a", "b", "c"] {
        browser.post("/policies/new", &fields(name, "ask", "last")).await;
    }
    let press = async |path: &str, name: &str, field: (&str, &str)| {
        let id = named(&house, &actor, name).await.id.to_string();
        browser.post(path, &[("id", &id), field]).await.status
    };
    assert_eq!(press("/policies/move", "c", ("way", "up")).await, StatusCode::SEE_OTHER);
    assert_eq!(order(&house, &actor).await, ["a", "c", "b"]);
    press("/policies/move", "a", ("way", "down")).await;
    press("/policies/move", "b", ("way", "down")).await;
    assert_eq!(order(&house, &actor).await, ["c", "a", "b"], "the last stays the last");
    assert_eq!(press("/policies/move", "a", ("way", "sideways")).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(press("/policies/run", "a", ("run", "no")).await, StatusCode::SEE_OTHER);
    assert!(!named(&house, &actor, "a").await.is_active && browser.get("/policies").await.text.contains("Go on"));
    press("/policies/run", "a", ("run", "yes")).await;
    assert!(named(&house, &actor, "a").await.is_active);
    let eve = house.add_user(ada, "eve", "user").await;
    let eve = house.browser(eve).await;
    let id = named(&house, &actor, "b").await.id.to_string();
    for (path, field) in [("/policies/move", ("way", "up")), ("/policies/run", ("run", "no"))] {
        assert_eq!(eve.post(path, &[("id", &id), field]).await.status, StatusCode::FORBIDDEN);
    }
    let none = Uuid::nil().to_string();
    assert_eq!(browser.post("/policies/move", &[("id", &none), ("way", "up")]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(order(&house, &actor).await, ["c", "a", "b"]);
}

#[tokio::test]
async fn of_two_who_change_one_rule_nobody_undoes_the_other_unseen() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    browser.post("/policies/new", &fields("mails", "ask", "last")).await;
    let path = format!("/policies/{}/edit", named(&house, &actor, "mails").await.id);
    let read = browser.get(&path).await.read_mark();
    let change = |effect: &'static str, minutes: &'static str, read: &str| {
        let mut all: Vec<(&str, String)> =
            fields("mails", effect, "last").into_iter().map(|(n, v)| (n, v.to_owned())).collect();
        all.extend([("minutes", minutes.to_owned()), ("approvers", "1".to_owned()), ("risk", "normal".to_owned())]);
        all.push(("read", read.to_owned()));
        all
    };
    let post = async |all: Vec<(&str, String)>| {
        let all: Vec<(&str, &str)> = all.iter().map(|(n, v)| (*n, v.as_str())).collect();
        browser.post(&path, &all).await
    };
    let first = post(change("deny", "1440", &read)).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.text);
    let second = post(change("ask", "60", &read)).await;
    assert_eq!(second.status, StatusCode::PRECONDITION_FAILED);
    assert!(second.text.contains("Effect: now <strong><bdi>deny"), "{}", second.text);
    assert!(second.text.contains("value=\"deny\" selected") && second.text.contains("value=\"60\""), "{}", second.text);
    let row = named(&house, &actor, "mails").await;
    assert_eq!((row.effect.as_str(), row.approval_ttl_minutes), ("deny", 1440), "nothing of the second was kept");
    let seen = post(change("deny", "60", &second.read_mark())).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER);
    let row = named(&house, &actor, "mails").await;
    assert_eq!((row.effect.as_str(), row.approval_ttl_minutes), ("deny", 60));
    let wrong = post(change("deny", "many", "")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
}
