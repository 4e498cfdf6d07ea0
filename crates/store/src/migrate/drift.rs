//! Comparing what should stand with what stands.

use std::collections::BTreeMap;

/// One line for each thing that is missing, foreign or different.
pub(super) fn compare(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, definition) in wanted {
        match found.get(name) {
            None => lines.push(format!("missing: {name}")),
            Some(other) if read_again(other) != read_again(definition) => {
                let (should, is) = parted(&one_line(definition), &one_line(other));
                lines.push(format!("differs: {name}: should be [{should}], is [{is}]"));
            }
            Some(_) => {}
        }
    }
    lines.extend(found.keys().filter(|name| !wanted.contains_key(*name)).map(|name| format!("foreign: {name}")));
    lines
}

/// PostgreSQL writes a list of words in one way where it was made and in another where a dump of it was put back:
/// `(ARRAY['a'::character varying])::text[]` and `ARRAY[('a'::character varying)::text]` are the same.
fn read_again(definition: &str) -> String {
    definition
        .replace("((ARRAY[", "(ARRAY[")
        .replace("])::text[])", "])")
        .replace("'::character varying)::text", "'::character varying")
        .replace("[('", "['")
        .replace(", ('", ", '")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Of two texts what differs, with a few words on either side: a table's definition may be long.
fn parted(a: &str, b: &str) -> (String, String) {
    const AROUND: usize = 4;
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split(' ').collect(), b.split(' ').collect());
    let same = |(x, y): &(&&str, &&str)| x == y;
    let front = a.iter().zip(&b).take_while(same).count();
    let most = a.len().min(b.len()) - front;
    let back = a.iter().rev().zip(b.iter().rev()).take(most).take_while(same).count();
    let shown = |words: &[&str]| {
        let (from, to) = (front.saturating_sub(AROUND), (words.len() - back + AROUND).min(words.len()));
        let (before, after) = (if from > 0 { "… " } else { "" }, if to < words.len() { " …" } else { "" });
        format!("{before}{}{after}", words[from..to].join(" "))
    };
    (shown(&a), shown(&b))
}

#[cfg(test)]
mod tests {
    use super::{compare, parted, read_again};

    #[test]
    fn of_a_long_definition_what_differs_is_shown() {
        let long = "a b c d e f g h i j k l m n o p";
        let other = "a b c d e f g h X Y j k l m n o p";
        assert_eq!(parted(long, other), ("… e f g h i j k l m …".to_owned(), "… e f g h X Y j k l m …".to_owned()));
        assert_eq!(parted("a", "a b"), ("a".to_owned(), "a b".to_owned()));
        assert_eq!(parted("a a", "a"), ("a a".to_owned(), "a".to_owned()));
        assert_eq!(parted("x", "y"), ("x".to_owned(), "y".to_owned()));
    }

    #[test]
    fn a_dump_put_back_is_no_difference() {
        let made = "CHECK (((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))";
        let back =
            "CHECK (((status)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))";
        let other =
            "CHECK (((status)::text = ANY (ARRAY[('a'::character varying)::text, ('c'::character varying)::text])))";
        assert_eq!(read_again(made), read_again(back));
        assert_ne!(read_again(made), read_again(other));
    }

    #[test]
    fn each_difference_is_a_line() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let lines = compare(&map(&[("a", "1"), ("b", "2"), ("c", "3")]), &map(&[("a", "1"), ("b", "9"), ("d", "4")]));
        assert_eq!(lines, ["differs: b: should be [2], is [9]", "missing: c", "foreign: d"]);
    }
}
