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

    /// Clicks what an `XPath` finds, which leads nowhere.
    pub async fn click(&self, path: &str) {
        let element = self.page.find(Locator::XPath(path)).await.unwrap_or_else(|e| panic!("no {path}: {e}"));
        element.click().await.unwrap_or_else(|e| panic!("{path} can't be clicked: {e}"));
    }

    /// Logs in at a desk.
    pub async fn log_in(&self, desk: &str, name: &str, password: &str) {
        self.page.goto(desk).await.expect("the log-in page");
        self.fill("login", name).await;
        self.fill("password", password).await;
        self.press("Log in").await;
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

    /// What axe-core (named by `STEWARD_TEST_AXE`) finds wrong with the page under WCAG 2.2 A and AA and its best practices.
    pub async fn barriers(&self) -> Vec<String> {
        let path = std::env::var("STEWARD_TEST_AXE")
            .expect("STEWARD_TEST_AXE is not set: run ./test, or name the path of axe.min.js there");
        let axe = tokio::fs::read_to_string(&path).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        self.page.execute(&axe, vec![]).await.expect("axe-core runs");
        let run = "const done = arguments[arguments.length - 1];
            const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
            axe.run({ runOnly: rules }).then((r) => done([r.passes.length, r.violations.map((v) =>
                v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary).join(' | '))]));";
        let found = self.page.execute_async(run, vec![]).await.expect("axe-core answers");
        assert!(found[0].as_u64().is_some_and(|passed| passed > 10), "axe-core looked at nothing: {found}");
        found[1].as_array().expect("a list").iter().map(ToString::to_string).collect()
    }

    /// How far what stood on the page moved by itself while it was loaded: the sum of its layout shifts, 0 where nothing did.
    pub async fn shift(&self) -> f64 {
        let sum = "const done = arguments[arguments.length - 1];
            let sum = 0;
            new PerformanceObserver((list) => {
                for (const shift of list.getEntries()) if (!shift.hadRecentInput) sum += shift.value;
            }).observe({ type: 'layout-shift', buffered: true });
            requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));";
        self.page.execute_async(sum, vec![]).await.expect("the browser measures").as_f64().expect("a number")
    }

    /// Gives the browser a device that makes and shows passkeys, whose owner is there and says yes.
    pub async fn device(&self) {
        let address = format!("{}/session/{}/webauthn/authenticator", self.address, self.session);
        let device = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": true, "isUserConsenting": true,
        });
        let answer = reqwest::Client::new().post(address).json(&device).send().await.expect("the driver");
        assert!(answer.status().is_success(), "no device: {}", answer.text().await.unwrap_or_default());
    }

    /// Lets pages of this origin do what a reader would be asked for.
    pub async fn allow(&self, origin: &str, what: &str) {
        self.command("Browser.grantPermissions", json!({ "origin": origin, "permissions": [what] })).await;
    }

    /// Hands the browser a push for the first worker of an origin, as its maker's service would.
    pub async fn push(&self, origin: &str, text: &str) {
        let message = json!({ "origin": origin, "registrationId": "0", "data": text });
        self.command("ServiceWorker.enable", json!({})).await;
        self.command("ServiceWorker.deliverPushMessage", message).await;
    }

    /// Shows pages as a reader has them who prefers `scheme` (`light` or `dark`).
    pub async fn prefer(&self, scheme: &str) {
        self.command(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        )
        .await;
    }

    /// Gives the page a size, in CSS pixels; a window itself can't be made as narrow as a phone.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Takes the network away, or gives it back.
    pub async fn offline(&self, is_offline: bool) {
        self.network(is_offline, -1).await;
    }

    /// Lets so many bytes a second go out.
    pub async fn slow(&self, bytes: i64) {
        self.network(false, bytes).await;
    }

    async fn network(&self, is_offline: bool, upload: i64) {
        let to = json!({ "offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload });
        self.command("Network.enable", json!({})).await;
        self.command("Network.emulateNetworkConditions", to).await;
    }

    /// A command of Chromium's own protocol.
    async fn command(&self, name: &str, params: Value) {
        let address = format!("{}/session/{}/goog/cdp/execute", self.address, self.session);
        let sent = reqwest::Client::new().post(address).json(&json!({ "cmd": name, "params": params })).send().await;
        let answer = sent.expect("the driver");
        assert!(answer.status().is_success(), "{name}: {}", answer.text().await.unwrap_or_default());
    }

    /// Lets no page run its script from now on.
    pub async fn without_script(&self) {
        self.command("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// Waits until an element matches whose text contains `wanted`, without loading the page anew.
    pub async fn until(&self, css: &str, wanted: &str) {
        let look =
            "return [...document.querySelectorAll(arguments[0])].some((e) => e.textContent.includes(arguments[1]))";
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let seen = async {
            while !matches!(self.page.execute(look, vec![json!(css), json!(wanted)]).await, Ok(Value::Bool(true))) {
                tick.tick().await;
            }
        };
        let is_seen = tokio::time::timeout(PATIENCE, seen).await.is_ok();
        assert!(is_seen, "{wanted:?} never stood in {css}: {}", self.text("body").await);
    }

    /// Presses a key on the page, as somebody does who uses no pointer.
    pub async fn key(&self, key: &str) {
        self.page.active_element().await.expect("something has the focus").send_keys(key).await.expect("a key");
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
