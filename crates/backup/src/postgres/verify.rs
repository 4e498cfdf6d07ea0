//! The proof after a restore: what `steward db verify` looks at, PostgreSQL's own look at every page, and the figures and
//! the audit chain's head against what the backup says of itself.

use std::time::Duration;

use store::{
    Actor, Config, Store, Vault, audit_trail,
    backup::postgres::{Facts, LibPq, facts},
    migrate, verify as looking,
};
use tokio_util::sync::CancellationToken;

use super::{
    child::{Identity, finish},
    connect::Connection,
    programs,
};
use crate::{Error, Result};

const AMCHECK: &str = "pg_amcheck";
/// How long looking at every page may take.
const AMCHECK_TIME: Duration = Duration::from_secs(24 * 3600);
/// Lines of what is wrong that are told.
const TOLD: usize = 20;

/// With what a restored database is compared.
#[derive(Debug, Clone)]
pub enum Against {
    /// It must be just this: each table's rows, and the chain's head.
    Just(Facts),
    /// It holds at least what stood at an earlier moment: its chain goes on from this head. Rows may have gone since.
    AtLeast(Facts),
    /// Nothing is known about it.
    Nothing,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Proof {
    /// What was looked at and how it was found.
    pub checks: Vec<String>,
    /// What is wrong; empty where the restored database may be used.
    pub wrong: Vec<String>,
    /// What stands in the restored database.
    pub facts: Facts,
}

/// Looks at everything. The settings must name a role that sees every row.
pub(crate) async fn prove(
    config: &Config,
    vault: Option<&Vault>,
    against: &Against,
    stop: &CancellationToken,
) -> Result<Proof> {
    let found = facts(config).await?;
    let mut proof = Proof { checks: Vec::new(), wrong: Vec::new(), facts: found };
    compare(against, &mut proof);
    // A backup of before an upgrade comes up as it would on the day.
    migrate::migrate(config).await?;
    let store = Store::open(&config.read_only()).await?;
    let looked = look(config, &store, vault, against, &mut proof).await;
    store.close().await;
    looked?;
    amcheck(config, &mut proof, stop).await?;
    Ok(proof)
}

fn compare(against: &Against, proof: &mut Proof) {
    let (wanted, exactly) = match against {
        Against::Just(facts) => (facts, true),
        Against::AtLeast(facts) => (facts, false),
        Against::Nothing => return,
    };
    let found = &proof.facts;
    if found.schema_version != wanted.schema_version && exactly {
        proof.wrong.push(format!("the schema is at {} instead of {}", found.schema_version, wanted.schema_version));
    }
    if !exactly {
        if found.chain_length < wanted.chain_length {
            proof.wrong.push(format!(
                "the audit chain has {} links; it had {} already",
                found.chain_length, wanted.chain_length
            ));
        }
        return;
    }
    for (table, rows) in &wanted.counts {
        match found.counts.get(table) {
            Some(there) if there == rows => {}
            Some(there) => proof.wrong.push(format!("{table} has {there} rows instead of {rows}")),
            None => proof.wrong.push(format!("the table {table} is missing")),
        }
    }
    if (found.chain_length, &found.chain_head) != (wanted.chain_length, &wanted.chain_head) {
        proof.wrong.push(format!(
            "the audit chain ends with link {} ({}) instead of {} ({})",
            found.chain_length, found.chain_head, wanted.chain_length, wanted.chain_head
        ));
    }
    let rows: u64 = wanted.counts.values().sum();
    proof.checks.push(format!("rows: {rows} in {} tables, as the backup says", wanted.counts.len()));
}

async fn look(
    config: &Config,
    store: &Store,
    vault: Option<&Vault>,
    against: &Against,
    proof: &mut Proof,
) -> Result<()> {
    let report = looking::run(config, store, vault, &|_| {}).await?;
    for check in &report.checks {
        proof.checks.push(format!(
            "{}: {}{}{}",
            check.name,
            check.state,
            if check.said.is_empty() { "" } else { ", " },
            check.said
        ));
    }
    for finding in report.findings {
        // What is missing of the log's months when an older moment is restored is made by the next start.
        if finding.check != "log partitions" {
            proof.wrong.push(format!("{}: {} {}", finding.check, finding.place, finding.what));
        }
    }
    if let Against::AtLeast(facts) = against {
        let chain = audit_trail::verify_against(&Actor::service(), store, Some(&facts.chain_head)).await?;
        if chain.anchored_at.is_none() {
            proof.wrong.push(format!("the head {} that the backup names is not in the audit chain", facts.chain_head));
        }
    }
    Ok(())
}

/// `pg_amcheck` over every table and index. It takes a superuser where the extension is missing; without one it is said.
async fn amcheck(config: &Config, proof: &mut Proof, stop: &CancellationToken) -> Result<()> {
    let program = programs::find(AMCHECK, proof.facts.server_major).await?;
    let connection = Connection::new(LibPq::new(config)?)?;
    let mut command = Identity::own()?.command(&program)?;
    connection.tell(&mut command);
    command
        .args(["--install-missing", "--heapallindexed", "--parent-check", "--no-password", "--jobs=2"])
        .arg(format!("--database={}", connection.database()));
    let (answer, said, status) = finish(command, AMCHECK, AMCHECK_TIME, stop).await?;
    let told = |text: &str| text.lines().take(TOLD).collect::<Vec<_>>().join("; ");
    if status.success() {
        proof.checks.push(format!("{AMCHECK}: well, every table and index"));
    } else if said.contains("permission denied to create extension") {
        proof.checks.push(format!("{AMCHECK}: left out; it takes a superuser to add the extension amcheck"));
    } else if status.code() == Some(2) {
        proof.wrong.push(format!("{AMCHECK}: {}", told(&answer)));
    } else {
        return Err(Error::failed(format!("{AMCHECK} failed ({status}): {}", told(&said))));
    }
    Ok(())
}
