//! The results as a Markdown table, with the machine they were taken on.

use std::{fmt::Write as _, path::Path, time::Duration};

use crate::{
    error::Result,
    measure::{Aim, Line, Plan, Series},
};

/// The machine and the versions.
pub(crate) fn machine(postgres: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)).map(|v| v.trim_start_matches([' ', '\t', ':']).to_owned())
    };
    let processor = value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory_kib: u64 = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|v| v.split(' ').next().and_then(|n| n.parse().ok()))
        .unwrap_or_default();
    let system = value(&read("/etc/os-release"), "PRETTY_NAME=").unwrap_or_default();
    format!(
        "{processor}, {cores} cores, {} GiB of memory, {}; PostgreSQL {postgres}, SQLite {}",
        memory_kib / 1024 / 1024,
        system.trim_matches('"'),
        rusqlite::version()
    )
}

/// Writes what was measured.
pub(crate) fn write(path: &Path, head: &Head<'_>, lines: &[Line], plans: &str) -> Result<()> {
    let mut text = format!(
        "# Figures\n\nTaken {} by `{}` in {} s, on {}.\n\nBoth sides ran in turn in {} rounds of {} s; shown is the median with the \
         smallest and the greatest in brackets. The ratio is Steward's median divided by the limit's. Clients and servers share \
         the cores.\n\n",
        head.taken,
        head.command,
        head.took.as_secs(),
        head.machine,
        head.plan.rounds,
        head.plan.seconds
    );
    text += "| work | Steward | the limit | limit | ratio | aim | met |\n|---|---|---|---|---|---|---|\n";
    for line in lines {
        let ratio = line.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        let (aim, met) = (aim(line), line.is_met().map_or("–", |met| if met { "yes" } else { "**no**" }));
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {ratio} | {aim} | {met} |",
            line.work,
            series(&line.ours, line.unit),
            if line.against.is_empty() { "–" } else { line.against },
            if line.limit.0.is_empty() { "–".to_owned() } else { series(&line.limit, line.unit) },
        );
    }
    if !plans.is_empty() {
        text += "\n## Plans\n\n";
        text += plans;
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)?;
    Ok(())
}

/// What stands above the table.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) taken: String,
    pub(crate) command: String,
    pub(crate) took: Duration,
    pub(crate) machine: &'a str,
    pub(crate) plan: Plan,
}

/// One row for who waits and watches.
pub(crate) fn say(line: &Line) {
    let ratio = line.ratio().map_or_else(String::new, |ratio| format!(" = {ratio:.2}"));
    let met = line.is_met().map_or("", |met| if met { ": met" } else { ": NOT met" });
    let against = if line.limit.0.is_empty() {
        String::new()
    } else {
        format!(" / {} ({})", series(&line.limit, ""), line.against)
    };
    println!("{}: {}{against}{ratio}, aim {}{met}", line.work, series(&line.ours, line.unit), aim(line));
}

fn aim(line: &Line) -> String {
    match line.aim {
        Aim::AtLeast(aim) => format!("≥ {aim}"),
        Aim::AtMost(aim) => format!("≤ {aim}"),
        Aim::Under(aim) => format!("< {aim} {}", line.unit),
        Aim::Shown => "–".to_owned(),
    }
}

fn series(series: &Series, unit: &str) -> String {
    let (least, most) = series.spread();
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    if series.0.len() < 2 {
        return format!("{}{unit}", figure(series.median()));
    }
    format!("{}{unit} ({}–{})", figure(series.median()), figure(least), figure(most))
}

/// Three digits that say something.
fn figure(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::series;
    use crate::measure::Series;

    #[test]
    fn figures_are_short() {
        assert_eq!(series(&Series(vec![1234.5, 12.34, 1.234]), "µs"), "12.3 µs (1.23–1234)");
        assert_eq!(series(&Series(vec![2.0]), ""), "2.00");
    }
}
