//! Recovery to a moment: a full backup and the log behind it, into a new folder, never over one that holds something.

use std::{
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use store::{
    Config,
    backup::postgres::{last_replayed, set_apart},
};
use tokio_util::sync::CancellationToken;

use super::{BACKUP_TIME, PgBackRest, configuration::value_of};
use crate::{
    Error, Result,
    postgres::{
        child::run,
        scratch::Scratch,
        unusable,
        verify::{Against, Proof, prove},
    },
};

/// What is recovered, and whereto.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// A folder that does not exist or is empty.
    pub into: PathBuf,
    /// Everything committed up to this moment; without one, everything the archive holds.
    pub to: Option<Timestamp>,
}

/// A recovered server, which runs where nobody else reaches it until it is stopped.
#[derive(Debug)]
pub struct Recovered {
    pub(crate) server: Scratch,
    /// Where its data lies.
    pub data: PathBuf,
    /// pgBackRest's name for the backup it began from.
    pub backup: String,
    /// How long it took until it took commands.
    pub took: Duration,
}

impl Recovered {
    /// How one of its databases is reached, as its superuser.
    pub fn config(&self, database: &str) -> Result<Config> {
        self.server.config(database)
    }

    /// When the last commit was made that was recovered.
    pub async fn reached(&self) -> Result<Option<Timestamp>> {
        Ok(last_replayed(&self.server.config("postgres")?).await?)
    }

    /// Looks at everything in one of its databases: see [`Proof`].
    pub async fn prove(&self, database: &str, against: &Against, stop: &CancellationToken) -> Result<Proof> {
        prove(&self.server.config(database)?, None, against, stop).await
    }

    /// Stops the server; its data stays.
    pub async fn stop(mut self) -> Result<()> {
        self.server.stop().await
    }
}

impl PgBackRest {
    /// Recovers into a new folder, starts the server there for itself alone, and waits until it has come to the moment.
    pub async fn recover(&self, recovery: &Recovery, stop: &CancellationToken) -> Result<Recovered> {
        let began = std::time::Instant::now();
        let into = &recovery.into;
        let held = self.info(stop).await?;
        let backup = match recovery.to {
            Some(moment) => {
                held.before(moment).ok_or_else(|| too_early(moment, held.backups.first().map(|b| b.ended_at)))?
            }
            None => held.backups.last().ok_or_else(|| too_early(Timestamp::MAX, None))?,
        };
        if recovery.to.is_some_and(|moment| moment > store::now() + SignedDuration::from_secs(1)) {
            return Err(Error::refused("the moment lies ahead; nothing was restored"));
        }
        self.make_room(into)?;
        let mut words = vec![
            format!("--pg1-path={}", into.display()),
            format!("--set={}", backup.label),
            // A copy that archived would write among the original's own log.
            "--archive-mode=off".to_owned(),
        ];
        if let Some(moment) = recovery.to {
            // The server's clock has microseconds; what is finer would be rounded, perhaps up.
            let moment = moment.strftime("%Y-%m-%d %H:%M:%S%.6f+00");
            words.extend([
                "--type=time".to_owned(),
                format!("--target={moment}"),
                "--target-action=promote".to_owned(),
            ]);
        }
        words.push("restore".to_owned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run(self.command(&words)?, "pgbackrest restore", BACKUP_TIME, stop).await?;
        let mut server = Scratch::of(into, self.identity, &self.superuser()?)?;
        server.start(&[], stop).await.map_err(|e| why(e, recovery))?;
        // Else it would keep its backups where the original does, and each would take the other's for its own.
        set_apart(&server.config("postgres")?).await?;
        Ok(Recovered { server, data: into.clone(), backup: backup.label.clone(), took: began.elapsed() })
    }

    fn superuser(&self) -> Result<String> {
        let text = std::fs::read_to_string(&self.file).map_err(|e| unusable(&self.file, e))?;
        Ok(value_of(&text, "pg1-user").unwrap_or_else(|| "postgres".to_owned()))
    }

    /// The folder, empty and the database user's.
    fn make_room(&self, into: &Path) -> Result<()> {
        if !into.is_absolute() {
            return Err(Error::refused(format!("{} must be an absolute path", into.display())));
        }
        match std::fs::read_dir(into).map(Iterator::count) {
            Ok(0) => {}
            Ok(_) => {
                return Err(Error::refused(format!(
                    "{} is not empty; a recovery never goes over what is there: name a new folder, or move this one away; nothing was changed",
                    into.display()
                )));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                std::fs::DirBuilder::new().mode(0o700).create(into).map_err(|e| unusable(into, e))?;
            }
            Err(e) => return Err(unusable(into, e)),
        }
        std::fs::set_permissions(into, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .map_err(|e| unusable(into, e))?;
        self.identity.give(into)
    }
}

/// Why the recovered server does not start, where that can be told better than by its log.
fn why(error: Error, recovery: &Recovery) -> Error {
    let said = error.to_string();
    if said.contains("recovery ended before configured recovery target was reached") {
        let last =
            said.split("last completed transaction was at log time ").nth(1).and_then(|rest| rest.lines().next());
        let ends = last.map_or_else(String::new, |at| format!(": the last commit in it is of {at}"));
        let moment = recovery.to.map(|m| m.to_string()).unwrap_or_default();
        return Error::refused(format!(
            "the archive does not reach to {moment}{ends}; remove {} and restore to that moment, or without --to for everything there is",
            recovery.into.display()
        ));
    }
    error
}

fn too_early(moment: Timestamp, first: Option<Timestamp>) -> Error {
    match first {
        Some(first) => Error::refused(format!(
            "{moment} lies before the oldest moment that can be recovered, {first}; nothing was restored"
        )),
        None => Error::refused("the archive holds no backup yet; make one with: steward backup setup"),
    }
}
