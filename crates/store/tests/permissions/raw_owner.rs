//! Who knows the truth: what the database holds, whoever may see it.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::world::World;
use crate::{
    Target,
    common::{self, Db, id},
};

/// Reads every row, as the owner.
pub enum Owner {
    Sqlite(rusqlite::Connection),
    Postgres(Client),
}

impl Owner {
    pub async fn of(db: &Db) -> Self {
        match &db.owner.target {
            Target::Sqlite(path) => Self::Sqlite(rusqlite::Connection::open(path).unwrap()),
            Target::Postgres(_) => Self::Postgres(common::connect(&db.owner).await),
        }
    }

    pub async fn texts(&self, sql: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite(file) => {
                let mut statement = file.prepare(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
                let columns = statement.column_count();
                let rows = statement.query_map([], |row| (0..columns).map(|i| row.get(i)).collect()).unwrap();
                rows.map(Result::unwrap).collect()
            }
            Self::Postgres(client) => {
                let rows = client.query(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
                rows.iter().map(|row| (0..row.len()).map(|i| row.get(i)).collect()).collect()
            }
        }
    }

    /// Tables and views by name, partitions and SQLite's own left out.
    pub async fn relations(&self) -> BTreeSet<String> {
        let sql = match self {
            Self::Sqlite(_) => {
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') \
                 AND name NOT LIKE 'sqlite_%'"
            }
            Self::Postgres(_) => {
                "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace \
                 AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition"
            }
        };
        self.texts(sql).await.into_iter().flatten().collect()
    }

    pub async fn columns(&self, table: &str) -> Vec<String> {
        let sql = match self {
            Self::Sqlite(_) => format!("SELECT name FROM pragma_table_info('{table}') ORDER BY name"),
            Self::Postgres(_) => format!(
                "SELECT attname::text FROM pg_attribute WHERE attrelid = 'public.{table}'::regclass AND attnum > 0 \
                 AND NOT attisdropped ORDER BY attname"
            ),
        };
        self.texts(&sql).await.into_iter().flatten().collect()
    }

    /// The task, where it is in the queue; else another one that is.
    pub async fn queued(&self, db: &Db, w: &World) -> String {
        let (task, employee) = (w.task.id, id(&db.employee));
        let sql = format!(
            "SELECT CAST(task_id AS text) FROM task_queue WHERE task_id = '{task}' OR assignee = '{employee}' \
             ORDER BY CASE WHEN task_id = '{task}' THEN 0 ELSE 1 END LIMIT 1"
        );
        self.texts(&sql).await.concat().concat()
    }

    /// The row's values as literals, or those of any row where there is none.
    pub async fn literals(&self, table: &str, columns: &[String], condition: &str) -> Vec<String> {
        let shown: Vec<String> = columns
            .iter()
            .map(|c| match self {
                Self::Sqlite(_) => format!("quote(\"{c}\")"),
                Self::Postgres(_) => format!("quote_nullable(\"{c}\"::text)"),
            })
            .collect();
        let select = format!("SELECT {} FROM {table}", shown.join(", "));
        let found = self.texts(&format!("{select} WHERE {condition} LIMIT 1")).await.pop();
        match found {
            Some(row) => row,
            None => self
                .texts(&format!("{select} LIMIT 1"))
                .await
                .pop()
                .unwrap_or_else(|| vec!["NULL".to_owned(); columns.len()]),
        }
    }
}
