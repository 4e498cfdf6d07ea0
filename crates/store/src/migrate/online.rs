//! What a migration of PostgreSQL does beside the running work, outside any transaction: indexes are built without a lock
//! that keeps writers out, and constraints that were added as NOT VALID are validated. Each step may be taken again, so a
//! migration that was interrupted goes on where it stood.

use tokio_postgres::Client;

use super::{Migration, split};
use crate::{Error, Result, postgres::translate};

/// The line that makes a migration of PostgreSQL run this way.
const MARK: &str = "-- online";
const BUILD: &str = "a CREATE [UNIQUE] INDEX CONCURRENTLY IF NOT EXISTS";

/// One step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Builds an index of this name.
    Build { index: String, sql: String },
    /// Drops an index or validates a constraint: harmless when it has been done already.
    Other { sql: String },
}

impl Step {
    /// Its text.
    pub(super) fn sql(&self) -> &str {
        match self {
            Self::Build { sql, .. } | Self::Other { sql } => sql,
        }
    }
}

/// Whether the migration runs outside a transaction.
pub(super) fn is_online(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == MARK)
}

/// The steps of an online migration; what may not stand in one is refused.
pub(super) fn steps(text: &str) -> Result<Vec<Step>> {
    split::statements(text).into_iter().map(step).collect()
}

fn step(statement: &str) -> Result<Step> {
    let sql = split::without_comments(statement);
    let words: Vec<&str> = sql.split_whitespace().collect();
    let is = |at: usize, wanted: &[&str]| {
        wanted.iter().enumerate().all(|(i, w)| words.get(at + i).is_some_and(|word| word.eq_ignore_ascii_case(w)))
    };
    let unique = usize::from(is(1, &["UNIQUE"]));
    if is(0, &["CREATE"]) && is(1 + unique, &["INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS"]) {
        let index = words.get(6 + unique).copied().unwrap_or_default().trim_matches('"').to_owned();
        return Ok(Step::Build { index, sql });
    }
    if is(0, &["DROP", "INDEX", "CONCURRENTLY", "IF", "EXISTS"])
        || (is(0, &["ALTER", "TABLE"]) && is(3, &["VALIDATE", "CONSTRAINT"]) && words.len() == 6)
    {
        return Ok(Step::Other { sql });
    }
    Err(Error::Schema(format!(
        "an online migration holds only steps that can be taken again ({BUILD}, a DROP INDEX CONCURRENTLY IF EXISTS, an ALTER TABLE … VALIDATE CONSTRAINT), and not: {}",
        split::shortened(&sql)
    )))
}

/// The same for a database in which nothing stands yet: there it goes with all others into one transaction.
pub(super) fn within_a_transaction(text: &str) -> Result<String> {
    let all = steps(text)?;
    Ok(all.iter().fold(String::new(), |out, step| out + &step.sql().replacen(" CONCURRENTLY", "", 1) + ";\n"))
}

/// Takes every step. Whoever calls holds the lock of migrations.
pub(super) async fn apply(client: &Client, migration: &Migration) -> Result<()> {
    let failed = |e: &tokio_postgres::Error| {
        let detail = e.as_db_error().map_or_else(|| crate::postgres::chain(e), |d| d.message().to_owned());
        Error::Schema(format!(
            "migration {} {} stopped at a step that it takes beside the running work ({detail}); the steps before it stand, and the next try goes on from there",
            migration.version, migration.name
        ))
    };
    // A build waits for transactions that are older than it; nobody waits for it meanwhile.
    client.batch_execute("SET lock_timeout = 0").await.map_err(|e| failed(&e))?;
    for step in steps(migration.postgres)? {
        if let Step::Build { index, .. } = &step {
            drop_unfinished(client, index).await?;
        }
        if let Err(e) = client.batch_execute(step.sql()).await {
            if let Step::Build { index, .. } = &step
                && let Err(left) = drop_unfinished(client, index).await
            {
                tracing::warn!(index, error = %left, "an unfinished index stays until the next try");
            }
            return Err(failed(&e));
        }
    }
    Ok(())
}

/// An index whose build broke off costs every write and serves no read.
async fn drop_unfinished(client: &Client, index: &str) -> Result<()> {
    let fail = |e: tokio_postgres::Error| translate("migrate", &e);
    let unfinished: Option<String> = client
        .query_opt(
            "SELECT format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname) FROM pg_index i \
             JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND c.relname = $1 AND NOT i.indisvalid",
            &[&index],
        )
        .await
        .and_then(|row| row.map(|r| r.try_get(0)).transpose())
        .map_err(fail)?;
    match unfinished {
        Some(sql) => client.batch_execute(&sql).await.map_err(fail),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, is_online, steps, within_a_transaction};

    const GOOD: &str = "-- An index for the list.\n-- online\nCREATE INDEX CONCURRENTLY IF NOT EXISTS idx_a ON tasks(title); -- why\n\
        CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS idx_b ON tasks(id) WHERE title = ';';\n\
        ALTER TABLE tasks VALIDATE CONSTRAINT chk_x;\nDROP INDEX CONCURRENTLY IF EXISTS idx_old;\n";

    #[test]
    fn only_what_can_be_taken_again_stands_in_an_online_migration() {
        assert!(is_online(GOOD) && !is_online("-- onlinear\nSELECT 1;"));
        let all = steps(GOOD).unwrap();
        let built: Vec<&str> = all
            .iter()
            .filter_map(|s| if let Step::Build { index, .. } = s { Some(index.as_str()) } else { None })
            .collect();
        assert_eq!((all.len(), built), (4, vec!["idx_a", "idx_b"]));
        for bad in [
            "CREATE INDEX CONCURRENTLY idx_a ON tasks(title);",
            "CREATE INDEX idx_a ON tasks(title);",
            "UPDATE tasks SET title = 'x';",
            "ALTER TABLE tasks VALIDATE CONSTRAINT a, DROP CONSTRAINT b;",
        ] {
            assert!(steps(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn in_an_empty_database_it_is_like_any_other() {
        let text = within_a_transaction(GOOD).unwrap();
        assert!(!text.contains("CONCURRENTLY"), "{text}");
        assert!(text.starts_with("CREATE INDEX IF NOT EXISTS idx_a ON tasks(title);\n"), "{text}");
    }
}
