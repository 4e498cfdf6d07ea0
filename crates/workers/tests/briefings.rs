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
    briefing::{self, Links, Period},
    telling,
};
use jiff::SignedDuration;
use serde_json::json;
use store::{
    Actor, Store,
    approvals::{self, NewApproval},
    model_turns::{self, NewTurn, TurnEnd},
    notification_channels,
    notifications::{self, NewNotification},
    runs::{self, NewStep},
    tasks::{self, NewTask},
    users,
};
use workers::briefings;

use crate::common::Database;

on_both!(
    a_briefing_counts_what_one_may_see,
    a_briefing_knows_what_is_over_what_it_cost_and_what_comes,
    a_briefing_comes_once_a_day,
);

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
    let text = his.text(Links::Markdown("https://d"));
    assert!(text.contains(&format!("[Bob's  done ](https://d/tasks/{done})")), "{text}");
    let whole = briefing::make(store, ada, Period::Week, now).await.unwrap();
    assert_eq!(whole.done.count, 2);
    let later = briefing::make(store, ada, Period::Day, now + SignedDuration::from_hours(25)).await.unwrap();
    assert_eq!((later.done.count, later.open.count), (0, 1), "of its period alone");
}

async fn a_briefing_knows_what_is_over_what_it_cost_and_what_comes(postgres: bool) {
    let world = world(postgres).await;
    let (store, ada) = (&world.store, &world.ada);
    let employee = users::agent(&Actor::service(), store, accounts::EMPLOYEE).await.unwrap().unwrap();
    let agent = Actor::user(employee);
    let new = NewTask { assigned_to: Some(employee), ..NewTask::titled("led by a model") };
    let task = tasks::create(ada, store, &new).await.unwrap();
    let now = store::now();
    let hours = SignedDuration::from_hours;
    // Asked for a day ago, as long as a question is open where no rule says: it is over within the last hour.
    let asked =
        |expires_at| NewApproval { task_id: task, action_type: "question".to_owned(), details: json!({}), expires_at };
    let over = approvals::create(&agent, store, &asked(now - SignedDuration::from_secs(1))).await.unwrap();
    approvals::create(&agent, store, &asked(now + hours(24 * 90))).await.unwrap();
    assert_eq!(approvals::expire(&Actor::service(), store).await.unwrap(), [over]);
    let run = runs::create(&agent, store, task, "model:main", "{}", "h").await.unwrap();
    let turn = NewTurn {
        run_id: run,
        task_id: task,
        ordinal: 0,
        model: "main".to_owned(),
        request_sha256: "h".to_owned(),
        request_bytes: 1,
        attempt: 1,
    };
    let turn = model_turns::ask(&agent, store, &turn).await.unwrap();
    let end = TurnEnd {
        answer: Some("{}".to_owned()),
        input_tokens: 900,
        output_tokens: 100,
        cost_microusd: 1_250_000,
        ..TurnEnd::default()
    };
    assert!(model_turns::end(&agent, store, turn, &end).await.unwrap());
    let wait = NewStep {
        run_id: run,
        task_id: task,
        ordinal: 0,
        name: "rest".to_owned(),
        server: String::new(),
        tool: "wait".to_owned(),
        state: "planned",
        arguments: json!({ "until": now + hours(3) }).to_string(),
        arguments_sha256: "h".repeat(64),
        policy_id: None,
        policy_reason: None,
        attempt: 1,
        error: None,
    };
    runs::add_step(&agent, store, &wait).await.unwrap();
    let told = NewNotification {
        user_id: ada.user_id().unwrap(),
        title: "Reminder: call Bob".to_owned(),
        message: None,
        r#type: "alert",
        data: json!({}),
    };
    let service = Actor::service();
    let told = notifications::create(&service, store, &told).await.unwrap();
    let told = notifications::get(&service, store, told).await.unwrap().unwrap();
    let at = Some(now + hours(2));
    assert!(notifications::put_copy(&service, store, uuid::Uuid::now_v7(), "web", &told, at).await.unwrap());

    let later = now + SignedDuration::from_secs(30);
    let brief = briefing::make(store, ada, Period::Day, later).await.unwrap();
    assert_eq!((brief.expired.count, brief.expired.items[0].link.clone()), (1, format!("/approvals/{over}")));
    assert_eq!((brief.money.turns, brief.money.tokens, brief.money.cost_microusd), (1, 1000, 1_250_000));
    assert_eq!(brief.money.dearest[0].task.title, "led by a model");
    assert_eq!((brief.waits.count, brief.waits.items[0].link.clone()), (1, format!("/tasks/{task}")));
    assert_eq!((brief.reminders.count, brief.reminders.items[0].title.as_str()), (1, "Reminder: call Bob"));
    // A question stays what it is, however long it is open.
    let next_month = briefing::make(store, ada, Period::Day, now + hours(24 * 60)).await.unwrap();
    assert_eq!((next_month.to_decide.count, next_month.expired.count), (1, 0));
    let text = brief.text(Links::Bare("https://d"));
    for line in [
        "## Expired undecided: 1 https://d/approvals?status=expired",
        &format!("- led by a model https://d/approvals/{over}"),
        "- models: $ 1.2500, 1000 tokens in 1 question https://d/models",
        &format!("  - $ 1.2500, 1000 tokens: led by a model https://d/tasks/{task}"),
        "- Reminder: call Bob https://d/notifications",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
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
    // Both on a Monday; and once the desk's address is known, what is sent leads there.
    let wish = json!({ "briefing": { "every": "both", "at": "07:00" } });
    telling::set_wishes(store, ada, &wish).await.unwrap();
    let config = json!({ "host": "localhost", "desk_url": "https://d/" });
    assert!(notification_channels::put(ada, store, "email", config, None).await.unwrap());
    for (time, made) in [("2026-11-09T07:00:00Z", 2), ("2026-11-09T08:00:00Z", 0), ("2026-11-10T07:00:00Z", 1)] {
        assert_eq!(briefings::round(store, at(time)).await.unwrap(), made, "{time}");
    }
    let told = notifications::list(ada, store, None, 10).await.unwrap();
    let of_week = told.iter().filter(|n| n.data.as_ref().is_some_and(|d| d["briefing"] == "week")).count();
    assert_eq!((told.len(), of_week), (5, 1));
    assert!(told[0].message.as_ref().unwrap().contains("the employee: 0 s https://d/activity"), "{told:?}");
}
