//! Every statement of the store has its place in the list below; what meets a big table is planned on the loaded database
//! as the role that runs it, and must reach its rows by an index, with a page's cost independent of the table's size.

mod access;
mod list;

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde_json::Value as Json;
use store::{
    Actor,
    limit::{Use, connection},
    statement::Statement,
};
use tokio_postgres::Client;

use self::{
    access::{Access, Who},
    list::LIST,
};
use crate::{
    cluster::Cluster,
    data::{self, Size},
    error::{Error, Result},
};

/// A table of so many rows is big: reading all of it is a defect.
const BIG_ROWS: f32 = 5000.0;
/// Blocks that a statement of one page or row may touch beyond those it touches in the small database: one level more in
/// each index, and rows that lie on as many pages as there are rows.
const SLACK_BLOCKS: u64 = 200;

/// What was found wrong, and the table of what was looked at.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) wrong: Vec<String>,
    pub(crate) table: String,
}

/// Checks both databases of the server, and the SQLite file.
pub(crate) async fn check(cluster: &Cluster, small: Size, big: Size, sqlite: &Path) -> Result<Report> {
    let mut report = Report::default();
    let statements = known(&mut report);
    report.table += "| statement | PostgreSQL, blocks small | big | access |\n|---|---|---|---|\n";
    let (few, many) = (data::connect(cluster, small.name).await?, data::connect(cluster, big.name).await?);
    for client in [&few, &many] {
        // The plan that a prepared statement ends with, whatever the values; small costs are no matter here.
        client.batch_execute("SET plan_cache_mode = force_generic_plan; SET jit = off").await?;
    }
    let sizes = sizes(&many).await?;
    for (statement, access) in &statements {
        let (who, params, is_bound) = match access {
            Access::Small => continue,
            Access::Whole(reason) => {
                let _ = writeln!(report.table, "| {} | – | – | {reason} |", statement.name);
                continue;
            }
            Access::Page(who, params) => (*who, *params, true),
            Access::Own(who, params, _) => (*who, *params, false),
        };
        let a = explain(&few, small, statement, who, params).await?;
        let b = explain(&many, big, statement, who, params).await?;
        for table in b.scanned.iter().filter(|table| sizes.get(*table).is_some_and(|rows| *rows > BIG_ROWS)) {
            report.wrong.push(format!("{} on PostgreSQL reads all of {table}", statement.name));
        }
        if let (Some(a), Some(b)) = (a.blocks, b.blocks)
            && is_bound
            && b > a + a / 2 + SLACK_BLOCKS
        {
            report.wrong.push(format!(
                "{} on PostgreSQL touches {a} blocks of the small table and {b} of the big one",
                statement.name
            ));
        }
        let shown = |blocks: Option<u64>| blocks.map_or_else(|| "–".to_owned(), |blocks| blocks.to_string());
        let note = if let Access::Own(_, _, note) = access { *note } else { "by index" };
        let _ = writeln!(report.table, "| {} | {} | {} | {note} |", statement.name, shown(a.blocks), shown(b.blocks));
    }
    let path = sqlite.to_owned();
    let wrong = tokio::task::spawn_blocking(move || on_sqlite(&path, &statements)).await??;
    report.wrong.extend(wrong);
    Ok(report)
}

/// The store's statements with their places in the list; one without a place is wrong, and so is a place without one.
fn known(report: &mut Report) -> Vec<(&'static Statement, &'static Access)> {
    let places: BTreeMap<&str, &Access> = LIST.iter().map(|(name, access)| (*name, access)).collect();
    let every = store::every_statement();
    for (name, _) in LIST.iter().filter(|(name, _)| !every.iter().any(|s| s.name == *name)) {
        report.wrong.push(format!("{name} stands in the list of plans and is no statement of the store"));
    }
    let mut found = Vec::new();
    for statement in every {
        match places.get(statement.name) {
            Some(access) => found.push((statement, *access)),
            None => report.wrong.push(format!("{} has no place in the list of plans", statement.name)),
        }
    }
    found
}

/// What a plan does.
#[derive(Debug)]
struct Plan {
    /// Tables that are read whole.
    scanned: Vec<String>,
    /// Blocks touched; none of a statement that writes, which is planned and not run.
    blocks: Option<u64>,
}

async fn explain(client: &Client, size: Size, statement: &Statement, who: Who, params: &[&str]) -> Result<Plan> {
    let fail = |e: tokio_postgres::Error| Error::Tool(format!("{}: {e:?}", statement.name));
    let role = if who == Who::Service { "app_service" } else { "app_user" };
    let number = size.tasks / 2 / 10 * 10;
    let (me, task) = match who {
        Who::Person | Who::Service => (data::creator(number), data::task(number)),
        Who::Agent => (data::agent(), data::task(number)),
        Who::Admin => (data::admin(), data::task(number)),
    };
    let me_text = if who == Who::Service { String::new() } else { me.to_string() };
    client
        .batch_execute(&format!(
            "BEGIN; SELECT set_config('role', '{role}', true), set_config('app.current_user_id', '{me_text}', true)"
        ))
        .await?;
    let values: Vec<String> =
        params.iter().map(|p| p.replace("{me}", &me.to_string()).replace("{task}", &task.to_string())).collect();
    let values = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    let options = if statement.writes() { "FORMAT JSON" } else { "ANALYZE, BUFFERS, FORMAT JSON" };
    client.batch_execute(&format!("PREPARE looked_at AS {}", statement.postgres())).await.map_err(fail)?;
    let ask = format!("EXPLAIN ({options}) EXECUTE looked_at{values}");
    // Once to warm what the session remembers of the catalogue, which would count as blocks.
    client.simple_query(&ask).await.map_err(fail)?;
    let said = client.simple_query(&ask).await.map_err(fail)?;
    client.batch_execute("ROLLBACK; DEALLOCATE looked_at").await?;
    let text: String = said
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect();
    let plan: Json = serde_json::from_str(&text)?;
    let top = &plan[0]["Plan"];
    let mut scanned = Vec::new();
    scans(top, &mut scanned);
    let blocks =
        top["Shared Hit Blocks"].as_u64().zip(top["Shared Read Blocks"].as_u64()).map(|(hit, read)| hit + read);
    Ok(Plan { scanned, blocks })
}

/// Tables that a plan reads whole; a part that was never begun is none of its cost.
fn scans(node: &Json, found: &mut Vec<String>) {
    let never = node["Actual Loops"].as_u64() == Some(0);
    if node["Node Type"] == "Seq Scan"
        && !never
        && let Some(table) = node["Relation Name"].as_str()
    {
        found.push(table.to_owned());
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        scans(child, found);
    }
}

/// Rows of each table, as the planner knows.
async fn sizes(client: &Client) -> Result<BTreeMap<String, f32>> {
    let rows = client
        .query("SELECT relname::text, reltuples FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'", &[])
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The plans on SQLite: what is read whole there.
fn on_sqlite(path: &Path, statements: &[(&Statement, &Access)]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let direct = connection(path, &Actor::user(data::user(7)), Use::Write)?;
    for (statement, access) in statements {
        if matches!(access, Access::Small | Access::Whole(_)) {
            continue;
        }
        let mut plan = direct.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sqlite()))?;
        let count = plan.parameter_count();
        let nothing = rusqlite::params_from_iter((0..count).map(|_| rusqlite::types::Null));
        let lines: Vec<String> = plan.query_map(nothing, |row| row.get("detail"))?.collect::<rusqlite::Result<_>>()?;
        for line in lines.iter().filter(|line| reads_whole(line)) {
            let excused = list::ON_SQLITE.iter().any(|(name, part, _)| *name == statement.name && line.contains(part));
            if !excused {
                wrong.push(format!("{} on SQLite: {line}", statement.name));
            }
        }
    }
    Ok(wrong)
}

/// `SCAN x` reads a table; a walk along an index that ends with the page, a JSON list, a constant or a result is none.
fn reads_whole(line: &str) -> bool {
    let harmless = ["USING", "CONSTANT", "VIRTUAL TABLE", "json_each"];
    let results = [
        "made",
        "assigned",
        "others",
        "seen",
        "whole",
        "brought",
        "asked",
        "waited",
        "own",
        "everybodys",
        "seen_tasks",
        "shown",
    ];
    line.strip_prefix("SCAN ").is_some_and(|rest| {
        !harmless.iter().any(|word| rest.contains(word)) && !results.contains(&rest) && !rest.starts_with('(')
    })
}

/// The error of a report that found something wrong.
pub(crate) fn verdict(report: &Report) -> Result<()> {
    if report.wrong.is_empty() { Ok(()) } else { Err(Error::Plans(report.wrong.len())) }
}

#[cfg(test)]
mod tests {
    use super::{Report, known, reads_whole, scans};

    #[test]
    fn every_statement_has_its_place() {
        let mut report = Report::default();
        known(&mut report);
        assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
    }

    #[test]
    fn what_reads_whole_is_found() {
        assert!(reads_whole("SCAN tasks"));
        assert!(!reads_whole("SCAN tasks USING INDEX idx_tasks_created_at"));
        assert!(!reads_whole("SEARCH tasks USING INDEX idx_tasks_created_by_newest (created_by=?)"));
        let plan = serde_json::json!({ "Node Type": "Append", "Plans": [
            { "Node Type": "Seq Scan", "Relation Name": "tasks" },
            { "Node Type": "Seq Scan", "Relation Name": "never", "Actual Loops": 0 },
        ] });
        let mut found = Vec::new();
        scans(&plan, &mut found);
        assert_eq!(found, ["tasks"]);
    }
}
