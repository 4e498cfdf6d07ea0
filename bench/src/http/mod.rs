//! Through HTTP: the program itself, in a process of its own, against the store's own rate for the same work, on the same
//! rows in the same run.

mod client;
mod pages;
mod streams;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::accounts;
use store::{Actor, Store, tasks::NewTask};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use uuid::Uuid;

use self::client::{Connection, request};
use crate::{
    data::{Size, looked_at},
    error::{Error, Result},
    measure::{Aim, Line, Plan, Series, as_f64, in_turn, rate},
};

/// Pairs of a person and a task that both sides look at in turn.
const LOOKED_AT: usize = 8;
/// Connections that are open while memory is measured.
const OPEN: usize = 200;
/// MiB that the program may take then.
const MOST_MIB: f64 = 60.0;
/// The part of the store's rate that HTTP must reach.
const PART: f64 = 0.6;
/// How long the program may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// A program that serves, and the store beside it.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    pub(crate) engine: &'static str,
    pub(crate) url: String,
    pub(crate) size: Size,
    pub(crate) folder: &'a Path,
    pub(crate) plan: Plan,
}

/// The program beside this one.
fn program() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let beside = here.parent().unwrap_or(Path::new(".")).join("steward");
    if beside.is_file() {
        return Ok(beside);
    }
    Err(Error::Tool(format!("{} is missing: cargo build --release -p steward", beside.display())))
}

/// The program in a process of its own; it ends with this value.
#[derive(Debug)]
struct Desk {
    child: Child,
    address: SocketAddr,
}

impl Desk {
    async fn start(url: &str, data_dir: &Path) -> Result<Self> {
        let mut child = Command::new(program()?)
            .args(["serve", "--only", "web"])
            .env_remove("REDIS_URL")
            .env("DATABASE_URL", url)
            .env("STEWARD_DATA_DIR", data_dir)
            .env("STEWARD_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().ok_or_else(|| Error::Tool("the program has no output".to_owned()))?;
        let mut lines = BufReader::new(out).lines();
        let address = async {
            while let Some(line) = lines.next_line().await? {
                let place = line.split_once("http://").map(|(_, rest)| rest.trim_end_matches('/'));
                if let Some(address) = place.and_then(|p| p.split('/').next()).and_then(|p| p.parse().ok()) {
                    return Ok(address);
                }
            }
            Err(Error::Tool("the program ended before it was ready".to_owned()))
        };
        let address = tokio::time::timeout(READY, address)
            .await
            .map_err(|_| Error::Tool(format!("the program is not ready after {} s", READY.as_secs())))??;
        Ok(Self { child, address })
    }

    /// Resident memory in MiB.
    fn memory_mib(&self) -> Result<f64> {
        let id = self.child.id().ok_or_else(|| Error::Tool("the program has ended".to_owned()))?;
        let text = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let kib = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|l| l.split_whitespace().next());
        let kib: f64 = kib
            .and_then(|k| k.parse().ok())
            .ok_or_else(|| Error::Tool("the program's memory can't be read".to_owned()))?;
        Ok(kib / 1024.0)
    }
}

impl Desk {
    /// Seconds of a processor that it has used.
    fn processor_s(&self) -> Result<f64> {
        let id = self.child.id().ok_or_else(|| Error::Tool("the program has ended".to_owned()))?;
        let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // Behind the name, which may hold blanks: the 12th and 13th field, in hundredths of a second.
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |place: usize| fields.get(place).and_then(|f| f.parse::<f64>().ok());
        let used = ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / 100.0);
        used.ok_or_else(|| Error::Tool("the program's use of the processor can't be read".to_owned()))
    }
}

impl Served<'_> {
    pub(crate) async fn measure(&self) -> Result<Vec<Line>> {
        let mut config = store::Config::from_url(&self.url)?;
        config.pool_size = 20;
        let on = Store::open(&config).await?;
        let pairs = looked_at(self.size, LOOKED_AT);
        let mut tokens = Vec::new();
        for (_, me) in &pairs {
            let session = accounts::begin_session(&on, &Actor::service(), *me).await;
            tokens.push(session.map_err(|e| Error::Tool(e.to_string()))?.0);
        }
        let desk = Desk::start(&self.url, &self.folder.join(format!("desk-{}", self.engine))).await?;
        let reads: Vec<Vec<u8>> = pairs
            .iter()
            .zip(&tokens)
            .map(|((task, _), token)| request("GET", &format!("/v1/tasks/{task}"), token, None))
            .collect();
        let body = r#"{"title": "a task through HTTP"}"#;
        let creates: Vec<Vec<u8>> = tokens.iter().map(|t| request("POST", "/v1/tasks", t, Some(body))).collect();
        let (reads, creates, pairs, all_shown) =
            (Arc::new(reads), Arc::new(creates), Arc::new(pairs), Arc::new(tokens.clone()));
        let mut lines = Vec::new();
        for connections in [8, 32] {
            let (store, people, shown) = (on.clone(), Arc::clone(&pairs), Arc::clone(&all_shown));
            let read = move |caller: usize, count: usize| {
                let (store, pairs, shown) = (store.clone(), Arc::clone(&people), Arc::clone(&shown));
                async move {
                    let place = (caller + count) % pairs.len();
                    let (task, me) = pairs[place];
                    // Who asks is looked up for each request, and is a read of the store like the other.
                    accounts::session(&store, &shown[place]).await.map_err(failed)?;
                    domain::tasks::get(&store, &Actor::user(me), task).await.map(drop).map_err(failed)
                }
            };
            lines.extend(self.against(desk.address, connections, "read one task", &reads, "200", read).await?);
            let (store, people, shown) = (on.clone(), Arc::clone(&pairs), Arc::clone(&all_shown));
            let create = move |caller: usize, count: usize| {
                let (store, place, shown) = (store.clone(), (caller + count) % people.len(), Arc::clone(&shown));
                let me = people[place].1;
                async move {
                    accounts::session(&store, &shown[place]).await.map_err(failed)?;
                    made(&store, me).await
                }
            };
            lines.extend(self.against(desk.address, connections, "create a task", &creates, "201", create).await?);
        }
        lines.push(self.memory(&desk, &reads).await?);
        let reader = tokens.first().map(String::as_str).unwrap_or_default();
        lines.extend(pages::measure(desk.address, reader, self.engine).await?);
        let people: Vec<(Uuid, String)> = pairs.iter().map(|(_, me)| *me).zip(tokens).collect();
        lines.extend(streams::measure(&desk, &on, &people, self.engine).await?);
        on.close().await;
        Ok(lines)
    }

    async fn against<F, W>(
        &self,
        address: SocketAddr,
        connections: usize,
        what: &str,
        requests: &Arc<Vec<Vec<u8>>>,
        expected: &'static str,
        own: F,
    ) -> Result<[Line; 2]>
    where
        F: Fn(usize, usize) -> W + Clone + Send + 'static,
        W: Future<Output = Result<()>> + Send,
    {
        let mut times = Vec::new();
        let (ours, limit) = in_turn(
            self.plan,
            async || {
                let (per_second, took) =
                    load(address, connections, self.plan.length(), Arc::clone(requests), expected).await?;
                times.push(percentile(took, 0.99));
                Ok(per_second)
            },
            async || rate(connections, self.plan.length(), own.clone()).await,
        )
        .await?;
        let work = format!("HTTP over {}, {what}, {connections} connections", self.engine);
        let late = Line {
            work: format!("{work}: 99 % are answered within"),
            unit: "µs",
            ours: Series(times),
            against: "",
            limit: Series::default(),
            aim: Aim::Shown,
        };
        let many = Line {
            work,
            unit: "1/s",
            ours,
            against: "the store itself, with the look-up of the session",
            limit,
            aim: Aim::AtLeast(PART),
        };
        Ok([many, late])
    }

    /// What the program takes while many connections are open, each of which has asked something.
    async fn memory(&self, desk: &Desk, requests: &[Vec<u8>]) -> Result<Line> {
        let mut open = Vec::new();
        for n in 0..OPEN {
            let mut connection = Connection::open(desk.address).await?;
            connection.ask(&requests[n % requests.len()], "200").await?;
            open.push(connection);
        }
        let taken = desk.memory_mib()?;
        drop(open);
        Ok(Line {
            work: format!("HTTP over {}, memory with {OPEN} open connections", self.engine),
            unit: "MiB",
            ours: Series(vec![taken]),
            against: "",
            limit: Series::default(),
            aim: Aim::Under(MOST_MIB),
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn failed(e: domain::Error) -> Error {
    Error::Tool(e.to_string())
}

async fn made(store: &Store, me: Uuid) -> Result<()> {
    let new = NewTask::titled("a task of the store");
    domain::tasks::create(store, &Actor::user(me), new, "api", false).await.map(drop).map_err(failed)
}

/// Requests of `connections` at once for a time: how many a second, and how long each took in microseconds.
async fn load(
    address: SocketAddr,
    connections: usize,
    length: Duration,
    requests: Arc<Vec<Vec<u8>>>,
    expected: &'static str,
) -> Result<(f64, Vec<u64>)> {
    let mut open = Vec::new();
    for n in 0..connections {
        let mut connection = Connection::open(address).await?;
        connection.ask(&requests[n % requests.len()], expected).await?;
        open.push(connection);
    }
    let (began, mut running) = (Instant::now(), Vec::new());
    for (n, mut connection) in open.into_iter().enumerate() {
        let requests = Arc::clone(&requests);
        running.push(tokio::spawn(async move {
            let mut took = Vec::new();
            while began.elapsed() < length {
                let request = &requests[(n + took.len()) % requests.len()];
                took.push(connection.ask(request, expected).await?);
            }
            Ok::<_, Error>(took)
        }));
    }
    let mut all = Vec::new();
    for done in running {
        all.extend(done.await??);
    }
    Ok((as_f64(all.len()) / began.elapsed().as_secs_f64(), all))
}

/// The time within which this part of them was answered.
fn percentile(mut took: Vec<u64>, part: f64) -> f64 {
    took.sort_unstable();
    let count = as_f64(took.len());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    let place = ((count * part) as usize).min(took.len().saturating_sub(1));
    took.get(place).map_or(0.0, |micros| as_f64(usize::try_from(*micros).unwrap_or(usize::MAX)))
}

/// The data of the SQLite file is loaded under this name.
pub(crate) fn size(tasks: usize) -> Size {
    Size { name: "sqlite", tasks, logs: 0 }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn the_slowest_hundredth_is_left_out() {
        assert!((percentile((1..=200).collect(), 0.99) - 199.0).abs() < f64::EPSILON);
        assert!(percentile(Vec::new(), 0.99).abs() < f64::EPSILON);
    }
}
