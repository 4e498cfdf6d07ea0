//! A client that costs little: one connection, one request at a time, answers of known length.

use std::{fmt::Write, net::SocketAddr, time::Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::error::{Error, Result};

/// A connection that stays open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A request's text. `body` is JSON.
pub(crate) fn request(method: &str, path: &str, cookie: &str, body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: steward_session={cookie}\r\n");
    if let Some(body) = body {
        // Writing into a String does not fail.
        let _ = write!(text, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    } else {
        text += "\r\n";
    }
    text.into_bytes()
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and answers how long its answer took, in microseconds. Another status than `expected` is an error.
    pub(crate) async fn ask(&mut self, request: &[u8], expected: &str) -> Result<u64> {
        let began = Instant::now();
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut head = None;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::Tool("the server closed the connection in the middle of an answer".to_owned()));
            }
            if head.is_none() {
                head = self.buffer.windows(4).position(|w| w == b"\r\n\r\n").map(|end| end + 4);
            }
            if let Some(end) = head
                && self.buffer.len() >= end + length(&self.buffer[..end])?
            {
                break;
            }
        }
        if self.buffer.get(9..12) != Some(expected.as_bytes()) {
            return Err(Error::Tool(format!("not {expected}: {}", String::from_utf8_lossy(&self.buffer))));
        }
        Ok(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

fn length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head).unwrap_or_default();
    head.lines()
        .find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| Error::Tool(format!("an answer of unknown length: {head}")))
}
