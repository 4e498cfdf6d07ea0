//! The desk in a real browser: a person sets Steward up by the link it prints, looks round, leaves and comes back.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test stops where it can't go on")]

mod driver;
mod program;

use driver::Browser;
use fantoccini::Locator;
use program::Program;

const PASSWORD: &str = "four words are enough";

/// Every place of the desk, by its name in the navigation.
const PLACES: [&str; 8] = ["Today", "Approvals", "Tasks", "Watchers", "Servers", "Policies", "Notifications", "Logs"];

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
async fn a_person_sets_up_and_looks_round() {
    let (program, browser) = tokio::join!(Program::start(), Browser::start());
    set_up(&browser, &program).await;
    for (width, height, device) in [(1280, 900, "desk"), (390, 844, "phone")] {
        browser.page.set_window_size(width, height).await.expect("a window of that size");
        for place in PLACES {
            browser.page.goto(&program.address).await.expect("the desk");
            browser.go(place).await;
            assert_eq!(browser.text("[aria-current='page']").await, place);
            assert!(!browser.text("h1").await.is_empty(), "{place} has no heading");
            assert!(!browser.overflows().await, "{place} is wider than the window of a {device}");
            browser.picture(&format!("{device}-{}", place.to_lowercase())).await;
        }
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
    program.end().await;
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
