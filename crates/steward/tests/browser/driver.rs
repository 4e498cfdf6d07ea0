//! Chromium through its WebDriver: one driver and one profile a test, pictures in the artifacts folder, and whatever the
//! browser complains about in its console.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The end of any wait for the browser.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with a window of its own.
pub struct Browser {
    pub page: Client,
    address: String,
    session: String,
    driver: Child,
    // Dropped last, when the browser has ended.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts the driver named by `STEWARD_TEST_CHROMEDRIVER`, and Chromium under it.
    pub async fn start() -> Self {
        let program = std::env::var("STEWARD_TEST_CHROMEDRIVER")
            .expect("STEWARD_TEST_CHROMEDRIVER is not set: run ./test, or name the path of chromedriver there");
        let mut driver = Command::new(&program)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|e| panic!("{program} does not start: {e}"));
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = tokio::time::timeout(PATIENCE, async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
            panic!("{program} ended without saying its port");
        })
        .await
        .expect("chromedriver says its port");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--window-size=1280,900".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--lang=en".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
            // Chromium refuses its sandbox to root; what it shows here is our own pages.
            arguments.push("--no-sandbox".to_owned());
        }
        let wanted = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(wanted) = wanted else { unreachable!("an object is written above") };
        let address = format!("http://127.0.0.1:{port}");
        let capabilities: Capabilities = wanted;
        let session = Client::with_capabilities_and_connector(&address, &capabilities, HttpConnector::new());
        let page =
            tokio::time::timeout(PATIENCE, session).await.expect("Chromium starts in time").expect("Chromium starts");
        let session = page.session_id().await.expect("a session").expect("an id");
        Self { page, address, session, driver, _profile: profile }
    }

    /// Keeps what the window shows as `<name>.png` in `STEWARD_TEST_ARTIFACTS`, if that is set.
    pub async fn picture(&self, name: &str) {
        let Ok(folder) = std::env::var("STEWARD_TEST_ARTIFACTS") else { return };
        let picture = self.page.screenshot().await.expect("a picture");
        let path = PathBuf::from(folder).join(format!("{name}.png"));
        tokio::fs::create_dir_all(path.parent().expect("it has a folder")).await.expect("the artifacts folder");
        tokio::fs::write(&path, picture).await.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Writes `value` into the field of that name.
    pub async fn fill(&self, field: &str, value: &str) {
        let selector = format!("[name='{field}']");
        let element = self.page.find(Locator::Css(&selector)).await.unwrap_or_else(|e| panic!("no field {field}: {e}"));
        element.clear().await.unwrap_or_else(|e| panic!("{field} can't be cleared: {e}"));
        element.send_keys(value).await.unwrap_or_else(|e| panic!("{field} can't be filled: {e}"));
    }

    /// Presses the button that bears `label`, and waits until the page that follows is there.
    pub async fn press(&self, label: &str) {
        let selector = format!("//button[normalize-space() = '{label}']");
        self.follow(Locator::XPath(&selector), label).await;
    }

    /// Follows the link that bears `label`, and waits until the page that follows is there.
    pub async fn go(&self, label: &str) {
        self.follow(Locator::LinkText(label), label).await;
    }

    async fn follow(&self, place: Locator<'_>, label: &str) {
        // A mark on this document: it is gone when the next one has taken its place.
        self.page.execute("document.documentElement.dataset.left = 'yes'", vec![]).await.expect("a script runs");
        let element = self.page.find(place).await.unwrap_or_else(|e| panic!("{label:?} is not on the page: {e}"));
        element.click().await.unwrap_or_else(|e| panic!("{label:?} can't be clicked: {e}"));
        let arrived =
            "return document.documentElement.dataset.left === undefined && document.readyState === 'complete'";
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let wait = async {
            // Between two documents there is none to ask.
            while !matches!(self.page.execute(arrived, vec![]).await, Ok(Value::Bool(true))) {
                tick.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{label:?} leads to no page"));
    }

    /// The text of the first element that matches.
    pub async fn text(&self, css: &str) -> String {
        let element = self.page.find(Locator::Css(css)).await.unwrap_or_else(|e| panic!("no {css}: {e}"));
        element.text().await.expect("its text")
    }

    /// The path of the page.
    pub async fn path(&self) -> String {
        self.page.current_url().await.expect("an address").path().to_owned()
    }

    /// Whether the page is wider than its window.
    pub async fn overflows(&self) -> bool {
        let wider = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
        self.page.execute(wider, vec![]).await.expect("a script runs") == Value::Bool(true)
    }

    /// What the console holds: errors of scripts, refusals of the content policy, missing files.
    pub async fn complaints(&self) -> Vec<String> {
        let address = format!("{}/session/{}/se/log", self.address, self.session);
        let answer =
            reqwest::Client::new().post(address).json(&json!({ "type": "browser" })).send().await.expect("the driver");
        let answer: Value = answer.json().await.expect("JSON");
        let entries = answer["value"].as_array().cloned().unwrap_or_else(|| panic!("no log: {answer}"));
        entries
            .iter()
            .filter(|e| e["level"] != "INFO" && e["level"] != "DEBUG")
            .map(|e| e["message"].to_string())
            .collect()
    }

    /// Ends browser and driver in order.
    pub async fn end(self) {
        self.page.clone().close().await.expect("the browser closes");
    }
}

impl Drop for Browser {
    /// A test that fails must leave no browser behind: it is in the driver's process group.
    fn drop(&mut self) {
        if let Some(id) = self.driver.id().and_then(|id| i32::try_from(id).ok()) {
            // Gone already is as good.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}
