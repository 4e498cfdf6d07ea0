//! One end of a move, whichever engine it is. SQLite's calls block, so each runs off the async threads.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::{cell::Cells, postgres, shape, shape::Table, sqlite};
use crate::{Config, Error, Result, Target};

/// How long the sessions of a Steward that was just stopped may take to go.
const GOING: std::time::Duration = std::time::Duration::from_secs(3);
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(100);

/// A database.
pub(super) enum Side {
    Postgres(Client),
    Sqlite(Arc<Mutex<Connection>>),
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Unavailable(e.to_string()))?
}

async fn on<T: Send + 'static>(
    file: &Arc<Mutex<Connection>>,
    work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
) -> Result<T> {
    let file = Arc::clone(file);
    blocking(move || work(&file.lock().unwrap_or_else(PoisonError::into_inner))).await
}

/// A PostgreSQL that nobody works on.
async fn alone(config: &Config) -> Result<Client> {
    let client = postgres::connect(config).await?;
    let began = std::time::Instant::now();
    loop {
        match postgres::others(&client).await? {
            0 => return Ok(client),
            _ if began.elapsed() < GOING => tokio::time::sleep(LOOK_EVERY).await,
            others => {
                return Err(Error::Busy(format!(
                    "Steward has {others} sessions on {}; stop every Steward that uses it",
                    config.describe()
                )));
            }
        }
    }
}

impl Side {
    /// To read from, as of now.
    pub(super) async fn source(config: &Config) -> Result<Self> {
        match &config.target {
            Target::Postgres(_) => {
                let client = postgres::connect(config).await?;
                postgres::freeze(&client).await?;
                Ok(Self::Postgres(client))
            }
            Target::Sqlite(path) => {
                let path = path.clone();
                Ok(Self::Sqlite(Arc::new(Mutex::new(blocking(move || sqlite::open_source(&path)).await?))))
            }
        }
    }

    /// Refuses a PostgreSQL source or target on which Steward works.
    pub(super) async fn require_alone(config: &Config) -> Result<()> {
        match &config.target {
            Target::Postgres(_) => alone(config).await.map(drop),
            Target::Sqlite(_) => Ok(()),
        }
    }

    /// To write to.
    pub(super) async fn target(config: &Config) -> Result<Self> {
        match &config.target {
            Target::Postgres(_) => Ok(Self::Postgres(postgres::connect(config).await?)),
            Target::Sqlite(path) => {
                let path = path.clone();
                Ok(Self::Sqlite(Arc::new(Mutex::new(blocking(move || sqlite::open_target(&path)).await?))))
            }
        }
    }

    /// What an earlier try noted in a target; makes nothing.
    pub(super) async fn notes_of(config: &Config) -> Result<Option<Vec<(String, String, i64)>>> {
        match &config.target {
            Target::Postgres(_) => postgres::notes(&postgres::connect(config).await?).await,
            Target::Sqlite(path) => {
                let path = path.clone();
                blocking(move || if path.exists() { sqlite::notes(&sqlite::open_source(&path)?) } else { Ok(None) })
                    .await
            }
        }
    }

    pub(super) async fn check(&self, tables: &[Table]) -> Result<()> {
        match self {
            Self::Postgres(_) => Ok(()),
            Self::Sqlite(file) => {
                let tables = tables.to_vec();
                on(file, move |c| shape::check_sqlite(c, &tables)).await
            }
        }
    }

    pub(super) async fn count(&self, table: &Table) -> Result<i64> {
        match self {
            Self::Postgres(client) => postgres::count(client, table).await,
            Self::Sqlite(file) => {
                let table = table.clone();
                on(file, move |c| sqlite::count(c, &table)).await
            }
        }
    }

    /// The audit chain's last link.
    pub(super) async fn head(&self) -> Result<Option<(i64, String)>> {
        match self {
            Self::Postgres(client) => postgres::head(client).await,
            Self::Sqlite(file) => on(file, sqlite::head).await,
        }
    }

    /// The months of the log that hold lines, for PostgreSQL's partitions; none of PostgreSQL itself.
    pub(super) async fn months(&self) -> Result<Vec<String>> {
        match self {
            Self::Postgres(_) => Ok(Vec::new()),
            Self::Sqlite(file) => on(file, sqlite::months).await,
        }
    }

    pub(super) async fn prepare(&self, tables: &[Table], source: &str, months: &[String]) -> Result<()> {
        match self {
            Self::Postgres(client) => postgres::prepare(client, tables, source, months).await,
            Self::Sqlite(file) => {
                let (tables, source) = (tables.to_vec(), source.to_owned());
                on(file, move |c| sqlite::prepare(c, &tables, &source)).await
            }
        }
    }

    pub(super) async fn writer<'a>(&'a self, table: &'a Table) -> Result<Writer<'a>> {
        let triggers = match self {
            Self::Postgres(client) => postgres::triggers(client, table).await?,
            Self::Sqlite(_) => Vec::new(),
        };
        Ok(Writer { side: self, table, triggers })
    }

    /// After the proof.
    pub(super) async fn finish(self, config: &Config) -> Result<()> {
        match (self, &config.target) {
            (Self::Sqlite(file), Target::Sqlite(path)) => {
                on(&file, sqlite::finish).await?;
                drop(file);
                let path = path.clone();
                blocking(move || sqlite::take_schedules(&path)).await
            }
            (Self::Postgres(client), _) => postgres::finish(&client).await,
            (Self::Sqlite(_), Target::Postgres(_)) => Ok(()),
        }
    }
}

/// Writes to one table of a target.
pub(super) struct Writer<'a> {
    side: &'a Side,
    table: &'a Table,
    triggers: Vec<(String, bool)>,
}

impl Writer<'_> {
    pub(super) async fn begin(&self) -> Result<()> {
        match self.side {
            Side::Postgres(client) => postgres::begin_writing(client, self.table).await,
            Side::Sqlite(file) => on(file, sqlite::begin_writing).await,
        }
    }

    pub(super) async fn write(&self, rows: Vec<Cells>) -> Result<()> {
        match self.side {
            Side::Postgres(client) => postgres::write(client, self.table, &rows).await,
            Side::Sqlite(file) => {
                let table = self.table.clone();
                on(file, move |c| sqlite::write(c, &table, rows)).await
            }
        }
    }

    pub(super) async fn end(&self, last: &str, rows: i64) -> Result<()> {
        match self.side {
            Side::Postgres(client) => postgres::end_writing(client, self.table, &self.triggers, last, rows).await,
            Side::Sqlite(file) => {
                let (table, last) = (self.table.clone(), last.to_owned());
                on(file, move |c| sqlite::end_writing(c, &table, &last, rows)).await
            }
        }
    }
}

/// Reads one table in the order of its key.
pub(super) enum Reader<'a> {
    Postgres { client: &'a Client, table: &'a Table, is_over: bool, own_transaction: bool },
    Sqlite(mpsc::Receiver<Result<Vec<Cells>>>),
}

impl<'a> Reader<'a> {
    pub(super) async fn open(side: &'a Side, table: &'a Table, after: Option<Cells>) -> Result<Self> {
        match side {
            Side::Postgres(client) => {
                let own_transaction = postgres::begin_reading(client).await?;
                postgres::open(client, table, after.as_ref()).await?;
                Ok(Self::Postgres { client, table, is_over: false, own_transaction })
            }
            Side::Sqlite(file) => {
                let (send, receive) = mpsc::channel(2);
                let (file, table) = (Arc::clone(file), table.clone());
                tokio::task::spawn_blocking(move || {
                    let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                    let read = sqlite::read(&file, &table, after, |batch| send.blocking_send(Ok(batch)).is_ok());
                    if let Err(e) = read {
                        // Whoever is gone has an error of its own to tell.
                        drop(send.blocking_send(Err(e)));
                    }
                });
                Ok(Self::Sqlite(receive))
            }
        }
    }

    /// The next rows; none at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Cells>> {
        match self {
            Self::Postgres { is_over: true, .. } => Ok(Vec::new()),
            Self::Postgres { client, table, is_over, own_transaction } => {
                let rows = postgres::next(client, table).await?;
                if rows.is_empty() {
                    *is_over = true;
                    postgres::end_reading(client, *own_transaction).await?;
                }
                Ok(rows)
            }
            Self::Sqlite(receive) => receive.recv().await.unwrap_or_else(|| Ok(Vec::new())),
        }
    }
}
