//! What is kept: so many days, weeks and months, the newest bundle of each; the log since the oldest daily bundle; and the
//! attachments that a kept bundle names.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, tz::TimeZone};

use crate::{Bundle, Contents, Opener, Place, Result, files, ship};

/// A place's clock and this machine's may differ by so much.
const CLOCKS: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Bundles kept: the newest of each day, ISO week and month (UTC) that has one, so many of each. The newest of all stays in
/// any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Days.
    pub daily: u32,
    /// Weeks.
    pub weekly: u32,
    /// Months.
    pub monthly: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { daily: 7, weekly: 5, monthly: 12 }
    }
}

/// The newest bundle of each period, newest period first.
fn newest_of(bundles: &[Contents], many: u32, period: impl Fn(Timestamp) -> (i16, i16)) -> Vec<&Contents> {
    let mut newest: BTreeMap<(i16, i16), &Contents> = BTreeMap::new();
    for bundle in bundles {
        // They come in order of time, so the last one of a period stays.
        newest.insert(period(bundle.as_of), bundle);
    }
    newest.into_values().rev().take(many as usize).collect()
}

fn days(bundles: &[Contents], keep: Keep) -> Vec<&Contents> {
    newest_of(bundles, keep.daily, |at| {
        let date = at.to_zoned(TimeZone::UTC).date();
        (date.year(), date.day_of_year())
    })
}

/// The first bundle of each series of the log since the oldest day that is kept: every moment of the series comes back
/// from it, while later bundles of the series only make that quicker.
fn first_of_series(bundles: &[Contents], since: Option<Timestamp>) -> Vec<&Contents> {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let mut known = BTreeSet::new();
    let within = bundles.iter().filter(|b| since.is_some_and(|since| day(b.as_of) >= day(since)));
    within.filter(|b| b.log_series.as_ref().is_some_and(|series| known.insert(series.as_str()))).collect()
}

/// Ids of bundles that go; `bundles` come oldest first.
pub(super) fn gone(bundles: &[Contents], keep: Keep) -> Vec<String> {
    let weeks = newest_of(bundles, keep.weekly, |at| {
        let week = at.to_zoned(TimeZone::UTC).date().iso_week_date();
        (week.year(), i16::from(week.week()))
    });
    let months = newest_of(bundles, keep.monthly, |at| {
        let date = at.to_zoned(TimeZone::UTC).date();
        (date.year(), i16::from(date.month()))
    });
    let days = days(bundles, keep);
    let firsts = first_of_series(bundles, days.last().map(|b| b.as_of));
    let kept: BTreeSet<&str> = days
        .into_iter()
        .chain(firsts)
        .chain(weeks)
        .chain(months)
        .chain(bundles.last())
        .map(|b| b.id.as_str())
        .collect();
    bundles.iter().filter(|b| !kept.contains(b.id.as_str())).map(|b| b.id.clone()).collect()
}

/// From when on any moment can be restored, which is that of a bundle.
fn any_moment_since(kept: &[&Contents], keep: Keep) -> Option<Timestamp> {
    let kept: Vec<Contents> = kept.iter().map(|b| (*b).clone()).collect();
    let since = days(&kept, keep).last().map(|b| b.as_of).or_else(|| kept.last().map(|b| b.as_of));
    let firsts = first_of_series(&kept, since);
    firsts.iter().map(|b| b.as_of).chain(since).min()
}

/// Removes segments of the log that are older than the oldest daily bundle: from there on any moment can be restored.
pub(super) async fn sweep_log(place: &Place, kept: &[&Contents], keep: Keep, now: Timestamp) -> Result<()> {
    let Some(oldest) = any_moment_since(kept, keep) else { return Ok(()) };
    // A commit's time may be that at which it was seen, so an hour is left.
    let before = oldest.min(now) - jiff::SignedDuration::from_hours(1);
    let mut passed: Vec<String> = Vec::new();
    for entry in place.list(ship::FOLDER).await? {
        let name = entry.name.rsplit('/').next().unwrap_or_default();
        let Some((_, _, last_us)) = ship::parse_name(name) else { continue };
        passed.push(entry.name.clone());
        // What belongs to a transaction that ends in a later segment goes with that one.
        if last_us == 0 {
            continue;
        }
        if last_us < before.as_microsecond() {
            for name in passed.drain(..) {
                place.remove(&name).await?;
            }
        }
        passed.clear();
    }
    Ok(())
}

/// Removes months of the log that no kept bundle names, and attachments that none lists, that the rows of none name (another
/// node's vault may hold them), and that no moment between two bundles needs either: one that such a moment needs was there when the oldest of these began, and is named, or was put here later.
/// A node that can't read its own bundles keeps them all, as it can't know.
pub(super) async fn sweep_files(place: &Place, kept: &[&Contents], keep: Keep, opener: &Opener) -> Result<()> {
    // The archive of a server's log is kept elsewhere, and for how long is not known here: as long as anything is.
    let is_archived = kept.iter().any(|b| b.engine != "SQLite");
    let oldest = if is_archived { kept.first().map(|b| b.as_of) } else { any_moment_since(kept, keep) };
    let Some(before) = oldest.map(|at| at - CLOCKS) else { return Ok(()) };
    let mut needed = BTreeSet::new();
    for contents in kept {
        match Bundle::open(place, &contents.id, opener).await {
            Ok(bundle) => {
                needed.extend(files::needed(&bundle).await?);
                needed.extend(files::needed_months(&bundle).await?);
            }
            Err(crate::Error::Locked { .. }) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
    let mut there = place.list(files::FOLDER).await?;
    there.extend(place.list(files::MONTHS).await?);
    for entry in there {
        if !needed.contains(&entry.name) && entry.put_at.is_some_and(|at| at < before) {
            place.remove(&entry.name).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Keep, gone};
    use crate::{Contents, manifest::FORMAT};

    fn bundle(day: &str) -> Contents {
        let at = format!("{day}T02:00:00Z").parse().unwrap();
        Contents {
            format: FORMAT,
            id: day.to_owned(),
            as_of: at,
            finished_at: at,
            engine: "SQLite".to_owned(),
            schema_version: 1,
            steward_version: "0".to_owned(),
            has_log: false,
            log_series: None,
            parts: Vec::new(),
        }
    }

    #[test]
    fn days_weeks_and_months_are_kept_each_with_its_newest() {
        let first: jiff::civil::Date = "2026-01-01".parse().unwrap();
        let all: Vec<Contents> =
            first.series(jiff::Span::new().days(1)).take(100).map(|d| bundle(&d.to_string())).collect();
        let gone = gone(&all, Keep { daily: 3, weekly: 2, monthly: 3 });
        let kept: Vec<&str> = all.iter().map(|b| b.id.as_str()).filter(|id| !gone.iter().any(|g| g == id)).collect();
        // 2026-04-10 is a Friday.
        assert_eq!(kept, ["2026-02-28", "2026-03-31", "2026-04-05", "2026-04-08", "2026-04-09", "2026-04-10"]);
    }

    #[test]
    fn the_first_of_each_series_of_the_log_stays_with_its_day() {
        let of = |id: &str, time: &str, series: &str| Contents {
            id: id.to_owned(),
            as_of: time.parse().unwrap(),
            log_series: Some(series.to_owned()),
            ..bundle("2026-01-01")
        };
        let all = [
            of("old", "2026-01-01T02:00:00Z", "a"),
            of("first", "2026-01-02T02:00:00Z", "a"),
            of("by hand", "2026-01-02T09:00:00Z", "a"),
            of("after a gap", "2026-01-02T10:00:00Z", "b"),
            of("again", "2026-01-02T11:00:00Z", "b"),
            of("newest", "2026-01-02T12:00:00Z", "b"),
        ];
        assert_eq!(gone(&all, Keep { daily: 1, weekly: 0, monthly: 0 }), ["old", "by hand", "again"]);
    }

    #[test]
    fn the_newest_stays_whatever_is_asked_for() {
        let all = vec![bundle("2026-01-01"), bundle("2026-01-02")];
        assert_eq!(gone(&all, Keep { daily: 0, weekly: 0, monthly: 0 }), ["2026-01-01"]);
        assert!(gone(&[], Keep::default()).is_empty());
    }
}
