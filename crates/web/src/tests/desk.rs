//! Set-up, log-in and the decision, as a person at the desk does them.

use axum::http::{Method, StatusCode};
use serde_json::json;
use store::{Actor, approvals, audit_trail, notifications, tasks};

use super::house::{House, PASSWORD};

#[tokio::test]
async fn the_set_up_link_makes_one_admin_once() {
    let house = House::new().await;
    let token = domain::accounts::new_setup_token(&house.store).await.unwrap();
    let (path, stranger) = (format!("/setup/{token}"), house.stranger());
    for _ in 0..3 {
        let shown = stranger.get(&path).await;
        assert_eq!(shown.status, StatusCode::OK);
        assert!(shown.text.contains("Set up Steward"), "reading never uses the link up");
    }
    let fields = |again: &'static str| {
        [("username", "ada"), ("email", "ada@example.org"), ("password", PASSWORD), ("password_again", again)]
    };
    let differs = stranger.post(&path, &fields("something else")).await;
    assert_eq!(differs.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        differs.text.contains("not the same")
            && differs.text.contains("ada@example.org")
            && !differs.text.contains(PASSWORD)
    );
    let wrong = stranger.post("/setup/wrong", &fields(PASSWORD)).await;
    assert_eq!(wrong.status, StatusCode::CONFLICT, "{}", wrong.text);

    let made = stranger.post(&path, &fields(PASSWORD)).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = made.header("set-cookie").to_owned();
    for part in ["steward_session=", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "this came by http");
    let mut ada = house.stranger();
    ada.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    let today = ada.get("/").await;
    assert_eq!(today.status, StatusCode::OK);
    assert!(today.text.contains("Waiting for you"));
    assert!(today.text.len() < 100_000);

    assert_eq!(stranger.post(&path, &fields(PASSWORD)).await.status, StatusCode::CONFLICT);
    assert!(stranger.get(&path).await.text.contains("Set-up is done"));
}

#[tokio::test]
async fn log_in_and_out() {
    let (house, _) = House::with_ada().await;
    let stranger = house.stranger();
    let sent = stranger.get("/approvals?status=all").await;
    assert_eq!(
        (sent.status, sent.header("location")),
        (StatusCode::SEE_OTHER, "/login?next=/approvals%3Fstatus%3Dall")
    );

    let unknown = stranger.post("/login", &[("login", "nobody"), ("password", PASSWORD)]).await;
    let wrong = stranger.post("/login", &[("login", "ada"), ("password", "not this one")]).await;
    assert_eq!((unknown.status, wrong.status), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(
        unknown.text.replace("nobody", "X"),
        wrong.text.replace("value=\"ada\"", "value=\"X\""),
        "the answer does not tell whether an account exists"
    );

    let right = stranger
        .post_raw(
            "/login",
            &[("login", "Ada"), ("password", PASSWORD), ("next", "/tasks")],
            &[("x-forwarded-proto", "https")],
        )
        .await;
    assert_eq!((right.status, right.header("location")), (StatusCode::SEE_OTHER, "/tasks"));
    assert!(right.header("set-cookie").contains("Secure"), "this came by https");
    let mut ada = house.stranger();
    ada.cookie = Some(right.header("set-cookie").split(';').next().unwrap().to_owned());
    let page = ada.get("/tasks").await;
    ada.token = page.form_token();
    assert_eq!(ada.get("/logout").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ada.get("/tasks").await.status, StatusCode::OK, "GET did not log out");
    assert_eq!(ada.post("/logout", &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(ada.get("/tasks").await.status, StatusCode::SEE_OTHER, "the session is over, whatever the cookie says");
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let (house, _) = House::with_ada().await;
    let stranger = house.stranger();
    for _ in 0..10 {
        assert_eq!(
            stranger.post("/login", &[("login", "ada"), ("password", "x")]).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let slow = stranger.post("/login", &[("login", "ada"), ("password", PASSWORD)]).await;
    assert_eq!(slow.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(slow.header("retry-after").parse::<u64>().unwrap() > 800);
}

#[tokio::test]
async fn reading_decides_nothing() {
    let (house, ada) = House::with_ada().await;
    let (task, id) = house.asked(ada, ada).await;
    let browser = house.browser(ada).await;
    let service = Actor::service();
    let rows = || audit_trail::list(&service, &house.store, None, None, 1000);
    let before = rows().await.unwrap().len();
    for path in [
        format!("/approvals/{id}"),
        format!("/approvals/{id}/decision"),
        format!("/approvals/{id}/decision?decision=approve"),
        format!("/v1/approvals/{id}/decision"),
        format!("/tasks/{task}"),
        "/".to_owned(),
        "/approvals".to_owned(),
        "/tasks".to_owned(),
        "/watchers".to_owned(),
        "/servers".to_owned(),
        "/policies".to_owned(),
        "/notifications".to_owned(),
        "/notifications/read".to_owned(),
        "/logs".to_owned(),
        format!("/approvals/{id}/ask"),
        format!("/tasks/{task}/status"),
        format!("/policies/new?approval={id}"),
        "/approvals/batch?id=1&decision=approve".to_owned(),
        "/more".to_owned(),
        "/tasks?view=board".to_owned(),
        "/tasks?view=calendar".to_owned(),
        "/watchers/run".to_owned(),
        "/servers/new".to_owned(),
        "/servers/tools".to_owned(),
        "/policies/try".to_owned(),
        "/policies/past?without=*".to_owned(),
        "/policies/presets".to_owned(),
        "/policies/contacts".to_owned(),
        "/tasks/new".to_owned(),
        format!("/tasks/{task}/edit"),
        format!("/tasks/{task}/assign"),
        format!("/tasks/{task}/needs?q=a"),
        "/watchers/new".to_owned(),
        "/watchers/new?kind=imap".to_owned(),
        "/begin".to_owned(),
        "/begin/server".to_owned(),
        "/handbook".to_owned(),
        "/memory".to_owned(),
        "/memory/edit".to_owned(),
        "/memory/forget".to_owned(),
        "/models".to_owned(),
        "/account/second-factor".to_owned(),
        "/account/second-factor/begin".to_owned(),
        "/account/telling".to_owned(),
        "/account/telling/test".to_owned(),
        format!("/approvals/{id}/extend"),
        "/playbooks".to_owned(),
        "/playbooks/check".to_owned(),
        "/playbooks/switch".to_owned(),
        "/playbooks/remove".to_owned(),
        "/account".to_owned(),
        "/account/leave".to_owned(),
        "/account/tokens".to_owned(),
        "/activity".to_owned(),
        "/briefing".to_owned(),
        "/briefing?period=week".to_owned(),
        "/audit".to_owned(),
        "/audit/verify".to_owned(),
        "/users".to_owned(),
        "/system".to_owned(),
        "/system/run".to_owned(),
        "/system/cancel".to_owned(),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = house.send(browser.request(method, &path).body(axum::body::Body::empty()).unwrap()).await;
            assert!(
                answer.status == StatusCode::OK || answer.status == StatusCode::METHOD_NOT_ALLOWED,
                "{path}: {}",
                answer.status
            );
        }
    }
    let approval = approvals::get(&Actor::user(ada), &house.store, id).await.unwrap().unwrap();
    assert_eq!(approval.status, "pending");
    assert_eq!(rows().await.unwrap().len(), before, "nothing was changed");
}

#[tokio::test]
async fn the_second_decision_is_told_of_the_first() {
    let (house, ada) = House::with_ada().await;
    let (_, id) = house.asked(ada, ada).await;
    let (path, browser) = (format!("/approvals/{id}/decision"), house.browser(ada).await);
    let page = browser.get(&format!("/approvals/{id}")).await;
    for part in ["Move ", "/archive/a.pdf", "outside content", "Approve as asked", "no rule matched"] {
        assert!(page.text.contains(part), "{part}");
    }
    let mut signals = house.store.signals();
    let first = browser.post(&path, &[("decision", "approve"), ("note", "go on")]).await;
    assert_eq!((first.status, first.header("location")), (StatusCode::SEE_OTHER, format!("/approvals/{id}").as_str()));
    let woken = async { while signals.recv().await != Some(store::signals::Signal::Ready) {} };
    tokio::time::timeout(std::time::Duration::from_secs(5), woken).await.expect("workers are woken");
    let second = browser.post(&path, &[("decision", "reject")]).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert!(second.text.contains("already approved (by ada"), "{}", second.text);
    let approval = approvals::get(&Actor::user(ada), &house.store, id).await.unwrap().unwrap();
    assert_eq!((approval.status.as_str(), approval.notes.as_deref()), ("approved", Some("go on")));
}

#[tokio::test]
async fn an_edited_call_keeps_its_types_and_is_checked() {
    let (house, ada) = House::with_ada().await;
    let (_, id) = house.asked(ada, ada).await;
    let (path, browser) = (format!("/approvals/{id}/decision"), house.browser(ada).await);
    let edit = |to: &'static str, button: &'static str| {
        [("arg.source", "/inbox/a.pdf"), ("arg.destination", to), ("decision", button)]
    };
    let slip = browser.post(&path, &edit("/elsewhere/a.pdf", "approve")).await;
    assert_eq!(slip.status, StatusCode::CONFLICT, "an edit is not dropped silently");
    assert!(slip.text.contains("nothing was decided") || slip.text.contains("Nothing was decided"));
    assert!(slip.text.contains("value=\"/elsewhere/a.pdf\""), "what was entered stays");
    let stale = browser.post(&path, &[&edit("/b", "change")[..], &[("definition", "other")]].concat()).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "the tool changed under the page");
    assert_eq!(browser.post(&path, &[("decision", "maybe")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let done = browser.post(&path, &edit("007", "change")).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let call = approvals::call(&Actor::user(ada), &house.store, id).await.unwrap().unwrap();
    assert_eq!(call.edit.unwrap().0, r#"{"destination":"007","source":"/inbox/a.pdf"}"#);
    assert!(browser.get(&format!("/approvals/{id}")).await.text.contains("with changed arguments"));
}

#[tokio::test]
async fn an_unknown_outcome_has_three_answers() {
    let (house, ada) = House::with_ada().await;
    let browser = house.browser(ada).await;
    for (button, status, answer, said) in [
        ("done", "approved", Some(r#"{"resolution":"done"}"#), "it happened"),
        ("retry", "approved", Some(r#"{"resolution":"retry"}"#), "do it again"),
        ("reject", "rejected", None, "rejected this"),
    ] {
        let (_, id) = house.unknown(ada, ada).await;
        let page = browser.get(&format!("/approvals/{id}")).await.text;
        for part in ["Did this happen?", "It happened", "Do it again", "It failed"] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("Approve as asked"));
        let path = format!("/approvals/{id}/decision");
        assert_eq!(
            browser.post(&path, &[("decision", "approve")]).await.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "a bare yes is not an answer"
        );
        assert_eq!(browser.post(&path, &[("decision", button)]).await.status, StatusCode::SEE_OTHER);
        let actor = Actor::user(ada);
        assert_eq!(approvals::get(&actor, &house.store, id).await.unwrap().unwrap().status, status);
        assert_eq!(approvals::edit(&actor, &house.store, id).await.unwrap().as_deref(), answer);
        assert!(browser.get(&format!("/approvals/{id}")).await.text.contains(said));
        // The decision released the task; the next one is claimed only when this one is out of the way.
        let task = approvals::get(&actor, &house.store, id).await.unwrap().unwrap().task_id.unwrap();
        domain::tasks::set_status(&house.store, &actor, task, "cancelled", None).await.unwrap();
    }
}

#[tokio::test]
async fn a_stranger_sees_nothing_and_an_observer_decides_nothing() {
    let (house, ada) = House::with_ada().await;
    let (task, id) = house.asked(ada, ada).await;
    let bob = house.add_user(ada, "bob", "user").await;
    let eve = house.add_user(ada, "eve", "observer").await;
    let (bob, eve) = (house.browser(bob).await, house.browser(eve).await);
    for path in [
        format!("/approvals/{id}"),
        format!("/tasks/{task}"),
        format!("/v1/tasks/{task}"),
        format!("/v1/approvals/{id}"),
        format!("/v1/tasks/{task}/runs"),
    ] {
        assert_eq!(bob.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        bob.post(&format!("/approvals/{id}/decision"), &[("decision", "approve")]).await.status,
        StatusCode::NOT_FOUND
    );
    let seen = eve.get(&format!("/approvals/{id}")).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.text.contains("but not decide it") && !seen.text.contains("Approve as asked"));
    let tried = eve.post(&format!("/approvals/{id}/decision"), &[("decision", "approve")]).await;
    assert_eq!(tried.status, StatusCode::FORBIDDEN);
    let employee =
        store::users::agent(&Actor::service(), &house.store, domain::accounts::EMPLOYEE).await.unwrap().unwrap();
    let agent = house.browser(employee).await;
    let tried = agent.post(&format!("/approvals/{id}/decision"), &[("decision", "approve")]).await;
    assert_eq!(tried.status, StatusCode::FORBIDDEN, "no agent decides");
    let tried = agent.post_json(&format!("/v1/approvals/{id}/decision"), &json!({"decision": "approve"})).await;
    assert_eq!(tried.status, StatusCode::FORBIDDEN, "no agent decides");
    assert_eq!(approvals::get(&Actor::user(ada), &house.store, id).await.unwrap().unwrap().status, "pending");
}

#[tokio::test]
async fn every_page_reads_well_with_hostile_content() {
    let (house, ada) = House::with_ada().await;
    house.asked(ada, ada).await;
    let mut new = tasks::NewTask::titled("<script>alert(1)</script> \u{202e}fdp.exe");
    new.description = Some("\"><img src=x onerror=alert(1)>".to_owned());
    let task = tasks::create(&Actor::user(ada), &house.store, &new).await.unwrap();
    let browser = house.browser(ada).await;
    for path in [
        "/",
        "/tasks",
        &format!("/tasks/{task}"),
        "/approvals?status=all",
        "/servers",
        "/policies",
        "/policies/past?without=*&days=7",
        "/policies/presets",
        "/policies/contacts",
        "/watchers",
        "/notifications?status=all",
        "/logs?level=error",
        "/logs?q=anything",
        "/approvals?by=task",
        "/tasks?view=board",
        "/tasks?view=calendar",
        "/tasks?q=script",
        "/tasks?tag=x%22%3E%3Cscript%3Ealert(1)",
        "/audit",
        "/activity",
        "/users",
        "/system",
        "/account",
        "/playbooks",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img"), "{path}");
        assert!(!page.text.contains('\u{202e}'), "{path} hides the direction");
        assert!(
            !page.text.contains(" style=") && !page.text.contains("<style") && !page.text.contains(" onclick="),
            "{path} has something inline"
        );
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    }
}

#[tokio::test]
async fn notifications_are_read_by_post_alone() {
    let (house, ada) = House::with_ada().await;
    house.asked(ada, ada).await;
    let (actor, browser) = (Actor::user(ada), house.browser(ada).await);
    let unread = || notifications::list(&actor, &house.store, Some("unread"), 10);
    let note = unread().await.unwrap().pop().expect("told of the approval");
    assert!(browser.get("/notifications").await.text.contains("Mark as read"));
    assert_eq!(
        browser.post("/notifications/read", &[("id", &note.id.to_string())]).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(unread().await.unwrap().is_empty());
    assert_eq!(
        browser.post("/notifications/read", &[("id", &uuid::Uuid::nil().to_string())]).await.status,
        StatusCode::NOT_FOUND
    );
}
