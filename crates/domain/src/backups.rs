//! What is known of backups from how their schedules went: the words in which a drill is kept, and what is wrong.

use jiff::{SignedDuration, Timestamp};
use store::{
    Actor, Store,
    schedules::{Fire, Schedule},
    system_logs::{self, LogLine, NewLogLine},
};

use crate::{
    Result,
    schedules::{next_of, was_cancelled},
};

/// The schedule that makes backups.
pub const BACKUP: &str = "backup";
/// The schedule that tries the newest one out.
pub const DRILL: &str = "backup-drill";
/// A run that is missing for longer than this after its time is missed.
const GRACE: SignedDuration = SignedDuration::from_hours(3);

/// A drill that went well, as its schedule keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// What was restored.
    pub bundle: String,
    /// The newest moment that could be had; whole seconds.
    pub as_of: Timestamp,
    /// Rows in all tables.
    pub rows: i64,
    /// Links of the audit chain.
    pub audit_links: i64,
    /// Attachments.
    pub attachments: u64,
    /// How long it took until the restored Steward could answer, in milliseconds (RTO).
    pub recovery_ms: u64,
    /// How old the newest moment was when the drill began, in seconds (RPO).
    pub age_s: i64,
}

impl std::fmt::Display for Drill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} restored to {:.0} and verified: {} rows, {} audit links, {} attachments; recovery took {} ms, its newest moment was {} s old",
            self.bundle, self.as_of, self.rows, self.audit_links, self.attachments, self.recovery_ms, self.age_s
        )
    }
}

impl Drill {
    /// Reads the words again; none where they are other words. What follows them is left.
    pub fn read(words: &str) -> Option<Self> {
        let (bundle, rest) = words.split_once(" restored to ")?;
        let (as_of, rest) = rest.split_once(" and verified: ")?;
        let (rows, rest) = rest.split_once(" rows, ")?;
        let (audit_links, rest) = rest.split_once(" audit links, ")?;
        let (attachments, rest) = rest.split_once(" attachments; recovery took ")?;
        let (recovery_ms, rest) = rest.split_once(" ms, its newest moment was ")?;
        let (age_s, _) = rest.split_once(" s old")?;
        Some(Self {
            bundle: bundle.to_owned(),
            as_of: as_of.parse().ok()?,
            rows: rows.parse().ok()?,
            audit_links: audit_links.parse().ok()?,
            attachments: attachments.parse().ok()?,
            recovery_ms: recovery_ms.parse().ok()?,
            age_s: age_s.parse().ok()?,
        })
    }
}

/// Something that is wrong with a job of backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub what: String,
    /// What to do.
    pub remedy: String,
    /// Of which kind.
    pub kind: Kind,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person switched it off.
    Paused,
    /// The one that fired at this moment failed.
    Failed(Timestamp),
    /// None ran when one was due.
    Missing,
}

/// What is wrong with a job of backups at `now`; `fires` are its latest ones, newest first, and `since` is from when on it
/// could have run at all.
pub fn trouble(schedule: &Schedule, fires: &[Fire], since: Timestamp, now: Timestamp) -> Result<Option<Trouble>> {
    let thing = if schedule.name == DRILL { "drill of the backups" } else { "backup" };
    let name = &schedule.name;
    if !schedule.is_active && schedule.run_by == "steward" {
        return Ok(Some(Trouble {
            what: format!("no {thing} runs by the clock: its schedule is paused"),
            remedy: format!("steward schedule set {name} --resume"),
            kind: Kind::Paused,
        }));
    }
    // Whoever broke one off knows; that none was made shows when one is missing.
    let mut ended = fires.iter().filter(|f| f.state != "started" && !was_cancelled(f));
    if let Some(last) = ended.next().filter(|f| f.state == "failed") {
        let why = last.result.as_deref().unwrap_or("it did not say why").trim_start_matches("failed: ");
        return Ok(Some(Trouble {
            what: format!("the last {thing} failed: {why}"),
            remedy: format!("mend what it says, then: steward schedule run {name}"),
            kind: Kind::Failed(last.fire_at),
        }));
    }
    if fires.iter().any(|f| f.state == "started") {
        return Ok(None);
    }
    let last = fires.iter().find(|f| f.state == "done").map(|f| f.fire_at);
    let due = next_of(schedule, last.unwrap_or(since))?;
    Ok((now.duration_since(due) > GRACE).then(|| Trouble {
        what: match last {
            Some(at) => format!("a {thing} is missing: the last one is of {at:.0}, and one was due at {due:.0}"),
            None => format!("there never was a {thing}, and one was due at {due:.0}"),
        },
        remedy: format!("start Steward and leave it running; or now: steward schedule run {name}"),
        kind: Kind::Missing,
    }))
}

/// Under which module of the log a backup of PostgreSQL's archive notes how it went.
pub const ARCHIVE_BACKUP: &str = "archive-backup";
/// Under which a drill of the archive does.
pub const ARCHIVE_DRILL: &str = "archive-drill";
/// Both are due once a week; a day may be lost to whatever machine they run on.
const ARCHIVE_EVERY: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Something that is wrong with how the archive is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveTrouble {
    /// Under [`ARCHIVE_BACKUP`] or [`ARCHIVE_DRILL`].
    pub module: &'static str,
    /// What.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
    /// Tells this trouble from others, and from itself on another day.
    pub about: String,
}

/// How the backups and the drills of the archive stand.
#[derive(Debug, Default)]
pub struct ArchiveRuns {
    /// What is wrong.
    pub troubles: Vec<ArchiveTrouble>,
    /// Of which none is known and none is due yet: [`ARCHIVE_BACKUP`], [`ARCHIVE_DRILL`].
    pub awaited: Vec<&'static str>,
}

/// Notes in the log how a backup or a drill of the archive went: it runs on the database's machine, by a crontab there, and
/// nobody else hears of it.
pub async fn note_archive(
    store: &Store,
    module: &'static str,
    went: std::result::Result<String, String>,
) -> Result<()> {
    let line = match went {
        Ok(said) => NewLogLine::new("info", module, said),
        Err(why) => NewLogLine::new("error", module, why),
    };
    system_logs::append(&Actor::service(), store, &[line]).await?;
    Ok(())
}

/// What is noted where nothing was before: from then on one is due.
const AWAITED: &str = "none is known so far; from now on one is due each week";

/// Begins to wait for backups and drills of the archive of which none is known: after an upgrade, or where archiving was
/// just switched on, none can have been noted.
pub async fn await_archive(store: &Store) -> Result<()> {
    for module in [ARCHIVE_BACKUP, ARCHIVE_DRILL] {
        if system_logs::list(&Actor::service(), store, None, Some(module), None, 1).await?.is_empty() {
            note_archive(store, module, Ok(AWAITED.to_owned())).await?;
        }
    }
    Ok(())
}

/// How backups and drills of the archive stand at `now`.
pub async fn archive_runs(store: &Store, now: Timestamp) -> Result<ArchiveRuns> {
    let mut found = ArchiveRuns::default();
    for module in [ARCHIVE_BACKUP, ARCHIVE_DRILL] {
        let last = system_logs::list(&Actor::service(), store, None, Some(module), None, 1).await?;
        match archive_trouble(module, last.first(), now) {
            Some(trouble) => found.troubles.push(trouble),
            None if last.first().is_none_or(is_awaited) => found.awaited.push(module),
            None => {}
        }
    }
    Ok(found)
}

fn is_awaited(line: &LogLine) -> bool {
    line.message.as_deref() == Some(AWAITED)
}

fn archive_trouble(module: &'static str, last: Option<&LogLine>, now: Timestamp) -> Option<ArchiveTrouble> {
    let (thing, remedy) = if module == ARCHIVE_DRILL {
        (
            "drill of the archive",
            "on the database's machine, and by its user's crontab each week: steward backup drill --archive FILE",
        )
    } else {
        (
            "backup of the archive",
            "on the database's machine, and by its user's crontab each week: steward backup create --archive FILE",
        )
    };
    let trouble = |what: String, about: String| Some(ArchiveTrouble { module, what, remedy, about });
    let last = last?;
    if last.level != "info" {
        let why = last.message.as_deref().unwrap_or("it did not say why");
        return trouble(format!("the last {thing} failed: {why}"), format!("failed {}", last.timestamp));
    }
    if now.duration_since(last.timestamp) > ARCHIVE_EVERY {
        let what = if is_awaited(last) {
            format!("no {thing} was noted since {:.0}, from when on one was due each week", last.timestamp)
        } else {
            format!("a {thing} is missing: the last one is of {:.0}", last.timestamp)
        };
        return trouble(what, format!("missing {}", now.strftime("%F")));
    }
    None
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_drill_is_read_as_it_was_written() {
        let drill = Drill {
            bundle: "20261127T020000Z-0123abcd".to_owned(),
            as_of: at("2026-11-29T04:59:58Z"),
            rows: 12_345,
            audit_links: 6789,
            attachments: 10,
            recovery_ms: 1234,
            age_s: 2,
        };
        assert_eq!(Drill::read(&drill.to_string()), Some(drill.clone()));
        assert_eq!(Drill::read(&format!("{drill}; 3 h 5 min late, for nothing ran at its time")), Some(drill));
        assert_eq!(Drill::read("failed: the place does not answer"), None);
    }

    fn schedule(is_active: bool) -> Schedule {
        Schedule {
            name: BACKUP.to_owned(),
            id: Uuid::nil(),
            cron: "0 2 * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            is_active,
            run_by: "steward".to_owned(),
            last_fire_at: None,
            next_fire_at: None,
            last_status: None,
            last_result: None,
            last_duration_ms: None,
            last_was_missed: false,
            requested_at: None,
        }
    }

    fn fire(fire_at: &str, state: &str) -> Fire {
        Fire {
            name: BACKUP.to_owned(),
            fire_at: at(fire_at),
            state: state.to_owned(),
            worker: String::new(),
            attempt: 1,
            started_at: at(fire_at),
            lease_until: at(fire_at),
            finished_at: None,
            result: Some("failed: no space".to_owned()),
        }
    }

    #[test]
    fn what_failed_is_missing_or_paused_is_told() {
        let since = at("2026-11-20T12:00:00Z");
        let said = |is_active, fires: &[Fire], now: &str| {
            trouble(&schedule(is_active), fires, since, at(now)).unwrap().map(|t| t.what).unwrap_or_default()
        };
        assert_eq!(said(true, &[], "2026-11-21T04:00:00Z"), "");
        assert!(said(true, &[], "2026-11-21T05:30:00Z").contains("never was a backup"));
        let done = fire("2026-11-22T02:00:00Z", "done");
        assert_eq!(said(true, std::slice::from_ref(&done), "2026-11-23T04:00:00Z"), "");
        assert!(said(true, std::slice::from_ref(&done), "2026-11-23T05:30:00Z").contains("is missing"));
        let failed = fire("2026-11-23T02:00:00Z", "failed");
        assert!(said(true, &[failed.clone(), done.clone()], "2026-11-23T02:10:00Z").contains("failed: no space"));
        let broken_off = Fire { result: Some("cancelled by ada".to_owned()), ..fire("2026-11-23T02:00:00Z", "failed") };
        let off = [broken_off, done.clone()];
        assert_eq!(said(true, &off, "2026-11-23T02:10:00Z"), "", "whoever broke it off knows");
        assert!(said(true, &off, "2026-11-23T05:30:00Z").contains("is missing"));
        let again = fire("2026-11-23T02:20:00Z", "done");
        assert_eq!(said(true, &[again, failed, done.clone()], "2026-11-23T02:30:00Z"), "");
        let running = fire("2026-11-23T02:00:00Z", "started");
        assert_eq!(said(true, &[running, done], "2026-11-23T06:00:00Z"), "", "it may take its time");
        assert!(said(false, &[], "2026-11-20T13:00:00Z").contains("paused"));
    }
    #[test]
    fn an_archive_that_is_not_tried_out_is_told() {
        let line = |level: &str| LogLine {
            id: Uuid::nil(),
            timestamp: at("2026-11-22T02:15:00Z"),
            level: level.to_owned(),
            module: Some(ARCHIVE_DRILL.to_owned()),
            message: Some("no space".to_owned()),
            user_id: None,
            task_id: None,
            request_id: None,
            ip_address: None,
            user_agent: None,
            metadata: None,
        };
        let said = |last: Option<&LogLine>, now: &str| {
            archive_trouble(ARCHIVE_DRILL, last, at(now)).map(|t| t.what).unwrap_or_default()
        };
        assert_eq!(said(None, "2026-11-22T03:00:00Z"), "", "none can be known yet");
        let awaited = LogLine { message: Some(AWAITED.to_owned()), ..line("info") };
        assert_eq!(said(Some(&awaited), "2026-11-29T03:00:00Z"), "");
        assert!(said(Some(&awaited), "2026-11-30T03:00:00Z").contains("no drill of the archive was noted since"));
        assert_eq!(said(Some(&line("info")), "2026-11-29T03:00:00Z"), "");
        assert!(said(Some(&line("info")), "2026-11-30T03:00:00Z").contains("is missing"));
        assert!(said(Some(&line("error")), "2026-11-22T03:00:00Z").contains("failed: no space"));
    }
}
