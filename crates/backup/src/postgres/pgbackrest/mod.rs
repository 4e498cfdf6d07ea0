//! Continuous archiving and recovery to a moment, with pgBackRest as the engine: it is what Debian packages, encrypts its
//! repository (AES-256), checks every page it copies, and has done so for others for ten years.

mod configuration;
mod info;
mod restore;
mod setup;

use std::{path::Path, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    child::{Identity, run},
    programs, unusable,
};
use crate::{Error, Result};

pub use self::{
    configuration::{DEFAULT_FILE, Options},
    info::{Backup, Info},
    restore::{Recovered, Recovery},
    setup::{Plan, Standing},
};

const NAME: &str = "pgbackrest";
/// The oldest pgBackRest whose commands are spoken here.
const OLDEST: (u32, u32) = (2, 38);
/// How long a question to it may take.
const ASK_TIME: Duration = Duration::from_secs(120);
/// How long a backup may take.
const BACKUP_TIME: Duration = Duration::from_secs(24 * 3600);
/// A full backup that is older is followed by another full one, and not by a difference.
const FULL_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_hours(7 * 24);

/// A pgBackRest that was set up.
#[derive(Debug, Clone)]
pub struct PgBackRest {
    program: std::path::PathBuf,
    /// Its file of settings.
    pub file: std::path::PathBuf,
    /// Its name for this server.
    pub stanza: String,
    identity: Identity,
}

impl PgBackRest {
    /// What was set up earlier, by its file of settings; none where there is no such file.
    pub async fn open(file: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(Error::refused(format!(
                    "{} holds the pass phrase of the archive, and this user may not read it; run this command as its owner (the database's user) or as root",
                    file.display()
                )));
            }
            Err(e) => return Err(unusable(file, e)),
        };
        let stanza = configuration::stanza_of(&text).ok_or_else(|| {
            Error::refused(format!("{} names no stanza; set archiving up again: steward backup setup", file.display()))
        })?;
        let program = program().await?;
        Ok(Some(Self { program, file: file.to_owned(), stanza, identity: Identity::owner_of(file)? }))
    }

    /// Whose files it works on.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// A folder of its own below another that goes with its value, and in it the one to recover into. Blocking.
    pub fn room(&self, below: &Path) -> Result<(tempfile::TempDir, std::path::PathBuf)> {
        let folder = super::drill::folder(below, self.identity)?;
        let data = folder.path().join("data");
        Ok((folder, data))
    }

    /// One of its commands.
    fn command(&self, words: &[&str]) -> Result<std::process::Command> {
        let mut command = self.identity.command(&self.program)?;
        // Its settings are those of the file alone.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PGBACKREST_")) {
            command.env_remove(name);
        }
        command.arg(format!("--config={}", self.file.display())).arg(format!("--stanza={}", self.stanza)).args(words);
        Ok(command)
    }

    /// Asks the server to archive, and looks whether it arrives.
    pub async fn check(&self, stop: &CancellationToken) -> Result<()> {
        run(self.command(&["check"])?, "pgbackrest check", ASK_TIME, stop).await.map(drop)
    }

    /// Takes a backup: a full one where there is none or the last is older than a week, else what is different since it.
    /// Answers which.
    pub async fn back_up(&self, stop: &CancellationToken) -> Result<&'static str> {
        let info = self.info(stop).await?;
        let fresh = info
            .backups
            .iter()
            .rev()
            .find(|b| b.is_full)
            .is_some_and(|b| store::now().duration_since(b.ended_at) < FULL_EVERY);
        let kind = if fresh { "diff" } else { "full" };
        let command = self.command(&[&format!("--type={kind}"), "backup"])?;
        run(command, "pgbackrest backup", BACKUP_TIME, stop).await?;
        Ok(kind)
    }

    /// What the repository holds.
    pub async fn info(&self, stop: &CancellationToken) -> Result<Info> {
        let said = run(self.command(&["--output=json", "info"])?, "pgbackrest info", ASK_TIME, stop).await?;
        Info::read(&said, &self.stanza)
    }

    /// Looks at every file of the repository: whether each is there and is what was written.
    pub async fn verify(&self, stop: &CancellationToken) -> Result<()> {
        let said = run(self.command(&["verify"])?, "pgbackrest verify", BACKUP_TIME, stop).await?;
        if said.contains("status: error") {
            return Err(Error::failed(format!("the archive has damage: {}", said.trim())));
        }
        Ok(())
    }
}

/// The program, of a version that is known to do what is asked of it.
async fn program() -> Result<std::path::PathBuf> {
    let path = programs::on_path(NAME).ok_or_else(|| {
        Error::refused("archiving takes pgBackRest, and it is not installed; install it on the database's machine (Debian: apt install pgbackrest)")
    })?;
    let mut command = Identity::own()?.command(&path)?;
    command.arg("version");
    let said = run(command, "pgbackrest version", ASK_TIME, &CancellationToken::new()).await?;
    match version(&said) {
        Some(found) if found >= OLDEST => Ok(path),
        _ => Err(Error::refused(format!(
            "archiving takes pgBackRest {}.{} or newer; this is {}",
            OLDEST.0,
            OLDEST.1,
            said.trim()
        ))),
    }
}

/// `pgBackRest 2.45` or `pgBackRest 2.55.1` → (2, 45).
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.trim().strip_prefix("pgBackRest ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(super::version("pgBackRest 2.45\n"), Some((2, 45)));
        assert!(super::version("pgBackRest 2.55.1") > Some(super::OLDEST));
        assert!(super::version("pgBackRest 2.5") < Some(super::OLDEST));
        assert_eq!(super::version("something else"), None);
    }
}
