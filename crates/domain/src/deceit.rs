//! Text that deceives: characters that nobody sees, and words whose letters only look like others. Whatever a person decides
//! about is shown through this, and what a model reads from outside too.

use std::fmt::Write;

/// Words named at most.
const MOST_WORDS: usize = 5;
/// The longest word that is named, in characters.
const MOST_WORD_CHARS: usize = 80;
/// Unseen characters in a row that are spelt out for a model; of more only the number is told.
const MOST_SPELT: usize = 4;

/// Whether a character changes how text looks, or carries something, without being seen itself: controls, direction marks,
/// zero widths, fillers, tags and variation selectors.
pub fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with hidden characters spelt out as `⟨U+202E⟩`. The one that makes a sign an emoji stays behind such a sign.
pub fn visible(text: &str) -> String {
    spell_out(text, |c, out| write!(out, "⟨U+{:04X}⟩", u32::from(c)))
}

/// The text with each hidden character replaced by what `spell` writes for it.
pub fn spell_out(text: &str, spell: impl Fn(char, &mut String) -> std::fmt::Result) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        // Writing into a String does not fail.
        if !is_hidden(c) || is_emoji_style(before, c) || spell(c, &mut out).is_err() {
            out.push(c);
        }
        before = c;
    }
    out
}

/// The text for a model: hidden characters as JSON's escapes, so that a name with one can still be written in a call, and of
/// many in a row, which may spell a message of their own, only the number. Joiners between letters of scripts that need them
/// stay.
pub fn legible(text: &str) -> String {
    let chars: Vec<char> = text.replace("\r\n", "\n").replace('\r', "\n").chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let run = chars.iter().skip(at).take_while(|c| is_hidden(**c)).count();
        if run == 0 {
            out.push(c);
            at += 1;
            continue;
        }
        let beside = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(|c| !c.is_ascii());
        let joins = run == 1
            && matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0f}')
            && beside(at.checked_sub(1))
            && (c == '\u{fe0f}' || beside(Some(at + 1)));
        if joins {
            out.push(c);
        } else if run > MOST_SPELT {
            // Writing into a String does not fail.
            let _ = write!(out, "[{run} hidden characters]");
        } else {
            for c in chars.iter().skip(at).take(run) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
        at += run;
    }
    out
}

/// How many characters of a text nobody sees.
pub fn hidden(text: &str) -> usize {
    let (mut count, mut before) = (0, ' ');
    for c in text.chars() {
        count += usize::from(is_hidden(c) && !is_emoji_style(before, c));
        before = c;
    }
    count
}

/// What makes the sign before it an emoji.
fn is_emoji_style(before: char, c: char) -> bool {
    c == '\u{fe0f}' && !before.is_ascii() && !is_hidden(before)
}

/// Greek letters that look like Latin ones; the others stand in formulas and deceive nobody.
const GREEK: &str = "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαινορυχϲϳ";

/// Alphabets whose letters are taken for one another.
fn alphabet(c: char) -> Option<&'static str> {
    match c {
        'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{24f}' => Some("Latin"),
        c if GREEK.contains(c) => Some("Greek"),
        '\u{400}'..='\u{52f}' => Some("Cyrillic"),
        '\u{530}'..='\u{58f}' => Some("Armenian"),
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Some("Cherokee"),
        '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' => Some("full-width Latin"),
        '\u{1d400}'..='\u{1d7ff}' => Some("mathematical"),
        _ => None,
    }
}

/// Words that mix alphabets whose letters look alike, such as `pаypal` with one Cyrillic letter; each with the letters that
/// stand out, in words for people. At most five.
pub fn mixed_words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split(|c: char| !(c.is_alphanumeric() || "@.-_".contains(c))) {
        let of = |c: char| alphabet(c);
        let Some(first) = word.chars().find_map(of) else { continue };
        let main = if word.chars().any(|c| of(c) == Some("Latin")) { "Latin" } else { first };
        let mut odd: Vec<char> = word.chars().filter(|c| of(*c).is_some_and(|a| a != main)).collect();
        odd.dedup();
        if odd.is_empty() {
            continue;
        }
        let letters: Vec<String> = odd
            .iter()
            .take(3)
            .map(|c| format!("{c} is {} (U+{:04X})", alphabet(*c).unwrap_or_default(), u32::from(*c)))
            .collect();
        let shown: String = word.chars().take(MOST_WORD_CHARS).collect();
        let said = format!("{shown}: {}", letters.join(", "));
        if !found.contains(&said) {
            found.push(said);
        }
        if found.len() >= MOST_WORDS {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{hidden, legible, mixed_words, visible};

    #[test]
    fn nothing_hides() {
        assert_eq!(visible("in\u{202e}fdp.exe"), "in⟨U+202E⟩fdp.exe");
        assert_eq!(visible("März\n日本 ✈\u{fe0f}"), "März\n日本 ✈\u{fe0f}");
        assert_eq!(visible("a\u{fe0f}b\u{e0041}\u{3164}"), "a⟨U+FE0F⟩b⟨U+E0041⟩⟨U+3164⟩");
        assert_eq!((hidden("plain ✈\u{fe0f}"), hidden("a\u{200b}\u{200b}\u{fe0f}b")), (0, 3));
    }

    #[test]
    fn a_model_reads_what_it_can_write_again() {
        assert_eq!(legible("a\r\nb\rc"), "a\nb\nc");
        assert_eq!(legible("a\u{200b}b"), "a\\u200bb");
        assert_eq!(legible("x\u{e0041}y"), "x\\udb40\\udc41y");
        assert_eq!(legible(&format!("x{}y", "\u{e0041}".repeat(40))), "x[40 hidden characters]y");
        for kept in ["می\u{200c}خواهم", "👩\u{200d}💻", "✈\u{fe0f}", "Grüße"] {
            assert_eq!(legible(kept), kept);
        }
        assert_eq!(legible("im\u{200d}portant"), "im\\u200dportant");
    }

    #[test]
    fn letters_that_look_like_others_are_named() {
        assert_eq!(
            mixed_words("write to billing@p\u{430}ypal.com"),
            ["billing@p\u{430}ypal.com: \u{430} is Cyrillic (U+0430)"]
        );
        for honest in
            ["write to ada@example.org", "Привет, мир", "Ελλάδα Größe naïve 10kΩ Δt", "日本 Tokyo東京", "a_b-c.d@e"]
        {
            assert!(mixed_words(honest).is_empty(), "{honest}");
        }
        assert_eq!(mixed_words(&"p\u{430}y q\u{430}y r\u{430}y s\u{430}y t\u{430}y u\u{430}y".repeat(3)).len(), 5);
    }
}
