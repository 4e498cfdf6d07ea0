//! Where a dump is put back: what stands there already, the roles it needs, and what a dump does not carry.

use tokio_postgres::{Client, error::SqlState};

use super::held::Facts;
use crate::{Config, Error, Result, Target, config::describe_server, migrate::postgres::connect, postgres::translate};

/// The database that one connects to in order to make, drop and rename others.
const DOORS: [&str; 2] = ["postgres", "template1"];

/// What stands in a database besides what every new one has: the first few things, and how many.
const CONTENT: &str = "
    WITH found AS (
        SELECT n.nspname || '.' || c.relname AS thing FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
          AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        UNION ALL
        SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
          AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    )
    SELECT count(*), string_agg(thing, ', ') FILTER (WHERE nr <= 3) FROM (SELECT thing, row_number() OVER (ORDER BY thing) AS nr FROM found) f";

/// What a restore would meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// There is no such database.
    Missing,
    /// It is there, and nothing is in it.
    Empty,
    /// Something is in it: this much, and the first of it.
    Occupied(String),
}

impl Place {
    /// Looks at the database that a URL names.
    pub async fn look(config: &Config) -> Result<Self> {
        let client = match connect(config, None).await {
            Ok(client) => client,
            Err(Error::Unavailable(said)) if said.contains("does not exist") && said.contains("database \"") => {
                return Ok(Self::Missing);
            }
            Err(e) => return Err(e),
        };
        let fail = |e: tokio_postgres::Error| translate("restore", &e);
        let row = client.query_one(CONTENT, &[]).await.map_err(fail)?;
        let (count, first): (i64, Option<String>) = (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?);
        Ok(match first {
            Some(first) if count > 0 => Self::Occupied(format!("{count} tables and functions ({first}, …)")),
            _ => Self::Empty,
        })
    }
}

/// The name of the database in these settings.
fn name_of(config: &Config) -> Result<String> {
    let Target::Postgres(target) = &config.target else {
        return Err(Error::Config("this is not a PostgreSQL URL".to_owned()));
    };
    let name = target.get_dbname().or(target.get_user()).unwrap_or("postgres");
    Ok(name.to_owned())
}

/// A connection to another database of the same server than the one that is named.
async fn door(config: &Config) -> Result<Client> {
    let name = name_of(config)?;
    let mut last = None;
    for door in DOORS.iter().filter(|door| **door != name) {
        match connect(config, Some(door)).await {
            Ok(client) => return Ok(client),
            Err(e) => last = Some(e),
        }
    }
    Err(last.unwrap_or_else(|| Error::Config("there is no other database to connect to".to_owned())))
}

/// Makes the database that the settings name, in UTF-8.
pub async fn make_database(config: &Config) -> Result<()> {
    let name = quoted(&name_of(config)?);
    let made =
        door(config).await?.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")).await;
    made.map_err(|e| match e.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Error::Config(format!(
            "{}: this role may not make the database {name}; make it yourself (createdb), or name a role with CREATEDB",
            config.describe()
        )),
        _ => translate("restore", &e),
    })
}

/// Drops the database that the settings name, whoever is connected to it.
pub async fn drop_database(config: &Config) -> Result<()> {
    let name = quoted(&name_of(config)?);
    let dropped = door(config).await?.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    dropped.map_err(|e| translate("restore", &e))
}

/// Makes the roles that a dump names and the server lacks, without log-in and without a password. Answers those that were
/// made.
pub async fn prepare_roles(config: &Config, facts: &Facts) -> Result<Vec<String>> {
    let fail = |e: tokio_postgres::Error| translate("restore", &e);
    let client = connect(config, None).await?;
    let row = client
        .query_one("SELECT current_user::text, rolsuper FROM pg_roles WHERE rolname = current_user", &[])
        .await
        .map_err(fail)?;
    let (me, is_superuser): (String, bool) = (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?);
    let ours = ["app_user", "app_definer", "app_service"];
    let mut wanted: Vec<&str> = ours.to_vec();
    wanted.extend(facts.roles.iter().map(String::as_str).filter(|role| !ours.contains(role)));
    let mut made = Vec::new();
    for role in wanted {
        let there =
            client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&role]).await.map_err(fail)?.is_some();
        let name = quoted(role);
        if !there {
            match client.batch_execute(&format!("CREATE ROLE {name} NOLOGIN NOBYPASSRLS")).await {
                Ok(()) => made.push(role.to_owned()),
                // Another restore into this server was quicker.
                Err(e)
                    if e.code() == Some(&SqlState::DUPLICATE_OBJECT)
                        || e.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
                Err(e) if e.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                    return Err(Error::Config(format!(
                        "{}: {me} may not make the role {role}, which the backup needs; restore as a superuser, or make it first: CREATE ROLE {name} NOLOGIN; GRANT {name} TO {};",
                        config.describe(),
                        quoted(&me)
                    )));
                }
                Err(e) => return Err(fail(e)),
            }
        }
        // Who hands a table over to a role must be a member of it.
        if !is_superuser && role != me {
            let member = client.query_one("SELECT pg_has_role(current_user, $1::name, 'MEMBER')", &[&role]).await;
            if !member.and_then(|r| r.try_get::<_, bool>(0)).map_err(fail)? {
                client.batch_execute(&format!("GRANT {name} TO {}", quoted(&me))).await.map_err(fail)?;
            }
        }
    }
    Ok(made)
}

/// What a dump does not carry, because it belongs to the database and not into it: its time zone, who may make temporary
/// tables in it, and figures for the planner.
pub async fn settle(config: &Config) -> Result<()> {
    let name = quoted(&name_of(config)?);
    let client = connect(config, None).await?;
    client
        .batch_execute(&format!(
            "ALTER DATABASE {name} SET timezone = 'UTC'; REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC; ANALYZE"
        ))
        .await
        .map_err(|e| translate("restore", &e))
}

/// Puts `restored` in the place of the database that the settings name, which is kept under another name. Nobody may be
/// connected to either; who is connected to the old one is told of in the error.
pub async fn swap_in(config: &Config, restored: &str, kept_as: &str) -> Result<()> {
    let fail = |e: tokio_postgres::Error| translate("restore", &e);
    let name = name_of(config)?;
    let client = door(config).await?;
    let busy = client
        .query_one(
            "SELECT count(*), string_agg(DISTINCT format('%s (%s)', application_name, usename), ', ') FROM pg_stat_activity WHERE datname = $1",
            &[&name],
        )
        .await
        .map_err(fail)?;
    let (count, who): (i64, Option<String>) = (busy.try_get(0).map_err(fail)?, busy.try_get(1).map_err(fail)?);
    if count > 0 {
        return Err(Error::Config(format!(
            "{count} sessions use the database {name} ({}); end them (stop Steward), then restore again; what was restored stands in the database {restored}, {name} is as it was",
            who.unwrap_or_default()
        )));
    }
    // In one transaction: either both names change or none.
    client
        .batch_execute(&format!(
            "BEGIN; ALTER DATABASE {old} RENAME TO {kept}; ALTER DATABASE {new} RENAME TO {old}; COMMIT",
            old = quoted(&name),
            kept = quoted(kept_as),
            new = quoted(restored)
        ))
        .await
        .map_err(|e| {
            Error::Config(format!(
                "{} could not be put in place ({}); what was restored stands in the database {restored}",
                describe(config),
                crate::postgres::chain(&e)
            ))
        })
}

fn describe(config: &Config) -> String {
    match &config.target {
        Target::Postgres(target) => describe_server(target),
        Target::Sqlite(_) => config.describe(),
    }
}

/// A name as SQL reads it whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
