//! Generated data: the same rows, in a small and in a big database. They are loaded as the owner with triggers off and
//! indexes put aside; queue and audit chain are consistent all the same.

use std::path::Path;

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::{
    cluster::Cluster,
    error::{Error, Result},
};

/// How much is loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Name of the database.
    pub(crate) name: &'static str,
    /// Tasks.
    pub(crate) tasks: usize,
    /// Lines of the log.
    pub(crate) logs: usize,
}

/// Users of the generated data; tasks and lines are spread over them evenly.
pub(crate) const USERS: usize = 1000;
/// Rows of the audit trail that are linked by one commit.
const AUDIT_ROWS: usize = 100_000;

/// A user of the generated data, from 1 on.
pub(crate) fn user(number: usize) -> Uuid {
    Uuid::from_u128(number as u128)
}
/// The administrator.
pub(crate) fn admin() -> Uuid {
    user(USERS + 1)
}
/// The agent that works on what waits.
pub(crate) fn agent() -> Uuid {
    user(USERS + 2)
}
/// A task of the generated data, from 1 on. Its creator is `user(1 + number % USERS)`.
pub(crate) fn task(number: usize) -> Uuid {
    let number = number as u128;
    Uuid::from_u128((1_700_000_000_000 + number * 1000) << 80 | 0x7000_8000 << 48 | number)
}
/// Who made a task.
pub(crate) fn creator(number: usize) -> Uuid {
    user(1 + number % USERS)
}
/// Tasks that are looked at, with who made them: a few, spread over all.
pub(crate) fn looked_at(size: Size, count: usize) -> Vec<(Uuid, Uuid)> {
    let step = (size.tasks / (count + 1)).max(1);
    (1..=count).map(|i| i * step + i * 7 % 13).map(|number| (task(number), creator(number))).collect()
}

/// A connection beside the store, as the owner.
pub(crate) async fn connect(cluster: &Cluster, database: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(&cluster.url(database), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Makes, migrates and fills a database.
pub(crate) async fn load(cluster: &Cluster, size: Size) -> Result<()> {
    connect(cluster, "postgres").await?.batch_execute(&format!("CREATE DATABASE {}", size.name)).await?;
    store::migrate::migrate(&store::Config::from_url(&cluster.url(size.name))?).await?;
    let client = connect(cluster, size.name).await?;
    client
        .batch_execute("SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '256MB'")
        .await?;
    client.batch_execute("SELECT ensure_log_partitions((now() - interval '61 days')::date, now()::date)").await?;
    let indexes = put_aside(&client).await?;
    let with = |text: &str| text.replace("{tasks}", &size.tasks.to_string()).replace("{logs}", &size.logs.to_string());
    client.batch_execute(include_str!("../sql/people.sql")).await?;
    client.batch_execute(&with(include_str!("../sql/tasks.sql"))).await?;
    client.batch_execute(&with(include_str!("../sql/logs.sql"))).await?;
    for from in (0..size.tasks).step_by(AUDIT_ROWS) {
        let to = (from + AUDIT_ROWS).min(size.tasks);
        let text =
            include_str!("../sql/audit.sql").replace("{from}", &from.to_string()).replace("{to}", &to.to_string());
        client.batch_execute(&text).await?;
    }
    for index in indexes {
        client.batch_execute(&index).await?;
    }
    client.batch_execute("VACUUM (ANALYZE)").await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(())
}

/// Adds tasks that wait for the agent.
pub(crate) async fn load_waiting(cluster: &Cluster, database: &str, count: usize) -> Result<()> {
    let client = connect(cluster, database).await?;
    client.batch_execute("SET session_replication_role = replica; SET synchronous_commit = off").await?;
    client.batch_execute(&include_str!("../sql/waiting.sql").replace("{waiting}", &count.to_string())).await?;
    client.batch_execute("VACUUM (ANALYZE) tasks; ").await?;
    client.batch_execute("VACUUM (ANALYZE) task_queue").await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(())
}

/// Drops the indexes of the big tables that are no constraint's own and answers how to make them again.
async fn put_aside(client: &Client) -> Result<Vec<String>> {
    let found = client
        .query(
            "SELECT i.relname::text, replace(pg_get_indexdef(i.oid), ' ON ONLY ', ' ON ') FROM pg_index x
             JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
             WHERE t.relname IN ('tasks', 'system_logs') AND NOT x.indisunique ORDER BY 1",
            &[],
        )
        .await?;
    let mut definitions = Vec::new();
    for row in found {
        let (name, definition): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        client.batch_execute(&format!("DROP INDEX {name}")).await?;
        definitions.push(definition);
    }
    Ok(definitions)
}

/// Makes, migrates and fills a SQLite file: tasks alone, which is what is measured there.
pub(crate) async fn load_sqlite(path: &Path, tasks: usize) -> Result<()> {
    store::migrate::migrate(&store::Config::from_url(&format!("sqlite://{}", path.display()))?).await?;
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || fill_sqlite(&path, tasks)).await?
}

fn fill_sqlite(path: &Path, tasks: usize) -> Result<()> {
    let file = rusqlite::Connection::open(path)?;
    file.execute_batch("PRAGMA foreign_keys = OFF; BEGIN")?;
    let triggers: Vec<(String, String)> = {
        let mut found = file.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?;
        found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?
    };
    for (name, _) in &triggers {
        file.execute_batch(&format!("DROP TRIGGER \"{name}\""))?;
    }
    let now = store::now();
    let mut add = file.prepare(
        "INSERT INTO users (id, username, email, password_hash, role, created_at, updated_at) VALUES (?1, ?2, ?2 || '@example.org', 'none', ?3, ?4, ?4)",
    )?;
    for number in 1..=USERS + 2 {
        let role = if user(number) == admin() { "admin" } else { "user" };
        add.execute((user(number).to_string(), format!("user{number}"), role, store::value::time_text(now)))?;
    }
    file.execute(
        "INSERT INTO agents (user_id, created_at) VALUES (?1, ?2)",
        (agent().to_string(), store::value::time_text(now)),
    )?;
    let mut add = file.prepare(
        "INSERT INTO tasks (id, title, description, status, priority, assigned_to, created_by, created_at, updated_at, completed_at)
         VALUES (?1, ?2, ?3, ?4, 'medium', ?5, ?6, ?7, ?7, CASE WHEN ?4 = 'completed' THEN ?7 END)",
    )?;
    let year_s = 365 * 24 * 3600;
    for number in 1..=tasks {
        let ago_s = i64::try_from((tasks - number) * year_s / tasks).map_err(|e| Error::Tool(e.to_string()))?;
        let at = store::value::time_text(now - jiff::SignedDuration::from_secs(ago_s));
        let status = match number / 1000 % 50 {
            0 | 1 => "pending",
            2 => "in_progress",
            3 => "failed",
            4 => "cancelled",
            _ => "completed",
        };
        let assignee = (number % 4 == 0).then(|| user(1 + number / 4 % USERS).to_string());
        let (title, said) = (
            format!("Invoice {number} from supplier {}", number % 317),
            format!("Check invoice {number} and pay it in time."),
        );
        add.execute((task(number).to_string(), title, said, status, assignee, creator(number).to_string(), at))?;
    }
    drop(add);
    for (_, definition) in &triggers {
        file.execute_batch(definition)?;
    }
    file.execute_batch("INSERT INTO idx_tasks_fulltext (idx_tasks_fulltext) VALUES ('rebuild'); COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{creator, looked_at, task, user};

    #[test]
    fn ids_are_what_the_load_makes() {
        assert_eq!(task(1).to_string(), "018bcfe5-6be8-7000-8000-000000000001");
        assert_eq!(user(1).to_string(), "00000000-0000-0000-0000-000000000001");
        assert_eq!(creator(1), user(2));
        let size = super::Size { name: "small", tasks: 10_000, logs: 0 };
        assert!(looked_at(size, 16).iter().all(|(found, _)| *found < task(10_000)));
    }
}
