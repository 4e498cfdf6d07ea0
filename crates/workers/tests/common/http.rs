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
        let (kept, answer) = (Arc::clone(&asked), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move {
                    if let Some((mut stream, request)) = read(stream).await {
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
        Self { url, asked, task }
    }
}

/// A request whole, head and body.
async fn read(mut stream: TcpStream) -> Option<(TcpStream, String)> {
    let mut seen = Vec::new();
    loop {
        let mut part = [0; 4096];
        let n = stream.read(&mut part).await.ok()?;
        if n == 0 {
            return None;
        }
        seen.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.to_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap()))
                .unwrap_or(0_usize);
            if body.len() >= length {
                return Some((stream, text));
            }
        }
    }
}
