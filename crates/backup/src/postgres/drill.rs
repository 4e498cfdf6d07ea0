//! The drill: the newest backup is put back into a scratch server, looked at from end to end, read by Steward as it would
//! be on the day, and removed again whatever happens.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use store::{
    Actor, Config, Store,
    backup::postgres::{drop_database, make_database},
    tasks, users,
};
use tokio_util::sync::CancellationToken;

use super::{
    bundle::{facts_of, restore},
    child::Identity,
    pgbackrest::{PgBackRest, Recovery},
    programs,
    scratch::Scratch,
    unusable,
    verify::{Against, Proof},
};
use crate::{Bundle, Error, Result};

/// The user that a scratch server runs as where Steward itself runs as root: who owns this.
const SERVERS_HOME: &str = "/var/lib/postgresql";
/// The database in a scratch server.
const DATABASE: &str = "steward_drill";
/// Rows that are read as Steward reads them.
const PAGE: i64 = 50;

/// What a drill showed.
#[derive(Debug)]
pub struct Drilled {
    /// What was restored: a bundle's id, or a backup of the archive.
    pub from: String,
    /// Everything up to here came back.
    pub newest: Timestamp,
    /// How long it took from nothing to a Steward that answers.
    pub took: Duration,
    /// What was looked at, and what is wrong.
    pub proof: Proof,
}

/// Restores a bundle into a scratch server of its own below `room` (as root: below the folder of temporary files), or, where the server's programs are not installed,
/// into a scratch database beside the live one.
pub async fn drill(bundle: &Bundle, live: &Config, room: &Path, stop: &CancellationToken) -> Result<Drilled> {
    let facts = facts_of(bundle).await?;
    if programs::of_version("initdb", facts.server_major).is_err() {
        return beside(bundle, live, stop).await;
    }
    let began = Instant::now();
    let owner = server_user()?;
    // Where this process is root the server is another user's, whom root's own folders do not let in.
    let others = std::env::temp_dir();
    let room = if Identity::own()? == owner { room } else { others.as_path() };
    let folder = folder(room, owner)?;
    let data = folder.path().join("data");
    make_folder(&data, owner)?;
    let mut scratch = Scratch::make(&data, owner, facts.server_major, stop).await?;
    let config = scratch.config(DATABASE)?;
    let drilled = tried(bundle, &config, began, stop).await;
    let stopped = scratch.stop().await;
    let drilled = drilled?;
    stopped?;
    folder.close().map_err(|e| unusable(room, e))?;
    Ok(drilled)
}

/// Recovers the archive to its end below `room`, and compares it with what an earlier backup says of itself.
pub async fn drill_archive(
    engine: &PgBackRest,
    database: &str,
    against: &Against,
    room: &Path,
    stop: &CancellationToken,
) -> Result<Drilled> {
    let began = Instant::now();
    let folder = folder(room, engine.identity())?;
    let back = engine.recover(&Recovery { into: folder.path().join("data"), to: None }, stop).await?;
    let work = async {
        let proof = back.prove(database, against, stop).await?;
        read(&back.config(database)?).await?;
        let reached = back.reached().await?;
        let newest = reached.or(proof.facts.chain_head_at).unwrap_or(proof.facts.at);
        Ok(Drilled { from: back.backup.clone(), newest, took: began.elapsed(), proof })
    };
    let drilled: Result<Drilled> = work.await;
    let stopped = back.stop().await;
    let drilled = drilled?;
    stopped?;
    folder.close().map_err(|e| unusable(room, e))?;
    Ok(drilled)
}

/// A scratch database on the live server, dropped again whatever happens.
async fn beside(bundle: &Bundle, live: &Config, stop: &CancellationToken) -> Result<Drilled> {
    let began = Instant::now();
    let config = live.with_database(&format!("{DATABASE}_{}", uuid::Uuid::now_v7().simple()));
    make_database(&config).await.map_err(|e| {
        Error::refused(format!(
            "the drill takes PostgreSQL's own programs on this machine (Debian: apt install postgresql-{}), or a role that may make a database beside the live one: {e}",
            bundle.manifest().facts.server_version.split(['.', ' ']).next().unwrap_or("15")
        ))
    })?;
    let drilled = tried(bundle, &config, began, stop).await;
    let dropped = drop_database(&config).await;
    let drilled = drilled?;
    dropped?;
    Ok(drilled)
}

async fn tried(bundle: &Bundle, config: &Config, began: Instant, stop: &CancellationToken) -> Result<Drilled> {
    let restored = restore(bundle, config, false, None, stop).await?;
    read(config).await?;
    let manifest = bundle.manifest();
    Ok(Drilled {
        from: manifest.id.clone(),
        newest: manifest.facts.as_of,
        took: began.elapsed(),
        proof: restored.proof,
    })
}

/// Steward reads from it as on any day, and can change nothing.
async fn read(config: &Config) -> Result<()> {
    let store = Store::open(&config.read_only()).await?;
    let service = Actor::service();
    let work = async {
        users::people_with_role(&service, &store, "admin").await?;
        tasks::list(&service, &store, None, None, PAGE).await?;
        store.ping().await
    };
    let read = work.await;
    store.close().await;
    Ok(read?)
}

/// A folder of its own that goes with its value.
pub(super) fn folder(room: &Path, owner: Identity) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("steward-scratch-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(room)
        .map_err(|e| unusable(room, e))?;
    owner.give(folder.path())?;
    Ok(folder)
}

fn make_folder(path: &PathBuf, owner: Identity) -> Result<()> {
    std::fs::create_dir(path).map_err(|e| unusable(path, e))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(|e| unusable(path, e))?;
    owner.give(path)
}

/// Who a scratch server runs as: PostgreSQL refuses to run as root.
fn server_user() -> Result<Identity> {
    let own = Identity::own()?;
    if own.uid != 0 {
        return Ok(own);
    }
    match Identity::owner_of(Path::new(SERVERS_HOME)) {
        Ok(owner) if owner.uid != 0 => Ok(owner),
        _ => Err(Error::refused(format!(
            "PostgreSQL does not run as root, and nobody owns {SERVERS_HOME} whom a scratch server could run as; run the drill as another user"
        ))),
    }
}
