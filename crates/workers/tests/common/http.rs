//! A scripted HTTP server on loopback: each request is answered by a function, and kept.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What is answered: status line, further headers (each with its line's end), body.
pub type Answer = (String, String, String);

/// The server; it ends with this.
pub struct Server {
    pub url: String,
    pub asked: Arc<Mutex<Vec<String>>>,
    /// Their bodies, as they came.
    pub bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `200 OK` with a body.
pub fn ok(body: impl Into<String>) -> Answer {
    ("200 OK".to_owned(), String::new(), body.into())
}

impl Server {
    pub async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let (kept, whole, answer) = (Arc::clone(&asked), Arc::clone(&bodies), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, whole, answer) = (Arc::clone(&kept), Arc::clone(&whole), Arc::clone(&answer));
                tokio::spawn(async move {
                    if let Some((mut stream, request, body)) = read(stream).await {
                        whole.lock().unwrap().push(body);
                        let (status, headers, body) = answer(&request);
                        kept.lock().unwrap().push(request);
                        let head = format!(
                            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
                            body.len()
                        );
                        // A client that went away is none of the server's business.
                        drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
                    }
                });
            }
        });
        Self { url, asked, bodies, task }
    }
}

/// A request whole: as text, and its body as it came.
async fn read(mut stream: TcpStream) -> Option<(TcpStream, String, Vec<u8>)> {
    let mut seen = Vec::new();
    loop {
        let mut part = [0; 4096];
        let n = stream.read(&mut part).await.ok()?;
        if n == 0 {
            return None;
        }
        seen.extend_from_slice(&part[..n]);
        let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&seen[..end]).into_owned();
        let length = head
            .lines()
            .find_map(|l| l.to_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap()))
            .unwrap_or(0_usize);
        let body = seen[end + 4..].to_vec();
        if body.len() >= length {
            return Some((stream, String::from_utf8_lossy(&seen).into_owned(), body));
        }
    }
}
