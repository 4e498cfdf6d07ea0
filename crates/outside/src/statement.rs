//! Bank statements in CSV: columns by name or number, amounts exact, and a key for each row.
//!
//! Two exports overlap, and two equal purchases on one day are two rows: a row's key is its content with its place among
//! its equals, so that the same row of a later export has the same key, and its twin another.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Result, Trouble};

/// Rows of one statement.
const MOST_ROWS: usize = 100_000;

/// Where what stands; each a column's name, or its number from 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The day.
    pub date: String,
    /// The amount; negative where money goes out.
    pub amount: Option<String>,
    /// Money out, where it has a column of its own.
    pub debit: Option<String>,
    /// Money in, where it has a column of its own.
    pub credit: Option<String>,
    /// What it was for.
    pub text: Option<String>,
    /// To or from whom.
    pub payee: Option<String>,
    /// The bank's own number of the row, where it has one: then it alone is the key.
    pub id: Option<String>,
}

/// How a statement is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// Where what stands.
    pub columns: Columns,
    /// Between columns: `,`, `;` or a tab; found out where it is left out.
    pub delimiter: Option<char>,
    /// How days are written, as in `%d.%m.%Y`.
    #[serde(default = "iso")]
    pub date_format: String,
    /// The decimal sign: `.` or `,`.
    #[serde(default = "point")]
    pub decimal: char,
    /// The encoding, as in `windows-1252`.
    #[serde(default = "utf8")]
    pub encoding: String,
    /// Lines before the one with the names.
    #[serde(default)]
    pub skip_lines: usize,
    /// Whether there is a line with names.
    #[serde(default = "yes")]
    pub header: bool,
}

fn iso() -> String {
    "%Y-%m-%d".to_owned()
}
fn point() -> char {
    '.'
}
fn utf8() -> String {
    "utf-8".to_owned()
}
fn yes() -> bool {
    true
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What makes it the same row in another export.
    pub key: String,
    /// Its line in the file.
    pub line: u64,
    /// The day.
    pub date: Date,
    /// The amount in hundredths; negative where money goes out.
    pub cents: i64,
    /// The amount, as in `-12.50`.
    pub amount: String,
    /// What it was for.
    pub text: String,
    /// To or from whom.
    pub payee: String,
}

/// What came in and went out in a month.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Month {
    /// Rows.
    pub rows: u64,
    /// In, in hundredths.
    pub in_cents: i64,
    /// Out, in hundredths; negative.
    pub out_cents: i64,
}

impl Format {
    /// Whether it can be read with.
    pub fn check(&self) -> Result<()> {
        let c = &self.columns;
        if c.amount.is_none() && c.debit.is_none() && c.credit.is_none() {
            return Err(Trouble::lasting("columns need amount, or debit and credit"));
        }
        if !matches!(self.decimal, '.' | ',') {
            return Err(Trouble::lasting("decimal must be . or ,"));
        }
        if encoding_rs::Encoding::for_label(self.encoding.as_bytes()).is_none() {
            return Err(Trouble::lasting(format!(
                "there is no encoding {:?}; utf-8 and windows-1252 are usual",
                self.encoding
            )));
        }
        Date::strptime(&self.date_format, jiff::civil::date(2026, 12, 31).strftime(&self.date_format).to_string())
            .map(drop)
            .map_err(|e| Trouble::lasting(format!("date_format {:?} does not say a day ({e})", self.date_format)))
    }
}

/// Reads a statement: its rows in the file's order. One that can't be read names its line, and nothing of it is taken.
pub fn parse(bytes: &[u8], format: &Format) -> Result<Vec<Row>> {
    format.check()?;
    let encoding = encoding_rs::Encoding::for_label(format.encoding.as_bytes()).unwrap_or(encoding_rs::UTF_8);
    let (text, _, broken) = encoding.decode(bytes);
    if broken {
        return Err(Trouble::lasting(format!("the statement is not written in {}; say its encoding", format.encoding)));
    }
    let skipped: usize = text.split_inclusive('\n').take(format.skip_lines).map(str::len).sum();
    let rest = &text[skipped..];
    let delimiter = match format.delimiter {
        Some(c) => u8::try_from(c).map_err(|_| Trouble::lasting("delimiter must be one plain character"))?,
        None => guess_delimiter(rest),
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(format.header)
        .flexible(true)
        .from_reader(rest.as_bytes());
    let names: Vec<String> = if format.header {
        reader
            .headers()
            .map_err(|e| Trouble::lasting(format!("the names of the columns can't be read: {e}")))?
            .iter()
            .map(|n| n.trim().to_owned())
            .collect()
    } else {
        Vec::new()
    };
    let columns = Found::new(&format.columns, &names)?;
    let mut twins: HashMap<String, u64> = HashMap::new();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| Trouble::lasting(format!("the statement can't be read: {e}")))?;
        if record.iter().all(|f| f.trim().is_empty()) {
            continue;
        }
        if rows.len() >= MOST_ROWS {
            return Err(Trouble::lasting(format!("the statement has more than {MOST_ROWS} rows; split it")));
        }
        let line = record.position().map_or(0, csv::Position::line) + format.skip_lines as u64;
        rows.push(
            columns
                .row(&record, line, format, &mut twins)
                .map_err(|why| Trouble::lasting(format!("line {line}: {why}")))?,
        );
    }
    Ok(rows)
}

/// Adds rows to the sums of their months (`2026-11`).
pub fn add_months<'a>(months: &mut BTreeMap<String, Month>, rows: impl IntoIterator<Item = &'a Row>) {
    for row in rows {
        let month = months.entry(format!("{:04}-{:02}", row.date.year(), row.date.month())).or_default();
        month.rows += 1;
        let side = if row.cents < 0 { &mut month.out_cents } else { &mut month.in_cents };
        *side = side.saturating_add(row.cents);
    }
}

fn guess_delimiter(text: &str) -> u8 {
    let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
    // The most frequent, `;` first: an amount may hold a comma.
    [b';', b'\t', b','].into_iter().rev().max_by_key(|d| first.bytes().filter(|b| b == d).count()).unwrap_or(b',')
}

/// The places of the columns.
struct Found {
    date: usize,
    amount: Option<usize>,
    debit: Option<usize>,
    credit: Option<usize>,
    text: Option<usize>,
    payee: Option<usize>,
    id: Option<usize>,
}

impl Found {
    fn new(columns: &Columns, names: &[String]) -> Result<Self> {
        let find = |name: &str| -> Result<usize> {
            if let Some(at) = names.iter().position(|n| n.eq_ignore_ascii_case(name.trim())) {
                return Ok(at);
            }
            match name.parse::<usize>() {
                Ok(n) if n > 0 => Ok(n - 1),
                _ => Err(Trouble::lasting(format!("there is no column {name:?}; there are: {}", names.join(", ")))),
            }
        };
        let maybe = |name: &Option<String>| name.as_deref().map(find).transpose();
        Ok(Self {
            date: find(&columns.date)?,
            amount: maybe(&columns.amount)?,
            debit: maybe(&columns.debit)?,
            credit: maybe(&columns.credit)?,
            text: maybe(&columns.text)?,
            payee: maybe(&columns.payee)?,
            id: maybe(&columns.id)?,
        })
    }

    fn row(
        &self,
        record: &csv::StringRecord,
        line: u64,
        format: &Format,
        twins: &mut HashMap<String, u64>,
    ) -> Result<Row, String> {
        let field = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or_default().trim();
        let day = field(Some(self.date));
        let date = Date::strptime(&format.date_format, day)
            .map_err(|_| format!("{day:?} is no day written as {}; correct date_format", format.date_format))?;
        let of = |at: Option<usize>| match field(at) {
            "" => Ok(None),
            text => cents(text, format.decimal).map(Some),
        };
        let cents = match (of(self.amount)?, of(self.debit)?, of(self.credit)?) {
            (Some(amount), ..) => amount,
            (None, None, None) => return Err("it has no amount".to_owned()),
            (None, debit, credit) => credit.unwrap_or(0) - debit.unwrap_or(0).abs(),
        };
        let squeezed = |at: Option<usize>| field(at).split_whitespace().collect::<Vec<_>>().join(" ");
        let (text, payee) = (squeezed(self.text), squeezed(self.payee));
        let content = match field(self.id) {
            "" => format!("{date}\n{cents}\n{text}\n{payee}"),
            id => format!("id\n{id}"),
        };
        let twin = twins.entry(content.clone()).or_default();
        *twin += 1;
        Ok(Row {
            key: hex::encode(Sha256::digest(format!("{content}\n{twin}"))),
            line,
            date,
            cents,
            amount: money(cents),
            text,
            payee,
        })
    }
}

/// `-1.234,50 €` in hundredths, exactly.
fn cents(text: &str, decimal: char) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no amount with the decimal sign {decimal}");
    let kept: String = text
        .chars()
        .filter(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '(' | ')' | '\u{2212}') || *c == decimal)
        .collect();
    let is_negative = kept.starts_with(['-', '(', '\u{2212}']) || kept.ends_with('-');
    let figures = kept.trim_matches(['-', '+', '(', ')', '\u{2212}']);
    let (whole, part) = figures.split_once(decimal).unwrap_or((figures, ""));
    let is_figures = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if figures.is_empty()
        || !is_figures(whole)
        || !is_figures(part)
        || part.len() > 2 && part[2..].bytes().any(|b| b != b'0')
    {
        return Err(wrong());
    }
    let hundredths: i64 = format!("{part:0<2}")[..2].parse().map_err(|_| wrong())?;
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let sum = whole.checked_mul(100).and_then(|w| w.checked_add(hundredths)).ok_or_else(wrong)?;
    Ok(if is_negative { -sum } else { sum })
}

/// Hundredths as people write them: `-12.50`.
pub fn money(cents: i64) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn german() -> Format {
        serde_json::from_value(serde_json::json!({
            "columns": { "date": "Buchungstag", "amount": "Betrag", "text": "Verwendungszweck", "payee": "Empfänger" },
            "date_format": "%d.%m.%Y", "decimal": ",", "encoding": "windows-1252", "skip_lines": 1,
        }))
        .unwrap()
    }

    #[test]
    fn a_german_statement_with_twins_and_an_overlap() {
        let first = "Konto DE00\nBuchungstag;Empfänger;Verwendungszweck;Betrag\n02.11.2026;Café;Espresso;-2,80\n02.11.2026;Café;Espresso;-2,80\n30.11.2026;Firma;Gehalt;\"1.234,50 €\"\n";
        let bytes = encoding_rs::WINDOWS_1252.encode(first).0.into_owned();
        let rows = parse(&bytes, &german()).unwrap();
        assert_eq!(
            rows.iter().map(|r| (r.cents, r.payee.as_str(), r.line)).collect::<Vec<_>>(),
            [(-280, "Café", 3), (-280, "Café", 4), (123_450, "Firma", 5)]
        );
        assert_ne!(rows[0].key, rows[1].key, "two coffees are two rows");
        let later = "x\nBuchungstag;Empfänger;Verwendungszweck;Betrag\n30.11.2026;Firma;Gehalt;1234,50\n02.11.2026;Café;  Espresso;-2,80\n";
        let again = parse(&encoding_rs::WINDOWS_1252.encode(later).0, &german()).unwrap();
        assert_eq!((&again[0].key, &again[1].key), (&rows[2].key, &rows[0].key), "the same rows in another export");
        let mut months = BTreeMap::new();
        add_months(&mut months, &rows);
        assert_eq!(months["2026-11"], Month { rows: 3, in_cents: 123_450, out_cents: -560 });
    }

    #[test]
    fn amounts_are_exact() {
        for (text, decimal, cents_) in [
            ("1,234.56", '.', 123_456),
            ("-0.05", '.', -5),
            ("(12.30)", '.', -1230),
            ("12-", '.', -1200),
            (".5", '.', 50),
            ("9.000,00", ',', 900_000),
            ("1.10000", '.', 110),
        ] {
            assert_eq!(cents(text, decimal), Ok(cents_), "{text}");
        }
        for text in ["", "x", "1.234", "1.2.3", "99999999999999999999"] {
            assert!(cents(text, '.').is_err(), "{text}");
        }
        assert_eq!((money(-5), money(123_456)), ("-0.05".to_owned(), "1234.56".to_owned()));
    }

    #[test]
    fn mistakes_name_their_line() {
        let format = Format {
            columns: Columns {
                date: "1".into(),
                amount: Some("2".into()),
                debit: None,
                credit: None,
                text: None,
                payee: None,
                id: None,
            },
            delimiter: None,
            date_format: iso(),
            decimal: '.',
            encoding: utf8(),
            skip_lines: 0,
            header: false,
        };
        let said = parse(b"2026-11-01,1\n2026-13-01,2\n", &format).unwrap_err();
        assert!(said.message.contains("line 2"), "{said}");
        let said = parse(b"2026-11-01\n", &format).unwrap_err();
        assert!(said.message.contains("no amount"), "{said}");
        assert!(
            parse(
                b"d,a\n",
                &Format { header: true, columns: Columns { date: "day".into(), ..format.columns.clone() }, ..format }
            )
            .unwrap_err()
            .message
            .contains("there are: d, a")
        );
    }
}
