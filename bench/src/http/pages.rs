//! The desk's pages: how long the server takes for each, and what a first visit weighs on the wire.

use std::{collections::BTreeSet, fmt::Write, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    client::{Connection, request},
    percentile,
};
use crate::{
    error::{Error, Result},
    measure::{Aim, Line, Series, as_f64},
};

/// Pages that people open all day.
const PAGES: [&str; 6] = ["/", "/tasks", "/tasks?view=board", "/approvals", "/notifications", "/activity"];
/// How often each is asked for.
const TIMES: usize = 40;
/// Milliseconds of the server at the median.
const MOST_MS: f64 = 50.0;
/// Kilobytes of the first page with everything it needs.
const MOST_KB: f64 = 100.0;
/// Bytes of one answer, at most.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Each page's median, and the weight of the first.
pub(super) async fn measure(address: SocketAddr, token: &str, engine: &str) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut connection = Connection::open(address).await?;
    for page in PAGES {
        let asked = request("GET", page, token, None);
        // The first one fills what is remembered between requests, as it does in a day's work.
        connection.ask(&asked, "200").await?;
        let mut took = Vec::new();
        for _ in 0..TIMES {
            took.push(connection.ask(&asked, "200").await?);
        }
        lines.push(alone(
            format!("the desk over {engine}, {page}: median time of an answer"),
            "ms",
            percentile(took, 0.5) / 1000.0,
            Aim::Under(MOST_MS),
        ));
    }
    let kilobytes = weight(address, token).await? / 1000.0;
    lines.push(alone(
        format!("the desk over {engine}, the first page with all it needs, compressed"),
        "kB",
        kilobytes,
        Aim::Under(MOST_KB),
    ));
    Ok(lines)
}

fn alone(work: String, unit: &'static str, figure: f64, aim: Aim) -> Line {
    Line { work, unit, ours: Series(vec![figure]), against: "", limit: Series::default(), aim }
}

/// Bytes of the first page and of everything that it loads, heads included.
async fn weight(address: SocketAddr, token: &str) -> Result<f64> {
    let plain = whole(address, "/", token, false).await?;
    let plain = String::from_utf8_lossy(&plain);
    let mut total = whole(address, "/", token, true).await?.len();
    let needed: BTreeSet<&str> =
        plain.split(['"', '\'']).filter(|word| word.starts_with("/assets/") && !word.contains(' ')).collect();
    if needed.is_empty() {
        return Err(Error::Tool("the first page names no style and no script".to_owned()));
    }
    for path in needed {
        total += whole(address, path, token, true).await?.len();
    }
    Ok(as_f64(total))
}

/// An answer, head and body, as it goes over the wire.
async fn whole(address: SocketAddr, path: &str, token: &str, compressed: bool) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let mut text =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nCookie: steward_session={token}\r\n");
    if compressed {
        // Writing into a String does not fail.
        let _ = write!(text, "Accept-Encoding: gzip, zstd\r\n");
    }
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    if answer.get(9..12) != Some(b"200") {
        return Err(Error::Tool(format!("{path}: {}", String::from_utf8_lossy(answer.get(..200).unwrap_or(&answer)))));
    }
    Ok(answer)
}
