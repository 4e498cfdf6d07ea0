//! Everything in one process: opens what is needed, starts the parts, and ends them in order.

use std::{
    fs::{File, TryLockError},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use backup::{
    Attachments, Claim, Engine, Place,
    engine::SqliteEngine,
    ship::{Pace, Shipping},
};
use domain::accounts;
use store::{Actor, Store, Vault, migrate, task_queue};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tools::{Context, Limits, Supervisors};
use uuid::Uuid;
use workers::{
    archive_watch, briefings, employee::Employee, housekeeping, jobs::Jobs, library::Library, log_keeping,
    logs::LogQueue, notifier::Notifier, safekeeping, servers, silence, watching,
};

use crate::{Error, cli, config::Config, hands::Hands, looker::Looker, shared_disk};

/// Which parts run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    /// The desk and the API.
    Web,
    /// Watchers, servers, the employee, housekeeping.
    Work,
}

/// How long the parts may take to end.
const ENDING: Duration = Duration::from_secs(20);

/// Runs until the process is asked to stop.
pub async fn run(config: Config, logs: LogQueue, only: Option<Only>) -> Result<(), Error> {
    // From here on a signal ends Steward in order.
    let mut terminated = signal(SignalKind::terminate()).map_err(|e| Error::Internal(e.to_string()))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|e| Error::Internal(e.to_string()))?;
    let data_dir = config.data_dir.clone();
    let _lock = lock(&data_dir)?;
    // Before anything is made or migrated.
    let listener = match only {
        Some(Only::Work) => None,
        _ => Some(
            TcpListener::bind(config.listen)
                .await
                .map_err(|e| Error::Listen { address: config.listen.to_string(), reason: e.to_string() })?,
        ),
    };
    let tls = match config.tls.clone().filter(|_| listener.is_some()) {
        None => None,
        Some(files) => {
            Some(Arc::new(web::Tls::open(files).map_err(|e| Error::Config(format!("TLS can't be used: {e}")))?))
        }
    };
    let database = config.store_config()?;
    bring_up_to_date(&database).await?;
    warn_of_a_shared_disk(&config).await;
    // Before the first connection: each looks for the mark when it is opened.
    if let (Some(file), true) = (config.sqlite_file(), only != Some(Only::Web)) {
        if config.ships_log() {
            store::backup::ship(file)?;
        } else {
            store::backup::unship(file)?;
        }
    }
    let store = Store::open(&database).await?;
    let vault = cli::open_vault(&config, &store).await?;
    let node = node_name(&data_dir)?;
    let shutdown = CancellationToken::new();
    let mut parts = JoinSet::new();
    // Logs end last, so that they tell how the others ended.
    let logs_end = CancellationToken::new();
    let log_writer = tokio::spawn(logs.clone().write(store.clone(), logs_end.clone()));

    start_files(&mut parts, &store, &config, &shutdown)?;
    if only != Some(Only::Web) {
        start_work(&mut parts, &store, &vault, &config, &node, &logs, &shutdown).await?;
    }
    if let Some(listener) = listener {
        let address = listener
            .local_addr()
            .map_err(|e| Error::Listen { address: config.listen.to_string(), reason: e.to_string() })?;
        let state = web::State {
            store: store.clone(),
            vault: vault.clone(),
            hands: Arc::new(hands(&config).await?),
            version: env!("CARGO_PKG_VERSION"),
            allowed_hosts: config.allowed_hosts.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            playbooks: playbooks(&data_dir),
        };
        let (stop, is_tls) = (shutdown.clone(), tls.is_some());
        parts.spawn(async move {
            let served = match tls {
                Some(tls) => web::serve_tls(listener, state, tls, stop.clone()).await,
                None => web::serve(listener, state, stop.clone()).await,
            };
            if let Err(e) = served {
                tracing::error!(error = %e, "the desk ended; Steward stops");
                stop.cancel();
            }
        });
        greet(&store, address, is_tls).await?;
    }
    tracing::info!(node = %node, engine = store.engine_name(), "Steward is ready");
    let mut broken = false;
    tokio::select! {
        _ = terminated.recv() => println!("Stopping …"),
        _ = interrupted.recv() => println!("Stopping …"),
        () = shutdown.cancelled() => {}
        Some(ended) = parts.join_next() => {
            report(ended);
            broken = true;
        }
    }
    shutdown.cancel();
    let all = async {
        while let Some(ended) = parts.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(ENDING, all).await.is_err() {
        tracing::warn!("some parts did not end in time and were cut off; their work is taken up at the next start");
        parts.shutdown().await;
    }
    end_logs(logs_end, log_writer).await;
    store.close().await;
    if broken {
        return Err(Error::Internal("see the log; start it again, and work goes on where it stood".to_owned()));
    }
    Ok(())
}

/// Beside PostgreSQL's archive attachments go to the place of the backups by themselves: whichever parts run here, what is
/// brought to this node lies on this node's disk.
fn start_files(
    parts: &mut JoinSet<()>,
    store: &Store,
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    if config.sqlite_file().is_none() && config.backups.ships_log {
        let place = Place::open(&config.backups.target, &config.backups.access)?;
        let claim = Claim::new(place, Engine::of(&config.database), config.backup_dir());
        let attachments = Attachments::new(config.attachments_dir());
        let patience = Pace::default().patience;
        parts.spawn(safekeeping::ship_files(store.clone(), claim, attachments, patience, shutdown.clone()));
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the parts share just these")]
async fn start_work(
    parts: &mut JoinSet<()>,
    store: &Store,
    vault: &Vault,
    config: &Config,
    node: &str,
    logs: &LogQueue,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let run_dir = config.data_dir.join("run");
    make_private_dir(&run_dir)?;
    servers::reap(&run_dir).await;
    // The lock on the data directory says that no former worker of this node is left.
    let freed = task_queue::reclaim(&Actor::service(), store, Some(&format!("{node}/"))).await?;
    if !freed.is_empty() {
        tracing::warn!(count = freed.len(), "tasks that were under way when Steward ended abruptly are taken up again");
    }
    let settings = config.clone();
    let brains = tokio::task::spawn_blocking(move || settings.brains()).await;
    let brains = brains.map_err(|e| Error::Internal(e.to_string()))??;
    let (events, news) = mpsc::channel(1024);
    // The servers get a token of their own: they end after those who call them.
    let servers_end = CancellationToken::new();
    let context = Context { limits: Limits::default(), run_dir: Some(run_dir), events, shutdown: servers_end.clone() };
    let supervisors = Arc::new(Supervisors::new(context));
    let employee = Employee {
        store: store.clone(),
        supervisors: Arc::clone(&supervisors),
        library: Library::open(&config.data_dir.join("playbooks")),
        brains,
        vault: vault.clone(),
        logs: logs.clone(),
        node: node.to_owned(),
        lease: config.lease,
    };
    let news_end = CancellationToken::new();
    parts.spawn(servers::write_down(store.clone(), logs.clone(), news, news_end.clone()));
    parts.spawn(archive_watch::keep_watching(
        store.clone(),
        config.database.clone(),
        archive_watch::EVERY,
        shutdown.clone(),
    ));
    parts.spawn(safekeeping::keep_watching(store.clone(), safekeeping::LOOKING, shutdown.clone()));
    parts.spawn(watching::keep_watching(store.clone(), vault.clone(), logs.clone(), shutdown.clone()));
    parts.spawn(silence::run(store.clone(), shutdown.clone()));
    parts.spawn(briefings::run(store.clone(), shutdown.clone()));
    parts.spawn(Notifier::new(store.clone(), vault.clone()).run(shutdown.clone()));
    let mut safe = config.safe()?;
    if let Some(file) = config.sqlite_file().filter(|_| config.ships_log())
        && let Some(recipients) = safe.recipients.clone()
    {
        let shipping = Shipping::open(file, &config.backup_dir(), recipients, config.backups.spool_limit_bytes)?;
        let shipping = Arc::new(Mutex::new(shipping));
        safe.engine = Engine::Sqlite(SqliteEngine::new(file.to_owned()).with_shipping(Arc::clone(&shipping)));
        parts.spawn(safekeeping::ship_log(store.clone(), safe.clone(), shipping, shutdown.clone()));
    }
    let jobs = safekeeping::jobs(log_keeping::jobs(Jobs::standard(), config.log_keeping()), safe);
    parts.spawn(housekeeping::run(store.clone(), vault.clone(), jobs, config.remind_after, shutdown.clone()));
    let keeper = servers::keep_running(store.clone(), vault.clone(), supervisors, logs.clone(), servers_end.clone());
    let stop = shutdown.clone();
    parts.spawn(async move {
        let keeper = tokio::spawn(keeper);
        employee.run(stop).await;
        servers_end.cancel();
        report(keeper.await);
        news_end.cancel();
    });
    Ok(())
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(e) = ended
        && !e.is_cancelled()
    {
        tracing::error!(error = %e, "a part of Steward ended unexpectedly");
    }
}

async fn end_logs(end: CancellationToken, writer: JoinHandle<()>) {
    end.cancel();
    if tokio::time::timeout(Duration::from_secs(5), writer).await.is_err() {
        eprintln!("the last log lines could not be written in time");
    }
}

/// What the desk asks of the workers' knowledge.
async fn hands(config: &Config) -> Result<Hands, Error> {
    let settings = config.clone();
    let opened = tokio::task::spawn_blocking(move || (settings.brains(), settings.safe())).await;
    let (brains, safe) = opened.map_err(|e| Error::Internal(e.to_string()))?;
    // Whoever works with them stops the start where they are described wrongly; the desk only shows them.
    let brains = brains.unwrap_or_else(|e| {
        tracing::warn!(error = %e, "the language models can't be shown on the desk");
        None
    });
    Ok(Hands {
        library: Library::open(&config.data_dir.join("playbooks")),
        brains,
        models_file: config.models_file.clone(),
        config: config.clone(),
        looker: Arc::new(Looker::new(config.clone(), safe?)),
    })
}

/// The library, as the desk shows it.
fn playbooks(data_dir: &Path) -> web::Playbooks {
    let library = Library::open(&data_dir.join("playbooks"));
    web::Playbooks::new(move || {
        let entries = library.names().into_iter();
        entries
            .map(|e| web::PlaybookEntry {
                name: e.name,
                description: e.description,
                origin: e.origin,
                is_on: true,
                errors: e.errors,
            })
            .collect()
    })
}

/// Prints where the desk is, and on the first start the one-time link for set-up.
async fn greet(store: &Store, address: std::net::SocketAddr, is_tls: bool) -> Result<(), Error> {
    let scheme = if is_tls { "https" } else { "http" };
    println!("Steward {} is at {scheme}://{address}/", env!("CARGO_PKG_VERSION"));
    if accounts::needs_setup(store).await? {
        let token = accounts::new_setup_token(store).await?;
        println!("Set it up (this link works once, for 24 hours): {scheme}://{address}/setup/{token}");
        println!("or in another terminal: steward setup --username NAME --email ADDRESS");
    }
    if is_open_in_clear(address, is_tls) {
        tracing::warn!(
            %address,
            "the desk can be reached from other machines without TLS, so that passwords and tokens go in clear; set tls_certificate_file and tls_key_file, or put a TLS proxy before it"
        );
    }
    Ok(())
}

/// Whether passwords and tokens come to this address in clear, from other machines.
fn is_open_in_clear(address: std::net::SocketAddr, is_tls: bool) -> bool {
    !is_tls && !address.ip().to_canonical().is_loopback()
}

/// Migrates a database of this machine alone; one of a firm is migrated by its owner.
async fn bring_up_to_date(database: &store::Config) -> Result<(), Error> {
    match database.target {
        store::Target::Sqlite(_) => {
            let report = migrate::migrate(database).await?;
            if let Some(copy) = report.copy {
                tracing::info!(copy = %copy.display(), "the schema was brought up to date; the database as it was is kept in the copy");
            }
        }
        store::Target::Postgres(_) => migrate::require_current(database).await?,
    }
    Ok(())
}

/// Says so where the database's file lies on a disk that other machines share.
async fn warn_of_a_shared_disk(config: &Config) {
    if let Some(file) = config.sqlite_file().map(Path::to_owned) {
        let shared =
            tokio::task::spawn_blocking(move || shared_disk::kind(&file).map(|k| shared_disk::trouble(k, &file)));
        if let Ok(Some((trouble, remedy))) = shared.await {
            tracing::warn!(%remedy, "{trouble}");
        }
    }
}

/// Takes the data directory for this process; whoever comes second is told who was first.
pub(crate) fn lock(data_dir: &Path) -> Result<File, Error> {
    let path = data_dir.join("steward.lock");
    let unwritable = |e: std::io::Error| Error::DataDir { path: data_dir.to_owned(), reason: e.to_string() };
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut first = String::new();
            file.read_to_string(&mut first).map_err(unwritable)?;
            let pid = first.lines().next().unwrap_or_default().trim().to_owned();
            return Err(Error::InUse { path: data_dir.to_owned(), pid });
        }
        Err(TryLockError::Error(e)) => return Err(unwritable(e)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}\n{}", std::process::id(), web::instance()))
        .and_then(|()| file.sync_all())
        .map_err(unwritable)?;
    Ok(file)
}

/// The name of this node, the same at each start.
fn node_name(data_dir: &Path) -> Result<String, Error> {
    let path = data_dir.join("node");
    let unwritable = |e: std::io::Error| Error::DataDir { path: data_dir.to_owned(), reason: e.to_string() };
    match std::fs::read_to_string(&path) {
        Ok(name) if name.trim().parse::<Uuid>().is_ok() => Ok(name.trim().to_owned()),
        Ok(_) => {
            let name = Uuid::now_v7().to_string();
            std::fs::write(&path, &name).map_err(unwritable)?;
            Ok(name)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let name = Uuid::now_v7().to_string();
            std::fs::write(&path, &name).map_err(unwritable)?;
            Ok(name)
        }
        Err(e) => Err(unwritable(e)),
    }
}

fn make_private_dir(path: &PathBuf) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Error::DataDir { path: path.clone(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::is_open_in_clear;

    #[test]
    fn it_is_told_when_passwords_go_in_clear() {
        let warns = |address: &str, is_tls| is_open_in_clear(address.parse().unwrap(), is_tls);
        for address in ["0.0.0.0:8000", "192.0.2.1:8000", "[::]:8000", "[2001:db8::1]:8000"] {
            assert!(warns(address, false) && !warns(address, true), "{address}");
        }
        for address in ["127.0.0.1:8000", "127.8.8.8:1", "[::1]:8000", "[::ffff:127.0.0.1]:8000"] {
            assert!(!warns(address, false) && !warns(address, true), "{address}");
        }
    }
}
