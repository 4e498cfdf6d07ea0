//! How the desk looks: every page, wide and on a phone, light and dark, from right to left, with nothing in anybody's way.

use fantoccini::Locator;
use serde_json::json;
use store::{
    Actor, approvals,
    runs::{self, NewStep},
    tasks, users,
};
use uuid::Uuid;

use crate::{PASSWORD, bench::Bench, driver::Browser, program::Program, set_up};

/// Every page that has no id in its address.
const PAGES: [&str; 40] = [
    "",
    "approvals",
    "approvals?status=all",
    "tasks",
    "tasks?view=board",
    "tasks?view=calendar",
    "tasks?q=file",
    "tasks/new",
    "watchers/new",
    "watchers/new?kind=imap",
    "playbooks",
    "handbook",
    "memory",
    "models",
    "begin",
    "account",
    "account/second-factor",
    "account/telling",
    "notifications?status=all",
    "watchers",
    "servers",
    "servers/new",
    "policies",
    "policies/new",
    "policies/past?without=*",
    "policies/presets",
    "policies/contacts",
    "briefing?period=week",
    "activity",
    "logs",
    "audit",
    "users",
    "system",
    "more",
    "approvals?by=task",
    "docs",
    "account/telling/email",
    "system/job?name=statistics",
    "logs?level=error",
    "nowhere",
];

/// Sizes in which pages are looked at: width, height, name.
const WINDOWS: [(u32, u32, &str); 2] = [(1280, 900, "wide"), (360, 780, "phone")];

/// Looks at a page in all its variants.
async fn look_at(browser: &Browser, address: &str, name: &str) {
    for (width, height, window) in WINDOWS {
        browser.resize(width, height).await;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme).await;
            browser.page.goto(address).await.expect("a page");
            assert!(!browser.text("h1").await.is_empty(), "{name} has no heading");
            assert!(!browser.overflows().await, "{name} is wider than the window ({window})");
            browser.picture(&format!("{name}-{window}-{scheme}")).await;
            assert!(browser.shift().await < 0.1, "{name} jumps while it is loaded ({window}, {scheme})");
            assert_eq!(browser.barriers().await, Vec::<String>::new(), "{name}, {window}, {scheme}");
        }
        let mirror = "document.documentElement.dir = 'rtl'; return true";
        browser.page.execute(mirror, vec![]).await.expect("a script runs");
        assert!(!browser.overflows().await, "{name} from right to left is wider than the window ({window})");
    }
}

#[tokio::test]
async fn a_fresh_desk_leads_to_the_first_work() {
    let (program, browser) = tokio::join!(Program::start(), Browser::start());
    set_up(&browser, &program).await;
    look_at(&browser, &program.address, "fresh-today").await;
    assert!(browser.text("#first").await.contains("A server with tools"));
    browser.resize(1280, 900).await;
    browser.page.goto(&program.address).await.expect("the desk");
    browser.go("Add a server").await;
    browser.fill("name", "notes").await;
    browser.fill("command", "/nowhere/notes-server").await;
    browser.press("Add it").await;
    assert_eq!(browser.path().await, "/servers");
    assert!(browser.text("main").await.contains("notes"));
    browser.page.goto(&program.address).await.expect("the desk");
    assert!(browser.text("#first li.next").await.contains("Its tools"), "the next step is marked");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
    program.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_seen_by_everybody() {
    let bench = Bench::new(false).await;
    let mut new = tasks::NewTask::titled("Call the tax office about the file");
    new.due_date = Some(store::now() + jiff::SignedDuration::from_hours(50));
    new.tags = vec!["tax".to_owned()];
    let plan = tasks::create(&bench.ada, &bench.store, &new).await.unwrap();
    let led = led_by_a_model(&bench).await;
    // It stands between another and one more.
    let mut waits = tasks::NewTask::titled("Send the letter to the tax office");
    waits.dependencies = vec![plan];
    tasks::create(&bench.ada, &bench.store, &waits).await.unwrap();
    let mut row = tasks::get(&bench.ada, &bench.store, plan).await.unwrap().unwrap();
    row.dependencies = vec![led];
    assert!(tasks::update(&bench.ada, &bench.store, &row).await.unwrap());
    let process = bench.start(&[]);
    let browser = Browser::start().await;
    let desk = process.address.clone();
    browser.page.goto(&desk).await.expect("the log-in page");
    look_at(&browser, &format!("{desk}login"), "login").await;
    browser.fill("login", "ada").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    bench.drop_file("Rechnung März 2026.pdf", b"first");
    browser.until("#waits", "Rechnung März 2026.pdf").await;
    let open = approvals::list(&bench.ada, &bench.store, Some("pending"), None, None, 1).await.unwrap().remove(0);
    for page in PAGES {
        let name = page.replace(['/', '?', '=', '*'], "-");
        look_at(&browser, &format!("{desk}{page}"), if name.is_empty() { "today" } else { &name }).await;
    }
    look_at(&browser, &format!("{desk}approvals/{}?edit=yes", open.id), "approval").await;
    look_at(&browser, &format!("{desk}tasks/{}", open.task_id.unwrap()), "task").await;
    look_at(&browser, &format!("{desk}tasks/{plan}"), "task-planned").await;
    look_at(&browser, &format!("{desk}tasks/{plan}/needs?q=march"), "task-needs").await;
    look_at(&browser, &format!("{desk}tasks/{led}/playbook"), "playbook-of-a-task").await;
    look_at(&browser, &format!("{desk}policies/new?approval={}", open.id), "rule-of-a-decision").await;
    look_at(&browser, &format!("{desk}tasks/{plan}/edit"), "task-edit").await;
    look_at(&browser, &format!("{desk}audit?entity_type=task&entity_id={plan}"), "audit-history").await;
    let watcher = store::watchers::list(&bench.ada, &bench.store).await.unwrap().remove(0).id;
    look_at(&browser, &format!("{desk}watchers/{watcher}"), "watcher").await;
    look_at(&browser, &format!("{desk}watchers/{watcher}/edit"), "watcher-edit").await;
    let rule = store::policies::list(&bench.ada, &bench.store).await.unwrap().remove(0).id;
    look_at(&browser, &format!("{desk}policies/{rule}/edit"), "rule-edit").await;
    let person = users::named(&bench.ada, &bench.store, "ada").await.unwrap().unwrap().id;
    look_at(&browser, &format!("{desk}users/{person}"), "user").await;
    // An address that leads nowhere is told by a page, and by a line of the console.
    let complaints: Vec<_> = browser.complaints().await.into_iter().filter(|c| !c.contains("/nowhere")).collect();
    assert_eq!(complaints, Vec::<String>::new());
    browser.end().await;
    assert!(process.stop().await.success());
}

/// A mail that a model answered, and a playbook that was made of it.
async fn led_by_a_model(bench: &Bench) -> Uuid {
    let (ada, on) = (&bench.ada, &bench.store);
    let employee = users::agent(&Actor::service(), on, domain::accounts::EMPLOYEE).await.unwrap().unwrap();
    let agent = Actor::user(employee);
    let new = tasks::NewTask {
        assigned_to: Some(employee),
        metadata: json!({
            "event": { "kind": "mail", "from": { "name": "The mill", "address": "orders@mill.example.org" }, "subject": "Order 4711" },
            "watcher": { "name": "mail" },
        }),
        ..tasks::NewTask::titled("Mail: Order 4711")
    };
    let task = tasks::create(ada, on, &new).await.unwrap();
    tasks::add_provenance(ada, on, task, true, "watcher:mail", json!({})).await.unwrap();
    let run = runs::create(&agent, on, task, "model:main", "{}", "h").await.unwrap();
    let calls = [
        ("get_file_info", json!({ "path": "/home/ada/orders/4711.pdf" }), "size: 1200"),
        (
            "move_file",
            json!({ "source": "/home/ada/orders/4711.pdf", "destination": "/home/ada/Mill/Order 4711" }),
            "moved",
        ),
    ];
    for (ordinal, (tool, arguments, answer)) in (0..).zip(calls) {
        let arguments = domain::playbook::canonical_json(&arguments);
        let step = NewStep {
            run_id: run,
            task_id: task,
            ordinal,
            name: format!("turn {ordinal} call 1"),
            server: "files".to_owned(),
            tool: tool.to_owned(),
            state: "allowed",
            arguments: arguments.clone(),
            arguments_sha256: "h".to_owned(),
            policy_id: None,
            policy_reason: None,
            attempt: 1,
            error: None,
        };
        let step = runs::add_step(&agent, on, &step).await.unwrap();
        assert!(runs::start_step(&agent, on, step, 1, &arguments, "h").await.unwrap());
        let result = json!({ "content": [{ "type": "text", "text": answer }] }).to_string();
        assert!(runs::end_step(&agent, on, step, "succeeded", Some(&result), None).await.unwrap());
    }
    assert!(runs::finish(&agent, on, run, "completed", None).await.unwrap());
    domain::memory::add(on, ada, "Flour is bought at the mill.", true).await.unwrap();
    domain::tasks::set_status(on, ada, task, "completed", None).await.unwrap();
    let draft = domain::promote::promote(on, ada, task, None).await.unwrap();
    domain::playbooks::save(on, ada, draft.source, Some(task), &[]).await.unwrap();
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough() {
    let bench = Bench::new(false).await;
    for title in ["Water the plants", "Feed the cat"] {
        tasks::create(&bench.ada, &bench.store, &tasks::NewTask::titled(title)).await.unwrap();
    }
    let process = bench.start(&[]);
    let browser = Browser::start().await;
    let desk = process.address.clone();
    browser.page.goto(&desk).await.expect("the log-in page");
    browser.fill("login", "ada").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;

    // Search as one types, with what was found marked.
    browser.page.goto(&format!("{desk}tasks")).await.expect("the tasks");
    browser.key("/").await;
    browser.key("plants").await;
    browser.until("#tasks mark", "plants").await;
    assert!(!browser.text("#tasks").await.contains("Feed the cat"));
    assert!(browser.page.current_url().await.unwrap().query().unwrap_or_default().contains("q=plants"));

    // What is needed first is found as one types, on the task's own page.
    let cat = tasks::search(&bench.ada, &bench.store, "cat", 1).await.unwrap().remove(0).id;
    browser.page.goto(&format!("{desk}tasks/{cat}")).await.expect("the task");
    let opens = "const more = document.querySelector('#needed').closest('details'); more.open = true;
        document.querySelector('#needed').focus(); return true";
    browser.page.execute(opens, vec![]).await.expect("a script runs");
    browser.key("plan").await;
    browser.until("#candidates", "Water the plants").await;
    assert_eq!(browser.path().await, format!("/tasks/{cat}"), "one stays on the page");
    assert_eq!(browser.barriers().await, Vec::<String>::new(), "with what was found");
    browser.press("Needed first").await;
    browser.until("main", "Needs first").await;
    assert_eq!(tasks::get(&bench.ada, &bench.store, cat).await.unwrap().unwrap().dependencies.len(), 1);
    browser.page.goto(&format!("{desk}tasks?q=plants")).await.expect("the tasks");

    // The palette finds places and tasks.
    let opens = "document.dispatchEvent(new KeyboardEvent('keydown', { key: 'k', ctrlKey: true, bubbles: true }))";
    browser.page.execute(opens, vec![]).await.expect("a script runs");
    browser.key("cat").await;
    browser.until("#palette-list", "Feed the cat").await;
    assert_eq!(browser.barriers().await, Vec::<String>::new(), "the palette");
    browser.picture("palette").await;
    browser.key("\u{e00c}").await; // Escape

    // Arrows choose in it, and Enter goes there.
    browser.page.execute(opens, vec![]).await.expect("a script runs");
    browser.key("a rule").await;
    browser.until("#palette-list", "Add a rule").await;
    let chosen = "return document.querySelector('#palette-list [aria-selected=true]').textContent";
    let first = browser.page.execute(chosen, vec![]).await.expect("a script runs");
    browser.key("\u{e015}\u{e013}").await; // down, and up again
    assert_eq!(browser.page.execute(chosen, vec![]).await.expect("a script runs"), first);
    browser.key("\u{e007}").await; // Enter
    browser.until("h1", "Add a rule").await;

    // x chooses several, which are decided at once.
    let press = |key: &str| json!(key);
    let send =
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0], bubbles: true }))";
    let several = ["one.txt", "two.txt"].map(|name| bench.drop_file(name, name.as_bytes()));
    browser.page.goto(&format!("{desk}approvals")).await.expect("the queue");
    for part in ["one.txt", "two.txt", "Reject them"] {
        browser.until("#queue", part).await;
    }
    browser.picture("approvals-several").await;
    for key in ["j", "x", "j", "x"] {
        browser.page.execute(send, vec![press(key)]).await.expect("a script runs");
    }
    browser.until("#batch output", "2 chosen").await;
    browser.press("Reject them").await;
    browser.until("main", "2 calls are decided").await;
    assert!(several.iter().all(|file| file.exists()), "both were rejected");

    // j goes to the approval, r decides it.
    let file = bench.drop_file("note.txt", b"a note");
    browser.page.goto(&format!("{desk}approvals")).await.expect("the queue");
    browser.until("#queue", "note.txt").await;
    assert!(browser.page.find(Locator::Css("#queue [type=checkbox]")).await.is_err(), "nothing to choose among one");
    browser.page.execute(send, vec![press("j")]).await.expect("a script runs");
    let focused = browser.page.active_element().await.expect("the focus").text().await.expect("its text");
    assert!(focused.contains("note.txt"), "{focused}");
    browser.page.execute(send, vec![press("k")]).await.expect("a script runs");
    browser.page.execute(send, vec![press("?")]).await.expect("a script runs");
    browser.until("dialog.keys[open]", "approve").await;
    browser.key("\u{e00c}").await;
    browser.page.execute(send, vec![press("j")]).await.expect("a script runs");
    browser.page.execute(send, vec![press("r")]).await.expect("a script runs");
    browser.until("main", "1 call is decided").await;
    assert!(file.exists(), "it was rejected");
    let rows = approvals::list(&Actor::service(), &bench.store, Some("rejected"), None, None, 9).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert!(browser.page.find(Locator::Css("#queue .cards")).await.is_err(), "nothing waits any more");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
    assert!(process.stop().await.success());
}

/// The pages where something is entered or pressed.
const USED: [&str; 14] = [
    "",
    "approvals",
    "tasks",
    "tasks/new",
    "watchers/new?kind=feed",
    "servers",
    "policies",
    "policies/new",
    "handbook",
    "memory",
    "notifications?status=all",
    "audit",
    "users",
    "account",
];

#[tokio::test(flavor = "multi_thread")]
async fn without_script_everything_can_be_done() {
    let bench = Bench::new(false).await;
    let process = bench.start(&[]);
    let browser = Browser::start().await;
    let desk = process.address.clone();
    browser.without_script().await;
    browser.log_in(&desk, "ada", PASSWORD).await;
    for page in USED {
        browser.page.goto(&format!("{desk}{page}")).await.expect("a page");
        assert!(!browser.text("h1").await.is_empty(), "{page} has no heading");
        let dead = "const sends = (form) => [...form.elements].some((e) =>
                e.type === 'submit' && (e.checkVisibility() || e.closest('details:not([open])')));
            const takes = (form) => [...form.elements].some((e) => e.type !== 'hidden' && e.checkVisibility());
            return [...document.forms].filter((form) => takes(form) && !sends(form)).length
                + [...document.querySelectorAll('[data-script]')].filter((e) => e.checkVisibility()).length";
        let dead = browser.page.execute(dead, vec![]).await.expect("the driver looks");
        assert_eq!(dead, json!(0), "{page} has a form that can't be sent, or shows what only a script does");
    }
    browser.page.goto(&format!("{desk}tasks/new")).await.expect("the form");
    browser.fill("title", "Without any script").await;
    browser.press("Add the task").await;
    assert_eq!(browser.text("h1").await, "Without any script");
    browser.press("Begin").await;
    assert!(browser.text("#standing").await.contains("in progress"));
    browser.end().await;
    assert!(process.stop().await.success());
}
