//! `steward doctor`: looks at everything Steward stands on, and says how to mend what is wrong.

use std::os::unix::fs::PermissionsExt;

use serde::Serialize;
use store::{mcp_servers, migrate, watchers};

use super::{Context, Json, blocking, db::count, health};
use crate::{Error, Result, config::Config, output};

/// What `doctor` answers in.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    json: Json,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    /// `well`, `note` or `wrong`.
    state: &'static str,
    said: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn well(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push(Finding { what, state: "well", said: said.into() });
    }
    fn note(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push(Finding { what, state: "note", said: said.into() });
    }
    fn wrong(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push(Finding { what, state: "wrong", said: said.into() });
    }
}

pub(super) async fn run(config: Config, acting_as: Option<&str>, args: Args) -> Result<()> {
    let mut findings = Findings::default();
    let on_disk = config.clone();
    findings.0.extend(blocking(move || Ok(disk(&on_disk).0)).await?);
    if config.redis_url.is_some() {
        findings.note("redis", "redis_url is set, but sessions are read from the database and the cache is in the process; nothing connects to it");
    }
    if health::desk_answers(&config).await {
        findings.well("desk", format!("answers at http://{}", config.listen));
    } else {
        findings.note("desk", format!("does not answer at http://{}; start it with: steward", config.listen));
    }
    database(config, acting_as, &mut findings).await;
    let wrong = findings.0.iter().filter(|f| f.state == "wrong").count();
    output::list(args.json.json, &findings.0, "nothing was looked at", &["what", "state", "more"], |f| {
        vec![f.what.to_owned(), f.state.to_owned(), f.said.clone()]
    })?;
    if wrong == 0 { Ok(()) } else { Err(Error::refused(format!("{} to mend; see above", count(wrong, "thing")))) }
}

/// Folder, key and playbooks. Blocking.
fn disk(config: &Config) -> Findings {
    let mut findings = Findings::default();
    let dir = &config.data_dir;
    if dir.exists() {
        match config.ensure_data_dir() {
            Ok(()) => findings.well("data folder", dir.display().to_string()),
            Err(e) => findings.wrong("data folder", e.line()),
        }
        private(&mut findings, "data folder", dir);
    } else {
        findings.note("data folder", format!("{} is not there yet; steward makes it", dir.display()));
    }
    let key = &config.master_key_file;
    if key.exists() {
        match config.vault() {
            Ok(_) => {
                findings.well("master key", format!("{}; keep a copy of it apart from your backups", key.display()));
            }
            Err(e) => findings.wrong("master key", e.line()),
        }
        private(&mut findings, "master key", key);
    } else if config.attachments_dir().exists() {
        findings.wrong(
            "master key",
            format!(
                "{} is gone, and files are sealed with it; restore it from your backup before you start Steward",
                key.display()
            ),
        );
    } else {
        findings.note("master key", format!("{} is not there yet; steward makes it", key.display()));
    }
    for entry in workers::library::Library::open(&config.playbooks_dir()).names() {
        if let Some(error) = entry.errors.first() {
            findings.wrong("playbook", format!("{}: {error}", entry.origin));
        }
    }
    findings
}

fn private(findings: &mut Findings, what: &'static str, path: &std::path::Path) {
    let Ok(meta) = std::fs::metadata(path) else { return };
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.wrong(
            what,
            format!("others on this machine may open {0} (mode {mode:o}); mend it with: chmod go= {0}", path.display()),
        );
    }
}

async fn database(config: Config, acting_as: Option<&str>, findings: &mut Findings) {
    let described = config.database.describe();
    match migrate::status(&config.database).await {
        Ok(status) if status.pending.is_empty() => {
            findings.well("database", format!("{described} ({})", status.version));
        }
        Ok(status) if status.applied.is_empty() => {
            return findings
                .note("database", format!("{described} is empty; start Steward, or run: steward db migrate"));
        }
        Ok(status) => {
            return findings.wrong(
                "database",
                format!("{described} lacks {}; run: steward db migrate", count(status.pending.len(), "migration")),
            );
        }
        Err(e) => return findings.wrong("database", Error::from(e).line()),
    }
    let ctx = match Context::open(config, acting_as).await {
        Ok(ctx) => ctx,
        Err(e) => return findings.note("you", e.line()),
    };
    findings.well("you", format!("{} ({})", ctx.user.username, ctx.user.role));
    if let Err(e) = parts(&ctx, findings).await {
        findings.wrong("database", Error::from(e).line());
    }
    ctx.close().await;
}

async fn parts(ctx: &Context, findings: &mut Findings) -> store::Result<()> {
    for server in mcp_servers::list(&ctx.actor, &ctx.store).await? {
        if server.is_active && server.status == "error" {
            findings.wrong("server", format!("{0} fails; see: steward logs --module server:{0}", server.name));
        }
        let tools = mcp_servers::tools(&ctx.actor, &ctx.store, server.id).await?;
        let waiting = tools.iter().filter(|t| t.is_offered && !t.is_usable()).count();
        if waiting > 0 {
            findings.note(
                "server",
                format!(
                    "{0} offers {1} that wait to be approved; see: steward server tools {0}",
                    server.name,
                    count(waiting, "tool")
                ),
            );
        }
    }
    for watcher in watchers::list(&ctx.actor, &ctx.store).await? {
        if watcher.is_active && watcher.error_count > 0 {
            findings.wrong("watcher", format!("{}: {}", watcher.name, watcher.last_error.unwrap_or_default()));
        }
    }
    Ok(())
}
