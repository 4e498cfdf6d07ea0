//! Days drawn as bars and strips, by us: a picture for the eye, and the same in words for who does not see it.

use std::collections::BTreeMap;

use maud::{Markup, html};

/// The drawing, in its own units.
const WIDTH: usize = 720;
const HEIGHT: usize = 120;
const STRIP: usize = 14;

/// One part of a day's bar: its series and how many.
pub(super) type Part = (usize, i64);

/// A series and the colour it is drawn in.
pub(super) type Series<'a> = (&'a str, u8);

/// Bars of days, each of parts that stand on one another, with a key. What it shows stands in a table beside it.
pub(super) fn bars(days: &[String], parts: &BTreeMap<&str, Vec<Part>>, names: &[Series<'_>]) -> Markup {
    let sum = |day: &str| parts.get(day).map_or(0, |p| p.iter().map(|(_, n)| *n).sum::<i64>());
    let most = days.iter().map(|d| sum(d)).max().unwrap_or(0).max(1);
    let step = WIDTH / days.len().max(1);
    let height = |count: i64| usize::try_from(count * i64::try_from(HEIGHT).unwrap_or(1) / most).unwrap_or(0);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT + 18) } width=(WIDTH) height=(HEIGHT + 18) aria-hidden="true" focusable="false" {
            @for (place, day) in days.iter().enumerate() {
                @let mut top = HEIGHT;
                @for (series, count) in parts.get(day.as_str()).into_iter().flatten() {
                    @let tall = height(*count).max(usize::from(*count > 0));
                    @let () = top = top.saturating_sub(tall);
                    rect class={ "s" (names.get(series - 1).map_or(0, |n| n.1)) } x=(place * step + 1) y=(top) width=(step.saturating_sub(3)) height=(tall) {}
                }
                @if place % 7 == 1 { text.day x=(place * step) y=(HEIGHT + 14) { (day.get(5..).unwrap_or_default()) } }
            }
            path.axis d={ "M0 " (HEIGHT) "H" (WIDTH) } {}
            text x="0" y="10" { (most) }
        }
        (key(names))
    }
}

/// Which colour is what.
pub(super) fn key(names: &[Series<'_>]) -> Markup {
    html! {
        ul.key aria-hidden="true" {
            @for (name, colour) in names {
                li { svg viewBox="0 0 8 8" focusable="false" { rect class={ "s" (colour) } width="8" height="8" {} } (name) }
            }
        }
    }
}

/// A strip of days, each in one colour or none; what it shows stands in words beside it.
pub(super) fn strip(days: &[String], colours: &BTreeMap<&str, u8>) -> Markup {
    let step = WIDTH / days.len().max(1);
    html! {
        svg.strip viewBox={ "0 0 " (WIDTH) " " (STRIP) } preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            path.axis d={ "M0 " (STRIP) "H" (WIDTH) } {}
            @for (place, day) in days.iter().enumerate() {
                @if let Some(colour) = colours.get(day.as_str()) {
                    rect class={ "s" (colour) } x=(place * step + 1) y="0" width=(step.saturating_sub(3)) height=(STRIP) {}
                }
            }
        }
    }
}

/// The same as a table; days on which nothing happened are left out.
pub(super) fn table(caption: &str, days: &[String], parts: &BTreeMap<&str, Vec<Part>>, names: &[Series<'_>]) -> Markup {
    let count = |day: &str, series: usize| {
        parts.get(day).map_or(0, |p| p.iter().filter(|(s, _)| *s == series).map(|(_, n)| *n).sum::<i64>())
    };
    html! {
        details {
            summary { "The same as a table" }
            table.dense {
                caption.hidden { (caption) }
                thead { tr { th scope="col" { "Day" } @for (name, _) in names { th.num scope="col" { (name) } } } }
                tbody {
                    @for day in days.iter().rev().filter(|d| parts.contains_key(d.as_str())) {
                        tr { th scope="row" { (day) } @for series in 1..=names.len() { td.num { (count(day, series)) } } }
                    }
                }
            }
        }
    }
}
