//! A Redis of a test's own, and a proxy before it that can delay it.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server on a free port, without a file. Dropping it ends it.
pub struct Server {
    pub port: u16,
    child: Child,
}

fn spawn(port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is missing: install Redis 7 or newer")
}

impl Server {
    pub async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let this = Self { port, child: spawn(port) };
        this.answers().await;
        this
    }

    /// Waits until it answers.
    async fn answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while !self.try_ask::<String>(&["PING"]).is_ok_and(|answer| answer == "PONG") {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            tick.tick().await;
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    fn try_ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut connection = redis::Client::open(self.url())?.get_connection_with_timeout(Duration::from_secs(5))?;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query(&mut connection)
    }

    /// Asks it over a connection of its own.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap_or_else(|e| panic!("{words:?}: {e}"))
    }

    /// The one name that ends so.
    pub fn name_of(&self, end: &str) -> Option<String> {
        let mut names: Vec<String> = self.ask(&["KEYS", &format!("*{end}")]);
        assert!(names.len() <= 1, "{names:?}");
        names.pop()
    }

    fn send(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// It keeps its connections and answers nothing.
    pub fn pause(&self) {
        self.send("-STOP");
    }

    pub fn resume(&self) {
        self.send("-CONT");
    }

    /// As after a crash: what it held is lost.
    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn start_again(&mut self) {
        self.child = spawn(self.port);
        self.answers().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whatever has ended already needs no ending.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Passes everything on to a server, each answer so many milliseconds late. Answers the proxy's port.
pub async fn slow_way(to: u16, late_ms: Arc<AtomicU64>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let late_ms = Arc::clone(&late_ms);
            tokio::spawn(async move {
                let Ok(far) = tokio::net::TcpStream::connect(("127.0.0.1", to)).await else { return };
                let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
                let asking = tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
                let mut bytes = vec![0; 65536];
                while let Ok(length @ 1..) = from_far.read(&mut bytes).await {
                    let late = Duration::from_millis(late_ms.load(Ordering::Relaxed));
                    tokio::time::sleep_until(tokio::time::Instant::now() + late).await;
                    if to_near.write_all(&bytes[..length]).await.is_err() {
                        break;
                    }
                }
                asking.abort();
            });
        }
    });
    port
}
