//! Watchers that look from time to time, against real servers on loopback, on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

mod common;
#[path = "common/http.rs"]
mod http;
#[path = "common/watching.rs"]
mod watching;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use domain::{
    accounts,
    watchers::{self as rules, NewWatcher},
};
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use store::{Actor, tasks, watchers};
use workers::{silence, watchers::polling};

use crate::{
    http::{Server, ok},
    watching::World,
};

on_both!(
    a_feed_is_read_once_and_asked_whether_it_changed,
    a_crash_half_way_loses_no_entry,
    a_page_is_watched_for_changes,
    a_statement_s_rows_count_once,
    a_schedule_makes_its_task,
    silence_is_told_once,
    credentials_are_sealed_and_bound_to_their_watcher,
    the_private_net_is_an_administrator_s_to_allow,
    what_was_allowed_is_no_more,
);

fn entry(id: usize, day: &str) -> String {
    format!(
        "<entry><id>{id}</id><title>Entry {id}</title><updated>{day}T10:00:00Z</updated><link href='https://x.test/{id}'/></entry>"
    )
}

fn feed(entries: &[String]) -> String {
    format!(
        "<feed xmlns='http://www.w3.org/2005/Atom'><title>News</title><id>f</id><updated>2026-01-01T00:00:00Z</updated>{}</feed>",
        entries.join("")
    )
}

async fn a_feed_is_read_once_and_asked_whether_it_changed(postgres: bool) {
    let world = World::new(postgres).await;
    let many = Arc::new(AtomicUsize::new(2));
    let server = {
        let many = Arc::clone(&many);
        Server::start(move |request| {
            let n = many.load(Ordering::SeqCst);
            if request.to_lowercase().contains(&format!("if-none-match: \"v{n}\"")) {
                return ("304 Not Modified".to_owned(), String::new(), String::new());
            }
            let entries: Vec<String> =
                (1..=n).rev().map(|i| entry(i, if i <= 2 { "2020-01-01" } else { "2099-01-01" })).collect();
            ("200 OK".to_owned(), format!("etag: \"v{n}\"\r\n"), feed(&entries))
        })
        .await
    };
    let id = world
        .add("feed", json!({ "url": server.url, "allow_private": ["127.0.0.1"] }), Some(json!({ "token": "t0ken" })))
        .await;
    world.once(id).await;
    assert!(world.tasks().await.is_empty(), "what stood there before the watcher is none of its business");
    many.store(4, Ordering::SeqCst);
    world.once(id).await;
    world.once(id).await;
    assert_eq!(world.titles().await, ["Entry 3", "Entry 4"]);
    assert_eq!(server.asked.lock().unwrap().len(), 3);
    let asked = server.asked.lock().unwrap().clone();
    assert!(asked[2].to_lowercase().contains("if-none-match: \"v4\""), "{}", asked[2]);
    assert!(asked[0].contains("Bearer t0ken"));
    let task = world.tasks().await.pop().unwrap();
    assert_eq!(
        (task.metadata["event"]["kind"].as_str(), task.metadata["event"]["feed"].as_str()),
        (Some("entry"), Some("News"))
    );
    let from = tasks::provenance(&world.ada, &world.store, task.id).await.unwrap().unwrap();
    assert!(from.outside && from.source == "watcher:feed", "{from:?}");
    let watcher = world.watcher(id).await;
    assert!(watcher.last_run.is_some() && watcher.error_count == 0);
}

async fn a_crash_half_way_loses_no_entry(postgres: bool) {
    let world = World::new(postgres).await;
    let server = Server::start(|_| {
        (
            "200 OK".to_owned(),
            "etag: \"v\"\r\n".to_owned(),
            feed(&[entry(1, "2099-01-01"), entry(2, "2099-01-02"), entry(3, "2099-01-03")]),
        )
    })
    .await;
    let id =
        world.add("feed", json!({ "url": server.url, "allow_private": ["127.0.0.1"], "assign_to": "bob" }), None).await;
    // Nobody called bob: each task fails, and so does the look.
    world.once(id).await;
    assert!(world.watcher(id).await.last_error.unwrap().contains("bob"));
    accounts::add_user(&world.store, &world.ada, "bob", "bob@example.org", "user", "four words are enough".into())
        .await
        .unwrap();
    world.once(id).await;
    assert_eq!(world.titles().await, ["Entry 1", "Entry 2", "Entry 3"]);
    assert_eq!(world.watcher(id).await.last_error, None);
}

async fn a_page_is_watched_for_changes(postgres: bool) {
    let world = World::new(postgres).await;
    let price = Arc::new(AtomicUsize::new(10));
    let server = {
        let price = Arc::clone(&price);
        Server::start(move |_| ok(format!(r#"{{"now": 1, "price": {{"amount": {}}}}}"#, price.load(Ordering::SeqCst))))
            .await
    };
    let config =
        json!({ "url": server.url, "pointer": "/price/amount", "title": "Price", "allow_private": ["127.0.0.1"] });
    let id = world.add("http", config, None).await;
    for (value, count) in [(10, 0), (10, 0), (12, 1), (12, 1), (10, 2), (12, 3)] {
        price.store(value, Ordering::SeqCst);
        world.once(id).await;
        assert_eq!(world.tasks().await.len(), count, "{value}");
    }
    let last = world.tasks().await.remove(0);
    assert_eq!((last.title.as_str(), &last.metadata["event"]["value"]), ("Price", &json!(12)));
}

async fn a_statement_s_rows_count_once(postgres: bool) {
    let world = World::new(postgres).await;
    let folder = world.dir.path().join("bank");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, rows: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("date,amount,text\n{rows}")).unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    };
    write("october.csv", "2026-10-01,-2.80,Coffee\n2026-10-01,-2.80,Coffee\n2026-10-31,1000.00,Wage\n");
    let format = json!({ "columns": { "date": "date", "amount": "amount", "text": "text" } });
    let id = world.add("csv", json!({ "path": folder, "format": format }), None).await;
    world.once(id).await;
    world.once(id).await;
    assert_eq!(world.titles().await, ["3 new rows in october.csv (994.40)"]);
    // The next export overlaps.
    write("november.csv", "2026-10-31,1000.00,Wage\n2026-11-02,-7.00,Book\n");
    let work = world.start(id).await;
    for _ in 0..2 {
        work.look().await;
    }
    work.end().await;
    let last = world.tasks().await.remove(0);
    assert_eq!(last.title, "1 new rows in november.csv (-7.00)");
    assert_eq!(
        last.metadata["event"]["months"]["2026-10"],
        json!({ "rows": 3, "in": "1000.00", "out": "-5.60", "balance": "994.40" })
    );
    assert_eq!(last.metadata["event"]["months"]["2026-11"]["out"], "-7.00");
    write("broken.csv", "2026-11-02,seven,Book\n");
    world.once(id).await;
    let said = world.watcher(id).await.last_error.unwrap();
    assert!(said.contains("broken.csv: line 2"), "{said}");
}

async fn a_schedule_makes_its_task(postgres: bool) {
    let world = World::new(postgres).await;
    let id = world.add("schedule", json!({ "cron": "* * * * *", "title": "Every minute" }), None).await;
    // As if the last time was long ago.
    let state = json!({ "state": { "next": "2026-01-01T00:00:00Z", "cron": "* * * * *", "zone": "UTC" } });
    watchers::put_cursor(&world.ada, &world.store, id, state).await.unwrap();
    world.once(id).await;
    let task = world.tasks().await.pop().unwrap();
    assert_eq!(
        (&task.metadata["event"]["at"], &task.metadata["event"]["missed"]),
        (&json!("2026-01-01T00:00:00Z"), &json!(true))
    );
    let cursor = watchers::cursor(&world.ada, &world.store, id).await.unwrap().unwrap();
    assert!(cursor["state"]["next"].as_str().unwrap() > "2026-01-01T00:01:00Z", "{cursor}");
}

async fn silence_is_told_once(postgres: bool) {
    let world = World::new(postgres).await;
    let server = Server::start(|_| ok(feed(&[]))).await;
    let config = json!({ "url": server.url, "allow_private": ["127.0.0.1"], "silent_after_h": 24 });
    let id = world.add("feed", config, None).await;
    world.once(id).await;
    let made = world.watcher(id).await.created_at;
    let after = |hours: i64| made + SignedDuration::from_hours(hours);
    assert_eq!(silence::round(&world.store, after(23)).await.unwrap(), 0);
    assert_eq!(silence::round(&world.store, after(25)).await.unwrap(), 1);
    assert_eq!(silence::round(&world.store, after(26)).await.unwrap(), 0, "once");
    // Something came, and then nothing again.
    let state = json!({ "last_event_at": after(30), "state": { "url": server.url, "validators": {} } });
    watchers::put_cursor(&world.ada, &world.store, id, state).await.unwrap();
    assert_eq!(silence::round(&world.store, after(40)).await.unwrap(), 0);
    assert_eq!(silence::round(&world.store, after(55)).await.unwrap(), 1);
    watchers::set_active(&world.ada, &world.store, id, false).await.unwrap();
    let told = world.told().await;
    assert!(told.len() == 2 && told[1].starts_with("Silent: feed: Nothing was seen since"), "{told:?}");
    let new = |hours: Json| NewWatcher {
        name: "folder".into(),
        watcher_type: "folder".into(),
        config: json!({ "silent_after_h": hours }),
        credentials: None,
    };
    for hours in [json!(0), json!("1"), json!(1.5), json!(9000)] {
        let said = rules::add(&world.store, &world.vault, &world.ada, new(hours)).await.unwrap_err().to_string();
        assert!(said.contains("silent_after_h"), "{said}");
    }
}

async fn credentials_are_sealed_and_bound_to_their_watcher(postgres: bool) {
    let world = World::new(postgres).await;
    let config = json!({ "url": "https://example.org/feed" });
    let first = world.add("feed", config.clone(), Some(json!({ "token": "s3cret-token" }))).await;
    let watcher = world.watcher(first).await;
    let kept = watcher.config.clone().unwrap();
    assert!(!kept.to_string().contains("s3cret") && kept["credentials"]["sealed"].is_string());
    assert_eq!(rules::credentials(&world.vault, &watcher).unwrap(), Some(json!({ "token": "s3cret-token" })));
    let shown = rules::shown(watcher.clone()).config.unwrap();
    assert_eq!(shown["credentials"], "(sealed)");
    for row in store::audit_trail::list(&world.ada, &world.store, Some("watcher"), Some(first), 50).await.unwrap() {
        assert!(!serde_json::to_string(&row).unwrap().contains("s3cret"));
    }
    // Copied into another watcher, which sends them elsewhere, they do not open.
    let stolen = watchers::create(&world.ada, &world.store, "thief", "feed", kept).await.unwrap();
    assert!(rules::credentials(&world.vault, &world.watcher(stolen).await).is_err());
    let in_plain = NewWatcher {
        name: "x".into(),
        watcher_type: "feed".into(),
        config: json!({ "credentials": {} }),
        credentials: None,
    };
    let said = rules::add(&world.store, &world.vault, &world.ada, in_plain).await.unwrap_err().to_string();
    assert!(said.contains("give them apart"), "{said}");
}

async fn the_private_net_is_an_administrator_s_to_allow(postgres: bool) {
    let world = World::new(postgres).await;
    accounts::add_user(&world.store, &world.ada, "bob", "bob@example.org", "user", "four words are enough".into())
        .await
        .unwrap();
    let bob = store::users::named(&world.ada, &world.store, "bob").await.unwrap().unwrap();
    let bob = Actor::user(bob.id);
    let config = json!({ "url": "http://127.0.0.1:9/", "playbook": "p", "allow_private": ["127.0.0.1"] });
    let new = NewWatcher { name: "x".into(), watcher_type: "feed".into(), config: config.clone(), credentials: None };
    let said = rules::add(&world.store, &world.vault, &bob, new).await.unwrap_err().to_string();
    assert!(said.contains("administrator"), "{said}");
    // Written past the rules, it counts for nothing all the same.
    let id = watchers::create(&bob, &world.store, "x", "feed", config).await.unwrap();
    let watcher = watchers::get(&bob, &world.store, id).await.unwrap().unwrap();
    let said = polling::preview(&world.store, &world.vault, &bob, &watcher, 10).await.unwrap_err().to_string();
    assert!(said.contains("not a public address"), "{said}");
}

/// A right that is gone counts at once, not at the next start.
async fn what_was_allowed_is_no_more(postgres: bool) {
    let world = World::new(postgres).await;
    let bob =
        accounts::add_user(&world.store, &world.ada, "bob", "bob@example.org", "admin", "four words are enough".into())
            .await
            .unwrap();
    let server = Server::start(|_| ok(feed(&[]))).await;
    let config = json!({ "url": server.url, "playbook": "p", "allow_private": ["127.0.0.1"] });
    let new = NewWatcher { name: "x".into(), watcher_type: "feed".into(), config, credentials: None };
    let id = rules::add(&world.store, &world.vault, &Actor::user(bob), new).await.unwrap();
    world.once(id).await;
    assert_eq!(world.watcher(id).await.last_error, None);
    assert_eq!(server.asked.lock().unwrap().len(), 1);
    assert!(store::users::set_role(&world.ada, &world.store, bob, "user").await.unwrap());
    world.once(id).await;
    assert_eq!(server.asked.lock().unwrap().len(), 1, "not asked again");
    assert!(world.watcher(id).await.last_error.unwrap().contains("allow_private"));
}
