//! Whether a Steward runs: by its answer at the desk's address, or by the process that holds the data folder.

use std::time::Duration;

use nix::{sys::signal::kill, unistd::Pid};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::config::Config;

/// How long the desk may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of an answer that are read: its head.
const HEAD_BYTES: u64 = 8192;

/// Who answers at the desk's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// Nobody, or nothing that is well.
    Nobody,
    /// The Steward that holds this data folder.
    This,
    /// Something else: another Steward, or another program.
    Another,
}

/// Asks at the desk's address who is there.
pub(super) async fn desk(config: &Config) -> Answers {
    let asked = async {
        let mut address = config.listen;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(HEAD_BYTES).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => answer,
        _ => return Answers::Nobody,
    };
    let of_line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-steward-instance").then(|| value.trim().to_owned())
    };
    let told = answer.lines().find_map(of_line);
    let noted = tokio::fs::read_to_string(lock_file(config)).await.ok();
    let noted = noted.as_deref().and_then(|text| text.lines().nth(1)).map(str::trim);
    if told.is_some() && told.as_deref() == noted { Answers::This } else { Answers::Another }
}

fn lock_file(config: &Config) -> std::path::PathBuf {
    config.data_dir.join("steward.lock")
}

/// The process that noted itself in the data folder, if it still runs. A number may have passed to another program, so
/// this is only ever a reason to wait longer.
pub(super) fn process(config: &Config) -> Option<i32> {
    let text = std::fs::read_to_string(lock_file(config)).ok()?;
    let pid = text.lines().next()?.trim().parse::<i32>().ok().filter(|pid| *pid > 0)?;
    kill(Pid::from_raw(pid), None).is_ok().then_some(pid)
}
