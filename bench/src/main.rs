//! Steward's store against the limit of the databases under it, on the same statements and data in the same run:
//! pgbench for PostgreSQL, rusqlite for SQLite. See README.md.

mod cluster;
mod copy;
mod data;
mod error;
mod http;
mod measure;
mod pgbench;
mod plans;
mod postgres;
mod report;
mod sqlite;
mod wake;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    cluster::Cluster,
    copy::Copying,
    data::Size,
    error::Result,
    http::Served,
    measure::{Line, Plan},
    postgres::{FULL_IN_BOTH, PAGE, Postgres},
    sqlite::Sqlite,
    wake::Place,
};

/// Steward against the limit of its databases.
#[derive(Debug, Parser)]
struct Arguments {
    /// 10,000 tasks and 50,000 lines at most, rounds of a second: to try it.
    #[arg(long)]
    quick: bool,
    /// 1,000,000 tasks and 5,000,000 lines over 1,000 users (the default).
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Tasks of the big database, and five times as many lines, in place of a million.
    #[arg(long, value_name = "N", conflicts_with = "quick", value_parser = clap::value_parser!(u32).range(20_000..10_000_000))]
    tasks: Option<u32>,
    /// How often both sides of a line take their turn.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..100))]
    rounds: Option<u16>,
    /// How long a turn is.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..100))]
    seconds: Option<u16>,
    /// Millions of bytes of the SQLite file that is copied beside writers (copy): 1000, or 50 with --quick.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(10..100_000))]
    copy_mb: Option<u64>,
    /// One part alone: read, page, create, claim, logs, verify, plans, sqlite, wake, http, copy. The results file stays as it is.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Where the table goes; by default results/latest.md beside this program's sources.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Arguments {
    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A thousand streams are as many open files.
    if let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE)
        && now < most
        && let Err(e) = setrlimit(Resource::RLIMIT_NOFILE, most, most)
    {
        eprintln!("bench: no more than {now} files can be opened at once ({e})");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("bench: the runtime can't be started: {e}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let began = Instant::now();
    let plan = if arguments.quick { Plan { rounds: 3, seconds: 1 } } else { Plan { rounds: 5, seconds: 4 } };
    let plan = Plan {
        rounds: arguments.rounds.map_or(plan.rounds, usize::from),
        seconds: arguments.seconds.map_or(plan.seconds, u64::from),
    };
    let small = if arguments.quick {
        Size { name: "small", tasks: 1_000, logs: 5_000 }
    } else {
        Size { name: "small", tasks: 10_000, logs: 50_000 }
    };
    let big = if arguments.quick {
        Size { name: "big", tasks: 10_000, logs: 50_000 }
    } else {
        let tasks = arguments.tasks.and_then(|tasks| usize::try_from(tasks).ok()).unwrap_or(1_000_000);
        Size { name: "big", tasks, logs: tasks * 5 }
    };
    let folder = tempfile::Builder::new().prefix("steward-bench-").tempdir()?;
    let file = folder.path().join("steward.db");
    let cluster = Cluster::start()?;
    let machine = report::machine(&postgres::version(&cluster).await?);
    println!("{machine}");
    let mut lines = Vec::new();
    let mut plans = plans::Report::default();
    if ["sqlite", "wake", "plans", "http"].into_iter().any(|part| arguments.wants(part)) {
        let tasks = if arguments.quick { 10_000 } else { 100_000 };
        data::load_sqlite(&file, tasks).await?;
        println!("SQLite: {tasks} tasks loaded after {} s", began.elapsed().as_secs());
    }
    if !matches!(arguments.only.as_deref(), Some("sqlite" | "copy")) {
        for size in [small, big] {
            data::load(&cluster, size).await?;
            println!(
                "PostgreSQL: {} tasks, {} lines loaded after {} s",
                size.tasks,
                size.logs,
                began.elapsed().as_secs()
            );
        }
        let waiting = if arguments.quick { 1_000 } else { 100_000 };
        on_postgres(arguments, &Postgres { cluster: &cluster, small, big, plan, waiting }, &mut lines).await?;
        if arguments.wants("plans") {
            plans = plans::check(&cluster, small, big, &file).await?;
            for wrong in &plans.wrong {
                println!("plans: {wrong}");
            }
        }
    }
    on_sqlite(arguments, &file, plan, &mut lines).await?;
    if arguments.wants("copy") {
        let size_mb = arguments.copy_mb.unwrap_or(if arguments.quick { 50 } else { 1_000 });
        add(&mut lines, Copying { folder: folder.path(), size_mb, plan }.measure().await?);
    }
    if arguments.wants("http") {
        let tasks = if arguments.quick { 10_000 } else { 100_000 };
        let sides = [
            ("PostgreSQL", cluster.url(big.name), big),
            ("SQLite", format!("sqlite://{}", file.display()), http::size(tasks)),
        ];
        for (engine, url, size) in sides {
            add(&mut lines, Served { engine, url, size, folder: folder.path(), plan }.measure().await?);
        }
    }
    if arguments.wants("wake") {
        wake(&cluster, &file, plan, &mut lines).await?;
    }
    if arguments.only.is_none() || arguments.out.is_some() {
        let out = arguments
            .out
            .clone()
            .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join("latest.md"));
        let size = match arguments.tasks {
            _ if arguments.quick => "--quick".to_owned(),
            None => "--full".to_owned(),
            Some(tasks) => format!("--tasks {tasks}"),
        };
        let head = report::Head {
            taken: store::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            command: format!("cargo run --release -p bench -- {size}"),
            took: began.elapsed(),
            machine: &machine,
            plan,
        };
        let wrong: Vec<String> = plans.wrong.iter().map(|wrong| format!("- **wrong**: {wrong}\n")).collect();
        report::write(&out, &head, &lines, &format!("{}\n{}", wrong.concat(), plans.table))?;
        println!("written to {}", out.display());
    }
    plans::verdict(&plans)
}

/// Keeps a row and says it at once.
fn add(lines: &mut Vec<Line>, found: impl IntoIterator<Item = Line>) {
    for line in found {
        report::say(&line);
        lines.push(line);
    }
}

async fn on_postgres(arguments: &Arguments, side: &Postgres<'_>, lines: &mut Vec<Line>) -> Result<()> {
    if arguments.wants("read") {
        add(lines, [side.read(1, 0.85).await?, side.read(8, 0.65).await?]);
    }
    if arguments.wants("page") {
        add(lines, [side.page_growth(None, PAGE).await?, side.page_growth(None, FULL_IN_BOTH).await?]);
        add(lines, [side.page_growth(Some("completed"), PAGE).await?]);
        add(lines, side.page_against_unguarded(8).await?);
    }
    // What counts rows of the load comes before what adds some.
    if arguments.wants("verify") {
        add(lines, [side.verify().await?]);
    }
    if arguments.wants("create") {
        add(lines, [side.create(8).await?]);
    }
    if arguments.wants("claim") {
        add(lines, side.claim().await?);
    }
    if arguments.wants("logs") {
        add(lines, [side.logs().await?]);
    }
    Ok(())
}

async fn on_sqlite(arguments: &Arguments, file: &Path, plan: Plan, lines: &mut Vec<Line>) -> Result<()> {
    if arguments.wants("sqlite") {
        let tasks = if arguments.quick { 10_000 } else { 100_000 };
        let side = Sqlite { path: file, size: Size { name: "sqlite", tasks, logs: 0 }, plan };
        add(lines, [side.read(1, false).await?, side.read(8, false).await?]);
        add(lines, [side.read(1, true).await?, side.read(8, true).await?]);
        add(lines, side.writes().await?);
    }
    Ok(())
}

async fn wake(cluster: &Cluster, file: &Path, plan: Plan, lines: &mut Vec<Line>) -> Result<()> {
    let times = plan.rounds * 20;
    // A database of its own: in the others work waits for the agent already.
    let size = Size { name: "wake", tasks: 1_000, logs: 1_000 };
    data::load(cluster, size).await?;
    let mut config = store::Config::from_url(&cluster.url(size.name))?;
    config.pool_size = 4;
    for place in [Place::Same, Place::Other] {
        add(lines, [wake::latency(&config, times, place).await?]);
    }
    let config = store::Config::from_url(&format!("sqlite://{}", file.display()))?;
    for place in [Place::Same, Place::Other] {
        add(lines, [wake::latency(&config, times, place).await?]);
    }
    Ok(())
}
