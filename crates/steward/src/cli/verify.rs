//! `steward db verify`: everything that can be checked, and each thing that is wrong with what to do.

use std::io::IsTerminal;

use store::{Actor, kept_files, verify};

use super::{Json, blocking, context::open_store, db::count};
use crate::{Error, Result, config::Config, output};

pub(super) async fn run(config: Config, Json { json }: Json) -> Result<()> {
    let store = open_store(&config).await?;
    // Nothing is made just to look.
    let vault = if config.master_key_file.exists() {
        let config = config.clone();
        Some(blocking(move || config.vault()).await?)
    } else {
        None
    };
    let progress: fn(&str) = if std::io::stderr().is_terminal() { shown } else { |_: &str| {} };
    let report = verify::run(&config.database, &store, vault.as_ref(), &progress).await;
    let kept = kept_files::figures(&Actor::service(), &store).await;
    store.close().await;
    let mut report = report?;
    let files = usize::try_from(kept?.files).unwrap_or_default();
    if vault.is_none() && files > 0 {
        report.findings.push(verify::Finding {
            check: verify::ROWS_WITHOUT_FILE,
            place: config.master_key_file.display().to_string(),
            what: format!("is missing, and {} can't be opened or looked at without it", count(files, "kept file")),
            remedy: "put the master key there from where its copy is kept, or name it with master_key_file",
        });
    }
    if json {
        output::json(&report)?;
    } else {
        let rows = report.checks.iter().map(|c| vec![c.name.to_owned(), c.state.to_owned(), c.said.clone()]);
        output::line(output::table(&["check", "state", "more"], rows))?;
        for finding in &report.findings {
            output::line(format!(
                "\n{}: {}\n  {}",
                output::safe(&finding.place),
                output::safe(&finding.what),
                finding.remedy
            ))?;
        }
    }
    if report.is_well() {
        return Ok(());
    }
    Err(Error::refused(format!("{} to mend; see above", count(report.findings.len(), "thing"))))
}

/// What is looked at just now, for a person who waits.
pub(super) fn shown(what: &str) {
    output::note(format!("… {}", output::safe(what)));
}
