//! `steward audit`: who changed what, and the proof that nothing was altered.

use std::path::PathBuf;

use domain::ids::Beginning;
use jiff::Timestamp;
use store::beginnings::{KINDS, Kind};
use uuid::Uuid;

use super::{Json, Limit, Place, audit_export, db::count, ids::only};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Changes, newest first
    List {
        /// Only of this kind: task, approval, user, mcp_server …
        #[arg(long, value_name = "KIND")]
        entity: Option<String>,
        /// Only of this thing
        #[arg(long, value_name = "ID")]
        id: Option<Beginning>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        json: Json,
    },
    /// Check the whole chain of hashes, or an exported file; exit 1 if anything was altered
    Verify(Verify),
    /// Write the trail into a signed, compressed file that proves itself
    Export(Export),
    /// Show the public key that exports are signed for
    Key,
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// A head that was kept elsewhere: it must stand in the chain
    #[arg(long, value_name = "HASH", value_parser = parse_head, conflicts_with = "file")]
    head: Option<String>,
    /// Check this exported file instead; it needs no database
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// The public key the file must be signed for (see: steward audit key)
    #[arg(long, value_name = "PUBLIC", value_parser = parse_hash, requires = "file")]
    key: Option<String>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Where to write; without it to the standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// From this position of the chain on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..), conflicts_with_all = ["since", "before"])]
    pub(super) from: Option<i64>,
    /// Up to this position of the chain
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..), conflicts_with_all = ["since", "before"])]
    pub(super) to: Option<i64>,
    /// From this time on: 2026-12-24T15:00:00Z
    #[arg(long, value_name = "TIME", value_parser = super::logs::moment)]
    pub(super) since: Option<Timestamp>,
    /// Before this time: 2026-12-24T15:00:00Z
    #[arg(long, value_name = "TIME", value_parser = super::logs::moment)]
    pub(super) before: Option<Timestamp>,
}

/// Hashes and public keys are 32 bytes.
fn parse_hash(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err("write 64 hexadecimal digits".to_owned()) }
}

/// An empty chain has zeros for its head, and every chain follows it.
fn parse_head(text: &str) -> Result<String, String> {
    let head = parse_hash(text)?;
    if head.bytes().all(|b| b == b'0') {
        return Err("zeros are the head of an empty trail and prove nothing; keep the head that verify prints once there are changes".to_owned());
    }
    Ok(head)
}

/// The id that was typed, of a thing of this kind or, where none is said, of any that people type ids of.
async fn of_anything(place: &Place, kind: Option<&str>, typed: &Beginning) -> Result<Uuid> {
    if let Some(id) = typed.whole() {
        return Ok(id);
    }
    let mut found = Vec::new();
    for kind in KINDS.iter().filter(|word| kind.is_none_or(|kind| kind == **word)).filter_map(|word| Kind::of(word)) {
        found.extend(place.begun(kind, typed).await?);
    }
    if found.is_empty() && kind.is_some_and(|kind| !KINDS.contains(&kind)) {
        return Err(Error::refused(format!(
            "say the whole id of a {}: it is in every list with --json",
            kind.unwrap_or_default()
        )));
    }
    only("task, approval, file or fact", typed, &found)
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::List { entity, id, limit, json } => {
            let id = match id {
                Some(typed) => Some(of_anything(place, entity.as_deref(), &typed).await?),
                None => None,
            };
            let found = place.audit(entity.as_deref(), id, limit.limit).await?;
            let names = place.names(found.iter().map(|r| r.user_id)).await?;
            limit.note(found.len());
            output::list(json.json, &found, "no such changes", &["when", "who", "what", "of", "from", "to"], |r| {
                vec![
                    output::time(r.created_at),
                    if r.user_id.is_some() { names.of(r.user_id) } else { "Steward".to_owned() },
                    r.action.clone(),
                    r.entity_id.map(|id| id.to_string()).unwrap_or_default(),
                    brief(r.old_values.as_ref()),
                    brief(r.new_values.as_ref()),
                ]
            })
        }
        Command::Verify(args) => match args.file {
            Some(_) => verify_file(args).await,
            None => verify(place, args.head.as_deref(), args.json.json).await,
        },
        Command::Export(args) => audit_export::export(place.here()?, args).await,
        Command::Key => output::line(audit_export::signing_key(place.here()?).await?.public_hex()),
    }
}

/// Values in one line that fits beside others; `--json` shows them whole.
fn brief(values: Option<&serde_json::Value>) -> String {
    const LONGEST: usize = 100;
    let text = values.map(ToString::to_string).unwrap_or_default();
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain("…".chars()).collect() }
}

async fn verify(place: &Place, head: Option<&str>, json: bool) -> Result<()> {
    let report = place.verify_audit(head).await?;
    if json {
        output::json(&report)?;
    }
    if let Some(broken) = report.broken {
        return Err(Error::refused(format!("the audit trail was altered: {broken}; compare it with a backup")));
    }
    if json {
        return Ok(());
    }
    output::line(format!(
        "The chain of {} is whole; its head is {}{}.",
        count(usize::try_from(report.links).unwrap_or(0), "change"),
        report.head,
        report.head_at.map(|at| format!(" of {at}")).unwrap_or_default()
    ))?;
    report
        .anchored_at
        .map_or(Ok(()), |position| output::line(format!("The head you kept stands at position {position}.")))
}

/// Checks a file; without a database.
pub(super) async fn verify_file(args: Verify) -> Result<()> {
    let Verify { file, key, json, .. } = args;
    let file = file.ok_or_else(|| Error::refused("name the file with --file"))?;
    let trusted = key.is_some();
    let checked = audit_export::check(file, key).await?;
    if json.json {
        output::json(&checked)?;
    }
    if let Some(broken) = checked.broken {
        return Err(Error::refused(format!("the file was altered: {broken}; export it again")));
    }
    if json.json {
        return Ok(());
    }
    let summary = checked.summary;
    output::line(format!(
        "The file of {} (positions {} to {}) is whole; its head is {}, signed for {}.",
        count(usize::try_from(summary.count).unwrap_or(0), "change"),
        summary.header.from_position,
        summary.header.to_position,
        summary.head,
        summary.header.public_key
    ))?;
    if !trusted {
        output::note("the key was taken from the file itself; to know who made it, name the key you trust with --key");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_hash;

    #[test]
    fn a_hash_is_64_digits() {
        assert_eq!(parse_hash(&"A".repeat(64)).unwrap(), "a".repeat(64));
        for bad in ["", "a", &"g".repeat(64), &"a".repeat(65)] {
            assert!(parse_hash(bad).is_err(), "{bad}");
        }
    }
}
