//! Backups: whether there is one, how old it is, where it lies, who makes it, whether the log is shipped or archived, and
//! whether backups and drills run by the clock.

use domain::backups::{self as rules, Kind};
use jiff::{SignedDuration, Timestamp};
use store::{Actor, Store, schedules};

use super::{Findings, State, blocking};
use crate::{Error, config::Config, kept};

/// The latest fires of a job that are looked at.
const FIRES: i64 = 100;

pub(super) async fn look(config: &Config, is_up: bool, findings: &mut Findings) {
    let settings = config.clone();
    let safe = match blocking(move || settings.safe()).await {
        Ok(safe) => safe,
        Err(e) => return findings.failed("backup", &e),
    };
    for remark in kept::look(config, &safe, is_up).await.remarks {
        let state = match remark.weight {
            kept::Weight::Well => State::Well,
            kept::Weight::Note => State::Note,
            kept::Weight::Warning => State::Warning,
            kept::Weight::Wrong => State::Wrong,
        };
        findings.add(remark.what, state, remark.said, Some(remark.remedy).filter(|r| !r.is_empty()));
    }
}

/// Whether backups and drills run by the clock, and how the last ones went.
pub(super) async fn by_the_clock(store: &Store, findings: &mut Findings) {
    if let Err(e) = jobs(store, findings).await {
        findings.failed("backup", &e);
    }
    // Of an archive that is not switched on nothing is missing; where it is, its own line says so.
    if findings.0.iter().any(|f| f.what == "archive" && f.state != State::Note) {
        match rules::archive_runs(store, store::now()).await {
            Ok(found) if found.troubles.is_empty() && found.awaited.is_empty() => {
                findings.well("archive runs", "a backup and a drill of this week went well");
            }
            Ok(found) if found.troubles.is_empty() => findings.note(
                "archive runs",
                "not each of backup and drill of the archive is known to have run; both are due within a week",
                "on the database's machine, by its user's crontab: steward backup create --archive FILE, and drill --archive FILE",
            ),
            Ok(found) => {
                for trouble in found.troubles {
                    findings.wrong("archive runs", trouble.what, trouble.remedy);
                }
            }
            Err(e) => findings.failed("archive runs", &Error::from(e)),
        }
    }
}

async fn jobs(store: &Store, findings: &mut Findings) -> Result<(), Error> {
    let service = Actor::service();
    let now = store::now();
    for schedule in schedules::list(&service, store).await? {
        let what = match schedule.name.as_str() {
            rules::BACKUP => "backup",
            rules::DRILL => "backup drill",
            _ => continue,
        };
        let fires = schedules::fires(&service, store, &schedule.name, FIRES).await?;
        // Since when it could have run nobody noted; before the first time that is seen as late by the schedule itself.
        let since = schedule.next_fire_at.unwrap_or(now) - SignedDuration::from_secs(1);
        match rules::trouble(&schedule, &fires, since, now)? {
            Some(trouble) if trouble.kind == Kind::Paused => findings.warning(what, trouble.what, trouble.remedy),
            Some(trouble) => findings.wrong(what, trouble.what, trouble.remedy),
            None if schedule.name == rules::DRILL => drill(fires.iter().find_map(last_drill), findings),
            None => {}
        }
    }
    Ok(())
}

fn last_drill(fire: &schedules::Fire) -> Option<(Timestamp, rules::Drill)> {
    let words = fire.result.as_deref().filter(|_| fire.state == "done")?;
    rules::Drill::read(words).map(|drill| (fire.fire_at, drill))
}

fn drill(last: Option<(Timestamp, rules::Drill)>, findings: &mut Findings) {
    match last {
        Some((at, drill)) => findings.well(
            "backup drill",
            format!("of {at:.0}: recovery took {} ms, its newest moment was {} s old", drill.recovery_ms, drill.age_s),
        ),
        None => findings.note(
            "backup drill",
            "no backup was tried out yet",
            "Steward does it each Sunday; or now: steward schedule run backup-drill",
        ),
    }
}
