//! SQLite: the store against rusqlite itself, on a connection with the same functions and guard, in the same file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use rusqlite::types::Value as SqliteValue;
use store::{
    Actor, Store,
    limit::{Use, connection},
    tasks::{self, NewTask, Task},
    value::{FromRow, Row},
};
use uuid::Uuid;

use crate::{
    data::{Size, looked_at},
    error::{Error, Result},
    measure::{Aim, Line, Plan, Series, as_f64, in_turn, rate},
};

/// Pairs of a person and a task that both sides look at in turn.
const LOOKED_AT: usize = 8;
/// Callers that write at once, and writes that the limit gathers into one commit.
const WRITERS: usize = 32;
/// The place past every row, where a first page begins.
const PAST: (&str, &str) = ("9999-12-30T22:00:00.999999Z", "ffffffff-ffff-ffff-ffff-ffffffffffff");

/// The file.
#[derive(Debug)]
pub(crate) struct Sqlite<'a> {
    pub(crate) path: &'a Path,
    pub(crate) size: Size,
    pub(crate) plan: Plan,
}

impl Sqlite<'_> {
    pub(crate) async fn open(&self) -> Result<Store> {
        Ok(Store::open(&store::Config::from_url(&format!("sqlite://{}", self.path.display()))?).await?)
    }

    /// One task by its id, or a page of one's own newest, by one caller or several.
    pub(crate) async fn read(&self, callers: usize, page: bool) -> Result<Line> {
        let pairs = Arc::new(looked_at(self.size, LOOKED_AT));
        let on = self.open().await?;
        let (reader, known) = (on.clone(), Arc::clone(&pairs));
        let work = move |caller: usize, count: usize| {
            let (on, (task, me)) = (reader.clone(), known[(caller + count) % known.len()]);
            async move {
                let me = Actor::user(me);
                if page {
                    tasks::list(&me, &on, None, None, 20).await.map(drop).map_err(Error::from)
                } else {
                    let found = tasks::get(&me, &on, task).await?;
                    found.map(drop).ok_or_else(|| Error::Tool("a task that was loaded is not seen".to_owned()))
                }
            }
        };
        let (ours, limit) = in_turn(
            self.plan,
            async || rate(callers, self.plan.length(), work.clone()).await,
            // As many threads as callers, but no more than cores: a thread too many only waits.
            async || self.direct_reads(callers.min(cores()), &pairs, page).await,
        )
        .await?;
        on.close().await;
        let what = if page { "page of 20 of one's own newest tasks" } else { "read one task" };
        let plural = if callers == 1 { "" } else { "s" };
        let work = format!("SQLite, {what}, {callers} caller{plural}");
        let aim = if callers == 1 { Aim::AtLeast(0.80) } else { Aim::Shown };
        Ok(Line { work, unit: "reads/s", ours, against: "rusqlite, same statement, same rows", limit, aim })
    }

    /// Reads of rusqlite on `threads` threads, each with a connection: a second.
    async fn direct_reads(&self, threads: usize, pairs: &Arc<Vec<(Uuid, Uuid)>>, page: bool) -> Result<f64> {
        let text = text(if page { "tasks/list" } else { "tasks/get" })?;
        let began = Instant::now();
        let end = began + self.plan.length();
        let running = (0..threads).map(|thread| {
            let (path, pairs) = (self.path.to_owned(), Arc::clone(pairs));
            tokio::task::spawn_blocking(move || {
                // Who acts is settled when a connection is opened, so each person has one, as each request has its context.
                let people = pairs
                    .iter()
                    .map(|(task, me)| Ok((task.to_string(), connection(&path, &Actor::user(*me), Use::Read)?)))
                    .collect::<Result<Vec<_>>>()?;
                let began = Instant::now();
                let mut count = 0_usize;
                while Instant::now() < end {
                    let (task, direct) = &people[(thread + count) % people.len()];
                    let mut statement = direct.prepare_cached(text)?;
                    let columns = statement.column_count();
                    let mut rows =
                        if page { statement.query((PAST.0, PAST.1, 20))? } else { statement.query([task.as_str()])? };
                    let mut found = Vec::new();
                    while let Some(row) = rows.next()? {
                        let values =
                            (0..columns).map(|i| row.get(i)).collect::<rusqlite::Result<Vec<SqliteValue>>>()?;
                        found.push(Task::from_row(&Row::Sqlite(values))?);
                    }
                    if found.is_empty() {
                        return Err(Error::Tool("a task that was loaded is not seen".to_owned()));
                    }
                    count += 1;
                }
                Ok::<_, Error>(as_f64(count) / began.elapsed().as_secs_f64())
            })
        });
        let mut total = 0.0;
        for done in futures_util::future::join_all(running).await {
            total += done??;
        }
        Ok(total)
    }

    /// Durable writes, each a task with its audit row and link.
    pub(crate) async fn writes(&self) -> Result<[Line; 2]> {
        let (_, me) = looked_at(self.size, 1)[0];
        let on = self.open().await?;
        let writer = on.clone();
        let work = move |_: usize, _: usize| {
            let on = writer.clone();
            async move {
                let new = NewTask::titled("a task of the store");
                tasks::create(&Actor::user(me), &on, &new).await.map(drop).map_err(Error::from)
            }
        };
        let mut single = Series::default();
        let (ours, gathered) = in_turn(
            self.plan,
            async || rate(WRITERS, self.plan.length(), work.clone()).await,
            async || {
                single.0.push(self.direct_writes(me, 1).await?);
                self.direct_writes(me, WRITERS).await
            },
        )
        .await?;
        on.close().await;
        let work = format!("SQLite, durable single writes (synchronous=FULL) from {WRITERS} tasks at once");
        let line = |against, limit, aim| Line {
            work: work.clone(),
            unit: "writes/s",
            ours: ours.clone(),
            against,
            limit,
            aim,
        };
        Ok([
            line("rusqlite, one transaction a write", single, Aim::AtLeast(2.5)),
            line("rusqlite, 32 savepoints a commit", gathered, Aim::AtLeast(0.80)),
        ])
    }

    /// Writes of rusqlite, so many in one commit: a second.
    async fn direct_writes(&self, me: Uuid, group: usize) -> Result<f64> {
        let (path, length, text) = (PathBuf::from(self.path), self.plan.length(), text("tasks/create")?);
        tokio::task::spawn_blocking(move || {
            let direct = connection(&path, &Actor::user(me), Use::Write)?;
            let began = Instant::now();
            let mut count = 0_usize;
            while began.elapsed() < length {
                direct.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
                for _ in 0..group {
                    if group > 1 {
                        direct.prepare_cached("SAVEPOINT one")?.execute([])?;
                    }
                    direct.prepare_cached(text)?.execute(rusqlite::params![
                        Uuid::now_v7().to_string(),
                        "a task of the limit",
                        None::<String>,
                        "medium",
                        None::<String>,
                        None::<String>,
                        None::<i64>,
                        "{}",
                        "[]",
                        "[]",
                    ])?;
                    if group > 1 {
                        direct.prepare_cached("RELEASE one")?.execute([])?;
                    }
                    count += 1;
                }
                direct.prepare_cached("COMMIT")?.execute([])?;
            }
            Ok(as_f64(count) / began.elapsed().as_secs_f64())
        })
        .await?
    }
}

fn text(name: &str) -> Result<&'static str> {
    let found = store::every_statement().into_iter().find(|s| s.name == name);
    found
        .map(store::statement::Statement::sqlite)
        .ok_or_else(|| Error::Tool(format!("the store has no statement {name}")))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use store::{
        Actor,
        limit::{Use, connection},
    };

    use super::{PAST, text};
    use crate::data;

    /// The engine's own count of its steps, which no busy machine disturbs.
    #[tokio::test]
    async fn a_page_costs_the_same_however_many_tasks_there_are() {
        let mut steps = Vec::new();
        for tasks in [20_000, 60_000] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("steward.db");
            data::load_sqlite(&file, tasks).await.unwrap();
            let direct = connection(&file, &Actor::user(data::user(7)), Use::Read).unwrap();
            let mut page = direct.prepare(text("tasks/list").unwrap()).unwrap();
            let found = page.query_map((PAST.0, PAST.1, 20), |_| Ok(())).unwrap().count();
            assert_eq!(found, 20);
            steps.push(page.get_status(StatementStatus::VmStep));
        }
        // In the bigger file more of the tasks are assigned to this user, and so fill the page from two sides.
        assert!(steps.iter().all(|steps| *steps < 4000), "{steps:?}");
    }
}
