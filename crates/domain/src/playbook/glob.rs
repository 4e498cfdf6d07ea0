//! Patterns over whole names: `*` for anything, `?` for one character, `[a-z]` and `[!a-z]` for one of several,
//! `{a,b}` for a choice, `\` before a character that means itself. Characters are Unicode's, so that `?` stands for
//! an umlaut too, and a line break is a character like any other.

use regex::{Regex, RegexBuilder};

/// The longest pattern, in bytes.
pub(crate) const MAX_GLOB_BYTES: usize = 1024;
/// How deep choices may nest.
const MAX_DEPTH: usize = 8;
/// The largest compiled pattern, in bytes.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// A pattern that was read.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    regex: Regex,
}

impl Glob {
    /// Reads a pattern; the reason of a refusal is for people.
    pub(crate) fn new(pattern: &str, ignore_case: bool) -> Result<Self, String> {
        if pattern.len() > MAX_GLOB_BYTES {
            return Err(format!("it has {} bytes, at most {MAX_GLOB_BYTES} are possible", pattern.len()));
        }
        RegexBuilder::new(&translate(pattern)?)
            .case_insensitive(ignore_case)
            .dot_matches_new_line(true)
            .size_limit(MAX_REGEX_BYTES)
            .build()
            .map(|regex| Self { regex })
            .map_err(|_| "it is too complicated".to_owned())
    }

    /// Whether the whole text fits.
    pub(crate) fn fits(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn translate(pattern: &str) -> Result<String, String> {
    let mut regex = r"\A(?:".to_owned();
    let mut depth = 0_usize;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            // Several stars are one, so that a row of them costs nothing.
            '*' if regex.ends_with(".*") => {}
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => class(&mut chars, &mut regex)?,
            '{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("`{{` nests deeper than {MAX_DEPTH} levels"));
                }
                regex.push_str("(?:");
            }
            '}' => {
                depth = depth.checked_sub(1).ok_or("`}` has no `{` before it")?;
                regex.push(')');
            }
            ',' if depth > 0 => regex.push('|'),
            '\\' => literal(
                chars.next().ok_or("it ends with `\\`, which stands before a character that means itself")?,
                &mut regex,
            ),
            other => literal(other, &mut regex),
        }
    }
    if depth > 0 {
        return Err("`{` is never closed".to_owned());
    }
    regex.push_str(r")\z");
    Ok(regex)
}

/// One of several characters, after the `[`.
fn class(chars: &mut std::str::Chars<'_>, regex: &mut String) -> Result<(), String> {
    const OPEN: &str = "`[` is never closed";
    regex.push('[');
    let mut next = chars.next().ok_or(OPEN)?;
    if matches!(next, '!' | '^') {
        regex.push('^');
        next = chars.next().ok_or(OPEN)?;
    }
    let mut first = true;
    // A `]` that comes first means itself.
    while next != ']' || first {
        first = false;
        let from = if next == '\\' { chars.next().ok_or(OPEN)? } else { next };
        literal(from, regex);
        next = chars.next().ok_or(OPEN)?;
        if next == '-' {
            next = chars.next().ok_or(OPEN)?;
            if next == ']' {
                literal('-', regex);
                break;
            }
            let to = if next == '\\' { chars.next().ok_or(OPEN)? } else { next };
            if to < from {
                return Err(format!("the range {from}-{to} is empty"));
            }
            regex.push('-');
            literal(to, regex);
            next = chars.next().ok_or(OPEN)?;
        }
    }
    regex.push(']');
    Ok(())
}

fn literal(c: char, regex: &mut String) {
    regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

#[cfg(test)]
mod tests {
    use super::Glob;
    use proptest::prelude::*;

    #[test]
    fn patterns_fit_whole_texts() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "a\nb"),
            ("a*c", "abc"),
            ("?", "ä"),
            ("{a,b}*", "bx"),
            ("{,x}a", "a"),
            ("[a-c]", "b"),
            ("[!a]", "ß"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("\\*", "*"),
            ("a,b", "a,b"),
            ("a.b", "a.b"),
            ("[\\]]", "]"),
            ("{a,{b,c}}", "c"),
            ("(x)|^$", "(x)|^$"),
            ("[&&~~]", "&"),
            ("**.pdf", "a/b.pdf"),
        ] {
            assert!(Glob::new(pattern, false).unwrap().fits(text), "{pattern} {text:?}");
        }
        for (pattern, text) in [
            ("a", "ab"),
            ("?", ""),
            ("a.b", "axb"),
            ("[!a]", "a"),
            ("A", "a"),
            ("{a,b}", "c"),
            ("x|y", "x"),
            ("a", "a\n"),
        ] {
            assert!(!Glob::new(pattern, false).unwrap().fits(text), "{pattern} {text:?}");
        }
        assert!(Glob::new("ÄRGER*", true).unwrap().fits("ärger.txt"));
    }

    #[test]
    fn broken_patterns_are_refused() {
        for pattern in ["[", "[a", "[!", "{a", "a}", "\\", "[z-a]", "[a-", "{{{{{{{{{a}}}}}}}}}", &"a".repeat(1025)] {
            assert!(Glob::new(pattern, true).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_is_read_or_refused(pattern in "[a-c*?\\[\\]{}!^,&~\\\\-]{0,20}|.{0,20}", text in any::<String>()) {
            if let Ok(glob) = Glob::new(&pattern, true) {
                glob.fits(&text);
            }
        }

        #[test]
        fn an_escaped_text_fits_itself(text in any::<String>()) {
            let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
            prop_assume!(escaped.len() <= super::MAX_GLOB_BYTES);
            prop_assert!(Glob::new(&escaped, false).unwrap().fits(&text));
        }
    }
}
