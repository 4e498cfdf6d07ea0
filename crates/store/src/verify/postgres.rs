//! PostgreSQL: its constraints asked again, its indexes and tables through amcheck, and the rows.

use tokio_postgres::{Client, error::SqlState};

use super::{Looking, MOST, Outcome, rows};
use crate::{Config, Result, migrate::postgres::connect, postgres::translate};

/// Each foreign key and CHECK rule as a question that counts the rows that break it: a rule that was switched off for a
/// while (a restore, a replica's session) stays valid in the catalogue and is broken all the same.
const RULES: &str = "
    SELECT conrelid::regclass || '.' || conname, format('SELECT count(*) FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s)', conrelid::regclass,
        (SELECT string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ') FROM unnest(conkey) k JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k),
        confrelid::regclass,
        (SELECT string_agg(format('p.%I = c.%I', pa.attname, ca.attname), ' AND ') FROM unnest(conkey, confkey) AS k (ck, pk)
           JOIN pg_attribute ca ON ca.attrelid = conrelid AND ca.attnum = k.ck JOIN pg_attribute pa ON pa.attrelid = confrelid AND pa.attnum = k.pk))
    FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0
    UNION ALL
    SELECT conrelid::regclass || '.' || conname, format('SELECT count(*) FROM %s WHERE NOT (%s)', conrelid::regclass, pg_get_expr(conbin, conrelid))
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
    WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conparentid = 0 AND NOT c.relispartition
    ORDER BY 1";

/// What the catalogue itself says is not in force.
const STANDING: &str = "
    SELECT 'constraint ' || conrelid::regclass || '.' || conname, 'was never checked against the rows that were there (NOT VALID)'
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND NOT convalidated
    UNION ALL
    SELECT 'index ' || indexrelid::regclass, 'is not valid: queries pass it by, and a unique one guards nothing'
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace AND NOT (indisvalid AND indisready AND indislive)
    UNION ALL
    SELECT 'trigger ' || tgrelid::regclass || '.' || tgname, 'is switched off'
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'public'::regnamespace AND tgenabled NOT IN ('O', 'A')
    ORDER BY 1";

/// What amcheck can look at, as the question that does so.
const AMCHECK: &str = "
    SELECT 'index ' || c.oid::regclass, format('SELECT %I.bt_index_check(%s::regclass, true)', n.nspname, quote_literal(c.oid::regclass))
    FROM pg_class c JOIN pg_am a ON a.oid = c.relam, pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'amcheck' AND c.relnamespace = 'public'::regnamespace AND c.relkind = 'i' AND a.amname = 'btree'
      AND (SELECT indisvalid FROM pg_index i WHERE i.indexrelid = c.oid)
    UNION ALL
    SELECT 'table ' || c.oid::regclass, format('SELECT blkno, msg FROM %I.verify_heapam(%s::regclass) LIMIT 10', n.nspname, quote_literal(c.oid::regclass))
    FROM pg_class c, pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'amcheck' AND c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    ORDER BY 1";

pub(super) async fn look(config: &Config, looking: &mut Looking<'_>) -> Result<()> {
    let client = connect(config, None).await?;
    let fail = |e: tokio_postgres::Error| translate("verify", &e);
    looking.begin("rules in force");
    let standing = pairs(&client, STANDING).await.map_err(fail)?;
    looking.note(
        "rules in force",
        "a leftover index goes with steward db maintain; the rest was done by hand: undo it, or restore a backup",
        Outcome::Looked(standing),
    );
    amcheck(&client, looking).await?;
    // What the service may see is every row; the login itself may be the owner, whom FORCE ROW LEVEL SECURITY shows none.
    let seen = client.batch_execute("SET ROLE app_service").await;
    broken_rules(&client, seen.is_ok(), looking).await?;
    looking.begin("rights");
    let outcome = if seen.is_ok() {
        Outcome::Looked(pairs(&client, RIGHTS).await.map_err(fail)?)
    } else {
        Outcome::LeftOut(NO_MEMBER.to_owned())
    };
    let remedy = "as the owner: UPDATE users SET status = status WHERE id = 'the user'; then see who wrote past Steward: steward audit verify";
    looking.note("rights", remedy, outcome);
    for check in rows::ALL {
        looking.begin(check.name);
        let outcome = if seen.is_ok() {
            Outcome::Looked(pairs(&client, &check.sql(rows::POSTGRES_LIST)).await.map_err(fail)?)
        } else {
            Outcome::LeftOut(NO_MEMBER.to_owned())
        };
        looking.note(check.name, check.remedy, outcome);
    }
    Ok(())
}

/// Rights as they are kept, against the tables they are made of.
const RIGHTS: &str = "
    SELECT 'user ' || u.id, CASE WHEN r.user_id IS NULL THEN 'has no row of rights and can do nothing' ELSE 'has other rights than his role gives' END
    FROM users u LEFT JOIN user_rights r ON r.user_id = u.id
    WHERE r.permissions IS DISTINCT FROM rights_of(u.id) ORDER BY 1";

const NO_MEMBER: &str =
    "this role sees no rows; connect as one that is a member of app_service (GRANT app_service TO the role)";

async fn broken_rules(client: &Client, sees: bool, looking: &mut Looking<'_>) -> Result<()> {
    const NAME: &str = "rows against their rules";
    let fail = |e: tokio_postgres::Error| translate("verify", &e);
    let remedy = "correct or remove the rows; they were written while the rule was off";
    if !sees {
        looking.note(NAME, remedy, Outcome::LeftOut(NO_MEMBER.to_owned()));
        return Ok(());
    }
    let mut found = Vec::new();
    for (rule, question) in pairs(client, RULES).await.map_err(fail)? {
        looking.begin(&format!("rule {rule}"));
        let broken: i64 = match client.query_one(&question, &[]).await.and_then(|r| r.try_get(0)) {
            Ok(count) => count,
            Err(e) => {
                found.push((rule, format!("could not be asked: {}", crate::postgres::chain(&e))));
                continue;
            }
        };
        if broken > 0 {
            found.push((rule, format!("{broken} rows break this rule")));
        }
    }
    looking.note(NAME, remedy, Outcome::Looked(found));
    Ok(())
}

async fn amcheck(client: &Client, looking: &mut Looking<'_>) -> Result<()> {
    const NAME: &str = "pages and indexes";
    let remedy = "an index: REINDEX INDEX CONCURRENTLY it; a table: stop Steward, copy the server's files, and restore the last backup";
    let fail = |e: tokio_postgres::Error| translate("verify", &e);
    let questions = pairs(client, AMCHECK).await.map_err(fail)?;
    if questions.is_empty() {
        let why = "the extension amcheck is not installed; a superuser installs it with: CREATE EXTENSION amcheck";
        looking.note(NAME, remedy, Outcome::LeftOut(why.to_owned()));
        return Ok(());
    }
    let mut found = Vec::new();
    for (place, question) in questions {
        looking.begin(&place);
        match client.simple_query(&question).await {
            Ok(messages) => found.extend(messages.iter().filter_map(|m| match m {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    // An index's check answers an empty value; a table's, one row a defect.
                    let msg = row.try_get(1).ok().flatten()?;
                    Some((place.clone(), format!("block {}: {msg}", row.get(0).unwrap_or("?"))))
                }
                _ => None,
            })),
            Err(e) if e.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                let why = "this role may not use amcheck; connect as a superuser, or GRANT EXECUTE on its functions";
                looking.note(NAME, remedy, Outcome::LeftOut(why.to_owned()));
                return Ok(());
            }
            // A month of the log that was dropped meanwhile.
            Err(e) if e.code() == Some(&SqlState::UNDEFINED_TABLE) => {}
            Err(e) if e.is_closed() => return Err(fail(e)),
            Err(e) => {
                let said = e.as_db_error().map_or_else(|| e.to_string(), |d| d.message().to_owned());
                found.push((place, said));
            }
        }
        if found.len() > MOST {
            break;
        }
    }
    looking.note(NAME, remedy, Outcome::Looked(found));
    Ok(())
}

/// Rows of two texts.
async fn pairs(client: &Client, sql: &str) -> Result<Vec<(String, String)>, tokio_postgres::Error> {
    let rows = client.query(sql, &[]).await?;
    rows.iter().map(|r| Ok((r.try_get(0)?, r.try_get(1)?))).collect()
}
