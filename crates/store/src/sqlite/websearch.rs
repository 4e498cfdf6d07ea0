//! What a person types into a search box, as FTS5 reads it: the rules of PostgreSQL's `websearch_to_tsquery` (all words,
//! "a phrase", `or`, `-not`; nothing is ever a syntax error), and its list of English words that are not searched for.

/// Words and phrases at most; the rest is not looked at.
const TERMS: usize = 64;

/// PostgreSQL's `english.stop`, by which its index leaves these out; FTS5's holds them, so the query must.
const STOP: &str = " i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers \
    herself it its itself they them their theirs themselves what which who whom this that these those am is are was were be \
    been being have has had having do does did doing a an the and but if or because as until while of at by for with about \
    against between into through during before after above below to from up down in out on off over under again further then \
    once here there when where why how all any both each few more most other some such no nor not only own same so than too \
    very s t can will just don should now ";

/// The FTS5 query. Where nothing is left to look for (or only what is not wanted), it finds nothing.
pub(super) fn to_fts5(typed: &str) -> String {
    let mut either = vec![(Vec::new(), Vec::new())];
    for (word, is_phrase, is_unwanted) in terms(typed) {
        if !is_phrase && !is_unwanted && word.eq_ignore_ascii_case("or") {
            either.push((Vec::new(), Vec::new()));
            continue;
        }
        let is_stop = STOP.contains(&format!(" {} ", word.to_lowercase()));
        if !word.contains(char::is_alphanumeric) || is_stop {
            continue;
        }
        if let Some((wanted, unwanted)) = either.last_mut() {
            let list: &mut Vec<String> = if is_unwanted { unwanted } else { wanted };
            list.push(format!("\"{word}\""));
        }
    }
    let either: Vec<String> = either
        .into_iter()
        .filter(|(wanted, _)| !wanted.is_empty())
        .map(|(wanted, unwanted)| {
            let mut query = format!("({})", wanted.join(" AND "));
            for word in unwanted {
                query = format!("({query} NOT {word})");
            }
            query
        })
        .collect();
    if either.is_empty() { "\"\"".to_owned() } else { either.join(" OR ") }
}

/// Words and phrases: the text, whether it is a phrase, whether it is not wanted.
fn terms(typed: &str) -> Vec<(&str, bool, bool)> {
    let mut found = Vec::new();
    let mut rest = typed.trim_start();
    while !rest.is_empty() && found.len() < TERMS {
        let is_unwanted = rest.starts_with('-');
        let text = rest.trim_start_matches('-');
        let (term, is_phrase, after) = if let Some(open) = text.strip_prefix('"') {
            let (phrase, after) = open.split_once('"').unwrap_or((open, ""));
            (phrase, true, after)
        } else {
            let end = text.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(text.len());
            (&text[..end], false, &text[end..])
        };
        found.push((term, is_phrase, is_unwanted));
        rest = after.trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::to_fts5;

    #[test]
    fn what_people_type_becomes_a_query() {
        for (typed, query) in [
            ("the invoice march", r#"("invoice" AND "march")"#),
            (r#""invoice of march" -draft"#, r#"(("invoice of march") NOT "draft")"#),
            ("invoice or receipt", r#"("invoice") OR ("receipt")"#),
            (r#"un"closed phrase"#, r#"("un" AND "closed phrase")"#),
            ("a-b NEAR( col:x * ^", r#"("a-b" AND "NEAR(" AND "col:x")"#),
            ("-only", r#""""#),
            ("  \"\" -- the ", r#""""#),
        ] {
            assert_eq!(to_fts5(typed), query, "{typed}");
        }
        assert!(to_fts5(&"x ".repeat(100_000)).len() < 1000);
    }
}
