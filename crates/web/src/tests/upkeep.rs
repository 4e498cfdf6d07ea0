//! What the house is looked after by: people, the check of the chain, jobs, what is wrong, and what one was told.

use axum::http::StatusCode;
use store::{Actor, users};

use super::house::{House, PASSWORD};

#[tokio::test]
async fn people_are_added_and_let_go_by_administrators_alone() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let new = [("username", "bob"), ("email", "bob@example.org"), ("role", "user"), ("password", PASSWORD)];
    assert_eq!(browser.post("/users", &new).await.status, StatusCode::SEE_OTHER);
    let again = browser.post("/users", &new).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(again.text.contains("bob@example.org") && !again.text.contains(PASSWORD));
    let bob = users::named(&actor, &house.store, "bob").await.unwrap().unwrap().id;
    let at_bob = house.browser(bob).await;
    assert_eq!(at_bob.get("/users").await.status, StatusCode::OK);
    assert_eq!(at_bob.post(&format!("/users/{ada}/role"), &[("role", "user")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        browser.post(&format!("/users/{bob}/role"), &[("role", "observer")]).await.status,
        StatusCode::SEE_OTHER
    );
    let suspended = browser.post(&format!("/users/{bob}/status"), &[("status", "suspended")]).await;
    assert_eq!(suspended.status, StatusCode::SEE_OTHER);
    let row = users::account(&actor, &house.store, bob).await.unwrap().unwrap();
    assert_eq!((row.role.as_str(), row.status.as_str()), ("observer", "suspended"));
    assert_eq!(at_bob.get("/").await.status, StatusCode::SEE_OTHER, "an open page leads to the log-in");
    assert!(
        browser.get("/users").await.text.contains(&format!("At least {} characters", domain::passwords::MIN_CHARS))
    );
    let path = format!("/users/{bob}");
    let names = [("username", "robert"), ("email", "robert@example.org"), ("first_name", "Robert")];
    assert_eq!(browser.post(&path, &names).await.status, StatusCode::SEE_OTHER);
    let row = users::account(&actor, &house.store, bob).await.unwrap().unwrap();
    assert_eq!((row.username.as_str(), row.first_name.as_deref(), row.last_name), ("robert", Some("Robert"), None));
    let (path, new) = (format!("{path}/password"), "another of his long passwords");
    let refused = browser.post(&path, &[("password", new), ("own_password", "not mine")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "who sets a password shows again who it is");
    let set = browser.post(&path, &[("password", new), ("own_password", PASSWORD)]).await;
    assert_eq!((set.status, set.header("location")), (StatusCode::SEE_OTHER, &*format!("/users/{bob}?done=yes")));
    let eve = house.add_user(ada, "eve", "user").await;
    let at_eve = house.browser(eve).await;
    for path in [format!("/users/{eve}"), format!("/users/{ada}")] {
        assert_eq!(at_eve.get(&path).await.status, StatusCode::FORBIDDEN);
        assert_eq!(at_eve.post(&path, &names).await.status, StatusCode::FORBIDDEN);
    }
    let last = browser.post(&format!("/users/{ada}/status"), &[("status", "suspended")]).await;
    assert!(last.status.is_client_error(), "the last administrator stays");
}

#[tokio::test]
async fn the_chain_is_checked_and_the_figures_are_shown() {
    let (house, ada) = House::with_ada().await;
    let (_, asked) = house.asked(ada, ada).await;
    let line = |level| store::system_logs::NewLogLine::new(level, "watcher", "looked round");
    store::system_logs::append(&Actor::service(), &house.store, &[line("info"), line("error")]).await.unwrap();
    let browser = house.browser(ada).await;
    let begun = browser.post("/audit/verify", &[]).await;
    assert_eq!((begun.status, begun.header("location")), (StatusCode::SEE_OTHER, "/audit"));
    let found = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            let page = browser.get("/audit").await.text;
            if !page.contains("is being checked") {
                break page;
            }
            tokio::task::yield_now().await;
        }
    });
    let found = found.await.unwrap();
    assert!(found.contains("The chain is whole"), "it went on while its page was left: {found}");
    let page = browser.get("/activity").await.text;
    assert!(page.contains("class=\"chart\"") && page.contains("The same as a table"));
    assert!(page.contains("href=\"/logs?module=watcher\"") && page.contains("class=\"strip\""), "{page}");
    assert!(page.contains("on 1 day, with errors on 1 day"), "{page}");
    assert!(!page.contains("How long they took"), "nothing is decided yet");
    let yes = browser.post(&format!("/approvals/{asked}/decision"), &[("decision", "approve")]).await;
    assert_eq!(yes.status, StatusCode::SEE_OTHER, "{}", yes.text);
    let page = browser.get("/activity").await.text;
    assert!(page.contains("How long they took") && page.contains("within a minute</th>"), "{page}");
    let system = browser.get("/system").await.text;
    assert!(system.contains("SQLite") && system.contains("cleanup-sessions") && system.contains("Where the log lies"));
    assert_eq!(browser.post("/system/run", &[("name", "statistics")]).await.status, StatusCode::SEE_OTHER);
    let job = async || domain::schedules::named(&house.store, &Actor::user(ada), "statistics").await.unwrap();
    let paused = browser.post("/system/pause", &[("name", "statistics"), ("run", "no")]).await;
    assert_eq!((paused.status, job().await.is_active), (StatusCode::SEE_OTHER, false));
    let times = [("name", "statistics"), ("cron", "5 4 * * *"), ("time_zone", "Europe/Berlin")];
    assert_eq!(browser.post("/system/job", &times).await.status, StatusCode::SEE_OTHER);
    assert_eq!((job().await.cron.as_str(), job().await.time_zone.as_str()), ("5 4 * * *", "Europe/Berlin"));
    let wrong = [("name", "statistics"), ("cron", "at noon"), ("time_zone", "UTC")];
    assert_eq!(browser.post("/system/job", &wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let looked = browser.get("/system/findings").await.text;
    assert!(looked.contains("One thing is to be mended") && looked.contains("raise the limit"), "{looked}");
    let bob = house.add_user(ada, "bob", "user").await;
    let bob = house.browser(bob).await;
    assert!(!bob.get("/system").await.text.contains("Where the log lies"));
    let trail = bob.get("/audit").await.text;
    assert!(!trail.contains("The chain is whole") && !trail.contains("Check the chain"), "no all-clear without a look");
    assert_eq!(bob.post("/audit/verify", &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(bob.post("/system/run", &[("name", "statistics")]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.get("/system/findings").await.status, StatusCode::FORBIDDEN);
    assert!(bob.post("/system/pause", &[("name", "statistics"), ("run", "yes")]).await.status.is_client_error());
}

#[tokio::test]
async fn all_that_one_was_told_is_marked_and_paged() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    for n in 0..230 {
        let new = store::notifications::NewNotification {
            user_id: ada,
            title: format!("note {n}"),
            message: None,
            r#type: "info",
            data: serde_json::json!({}),
        };
        store::notifications::create(&actor, &house.store, &new).await.unwrap();
    }
    let (mut path, mut seen) = ("/notifications?limit=100".to_owned(), 0);
    loop {
        let page = browser.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        seen += page.text.matches("data-key=").count();
        let Some((_, rest)) = page.text.split_once("<a rel=\"next\" href=\"") else { break };
        path = format!("{}&limit=100", rest.split('"').next().unwrap().replace("&amp;", "&"));
    }
    assert_eq!(seen, 230, "every page is reached");
    assert_eq!(browser.post("/notifications/read", &[("id", "all")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(store::notifications::unread(&actor, &house.store, 1000).await.unwrap(), 0);
    let one = store::notifications::list(&actor, &house.store, None, 1).await.unwrap()[0].id.to_string();
    assert_eq!(browser.post("/notifications/archive", &[("id", &one)]).await.status, StatusCode::SEE_OTHER);
    assert!(browser.get("/notifications?status=archived").await.text.contains("note "));
    for page in ["/audit", "/logs?task=00000000-0000-0000-0000-000000000000&from=2026-01-01T00:00"] {
        let page = browser.get(page).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    }
    assert_eq!(browser.get("/logs?from=yesterday").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}
