//! Which names are left alone, and how a name that is not text is written.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

/// Endings of files that another program is still filling.
const PARTIAL_ENDINGS: [&str; 8] =
    [".part", ".partial", ".crdownload", ".download", ".tmp", ".swp", ".filepart", ".!ut"];

/// Beginnings of the lock and owner files of editors and office programs.
const PARTIAL_BEGINNINGS: [&str; 3] = [".#", "~$", ".~lock."];

/// A name that begins with a dot.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().first() == Some(&b'.')
}

/// A name that says its file is not whole yet, or is only an editor's aid. Letters' case does not matter.
pub(super) fn is_partial(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.last() == Some(&b'~')
        || PARTIAL_BEGINNINGS.iter().any(|begin| name.starts_with(begin.as_bytes()))
        || PARTIAL_ENDINGS
            .iter()
            .any(|end| name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes()))
}

/// Whether the name alone says to leave the file alone.
pub(super) fn is_left_alone(name: &OsStr, include_hidden: bool) -> bool {
    is_partial(name) || (!include_hidden && is_hidden(name))
}

/// A name or path as text, losing nothing: text stays as it is; in a name that is not UTF-8 each foreign byte becomes
/// `\xNN` and each backslash is doubled.
pub fn display_name(name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref();
    if let Some(text) = name.to_str() {
        return text.to_owned();
    }
    let mut out = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// A name for a sentence: in quotes, control characters spelled out so that it stays on its line.
pub(super) fn quoted(name: impl AsRef<OsStr>) -> String {
    let mut out = String::from("“");
    for c in display_name(name).chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('”');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn os(bytes: &[u8]) -> &OsStr {
        OsStr::from_bytes(bytes)
    }

    /// Reads back what `display_name` wrote for a name that is not UTF-8.
    fn undisplay(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte != b'\\' {
                out.push(byte);
            } else if tail[0] == b'\\' {
                out.push(b'\\');
                rest = &tail[1..];
            } else {
                out.push(u8::from_str_radix(std::str::from_utf8(&tail[1..3]).unwrap(), 16).unwrap());
                rest = &tail[3..];
            }
        }
        out
    }

    #[test]
    fn names_that_are_left_alone() {
        for name in [
            "a.part",
            "A.PART",
            "film.mkv.crdownload",
            "x.download",
            "x.tmp",
            ".x.swp",
            "x.swp",
            "notes~",
            "~",
            ".#lock",
            "~$brief.docx",
            "x.filepart",
            "x.!ut",
            "x.partial",
            ".~lock.a.odt#",
            ".part",
        ] {
            assert!(is_partial(OsStr::new(name)), "{name}");
        }
        for name in ["part", "a.party", "parts", "Rechnung März 2026.pdf", "tmp", "a.tmp.pdf", "~a", "a~b", "$a", "#a"]
        {
            assert!(!is_left_alone(OsStr::new(name), false), "{name}");
        }
        assert!(is_left_alone(OsStr::new(".hidden"), false));
        assert!(!is_left_alone(OsStr::new(".hidden"), true));
    }

    #[test]
    fn quotes_keep_to_one_line() {
        assert_eq!(quoted("a\nb"), "“a\\nb”");
        assert_eq!(quoted(os(b"a\xffb")), "“a\\xffb”");
    }

    proptest! {
        #[test]
        fn a_marked_name_is_always_left_alone(
            stem in proptest::collection::vec(1u8..=255, 0..40),
            end in proptest::sample::select(PARTIAL_ENDINGS.to_vec()),
            begin in proptest::sample::select(PARTIAL_BEGINNINGS.to_vec()),
            upper: bool,
            hidden: bool,
        ) {
            let end = if upper { end.to_ascii_uppercase() } else { end.to_owned() };
            prop_assert!(is_left_alone(os(&[&stem[..], end.as_bytes()].concat()), hidden));
            prop_assert!(is_left_alone(os(&[begin.as_bytes(), &stem].concat()), hidden));
            prop_assert!(is_left_alone(os(&[&stem[..], b"~"].concat()), hidden));
            prop_assert!(is_left_alone(os(&[b".", &stem[..]].concat()), false));
        }

        #[test]
        fn an_ordinary_name_never_is(stem in "[a-zA-Z0-9 äöüß日\n_-]{1,40}", end in "(pdf|txt|docx|jpg|parts|tmpl)") {
            let name = format!("{stem}.{end}");
            prop_assert!(!is_left_alone(OsStr::new(&name), false));
            prop_assert!(!is_left_alone(OsStr::new(&stem), false));
        }

        #[test]
        fn showing_hidden_files_only_ever_takes_more(name in proptest::collection::vec(1u8..=255, 1..60)) {
            prop_assert!(!is_left_alone(os(&name), true) || is_left_alone(os(&name), false));
        }

        #[test]
        fn display_loses_nothing(name in proptest::collection::vec(1u8..=255, 0..60)) {
            let text = display_name(os(&name));
            let expected = String::from_utf8(name.clone()).unwrap_or_else(|_| text.clone());
            prop_assert_eq!(&text, &expected);
            prop_assert!(std::str::from_utf8(&name).is_ok() || undisplay(&text) == name);
        }
    }
}
