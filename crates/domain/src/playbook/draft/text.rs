//! A draft's values as YAML that a person can read, and that reads as exactly these values.

use std::fmt::Write;

use serde_json::Value;

use crate::deceit;

/// Words that YAML or other readers of it take for something else than text.
const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "none"];
/// Words of the expressions' language.
const KEYWORDS: [&str; 10] = ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none"];

/// A text in double quotes; what hides is spelled out.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for c in serde_json::to_string(text).unwrap_or_default().chars() {
        let is_odd = matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}') || deceit::is_hidden(c);
        // Writing to a text never fails.
        let _ = match u32::from(c) {
            code if is_odd && code > 0xffff => write!(out, "\\U{code:08x}"),
            code if is_odd => write!(out, "\\u{code:04x}"),
            _ => out.write_char(c),
        };
    }
    out
}

/// A text on one line, as a comment or a description shows it; at most 300 characters.
pub(super) fn one_line(text: &str) -> String {
    let plain: String = deceit::legible(text).chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    plain.trim().to_owned()
}

/// A text as a pattern that it alone fits.
pub(super) fn glob(text: &str) -> String {
    text.chars().flat_map(|c| ("*?[]{},\\".contains(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// A text as an expression's literal.
pub(super) fn expression(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// The path of a member; none where it can't be written.
pub(super) fn member(path: &str, name: &str) -> Option<String> {
    let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&name.to_ascii_lowercase().as_str());
    if is_word {
        return Some(format!("{path}.{name}"));
    }
    let is_plain = !name.is_empty() && !name.contains(['"', '\\']) && !name.contains(char::is_control);
    is_plain.then(|| format!("{path}[\"{name}\"]"))
}

/// A text as a template that gives just this text. `goes_on`: an expression follows it.
pub(super) fn escaped(text: &str, goes_on: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('{', Some(next @ ('{' | '%' | '#'))) => {
                chars.next();
                out.push_str("{{ \"{");
                out.push(next);
                out.push_str("\" }}");
            }
            ('{', None) if goes_on => out.push_str("{{ \"{\" }}"),
            _ => out.push(c),
        }
    }
    out
}

/// Writes what stands behind a key, its line's end included.
pub(super) fn value(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            out.push('\n');
            for (name, item) in entries {
                out.push_str(&" ".repeat(indent));
                out.push_str(&key(name));
                out.push(':');
                self::value(out, item, indent + 2);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                out.push_str(&" ".repeat(indent));
                out.push_str("- ");
                out.push_str(&flow(item));
                out.push('\n');
            }
        }
        Value::String(text) => {
            let block = block(text, indent).unwrap_or_else(|| format!(" {}\n", quoted(text)));
            out.push_str(&block);
        }
        scalar => {
            out.push(' ');
            out.push_str(&flow(scalar));
            out.push('\n');
        }
    }
}

fn key(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        && !WORDS.contains(&name.to_ascii_lowercase().as_str());
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) => {
            let fields: Vec<String> = entries.iter().map(|(n, v)| format!("{}: {}", quoted(n), flow(v))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// A text of several lines, as lines; none where that would not read as the same text.
fn block(text: &str, indent: usize) -> Option<String> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let is_fit = body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && body.chars().all(|c| c == '\n' || !(c.is_control() || deceit::is_hidden(c) || c == '\u{feff}'));
    if !is_fit {
        return None;
    }
    let mut out = String::from(if text.ends_with('\n') { " |\n" } else { " |-\n" });
    for line in body.split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
    Some(out)
}
