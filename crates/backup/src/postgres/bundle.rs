//! A PostgreSQL database as parts of a bundle, and back: what stood in it at one moment, and its dump.

use std::{
    io::{Read, Seek},
    path::Path,
    time::{Duration, Instant},
};

use store::{
    Config, Vault,
    backup::postgres::{Facts, Held, prepare_roles, settle},
};
use tokio_util::sync::CancellationToken;

use super::{
    dump::Dump,
    restore::{Restore, Target, contents, program},
    unusable,
    verify::{Against, Proof, prove},
};
use crate::{
    Bundle, Error, Result, Writer,
    error::{back, joined},
    files, manifest,
};

/// The part that says what stood in the database, in more words than every manifest has.
const FACTS: &str = "database/postgres.json";
/// The dump, in PostgreSQL's custom format.
const DUMP: &str = "database/dump";
/// Names of files read at once.
const PAGE: u32 = 20_000;
/// Bytes of the part that says what stood in the database, at most.
const FACTS_BYTES: u64 = 4 << 20;

/// What a restore came to.
#[derive(Debug)]
pub struct Restored {
    /// What was looked at, and how it was found.
    pub proof: Proof,
    /// Roles that were made, without log-in: whoever connects is made a member of them.
    pub roles: Vec<String>,
    /// The name under which the database is kept that stood in its place.
    pub kept_as: Option<String>,
    /// How long it took, proof included.
    pub took: Duration,
}

/// Writes the database into a bundle, as of one moment. The settings must name a role that sees every row.
pub async fn write(config: &Config, into: &mut Writer, stop: &CancellationToken) -> Result<manifest::Facts> {
    let held = Held::take(config).await?;
    let told = serde_json::to_vec(&held.facts).map_err(|e| Error::Internal(e.to_string()))?;
    into.add(FACTS, move |out| out.write_all(&told).map_err(|e| back(e, "the database's facts can't be written")))
        .await?;
    let dump = Dump::of(config, &held).await?;
    let until = stop.clone();
    into.add(DUMP, move |out| dump.write(out, &until)).await?;
    files::add_named(into, named(&held, stop).await?).await?;
    let facts = in_general(&held.facts);
    held.release().await?;
    Ok(facts)
}

/// The files that the database's rows name: each node may have a vault of its own, and lists what is in that alone.
async fn named(held: &Held, stop: &CancellationToken) -> Result<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    held.list_files().await?;
    loop {
        let page = held.files(PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        if stop.is_cancelled() {
            return Err(Error::failed("the backup was stopped"));
        }
        all.extend(page);
        if all.len() > files::MOST {
            return Err(Error::refused(format!(
                "the database names more than {} files, more than a backup lists; no backup is made of it",
                files::MOST
            )));
        }
    }
}

/// Puts a bundle's database into the one that the settings name: an empty one, or a new one. One that holds something is
/// refused unless `replace` is said; it is then kept under another name, once what was restored has proved right.
pub async fn restore(
    bundle: &Bundle,
    config: &Config,
    replace: bool,
    vault: Option<&Vault>,
    stop: &CancellationToken,
) -> Result<Restored> {
    let began = Instant::now();
    let facts = facts_of(bundle).await?;
    let program = program(facts.server_major).await?;
    let target = Target::find(config, replace).await?;
    let listing = program.clone();
    let list = bundle.read(DUMP, move |dump| contents(&listing, dump)).await?;
    let roles = prepare_roles(&target.config, &facts).await?;
    let restore = Restore::into(&target.config, &program, &list)?;
    let until = stop.clone();
    bundle.read(DUMP, move |dump| restore.read(dump, &until)).await?;
    proven(target, config, facts, vault, stop).await.map(|(proof, kept_as)| Restored {
        proof,
        roles,
        kept_as,
        took: began.elapsed(),
    })
}

/// Brings a recovered database into the one that the settings name, on the terms of [`restore`]. `room` is a folder with
/// room for a dump of it.
pub async fn pour(
    from: &Config,
    config: &Config,
    replace: bool,
    room: &Path,
    stop: &CancellationToken,
) -> Result<Restored> {
    let began = Instant::now();
    let held = Held::take(from).await?;
    let facts = held.facts.clone();
    let program = program(facts.server_major).await?;
    let target = Target::find(config, replace).await?;
    let dump = Dump::of(from, &held).await?;
    let mut file = tempfile::tempfile_in(room).map_err(|e| unusable(room, e))?;
    let (until, listing, at) = (stop.clone(), program.clone(), room.to_owned());
    let dumped = tokio::task::spawn_blocking(move || {
        dump.write(&mut file, &until)?;
        file.rewind().map_err(|e| unusable(&at, e))?;
        let list = contents(&listing, &mut file)?;
        file.rewind().map_err(|e| unusable(&at, e))?;
        Ok((file, list))
    });
    let (mut file, list) = joined(dumped.await)?;
    held.release().await?;
    let roles = prepare_roles(&target.config, &facts).await?;
    let restore = Restore::into(&target.config, &program, &list)?;
    let until = stop.clone();
    joined(tokio::task::spawn_blocking(move || restore.read(&mut file, &until)).await)?;
    proven(target, config, facts, None, stop).await.map(|(proof, kept_as)| Restored {
        proof,
        roles,
        kept_as,
        took: began.elapsed(),
    })
}

/// The end of every restore: what a dump does not carry, the proof, and only then its place.
async fn proven(
    target: Target,
    named: &Config,
    facts: Facts,
    vault: Option<&Vault>,
    stop: &CancellationToken,
) -> Result<(Proof, Option<String>)> {
    settle(&target.config).await?;
    let proof = prove(&target.config, vault, &Against::Just(facts), stop).await?;
    if !proof.wrong.is_empty() {
        return Err(Error::refused(format!(
            "what was restored into {} is not what the backup says: {}; do not use it",
            target.config.describe(),
            proof.wrong.join("; ")
        )));
    }
    let kept_as = target.put_in_place(named).await?;
    Ok((proof, kept_as))
}

/// What the bundle says stood in the database.
pub(super) async fn facts_of(bundle: &Bundle) -> Result<Facts> {
    let text = bundle
        .read(FACTS, |source| {
            let mut text = Vec::new();
            source
                .take(FACTS_BYTES)
                .read_to_end(&mut text)
                .map_err(|e| back(e, "the database's facts can't be read"))?;
            Ok(text)
        })
        .await?;
    let told = tokio::task::spawn_blocking(move || {
        serde_json::from_slice(&text).map_err(|e| Error::Damaged { part: FACTS.to_owned(), reason: e.to_string() })
    });
    joined(told.await)
}

/// The same in the words that every bundle has.
fn in_general(facts: &Facts) -> manifest::Facts {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    manifest::Facts {
        engine: "PostgreSQL".to_owned(),
        server_version: facts.server_version.clone(),
        schema_version: i32::try_from(facts.schema_version).unwrap_or(i32::MAX),
        tables: facts.counts.iter().map(|(table, rows)| (table.clone(), signed(*rows))).collect(),
        audit: manifest::AuditHead { links: signed(facts.chain_length), sha256: facts.chain_head.clone() },
        as_of: facts.at,
        log_position: None,
    }
}
