//! The real program in a folder of its own, on a free port.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The end of any wait for the program.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Steward.
pub struct Program {
    /// `http://127.0.0.1:…/`
    pub address: String,
    /// The one-time link that it printed.
    pub setup_link: String,
    child: Child,
    data: tempfile::TempDir,
}

impl Program {
    /// Starts it on an empty data directory and waits for what it prints.
    pub async fn start() -> Self {
        let data = tempfile::tempdir().expect("a data directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_steward"))
            .env("STEWARD_DATA_DIR", data.path())
            .env("STEWARD_LISTEN", "127.0.0.1:0")
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("steward starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let said = async {
            let (mut address, mut link) = (None, None);
            while let Ok(Some(line)) = lines.next_line().await {
                let url = line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned);
                match url {
                    Some(url) if url.contains("/setup/") => link = Some(url),
                    Some(url) => address = address.or(Some(url)),
                    None => {}
                }
                if let (Some(address), Some(link)) = (&address, &link) {
                    return (address.clone(), link.clone());
                }
            }
            panic!("steward ended without saying where it is");
        };
        let (address, setup_link) =
            tokio::time::timeout(PATIENCE, said).await.expect("steward says where it is in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address, setup_link, child, data }
    }

    /// Asks it to end, and waits until it has.
    pub async fn end(mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it still runs");
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("it hears");
        let status =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends in time").expect("it ends");
        assert!(status.success(), "steward ended with {status}");
        drop(self.data);
    }
}
