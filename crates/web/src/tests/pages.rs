//! What is done on the desk's pages beside a single decision: several at once, rules, tools, tasks, people.

use axum::http::StatusCode;
use store::{Actor, approvals, mcp_servers, policies, tasks};

use super::house::House;

#[tokio::test]
async fn several_are_decided_at_once_but_nothing_grave_in_passing() {
    let (house, ada) = House::with_ada().await;
    let (_, one) = house.asked(ada, ada).await;
    let (_, two) = house.asked(ada, ada).await;
    let (_, unknown) = house.unknown(ada, ada).await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let queue = browser.get("/approvals").await.text;
    assert!(queue.contains("Move files") && queue.contains("Did it happen?"), "grouped by kind");
    assert!(queue.contains("Approve them"));
    assert!(browser.get("/approvals?by=task").await.text.contains("Rechnung"));
    assert_eq!(
        browser.post("/approvals/batch", &[("decision", "approve")]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "none was ticked"
    );
    let ids = [one, two, unknown].map(|id| id.to_string());
    let fields = [("decision", "reject"), ("id", &ids[0]), ("id", &ids[1]), ("id", &ids[1]), ("id", &ids[2])];
    let done = browser.post("/approvals/batch", &fields).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/approvals?decided=2&refused=1"));
    for (id, status) in [(one, "rejected"), (two, "rejected"), (unknown, "pending")] {
        assert_eq!(approvals::get(&actor, &house.store, id).await.unwrap().unwrap().status, status);
    }
    let told = browser.get("/approvals?decided=2&refused=1").await.text;
    assert!(told.contains("2 calls are decided") && told.contains("1 could not be decided"));
}

#[tokio::test]
async fn a_quick_decision_leads_back_to_where_it_was_given() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    for (back, place) in [("/approvals", "/approvals?decided=1"), ("/", "/")] {
        let (task, id) = house.asked(ada, ada).await;
        let path = format!("/approvals/{id}/decision");
        let done = browser.post(&path, &[("decision", "reject"), ("back", back)]).await;
        assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, place));
        // The decision released the task; the next one is claimed only when this one is out of the way.
        domain::tasks::set_status(&house.store, &Actor::user(ada), task, "cancelled", None).await.unwrap();
    }
}

#[tokio::test]
async fn rules_come_ready_made_know_people_and_are_looked_at_on_the_past() {
    let (house, ada) = House::with_ada().await;
    house.asked(ada, ada).await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let count = async || policies::list(&actor, &house.store).await.unwrap().len();
    let standing = count().await;
    let rule = [("name", "never"), ("server", "*"), ("tool", "move_file"), ("effect", "deny"), ("place", "first")];
    let mut looking = rule.to_vec();
    looking.extend([("past", "yes"), ("approvers", "2"), ("remind_minutes", "10")]);
    let looked = browser.post("/policies/new", &looking).await;
    assert_eq!(looked.status, StatusCode::OK, "{}", looked.text);
    assert!(looked.text.contains("1 of 1 calls") && looked.text.contains("value=\"never\""), "{}", looked.text);
    assert_eq!(count().await, standing, "it was only looked");
    looking.retain(|(name, _)| *name != "past");
    looking.push(("never_repeat", "yes"));
    assert_eq!(browser.post("/policies/new", &looking).await.status, StatusCode::SEE_OTHER);
    let made = policies::list(&actor, &house.store).await.unwrap().into_iter().find(|p| p.name == "never").unwrap();
    assert!((made.approvers, made.remind_minutes, made.never_repeat) == (2, Some(10), true));
    let without = browser.get("/policies/past?without=never&days=7").await.text;
    assert!(without.contains("1 of 1 calls") && without.contains("> deny</span>") && without.contains("> ask</span>"));
    assert_eq!(browser.get("/policies/past?days=x").await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let set = [("preset", "trusted-reading"), ("server", "files")];
    assert!(browser.post("/policies/presets", &set).await.text.contains("trusted reading</bdi> was added"));
    assert!(browser.post("/policies/presets", &set).await.text.contains("stands already"));
    assert_eq!(browser.post("/policies/presets", &[("preset", "none")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let bob = [("address", "bob@example.org"), ("name", "Bob <the plumber>")];
    assert_eq!(browser.post("/policies/contacts", &bob).await.status, StatusCode::SEE_OTHER);
    let twice = browser.post("/policies/contacts", &bob).await;
    assert!(twice.status == StatusCode::CONFLICT && twice.text.contains("known already"));
    assert!(browser.get("/policies/contacts").await.text.contains("Bob &lt;the plumber&gt;"));
    let eve = house.add_user(ada, "eve", "user").await;
    let eve = house.browser(eve).await;
    assert_eq!(eve.post("/policies/contacts", &[("address", "eve@example.org")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(eve.post("/policies/presets", &[("preset", "watch-only")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(eve.post("/policies/contacts/remove", &bob).await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.post("/policies/contacts/remove", &bob).await.status, StatusCode::SEE_OTHER);
    assert!(store::contacts::list(&actor, &house.store).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_rule_is_made_of_a_decision_and_tried() {
    let (house, ada) = House::with_ada().await;
    let (_, id) = house.asked(ada, ada).await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let form = browser.get(&format!("/policies/new?approval={id}")).await.text;
    for part in ["value=\"move_file\"", "inside(args.destination, &quot;/archive&quot;)", "value=\"yes\" checked"] {
        assert!(form.contains(part), "{part}: {form}");
    }
    let rule = [
        ("name", "archive"),
        ("server", "files"),
        ("tool", "move_file"),
        ("condition", "args.destination.startsWith(\"/archive/\")"),
        ("effect", "allow"),
        ("minutes", "60"),
        ("place", "first"),
    ];
    assert_eq!(browser.post("/policies/new", &rule).await.status, StatusCode::SEE_OTHER);
    let made = policies::list(&actor, &house.store).await.unwrap().into_iter().find(|p| p.name == "archive").unwrap();
    assert!(!made.outside, "what is not ticked does not reach outside content");
    let again = browser.post("/policies/new", &rule).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "names are unique");
    assert!(again.text.contains("value=\"archive\""), "what was entered is still there");
    let mut broken = rule;
    broken[3].1 = "args.";
    assert_eq!(browser.post("/policies/new", &broken).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let call = |outside| {
        let mut fields =
            vec![("server", "files"), ("tool", "move_file"), ("arguments", "{\"destination\": \"/archive/x\"}")];
        if outside {
            fields.push(("outside", "yes"));
        }
        fields
    };
    let inside = browser.post("/policies/try", &call(false)).await.text;
    assert!(inside.contains("> allow</span>") && inside.contains("by the rule"), "{inside}");
    assert!(browser.post("/policies/try", &call(true)).await.text.contains("> ask</span>"));
    let bad = browser.post("/policies/try", &[("server", "files"), ("tool", "x"), ("arguments", "{")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);

    let eve = house.add_user(ada, "eve", "user").await;
    let eve = house.browser(eve).await;
    assert_eq!(eve.post("/policies/new", &rule).await.status, StatusCode::FORBIDDEN);
    let id = made.id.to_string();
    assert_eq!(eve.post("/policies/remove", &[("id", &id)]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.post("/policies/remove", &[("id", &id)]).await.status, StatusCode::SEE_OTHER);
    assert!(policies::list(&actor, &house.store).await.unwrap().iter().all(|p| p.id != made.id));
}

#[tokio::test]
async fn a_built_in_server_is_added_by_the_form() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    let new = |config: &'static str| [("name", "disk"), ("builtin", "files"), ("config", config), ("environment", "")];
    let wrong = browser.post("/servers/new", &new(r#"{"folders": ["relative"]}"#)).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("whole path") && wrong.text.contains("relative"), "{}", wrong.text);
    assert_eq!(browser.post("/servers/new", &new(r#"{"folders": ["/notes"]}"#)).await.status, StatusCode::SEE_OTHER);
    let server = mcp_servers::named(&Actor::user(ada), &house.store, "disk").await.unwrap().unwrap();
    assert_eq!((server.server_type.as_str(), server.command.as_str()), ("builtin", "builtin:files"));
    assert!(browser.get("/servers").await.text.contains("builtin:files"));
    assert!(browser.get("/policies").await.text.contains("disk: reading"), "reading is allowed by a rule that is seen");
}

#[tokio::test]
async fn tools_are_approved_as_they_were_shown() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor, service) = (house.browser(ada).await, Actor::user(ada), Actor::service());
    let new = [("name", "notes"), ("command", "notes-mcp"), ("args", "--all\n"), ("environment", "TOKEN=hush hush")];
    assert_eq!(browser.post("/servers/new", &new).await.status, StatusCode::SEE_OTHER);
    let server = mcp_servers::named(&actor, &house.store, "notes").await.unwrap().unwrap();
    assert_eq!((server.command.as_str(), server.args.as_slice()), ("notes-mcp", &["--all".to_owned()][..]));
    let again = browser.post("/servers/new", &new).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!again.text.contains("hush"), "a secret does not come back");
    let (old, fresh) = ("a".repeat(64), "b".repeat(64));
    let offer = async |hash: &str| {
        mcp_servers::see_tool(&service, &house.store, server.id, "write", None, &serde_json::json!({}), hash)
            .await
            .unwrap();
    };
    offer(&old).await;
    let shown = format!("{old}:write");
    assert!(browser.get("/servers").await.text.contains(&shown));
    offer(&fresh).await;
    let chosen =
        |tool: &str| vec![("server", "notes".to_owned()), ("which", "chosen".to_owned()), ("tool", tool.to_owned())];
    let post = async |fields: Vec<(&'static str, String)>| {
        let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        browser.post("/servers/tools", &fields).await.status
    };
    assert_eq!(post(chosen(&shown)).await, StatusCode::CONFLICT, "it changed since it was shown");
    assert!(!mcp_servers::tools(&actor, &house.store, server.id).await.unwrap()[0].is_usable());
    assert_eq!(post(chosen(&format!("{fresh}:write"))).await, StatusCode::SEE_OTHER);
    assert!(mcp_servers::tools(&actor, &house.store, server.id).await.unwrap()[0].is_usable());
    assert_eq!(browser.post("/servers/run", &[("name", "notes"), ("run", "no")]).await.status, StatusCode::SEE_OTHER);
    assert!(!mcp_servers::named(&actor, &house.store, "notes").await.unwrap().unwrap().is_active);
    assert_eq!(browser.post("/servers/remove", &[("name", "notes")]).await.status, StatusCode::SEE_OTHER);
    assert!(mcp_servers::named(&actor, &house.store, "notes").await.unwrap().is_none());
}

#[tokio::test]
async fn a_task_is_moved_and_tells_its_story() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let first = tasks::create(&actor, &house.store, &tasks::NewTask::titled("Before all else")).await.unwrap();
    let mut new = tasks::NewTask::titled("Then this");
    (new.dependencies, new.tags) = (vec![first], vec!["tax & more".to_owned()]);
    new.due_date = Some("2027-03-10T00:00:00Z".parse().unwrap());
    let task = tasks::create(&actor, &house.store, &new).await.unwrap();
    let page = browser.get(&format!("/tasks/{task}")).await.text;
    for part in
        ["Needs first", "Before all else", "<svg class=\"graph\"", "/tasks?tag=tax%20%26%20more", "task created"]
    {
        assert!(page.contains(part), "{part}");
    }
    let path = format!("/tasks/{task}/status");
    let early = browser.post(&path, &[("status", "completed"), ("note", "well")]).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    assert!(early.text.contains("waits for others") && early.text.contains("Then this"), "told on the page itself");
    for id in [first, task] {
        let done = browser.post(&format!("/tasks/{id}/status"), &[("status", "completed"), ("note", "well")]).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER);
    }
    let page = browser.get(&format!("/tasks/{task}")).await.text;
    assert!(page.contains("Open it again") && page.contains("<p>well</p>"));
    assert!(browser.get("/tasks?view=calendar&month=2027-03").await.text.contains("Then this"));
    assert!(!browser.get("/tasks?view=calendar&month=2027-06").await.text.contains("Then this"));
    assert_eq!(browser.get("/tasks?view=calendar&month=never").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(browser.get("/tasks?tag=tax+%26+more").await.text.contains("Then this"));
    assert!(!browser.get("/tasks?tag=other").await.text.contains("Then this"));
    let found = browser.get("/tasks?q=else").await.text;
    assert!(found.contains("<mark>else</mark>"), "{found}");
}

#[tokio::test]
async fn the_first_page_is_light() {
    let (house, ada) = House::with_ada().await;
    for _ in 0..8 {
        house.asked(ada, ada).await;
    }
    let browser = house.browser(ada).await;
    let today = browser.get("/").await.text;
    let mut bytes = today.len();
    let mut rest = today.as_str();
    while let Some((_, after)) = rest.split_once("\"/assets/") {
        let path = after.split('"').next().unwrap();
        let file = browser.get(&format!("/assets/{path}")).await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        bytes += file.bytes;
        rest = after;
    }
    assert!(bytes < 100_000, "{bytes} bytes with everything, uncompressed");
    assert_eq!(browser.get("/assets/mark.svg").await.status, StatusCode::OK, "the manifest's names");
}

#[tokio::test]
async fn a_task_is_made_and_changed_by_form() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let first = tasks::create(&actor, &house.store, &tasks::NewTask::titled("First")).await.unwrap();
    let address = format!("http://127.0.0.1:8000/tasks/{first}");
    let fields = [
        ("title", "Call the office"),
        ("description", "one\r\ntwo"),
        ("due_date", "2027-03-10"),
        ("priority", "high"),
        ("estimated_duration", "30"),
        ("assigned_to", "employee"),
        ("tags", "#tax, call"),
        ("dependencies", &address),
        ("kind", "triage"),
    ];
    let made = browser.post("/tasks/new", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let id: uuid::Uuid = made.header("location").strip_prefix("/tasks/").unwrap().parse().unwrap();
    let row = tasks::get(&actor, &house.store, id).await.unwrap().unwrap();
    assert_eq!((row.title.as_str(), row.description.as_deref()), ("Call the office", Some("one\ntwo")));
    assert_eq!(row.metadata, serde_json::json!({ "kind": "triage" }));
    assert_eq!(
        (row.tags, row.dependencies, row.priority.as_str()),
        (vec!["tax".to_owned(), "call".to_owned()], vec![first], "high")
    );
    assert!(row.assigned_to.is_some() && row.due_date.is_some());
    assert_eq!(tasks::provenance(&actor, &house.store, id).await.unwrap().unwrap().source, "desk");
    let form = browser.get(&format!("/tasks/{id}/edit")).await.text;
    for part in ["value=\"2027-03-10\"", "value=\"tax, call\"", "value=\"employee\"", &first.to_string()] {
        assert!(form.contains(part), "{part}: {form}");
    }
    for (field, wrong) in [(0, ""), (2, "soon"), (4, "many"), (5, "nobody-here"), (7, "x")] {
        let mut fields = fields;
        fields[field].1 = wrong;
        let refused = browser.post(&format!("/tasks/{id}/edit"), &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", fields[field]);
        assert!(refused.text.contains("aria-invalid=\"true\"") && refused.text.contains("#tax, call"));
    }
    let mut changed = fields;
    (changed[0].1, changed[5].1, changed[7].1) = ("Write to the office", "", "");
    assert_eq!(browser.post(&format!("/tasks/{id}/edit"), &changed).await.status, StatusCode::SEE_OTHER);
    let row = tasks::get(&actor, &house.store, id).await.unwrap().unwrap();
    assert_eq!((row.title.as_str(), row.assigned_to), ("Write to the office", None));
    assert!(row.dependencies.is_empty());
    assert_eq!(browser.post(&format!("/tasks/{id}/assign"), &[("to", "me")]).await.status, StatusCode::SEE_OTHER);
    let path = format!("/tasks/{id}/edit");
    let read = browser.get(&path).await.read_mark();
    let keep = async |title: &str, priority: &str, read: &str| {
        let mut all = changed.to_vec();
        (all[0].1, all[3].1, all[5].1) = (title, priority, "ada");
        all.push(("read", read));
        browser.post(&path, &all).await
    };
    assert_eq!(keep("Mine", "high", &read).await.status, StatusCode::SEE_OTHER);
    let late = keep("Write to the office", "low", &read).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "the second does not undo the first unseen");
    for part in ["Title: now <strong><bdi>Mine", "value=\"Mine\"", "value=\"low\" selected"] {
        assert!(late.text.contains(part), "{part}: {}", late.text);
    }
    assert_eq!(keep("Mine", "low", &late.read_mark()).await.status, StatusCode::SEE_OTHER);
    let row = tasks::get(&actor, &house.store, id).await.unwrap().unwrap();
    assert_eq!((row.title.as_str(), row.priority.as_str()), ("Mine", "low"));
    let eve = house.add_user(ada, "eve", "user").await;
    let eve = house.browser(eve).await;
    assert_eq!(eve.post(&format!("/tasks/{id}/edit"), &fields).await.status, StatusCode::NOT_FOUND);
    assert_eq!(eve.post(&format!("/tasks/{id}/assign"), &[("to", "me")]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_playbook_is_checked_and_all_sessions_are_ended() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    let page = browser.get("/playbooks").await.text;
    assert!(page.contains("file-away") && page.contains("line 2: no steps"));
    let source = include_str!("../../../../examples/playbooks/file-away.yaml");
    let right = browser.post("/playbooks/check", &[("source", source)]).await.text;
    assert!(right.contains("It is right.") && right.contains("move_file"), "{right}");
    let wrong = browser.post("/playbooks/check", &[("source", "name: x\nsteps: 7\n")]).await.text;
    assert!(wrong.contains("It has mistakes.") && wrong.contains("line 2"), "{wrong}");
    let none = browser.post("/account/tokens", &[("name", "reader"), ("days", "30")]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY, "no scope is ticked");
    let made = browser.post("/account/tokens", &[("name", "reader"), ("days", "30"), ("scope", "read")]).await.text;
    assert!(made.contains("<code>stw_"), "shown once");
    let listed = browser.get("/account").await.text;
    assert!(listed.contains("reader") && !listed.contains("stw_"), "and not again");
    let (_, rest) = listed.split_once("name=\"id\" value=\"").unwrap();
    let id = rest.split('"').next().unwrap();
    assert_eq!(browser.post("/account/tokens/revoke", &[("id", id)]).await.status, StatusCode::SEE_OTHER);
    assert!(!browser.get("/account").await.text.contains("reader"));
    let other = house.browser(ada).await;
    assert!(other.get("/account").await.text.contains("ada@example.org"));
    assert_eq!(browser.post("/account/leave", &[]).await.status, StatusCode::SEE_OTHER);
    for session in [&browser, &other] {
        assert_eq!(session.get("/").await.status, StatusCode::SEE_OTHER, "out, everywhere");
    }
}

#[tokio::test]
async fn files_are_kept_or_looked_at_and_never_run() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let task = tasks::create(&actor, &house.store, &tasks::NewTask::titled("Read it")).await.unwrap();
    let hang = async |name: &str, content: &[u8]| {
        let (on, vault, name) = (&house.store, &house.state.vault, name.to_owned());
        let kept = domain::files::keep(on, vault, std::io::Cursor::new(content.to_vec()), 1 << 20).await.unwrap();
        let new = domain::files::NewFile { name, kept, expires_at: None };
        domain::files::add(on, vault, &actor, task, new).await.unwrap().id
    };
    let html = hang("page ü.html", b"<script>alert(1)</script>").await;
    let mut long = b"\x89PNG\r\n\x1a\n".to_vec();
    long.resize(300_000, b'x');
    let picture = hang("dot.png", &long).await;
    let page = browser.get(&format!("/tasks/{task}")).await.text;
    assert!(page.contains(&format!("/files/{html}/text")) && page.contains(&format!("src=\"/files/{picture}\"")));
    let kept = browser.get(&format!("/files/{html}")).await;
    assert_eq!(kept.text, "<script>alert(1)</script>");
    assert_eq!(kept.header("content-type"), "application/octet-stream");
    assert_eq!(kept.header("content-disposition"), "attachment; filename*=UTF-8''page%20%C3%BC.html");
    assert_eq!(kept.header("content-security-policy"), "default-src 'none'; sandbox");
    let shown = browser.get(&format!("/files/{picture}")).await;
    assert_eq!((shown.header("content-type"), shown.bytes), ("image/png", 300_000));
    let text = browser.get(&format!("/files/{html}/text")).await.text;
    assert!(text.contains("&lt;script&gt;") && !text.contains("<script>alert"));
    assert_eq!(browser.get(&format!("/files/{picture}/text")).await.status, StatusCode::NOT_FOUND);
    let eve = house.add_user(ada, "eve", "user").await;
    assert_eq!(house.browser(eve).await.get(&format!("/files/{html}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_task_hangs_on_is_named_and_drawn_both_ways() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let make = async |title: &str| tasks::create(&actor, &house.store, &tasks::NewTask::titled(title)).await.unwrap();
    let [flour, dough, bread] = [make("Buy flour").await, make("Make the dough").await, make("Bake bread").await];
    let needs = async |id: uuid::Uuid, field: &str, text: &str| {
        browser.post(&format!("/tasks/{id}/needs"), &[(field, text)]).await
    };
    // By words, by an id and by an address; never the task itself, nor one that is named already.
    for (words, is_found) in
        [("flou", true), (&*flour.to_string(), true), (&*format!("http://x/tasks/{flour}"), true), ("dough", false)]
    {
        let page = browser.get(&format!("/tasks/{dough}/needs?q={}", crate::guard::encode(words))).await.text;
        assert_eq!(page.contains(&format!("name=\"add\" value=\"{flour}\"")), is_found, "{words}: {page}");
        assert!(!page.contains(&format!("name=\"add\" value=\"{dough}\"")));
    }
    for (id, first) in [(dough, flour), (bread, dough)] {
        let named = needs(id, "add", &first.to_string()).await;
        assert_eq!((named.status, named.header("location")), (StatusCode::SEE_OTHER, &*format!("/tasks/{id}#hangs")));
    }
    let again = browser.get(&format!("/tasks/{dough}/needs?q=flour")).await.text;
    assert!(again.contains("No other task matches"), "{again}");
    let page = browser.get(&format!("/tasks/{dough}")).await.text;
    for part in ["Needs first", "Waits for it", "<svg class=\"graph\"", "Buy flour", "Bake bread"] {
        assert!(page.contains(part), "{part}");
    }
    // A ring is refused on the page itself.
    let ring = needs(flour, "add", &bread.to_string()).await;
    assert!(ring.status.is_client_error() && ring.text.contains("Buy flour"), "{} {}", ring.status, ring.text);
    assert_eq!(needs(flour, "add", "nothing of the kind").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(needs(dough, "remove", &flour.to_string()).await.status, StatusCode::SEE_OTHER);
    assert!(tasks::get(&actor, &house.store, dough).await.unwrap().unwrap().dependencies.is_empty());
    let eve = house.add_user(ada, "eve", "observer").await;
    let eve = house.browser(eve).await;
    let seen = eve.get(&format!("/tasks/{dough}/needs?q=flour")).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(
        eve.post(&format!("/tasks/{dough}/needs"), &[("add", &flour.to_string())]).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_day_is_that_day_on_every_page() {
    let (house, ada) = House::with_ada().await;
    let (browser, actor) = (house.browser(ada).await, Actor::user(ada));
    let today = store::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let made = browser.post("/tasks/new", &[("title", "Today"), ("due_date", &today.to_string())]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let day =
        format!("<time class=\"\" datetime=\"{today}\" data-day=\"\" data-open>{}</time>", today.strftime("%-d %b %Y"));
    for page in ["/tasks", "/", "/tasks?view=board", made.header("location")] {
        let page = browser.get(page).await.text;
        assert!(page.contains(&day), "due today is a day, and is not overdue: {page}");
    }
    let mut new = tasks::NewTask::titled("At three");
    new.due_date = Some("2027-03-10T15:00:00Z".parse().unwrap());
    let task = tasks::create(&actor, &house.store, &new).await.unwrap();
    assert!(browser.get(&format!("/tasks/{task}")).await.text.contains("10 Mar 2027, 15:00"), "a time stays one");
}
