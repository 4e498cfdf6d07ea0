//! A playbook of what a model did: the page with the draft, keeping it, switching it on and off, and the same over the API.

use axum::http::{Method, StatusCode};
use domain::{
    playbook::{canonical_json, sha256_hex},
    policy::{Effect, Verdict},
    work::{self, PlannedCall, Worker},
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use store::{
    Actor, playbooks,
    tasks::{self, NewTask},
    users,
};
use uuid::Uuid;

use super::house::House;

/// A task that came of a mail and that a model led to its end with one call.
async fn led_by_a_model(house: &House, owner: Uuid) -> Uuid {
    let (owner, on) = (Actor::user(owner), &house.store);
    let employee = users::agent(&Actor::service(), on, domain::accounts::EMPLOYEE).await.unwrap().unwrap();
    let new = NewTask {
        assigned_to: Some(employee),
        metadata: json!({
            "event": { "kind": "mail", "from": { "name": "Bob <script>alert(1)</script>", "address": "bob@example.org" }, "subject": "Order 4711" },
            "watcher": { "name": "mail" },
        }),
        ..NewTask::titled("Mail: Order 4711")
    };
    let task = tasks::create(&owner, on, &new).await.unwrap();
    tasks::add_provenance(&owner, on, task, true, "watcher:mail", json!({})).await.unwrap();
    let worker =
        Worker { actor: Actor::user(employee), name: "test/1".to_owned(), lease: SignedDuration::from_secs(60) };
    let lease = worker.claim(on).await.unwrap().expect("a task to claim");
    let work = work::open(&worker, on, &lease, "model:main", "{}").await.unwrap();
    let arguments = canonical_json(&json!({
        "to": "bob@example.org", "subject": "Re: Order 4711", "body": "It is on its way.", "tag": "Order",
    }));
    let call = PlannedCall {
        step: "turn 0 call 1".to_owned(),
        server: "mail".to_owned(),
        tool: "send".to_owned(),
        arguments_sha256: sha256_hex(&arguments),
        arguments: arguments.clone(),
    };
    let verdict =
        Verdict { effect: Effect::Allow, rule: None, reason: "a rule allows it".to_owned(), approval_ttl_minutes: 60 };
    let sha256 = call.arguments_sha256.clone();
    let step = worker.journal_allowed(on, &work, call, &verdict).await.unwrap();
    worker.start(on, &lease, step, arguments, sha256, None).await.unwrap();
    let result = json!({ "content": [{ "type": "text", "text": "sent" }] }).to_string();
    worker.end(on, &lease, step, "succeeded", Some(result), None).await.unwrap();
    let work = work::reopen(&worker, on, &lease).await.unwrap().unwrap();
    worker.finish(on, &work, true, "Answered.".to_owned()).await.unwrap();
    task
}

#[tokio::test]
async fn a_draft_is_shown_kept_and_switched_on() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let task = led_by_a_model(&house, bob).await;
    let (browser, at_bob) = (house.browser(ada).await, house.browser(bob).await);
    let (address, page) = (format!("/tasks/{task}/playbook"), browser.get(&format!("/tasks/{task}")).await.text);
    assert!(page.contains(&address) && page.contains("Make a playbook of it"), "{page}");
    let draft = browser.get(&address).await;
    assert_eq!(draft.status, StatusCode::OK, "{}", draft.text);
    for words in [
        "Put in anew<span class=\"count\">2</span>",
        "{{ event.from.address }}",
        "Re: {{ event.subject }}",
        "Stays as it was",
        "It is on its way.",
        "look at it",
        "the same calls",
        "Keep it, switched off",
    ] {
        assert!(draft.text.contains(words), "{words}: {}", draft.text);
    }
    assert!(!draft.text.contains("<script>alert") && !draft.text.contains(" style="), "{}", draft.text);
    let of_bob = at_bob.get(&address).await;
    assert!(of_bob.status == StatusCode::OK && !of_bob.text.contains("Keep it, switched off"), "an admin keeps it");
    assert!(playbooks::list(&Actor::user(ada), &house.store).await.unwrap().is_empty(), "nothing is kept by looking");

    // Changed, it is looked at again; with a mistake it is named and not kept.
    let source = house_draft(&house, ada, task).await;
    let changed = source.replace("It is on its way.", "It was sent.");
    let again = browser.post(&address, &[("do", "look"), ("source", &changed)]).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    assert!(again.text.contains("differs") && again.text.contains("not made then"), "{}", again.text);
    let wrong = browser.post(&address, &[("do", "keep"), ("source", "name: x\nsteps: 7\n")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("line 2") && wrong.text.contains("steps: 7"), "{}", wrong.text);
    assert_eq!(at_bob.post(&address, &[("do", "keep"), ("source", &source)]).await.status, StatusCode::FORBIDDEN);
    let kept = browser.post(&address, &[("do", "keep"), ("source", &source)]).await;
    assert_eq!((kept.status, kept.header("location")), (StatusCode::SEE_OTHER, "/playbooks#kept"), "{}", kept.text);

    // On its page it is off, and is switched on by an admin alone.
    let name = playbooks::list(&Actor::user(ada), &house.store).await.unwrap().pop().unwrap().name;
    let page = browser.get("/playbooks").await.text;
    assert!(page.contains(&name) && page.contains("Switch it on") && page.contains("a task"), "{page}");
    assert!(!at_bob.get("/playbooks").await.text.contains(&name), "a draft is its makers' alone");
    let on = [("name", name.as_str()), ("to", "on")];
    assert_eq!(at_bob.post("/playbooks/switch", &on).await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.post("/playbooks/switch", &on).await.status, StatusCode::SEE_OTHER);
    assert!(browser.get("/playbooks").await.text.contains("Switch it off"));
    let offered = format!("<option value=\"{name}\"");
    assert!(browser.get("/watchers/new?kind=imap").await.text.contains(&offered), "a watcher may name one that is on");
    assert_eq!(at_bob.post("/playbooks/remove", &[("name", &name)]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.post("/playbooks/remove", &[("name", &name)]).await.status, StatusCode::SEE_OTHER);
    assert!(playbooks::list(&Actor::user(ada), &house.store).await.unwrap().is_empty());
}

async fn house_draft(house: &House, ada: Uuid, task: Uuid) -> String {
    domain::promote::promote(&house.store, &Actor::user(ada), task, None).await.unwrap().source
}

#[tokio::test]
async fn the_same_over_the_api() {
    let (house, ada) = House::with_ada().await;
    let task = led_by_a_model(&house, ada).await;
    let client = house.browser(ada).await;
    let post = async |path: &str, body: Value| client.post_json(path, &body).await;
    let drafted = post(&format!("/v1/tasks/{task}/promote"), json!({ "name": "answer" })).await;
    assert_eq!(drafted.status, StatusCode::OK, "{}", drafted.text);
    let draft = drafted.json();
    assert_eq!(draft["name"], "answer");
    assert_eq!(draft["literals"].as_array().unwrap().iter().filter(|l| l["part_of"] == "event.subject").count(), 1);
    let odd = post(&format!("/v1/tasks/{task}/promote"), json!({ "name": "a b" })).await;
    assert_eq!(
        (odd.status, odd.json()["errors"][0]["field"].clone()),
        (StatusCode::UNPROCESSABLE_ENTITY, json!("name"))
    );
    let kept = post("/v1/playbooks", json!({ "source": draft["source"], "task_id": task })).await;
    assert_eq!((kept.status, kept.header("location")), (StatusCode::CREATED, "/v1/playbooks/answer"), "{}", kept.text);
    assert_eq!(kept.json()["is_on"], false);
    assert_eq!(post("/v1/playbooks", json!({ "source": draft["source"] })).await.status, StatusCode::CONFLICT);
    let file =
        post("/v1/playbooks", json!({ "source": "name: file-away\nsteps: [{name: a, server: s, tool: t}]" })).await;
    assert_eq!(file.status, StatusCode::CONFLICT, "a file of that name goes first: {}", file.text);
    assert_eq!(post("/v1/playbooks/answer/on", json!({})).await.json()["is_on"], true);
    assert_eq!(post("/v1/playbooks/answer/off", json!({})).await.json()["is_on"], false);
    assert_eq!(client.get("/v1/playbooks/answer").await.json()["source"], draft["source"]);
    let listed = client.get("/v1/playbooks").await.json();
    let row = listed["data"].as_array().unwrap().iter().find(|p| p["name"] == "answer").unwrap().clone();
    assert_eq!((row["origin"].clone(), row["is_on"].clone()), (json!("kept here"), json!(false)));
    let tried = post("/v1/playbooks/replay", json!({ "source": draft["source"], "watcher": "mail", "last": 5 })).await;
    assert_eq!(tried.status, StatusCode::OK, "{}", tried.text);
    let tried = tried.json();
    assert_eq!(
        (tried["differ"].clone(), tried["events"][0]["ends"].clone()),
        (json!(0), json!("completes")),
        "{tried}"
    );
    assert_eq!(tried["events"][0]["calls"][0]["now"], "deny", "there is no such tool any more");
    assert_eq!(
        post("/v1/playbooks/replay", json!({ "source": "x", "last": 0 })).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let gone = client.request(Method::DELETE, "/v1/playbooks/answer").header("content-type", "application/json");
    assert_eq!(house.send(gone.body(axum::body::Body::from("{}")).unwrap()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/v1/playbooks/answer").await.status, StatusCode::NOT_FOUND);
}
