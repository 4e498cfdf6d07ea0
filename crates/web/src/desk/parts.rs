//! Small pieces that pages are made of: times, states, sizes, and text from outside shown so that it can't deceive.

use std::{collections::HashMap, fmt::Write};

use domain::deceit::spell_out;
pub(crate) use domain::deceit::{is_hidden, visible};
use domain::tasks::Due;
use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};
use serde_json::Value as Json;
use store::{search::Piece, tasks::Task};
use uuid::Uuid;

use crate::guard::encode;

/// A moment, in UTC.
pub(crate) fn time(at: Timestamp) -> Markup {
    html! { time datetime=(format!("{at:.0}")) title=(format!("{} UTC", clock(at))) { (clock(at)) } }
}

/// A moment with how far it is from now.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(format!("{at:.0}")) data-ago="" title=(format!("{} UTC", clock(at))) { (distance(at, now)) } }
}

/// When a task is due: a day as that day, wherever it is read, a moment as one. What is over of a task that is not is marked;
/// a day's end is that of UTC here, and of the reader's zone once the script has looked.
pub(crate) fn due(task: &Task, now: Timestamp) -> Markup {
    let Some(due) = task.due_date.map(Due::of) else { return html! {} };
    let is_open = !matches!(task.status.as_str(), "completed" | "failed" | "cancelled");
    let is_over = is_open && due.is_over(now, &TimeZone::UTC);
    html! {
        @match due {
            Due::Day(day) => time.over[is_over] datetime=(day) data-day="" data-open[is_open] { (day.strftime("%-d %b %Y").to_string()) },
            Due::At(at) => span.over[is_over] { (when(at, now)) },
        }
    }
}

fn clock(at: Timestamp) -> String {
    at.strftime("%-d %b %Y, %H:%M").to_string()
}

/// "in 3 h", "5 min ago".
pub(crate) fn distance(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second() - now.as_second();
    let text = match seconds.unsigned_abs() {
        0..60 => return if seconds > 0 { "in less than a minute".to_owned() } else { "just now".to_owned() },
        n @ 60..3600 => format!("{} min", n / 60),
        n @ 3600..172_800 => format!("{} h", n / 3600),
        n => format!("{} days", n / 86_400),
    };
    if seconds > 0 { format!("in {text}") } else { format!("{text} ago") }
}

/// How long something took.
pub(crate) fn took(from: Timestamp, to: Timestamp) -> String {
    match to.as_millisecond().saturating_sub(from.as_millisecond()).max(0) {
        ms @ 0..1000 => format!("{ms} ms"),
        ms @ 1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms @ 60_000..7_200_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}

/// A state as a mark: colour, sign and word say the same.
pub(crate) fn state(name: &str) -> Markup {
    state_as(name, &name.replace('_', " "))
}

/// Colour and sign of a state.
fn look(name: &str) -> (&'static str, &'static str) {
    match name {
        "completed" | "succeeded" | "approved" | "active" | "allow" | "allowed" => ("good", "✓"),
        "failed" | "rejected" | "error" | "critical" | "deny" | "denied" | "suspended" => ("bad", "✕"),
        "awaiting_approval" | "waiting for a decision" | "ask" | "quarantined" | "warning" => ("wait", "!"),
        "outcome_unknown" => ("wait", "?"),
        "in_progress" | "running" | "started" | "new" => ("now", "▸"),
        _ => ("calm", "·"),
    }
}

/// The state of something that has none of its own beyond a word: colour and sign as of `like`, another word.
pub(crate) fn state_as(like: &str, word: &str) -> Markup {
    let (class, sign) = look(like);
    html! { span class={ "state " (class) } { span aria-hidden="true" { (sign) } " " (word) } }
}

/// The mark of content from outside.
pub(crate) fn outside_mark() -> Markup {
    html! { span.state.outside { span aria-hidden="true" { "⇥" } " outside content" } }
}

/// Text that somebody else chose: its direction stays its own, and nothing in it hides.
pub(crate) fn say(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

/// Text cut to `most` characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most.saturating_sub(1)).collect::<String>() + "…"
    }
}

/// JSON over several lines; deceiving characters as JSON's own escapes, so that it stays the same document.
pub(crate) fn pretty(value: &Json) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    spell_out(&text, |c, out| c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}")))
}

/// JSON text as a block; what is no JSON is shown as it is.
pub(crate) fn json_block(text: &str, label: &str) -> Markup {
    let shown = serde_json::from_str::<Json>(text).map_or_else(|_| visible(text), |v| pretty(&v));
    block(&shown, label)
}

/// A block of text that may scroll.
pub(crate) fn block(text: &str, label: &str) -> Markup {
    html! { pre tabindex="0" role="region" aria-label=(label) dir="ltr" { code { (text) } } }
}

/// Bytes, in words.
pub(crate) fn size(bytes: i64) -> String {
    let tenths = |unit: i64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        i64::MIN..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", tenths(1024)),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(1_048_576)),
        _ => format!("{} GiB", tenths(1_073_741_824)),
    }
}

/// A hash, whole for machines and short for eyes.
pub(crate) fn hash(sha256: &str) -> Markup {
    html! { code.hash title=(sha256) { (cut(sha256, 13)) } }
}

/// What stands where there is nothing.
pub(crate) fn empty(text: &str, hint: &Markup) -> Markup {
    html! { div.empty { p { (text) } p.soft { (hint) } } }
}

/// Somebody's name.
pub(crate) fn name_of(names: &HashMap<Uuid, String>, id: Option<Uuid>) -> Markup {
    match id.map(|id| names.get(&id)) {
        None => html! { span.soft { "nobody" } },
        Some(None) => html! { span.soft { "somebody" } },
        Some(Some(name)) => say(name),
    }
}

/// Filters as links; the one in use is marked.
pub(crate) fn tabs(label: &str, path: &str, field: &str, choices: &[(&str, &str)], current: &str) -> Markup {
    tabs_of("tabs", label, path, field, choices, current)
}

/// The same, smaller, for what comes second.
pub(crate) fn minor_tabs(label: &str, path: &str, field: &str, choices: &[(&str, &str)], current: &str) -> Markup {
    tabs_of("tabs minor", label, path, field, choices, current)
}

fn tabs_of(class: &str, label: &str, path: &str, field: &str, choices: &[(&str, &str)], current: &str) -> Markup {
    html! {
        nav class=(class) aria-label=(label) {
            @for (value, name) in choices {
                a href=(if value.is_empty() { path.to_owned() } else { format!("{path}?{field}={value}") })
                    aria-current=[(*value == current).then_some("true")] { (name) }
            }
        }
    }
}

/// The way to the next page.
pub(crate) fn older(next: Option<&str>, path: &str, filter: &[(&str, &str)]) -> Markup {
    turns(false, next, path, filter)
}

/// The ways to the next page and, from a later one, back to the first.
pub(crate) fn turns(is_later: bool, next: Option<&str>, path: &str, filter: &[(&str, &str)]) -> Markup {
    let kept: Vec<String> =
        filter.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={}", encode(v))).collect();
    let with = |cursor: Option<&str>| {
        let fields: Vec<String> = kept.iter().cloned().chain(cursor.map(|c| format!("cursor={c}"))).collect();
        if fields.is_empty() { path.to_owned() } else { format!("{path}?{}", fields.join("&")) }
    };
    html! {
        @if is_later || next.is_some() {
            p.more {
                @if is_later { a href=(with(None)) { "Newest" } }
                @if is_later && next.is_some() { " · " }
                @if let Some(next) = next { a rel="next" href=(with(Some(next))) { "Older" } }
            }
        }
    }
}

/// A snippet, with what matches marked; everything else in it is text.
pub(crate) fn marked(pieces: &[Piece]) -> Markup {
    html! {
        bdi {
            @for piece in pieces {
                @if piece.hit { mark { (visible(&piece.text)) } } @else { (visible(&piece.text)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides() {
        assert_eq!(visible("in\u{202e}fdp.exe"), "in⟨U+202E⟩fdp.exe");
        assert_eq!(visible("März\n日本"), "März\n日本");
        let value = serde_json::json!({"a": "x\u{202e}y", "b": "\u{e0041}"});
        let shown = pretty(&value);
        assert!(shown.contains("x\\u202ey"), "{shown}");
        assert_eq!(serde_json::from_str::<Json>(&shown).unwrap(), value);
    }

    #[test]
    fn sizes_and_times_in_words() {
        assert_eq!([size(0), size(1023), size(1536), size(5 << 20)], ["0 B", "1023 B", "1.5 KiB", "5.0 MiB"]);
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(distance(at(0), at(30)), "just now");
        assert_eq!(distance(at(7200), at(0)), "in 2 h");
        assert_eq!(distance(at(0), at(86_400 * 3)), "3 days ago");
        assert_eq!(took(at(0), at(61)), "1 min");
    }
}
