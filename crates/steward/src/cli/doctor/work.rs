//! What stands in the database: servers and their tools, watchers, approvals, schedules, the log's months. Read as
//! Steward itself, so that nothing is overlooked for want of a right; only names and figures are shown.

use domain::backups::{BACKUP, DRILL};
use jiff::{SignedDuration, Timestamp};
use store::{
    Actor, Store,
    approvals::{self, Approval},
    log_keeping::{self, LogMonth},
    mcp_servers,
    schedules::{self, Schedule},
    watchers,
};

use super::{Findings, State, count, machine::size};
use crate::{Error, output};

/// Approvals that are looked at, at most.
const APPROVALS: i64 = 200;
/// An approval that expires sooner should be decided now.
const SOON: SignedDuration = SignedDuration::from_hours(4);
/// A schedule that is later than this was missed.
const LATE: SignedDuration = SignedDuration::from_mins(15);
/// Months of the log that should be there ahead.
const MONTHS_AHEAD: usize = 3;

/// Looks at all of it; what can't be read is said and costs only itself.
pub(super) async fn look(store: &Store, findings: &mut Findings) {
    let fail = |findings: &mut Findings, what, result: store::Result<()>| {
        if let Err(e) = result {
            findings.failed(what, &Error::from(e));
        }
    };
    let looked = servers(store, findings).await;
    fail(findings, "server", looked);
    let looked = watching(store, findings).await;
    fail(findings, "watcher", looked);
    let now = store::now();
    match approvals::list(&Actor::service(), store, Some("pending"), None, None, APPROVALS).await {
        Ok(open) => expiring(&open, now, findings),
        Err(e) => findings.failed("approval", &Error::from(e)),
    }
    match schedules::list(&Actor::service(), store).await {
        Ok(all) => by_the_clock(&all, now, findings),
        Err(e) => findings.failed("schedule", &Error::from(e)),
    }
    match log_keeping::partitions(&Actor::service(), store).await {
        Ok(months) => log_months(&months, now, findings),
        Err(e) => findings.failed("log", &Error::from(e)),
    }
}

async fn servers(store: &Store, findings: &mut Findings) -> store::Result<()> {
    let service = Actor::service();
    for server in mcp_servers::list(&service, store).await? {
        if server.is_active && server.status == "error" {
            findings.wrong(
                "server",
                format!("{} fails", server.name),
                format!("see: steward logs --module server:{}", server.name),
            );
        }
        let tools = mcp_servers::tools(&service, store, server.id).await?;
        let waiting = tools.iter().filter(|t| t.is_offered && !t.is_usable()).count();
        if waiting > 0 {
            findings.note(
                "server",
                format!("{} offers {} that wait to be approved", server.name, count(waiting, "tool")),
                format!("see: steward server tools {}", server.name),
            );
        }
    }
    Ok(())
}

async fn watching(store: &Store, findings: &mut Findings) -> store::Result<()> {
    for watcher in watchers::list(&Actor::service(), store).await? {
        if watcher.is_active && watcher.error_count > 0 {
            findings.wrong(
                "watcher",
                format!("{}: {}", watcher.name, watcher.last_error.unwrap_or_default()),
                format!("mend what it says, then look with: steward watcher test {}", watcher.name),
            );
        }
    }
    Ok(())
}

/// Approvals that nobody decides in time mean no.
fn expiring(open: &[Approval], now: Timestamp, findings: &mut Findings) {
    let soon: Vec<Timestamp> =
        open.iter().filter_map(|a| a.expires_at).filter(|at| at.duration_since(now) < SOON).collect();
    let Some(first) = soon.iter().min() else {
        return if !open.is_empty() {
            findings.note("approval", count(open.len(), "approval") + " open", "see: steward approval list");
        };
    };
    findings.warning(
        "approval",
        format!(
            "{} soon, the first at {}; that means no",
            count(soon.len(), "approval") + " expire",
            output::time(*first)
        ),
        "decide: steward approval list",
    );
}

fn by_the_clock(all: &[Schedule], now: Timestamp, findings: &mut Findings) {
    for schedule in all.iter().filter(|s| s.is_active) {
        // Backups and drills have their own line.
        let is_told = [BACKUP, DRILL].contains(&schedule.name.as_str());
        if !is_told && schedule.last_status.as_deref() == Some("failed") {
            findings.warning(
                "schedule",
                format!(
                    "{} failed: {}",
                    schedule.name,
                    schedule.last_result.as_deref().unwrap_or("it did not say why")
                ),
                format!("mend what it says, then: steward schedule run {}", schedule.name),
            );
        }
        let late = schedule.next_fire_at.map(|at| now.duration_since(at)).filter(|late| *late > LATE);
        if let Some(late) = late.filter(|_| schedule.run_by == "steward") {
            findings.warning(
                "schedule",
                format!("{} is {} min late", schedule.name, late.as_mins()),
                "start Steward; what was missed runs once, late",
            );
        }
    }
}

/// Lines whose month is missing, and months that should be there ahead (PostgreSQL; SQLite has one table for all).
fn log_months(months: &[LogMonth], now: Timestamp, findings: &mut Findings) {
    let Some(default) = months.iter().find(|m| m.state == "default" && m.size_bytes.is_some()) else { return };
    if default.lines > 0 {
        findings.warning(
            "log",
            format!(
                "the DEFAULT partition holds {} whose month is missing",
                count(usize::try_from(default.lines).unwrap_or_default(), "line")
            ),
            "Steward moves them daily; or now: steward schedule run log-partitions",
        );
    }
    let ahead = months.iter().filter(|m| m.state == "month" && m.from_at.is_some_and(|from| from > now)).count();
    if ahead < MONTHS_AHEAD {
        findings.warning(
            "log",
            format!("only {} ahead have their partition", count(ahead, "month")),
            "run Steward, which makes them daily; or now: steward schedule run log-partitions",
        );
    } else {
        let bytes: i64 = months.iter().filter_map(|m| m.size_bytes).sum();
        let held = size(u64::try_from(bytes).unwrap_or_default());
        findings.add("log", State::Well, format!("{held}; {} ahead have their partition", count(ahead, "month")), None);
    }
}
