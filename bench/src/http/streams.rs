//! A thousand readers of events at once: what they cost while nothing happens, and how soon the last of them hears of it
//! when something does.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use store::{Actor, Store, tasks::NewTask};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::timeout};
use uuid::Uuid;

use super::{Desk, client::request, failed};
use crate::{
    error::{Error, Result},
    measure::{Aim, Line, Series},
};

/// Readers at once.
const STREAMS: usize = 1000;
/// How long nothing happens while their cost is measured.
const IDLE: Duration = Duration::from_secs(5);
/// How long something may take to be heard.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often something happens.
const TIMES: usize = 5;
/// Hundredths of a core that they may take while nothing happens, on two cores.
const MOST_IDLE: f64 = 10.0;

/// A stream that was let in.
struct Stream {
    inner: TcpStream,
    seen: Vec<u8>,
}

impl Stream {
    async fn open(address: SocketAddr, token: &str) -> Result<Self> {
        let mut inner = TcpStream::connect(address).await?;
        inner.write_all(&request("GET", "/v1/events?kinds=task", token, None)).await?;
        let mut this = Self { inner, seen: Vec::new() };
        this.until("event: hello").await?;
        Ok(this)
    }

    /// Reads on until this stands there, and forgets what was read.
    async fn until(&mut self, text: &str) -> Result<()> {
        let heard = async {
            while !self.seen.windows(text.len()).any(|w| w == text.as_bytes()) {
                if self.inner.read_buf(&mut self.seen).await? == 0 {
                    let said = String::from_utf8_lossy(&self.seen).into_owned();
                    return Err(Error::Tool(format!("a stream of events ended: {said}")));
                }
            }
            Ok(())
        };
        timeout(PATIENCE, heard).await.map_err(|_| Error::Tool(format!("{text:?} was never heard")))??;
        self.seen.clear();
        Ok(())
    }
}

/// Opens them, and measures. Each person has as many streams as the others.
pub(super) async fn measure(desk: &Desk, on: &Store, people: &[(Uuid, String)], engine: &str) -> Result<[Line; 3]> {
    let mut open = Vec::new();
    for n in 0..STREAMS {
        open.push(Stream::open(desk.address, &people[n % people.len()].1).await?);
    }
    let (began, used) = (Instant::now(), desk.processor_s()?);
    tokio::time::sleep(IDLE).await;
    let idle = (desk.processor_s()? - used) / began.elapsed().as_secs_f64() * 100.0;
    let memory = desk.memory_mib()?;
    let mut heard = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        for (person, _) in people {
            let new = NewTask::titled("something happens");
            domain::tasks::create(on, &Actor::user(*person), new, "api", false).await.map_err(failed)?;
        }
        let mut reading = JoinSet::new();
        for mut stream in open.drain(..) {
            reading.spawn(async move { stream.until("event: task").await.map(|()| stream) });
        }
        while let Some(stream) = reading.join_next().await {
            open.push(stream??);
        }
        heard.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let work = format!("HTTP over {engine}, {STREAMS} open streams of events");
    let line = |what: &str, unit, ours, aim| Line {
        work: format!("{work}: {what}"),
        unit,
        ours: Series(ours),
        against: "",
        limit: Series::default(),
        aim,
    };
    Ok([
        line("processor while nothing happens", "% of a core", vec![idle], Aim::Under(MOST_IDLE)),
        line("memory", "MiB", vec![memory], Aim::Shown),
        line("the last has heard of it after", "ms", heard, Aim::Shown),
    ])
}
