//! What the terminal shows: tables that fit the window, plain text where nobody looks, JSON for programs.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write},
};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use domain::tasks::Due;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{Error, Result};

/// Writes one line of an answer.
pub fn line(text: impl AsRef<str>) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{}", text.as_ref()).map_err(Error::Output)
}

/// Says something beside the answer, on stderr, so that the answer stays clean.
pub fn note(text: impl AsRef<str>) {
    // Nothing can be done where stderr is gone, and nothing hangs on it.
    drop(writeln!(std::io::stderr().lock(), "{}", text.as_ref()));
}

/// Writes a value as JSON.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| Error::Internal(format!("the answer is no JSON: {e}")))?;
    line(text)
}

/// Writes what became of something: its row as JSON, or a sentence.
pub fn told<T: Serialize>(as_json: bool, row: &T, sentence: impl AsRef<str>) -> Result<()> {
    if as_json { json(row) } else { line(sentence) }
}

/// Writes a list: one JSON array, or a table; where it is empty, `empty` goes to stderr.
pub fn list<T: Serialize>(
    as_json: bool,
    items: &[T],
    empty: &str,
    head: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<()> {
    if as_json {
        return json(items);
    }
    if items.is_empty() {
        note(empty);
        return Ok(());
    }
    line(table(head, items.iter().map(row)))
}

/// A table. Its first column is never broken, so that an id can be copied. In a window ids are as short as tells them from one
/// another, and the columns are those, from the left, that leave the longest text room to be read; how something stands is
/// among them. Which ones are left out is said beside it.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let (text, left_out) = table_in(window_columns(), head, rows);
    if !left_out.is_empty() {
        note(format!("not shown in so narrow a window: {}; --json shows all", left_out.join(", ")));
    }
    text
}

/// Characters that the widest text of a table gets before columns are left out for it.
const READABLE: u16 = 24;

fn table_in(window: Option<u16>, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> (String, Vec<String>) {
    let cell = |text: &String| if window.is_some() { safe(&to_the_minute(text)) } else { safe(text) };
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.iter().map(cell).collect()).collect();
    if window.is_some() {
        shorten_ids(&mut rows);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    for row in &rows {
        table.add_row(row);
    }
    let mut left_out = Vec::new();
    if let Some(width) = window {
        let (shown, widest) = fitting(head, &table.column_max_content_widths(), width);
        let of = |at: &usize| head.get(*at).copied().unwrap_or_default();
        left_out = (0..head.len()).filter(|at| !shown.contains(at)).map(|at| of(&at).to_owned()).collect();
        table = Table::new();
        table.load_preset(presets::NOTHING).set_header(shown.iter().map(of));
        for row in rows {
            table.add_row(shown.iter().map(|at| row.get(*at).cloned().unwrap_or_default()));
        }
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        for (place, _) in shown.iter().enumerate().filter(|(_, at)| **at != widest) {
            if let Some(column) = table.column_mut(place) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
    let mut text = String::new();
    for row in table.lines() {
        // Cells begin with a blank for a border that is not there.
        text.push_str(row.strip_prefix(' ').unwrap_or(&row).trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    (text, left_out)
}

/// Characters of an id that are shown at least.
const ID_CHARS: usize = 8;

/// Cuts the ids of each column that holds nothing else: to as many characters as tell all of them apart.
fn shorten_ids(rows: &mut [Vec<String>]) {
    for at in 0..rows.first().map_or(0, Vec::len) {
        let ids: BTreeSet<&str> = rows.iter().filter_map(|row| row.get(at)).map(String::as_str).collect();
        let ids: Vec<&str> = ids.into_iter().filter(|id| !id.is_empty()).collect();
        if ids.is_empty() || !ids.iter().all(|id| id.len() == 36 && id.parse::<Uuid>().is_ok()) {
            continue;
        }
        let alike =
            |pair: &[&str]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(one, other)| one == other).count();
        let needed = ids.windows(2).map(alike).max().map_or(ID_CHARS, |alike| (alike + 1).max(ID_CHARS));
        for row in rows.iter_mut() {
            if let Some(id) = row.get_mut(at) {
                id.truncate(needed);
            }
        }
    }
}

/// Which columns are shown, and which of them gives way. The first one, ids and how something stands always stay.
fn fitting(head: &[&str], widths: &[u16], window: u16) -> (Vec<usize>, usize) {
    let is_kept = |at: usize| at == 0 || matches!(head[at], "id" | "status" | "state");
    let mut shown: Vec<usize> = (0..head.len().min(widths.len())).collect();
    loop {
        let widest = shown.iter().copied().filter(|at| !is_kept(*at)).max_by_key(|at| widths[*at]).unwrap_or(0);
        let least = |at: usize| if at == widest { widths[at].min(READABLE) } else { widths[at] };
        // Between two columns stand two blanks.
        let needed: u32 = shown.iter().map(|at| u32::from(least(*at)) + 2).sum();
        let free = shown.iter().filter(|at| !is_kept(**at)).count();
        let outermost = shown.iter().rposition(|at| !is_kept(*at));
        match outermost {
            Some(at) if free > 1 && needed > u32::from(window) + 2 => {
                shown.remove(at);
            }
            _ => return (shown, widest),
        }
    }
}

/// A moment of a table to the minute; anything else as it is.
fn to_the_minute(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) if text == time(at) => at.strftime("%Y-%m-%d %H:%MZ").to_string(),
        _ => text.to_owned(),
    }
}

/// Writes named values, one below the other.
pub fn fields(rows: &[(&str, String)]) -> Result<()> {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in rows {
        let mut parts = value.split('\n').map(safe);
        line(format!("{name:width$}  {}", parts.next().unwrap_or_default()).trim_end())?;
        for part in parts {
            line(format!("{:width$}  {part}", "").trim_end())?;
        }
    }
    Ok(())
}

/// Columns of the window, where stdout is one.
fn window_columns() -> Option<u16> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| width.0.clamp(40, 400))
}

/// A moment as RFC 3339 in UTC, to the second.
pub fn time(moment: Timestamp) -> String {
    format!("{moment:.0}")
}

/// A moment that may be missing.
pub fn maybe_time(moment: Option<Timestamp>) -> String {
    moment.map(time).unwrap_or_default()
}

/// When a task is due: a day as that day, a moment as one.
pub fn due(due_date: Option<Timestamp>) -> String {
    match due_date.map(Due::of) {
        None => String::new(),
        Some(Due::Day(day)) => day.to_string(),
        Some(Due::At(at)) => time(at),
    }
}

/// Text from outside, safe for a terminal and on one line: what would move the cursor, change colours, turn the direction of
/// writing or not be seen at all is spelled out.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || domain::deceit::is_hidden(c) && c != '\u{fe0f}' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{safe, table, table_in};

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(safe("Rechnung\nMärz\u{1b}[31m\u{202e}fdp.exe"), "Rechnung\\nMärz\\u{1b}[31m\\u{202e}fdp.exe");
    }

    #[test]
    fn plain_tables_are_lined_up() {
        let text = table(
            &["name", "state"],
            [vec!["a".to_owned(), "on".to_owned()], vec!["longer".to_owned(), String::new()]],
        );
        assert_eq!(text, "name    state\na       on\nlonger");
    }

    #[test]
    fn in_a_narrow_window_ids_are_short_and_what_matters_can_be_read() {
        let id = "018f3c1e-7d6a-7c00-8000-000000000001";
        let row = || {
            [id, "Pay the invoice of the plumber before Christmas", "pending", "high", "2026-12-24T15:00:07Z"]
                .map(str::to_owned)
        };
        let head = ["id", "title", "status", "priority", "made"];
        for (window, columns) in [(200, 5), (110, 5), (80, 5), (60, 4), (40, 3)] {
            let (text, left_out) = table_in(Some(window), &head, [row().to_vec()]);
            assert_eq!(left_out.len(), 5 - columns, "{window}: {text}");
            assert!(text.contains("018f3c1e ") && !text.contains(id), "{window}: {text}");
            assert!(text.contains("pending"), "{window}: {text}");
            if window >= 60 {
                assert!(text.lines().all(|line| line.chars().count() <= usize::from(window)), "{window}: {text}");
                assert!(text.contains("Pay the invoice"), "{window}: {text}");
            }
        }
        assert!(table_in(Some(200), &head, [row().to_vec()]).0.contains("2026-12-24 15:00Z"));
        let for_programs = table_in(None, &head, [row().to_vec()]).0;
        assert!(for_programs.contains("2026-12-24T15:00:07Z") && for_programs.contains(id), "{for_programs}");
    }

    #[test]
    fn ids_are_as_short_as_tells_them_apart() {
        let shown = |ids: &[&str]| {
            let rows = ids.iter().map(|id| vec![(*id).to_owned(), "018f".to_owned()]);
            table_in(Some(100), &["id", "of"], rows).0
        };
        let (one, two) = ("018f3c1e-7d6a-7c00-8000-000000000001", "018f3c1e-7d6a-7c01-8000-000000000001");
        assert!(
            shown(&[one, two]).contains("018f3c1e-7d6a-7c00  018f\n018f3c1e-7d6a-7c01  018f"),
            "{}",
            shown(&[one, two])
        );
        assert!(shown(&[one, one, ""]).contains("018f3c1e  018f"));
        let three = "018f3c1e-8d6a-7c01-8000-000000000001";
        assert!(shown(&[one, three]).contains("018f3c1e-7 "), "no hyphen at its end: {}", shown(&[one, three]));
    }
}
