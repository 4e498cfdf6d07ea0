//! Bank statements: each export that lies in a folder, its new rows, and the sums of the months.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use outside::{
    Trouble,
    statement::{self, Format, Month, Row, money},
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Ask, Found, Item, Source, settings};

const STATEMENT_BYTES: u64 = 32 * 1024 * 1024;
/// Statements in the folder.
const MOST_FILES: usize = 500;
/// Rows that one task carries in full; of the others it has the sums.
const LISTED_ROWS: usize = 200;
/// Rows that one task stands for.
const MOST_ROWS: usize = 5000;
/// A file that changed more recently is still being written.
const SETTLED: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Per {
    /// One task for the new rows of a statement.
    #[default]
    Statement,
    /// One for each row.
    Row,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// A file, or a folder whose `*.csv` are statements.
    path: PathBuf,
    #[serde(default)]
    per: Per,
    format: Format,
}

pub(super) struct Statements {
    path: PathBuf,
    per: Per,
    format: Format,
}

impl Statements {
    pub(super) fn open(own: Json) -> Result<Self, Trouble> {
        let s: Settings = settings::read(own)?;
        s.format.check()?;
        let path = match (s.path.strip_prefix("~"), std::env::home_dir()) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => s.path,
        };
        if !path.is_absolute() {
            return Err(Trouble::lasting("path must be a whole path, such as ~/bank"));
        }
        Ok(Self { path, per: s.per, format: s.format })
    }
}

/// What was read of the files: `name` to `size:mtime`, and the sums so far.
#[derive(Debug, Clone, Default, serde::Serialize, Deserialize)]
struct State {
    files: BTreeMap<String, String>,
    months: BTreeMap<String, [i64; 3]>,
}

/// One statement that is new or has changed.
struct Changed {
    name: String,
    print: String,
    rows: Vec<Row>,
}

/// Blocking.
fn changed(path: &Path, format: &Format, known: &BTreeMap<String, String>) -> Result<Option<Changed>, Trouble> {
    let failed =
        |p: &Path, e: &std::io::Error| Trouble::lasting(format!("{} can't be read ({e}); check the path", p.display()));
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(|e| failed(path, &e))?.take(MOST_FILES * 4) {
            let entry = entry.map_err(|e| failed(path, &e))?;
            let is_statement = entry.path().extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
            if is_statement && entry.file_type().is_ok_and(|t| t.is_file()) {
                files.push(entry.path());
            }
        }
        files.sort();
        files.truncate(MOST_FILES);
    } else {
        files.push(path.to_owned());
    }
    for file in files {
        let about = std::fs::metadata(&file).map_err(|e| failed(&file, &e))?;
        let modified = about.modified().map_err(|e| failed(&file, &e))?;
        let stands = SystemTime::now().duration_since(modified).is_ok_and(|d| d >= SETTLED);
        let at = Timestamp::try_from(modified).unwrap_or(Timestamp::UNIX_EPOCH);
        let (name, print) = (file.display().to_string(), format!("{}:{at}", about.len()));
        if !stands || known.get(&name) == Some(&print) {
            continue;
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&file)
            .and_then(|f| f.take(STATEMENT_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|e| failed(&file, &e))?;
        if bytes.len() as u64 > STATEMENT_BYTES {
            return Err(Trouble::lasting(format!("{name} is larger than {STATEMENT_BYTES} bytes; split it")));
        }
        let rows =
            statement::parse(&bytes, format).map_err(|t| Trouble { message: format!("{name}: {}", t.message), ..t })?;
        return Ok(Some(Changed { name, print, rows }));
    }
    Ok(None)
}

impl Statements {
    async fn at(&self, ask: Ask<'_>) -> Result<Found, Trouble> {
        let state: State = ask.state.and_then(|s| serde_json::from_value(s.clone()).ok()).unwrap_or_default();
        let (path, format, known) = (self.path.clone(), self.format.clone(), state.files.clone());
        let found = tokio::task::spawn_blocking(move || changed(&path, &format, &known)).await;
        let Some(changed) = found.map_err(|e| Trouble::passing(e.to_string()))?? else {
            return Ok(Found { state: json!(state), ..Found::default() });
        };
        let fresh = match ask.known {
            Some(known) => known.without(changed.rows.iter().map(|r| r.key.clone()).collect()).await?,
            None => changed.rows.iter().map(|r| r.key.clone()).collect(),
        };
        let rows: Vec<&Row> = changed.rows.iter().filter(|r| fresh.contains(&r.key)).collect();
        let mut after = state;
        let mut items = Vec::new();
        let chunk = if self.per == Per::Row { 1 } else { MOST_ROWS };
        for part in rows.chunks(chunk) {
            add(&mut after.months, part);
            items.push(self.item(&changed.name, part, &after));
        }
        // Read to its end only now: what follows a crash looks at the same statement again, and knows its first rows.
        after.files.insert(changed.name, changed.print);
        while after.files.len() > MOST_FILES {
            after.files.pop_first();
        }
        Ok(Found { items, state: json!(after), more: true, ..Found::default() })
    }

    fn item(&self, name: &str, rows: &[&Row], after: &State) -> Item {
        let sum: i64 = rows.iter().map(|r| r.cents).sum();
        let file = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let months: Json = after
            .months
            .iter()
            .rev()
            .take(24)
            .map(|(m, [n, i, o])| {
                (m.clone(), json!({ "rows": n, "in": money(*i), "out": money(*o), "balance": money(i + o) }))
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        let (title, parts) = match (self.per, rows) {
            (Per::Row, [row]) => (
                format!("{} {} {}", row.date, row.amount, if row.payee.is_empty() { &row.text } else { &row.payee }),
                Vec::new(),
            ),
            _ => (
                format!("{} new rows in {file} ({})", rows.len(), money(sum)),
                rows.iter().map(|r| r.key.clone()).collect(),
            ),
        };
        let key = match (self.per, rows) {
            (Per::Row, [row]) => row.key.clone(),
            _ => format!(
                "rows:{}",
                domain::playbook::sha256_hex(&rows.iter().map(|r| r.key.as_str()).collect::<Vec<_>>().join("\n"))
            ),
        };
        Item {
            key,
            source: name.to_owned(),
            title,
            event: json!({
                "kind": "statement", "file": file, "path": name, "count": rows.len(), "sum": money(sum),
                "rows": rows.iter().take(LISTED_ROWS).collect::<Vec<_>>(), "months": months,
            }),
            detail: json!({ "path": name }),
            parts,
            state: Some(json!(after)),
            ..Item::default()
        }
    }
}

fn add(months: &mut BTreeMap<String, [i64; 3]>, rows: &[&Row]) {
    let mut sums: BTreeMap<String, Month> = BTreeMap::new();
    statement::add_months(&mut sums, rows.iter().copied());
    for (name, month) in sums {
        let entry = months.entry(name).or_default();
        entry[0] += i64::try_from(month.rows).unwrap_or(i64::MAX);
        entry[1] = entry[1].saturating_add(month.in_cents);
        entry[2] = entry[2].saturating_add(month.out_cents);
    }
}

impl Source for Statements {
    fn look<'a>(&'a mut self, ask: Ask<'a>) -> BoxFuture<'a, Result<Found, Trouble>> {
        Box::pin(self.at(ask))
    }
    fn every_s(&self) -> u64 {
        30
    }
}
