//! Giving free pages back to the disk, beside whoever writes: a few pages a transaction, on a connection of its own.

use std::time::Duration;

use super::{Access, Sqlite, connect, translate};
use crate::{
    Error, Result,
    run::{Engine, Store},
};

/// Pages in one transaction, so that a writer waits for milliseconds.
const PAGES: i64 = 256;
/// How long others have the file to themselves in between.
const PAUSE: Duration = Duration::from_millis(5);

impl Store {
    /// Gives free pages of a SQLite file back to the disk and empties its write-ahead log; answers how many bytes went.
    /// (Nothing on PostgreSQL, and nothing for a file made before Steward kept account of its free pages: SQLite fills
    /// those pages again.)
    pub async fn give_back_space(&self) -> Result<u64> {
        match &self.engine {
            Engine::Postgres(_) => Ok(0),
            Engine::Sqlite(sqlite) => sqlite.give_back_space().await,
        }
    }
}

impl Sqlite {
    async fn give_back_space(&self) -> Result<u64> {
        let (path, patience) = (self.0.path.clone(), self.0.busy_timeout);
        let connection = tokio::task::spawn_blocking(move || connect(&path, Access::Migrate, patience))
            .await
            .map_err(|e| Error::Unavailable(e.to_string()))??
            .0;
        let mut connection = Some(connection);
        let mut freed: u64 = 0;
        while let Some(held) = connection.take() {
            let shipped = self.0.path.clone();
            let step = tokio::task::spawn_blocking(move || {
                let fail = |e: rusqlite::Error| translate("space", &e);
                let free = |held: &rusqlite::Connection| {
                    held.query_row("PRAGMA freelist_count", [], |r| r.get::<_, i64>(0)).map_err(fail)
                };
                let before = free(&held)?;
                // It answers a row a page, and does its work while they are read.
                held.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))
                    .and_then(|mut pragma| {
                        let mut rows = pragma.query([])?;
                        while rows.next()?.is_some() {}
                        Ok(())
                    })
                    .map_err(fail)?;
                let went = before - free(&held)?;
                if went <= 0 {
                    // Whether readers keep the log from being emptied now is no matter: it is reused. A log that is
                    // shipped is emptied by whoever ships it.
                    if !crate::backup::is_shipped(&shipped) {
                        held.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(fail)?;
                    }
                    return Ok::<_, Error>((None, 0));
                }
                let page: i64 = held.query_row("PRAGMA page_size", [], |r| r.get(0)).map_err(fail)?;
                Ok((Some(held), u64::try_from(went * page).unwrap_or(0)))
            });
            let (held, bytes) = step.await.map_err(|e| Error::Unavailable(e.to_string()))??;
            freed += bytes;
            connection = held;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(freed)
    }
}
