//! Looking at PostgreSQL: each question alone, so that one the role may not ask costs only its own answer.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::{Client, Row, types::ToSql};

use super::{Connections, Diagnosis, OldTransaction, ReplicaState, Role, Standby, skew};
use crate::{
    Config, Error, Result,
    config::describe_server,
    postgres::{chain, session_settings, tls, translate},
};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

const ROLE: &str = "SELECT r.rolname::text, r.rolsuper, r.rolbypassrls, EXISTS (SELECT 1 FROM pg_class c \
     WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p') AND c.relnamespace = to_regnamespace('public') AND c.relname IN ('tasks', 'users')) \
     FROM pg_roles r WHERE r.rolname = session_user";
const CONNECTIONS: &str = "SELECT (SELECT sum(numbackends)::bigint FROM pg_stat_database), \
     current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint";
const OLDEST: &str = "SELECT pid, EXTRACT(epoch FROM clock_timestamp() - xact_start)::bigint, coalesce(application_name, ''), coalesce(state, '') \
     FROM pg_stat_activity WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid() \
     ORDER BY xact_start LIMIT 1";
const STANDBYS: &str = "SELECT coalesce(application_name, ''), state, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint \
     FROM pg_stat_replication WHERE state IS NOT NULL AND NOT pg_is_in_recovery() ORDER BY 1 LIMIT 20";

pub(super) async fn look(config: &Config, target: &tokio_postgres::Config) -> Result<Diagnosis> {
    let began = Instant::now();
    let session = session_settings(target, config.connect_timeout);
    let client = connect(&session, config.connect_timeout).await?;
    let before = Timestamp::now();
    let row = one(&client, "SELECT clock_timestamp(), NOT pg_is_in_recovery()", &[]).await?;
    let after = Timestamp::now();
    let fail = |e: tokio_postgres::Error| translate("diagnosis", &e);
    let mut found = Diagnosis {
        answered_in: began.elapsed(),
        clock_skew: skew(before, row.try_get(0).map_err(fail)?, after),
        takes_writes: row.try_get(1).map_err(fail)?,
        ..Diagnosis::default()
    };
    found.role = one(&client, ROLE, &[]).await.ok().and_then(|row| {
        Some(Role {
            name: row.try_get(0).ok()?,
            is_superuser: row.try_get(1).ok()?,
            bypasses_policies: row.try_get(2).ok()?,
            owns_tables: row.try_get(3).ok()?,
        })
    });
    found.connections = one(&client, CONNECTIONS, &[]).await.ok().and_then(|row| {
        Some(Connections { used: row.try_get::<_, Option<i64>>(0).ok()??, limit: row.try_get(1).ok()? })
    });
    found.oldest_transaction = one(&client, OLDEST, &[]).await.ok().and_then(|row| {
        Some(OldTransaction {
            pid: row.try_get(0).ok()?,
            age: SignedDuration::from_secs(row.try_get(1).ok()?),
            program: row.try_get(2).ok()?,
            state: row.try_get(3).ok()?,
        })
    });
    if let Ok(Ok(rows)) = tokio::time::timeout(ANSWER, client.query(STANDBYS, &[])).await {
        found.standbys = rows.iter().filter_map(standby).collect();
    }
    if let Some(target) = &config.read_replica {
        let place =
            one(&client, "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn()::text END", &[])
                .await;
        let place = place.ok().and_then(|row| row.try_get::<_, Option<String>>(0).ok()?);
        found.read_replica = Some(replica(config, target, place).await.map_err(|e| e.to_string()));
    }
    Ok(found)
}

fn standby(row: &Row) -> Option<Standby> {
    Some(Standby { name: row.try_get(0).ok()?, state: row.try_get(1).ok()?, behind_bytes: row.try_get(2).ok()? })
}

/// How the read replica answers, against where the primary was.
async fn replica(config: &Config, target: &tokio_postgres::Config, place: Option<String>) -> Result<ReplicaState> {
    let mut session = session_settings(target, config.connect_timeout);
    session.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::Any);
    let client = connect(&session, config.connect_timeout).await?;
    let sql = "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN greatest(pg_wal_lsn_diff($1::text::pg_lsn, pg_last_wal_replay_lsn()), 0)::bigint END";
    let row = one(&client, sql, &[&place]).await?;
    let fail = |e: tokio_postgres::Error| translate("diagnosis", &e);
    Ok(ReplicaState { is_standby: row.try_get(0).map_err(fail)?, behind_bytes: row.try_get(1).map_err(fail)? })
}

async fn connect(session: &tokio_postgres::Config, patience: Duration) -> Result<Client> {
    let described = describe_server(session);
    let (client, connection) = tokio::time::timeout(patience, session.connect(tls()))
        .await
        .map_err(|_| Error::Unavailable(format!("{described} gave no answer within {} s", patience.as_secs())))?
        .map_err(|e| Error::Unavailable(format!("{described}: {}", chain(&e))))?;
    tokio::spawn(async move {
        if let Err(e) = connection.await {
            tracing::debug!(error = %e, "a look at the database ended");
        }
    });
    Ok(client)
}

async fn one(client: &Client, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row> {
    tokio::time::timeout(ANSWER, client.query_one(sql, params))
        .await
        .map_err(|_| Error::Unavailable(format!("no answer within {} s", ANSWER.as_secs())))?
        .map_err(|e| translate("diagnosis", &e))
}
