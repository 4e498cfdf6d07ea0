//! How backups stand: what lies at the place, up to which moment anything comes back, and what is wrong with it. `doctor`
//! and the desk tell the same.

use backup::{Safe, bundle, claim::Whose, place::Lock, ship};
use jiff::{SignedDuration, Timestamp};
use store::{Target, backup::postgres as server};

use crate::{Error, Result, config::Config, output};

/// A newest backup older than this means that a night was missed.
const OLD: SignedDuration = SignedDuration::from_hours(26);
/// A segment that waits longer than this means that the place is away.
const WAITING: SignedDuration = SignedDuration::from_mins(10);
/// A write-ahead log larger than this is held by a reader, or nobody empties it.
const LARGE_LOG: u64 = 256 << 20;
/// A segment of PostgreSQL's log that is not full may wait so long, in seconds.
const LONGEST_TIMEOUT_S: u32 = 60;

/// How heavy a remark weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// As it should be.
    Well,
    /// Worth knowing.
    Note,
    /// Will be wrong unless somebody does something.
    Warning,
    /// Is wrong.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Remark {
    /// Which.
    pub what: &'static str,
    /// How it stands.
    pub weight: Weight,
    /// In words.
    pub said: String,
    /// What to do about it; empty where nothing is to be done, or the words say it.
    pub remedy: String,
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What lies at the place, or why it can't be looked at.
    pub found: std::result::Result<bundle::Found, String>,
    /// The newest moment that comes back if this machine is lost.
    pub newest: Option<Timestamp>,
    /// What was looked at.
    pub remarks: Vec<Remark>,
}

impl Kept {
    fn say(&mut self, what: &'static str, weight: Weight, said: impl Into<String>, remedy: impl Into<String>) {
        self.remarks.push(Remark { what, weight, said: said.into(), remedy: remedy.into() });
    }

    fn failed(&mut self, what: &'static str, error: &Error) {
        self.say(what, Weight::Wrong, error.line(), "");
    }
}

/// Looks at all of it, as the safe that is set reaches it. Of a server that is down only the place is told.
pub async fn look(config: &Config, safe: &Safe, is_up: bool) -> Kept {
    let found = safe.list().await.map_err(|e| e.to_string());
    let newest = found.as_ref().ok().and_then(|found| found.bundles.last()).map(|b| b.as_of);
    let mut kept = Kept { found, newest, remarks: Vec::new() };
    bundles(&safe.place.describe(), &mut kept);
    if is_up || config.sqlite_file().is_some() {
        owner(safe, &mut kept).await;
    }
    if !config.backups.is_chosen {
        kept.say(
            "backup place",
            Weight::Warning,
            "backups lie on the same disk as the data",
            "choose another disk or offsite storage with backup_target; see docs/backup.md",
        );
    }
    if let Some(lock) = safe.place.lock().await {
        let (weight, remedy) = match &lock {
            Lock::Kept { .. } => (Weight::Well, ""),
            Lock::Open => (Weight::Warning, "set a default retention on the bucket; see docs/backup.md"),
            Lock::Missing | Lock::Unknown(_) => (Weight::Note, "see docs/backup.md on object lock"),
        };
        kept.say("backup lock", weight, lock.to_string(), remedy);
    }
    match &config.database.target {
        Target::Sqlite(file) => log(config, file, &mut kept).await,
        Target::Postgres(_) if !is_up => {}
        Target::Postgres(_) => {
            role(config, &mut kept).await;
            match server::archive(&config.database).await {
                Ok(found) => archive(&found, &mut kept),
                Err(e) => kept.failed("archive", &Error::from(e)),
            }
        }
    }
    kept
}

fn bundles(place: &str, kept: &mut Kept) {
    let (weight, said, remedy) = match &kept.found {
        Err(e) => (Weight::Wrong, e.clone(), "mend the place, then see: steward backup setup"),
        Ok(found) => match found.bundles.last() {
            None => (
                Weight::Warning,
                format!("there is none at {place} yet"),
                "Steward makes one each night; or now: steward backup create",
            ),
            Some(newest) if store::now().duration_since(newest.as_of) > OLD => (
                Weight::Wrong,
                format!("the newest is of {}", output::time(newest.as_of)),
                "see why: steward schedule list; then: steward backup create",
            ),
            Some(newest) => (Weight::Well, format!("the newest is of {}, at {place}", output::time(newest.as_of)), ""),
        },
    };
    kept.say("backup", weight, said, remedy);
}

/// Whether the place is this database's.
async fn owner(safe: &Safe, kept: &mut Kept) {
    match safe.claim().whose().await {
        Ok(Whose::Own(since)) => {
            kept.say("backup owner", Weight::Well, format!("the place is this database's since {}", output::time(since)), "");
        }
        Ok(Whose::Nobodys) => {}
        Ok(Whose::Others(why)) => kept.say(
            "backup owner",
            Weight::Wrong,
            format!(
                "no backups are kept of this database: {} belongs to another one: {why}; nothing is written there and nothing removed",
                safe.place.describe()
            ),
            "name another place for this one (backup_target), or, where this one replaces the other for good, take the place over: steward backup setup --take-over",
        ),
        // A place that does not answer is told with what lies there.
        Err(e) if kept.found.is_err() => tracing::debug!(error = %e, "whose the place of the backups is can't be known"),
        Err(e) => kept.failed("backup owner", &Error::from(e)),
    }
}

/// SQLite's log: whether it is shipped, and keeps up.
async fn log(config: &Config, file: &std::path::Path, kept: &mut Kept) {
    let mut beside = file.as_os_str().to_owned();
    beside.push("-wal");
    let log_bytes = std::fs::metadata(beside).map_or(0, |m| m.len());
    if log_bytes > LARGE_LOG {
        kept.say(
            "backup log",
            Weight::Warning,
            format!("the database's write-ahead log has grown to {log_bytes} bytes"),
            "a program holds on to an old state of the file, or Steward does not run; close the one, start the other",
        );
    }
    if !config.ships_log() {
        return;
    }
    let folder = config.backup_dir();
    let standing = match tokio::task::spawn_blocking(move || ship::standing(&folder)).await {
        Ok(Ok(standing)) => standing,
        Ok(Err(e)) => return kept.failed("backup log", &Error::from(e)),
        Err(e) => return kept.failed("backup log", &Error::Internal(e.to_string())),
    };
    if !standing.is_followed {
        return kept.say(
            "backup log",
            Weight::Warning,
            "the log is not followed",
            "start Steward: it makes a copy and goes on from there",
        );
    }
    // What waits on this disk would go with it.
    if kept.found.is_ok() {
        kept.newest = standing.waiting_since.or(standing.last_commit_at).max(kept.newest);
    }
    match standing.waiting_since {
        Some(since) if store::now().duration_since(since) > WAITING => kept.say(
            "backup log",
            Weight::Wrong,
            format!("{} segments ({} bytes) wait since {}", standing.waiting, standing.waiting_bytes, output::time(since)),
            "the place does not take them: steward backup setup; nothing is lost until the spool is full (backup_spool_mb)",
        ),
        _ => {
            let said = standing.last_commit_at.map_or("shipped".to_owned(), |at| format!("shipped up to {at}"));
            kept.say("backup log", Weight::Well, said, "");
        }
    }
}

/// Who backs a PostgreSQL database up: a role that sees every row, of the same database.
async fn role(config: &Config, kept: &mut Kept) {
    let reading = config.backups.database.as_ref().unwrap_or(&config.database);
    let looked: Result<(String, bool)> = async {
        let role = server::reader(reading).await?;
        let is_same = config.backups.database.is_none() || server::is_same_database(&config.database, reading).await?;
        Ok((role, is_same))
    }
    .await;
    match looked {
        Ok((role, true)) => kept.say("backup role", Weight::Well, format!("{role} sees every row"), ""),
        Ok((_, false)) => kept.say(
            "backup role",
            Weight::Wrong,
            format!(
                "backup_database_url leads to {}, which is not the database that Steward works on ({})",
                reading.describe(),
                config.database.describe()
            ),
            "name the same server and database in it",
        ),
        Err(e) => kept.failed("backup role", &e),
    }
}

/// The archive of PostgreSQL's log: whether it keeps up, and how much of the newest work a lost disk would take along.
fn archive(found: &server::Archive, kept: &mut Kept) {
    if found.is_on && !found.is_failing {
        kept.newest = found.last_archived_at.max(kept.newest);
    }
    if let Some((what, remedy)) = found.trouble() {
        kept.say("archive", Weight::Wrong, what, remedy);
    } else if !found.is_on {
        kept.say(
            "archive",
            Weight::Note,
            "the server archives no log: what was written since the last backup goes with its disk",
            "set it up on the database's machine with: steward backup setup",
        );
    } else if found.timeout_s == 0 || found.timeout_s > LONGEST_TIMEOUT_S {
        kept.say(
            "archive",
            Weight::Warning,
            if found.timeout_s == 0 {
                "a segment is archived only when it is full, which may take hours".to_owned()
            } else {
                format!("up to {} s of work wait to be archived", found.timeout_s)
            },
            "set archive_timeout to 60 s or less, or run: steward backup setup",
        );
    } else {
        kept.say("archive", Weight::Well, format!("keeps up; at most {} s of work wait", found.timeout_s), "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_of_the_archive_has_its_weight() {
        let well = server::Archive {
            is_on: true,
            archived: 5,
            last_archived_at: Some(Timestamp::UNIX_EPOCH),
            failed: 0,
            last_failed_at: None,
            is_failing: false,
            waiting: 0,
            behind: SignedDuration::ZERO,
            timeout_s: 30,
        };
        let weight = |found: server::Archive| {
            let mut kept = Kept { found: Ok(bundle::Found::default()), newest: None, remarks: Vec::new() };
            archive(&found, &mut kept);
            kept.remarks[0].weight
        };
        assert_eq!(weight(well.clone()), Weight::Well);
        assert_eq!(weight(server::Archive { is_on: false, ..well.clone() }), Weight::Note);
        assert_eq!(weight(server::Archive { is_failing: true, failed: 3, waiting: 2, ..well.clone() }), Weight::Wrong);
        let behind = SignedDuration::from_secs(61);
        assert_eq!(weight(server::Archive { waiting: 2, behind, ..well.clone() }), Weight::Wrong);
        assert_eq!(weight(server::Archive { timeout_s: 0, ..well.clone() }), Weight::Warning);
        assert_eq!(weight(server::Archive { timeout_s: 300, ..well }), Weight::Warning);
    }
}
