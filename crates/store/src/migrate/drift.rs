//! Comparing what should stand with what stands.

use std::collections::BTreeMap;

/// One line for each thing that is missing, foreign or different.
pub(super) fn compare(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, definition) in wanted {
        match found.get(name) {
            None => lines.push(format!("missing: {name}")),
            Some(other) if other != definition => {
                lines.push(format!("differs: {name}: should be [{}], is [{}]", one_line(definition), one_line(other)));
            }
            Some(_) => {}
        }
    }
    lines.extend(found.keys().filter(|name| !wanted.contains_key(*name)).map(|name| format!("foreign: {name}")));
    lines
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn each_difference_is_a_line() {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let lines = compare(&map(&[("a", "1"), ("b", "2"), ("c", "3")]), &map(&[("a", "1"), ("b", "9"), ("d", "4")]));
        assert_eq!(lines, ["differs: b: should be [2], is [9]", "missing: c", "foreign: d"]);
    }
}
