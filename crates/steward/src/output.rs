//! What the terminal shows: tables that fit the window, plain text where nobody looks, JSON for programs.

use std::io::{IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

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

/// A table. Its first column is never broken, so that an id can be copied.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    for row in rows {
        table.add_row(row.iter().map(|cell| safe(cell)));
    }
    if let Some(width) = window_columns() {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(first) = table.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let mut text = String::new();
    for row in table.lines() {
        // Cells begin with a blank for a border that is not there.
        text.push_str(row.strip_prefix(' ').unwrap_or(&row).trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
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
    use super::{safe, table};

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
}
