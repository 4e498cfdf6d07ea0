//! `steward db partitions`: the months of the log, how full they are, and what lies in no month.

use serde::Serialize;
use store::{
    Actor,
    log_keeping::{self, LogMonth},
};

use super::{Json, context::open_store};
use crate::{Result, config::Config, output};

/// What is shown.
#[derive(Debug, Serialize)]
struct Shown {
    partitions: Vec<LogMonth>,
    /// Lines whose month is missing.
    default_lines: i64,
    /// Bytes of the database's file; SQLite alone.
    file_bytes: Option<u64>,
}

pub(super) async fn run(config: &Config, Json { json }: Json) -> Result<()> {
    let store = open_store(config).await?;
    let found = log_keeping::partitions(&Actor::service(), &store).await;
    store.close().await;
    let partitions = found?;
    let default_lines = partitions.iter().filter(|m| m.state == "default").map(|m| m.lines).sum();
    let file_bytes = config.sqlite_file().and_then(|file| file.metadata().ok()).map(|found| found.len());
    let shown = Shown { partitions, default_lines, file_bytes };
    if json {
        return output::json(&shown);
    }
    let rows = shown.partitions.iter().map(|m| {
        vec![
            m.name.clone(),
            m.state.clone(),
            m.from_at.map(output::time).unwrap_or_default(),
            m.to_at.map(output::time).unwrap_or_default(),
            format!("{}{}", if m.is_exact { "" } else { "~" }, m.lines),
            m.size_bytes.and_then(|b| u64::try_from(b).ok()).map(size).unwrap_or_default(),
        ]
    });
    output::line(output::table(&["name", "state", "from", "to", "lines", "size"], rows))?;
    if let Some(bytes) = shown.file_bytes {
        output::line(format!("\nSQLite holds all months in one table; the file has {}.", size(bytes)))?;
    }
    if shown.partitions.iter().any(|m| !m.is_exact) {
        output::line("\n~ is the database's estimate; the other figures are counted.")?;
    }
    if shown.default_lines > 0 {
        output::line(format!(
            "\n{} lines lie in system_logs_default because their month is missing. Steward moves them daily (steward schedule list says when), or now with: steward schedule run log-retention\nLines from before 2000 or more than three months ahead stay there.",
            shown.default_lines
        ))?;
    }
    Ok(())
}

/// Bytes for a person.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut unit) = (bytes.div_ceil(1024), 0);
    while whole >= 10_000 && unit + 1 < UNITS.len() {
        whole = whole.div_ceil(1024);
        unit += 1;
    }
    format!("{whole} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_short() {
        for (bytes, text) in
            [(0, "0 KiB"), (1, "1 KiB"), (8_192_000, "8000 KiB"), (20 << 20, "20 MiB"), (1 << 40, "1024 GiB")]
        {
            assert_eq!(super::size(bytes), text);
        }
    }
}
