//! Briefings: figures that are right, rows behind each, and one a day by itself, on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops where it stands"
)]

mod common;

use domain::{
    accounts::{self, Setup},
    briefing::{self, Period},
    telling,
};
use jiff::SignedDuration;
use serde_json::json;
use store::{
    Actor, Store,
    approvals::{self, NewApproval},
    notifications,
    tasks::{self, NewTask},
};
use workers::briefings;

use crate::common::Database;

on_both!(a_briefing_counts_what_one_may_see, a_briefing_comes_once_a_day);

struct World {
    _dir: tempfile::TempDir,
    _database: Database,
    store: Store,
    ada: Actor,
}

async fn world(postgres: bool) -> World {
    let dir = tempfile::tempdir().unwrap();
    let database = if postgres { Database::postgres().await } else { Database::sqlite(dir.path()).await };
    let store = Store::open(&database.config).await.unwrap();
    let setup = Setup {
        username: "ada".into(),
        email: "ada@example.org".into(),
        password: "four words are enough".into(),
        token: None,
    };
    let ada = Actor::user(accounts::setup(&store, setup).await.unwrap());
    World { _dir: dir, _database: database, store, ada }
}

async fn a_briefing_counts_what_one_may_see(postgres: bool) {
    let world = world(postgres).await;
    let (store, ada) = (&world.store, &world.ada);
    let bob =
        accounts::add_user(store, ada, "bob", "bob@example.org", "user", "four words are enough".into()).await.unwrap();
    let bob = Actor::user(bob);
    let make = async |actor: &Actor, title: &str, status: &str| {
        let id = tasks::create(actor, store, &NewTask::titled(title)).await.unwrap();
        let row = tasks::get(actor, store, id).await.unwrap().unwrap();
        if status != "pending" {
            let row = tasks::Task { status: status.to_owned(), ..row };
            assert!(tasks::set_status(actor, store, &row).await.unwrap());
        }
        id
    };
    let done = make(&bob, "Bob's [done]", "completed").await;
    make(&bob, "Bob's cancelled", "cancelled").await;
    let open = make(&bob, "Bob's open", "pending").await;
    make(ada, "Ada's", "completed").await;
    let asked = NewApproval {
        task_id: open,
        action_type: "tool_call".to_owned(),
        details: json!({}),
        expires_at: store::now() + SignedDuration::from_hours(1),
    };
    let waits = approvals::create(&bob, store, &asked).await.unwrap();
    let decided = approvals::create(&bob, store, &asked).await.unwrap();
    assert!(approvals::approve(ada, store, decided, None).await.unwrap());
    let now = store::now() + SignedDuration::from_secs(5);
    let his = briefing::make(store, &bob, Period::Day, now).await.unwrap();
    assert_eq!((his.done.count, his.cancelled.count, his.open.count), (1, 1, 1), "his own, and no one else's");
    assert_eq!(his.done.items[0].link, format!("/tasks/{done}"));
    assert_eq!((his.to_decide.count, his.to_decide.items[0].link.clone()), (1, format!("/approvals/{waits}")));
    assert_eq!(his.to_decide.items[0].title, "Bob's open");
    assert_eq!(his.decided, 1);
    let text = his.text(Some("https://d"));
    assert!(text.contains(&format!("[Bob's  done ](https://d/tasks/{done})")), "{text}");
    let whole = briefing::make(store, ada, Period::Week, now).await.unwrap();
    assert_eq!(whole.done.count, 2);
    let later = briefing::make(store, ada, Period::Day, now + SignedDuration::from_hours(25)).await.unwrap();
    assert_eq!((later.done.count, later.open.count), (0, 1), "of its period alone");
}

async fn a_briefing_comes_once_a_day(postgres: bool) {
    let world = world(postgres).await;
    let (store, ada) = (&world.store, &world.ada);
    let at = |time: &str| time.parse().unwrap();
    assert_eq!(briefings::round(store, at("2026-11-02T12:00:00Z")).await.unwrap(), 0, "unasked, none comes");
    let wish = json!({ "briefing": { "every": "day", "at": "07:00" } });
    telling::set_wishes(store, ada, &wish).await.unwrap();
    for (time, made) in [
        ("2026-11-02T06:59:00Z", 0),
        ("2026-11-02T07:00:00Z", 1),
        ("2026-11-02T07:01:00Z", 0),
        ("2026-11-03T09:00:00Z", 1),
    ] {
        assert_eq!(briefings::round(store, at(time)).await.unwrap(), made, "{time}");
    }
    let told = notifications::list(ada, store, None, 10).await.unwrap();
    assert_eq!(told.len(), 2);
    assert!(told[0].title.starts_with("Briefing: 0 done") && told[0].sent_at.is_some(), "{told:?}");
}
