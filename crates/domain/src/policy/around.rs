//! The world around a call, as conditions see it: the time, how often tools were really called of late, and whom the owner
//! knows. It is looked up before a rule is judged; what was not looked up makes the rule one that cannot be judged, and so asks.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::named::Named;

/// The function that counts.
pub(super) const CALLS: &str = "calls";
/// The longest period in which calls are counted, in minutes: 31 days.
pub const MAX_PERIOD_MINUTES: i64 = 31 * 24 * 60;
/// The longest pattern of `calls`, in characters.
const MAX_PATTERN_CHARS: usize = 400;

/// Calls that were really made in a period, one entry a tool: server, tool, how many.
pub type Made = Vec<(String, String, i64)>;
/// The same by the period's length in minutes.
pub type Counts = BTreeMap<i64, Made>;

/// What is known around a call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// When it is judged.
    pub now: Timestamp,
    /// How often tools were called; none where that was not looked up.
    pub counts: Option<&'a Counts>,
    /// Which addresses among the arguments are known contacts, in lower case; none where that was not looked up.
    pub known: Option<&'a BTreeSet<String>>,
    /// Where the task came from, by the row that nobody can change; none where that was not looked up.
    pub provenance: Option<&'a Value>,
}

/// What must be looked up before rules can be judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Periods in which calls are counted, in minutes.
    pub periods: BTreeSet<i64>,
    /// Whether contacts are asked for.
    pub contacts: bool,
    /// Whether it is asked where the task came from.
    pub provenance: bool,
}

/// An address as contacts are kept. Nothing but letters' case is taken for the same.
pub fn address(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// A moment as conditions see it, by the clock of a zone.
pub(super) fn moment(at: Timestamp, zone: &TimeZone) -> Value {
    let local = at.to_zoned(zone.clone());
    json!({
        "date": local.date().to_string(),
        "time": local.strftime("%H:%M").to_string(),
        "year": local.year(), "month": local.month(), "day": local.day(),
        "hour": local.hour(), "minute": local.minute(),
        "weekday": local.weekday().to_monday_one_offset(),
    })
}

/// A period such as `10m`, `1h` or `7d`, in minutes.
pub(super) fn minutes(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no period; write it as in \"10m\", \"1h\" or \"7d\", at most \"31d\"");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).filter(|n| (1..=MAX_PERIOD_MINUTES).contains(n)).ok_or_else(wrong)
}

/// A pattern over tools, `server/tool` or the tool alone.
pub(super) fn pattern(text: &str) -> Result<(Named, Named), String> {
    if text.is_empty() || text.chars().count() > MAX_PATTERN_CHARS {
        return Err(format!("the pattern of calls needs 1 to {MAX_PATTERN_CHARS} characters"));
    }
    let (server, tool) = text.split_once('/').unwrap_or(("*", text));
    let read = |part: &str| Named::new(part).map_err(|reason| format!("{text:?} is not a pattern: {reason}"));
    Ok((read(server)?, read(tool)?))
}

/// How many calls of tools that fit were made in a period.
pub(super) fn count(counts: Option<&Counts>, text: &str, period: &str) -> Result<i64, String> {
    let unknown = || "how often it was called can't be said here".to_owned();
    let (server, tool) = pattern(text)?;
    let made = counts.and_then(|counts| counts.get(&minutes(period).ok()?)).ok_or_else(unknown)?;
    Ok(made.iter().filter(|(s, t, _)| server.fits(s) && tool.fits(t)).map(|(_, _, n)| *n).fold(0, i64::saturating_add))
}
