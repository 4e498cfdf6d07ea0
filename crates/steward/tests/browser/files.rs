//! Files and search as a person uses them: a file that is sent shows how far it has come and can be stopped, and a search
//! answers as one types.

use domain::tasks as work;
use fantoccini::Locator;
use store::tasks::NewTask;

use crate::{PASSWORD, bench::Bench, driver::Browser};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_stopped_and_sent_again() {
    let bench = Bench::new(false).await;
    let made = work::create(&bench.store, &bench.ada, NewTask::titled("Read the plans"), "api", false).await.unwrap();
    let process = bench.start(&[]);
    let browser = Browser::start().await;
    browser.log_in(&process.address, "ada", PASSWORD).await;
    let file = bench.dir.path().join("plans of März.bin");
    std::fs::write(&file, vec![7_u8; 1_500_000]).unwrap();
    browser.page.goto(&format!("{}tasks/{}", process.address, made.id)).await.expect("the task");
    browser.click("//summary[normalize-space() = 'Add a file']").await;
    let field = browser.page.find(Locator::Css("#file")).await.expect("the field");
    field.send_keys(file.to_str().unwrap()).await.expect("a file");
    // A slow line: it would take half a minute.
    browser.slow(50_000).await;
    browser.click("//button[normalize-space() = 'Add it']").await;
    browser.until(".sending [role=status]", "% sent").await;
    browser.picture("task-sending").await;
    browser.click("//button[normalize-space() = 'Stop']").await;
    browser.until(".sending", "Stopped. Nothing was kept.").await;
    browser.offline(false).await;
    browser.press("Add it").await;
    browser.until("main", "plans of März.bin").await;
    let kept = store::file_attachments::list(&bench.ada, &bench.store, made.id).await.unwrap();
    assert_eq!(kept.iter().map(|f| f.file_size).collect::<Vec<_>>(), [Some(1_500_000)], "once, and whole");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
    assert!(process.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_answers_as_one_types() {
    let bench = Bench::new(false).await;
    for title in ["Call the plumber", "Water the plants", "Answer the bank"] {
        work::create(&bench.store, &bench.ada, NewTask::titled(title), "api", false).await.unwrap();
    }
    let process = bench.start(&[]);
    let browser = Browser::start().await;
    browser.log_in(&process.address, "ada", PASSWORD).await;
    browser.page.goto(&format!("{}tasks", process.address)).await.expect("the tasks");
    browser.fill("q", "plumb*").await;
    browser.until("#tasks mark", "plumber").await;
    assert!(!browser.text("#tasks").await.contains("Answer the bank"));
    // Odd input is no error.
    browser.fill("q", "\"((* -").await;
    browser.until("#tasks", "").await;
    browser.fill("q", "\"the bank\"").await;
    browser.until("#tasks", "Answer the bank").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
    assert!(process.stop().await.success());
}
