//! What changed between two texts, line by line.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::parts::{pretty, visible};

/// Lines of either side up to which the shortest difference is looked for; longer texts are compared from both ends.
const LINES: usize = 400;

/// A line and on which side it stands.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Both(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// Two JSON texts as a difference; what is no JSON is compared as it is.
pub(crate) fn json(old: &str, new: &str, label: &str) -> Markup {
    let shown = |text: &str| serde_json::from_str::<Json>(text).map_or_else(|_| visible(text), |value| pretty(&value));
    text(&shown(old), &shown(new), label)
}

/// Two texts as a difference.
pub(crate) fn text(old: &str, new: &str, label: &str) -> Markup {
    html! {
        div.diff role="region" aria-label=(label) tabindex="0" dir="ltr" {
            @for line in compare(old, new) {
                @match line {
                    Line::Both(text) => span { (text) },
                    Line::Old(text) => del { (text) },
                    Line::New(text) => ins { (text) },
                }
            }
        }
    }
}

fn compare<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (was, now) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut lines: Vec<Line<'a>> = old[..head].iter().map(|l| Line::Both(l)).collect();
    if was.len() > LINES || now.len() > LINES {
        lines.extend(was.iter().map(|l| Line::Old(l)));
        lines.extend(now.iter().map(|l| Line::New(l)));
    } else {
        middle(was, now, &mut lines);
    }
    lines.extend(old_rest[old_rest.len() - tail..].iter().map(|l| Line::Both(l)));
    lines
}

/// The longest common run of lines, by the table of its lengths.
fn middle<'a>(was: &[&'a str], now: &[&'a str], lines: &mut Vec<Line<'a>>) {
    let width = now.len() + 1;
    let mut longest = vec![0_u16; (was.len() + 1) * width];
    for i in (0..was.len()).rev() {
        for j in (0..now.len()).rev() {
            longest[i * width + j] = if was[i] == now[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < was.len() || j < now.len() {
        if i < was.len() && j < now.len() && was[i] == now[j] {
            lines.push(Line::Both(was[i]));
            i += 1;
            j += 1;
        } else if i < was.len() && (j == now.len() || longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
            lines.push(Line::Old(was[i]));
            i += 1;
        } else {
            lines.push(Line::New(now[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line::*, compare};

    #[test]
    fn what_stayed_is_told_from_what_changed() {
        assert_eq!(compare("a\nb\nc\nd", "a\nc\nx\nd"), [Both("a"), Old("b"), Both("c"), New("x"), Both("d")]);
        assert_eq!(compare("", "a"), [New("a")]);
        assert_eq!(compare("a\na", "a"), [Both("a"), Old("a")]);
        assert!(compare("", "").is_empty());
    }
}
