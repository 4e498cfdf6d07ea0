//! Looking for damage: the engine's own checks, what no constraint holds, the audit chain, the log's months, the schema.
//!
//! It changes nothing and blocks nobody. What could not be looked at is said, never passed over in silence.

mod files;
mod postgres;
mod rows;
mod sqlite;

pub use self::files::{DAMAGED_FILES, ROWS_WITHOUT_FILE};
use crate::{Actor, Config, Error, Result, Store, Target, Vault, audit_trail, log_keeping, migrate, schedules};

/// Findings told of one check at most; more are counted.
pub const MOST: usize = 100;
/// Months of the log that must be there: this one and as many ahead.
const MONTHS_AHEAD: i32 = 3;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Which check found it.
    pub check: &'static str,
    /// Where: a table and row, an index, a file.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// `well`, `wrong` or `left out`.
    pub state: &'static str,
    /// What was looked at, what was found, or why it was left out.
    pub said: String,
}

/// All that was looked at.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// In the order in which it was done.
    pub checks: Vec<Check>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Told what is looked at next.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// What a check found: places with what is wrong there, or why it was left out.
pub(crate) enum Outcome {
    Looked(Vec<(String, String)>),
    LeftOut(String),
}

/// The checks so far.
pub(crate) struct Looking<'a> {
    report: Report,
    progress: Progress<'a>,
}

impl Looking<'_> {
    pub(crate) fn begin(&self, name: &str) {
        (self.progress)(name);
    }

    pub(crate) fn note(&mut self, name: &'static str, remedy: &'static str, outcome: Outcome) {
        let (state, said) = match outcome {
            Outcome::LeftOut(why) => ("left out", why),
            Outcome::Looked(found) if found.is_empty() => ("well", String::new()),
            Outcome::Looked(found) => {
                let count = found.len();
                let shown = found.into_iter().take(MOST);
                self.report.findings.extend(shown.map(|(place, what)| Finding { check: name, place, what, remedy }));
                let more = if count > MOST { format!(" or more; {MOST} are shown") } else { String::new() };
                ("wrong", format!("{} found{more}", count.min(MOST)))
            }
        };
        self.report.checks.push(Check { name, state, said });
    }
}

/// Looks at everything. `vault` is none where there are no attachments to look at. An error means that the database could
/// not be asked; damage is a finding.
pub async fn run(config: &Config, store: &Store, vault: Option<&Vault>, progress: Progress<'_>) -> Result<Report> {
    let mut looking = Looking { report: Report::default(), progress };
    schema(config, &mut looking).await?;
    match &config.target {
        Target::Postgres(_) => postgres::look(config, &mut looking).await?,
        Target::Sqlite(path) => {
            let path = path.clone();
            looking.begin("pages, rows and constraints");
            let done = tokio::task::spawn_blocking(move || sqlite::look(&path)).await;
            for (name, remedy, outcome) in done.map_err(|e| Error::Unavailable(e.to_string()))?? {
                looking.note(name, remedy, outcome);
            }
        }
    }
    looking.begin("log partitions");
    partitions(config, store, &mut looking).await?;
    looking.begin("attachments");
    files::look(store, vault, &mut looking).await?;
    looking.begin("audit chain");
    let chain = audit_trail::verify(&Actor::service(), store).await?;
    let broken = chain.broken.map(|what| ("audit_trail".to_owned(), what.to_string())).into_iter().collect();
    looking.note(
        "audit chain",
        "keep the database as it is, compare it with a backup or an export (steward audit export), and find out who could write to it",
        Outcome::Looked(broken),
    );
    Ok(looking.report)
}

/// Migrations in sequence with the texts of this program, and a live schema that is what they make.
async fn schema(config: &Config, looking: &mut Looking<'_>) -> Result<()> {
    const MIGRATIONS: &str = "migrations";
    const DRIFT: &str = "schema";
    let remedy = "bring the schema up to date (steward db migrate); where a migration has another text, use the Steward that made this database";
    looking.begin(MIGRATIONS);
    let mut wrong = Vec::new();
    match migrate::status(config).await {
        Ok(status) => {
            wrong.extend(status.pending.iter().map(|name| (name.clone(), "is not applied".to_owned())));
            for (place, applied) in (1..).zip(&status.applied) {
                if applied.version != place {
                    let what = format!("stands at place {place} of the sequence");
                    wrong.push((format!("{} {}", applied.version, applied.name), what));
                    break;
                }
            }
        }
        Err(Error::Schema(what)) => wrong.push(("schema_migrations".to_owned(), what)),
        Err(e) => return Err(e),
    }
    looking.note(MIGRATIONS, remedy, Outcome::Looked(wrong));
    looking.begin(DRIFT);
    let outcome = match migrate::drift(config).await {
        Ok(lines) => Outcome::Looked(lines.into_iter().map(|line| ("schema".to_owned(), line)).collect()),
        // What is wrong with the migrations is told above.
        Err(Error::Refused { what } | Error::Schema(what)) => Outcome::LeftOut(what),
        Err(e) => return Err(e),
    };
    looking.note(DRIFT, "undo what was changed by hand, or restore a backup; see: steward db drift", outcome);
    Ok(())
}

/// The log's months: this one and three ahead without a gap, and nothing in the DEFAULT partition.
async fn partitions(config: &Config, store: &Store, looking: &mut Looking<'_>) -> Result<()> {
    const NAME: &str = "log partitions";
    let remedy = "run the job that makes months and drains the DEFAULT partition (steward schedule run log-partitions), and see why it did not: steward schedule list";
    if matches!(config.target, Target::Sqlite(_)) {
        looking.note(NAME, remedy, Outcome::LeftOut("SQLite has none".to_owned()));
        return Ok(());
    }
    let months = log_keeping::partitions(&Actor::service(), store).await?;
    let mut wrong = Vec::new();
    let today = crate::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    for ahead in 0..=MONTHS_AHEAD {
        let Ok(month) = today.first_of_month().checked_add(jiff::Span::new().months(ahead)) else { continue };
        let name = format!("system_logs_{:04}_{:02}", month.year(), month.month());
        if !months.iter().any(|m| m.name == name && m.state == "month") {
            wrong.push((name, "this month of the log is missing; its lines go to the DEFAULT partition".to_owned()));
        }
    }
    match months.iter().find(|m| m.state == "default") {
        None => wrong.push((
            "system_logs_default".to_owned(),
            "is missing; a line whose month is missing would be refused".to_owned(),
        )),
        // A line of a month that is over may be sent at any time, and waits there for the next run of the job.
        Some(m) if m.lines > 0 && !is_drained_daily(store).await? => {
            wrong.push((
                m.name.clone(),
                format!(
                    "holds {} lines, which belong to months, and the job that drains it did not run well within a day",
                    m.lines
                ),
            ));
        }
        Some(_) => {}
    }
    looking.note(NAME, remedy, Outcome::Looked(wrong));
    Ok(())
}

/// Whether the job that makes months and drains the DEFAULT partition ended well within the last day and a bit.
async fn is_drained_daily(store: &Store) -> Result<bool> {
    let recent = crate::now() - jiff::SignedDuration::from_hours(26);
    let all = schedules::list(&Actor::service(), store).await?;
    let job = all.iter().find(|s| s.name == "log-partitions");
    Ok(job.is_some_and(|s| s.last_status.as_deref() == Some("done") && s.last_fire_at.is_some_and(|at| at > recent)))
}
