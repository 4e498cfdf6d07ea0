//! The text of a migration of PostgreSQL, cut into its statements.

/// The statements of a text, without the semicolons and without what stands between them.
pub(super) fn statements(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let skipped = skip(rest);
        if skipped > 0 {
            at += skipped;
            continue;
        }
        let c = rest.chars().next().map_or(1, char::len_utf8);
        if rest.starts_with(';') {
            found.push(text[from..at].trim());
            from = at + c;
        }
        at += c;
    }
    found.push(text[from..].trim());
    found.retain(|s| !without_comments(s).is_empty());
    found
}

/// Bytes of the comment, string, name or dollar-quoted text that `rest` begins with; 0 if with none of them.
fn skip(rest: &str) -> usize {
    let through = |open: usize, end: &str| rest[open..].find(end).map_or(rest.len(), |i| open + i + end.len());
    if rest.starts_with("--") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        through(2, "*/")
    } else if rest.starts_with('\'') {
        through(1, "'")
    } else if rest.starts_with('"') {
        through(1, "\"")
    } else if let Some(tag) = dollar_tag(rest) {
        through(tag.len(), tag)
    } else {
        0
    }
}

/// `$tag$` at the beginning.
fn dollar_tag(rest: &str) -> Option<&str> {
    let inner = rest.strip_prefix('$')?;
    let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    (inner[end..].starts_with('$') && !inner.starts_with(|c: char| c.is_ascii_digit())).then(|| &rest[..end + 2])
}

/// A statement on one line, without comments.
pub(super) fn without_comments(statement: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < statement.len() {
        let rest = &statement[at..];
        let skipped = skip(rest);
        if rest.starts_with("--") || rest.starts_with("/*") {
            at += skipped;
            out.push(' ');
            continue;
        }
        let take = if skipped > 0 { skipped } else { rest.chars().next().map_or(1, char::len_utf8) };
        out.push_str(&rest[..take]);
        at += take;
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning of a statement, for showing.
pub(super) fn shortened(statement: &str) -> String {
    const MOST: usize = 120;
    let line = without_comments(statement);
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::{shortened, statements};

    #[test]
    fn a_semicolon_ends_a_statement_only_where_it_is_one() {
        let text = "-- what; for\nSELECT ';', \"a;b\", 'it''s;';\n/* no; */ DO $do$ BEGIN; END $do$;\nCREATE FUNCTION f() AS $fn$ a; $$ b; $$ $fn$;\nSELECT $1;\n-- the end;\n";
        let found = statements(text);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(shortened(found[0]), "SELECT ';', \"a;b\", 'it''s;'");
        assert!(found[2].starts_with("CREATE FUNCTION") && found[2].ends_with("$fn$"));
        assert_eq!(shortened(&"x".repeat(200)).chars().count(), 120);
    }

    #[test]
    fn every_migration_comes_apart() {
        for migration in super::super::MIGRATIONS {
            for statement in statements(migration.postgres) {
                let first = shortened(statement);
                let known = [
                    "CREATE", "ALTER", "DROP", "DO", "INSERT", "UPDATE", "DELETE", "GRANT", "REVOKE", "SELECT", "SET",
                    "COMMENT", "WITH",
                ];
                assert!(known.iter().any(|k| first.starts_with(k)), "{}: {first}", migration.name);
            }
        }
    }
}
