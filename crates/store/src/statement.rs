//! Statements: one text for both databases, and the few mechanical rules that make SQLite read it.
//!
//! A statement lives in `sql/<table>/<verb>.sql`; where the engines must differ, in `<verb>.postgres.sql` and
//! `<verb>.sqlite.sql`. `{columns}` stands for the row struct's columns (`{columns:t}` with an alias). For SQLite,
//! `$1` becomes `?1`, `::type` and `COLLATE "C"` (the order of bytes, which is SQLite's own) go, `= ANY($1)` becomes a look into a JSON list and `$1 = ANY(tags)` one
//! for it in there, `= ANY(ARRAY[x])` is `= x` (it is said to PostgreSQL's planner), row locks go (there is one writer),
//! and what is written is `main.<table>`: the bare name is the guarded view (see `sqlite/guard_reads.sql`).

use std::sync::{LazyLock, OnceLock};

use regex::{Captures, Regex};

/// A named statement.
#[derive(Debug)]
pub struct Statement {
    /// `table/verb`.
    pub name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
    columns: &'static [&'static str],
    wakes: bool,
    is_long: bool,
    texts: OnceLock<Texts>,
}

#[derive(Debug)]
struct Texts {
    postgres: String,
    sqlite: String,
    writes: bool,
}

impl Statement {
    pub(crate) const fn new(
        name: &'static str,
        postgres: &'static str,
        sqlite: &'static str,
        columns: &'static [&'static str],
        wakes: bool,
        is_long: bool,
    ) -> Self {
        Self { name, postgres, sqlite, columns, wakes, is_long, texts: OnceLock::new() }
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| {
            let postgres = expand(self.postgres, self.columns);
            let sqlite = for_sqlite(&expand(self.sqlite, self.columns));
            let writes = WRITE.is_match(&postgres) || WRITE.is_match(&sqlite);
            Texts { postgres, sqlite, writes }
        })
    }

    /// The text for PostgreSQL.
    pub fn postgres(&self) -> &str {
        &self.texts().postgres
    }

    /// The text for SQLite.
    pub fn sqlite(&self) -> &str {
        &self.texts().sqlite
    }

    /// The row struct's columns.
    #[cfg(test)]
    pub(crate) fn columns(&self) -> &'static [&'static str] {
        self.columns
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        self.texts().writes
    }

    /// Whether it moves or counts whole months (declared with `long`): on PostgreSQL it then has a quarter of an hour
    /// where others have half a minute.
    pub fn is_long(&self) -> bool {
        self.is_long
    }

    /// Whether its commit may make work ready, so that those who wait are woken (declared with `wakes`).
    pub fn wakes(&self) -> bool {
        self.wakes
    }
}

#[allow(clippy::unwrap_used, reason = "constant patterns, compiled by every test")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}
static COMMENT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)--.*$"));
static WRITE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(?-u:\b)(INSERT INTO|UPDATE [a-z_.]+|DELETE FROM)(?-u:\b)"));
static COLUMNS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\{columns(?::([[:word:]]+))?\}"));
static PARAMETER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\$([0-9]+)"));
static CAST: LazyLock<Regex> = LazyLock::new(|| pattern(r"::[a-z]+(\[\])?"));
static ANY: LazyLock<Regex> = LazyLock::new(|| pattern(r"= ANY\s*\(\$([0-9]+)\)"));
static ANY_OF_ONE: LazyLock<Regex> = LazyLock::new(|| pattern(r"= ANY\(ARRAY\[([^\]]*)\]\)"));
static IS_AMONG: LazyLock<Regex> = LazyLock::new(|| pattern(r"\$([0-9]+) = ANY\(([a-z_.]+)\)"));
static COLLATE: LazyLock<Regex> = LazyLock::new(|| pattern(r#" COLLATE "C""#));
static LOCK: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"FOR (NO KEY )?UPDATE( OF [[:word:]]+)?( SKIP LOCKED| NOWAIT)?"));
static TARGET: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(INSERT INTO|UPDATE|DELETE FROM) ([a-z_]+)( AS [a-z]+)?"));

fn expand(text: &str, columns: &[&str]) -> String {
    let text = COMMENT.replace_all(text, "");
    COLUMNS
        .replace_all(text.trim(), |found: &Captures<'_>| {
            let alias = found.get(1).map(|a| format!("{}.", a.as_str())).unwrap_or_default();
            columns
                .iter()
                .map(|c| format!("{alias}{}", c.strip_prefix("r#").unwrap_or(c)))
                .collect::<Vec<_>>()
                .join(", ")
        })
        .into_owned()
}

fn for_sqlite(text: &str) -> String {
    let text = CAST.replace_all(text, "");
    let text = COLLATE.replace_all(&text, "");
    let text = LOCK.replace_all(&text, "");
    let text = ANY_OF_ONE.replace_all(&text, "= $1");
    let text = IS_AMONG.replace_all(&text, "EXISTS (SELECT 1 FROM json_each($2) j WHERE j.value = ?$1)");
    let text = ANY.replace_all(&text, "IN (SELECT value FROM json_each(?$1))");
    let text = PARAMETER.replace_all(&text, "?$1");
    TARGET
        .replace_all(&text, |found: &Captures<'_>| {
            // `ON CONFLICT … DO UPDATE SET` names no table.
            if &found[2] == "set" || found[2].eq_ignore_ascii_case("SET") {
                found[0].to_owned()
            } else {
                format!("{} main.{}{}", &found[1], &found[2], found.get(3).map_or("", |m| m.as_str()))
            }
        })
        .trim()
        .to_owned()
}

/// Declares a table's statements and the list of them all. After the name may stand `split` (a text for each engine),
/// `wakes` (its commit may make work ready: see `signals`) and `long` (it is given more time).
macro_rules! statements {
    ($($(#[$meta:meta])* $ident:ident: $row:ty = $name:literal $($word:ident)*;)*) => {
        $($crate::statement::statement!($(#[$meta])* $ident, $row, $name $(, $word)*);)*
        /// Every statement of this file.
        pub(crate) static ALL: &[&$crate::statement::Statement] = &[$(&$ident),*];
    };
}
macro_rules! statement {
    ($(#[$meta:meta])* $ident:ident, $row:ty, $name:literal) => {
        $crate::statement::statement!($(#[$meta])* $ident, $row, $name, ".sql", ".sql", false, false);
    };
    ($(#[$meta:meta])* $ident:ident, $row:ty, $name:literal, wakes) => {
        $crate::statement::statement!($(#[$meta])* $ident, $row, $name, ".sql", ".sql", true, false);
    };
    ($(#[$meta:meta])* $ident:ident, $row:ty, $name:literal, split) => {
        $crate::statement::statement!($(#[$meta])* $ident, $row, $name, ".postgres.sql", ".sqlite.sql", false, false);
    };
    ($(#[$meta:meta])* $ident:ident, $row:ty, $name:literal, split, wakes) => {
        $crate::statement::statement!($(#[$meta])* $ident, $row, $name, ".postgres.sql", ".sqlite.sql", true, false);
    };
    ($(#[$meta:meta])* $ident:ident, $row:ty, $name:literal, split, long) => {
        $crate::statement::statement!($(#[$meta])* $ident, $row, $name, ".postgres.sql", ".sqlite.sql", false, true);
    };
    ($(#[$meta:meta])* $ident:ident, $row:ty, $name:literal, $postgres:literal, $sqlite:literal, $wakes:literal, $long:literal) => {
        $(#[$meta])*
        static $ident: $crate::statement::Statement = $crate::statement::Statement::new(
            $name,
            include_str!(concat!("../sql/", $name, $postgres)),
            include_str!(concat!("../sql/", $name, $sqlite)),
            <$row as $crate::value::FromRow>::COLUMNS,
            $wakes,
            $long,
        );
    };
}
pub(crate) use {statement, statements};

#[cfg(test)]
mod tests {
    use super::{expand, for_sqlite};

    #[test]
    fn the_rules_for_sqlite() {
        let text =
            expand("UPDATE tasks SET a = $1::text WHERE id = ANY($2) RETURNING {columns} -- why", &["id", "r#type"]);
        assert_eq!(
            for_sqlite(&text),
            "UPDATE main.tasks SET a = ?1 WHERE id IN (SELECT value FROM json_each(?2)) RETURNING id, type"
        );
        assert_eq!(
            for_sqlite("INSERT INTO x (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = 1"),
            "INSERT INTO main.x (a) VALUES (?1) ON CONFLICT (a) DO UPDATE SET a = 1"
        );
        assert_eq!(for_sqlite("SELECT 1 FROM q FOR UPDATE SKIP LOCKED LIMIT 1"), "SELECT 1 FROM q  LIMIT 1");
        assert_eq!(
            for_sqlite(
                "SELECT 1 WHERE a = ANY(ARRAY[(SELECT me())]) AND b = ANY(ARRAY[$1::uuid]) AND $2 = ANY(t.tags)"
            ),
            "SELECT 1 WHERE a = (SELECT me()) AND b = ?1 AND EXISTS (SELECT 1 FROM json_each(t.tags) j WHERE j.value = ?2)"
        );
        assert_eq!(expand("SELECT {columns:t} FROM tasks t", &["id", "a"]), "SELECT t.id, t.a FROM tasks t");
    }
}
