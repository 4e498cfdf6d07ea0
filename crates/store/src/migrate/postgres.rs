//! Migrations of PostgreSQL: one transaction under an advisory lock.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::{Applied, MIGRATIONS, Migration, Report, Status, drift::compare, pending};
use crate::{
    Config, Error, Result, Target,
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

async fn applied(client: &Client) -> Result<Vec<Applied>> {
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

pub(super) async fn migrate(config: &Config, all: &'static [Migration]) -> Result<Report> {
    let mut client = connect(config, None).await?;
    apply(&mut client, all).await
}

async fn apply(client: &mut Client, all: &'static [Migration]) -> Result<Report> {
    let fail = |e: tokio_postgres::Error| translate("migrate", &e);
    let major: i32 = client
        .query_one("SELECT current_setting('server_version_num')::int / 10000", &[])
        .await
        .and_then(|r| r.try_get(0))
        .map_err(fail)?;
    if major < 15 {
        return Err(Error::Schema(format!(
            "Steward needs PostgreSQL 15 or newer; this server is version {major}; nothing was changed"
        )));
    }
    let tx = client.transaction().await.map_err(fail)?;
    // A second node waits here until the first is done, and then finds nothing missing.
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('steward.migrate', 0))", &[]).await.map_err(fail)?;
    let missing = pending(&applied(tx.client()).await?, all, |m| m.postgres)?;
    if missing.is_empty() {
        return Ok(Report { applied: Vec::new(), copy: None });
    }
    tx.batch_execute(
        "CREATE TABLE IF NOT EXISTS public.schema_migrations (version INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, \
         checksum VARCHAR(64) NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    )
    .await
    .map_err(fail)?;
    let mut names = Vec::new();
    for migration in missing {
        tx.batch_execute(migration.postgres).await.map_err(|e| {
            let said = translate(migration.name, &e);
            let detail = e.as_db_error().map(|d| d.message().to_owned()).unwrap_or_default();
            Error::Schema(format!(
                "migration {} {} failed ({said} {detail}); the schema is as it was",
                migration.version, migration.name
            ))
        })?;
        tx.execute(
            "INSERT INTO public.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
            &[&migration.version, &migration.name, &migration.checksum(migration.postgres)],
        )
        .await
        .map_err(fail)?;
        names.push(migration.name.to_owned());
    }
    tx.batch_execute("GRANT SELECT ON public.schema_migrations TO app_user, app_service").await.map_err(fail)?;
    tx.commit().await.map_err(fail)?;
    Ok(Report { applied: names, copy: None })
}

pub(super) async fn status(config: &Config) -> Result<Status> {
    let client = connect(config, None).await?;
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
    let scratch = format!("steward_drift_{}", uuid::Uuid::now_v7().simple());
    live.batch_execute(&format!("CREATE DATABASE {scratch} TEMPLATE template0")).await.map_err(|e| Error::Refused {
        what: format!(
            "drift compares with a scratch database, and this role may not create one: {}",
            crate::postgres::chain(&e)
        ),
    })?;
    let wanted = async {
        let mut client = connect(config, Some(&scratch)).await?;
        apply(&mut client, MIGRATIONS).await?;
        catalogue(&client).await
    }
    .await;
    let dropped = live.batch_execute(&format!("DROP DATABASE {scratch} WITH (FORCE)")).await;
    let found = catalogue(&live).await?;
    dropped.map_err(|e| translate("drift", &e))?;
    Ok(compare(&wanted?, &found))
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
