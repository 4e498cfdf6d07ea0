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

/// Whether a Steward answers at the desk's address.
pub(super) async fn desk_answers(config: &Config) -> bool {
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
        stream.take(64).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with(b"HTTP/1.1 200"))
    };
    matches!(tokio::time::timeout(PATIENCE, asked).await, Ok(Ok(true)))
}

/// The process that noted itself in the data folder, if it still runs. A number may have passed to another program, so
/// this is only ever a reason to wait longer.
pub(super) fn process(config: &Config) -> Option<i32> {
    let text = std::fs::read_to_string(config.data_dir.join("steward.lock")).ok()?;
    let pid = text.trim().parse::<i32>().ok().filter(|pid| *pid > 0)?;
    kill(Pid::from_raw(pid), None).is_ok().then_some(pid)
}
