//! Whose a place is. It belongs to one database, which alone writes there, ships its log there, and lets go of what is old:
//! of two that did, each would take the other's backups for its own. Who the owner is stands at the place (`owner.json`).
//!
//! A database is known by what a restore does not carry along: on PostgreSQL by the server and the database in it, on SQLite
//! by a file beside it ([`file`]). That a folder or a machine was copied with all that lies in it shows in the **turn**: it
//! changes each time the owner begins to write, and whoever does not know the last one is not who wrote last. A PostgreSQL
//! server that was copied whole is told from its original by how far their logs have come, and so only where the copy's has
//! not come further: a copy that is to work is told so first (docs/backup.md).

mod file;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::backup::postgres::{Incarnation, incarnation};

use self::file::{Known, new_word};
pub(crate) use self::file::{is_copy, restored};
use crate::{
    Engine, Error, Place, Result, bundle,
    error::joined,
    files::make_folder,
    ship::{self, Followed},
};

/// The owner's name at a place.
const NAME: &str = "owner.json";
/// Bytes of it at most.
const BYTES: usize = 64 * 1024;
/// The form that this program writes.
const FORMAT: u32 = 1;
/// How long what was seen of the owner counts for a loop that writes all the time.
const FRESH: Duration = Duration::from_secs(60);
/// Held while the turn changes, beside what waits for the place.
const LOCK: &str = "place.lock";

/// Who owns a place, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// See [`FORMAT`].
    format: u32,
    /// Which database.
    pub id: String,
    turn: Turn,
    /// `PostgreSQL` or `SQLite`.
    pub engine: String,
    /// Since when it has the place.
    pub since: Timestamp,
    /// When it last began to write.
    pub written_at: Timestamp,
}

/// What the owner alone knows, or has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Turn {
    /// A word that stands beside the owner's file too.
    Word(String),
    /// How far the owner's log had come: on one timeline it never goes back, and a standby that takes over begins another.
    Log { timeline: u32, position: u64 },
}

/// Whose a place is, for a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Nobody's: the first that writes there has it.
    Nobodys,
    /// Its own, since then.
    Own(Timestamp),
    /// Another one's: why it is not its own.
    Others(String),
}

/// A database's right to write at a place.
#[derive(Debug, Clone)]
pub struct Claim {
    place: Place,
    engine: Engine,
    /// Where what waits for the place lies.
    folder: PathBuf,
    /// When the place was last seen to be its own, by this and its clones.
    seen: Arc<Mutex<Option<Instant>>>,
}

/// A database, as it is known.
enum Myself {
    File(Known),
    Server(Incarnation),
}

impl Claim {
    /// Of this database; `folder` is where what waits for the place lies.
    pub fn new(place: Place, engine: Engine, folder: PathBuf) -> Self {
        Self { place, engine, folder, seen: Arc::default() }
    }

    /// The place.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whose the place is. Changes nothing.
    pub async fn whose(&self) -> Result<Whose> {
        let _turn = self.lock().await?;
        let (owner, me) = self.both().await?;
        self.judge(&me, owner.as_ref()).await
    }

    /// The owner, and then this database: another node's turn that stands at the place by now is known to the database that
    /// is asked after it. (On one machine the lock holds both together.)
    async fn both(&self) -> Result<(Option<Owner>, Myself)> {
        let owner = self.owner().await?;
        Ok((owner, self.me().await?))
    }

    /// Begins to write: takes a place that is nobody's, goes on with its own, and is refused where it is another one's.
    pub async fn take(&self) -> Result<()> {
        let _turn = self.lock().await?;
        let (owner, me) = self.both().await?;
        match self.judge(&me, owner.as_ref()).await? {
            Whose::Others(why) => Err(self.refused(why)),
            Whose::Own(since) => self.write(me, owner, since).await,
            Whose::Nobodys => self.write(me, None, store::now()).await,
        }
    }

    /// Is refused where the place is not its own any more.
    pub async fn check(&self) -> Result<()> {
        match self.whose().await? {
            Whose::Others(why) => Err(self.refused(why)),
            Whose::Own(_) | Whose::Nobodys => Ok(()),
        }
    }

    /// Is refused where the archive of the server's log may be another server's: that of one which was recovered from it,
    /// until it has taken the place of the backups over.
    pub async fn check_archive(&self) -> Result<()> {
        let _turn = self.lock().await?;
        let (owner, me) = self.both().await?;
        match (self.judge(&me, owner.as_ref()).await?, &me) {
            (Whose::Others(why), _) => Err(self.refused(why)),
            (Whose::Nobodys, Myself::Server(server)) if server.is_recovered => {
                Err(self
                    .refused("this server was recovered from an archive that the original may go on with".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// For a loop that writes all the time: begins to write where it has not, and looks once a minute that the place is
    /// still its own.
    pub async fn hold(&self) -> Result<()> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Some(at) if at.elapsed() < FRESH => return Ok(()),
            Some(_) => self.check().await?,
            None => self.take().await?,
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// Takes the place from whoever has it; answers who had it, none where it was its own or nobody's. What lies there stays,
    /// and is let go by the counts like its own. What waits here for the place goes: another may have gone on with it.
    pub async fn take_over(&self) -> Result<Option<Owner>> {
        let _turn = self.lock().await?;
        let (owner, me) = self.both().await?;
        match self.judge(&me, owner.as_ref()).await? {
            Whose::Own(_) => return Ok(None),
            // Nobody has gone on with what waits here.
            Whose::Nobodys => {}
            Whose::Others(_) => {
                let folder = self.folder.clone();
                joined(tokio::task::spawn_blocking(move || ship::forget(&folder)).await)?;
            }
        }
        self.write(me, None, store::now()).await?;
        Ok(owner)
    }

    fn refused(&self, why: String) -> Error {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Error::NotOwn { place: self.place.describe(), why }
    }

    async fn me(&self) -> Result<Myself> {
        match &self.engine {
            Engine::Sqlite(engine) => {
                let path = engine.path().to_owned();
                Ok(Myself::File(joined(tokio::task::spawn_blocking(move || Known::read(&path)).await)?))
            }
            Engine::Postgres(server) => Ok(Myself::Server(incarnation(&server.live).await?)),
        }
    }

    async fn owner(&self) -> Result<Option<Owner>> {
        let bytes = match self.place.get_bytes(NAME, BYTES).await {
            Ok(bytes) => bytes,
            Err(Error::Missing { .. }) => return Ok(None),
            Err(e) => return Err(e),
        };
        let owner: Owner = serde_json::from_slice(&bytes).map_err(|e| {
            Error::refused(format!(
                "{NAME} at {} can't be read ({e}), so whose the place is can't be known; nothing was written there; bring it back as it was, or, where this database alone keeps its backups there, remove it",
                self.place.describe()
            ))
        })?;
        if owner.format > FORMAT {
            return Err(Error::refused(format!(
                "the owner of {} was noted by a newer Steward; use that version or newer; nothing was written there",
                self.place.describe()
            )));
        }
        Ok(Some(owner))
    }

    async fn judge(&self, me: &Myself, owner: Option<&Owner>) -> Result<Whose> {
        let Some(owner) = owner else { return self.judge_unowned(me).await };
        let others = |why: String| Ok(Whose::Others(why));
        let (id, turn) = match me {
            Myself::File(known) => (&known.id, None),
            Myself::Server(server) => (&server.id, server.timeline.zip(server.position)),
        };
        if *id != owner.id {
            return others(format!(
                "since {:.0} another {} database keeps its backups there (this one may have been restored, copied or moved from it)",
                owner.since, owner.engine
            ));
        }
        match (me, &owner.turn) {
            (Myself::File(known), _) if known.is_copy => {
                others("this folder is a copy of the one whose database keeps its backups there".to_owned())
            }
            (Myself::File(known), Turn::Word(word)) if !known.turns.contains(word) => others(format!(
                "a copy of this folder, or of this machine, began to write there at {:.0}",
                owner.written_at
            )),
            (Myself::Server(_), Turn::Log { timeline, position })
                if turn.is_some_and(|now| now < (*timeline, *position)) =>
            {
                others(format!(
                    "a copy of this server began to write there at {:.0}, or this server was taken back to an earlier moment",
                    owner.written_at
                ))
            }
            _ => Ok(Whose::Own(owner.since)),
        }
    }

    /// A place whose owner nobody has noted yet: it is empty, or was made before owners were noted. Then whoever wrote the
    /// newest backup has it.
    async fn judge_unowned(&self, me: &Myself) -> Result<Whose> {
        let found = bundle::list(&self.place).await?;
        let Some(newest) = found.bundles.last() else { return Ok(Whose::Nobodys) };
        let others =
            |why: &str| Ok(Whose::Others(format!("its newest backup ({}) is another database's: {why}", newest.id)));
        let known = match me {
            Myself::Server(server) if server.is_recovered => {
                return others("this server was recovered from an archive");
            }
            Myself::Server(_) => return Ok(Whose::Nobodys),
            Myself::File(known) => known,
        };
        if known.is_restored || known.is_copy {
            return others("this one was restored or copied");
        }
        let Some(series) = &newest.log_series else { return Ok(Whose::Nobodys) };
        let folder = self.folder.clone();
        let of_bundles = |own: &String| found.bundles.iter().any(|b| b.log_series.as_ref() == Some(own));
        match joined(tokio::task::spawn_blocking(move || ship::followed(&folder)).await)? {
            Followed::Never => others("this one never shipped a log"),
            Followed::Series(own) if own != *series && of_bundles(&own) => others("its log began after this one's"),
            Followed::Series(_) | Followed::Broken => Ok(Whose::Nobodys),
        }
    }

    fn engine_name(&self) -> &'static str {
        match &self.engine {
            Engine::Sqlite(_) => "SQLite",
            Engine::Postgres(_) => "PostgreSQL",
        }
    }

    /// Notes the owner, with a turn that nobody else knows. Wherever it ends early, the owner knows the turn that stands.
    async fn write(&self, me: Myself, before: Option<Owner>, since: Timestamp) -> Result<()> {
        let (id, turn) = match &me {
            Myself::Server(server) => {
                let (Some(timeline), Some(position)) = (server.timeline, server.position) else {
                    return Err(Error::refused(
                        "the server is a standby, which can't be the owner of a place of backups; name the primary",
                    ));
                };
                (server.id.clone(), Turn::Log { timeline, position })
            }
            Myself::File(known) => {
                // A copy becomes a database of its own.
                let id = if known.is_copy { new_word() } else { known.id.clone() };
                (id, Turn::Word(new_word()))
            }
        };
        let owner = Owner {
            format: FORMAT,
            id: id.clone(),
            turn,
            engine: self.engine_name().to_owned(),
            since,
            written_at: store::now(),
        };
        let text = serde_json::to_vec_pretty(&owner).map_err(|e| Error::Internal(e.to_string()))?;
        let mut known = match (me, &owner.turn) {
            (Myself::File(known), Turn::Word(word)) => Some(Known { id, ..known }.with(word)),
            _ => None,
        };
        known = self.save(known).await?;
        self.place.put_bytes(NAME, Bytes::from(text)).await?;
        if let (Some(known), Some(Turn::Word(word))) = (&mut known, before.map(|owner| owner.turn)) {
            known.turns.retain(|turn| *turn != word);
        }
        self.save(known).await.map(drop)
    }

    async fn save(&self, known: Option<Known>) -> Result<Option<Known>> {
        let Some(known) = known else { return Ok(None) };
        let saved = tokio::task::spawn_blocking(move || known.save().map(|()| Some(known)));
        joined(saved.await)
    }

    /// One at a time on this machine: a command may begin to write beside a Steward that runs.
    async fn lock(&self) -> Result<File> {
        let folder = self.folder.clone();
        joined(tokio::task::spawn_blocking(move || lock(&folder)).await)
    }
}

fn lock(folder: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    make_folder(folder)?;
    let path = folder.join(LOCK);
    let open = || {
        let file =
            std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|e| Error::file(format!("{} can't be used", path.display()), e))
}
