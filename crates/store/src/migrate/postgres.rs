//! Migrations of PostgreSQL: in transactions under an advisory lock, which step back where a table is in use.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio_postgres::{Client, error::SqlState};

use super::{Applied, MIGRATIONS, Migration, Report, Status, drift::compare, half_moved, online, pending};
use crate::{
    Config, Error, Result, Target,
    moving::NOTES,
    postgres::{session_settings, tls, translate},
};

/// What is compared when looking for drift: a kind, a name, and its definition.
const CATALOGUE: &str = include_str!("catalogue.postgres.sql");

/// A connection of its own, outside the pool and without limits of time.
pub(crate) async fn connect(config: &Config, database: Option<&str>) -> Result<Client> {
    let Target::Postgres(target) = &config.target else {
        return Err(Error::Config("this is not a PostgreSQL URL".to_owned()));
    };
    let mut target = session_settings(target, config.connect_timeout);
    if let Some(name) = database {
        target.dbname(name);
    }
    let described = config.describe();
    let (client, connection) = tokio::time::timeout(config.connect_timeout, target.connect(tls()))
        .await
        .map_err(|_| {
            Error::Unavailable(format!("{described} gave no answer within {} s", config.connect_timeout.as_secs()))
        })?
        .map_err(|e| Error::Unavailable(format!("{described}: {}", crate::postgres::chain(&e))))?;
    tokio::spawn(async move {
        if let Err(e) = connection.await {
            tracing::debug!(error = %e, "a migration's connection ended");
        }
    });
    // Migrations may take long; the sessions of requests stay bounded.
    client
        .batch_execute("SET statement_timeout = 0; SET lock_timeout = 0")
        .await
        .map_err(|e| translate("connect", &e))?;
    Ok(client)
}

pub(super) async fn applied(client: &Client) -> Result<Vec<Applied>> {
    let fail = |e| translate("schema_migrations", &e);
    let exists: bool = client
        .query_one("SELECT to_regclass('public.schema_migrations') IS NOT NULL", &[])
        .await
        .and_then(|r| r.try_get(0))
        .map_err(fail)?;
    if !exists {
        return Ok(Vec::new());
    }
    let rows = client
        .query("SELECT version, name, checksum, applied_at FROM public.schema_migrations ORDER BY version", &[])
        .await
        .map_err(fail)?;
    rows.iter()
        .map(|r| {
            Ok(Applied {
                version: r.try_get(0).map_err(fail)?,
                name: r.try_get(1).map_err(fail)?,
                checksum: r.try_get(2).map_err(fail)?,
                applied_at: r.try_get(3).map_err(fail)?,
            })
        })
        .collect()
}

/// How long a migration asks for a lock before it steps back: whoever comes after it waits behind it for as long.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it asks, with a pause between in which the others go on.
const LOCK_TRIES: u32 = 30;
const LOCK_PAUSE: Duration = Duration::from_secs(1);
/// How long a second node waits for the first.
const TURN: Duration = Duration::from_secs(3600);
const TURN_PAUSE: Duration = Duration::from_millis(100);
const KEY: &str = "hashtextextended('steward.migrate', 0)";

pub(super) async fn migrate(config: &Config, all: &'static [Migration]) -> Result<Report> {
    let mut client = connect(config, None).await?;
    refuse_half_moved(&client).await?;
    apply(&mut client, all).await
}

/// What one transaction came to.
enum Turn {
    /// These migrations stand now.
    Applied(Vec<&'static str>),
    /// The next one runs outside a transaction.
    Online(&'static Migration),
    /// Another node migrates.
    Taken,
    /// Somebody holds a table that this needs.
    Held(String),
}

/// Applies what is missing: what can be in one transaction together, all of it in an empty database. Everything waits its
/// turn without a transaction of its own, or a build of another node would wait for it as well.
pub(super) async fn apply(client: &mut Client, all: &'static [Migration]) -> Result<Report> {
    require_version(client).await?;
    let mut names: Vec<String> = Vec::new();
    let (mut held, began) = (0, Instant::now());
    loop {
        match in_a_transaction(client, all).await.map_err(|e| after(&names, e))? {
            Turn::Applied(done) if done.is_empty() => return Ok(Report { applied: names, copy: None }),
            Turn::Applied(done) => names.extend(done.into_iter().map(str::to_owned)),
            Turn::Online(migration) => {
                if online_in_turn(client, all, migration).await.map_err(|e| after(&names, e))? {
                    names.push(migration.name.to_owned());
                }
            }
            Turn::Taken if began.elapsed() < TURN => tokio::time::sleep(TURN_PAUSE).await,
            Turn::Taken => {
                return Err(Error::Busy("another node has been migrating this database for an hour".to_owned()));
            }
            Turn::Held(what) if held < LOCK_TRIES => {
                held += 1;
                tracing::info!(what, tries = held, "a migration waits for a table that is in use");
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Turn::Held(what) => {
                return Err(after(
                    &names,
                    Error::Busy(format!(
                        "a table that the migration needs was in use whenever it asked, {LOCK_TRIES} times ({what}); nothing was changed; end the long transaction (pg_stat_activity shows it) or choose a quieter moment"
                    )),
                ));
            }
        }
    }
}

/// An error with what stands already.
fn after(names: &[String], error: Error) -> Error {
    match error {
        Error::Schema(said) if !names.is_empty() => {
            Error::Schema(format!("{said} (applied before it, and standing: {})", names.join(", ")))
        }
        other => other,
    }
}

async fn require_version(client: &Client) -> Result<()> {
    let major: i32 = client
        .query_one("SELECT current_setting('server_version_num')::int / 10000", &[])
        .await
        .and_then(|r| r.try_get(0))
        .map_err(|e| translate("migrate", &e))?;
    if major < 15 {
        return Err(Error::Schema(format!(
            "Steward needs PostgreSQL 15 or newer; this server is version {major}; nothing was changed"
        )));
    }
    Ok(())
}

/// Applies the missing migrations up to the first that runs outside a transaction.
async fn in_a_transaction(client: &mut Client, all: &'static [Migration]) -> Result<Turn> {
    let fail = |e: tokio_postgres::Error| translate("migrate", &e);
    let tx = client.transaction().await.map_err(fail)?;
    let turn = format!("SELECT pg_try_advisory_xact_lock({KEY})");
    if !tx.query_one(&turn, &[]).await.and_then(|r| r.try_get(0)).map_err(fail)? {
        return Ok(Turn::Taken);
    }
    let before = applied(tx.client()).await?;
    let missing = pending(&before, all, |m| m.postgres)?;
    // Where nothing stands nobody is held up.
    let (is_new, lock_ms) = (before.is_empty(), if before.is_empty() { 0 } else { LOCK_TIMEOUT.as_millis() });
    match missing.first() {
        None => return Ok(Turn::Applied(Vec::new())),
        Some(first) if !is_new && online::is_online(first.postgres) => return Ok(Turn::Online(first)),
        Some(_) => {}
    }
    tx.batch_execute(&format!(
        "SET LOCAL lock_timeout = {lock_ms}; \
         CREATE TABLE IF NOT EXISTS public.schema_migrations (version INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, \
         checksum VARCHAR(64) NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    ))
    .await
    .map_err(fail)?;
    let mut names = Vec::new();
    for migration in missing {
        let text = match online::is_online(migration.postgres) {
            true if is_new => Cow::Owned(online::within_a_transaction(migration.postgres)?),
            true => break,
            false => Cow::Borrowed(migration.postgres),
        };
        if let Err(e) = tx.batch_execute(&text).await {
            if matches!(e.code(), Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED)) {
                return Ok(Turn::Held(format!("migration {} {}", migration.version, migration.name)));
            }
            let said = translate(migration.name, &e);
            let detail = e.as_db_error().map(|d| d.message().to_owned()).unwrap_or_default();
            return Err(Error::Schema(format!(
                "migration {} {} failed ({said} {detail}); the schema is as it was",
                migration.version, migration.name
            )));
        }
        note(tx.client(), migration).await?;
        names.push(migration.name);
    }
    tx.batch_execute("GRANT SELECT ON public.schema_migrations TO app_user, app_service").await.map_err(fail)?;
    tx.commit().await.map_err(fail)?;
    Ok(Turn::Applied(names))
}

async fn note(client: &Client, migration: &Migration) -> Result<()> {
    client
        .execute(
            "INSERT INTO public.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
            &[&migration.version, &migration.name, &migration.checksum(migration.postgres)],
        )
        .await
        .map(drop)
        .map_err(|e| translate("migrate", &e))
}

/// Takes an online migration's steps under the session's own lock; whether it was this node that did it.
async fn online_in_turn(client: &Client, all: &'static [Migration], migration: &'static Migration) -> Result<bool> {
    let fail = |e: tokio_postgres::Error| translate("migrate", &e);
    let turn = format!("SELECT pg_try_advisory_lock({KEY})");
    if !client.query_one(&turn, &[]).await.and_then(|r| r.try_get(0)).map_err(fail)? {
        tokio::time::sleep(TURN_PAUSE).await;
        return Ok(false);
    }
    let done = async {
        let still = pending(&applied(client).await?, all, |m| m.postgres)?;
        if still.first().is_none_or(|m| m.version != migration.version) {
            return Ok(false);
        }
        online::apply(client, migration).await?;
        note(client, migration).await?;
        Ok(true)
    }
    .await;
    let left = client.batch_execute(&format!("SELECT pg_advisory_unlock({KEY})")).await;
    done.and_then(|did| left.map(|()| did).map_err(fail))
}

/// A database that a move has filled by half is nobody's yet.
async fn refuse_half_moved(client: &Client) -> Result<()> {
    let there: bool = client
        .query_one(&format!("SELECT to_regclass('public.{NOTES}') IS NOT NULL"), &[])
        .await
        .and_then(|r| r.try_get(0))
        .map_err(|e| translate("status", &e))?;
    if there { Err(half_moved()) } else { Ok(()) }
}

pub(super) async fn status(config: &Config) -> Result<Status> {
    let client = connect(config, None).await?;
    refuse_half_moved(&client).await?;
    let version = client
        .query_one("SHOW server_version", &[])
        .await
        .and_then(|r| r.try_get(0))
        .map_err(|e| translate("status", &e))?;
    // The runtime role may read the table only through app_user.
    let as_runtime = client.batch_execute("SET ROLE app_user").await;
    if as_runtime.is_err() {
        client.batch_execute("RESET ROLE").await.map_err(|e| translate("status", &e))?;
    }
    let applied = applied(&client).await?;
    let missing = pending(&applied, MIGRATIONS, |m| m.postgres)?;
    Ok(Status { engine: "PostgreSQL", version, applied, pending: missing.iter().map(|m| m.name.to_owned()).collect() })
}

pub(super) async fn drift(config: &Config) -> Result<Vec<String>> {
    let live = connect(config, None).await?;
    let wanted = in_scratch(config, &live, "drift compares with", MIGRATIONS, async |client| catalogue(client).await);
    let wanted = wanted.await?;
    Ok(compare(&wanted, &catalogue(&live).await?))
}

/// Works in a database that these migrations make, and that is dropped afterwards.
pub(super) async fn in_scratch<T>(
    config: &Config,
    live: &Client,
    what_for: &str,
    all: &'static [Migration],
    work: impl AsyncFnOnce(&mut Client) -> Result<T>,
) -> Result<T> {
    let scratch = format!("steward_drift_{}", uuid::Uuid::now_v7().simple());
    live.batch_execute(&format!("CREATE DATABASE {scratch} TEMPLATE template0")).await.map_err(|e| Error::Refused {
        what: format!(
            "{what_for} a scratch database, and this role may not create one: {}",
            crate::postgres::chain(&e)
        ),
    })?;
    let done = async {
        let mut client = connect(config, Some(&scratch)).await?;
        apply(&mut client, all).await?;
        work(&mut client).await
    }
    .await;
    let dropped = live.batch_execute(&format!("DROP DATABASE {scratch} WITH (FORCE)")).await;
    let done = done?;
    dropped.map_err(|e| translate("drift", &e))?;
    Ok(done)
}

async fn catalogue(client: &Client) -> Result<BTreeMap<String, String>> {
    let rows = client.query(CATALOGUE, &[]).await.map_err(|e| translate("catalogue", &e))?;
    rows.iter()
        .map(|r| {
            Ok((
                r.try_get(0).map_err(|e| translate("catalogue", &e))?,
                r.try_get(1).map_err(|e| translate("catalogue", &e))?,
            ))
        })
        .collect()
}
