//! The PostgreSQL side of a move: reads as of one moment, and writes that fire no trigger.

use tokio_postgres::{Client, types::ToSql};

use super::{
    cell::Cells,
    shape::{NOTES, Table, quoted},
};
use crate::{Config, Error, Result, migrate, postgres::translate};

/// Rows in one answer.
const ROWS: usize = 200;

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn fail(e: tokio_postgres::Error) -> Error {
    translate("db move", &e)
}

/// A session without limits of time, which sees every row or says that it can't.
pub(super) async fn connect(config: &Config) -> Result<Client> {
    let client = migrate::postgres::connect(config, None).await?;
    client
        .batch_execute("SET idle_in_transaction_session_timeout = 0; SET row_security = off; SET timezone = 'UTC'")
        .await
        .map_err(fail)?;
    let all: bool = client
        .query_one("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user", &[])
        .await
        .and_then(|r| r.try_get(0))
        .map_err(fail)?;
    if !all {
        return Err(Error::Refused {
            what: "moving needs a role that sees every row: a superuser, or the tables' owner with BYPASSRLS (ALTER ROLE … BYPASSRLS)"
                .to_owned(),
        });
    }
    Ok(client)
}

/// Sessions of a running Steward on the database, besides those of this program.
pub(super) async fn others(client: &Client) -> Result<i64> {
    client
        .query_one(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'steward%' AND pid <> pg_backend_pid()",
            &[],
        )
        .await
        .and_then(|r| r.try_get(0))
        .map_err(fail)
}

/// From here on this session sees the database as of this moment, and can't change it.
pub(super) async fn freeze(client: &Client) -> Result<()> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(fail)
}

pub(super) async fn count(client: &Client, table: &Table) -> Result<i64> {
    let sql = format!("SELECT count(*) FROM public.{}", quoted(&table.name));
    client.query_one(&sql, &[]).await.and_then(|r| r.try_get(0)).map_err(fail)
}

/// The last link of the audit chain.
pub(super) async fn head(client: &Client) -> Result<Option<(i64, String)>> {
    let row = client
        .query_opt("SELECT seq, sha256::text FROM public.audit_chain ORDER BY seq DESC LIMIT 1", &[])
        .await
        .map_err(fail)?;
    row.map(|r| Ok((r.try_get(0)?, r.try_get(1)?))).transpose().map_err(fail)
}

/// A text in an SQL statement.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A cursor needs a transaction: a source has one; whether this began one.
pub(super) async fn begin_reading(client: &Client) -> Result<bool> {
    let read_only: String =
        client.query_one("SHOW transaction_read_only", &[]).await.and_then(|r| r.try_get(0)).map_err(fail)?;
    if read_only == "on" {
        return Ok(false);
    }
    client.batch_execute("BEGIN").await.map(|()| true).map_err(fail)
}

pub(super) async fn end_reading(client: &Client, own_transaction: bool) -> Result<()> {
    if own_transaction { client.batch_execute("COMMIT").await.map_err(fail) } else { Ok(()) }
}

/// Begins to read a table in the order of its key, after `after` where that is given. Within a transaction.
pub(super) async fn open(client: &Client, table: &Table, after: Option<&Cells>) -> Result<()> {
    let read: Vec<String> = table.columns.iter().map(|c| c.kind.postgres_read(&quoted(&c.name))).collect();
    // By bytes, as SQLite sorts.
    let keys: Vec<String> = table
        .key
        .iter()
        .filter_map(|k| table.columns.get(*k))
        .map(|c| {
            let by_bytes =
                if matches!(c.type_name.as_str(), "text" | "character varying") { " COLLATE \"C\"" } else { "" };
            format!("m.{}{by_bytes}", quoted(&c.name))
        })
        .collect();
    let after = after.map_or_else(String::new, |key| {
        let values: Vec<String> = key
            .iter()
            .zip(&table.key)
            .map(|(text, k)| {
                let type_name = table.columns.get(*k).map_or("text", |c| c.type_name.as_str());
                format!("{}::{type_name}", literal(text.as_deref().unwrap_or_default()))
            })
            .collect();
        format!(" WHERE ({}) > ({})", keys.join(", "), values.join(", "))
    });
    let sql = format!(
        "DECLARE moving NO SCROLL CURSOR FOR SELECT {} FROM public.{} m{after} ORDER BY {}",
        read.join(", "),
        quoted(&table.name),
        keys.join(", ")
    );
    client.batch_execute(&sql).await.map_err(fail)
}

/// The next rows of the table that is being read; none at its end.
pub(super) async fn next(client: &Client, table: &Table) -> Result<Vec<Cells>> {
    let rows = client.query(&format!("FETCH {ROWS} FROM moving"), &[]).await.map_err(fail)?;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let mut cells: Cells = Vec::with_capacity(table.columns.len());
        for (place, column) in table.columns.iter().enumerate() {
            let text: Option<String> = row.try_get(place).map_err(fail)?;
            let text = text.map(|t| column.kind.read_postgres(t)).transpose();
            cells.push(text.map_err(|why| table.wrong(place, &table.key_of(&cells), why))?);
        }
        out.push(cells);
    }
    if out.is_empty() {
        client.batch_execute("CLOSE moving").await.map_err(fail)?;
    }
    Ok(out)
}

/// Begins to write to a table: within this transaction its triggers are off.
pub(super) async fn begin_writing(client: &Client, table: &Table) -> Result<()> {
    let sql = format!("BEGIN; ALTER TABLE public.{} DISABLE TRIGGER USER", quoted(&table.name));
    client.batch_execute(&sql).await.map_err(fail)
}

/// Writes rows.
pub(super) async fn write(client: &Client, table: &Table, rows: &[Cells]) -> Result<()> {
    let places = 1..=table.columns.len();
    let arrays: Vec<String> = places.clone().map(|n| format!("${n}::text[]")).collect();
    let names: Vec<String> = places.map(|n| format!("c{n}")).collect();
    let values: Vec<String> = table
        .columns
        .iter()
        .zip(&names)
        .map(|(c, name)| c.kind.postgres_write(&format!("u.{name}"), &c.type_name))
        .collect();
    let sql = format!(
        "INSERT INTO public.{} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM unnest({}) AS u({})",
        quoted(&table.name),
        table.column_list(),
        values.join(", "),
        arrays.join(", "),
        names.join(", ")
    );
    let columns: Vec<Vec<Option<&str>>> = (0..table.columns.len())
        .map(|place| rows.iter().map(|r| r.get(place).and_then(Option::as_deref)).collect())
        .collect();
    let params: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|c| c as &(dyn ToSql + Sync)).collect();
    client.execute(&sql, &params).await.map(drop).map_err(|e| refused(table, &e))
}

/// What the target says of a row that it does not take.
fn refused(table: &Table, e: &tokio_postgres::Error) -> Error {
    let said = e.as_db_error().map_or_else(
        || crate::postgres::chain(e),
        |d| format!("{}{}", d.message(), d.detail().map(|more| format!("; {more}")).unwrap_or_default()),
    );
    Error::Decode {
        column: format!("{} (some row)", table.name),
        reason: format!("PostgreSQL does not take it: {said}"),
    }
}

/// Notes how far the table has come, turns its triggers on again as they were, and commits.
pub(super) async fn end_writing(
    client: &Client,
    table: &Table,
    triggers: &[(String, bool)],
    last: &str,
    rows: i64,
) -> Result<()> {
    client
        .execute(
            &format!(
                "INSERT INTO public.{NOTES} (table_name, last_key, rows) VALUES ($1, $2, $3) \
                 ON CONFLICT (table_name) DO UPDATE SET last_key = EXCLUDED.last_key, rows = EXCLUDED.rows"
            ),
            &[&table.name, &last, &rows],
        )
        .await
        .map_err(fail)?;
    let name = quoted(&table.name);
    let mut sql = vec![format!("ALTER TABLE public.{name} ENABLE TRIGGER USER; ")];
    for (trigger, always) in triggers {
        let state = if *always { "ENABLE ALWAYS" } else { "ENABLE" };
        sql.push(format!("ALTER TABLE public.{name} {state} TRIGGER {}; ", quoted(trigger)));
    }
    client.batch_execute(&(sql.concat() + "COMMIT")).await.map_err(fail)
}

/// A table's own triggers, and whether each fires always.
pub(super) async fn triggers(client: &Client, table: &Table) -> Result<Vec<(String, bool)>> {
    let rows = client
        .query(
            "SELECT tgname::text, tgenabled::text = 'A' FROM pg_trigger WHERE tgrelid = ('public.' || quote_ident($1))::regclass AND NOT tgisinternal ORDER BY 1",
            &[&table.name],
        )
        .await
        .map_err(fail)?;
    rows.iter().map(|r| Ok((r.try_get(0)?, r.try_get(1)?))).collect::<Result<_, _>>().map_err(fail)
}

/// The notes of an earlier try, and the source they name; none where there was none.
pub(super) async fn notes(client: &Client) -> Result<Option<Vec<(String, String, i64)>>> {
    let there: bool = client
        .query_one(&format!("SELECT to_regclass('public.{NOTES}') IS NOT NULL"), &[])
        .await
        .and_then(|r| r.try_get(0))
        .map_err(fail)?;
    if !there {
        return Ok(None);
    }
    let rows =
        client.query(&format!("SELECT table_name, last_key, rows FROM public.{NOTES}"), &[]).await.map_err(fail)?;
    let rows: Result<Vec<_>, _> = rows.iter().map(|r| Ok((r.try_get(0)?, r.try_get(1)?, r.try_get(2)?))).collect();
    rows.map(Some).map_err(fail)
}

/// Makes an empty target ready: what the migrations put into it goes, months are made, the notes are begun.
pub(super) async fn prepare(client: &Client, tables: &[Table], source: &str, months: &[String]) -> Result<()> {
    // The functions that make months work under the policies.
    let mut sql = vec!["BEGIN; SET LOCAL row_security = on; ".to_owned()];
    for table in tables.iter().rev() {
        let name = quoted(&table.name);
        let own = triggers(client, table).await?;
        sql.push(format!("ALTER TABLE public.{name} DISABLE TRIGGER USER; DELETE FROM public.{name}; ALTER TABLE public.{name} ENABLE TRIGGER USER; "));
        for (trigger, _) in own.iter().filter(|(_, always)| *always) {
            sql.push(format!("ALTER TABLE public.{name} ENABLE ALWAYS TRIGGER {}; ", quoted(trigger)));
        }
    }
    for month in months {
        // What is no month of ours stays in the DEFAULT partition, as it does elsewhere.
        sql.push(format!(
            "SELECT public.ensure_log_partitions(m.d, m.d) FROM (SELECT {}::date AS d) m \
             WHERE m.d >= DATE '2000-01-01' AND m.d < date_trunc('month', now()) + interval '4 months'; ",
            literal(&format!("{month}-01"))
        ));
    }
    sql.push(format!(
        "CREATE TABLE public.{NOTES} (table_name TEXT PRIMARY KEY, last_key TEXT NOT NULL, rows BIGINT NOT NULL); \
         INSERT INTO public.{NOTES} VALUES ('', {}, 0); COMMIT",
        literal(source)
    ));
    client.batch_execute(&sql.concat()).await.map_err(fail)
}

const SEQUENCES: &str = "SELECT format('SELECT setval(%L, GREATEST((SELECT COALESCE(max(%I), 0) FROM public.%I), 0) + 1, false)', \
      pg_get_serial_sequence(format('public.%I', c.relname), a.attname), a.attname, c.relname) \
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND pg_get_serial_sequence(format('public.%I', c.relname), a.attname) IS NOT NULL";

/// What PostgreSQL alone keeps by triggers.
const DERIVED: &str = "SET row_security = on; \
    INSERT INTO public.user_rights (user_id, permissions) SELECT u.id, public.rights_of(u.id) FROM public.users u \
    ON CONFLICT (user_id) DO UPDATE SET permissions = EXCLUDED.permissions";

/// What comes after the proof: derived rows are filled in, sequences go on after the highest number, the planner gets its figures, the notes go.
pub(super) async fn finish(client: &Client) -> Result<()> {
    // The functions that derive work under the policies.
    client.batch_execute(DERIVED).await.map_err(fail)?;
    for row in client.query(SEQUENCES, &[]).await.map_err(fail)? {
        let sql: String = row.try_get(0).map_err(fail)?;
        client.batch_execute(&sql).await.map_err(fail)?;
    }
    client.batch_execute(&format!("DROP TABLE public.{NOTES}")).await.map_err(fail)?;
    client.batch_execute("ANALYZE").await.map_err(fail)
}
