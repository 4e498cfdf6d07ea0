//! One moment of the database, held still while a dump is taken, with what the manifest says about it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::{Config, Error, Result, canonical::GENESIS_SHA256, migrate::postgres::connect, postgres::translate};

/// Whether this role sees every row, and which tables it may not read at all.
const SIGHT: &str = "
    SELECT r.rolname::text, r.rolsuper OR r.rolbypassrls,
        (SELECT string_agg(c.relname, ', ' ORDER BY c.relname) FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT has_table_privilege(c.oid, 'SELECT'))
    FROM pg_roles r WHERE r.rolname = current_user";

/// Our tables: neither an extension's, nor the parts of a partitioned one.
const TABLES: &str = "
    SELECT c.relname::text, format('SELECT count(*) FROM %s', c.oid::regclass) FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1";

/// Roles that own something of ours or hold a right on it.
const ROLES: &str = "
    WITH ours AS (
        SELECT relowner AS owner, relacl AS acl FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT proowner, proacl FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT nspowner, nspacl FROM pg_namespace WHERE nspname = 'public'
        UNION ALL SELECT relowner, attacl FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace
    ), named AS (
        SELECT owner AS role FROM ours UNION SELECT x.grantee FROM ours, LATERAL aclexplode(acl) x
        UNION SELECT unnest(polroles) FROM pg_policy
    )
    SELECT r.rolname::text FROM named JOIN pg_roles r ON r.oid = named.role WHERE r.rolname !~ '^pg_' ORDER BY 1";

const HEAD: &str = "
    SELECT c.seq, c.sha256::text, a.created_at FROM public.audit_chain c LEFT JOIN public.audit_trail a ON a.id = c.audit_id
    ORDER BY c.seq DESC LIMIT 1";

/// What stands in a database at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The server's clock right before the moment: everything acknowledged before it is in.
    pub at: Timestamp,
    /// Rows of each table.
    pub counts: BTreeMap<String, u64>,
    /// Links in the audit chain.
    pub chain_length: u64,
    /// Hash of the last of them; 64 zeros where there is none.
    pub chain_head: String,
    /// When the audit row behind the head was written.
    pub chain_head_at: Option<Timestamp>,
    /// The newest migration.
    pub schema_version: u32,
    /// The server's version in its own words.
    pub server_version: String,
    /// The server's main version: 15, 16, …
    pub server_major: u32,
    /// Roles that own something in the database or hold a right on it.
    pub roles: Vec<String>,
}

/// A transaction that holds one moment. Others are shown it by its name; it ends when this is dropped.
#[derive(Debug)]
pub struct Held {
    client: Client,
    /// The snapshot's name, for `pg_dump --snapshot`.
    pub snapshot: String,
    /// What stands in the database at that moment.
    pub facts: Facts,
}

impl Held {
    /// Takes the moment. Refuses a role from which row-level security would hide rows, or that may not read all tables.
    pub async fn take(config: &Config) -> Result<Self> {
        let fail = |e: tokio_postgres::Error| translate("backup", &e);
        let client = connect(config, None).await?;
        sees_everything(&client, config).await?;
        // A dump may take hours; this session does nothing meanwhile but hold its moment.
        client
            .batch_execute(
                "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; SET row_security = off; \
                 BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            )
            .await
            .map_err(fail)?;
        let snapshot =
            client.query_one("SELECT pg_export_snapshot()", &[]).await.and_then(|r| r.try_get(0)).map_err(fail)?;
        let facts = read(&client).await?;
        Ok(Self { client, snapshot, facts })
    }

    /// Begins to list where the vault keeps the files that rows name, each once and by name; [`Self::files`] answers them.
    pub async fn list_files(&self) -> Result<()> {
        self.client.batch_execute(FILES).await.map_err(|e| translate("backup", &e))
    }

    /// The next of them, at most `limit`; none where all were answered.
    pub async fn files(&self, limit: u32) -> Result<Vec<String>> {
        let fail = |e: tokio_postgres::Error| translate("backup", &e);
        let rows = self.client.query(&format!("FETCH {limit} FROM named_files"), &[]).await.map_err(fail)?;
        rows.iter().map(|row| row.try_get(0).map_err(fail)).collect()
    }

    /// Lets go of the moment; fails where it was lost meanwhile, and with it the dump that relied on it.
    pub async fn release(self) -> Result<()> {
        self.client.batch_execute("COMMIT").await.map_err(|e| translate("backup", &e))
    }
}

/// Each once, in an order that is the same everywhere; sorted once, however many pages are read of it.
const FILES: &str = r#"
    DECLARE named_files NO SCROLL CURSOR FOR
    SELECT DISTINCT storage_path COLLATE "C" AS path FROM
        (SELECT storage_path FROM public.file_attachments UNION ALL SELECT storage_path FROM public.kept_files) f
    ORDER BY path"#;

/// What stands in a database now, read as of one moment.
pub async fn facts(config: &Config) -> Result<Facts> {
    let fail = |e: tokio_postgres::Error| translate("backup", &e);
    let client = connect(config, None).await?;
    sees_everything(&client, config).await?;
    client
        .batch_execute("SET row_security = off; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .map_err(fail)?;
    read(&client).await
}

/// How a role is made that sees every row, and where it is named.
const REMEDY: &str = "back it up by a role that sees all: as a superuser CREATE ROLE steward_backup LOGIN BYPASSRLS PASSWORD '…'; GRANT pg_read_all_data TO steward_backup; then name it in backup_database_url (STEWARD_BACKUP_DATABASE_URL) as postgres://steward_backup:…@HOST/DATABASE";

/// The role that the settings name, which must see every row; else why it does not, and what to do.
pub async fn reader(config: &Config) -> Result<String> {
    let client = connect(config, None).await?;
    sees_everything(&client, config).await
}

/// Whether both settings lead to the same database of the same server (or of a standby of it).
pub async fn is_same_database(one: &Config, other: &Config) -> Result<bool> {
    Ok(incarnation(one).await?.id == incarnation(other).await?.id)
}

/// Sets a server apart from the one whose files it has: each recovery is another one.
const APART: &str = "steward.incarnation";

/// Which database this is among all there are. A dump that is put back is another database; so is a server that
/// [`set_apart`] made one. All nodes see the same, and so does a standby that takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    /// The server, the database in it, and which of its recoveries.
    pub id: String,
    /// Whether the server was recovered from an archive.
    pub is_recovered: bool,
    /// The line of the server's log; another one after each recovery and each failover. None on a standby.
    pub timeline: Option<u32>,
    /// How far that log is durable, in bytes. None on a standby.
    pub position: Option<u64>,
}

/// Which database the settings lead to.
pub async fn incarnation(config: &Config) -> Result<Incarnation> {
    let fail = |e: tokio_postgres::Error| translate("backup", &e);
    let client = connect(config, None).await?;
    let row = client.query_one(INCARNATION, &[&APART]).await.map_err(fail)?;
    let (system, database, apart): (i64, u32, String) =
        (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?, row.try_get(2).map_err(fail)?);
    let (file, position): (Option<String>, Option<i64>) =
        (row.try_get(3).map_err(fail)?, row.try_get(4).map_err(fail)?);
    let which = if apart.is_empty() { String::new() } else { format!("-{apart}") };
    Ok(Incarnation {
        id: format!("{system:016x}-{database}{which}"),
        is_recovered: !apart.is_empty(),
        timeline: file.and_then(|name| u32::from_str_radix(name.get(..8)?, 16).ok()),
        position: position.and_then(|at| u64::try_from(at).ok()),
    })
}

/// The name of a file of the log begins with its timeline.
const INCARNATION: &str = "
    SELECT (SELECT system_identifier FROM pg_control_system()),
           (SELECT oid FROM pg_database WHERE datname = current_database()),
           COALESCE(current_setting($1::text, true), ''),
           CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_flush_lsn()) END,
           CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint END";

/// Makes the databases of a recovered server others than those of the server that its files came from, for whoever connects
/// from now on. By a superuser.
pub async fn set_apart(config: &Config) -> Result<()> {
    let client = connect(config, None).await?;
    let which = uuid::Uuid::now_v7().simple();
    client.batch_execute(&format!("ALTER ROLE ALL SET {APART} = '{which}'")).await.map_err(|e| translate("restore", &e))
}

async fn sees_everything(client: &Client, config: &Config) -> Result<String> {
    let fail = |e: tokio_postgres::Error| translate("backup", &e);
    let row = client.query_one(SIGHT, &[]).await.map_err(fail)?;
    let (role, sees, unread): (String, bool, Option<String>) =
        (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?, row.try_get(2).map_err(fail)?);
    if !sees {
        return Err(Error::Config(format!(
            "{}: row-level security hides rows from {role}, so its backup would lack them; nothing was backed up; {REMEDY}",
            config.describe()
        )));
    }
    if let Some(tables) = unread {
        return Err(Error::Config(format!(
            "{}: {role} may not read {tables}; nothing was backed up; {REMEDY}",
            config.describe()
        )));
    }
    Ok(role)
}

async fn read(client: &Client) -> Result<Facts> {
    let fail = |e: tokio_postgres::Error| translate("backup", &e);
    let row = client
        .query_one(
            "SELECT now(), current_setting('server_version'), current_setting('server_version_num')::int / 10000, \
             to_regclass('public.audit_chain') IS NOT NULL AND to_regclass('public.schema_migrations') IS NOT NULL",
            &[],
        )
        .await
        .map_err(fail)?;
    let (at, server_version, major, ours): (Timestamp, String, i32, bool) = (
        row.try_get(0).map_err(fail)?,
        row.try_get(1).map_err(fail)?,
        row.try_get(2).map_err(fail)?,
        row.try_get(3).map_err(fail)?,
    );
    if !ours {
        return Err(Error::Schema("this database holds no Steward; make it with: steward db migrate".to_owned()));
    }
    let mut counts = BTreeMap::new();
    for table in client.query(TABLES, &[]).await.map_err(fail)? {
        let (name, question): (String, String) = (table.try_get(0).map_err(fail)?, table.try_get(1).map_err(fail)?);
        let count: i64 = client.query_one(&question, &[]).await.and_then(|r| r.try_get(0)).map_err(fail)?;
        counts.insert(name, u64::try_from(count).unwrap_or_default());
    }
    let (chain_length, chain_head, chain_head_at) = match client.query_opt(HEAD, &[]).await.map_err(fail)? {
        Some(head) => (head.try_get(0).map_err(fail)?, head.try_get(1).map_err(fail)?, head.try_get(2).map_err(fail)?),
        None => (0_i64, GENESIS_SHA256.to_owned(), None),
    };
    let schema: i32 = client
        .query_one("SELECT COALESCE(max(version), 0) FROM public.schema_migrations", &[])
        .await
        .and_then(|r| r.try_get(0))
        .map_err(fail)?;
    let roles = client.query(ROLES, &[]).await.map_err(fail)?;
    let roles = roles.iter().map(|r| r.try_get(0)).collect::<Result<Vec<String>, _>>().map_err(fail)?;
    Ok(Facts {
        at,
        counts,
        chain_length: u64::try_from(chain_length).unwrap_or_default(),
        chain_head,
        chain_head_at,
        schema_version: u32::try_from(schema).unwrap_or_default(),
        server_version,
        server_major: u32::try_from(major).unwrap_or_default(),
        roles,
    })
}
