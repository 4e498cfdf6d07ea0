//! Passkeys with Chromium's own virtual device, and a push that the desk's worker shows. Both want a desk with a name: on
//! this machine that is localhost.

use std::time::Duration;

use fantoccini::Locator;
use serde_json::json;

use crate::{
    PASSWORD,
    driver::{Browser, PATIENCE},
    program::Program,
};

/// The desk by its name.
fn by_name(address: &str) -> String {
    address.replace("127.0.0.1", "localhost")
}

async fn set_up(browser: &Browser, program: &Program) -> String {
    browser.page.goto(&by_name(&program.setup_link)).await.expect("the set-up page");
    for (field, value) in
        [("username", "ada"), ("email", "ada@example.org"), ("password", PASSWORD), ("password_again", PASSWORD)]
    {
        browser.fill(field, value).await;
    }
    browser.press("Make me the administrator").await;
    by_name(&program.address)
}

async fn open(browser: &Browser, summary: &str) {
    let place = format!("//summary[normalize-space() = '{summary}']");
    browser.page.find(Locator::XPath(&place)).await.expect("a part").click().await.expect("it opens");
}

#[tokio::test]
async fn a_passkey_lets_its_owner_in() {
    let (program, browser) = tokio::join!(Program::start(), Browser::start());
    let desk = set_up(&browser, &program).await;
    browser.device().await;

    // Enrolled by whoever has just logged in.
    browser.page.goto(&format!("{desk}account")).await.expect("one's own page");
    open(&browser, "Enrol a passkey").await;
    browser.press("Enrol it").await;
    browser.until("#passkeys ~ ul li", "This device").await;
    browser.picture("account-passkeys").await;
    assert_eq!(browser.barriers().await, Vec::<String>::new());

    // In place of a password …
    browser.press("Log out").await;
    browser.picture("login-passkey").await;
    browser.press("Use a passkey").await;
    assert_eq!(browser.path().await, "/", "{}", browser.text("body").await);
    browser.press("Log out").await;

    // … and after it, since the password alone lets nobody in.
    browser.fill("login", "ada").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    assert_eq!(browser.text("h1").await, "One more step");
    browser.picture("login-passkey-second").await;
    browser.press("Use a passkey").await;
    assert_eq!(browser.path().await, "/", "{}", browser.text("body").await);

    // To show again who one is; what was answered once is answered.
    browser.page.goto(&format!("{desk}account")).await.expect("one's own page");
    let script = "
        const done = arguments[arguments.length - 1];
        const sent = [];
        const plain = window.fetch;
        window.fetch = (path, what) => { sent.push([path, what]); return plain(path, what); };
        const place = document.createElement('div');
        place.innerHTML = '<button type=button data-passkey=again>x</button><p role=status></p>';
        document.querySelector('main').append(place);
        place.firstChild.click();
        new MutationObserver(async (_, watch) => {
          if (!place.lastChild.textContent) return;
          watch.disconnect();
          const again = await plain(...sent.at(-1));
          done([place.lastChild.textContent, again.status, (await again.json()).code]);
        }).observe(place.lastChild, { childList: true });";
    let shown = browser.page.execute_async(script, vec![]).await.expect("a script runs");
    assert_eq!(shown, json!(["You have shown who you are. Decide within ten minutes.", 422, "invalid"]));

    // Taken away, the password suffices.
    browser.page.goto(&format!("{desk}account")).await.expect("one's own page");
    assert!(browser.text("#passkeys ~ ul").await.contains("used"), "its uses are shown");
    open(&browser, "Take it away").await;
    browser.press("Take it away").await;
    browser.press("Log out").await;
    browser.fill("login", "ada").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Log in").await;
    assert_eq!(browser.path().await, "/");
    // Where the desk has no name, it is said.
    browser.page.goto(&format!("{}login", program.address)).await.expect("the log-in page");
    browser
        .page
        .find(Locator::XPath("//button[. = 'Use a passkey']"))
        .await
        .expect("it")
        .click()
        .await
        .expect("a click");
    browser.until("[role=status]", "localhost").await;
    let complaints: Vec<String> = browser.complaints().await;
    // The browser itself says of each refusal that it was one.
    assert!(complaints.iter().all(|c| c.contains("422") || c.contains("409")), "{complaints:?}");
    browser.end().await;
    program.end().await;
}

#[tokio::test]
async fn a_push_is_shown_and_leads_to_its_page() {
    let (program, browser) = tokio::join!(Program::start(), Browser::start());
    let desk = set_up(&browser, &program).await;
    let origin = desk.trim_end_matches('/');
    browser.allow(origin, "notifications").await;
    browser.page.goto(&format!("{desk}account")).await.expect("one's own page");
    browser.until("#browsers ~ form", "Tell me here").await;
    // A worker is ready before it is active, and a push to one that is not active is lost.
    let register = "const done = arguments[arguments.length - 1];
        navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready).then((r) => {
          const look = () => r.active.state === 'activated' && done(r.scope);
          r.active.addEventListener('statechange', look);
          look();
        });";
    let scope = browser.page.execute_async(register, vec![]).await.expect("a script runs");
    assert_eq!(scope, json!(desk));
    // The browser's own commands lose a push that comes right behind a registration; the same one again replaces the first.
    let shown = "const done = arguments[arguments.length - 1];
        navigator.serviceWorker.ready.then((r) => r.getNotifications())
          .then((all) => done(all.map((n) => [n.title, n.tag, n.data.link])));";
    let told = async {
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        loop {
            browser.push(origin, r#"{"title": "Move a file?", "link": "/approvals/7", "tag": "t"}"#).await;
            tick.tick().await;
            let all = browser.page.execute_async(shown, vec![]).await.expect("a script runs");
            if all != json!([]) {
                return all;
            }
        }
    };
    let shown = tokio::time::timeout(PATIENCE, told).await.expect("a push is shown");
    assert_eq!(shown, json!([["Move a file?", "t", format!("{desk}approvals/7")]]));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
    program.end().await;
}
