//! The desk in a real browser: a person sets Steward up by the link it prints, looks round, leaves and comes back.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test stops where it can't go on")]

#[path = "../bench/mod.rs"]
mod bench;
mod demo;
#[allow(dead_code, reason = "one test uses a part of it")]
#[path = "../../../workers/tests/common/dovecot.rs"]
mod dovecot;
mod driver;
mod files;
mod look;
#[path = "../../../workers/tests/common/model_server.rs"]
mod model_server;
mod passkeys;
mod program;
#[allow(dead_code, reason = "one test uses a part of it")]
#[path = "../../../workers/tests/common/smtp.rs"]
mod smtp;
mod together;

use bench::Bench;
use driver::Browser;
use fantoccini::Locator;
use program::Program;

const PASSWORD: &str = "four words are enough";

/// Follows the set-up link and makes the first administrator.
async fn set_up(browser: &Browser, program: &Program) {
    browser.page.goto(&program.setup_link).await.expect("the set-up page");
    assert_eq!(browser.text("h1").await, "Set up Steward");
    browser.picture("setup").await;
    browser.fill("username", "ada").await;
    browser.fill("email", "ada@example.org").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("password_again", PASSWORD).await;
    browser.press("Make me the administrator").await;
    assert_eq!(browser.path().await, "/", "{}", browser.text("body").await);
}

#[tokio::test]
async fn who_leaves_is_out_and_may_come_back() {
    let (program, browser) = tokio::join!(Program::start(), Browser::start());
    set_up(&browser, &program).await;
    browser.press("Log out").await;
    assert_eq!(browser.path().await, "/login");
    // The page one was sent from is where one arrives.
    browser.page.goto(&format!("{}tasks", program.address)).await.expect("the log-in page");
    assert_eq!(browser.path().await, "/login");
    browser.fill("login", "ada").await;
    browser.fill("password", "not the password").await;
    browser.press("Log in").await;
    assert_eq!(browser.path().await, "/login");
    assert!(!browser.text("[role='alert']").await.is_empty(), "a wrong password is told");
    browser.fill("login", "ada").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    assert_eq!(browser.path().await, "/tasks");
    // The link worked once.
    browser.page.goto(&program.setup_link).await.expect("a page");
    assert!(
        browser.page.find(Locator::Css("[name='password_again']")).await.is_err(),
        "the set-up link works a second time"
    );
    browser.end().await;
    program.end().await;
}

/// Waits until the page at `address` shows `wanted`, looking again as a person would.
async fn until_shown(browser: &Browser, address: &str, wanted: &str) {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(250));
    let shown = async {
        loop {
            tick.tick().await;
            browser.page.goto(address).await.expect("a page of the desk");
            if browser.text("main").await.contains(wanted) {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(20), shown).await.is_ok();
    assert!(in_time, "{wanted:?} never stood at {address}: {}", browser.text("main").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_decides_at_the_desk() {
    let bench = Bench::new(false).await;
    let process = bench.start(&[]);
    let browser = Browser::start().await;
    let desk = process.address.clone();
    browser.page.goto(&desk).await.expect("the log-in page");
    browser.fill("login", "ada").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    browser.picture("today-empty").await;

    // Approved as asked.
    let first = bench.drop_file("Rechnung März 2026.pdf", b"first");
    until_shown(&browser, &desk, "Rechnung März 2026.pdf").await;
    until_shown(&browser, &format!("{desk}approvals"), "Rechnung März 2026.pdf").await;
    browser.picture("approvals-waiting").await;
    browser
        .page
        .find(Locator::Css("main a[href^='/approvals/']"))
        .await
        .expect("the approval")
        .click()
        .await
        .expect("it opens");
    assert!(browser.text("main").await.contains("move_file"));
    browser.picture("approval").await;
    assert!(first.exists(), "looking decides nothing");
    browser.press("Approve as asked").await;
    until_shown(&browser, &format!("{desk}tasks"), "completed").await;
    assert!(!first.exists());
    browser
        .page
        .find(Locator::Css("#tasks a[href^='/tasks/']"))
        .await
        .expect("the task")
        .click()
        .await
        .expect("it opens");
    let task = browser.text("main").await;
    for part in ["get_file_info", "create_directory", "move_file", "succeeded", "files: reading"] {
        assert!(task.contains(part), "the task's page lacks {part}: {task}");
    }
    browser.picture("task-completed").await;

    // Rejected with a note.
    let second = bench.drop_file("note.txt", b"second");
    until_shown(&browser, &format!("{desk}approvals"), "note.txt").await;
    let open =
        browser.page.find(Locator::XPath("//main//a[contains(@href,'/approvals/') and contains(.,'note.txt')]")).await;
    open.expect("the second approval").click().await.expect("it opens");
    browser.fill("note", "leave it there").await;
    browser.press("Reject").await;
    until_shown(&browser, &format!("{desk}tasks?status=failed"), "note.txt").await;
    assert!(second.exists());
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
    assert!(process.stop().await.success());
}
