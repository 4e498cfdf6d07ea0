//! Several people at once, and a network that comes and goes.

use domain::accounts;
use fantoccini::Locator;
use store::{approvals, users};

use crate::{PASSWORD, bench::Bench, driver::Browser};

async fn add(bench: &Bench, name: &str, role: &str) -> uuid::Uuid {
    let address = format!("{name}@example.org");
    accounts::add_user(&bench.store, &bench.ada, name, &address, role, PASSWORD.to_owned()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_decide_one_wins_and_the_other_is_told() {
    let bench = Bench::new(false).await;
    add(&bench, "grace", "admin").await;
    let process = bench.start(&[]);
    let (ada, grace) = tokio::join!(Browser::start(), Browser::start());
    let desk = process.address.clone();
    ada.log_in(&desk, "ada", PASSWORD).await;
    grace.log_in(&desk, "grace", PASSWORD).await;
    let file = bench.drop_file("contract.pdf", b"sign here");
    ada.until("#waits", "contract.pdf").await;
    let open = approvals::list(&bench.ada, &bench.store, Some("pending"), None, None, 1).await.unwrap().remove(0);
    let page = format!("{desk}approvals/{}", open.id);
    ada.page.goto(&page).await.expect("the approval");
    grace.page.goto(&page).await.expect("the approval");
    // What is being written is not taken from under anybody's hands: the page says that it changed.
    grace.fill("note", "I would rather wait").await;
    ada.press("Approve as asked").await;
    assert!(ada.text("#decided").await.contains("approved this"));
    grace.until(".tell", "This has changed meanwhile").await;
    grace.press("Reject").await;
    let told = grace.text("main").await;
    assert!(told.contains("already approved (by ada"), "{told}");
    assert!(grace.page.find(Locator::Css("form.decision")).await.is_err(), "nothing is left to decide");
    ada.page.goto(&format!("{desk}tasks?status=completed")).await.expect("the tasks");
    ada.until("#tasks", "contract.pdf").await;
    assert!(!file.exists(), "what was approved was done");
    grace.end().await;
    ada.end().await;
    assert!(process.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_sees_nothing_any_more() {
    let bench = Bench::new(false).await;
    let bob = add(&bench, "bob", "observer").await;
    let process = bench.start(&[]);
    let browser = Browser::start().await;
    browser.log_in(&process.address, "bob", PASSWORD).await;
    bench.drop_file("secret plans.pdf", b"hush");
    browser.until("#waits", "secret plans.pdf").await;
    accounts::set_status(&bench.store, &bench.ada, bob, "suspended").await.unwrap();
    browser.until("main", "You are logged out").await;
    assert!(!browser.text("body").await.contains("secret plans.pdf"), "the open page shows nothing any more");
    assert_eq!(users::account(&bench.ada, &bench.store, bob).await.unwrap().unwrap().status, "suspended");
    browser.end().await;
    assert!(process.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network_the_page_says_so_and_catches_up() {
    let bench = Bench::new(false).await;
    let process = bench.start(&[]);
    let browser = Browser::start().await;
    browser.log_in(&process.address, "ada", PASSWORD).await;
    browser.offline(true).await;
    browser.until(".tell", "What you see may be old").await;
    bench.drop_file("meanwhile.pdf", b"arrived while nobody saw");
    let mut signals = bench.store.signals();
    let arrived = async {
        while approvals::list(&bench.ada, &bench.store, Some("pending"), None, None, 1).await.unwrap().is_empty() {
            let _ = tokio::time::timeout(std::time::Duration::from_millis(200), signals.recv()).await;
        }
    };
    tokio::time::timeout(crate::driver::PATIENCE, arrived).await.expect("the employee asks");
    assert!(!browser.text("main").await.contains("meanwhile.pdf"));
    browser.offline(false).await;
    browser.until("#waits", "meanwhile.pdf").await;
    browser.end().await;
    assert!(process.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_edits_before_deciding() {
    let bench = Bench::new(false).await;
    let process = bench.start(&[]);
    let browser = Browser::start().await;
    let desk = process.address.clone();
    browser.log_in(&desk, "ada", PASSWORD).await;
    bench.drop_file("letter.txt", b"dear");
    browser.until("#waits", "letter.txt").await;
    let open = approvals::list(&bench.ada, &bench.store, Some("pending"), None, None, 1).await.unwrap().remove(0);
    browser.page.goto(&format!("{desk}approvals/{}?edit=yes", open.id)).await.expect("the approval");
    let elsewhere = bench.dir.path().join("home/elsewhere.txt").display().to_string();
    browser.fill("arg.destination", &elsewhere).await;
    browser.until(".decision .diff ins", &elsewhere).await;
    let plain = browser.page.find(Locator::Css("[data-plain]")).await.expect("the plain yes");
    assert!(!plain.is_enabled().await.unwrap(), "what was changed is not approved as it was asked for");
    browser.picture("approval-edited").await;
    browser.press("Approve with these changes").await;
    assert!(browser.text("#decided").await.contains("with changed arguments"));
    assert!(browser.text(".diff ins").await.contains("elsewhere.txt"), "what was changed stays to be seen");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
    assert!(process.stop().await.success());
}
