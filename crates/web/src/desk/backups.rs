//! Backups on the System page: what is kept and where, up to which moment it comes back, how drills went, and both now.

use domain::{
    backups::{BACKUP, DRILL, Drill, trouble},
    schedules::was_cancelled,
};
use jiff::Timestamp;
use maud::{Markup, html};
use store::schedules::{self, Fire, Schedule};

use super::{
    layout::{Reader, button, sentence},
    parts::{cut, empty, say, size, state_as, took, when},
};
use crate::{app::App, fault::Result, hands::Backups};

/// Fires of a job that are looked at.
const FIRES: i64 = 100;
/// Backups, and drills, that are shown without asking for more.
const SHOWN: usize = 7;

/// A job of backups, and how it went, the newest first.
struct Job<'a> {
    schedule: &'a Schedule,
    fires: Vec<Fire>,
}

impl Job<'_> {
    fn running(&self) -> Option<&Fire> {
        self.fires.iter().find(|f| f.state == "started")
    }

    /// Whether a person asked for one that has not begun.
    fn is_asked(&self) -> bool {
        let asked = self.schedule.requested_at;
        asked.is_some_and(|at| self.schedule.last_fire_at.is_none_or(|last| at > last))
    }

    fn is_under_way(&self) -> bool {
        self.running().is_some() || self.is_asked()
    }
}

/// The section; none for those who may not see what runs by the clock, and where nobody keeps backups.
pub(crate) async fn section(app: &App, me: &Reader, all: &[Schedule], now: Timestamp) -> Result<Option<Markup>> {
    let named = |name: &str| all.iter().find(|s| s.name == name);
    let (Some(backup), Some(drill)) = (named(BACKUP), named(DRILL)) else { return Ok(None) };
    let Some(kept) = app.state.hands.backups().await else { return Ok(None) };
    let (backup, drill) = (with_fires(app, me, backup).await?, with_fires(app, me, drill).await?);
    let mut alarms = kept.seen.as_ref().map(|seen| seen.alarms.clone()).unwrap_or_default();
    for job in [&backup, &drill] {
        let wrong = trouble(job.schedule, &job.fires, app.started_at, now)?;
        alarms.extend(wrong.map(|t| format!("{}; {}", t.what, t.remedy)));
    }
    let live = if backup.is_under_way() || drill.is_under_way() { "poll" } else { "" };
    Ok(Some(html! {
        section #backups data-live=(live) aria-labelledby="kept" {
            h2 #kept { "Backups" }
            @if !alarms.is_empty() {
                div.notice.bad role="status" { @for alarm in &alarms { p { (say(&sentence(alarm))) } } }
            }
            (facts(&kept, now))
            div.buttons {
                (now_or_running(me, &backup, "Back up now", "The backup", now))
                (now_or_running(me, &drill, "Try the newest one out", "The drill", now))
            }
            (bundles(&kept, &drill, now))
            (drills(&drill, now))
        }
    }))
}

async fn with_fires<'a>(app: &App, me: &Reader, schedule: &'a Schedule) -> Result<Job<'a>> {
    let fires = schedules::fires(&me.actor, app.store(), &schedule.name, FIRES).await?;
    Ok(Job { schedule, fires })
}

fn facts(backups: &Backups, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            dt { "Kept at" } dd { (say(&backups.place)) }
            dt { "Opened by" } dd { (say(&backups.sealed_for)) }
            dt { "How many" } dd { (backups.keeps) }
            @match &backups.seen {
                None => { dt { "Seen" } dd { "the place has not answered yet; this page looks again by itself" } },
                Some(seen) => {
                    dt { "Comes back" }
                    dd {
                        @match seen.newest {
                            Some(at) => { "everything up to " (when(at, now)) ", also if this machine is lost" },
                            None if seen.bundles.is_none() => "not known while the place can't be looked at",
                            None => "nothing yet",
                        }
                    }
                    @if !seen.well.is_empty() { dt { "Well" } dd { @for said in &seen.well { p { (say(said)) } } } }
                    dt { "Looked at" } dd { (when(seen.at, now)) }
                },
            }
        }
    }
}

/// A button for it, or how far it has come.
fn now_or_running(me: &Reader, job: &Job, label: &str, what: &str, now: Timestamp) -> Markup {
    if let Some(fire) = job.running() {
        let words = fire.result.as_deref().unwrap_or("it has begun");
        return html! {
            p.running {
                (state_as("running", "running")) " " (what) ", begun " (when(fire.started_at, now)) ": " (say(words))
                @if let Some((done, of)) = share(words) { " " progress max=(of) value=(done) aria-label=(what) {} }
            }
            @if me.is_admin() { (button(me, "/system/cancel", &[("name", &job.schedule.name)], "Cancel", "quiet", what)) }
        };
    }
    if job.is_asked() {
        return html! { p.running { (state_as("running", "asked for")) " " (what) " begins within a quarter of a minute." } };
    }
    html! {
        @if me.is_admin() { (button(me, "/system/run", &[("name", &job.schedule.name)], label, "", "")) }
        @if let Some(fire) = job.fires.first().filter(|fire| was_cancelled(fire)) {
            p.soft.small { (what) " of " (when(fire.started_at, now)) " was " (say(fire.result.as_deref().unwrap_or_default())) "." }
        }
    }
}

/// How much of how much, where the words say so: `copying the database: 48 of 1024 MB`.
fn share(words: &str) -> Option<(u64, u64)> {
    let (before, after) = words.split_once(" of ")?;
    let done = before.rsplit(' ').next()?.parse().ok()?;
    let of = after.split(' ').next()?.parse().ok()?;
    (done <= of && of > 0).then_some((done, of))
}

fn bundles(backups: &Backups, drill: &Job, now: Timestamp) -> Markup {
    let Some((seen, all)) = backups.seen.as_ref().and_then(|seen| Some((seen, seen.bundles.as_ref()?))) else {
        return html! {};
    };
    let tried: Vec<(Timestamp, Drill)> = drill.fires.iter().filter_map(good).collect();
    let rows = |range: &[crate::hands::Bundle]| {
        html! {
            @for bundle in range {
                tr {
                    th scope="row" { (when(bundle.as_of, now)) p.soft.small { code { (say(&bundle.id)) } } }
                    td.num { (size(i64::try_from(bundle.size_bytes).unwrap_or(i64::MAX))) }
                    td.opt { @if bundle.has_log { "any moment after it too" } @else { "its own moment" } }
                    td {
                        @match tried.iter().find(|(_, drill)| drill.bundle == bundle.id) {
                            Some((at, _)) => { (state_as("succeeded", "restored and verified")) " " (when(*at, now)) },
                            None => span.soft { "not tried out" },
                        }
                    }
                }
            }
        }
    };
    let head = html! {
        thead { tr { th scope="col" { "As of" } th.num scope="col" { "Size" } th.opt scope="col" { "Brings back" } th scope="col" { "Tried" } } }
    };
    let (first, rest) = all.split_at(all.len().min(SHOWN));
    html! {
        @if first.is_empty() {
            (empty("There is no backup yet.", &html! { "One is made each night, or now." }))
        } @else {
            table { caption.hidden { "Backups, the newest first" } (head) tbody { (rows(first)) } }
            @if !rest.is_empty() {
                details {
                    summary { (rest.len()) " older" }
                    table { caption.hidden { "Older backups" } (head) tbody { (rows(rest)) } }
                }
            }
        }
        @for (id, why) in seen.unusable.iter().take(SHOWN) {
            p.soft.small { code { (say(id)) } " can't be used: " (say(&cut(why, 160))) }
        }
    }
}

/// A drill that went well, and when.
fn good(fire: &Fire) -> Option<(Timestamp, Drill)> {
    let words = fire.result.as_deref().filter(|_| fire.state == "done")?;
    Drill::read(words).map(|drill| (fire.fire_at, drill))
}

fn drills(job: &Job, now: Timestamp) -> Markup {
    let ended: Vec<&Fire> = job.fires.iter().filter(|f| f.state != "started").take(SHOWN).collect();
    if ended.is_empty() {
        return html! { p.soft { "No backup was tried out yet. It is done each Sunday: the newest one is restored beside the work, verified, and removed." } };
    }
    html! {
        h3 { "Drills" }
        table {
            caption.hidden { "Drills, the newest first" }
            thead { tr { th scope="col" { "When" } th scope="col" { "Result" } th.num scope="col" { "Recovery took" } th.num.opt scope="col" { "Newest moment" } } }
            tbody {
                @for fire in ended {
                    @let drill = good(fire).map(|(_, drill)| drill);
                    tr {
                        th scope="row" { (when(fire.fire_at, now)) }
                        td {
                            @if fire.state == "done" { (state_as("succeeded", "well")) } @else { (state_as("failed", "failed")) }
                            @match &drill {
                                Some(drill) => p.soft.small { (drill.rows) " rows, " (drill.audit_links) " links of the audit chain, " (drill.attachments) " attachments" },
                                None => p.soft.small { (say(&cut(fire.result.as_deref().unwrap_or_default(), 240))) },
                            }
                        }
                        td.num { @if let Some(drill) = &drill { (length(i64::try_from(drill.recovery_ms).unwrap_or(i64::MAX))) } }
                        td.num.opt { @if let Some(drill) = &drill { (length(drill.age_s.saturating_mul(1000))) " old" } }
                    }
                }
            }
        }
    }
}

/// Milliseconds in words.
fn length(ms: i64) -> String {
    let from = Timestamp::UNIX_EPOCH;
    Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |to| took(from, to))
}
