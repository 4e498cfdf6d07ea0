//! When jobs run: cron expressions in their zones right across clock changes, and what a person may do with a schedule.

use std::str::FromStr;

use croner::Cron;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use store::{
    Actor, Store,
    schedules::{self, Change, Fire, Held, Schedule},
    users,
};

use crate::{Error, Result};

/// Times of day that an expression may list; beyond them it is taken as an interval.
const LISTED_TIMES: usize = 96;
/// A fire that comes this much after its time was missed, and says so.
const MISSED: SignedDuration = SignedDuration::from_secs(60);

/// When a cron expression of five fields fires next after `now`, in its own zone. A time of day that a clock change leaves
/// out fires at the first moment after the gap; one that comes twice fires at the first of the two. An expression that
/// names an interval (`*` or `/` in its minutes or hours) goes by the time that passes.
pub fn next_after(cron: &str, time_zone: &str, now: Timestamp) -> Result<Timestamp> {
    let wrong = |why: &str| {
        Error::invalid("cron", format!("the time {cron:?} can't be read ({why}); give five fields, such as 30 2 * * *"))
    };
    let zone = TimeZone::get(time_zone).map_err(|_| {
        Error::invalid(
            "time_zone",
            format!("there is no time zone {time_zone:?}; give one as in Europe/Berlin, or UTC"),
        )
    })?;
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let [minutes, hours, rest @ ..] = fields.as_slice() else { return Err(wrong("it has too few fields")) };
    if rest.len() != 3 {
        return Err(wrong(&format!("it has {} fields", fields.len())));
    }
    // Read whole first, so that what is said of it is said of what was given.
    let whole = Cron::from_str(cron).map_err(|e| wrong(&e.to_string()))?;
    let now = now.to_zoned(zone);
    let single = match (listed(minutes, 59), listed(hours, 23)) {
        (Some(minutes), Some(hours)) if minutes.len() * hours.len() <= LISTED_TIMES => {
            let days = rest.join(" ");
            let mut single = Vec::new();
            for hour in hours {
                for minute in &minutes {
                    single.push(Cron::from_str(&format!("{minute} {hour} {days}")).map_err(|e| wrong(&e.to_string()))?);
                }
            }
            single
        }
        _ => vec![whole],
    };
    let mut first: Option<Timestamp> = None;
    for cron in single {
        let next = cron.find_next_occurrence(&now, false).map_err(|_| wrong("it never comes"))?.timestamp();
        first = Some(first.map_or(next, |known| known.min(next)));
    }
    first.ok_or_else(|| wrong("it never comes"))
}

/// The numbers of a field that lists them (`2`, `2,14`, `8-17`); none where it names an interval.
fn listed(field: &str, most: u32) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in field.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        if from > to || to > most {
            return None;
        }
        numbers.extend(from..=to);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

/// When a schedule fires next after `now`.
pub fn next_of(schedule: &Schedule, now: Timestamp) -> Result<Timestamp> {
    next_after(&schedule.cron, &schedule.time_zone, now)
}

/// Changes a schedule, checked, and gives the database's own scheduler its part.
pub async fn set(store: &Store, actor: &Actor, name: &str, change: Change) -> Result<Schedule> {
    let now = schedules::clock(&Actor::service(), store).await?;
    let found = named(store, actor, name).await?;
    let active = change.is_active.unwrap_or(found.is_active || found.run_by != "steward");
    let next = next_after(
        change.cron.as_deref().unwrap_or(&found.cron),
        change.time_zone.as_deref().unwrap_or(&found.time_zone),
        now,
    )?;
    if !schedules::set(actor, store, name, &change, active.then_some(next)).await? {
        return Err(store::Error::Refused { what: "schedules".to_owned() }.into());
    }
    schedules::follow_pg_cron(&Actor::service(), store).await?;
    named(store, actor, name).await
}

/// Wants a job to run once now. Whoever serves takes it up within seconds; whoever asks may take it up at once.
pub async fn request(store: &Store, actor: &Actor, name: &str) -> Result<Schedule> {
    named(store, actor, name).await?;
    if !schedules::request(actor, store, name).await? {
        return Err(store::Error::Refused { what: "schedules".to_owned() }.into());
    }
    named(store, actor, name).await
}

/// What the result of a job begins with that a person broke off.
pub const CANCELLED: &str = "cancelled by ";

/// Breaks off a job that runs, wherever it does: its node sees that within seconds, undoes what can be undone, and says so.
/// For whoever may change its schedule.
pub async fn cancel(store: &Store, actor: &Actor, name: &str) -> Result<Schedule> {
    named(store, actor, name).await?;
    if !users::allowed(actor, store, "schedule_admin").await? {
        return Err(store::Error::Refused { what: "schedules".to_owned() }.into());
    }
    let service = Actor::service();
    let who = match actor.user_id() {
        Some(id) => users::names(actor, store, vec![id]).await?.pop().map(|user| user.username),
        None => None,
    };
    let result = format!("{CANCELLED}{}", who.as_deref().unwrap_or("Steward"));
    let running = schedules::fires(&service, store, name, 100).await?.into_iter().find(|fire| fire.state == "started");
    let none = || Error::Conflict(format!("no {name} is running just now; it may have ended meanwhile"));
    let fire = running.ok_or_else(none)?;
    let ended = store.transaction(move |tx| {
        Box::pin(async move { Ok::<_, Error>(schedules::cancel(&Actor::service(), tx, &fire, &result).await?) })
    });
    if !ended.await? {
        return Err(none());
    }
    named(store, actor, name).await
}

/// Whether a person broke it off.
pub fn was_cancelled(fire: &Fire) -> bool {
    fire.state == "failed" && fire.result.as_deref().is_some_and(|said| said.starts_with(CANCELLED))
}

/// A schedule by name.
pub async fn named(store: &Store, actor: &Actor, name: &str) -> Result<Schedule> {
    let all = schedules::list(actor, store).await?;
    all.into_iter().find(|s| s.name == name).ok_or_else(|| Error::NotFound(format!("schedule {name}")))
}

/// A time at which a job is to run, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The time; with the name it can be taken once.
    pub fire_at: Timestamp,
    /// The next one; none where this one was asked for beside the schedule.
    pub next: Option<Timestamp>,
    /// By how much it is late.
    pub late: SignedDuration,
    /// Whether its time passed while nothing ran.
    pub was_missed: bool,
}

/// Whether a schedule is due, by what a person asked for first. Several times that were missed are one, and it is late.
pub fn due(schedule: &Schedule, now: Timestamp) -> Result<Option<Due>> {
    let asked = schedule.requested_at.filter(|at| schedule.last_fire_at.is_none_or(|last| *at > last));
    if let Some(fire_at) = asked {
        return Ok(Some(Due { fire_at, next: None, late: SignedDuration::ZERO, was_missed: false }));
    }
    let Some(fire_at) = schedule.next_fire_at.filter(|at| schedule.is_active && *at <= now) else { return Ok(None) };
    let late = now.duration_since(fire_at);
    Ok(Some(Due { fire_at, next: Some(next_of(schedule, now)?), late, was_missed: late > MISSED }))
}

/// Takes a due time, which only one node can: the fire and the next time in one transaction.
pub async fn take(store: &Store, name: &str, due: &Due, worker: &str, lease: SignedDuration) -> Result<Option<Held>> {
    let (name, due, worker) = (name.to_owned(), due.clone(), worker.to_owned());
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let service = Actor::service();
                let held = schedules::fire(&service, tx, &name, due.fire_at, &worker, lease).await?;
                if let Some(held) = &held {
                    schedules::advance(&service, tx, held, due.next, due.was_missed).await?;
                }
                Ok(held)
            })
        })
        .await
}

/// Ends a fire. False: it passed to another node, and nothing was written.
pub async fn finish(store: &Store, held: &Held, succeeded: bool, result: String, duration_ms: i64) -> Result<bool> {
    let held = held.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                Ok(schedules::finish(&Actor::service(), tx, &held, succeeded, &result, duration_ms).await?)
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, listed, next_after};

    fn all(cron: &str, zone: &str, from: &str, many: usize) -> Vec<String> {
        let mut now: Timestamp = from.parse().unwrap();
        let next = |now: &mut Timestamp| {
            *now = next_after(cron, zone, *now).unwrap();
            now.to_string()
        };
        (0..many).map(|_| next(&mut now)).collect()
    }

    #[test]
    fn two_in_the_morning_is_two_in_the_morning_in_its_zone() {
        assert_eq!(all("0 2 * * *", "UTC", "2026-11-22T13:00:00Z", 1), ["2026-11-23T02:00:00Z"]);
        assert_eq!(all("0 2 * * *", "Europe/Berlin", "2026-11-22T13:00:00Z", 1), ["2026-11-23T01:00:00Z"]);
    }

    #[test]
    fn a_time_that_a_clock_change_leaves_out_fires_once_after_the_gap() {
        // Berlin, 2026-03-29: 2:00 becomes 3:00, which is 01:00 UTC.
        for cron in ["30 2 * * *", "30 2 * * 0", "30 2,14 29 3 *"] {
            assert_eq!(all(cron, "Europe/Berlin", "2026-03-28T20:00:00Z", 1), ["2026-03-29T01:00:00Z"], "{cron}");
        }
        assert_eq!(
            all("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            all("30 2,3 * * *", "Europe/Berlin", "2026-03-28T20:00:00Z", 3),
            ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_fires_once() {
        // Berlin, 2026-10-25: 3:00 becomes 2:00, which is 01:00 UTC.
        for cron in ["30 2 * * *", "30 2-2 * * *"] {
            assert_eq!(
                all(cron, "Europe/Berlin", "2026-10-24T10:00:00Z", 2),
                ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
                "{cron}"
            );
        }
        assert_eq!(
            all("30 2,14 * * *", "Europe/Berlin", "2026-10-24T20:00:00Z", 3),
            ["2026-10-25T00:30:00Z", "2026-10-25T13:30:00Z", "2026-10-26T01:30:00Z"]
        );
    }

    #[test]
    fn an_interval_goes_by_the_time_that_passes() {
        assert_eq!(
            all("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4),
            ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"]
        );
        assert_eq!(
            all("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:10:00Z", 3),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_to_do() {
        for cron in ["nonsense", "", "0 2 * *", "0 0 2 * * *", "61 2 * * *", "0 0 30 2 *", "@daily"] {
            let said = next_after(cron, "UTC", store::now()).unwrap_err().to_string();
            assert!(said.contains("give five fields"), "{cron}: {said}");
        }
        let said = next_after("0 2 * * *", "Mars/Olympus", store::now()).unwrap_err().to_string();
        assert!(said.contains("there is no time zone"), "{said}");
    }

    #[test]
    fn fields_that_list_their_numbers() {
        assert_eq!(listed("2,14", 23), Some(vec![2, 14]));
        assert_eq!(listed("8-10,9", 23), Some(vec![8, 9, 10]));
        for interval in ["*", "*/2", "0-10/5", "24", "5-3", "x"] {
            assert_eq!(listed(interval, 23), None, "{interval}");
        }
    }
}
