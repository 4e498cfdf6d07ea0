//! Watchers on their pages: made by a form for each kind, changed, tried, and their credentials never shown.

use axum::http::StatusCode;
use serde_json::json;
use store::{Actor, watchers};

use super::house::House;

#[tokio::test]
async fn a_folder_is_watched_by_form() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let fields = [
        ("kind", "folder"),
        ("name", "inbox"),
        ("path", "~/in"),
        ("playbook", "file-away"),
        ("priority", "high"),
        ("patterns", "*.pdf, *.txt"),
    ];
    for (field, wrong) in [(1, ""), (2, "relative/path"), (3, "broken"), (3, "unknown"), (4, "urgent")] {
        let mut fields = fields;
        fields[field].1 = wrong;
        assert_eq!(browser.post("/watchers/new", &fields).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    assert_eq!(browser.post("/watchers/new", &fields).await.status, StatusCode::SEE_OTHER);
    let row = watchers::list(&actor, &house.store).await.unwrap().pop().unwrap();
    assert_eq!(
        row.config.unwrap(),
        json!({"path": "~/in", "playbook": "file-away", "priority": "high", "patterns": ["*.pdf", "*.txt"]})
    );
    assert_eq!(
        browser.post("/watchers/new", &fields).await.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "the name is taken"
    );
    let path = format!("/watchers/{}/edit", row.id);
    let read = browser.get(&path).await.read_mark();
    let keep = async |folder: &str, patterns: &str| {
        let mut all = fields.to_vec();
        (all[2].1, all[5].1) = (folder, patterns);
        all.push(("read", &read));
        browser.post(&path, &all).await
    };
    assert_eq!(keep("~/in", "*.pdf").await.status, StatusCode::SEE_OTHER);
    let late = keep("~/other", "*.pdf, *.txt").await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "the second does not undo the first unseen");
    assert!(late.text.contains("Only names like: now <strong><bdi>*.pdf"), "{}", late.text);
    assert!(late.text.contains("value=\"~/other\"") && late.text.contains("value=\"*.pdf\""), "{}", late.text);
    let eve = house.add_user(ada, "eve", "user").await;
    let at_eve = house.browser(eve).await;
    let mut other = fields;
    (other[1].1, other[2].1) = ("etc", "/etc");
    assert_eq!(at_eve.post("/watchers/new", &other).await.status, StatusCode::FORBIDDEN, "any folder could be named");
    let id = row.id.to_string();
    assert_eq!(at_eve.get(&format!("/watchers/{id}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(at_eve.post(&format!("/watchers/{id}/edit"), &fields).await.status, StatusCode::NOT_FOUND);
    assert_eq!(at_eve.post(&format!("/watchers/{id}/test"), &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(at_eve.post("/watchers/remove", &[("id", &id)]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.post("/watchers/run", &[("id", &id), ("run", "no")]).await.status, StatusCode::SEE_OTHER);
    assert!(!watchers::get(&actor, &house.store, row.id).await.unwrap().unwrap().is_active);
    assert_eq!(browser.post("/watchers/remove", &[("id", &id)]).await.status, StatusCode::SEE_OTHER);
    assert!(watchers::list(&actor, &house.store).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_kind_of_its_tasks_is_said_in_the_form() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let send = async |path: &str, kind: &str| {
        let fields = [
            ("kind", "feed"),
            ("name", "news"),
            ("url", "https://example.org/feed.xml"),
            ("every_s", "600"),
            ("task_kind", kind),
        ];
        let page = browser.get(path).await;
        let read = if page.text.contains("name=\"read\"") { page.read_mark() } else { String::new() };
        browser.post(path, &[&fields[..], &[("read", &read)]].concat()).await.status
    };
    let kept = async || watchers::list(&actor, &house.store).await.unwrap().pop().unwrap();
    let new = "/watchers/new?kind=feed";
    assert_eq!(send(new, &"x".repeat(61)).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(send(new, "triage").await, StatusCode::SEE_OTHER);
    let row = kept().await;
    assert_eq!(row.config.unwrap()["kind"], "triage");
    let edit = format!("/watchers/{}/edit", row.id);
    assert!(browser.get(&edit).await.text.contains("name=\"task_kind\" type=\"text\" value=\"triage\""));
    assert_eq!(send(&edit, "").await, StatusCode::SEE_OTHER);
    assert!(kept().await.config.unwrap().get("kind").is_none());
}

/// A folder watcher hangs what it finds on its owner's tasks: with it anybody could read any file of the machine.
#[tokio::test]
async fn only_an_administrator_has_the_machine_s_files_watched_by_the_api_too() {
    let (house, ada) = House::with_ada().await;
    let eve = house.add_user(ada, "eve", "user").await;
    let at_eve = house.browser(eve).await;
    for (kind, config) in [
        ("folder", json!({"path": "/etc", "playbook": "file-away"})),
        ("csv", json!({"path": "/etc/passwd", "playbook": "file-away"})),
        ("vault", json!({"path": "/etc", "playbook": "file-away"})),
        ("schedule", json!({"calendar": "/etc/passwd", "playbook": "file-away"})),
    ] {
        let new = json!({"name": kind, "watcher_type": kind, "config": config});
        assert_eq!(at_eve.post_json("/v1/watchers", &new).await.status, StatusCode::FORBIDDEN, "{kind}");
    }
    let hourly = json!({"cron": "0 * * * *", "title": "x", "playbook": "file-away"});
    let id = watchers::create(&Actor::user(eve), &house.store, "hourly", "schedule", hourly).await.unwrap();
    let changed = json!({"config": {"cron": null, "title": null, "calendar": "/etc/passwd"}});
    let said = at_eve.patch_json(&format!("/v1/watchers/{id}"), &changed).await;
    assert_eq!(said.status, StatusCode::FORBIDDEN, "{}", said.text);
}

#[tokio::test]
async fn credentials_go_in_and_never_come_out() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    assert!(browser.get("/watchers/new").await.text.contains("A mailbox"), "every kind is offered");
    let fields = [
        ("kind", "feed"),
        ("name", "news"),
        ("url", "https://example.org/feed.xml"),
        ("playbook", "file-away"),
        ("every_s", "600"),
        ("secret.token", "t0ken-of-the-feed"),
    ];
    let made = browser.post("/watchers/new", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let page = made.header("location").to_owned();
    let id = page.rsplit('/').next().unwrap().parse().unwrap();
    let secret = async || {
        let row = watchers::get(&actor, &house.store, id).await.unwrap().unwrap();
        domain::watchers::credentials(&house.state.vault, &row).unwrap().unwrap()
    };
    assert_eq!(secret().await, json!({"token": "t0ken-of-the-feed"}));
    for address in [page.clone(), format!("{page}/edit"), "/watchers".to_owned(), format!("/v1{page}")] {
        let shown = browser.get(&address).await;
        assert_eq!(shown.status, StatusCode::OK, "{address}");
        assert!(!shown.text.contains("t0ken"), "{address}: {}", shown.text);
    }
    // Changed without a word about credentials: they stay, and so does what the form does not show.
    let mut changed = fields;
    (changed[2].1, changed[4].1, changed[5].1) = ("https://example.org/other.xml", "", "");
    assert_eq!(browser.post(&format!("{page}/edit"), &changed).await.header("location"), page);
    let row = watchers::get(&actor, &house.store, id).await.unwrap().unwrap();
    let config = domain::watchers::shown(row).config.unwrap();
    assert_eq!(
        config,
        json!({"url": "https://example.org/other.xml", "playbook": "file-away", "credentials": "(sealed)"})
    );
    assert_eq!(secret().await, json!({"token": "t0ken-of-the-feed"}));
    changed[5].1 = "an0ther";
    assert_eq!(browser.post(&format!("{page}/edit"), &changed).await.status, StatusCode::SEE_OTHER);
    assert_eq!(secret().await, json!({"token": "an0ther"}));
    // And tried: the page says what it would make, and nothing is made.
    let tried = browser.post(&format!("{page}/test"), &[]).await.text;
    assert!(tried.contains("It would make 1 task.") && tried.contains("Rechnung März 2026.pdf"), "{tried}");
    assert!(store::tasks::list(&actor, &house.store, None, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_secret_of_a_webhook_is_shown_once() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    let fields = [("kind", "webhook"), ("name", "repo"), ("scheme", "github"), ("playbook", "file-away")];
    let made = browser.post("/watchers/new", &fields).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let (_, rest) = made.text.split_once("It is shown this once.").unwrap();
    let secret = rest.split_once("<code>").unwrap().1.split('<').next().unwrap().to_owned();
    assert!(secret.len() >= 16, "{secret}");
    let row = watchers::list(&Actor::user(ada), &house.store).await.unwrap().pop().unwrap();
    let kept = domain::watchers::credentials(&house.state.vault, &row).unwrap().unwrap();
    assert_eq!(kept, json!({ "secret": secret }));
    let page = browser.get(&format!("/watchers/{}", row.id)).await.text;
    assert!(page.contains("/hooks/") && !page.contains(&secret));
}

#[tokio::test]
async fn an_empty_house_is_set_up_in_three_steps() {
    let (house, ada) = House::with_ada().await;
    let eve = house.add_user(ada, "eve", "user").await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    assert!(browser.get("/").await.text.contains("href=\"/begin\""), "Today leads there");
    assert!(browser.get("/begin").await.text.contains("value=\"~/steward\""));
    let refused = house.browser(eve).await.post("/begin/server", &[("path", "/etc")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.post("/begin/server", &[("path", "~/steward")]).await.header("location"), "/begin");
    let server = store::mcp_servers::list(&actor, &house.store).await.unwrap().remove(0);
    assert_eq!(
        (server.command.as_str(), server.args[0].as_str()),
        ("builtin:files", r#"{"folders":["/home/ada/steward"]}"#)
    );
    assert!(browser.get("/begin").await.text.contains("The server is starting"));
    let schema = json!({"type": "object"});
    store::mcp_servers::see_tool(
        &Actor::service(),
        &house.store,
        server.id,
        "move_file",
        None,
        &schema,
        &"a".repeat(64),
    )
    .await
    .unwrap();
    assert!(browser.get("/begin").await.text.contains("Approve them"));
    assert_eq!(browser.post("/begin/tools", &[("server", "files")]).await.header("location"), "/begin");
    assert_eq!(browser.post("/begin/watcher", &[]).await.header("location"), "/begin");
    assert_eq!(browser.post("/begin/watcher", &[]).await.header("location"), "/begin", "once");
    let made = watchers::list(&actor, &house.store).await.unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].config, Some(json!({"path": "/home/ada/steward/inbox", "playbook": "file-away"})));
    assert!(browser.get("/begin").await.text.contains("Put a file into"));
}
