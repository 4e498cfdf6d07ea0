//! The audit trail as a file that proves itself: a header, a line for each row, a trailer with a signature; JSON Lines,
//! compressed with zstd. `docs/audit.md` describes it so that anybody can write a program that checks it. Pure: what is
//! written goes to a writer and what is read comes from a reader.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
};

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use store::{
    audit_trail::{Break, Damage, Finding, Link, Walk},
    canonical::sha256_hex,
};

use crate::{Error, Result};

/// What the header says the file is.
pub const FORMAT: &str = "steward-audit";
/// The format's version.
pub const VERSION: u32 = 1;
/// What the signing key is drawn from the master key for.
pub const KEY_PURPOSE: &str = "audit export signature v1";
/// How the hash of a link is made.
const HASH: &str = "sha256(previous_sha256 + \"\\n\" + text), in lower-case hex";
/// Bytes of a line at most.
const LINE_BYTES: u64 = 64 * 1024 * 1024;
/// zstd's window at most, as a power of two: 128 MiB.
const WINDOW_LOG: u32 = 27;

/// An Ed25519 key that signs exports.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public_hex()).finish()
    }
}

impl SigningKey {
    /// From a secret seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(Self)
            .map_err(|_| store::Error::Vault("the signing key can't be made of the master key".to_owned()).into())
    }

    /// The public key, 64 hexadecimal digits.
    pub fn public_hex(&self) -> String {
        hex::encode(self.0.public_key().as_ref())
    }

    fn sign(&self, message: &str) -> String {
        hex::encode(self.0.sign(message.as_bytes()).as_ref())
    }
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// When the file was made, RFC 3339 in UTC.
    pub made_at: String,
    /// Position of the first row.
    pub from_position: i64,
    /// Position of the last row; one less than the first where there is none.
    pub to_position: i64,
    /// The hash of the link before the first row; 64 zeros at the beginning of the chain.
    pub previous_sha256: String,
    /// How a hash is made, for whoever reads the file alone.
    pub hash: String,
    /// Whose signature the trailer holds: an Ed25519 public key, 64 hexadecimal digits.
    pub public_key: String,
}

/// A line between.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    position: i64,
    sha256: String,
    text: String,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    count: i64,
    head_sha256: String,
    signature: String,
}

/// What is signed: the header's bytes, the number of rows and the head, which covers every row.
fn signed(header: &str, count: i64, head: &str) -> String {
    format!("{FORMAT} {VERSION}\n{}\n{count}\n{head}\n", sha256_hex(header))
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The first line.
    #[serde(flatten)]
    pub header: Header,
    /// Rows.
    pub count: i64,
    /// The hash of the last link.
    pub head: String,
}

/// A file being written.
pub struct Writer<W: Write> {
    out: zstd::Encoder<'static, W>,
    key: SigningKey,
    header: Header,
    header_line: String,
    walk: Walk,
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("header", &self.header).field("walk", &self.walk).finish_non_exhaustive()
    }
}

impl<W: Write> Writer<W> {
    /// Begins a file of the rows from one position to another, the first of which follows `previous_sha256`.
    pub fn begin(
        out: W,
        key: SigningKey,
        made_at: String,
        (from, to): (i64, i64),
        previous_sha256: String,
    ) -> Result<Self> {
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            made_at,
            from_position: from,
            to_position: to,
            previous_sha256: previous_sha256.clone(),
            hash: HASH.to_owned(),
            public_key: key.public_hex(),
        };
        let header_line = line(&header)?;
        let mut out = zstd::Encoder::new(out, 3).map_err(unwritten)?;
        out.include_checksum(true).map_err(unwritten)?;
        let mut this = Self { out, key, walk: Walk::after(from - 1, previous_sha256), header, header_line };
        let first = this.header_line.clone();
        this.write(&first)?;
        Ok(this)
    }

    /// Adds the next row. It is checked: a file of a broken chain is not made.
    pub fn push(&mut self, link: &Link) -> Result<()> {
        let step = self.walk.step(link);
        let (Ok(()), Some(text)) = (step, &link.text) else {
            return Err(Error::Conflict(format!(
                "the chain is broken at position {}; nothing was exported; see: steward audit verify",
                self.walk.position + 1
            )));
        };
        let text = Line { position: link.position, sha256: link.sha256.clone(), text: text.clone() };
        self.write(&line(&text)?)
    }

    /// Ends the file with its signature.
    pub fn finish(mut self) -> Result<(W, Summary)> {
        let count = self.walk.position - self.header.from_position + 1;
        if self.walk.position != self.header.to_position {
            return Err(Error::Conflict(format!(
                "the chain ends at position {}, not at {}; nothing was exported; see: steward audit verify",
                self.walk.position, self.header.to_position
            )));
        }
        let signature = self.key.sign(&signed(&self.header_line, count, &self.walk.head));
        self.write(&line(&Trailer { count, head_sha256: self.walk.head.clone(), signature })?)?;
        let mut out = self.out.finish().map_err(unwritten)?;
        out.flush().map_err(unwritten)?;
        Ok((out, Summary { header: self.header, count, head: self.walk.head }))
    }

    fn write(&mut self, line: &str) -> Result<()> {
        self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n")).map_err(unwritten)
    }
}

fn line(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| unwritten(e.into()))
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands the error over")]
fn unwritten(e: std::io::Error) -> Error {
    store::Error::Storage(format!("the export: {e}")).into()
}

/// What a check of a file found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What the file holds, as far as it is good.
    #[serde(flatten)]
    pub summary: Summary,
    /// The first thing that is wrong with its rows.
    pub broken: Option<Finding>,
}

/// Checks a file: each row, and that the header, the number of rows and the head are what the key signed. `key` is the
/// public key it must be signed with; without one, the key that the file itself names is believed, and says only that the
/// file is as its maker left it. Blocking; memory is bounded by one line.
pub fn check(input: impl Read, key: Option<&str>) -> Result<Checked> {
    let mut decoder = zstd::Decoder::new(input).map_err(|e| unreadable(&e))?;
    decoder.window_log_max(WINDOW_LOG).map_err(|e| unreadable(&e))?;
    let mut input = BufReader::new(decoder);
    let wrong = |message: String| Error::Invalid { field: "file".to_owned(), message };
    let first = next_line(&mut input)?.ok_or_else(|| wrong("the file is empty; export it again".to_owned()))?;
    let header: Header = serde_json::from_str(&first).map_err(|e| {
        wrong(format!("its first line is no header of a {FORMAT} file ({e}); it is another file, or was altered"))
    })?;
    if header.format != FORMAT || header.version != VERSION {
        return Err(wrong(format!(
            "it is {} version {}; this program reads {FORMAT} version {VERSION}",
            header.format, header.version
        )));
    }
    if key.is_some_and(|key| !key.eq_ignore_ascii_case(&header.public_key)) {
        return Err(wrong(format!(
            "it is signed with the key {}, not with yours; whoever made it is not who you think, or the key was changed",
            header.public_key
        )));
    }
    let mut walk = Walk::after(header.from_position - 1, header.previous_sha256.clone());
    loop {
        let text = next_line(&mut input)?.ok_or_else(|| {
            wrong(format!("it ends after position {} without a signature; its end was cut off", walk.position))
        })?;
        let Ok(row) = serde_json::from_str::<Line>(&text) else {
            return finish(&text, &first, header, walk, &mut input);
        };
        let link = Link::new(row.position, String::new(), walk.head.clone(), row.sha256, Some(row.text));
        if let Err(at) = walk.step(&link) {
            let broken = Some(finding(&walk, &link, at, &mut input)?);
            return Ok(Checked { summary: summary(header, walk), broken });
        }
    }
}

fn summary(header: Header, walk: Walk) -> Summary {
    Summary { count: walk.position - header.from_position + 1, header, head: walk.head }
}

/// The last line, against everything before it.
fn finish(text: &str, first: &str, header: Header, walk: Walk, rest: &mut impl BufRead) -> Result<Checked> {
    let wrong = |message: String| Error::Invalid { field: "file".to_owned(), message };
    let trailer: Trailer = serde_json::from_str(text).map_err(|e| {
        wrong(format!("the line after position {} is neither a row nor the end ({e}); it was altered", walk.position))
    })?;
    let summary = summary(header, walk);
    let broken = |damage, position, reason: String| {
        Ok(Checked {
            summary: summary.clone(),
            broken: Some(Finding { damage, position: Some(position), row_id: None, created_at: None, reason }),
        })
    };
    if next_line(rest)?.is_some() {
        return broken(Damage::Inserted, summary.count, "lines follow the signature".to_owned());
    }
    if trailer.count != summary.count || summary.header.from_position + summary.count - 1 != summary.header.to_position
    {
        let reason =
            format!("{} rows were signed, {} are there; the others were cut off", trailer.count, summary.count);
        return broken(Damage::Removed, summary.header.from_position + summary.count, reason);
    }
    let key = hex::decode(&summary.header.public_key).unwrap_or_default();
    let signature = hex::decode(&trailer.signature).unwrap_or_default();
    let message = signed(first, summary.count, &summary.head);
    let is_signed = UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), &signature).is_ok();
    if !is_signed || trailer.head_sha256 != summary.head {
        return Err(wrong(
            "the signature does not fit: the header or rows were altered after it was signed, or another key signed it"
                .to_owned(),
        ));
    }
    Ok(Checked { summary, broken: None })
}

/// What happened to the row that does not follow. Only what the file itself shows can be told.
fn finding(walk: &Walk, link: &Link, at: Break, rest: &mut impl BufRead) -> Result<Finding> {
    let next = walk.position + 1;
    let row = link.text.as_deref().and_then(|text| serde_json::from_str::<Vec<serde_json::Value>>(text).ok());
    let member = |place: usize| row.as_ref().and_then(|r| r.get(place)).and_then(|v| v.as_str()).map(str::to_owned);
    let (damage, reason) = match at {
        Break::Gap if link.position <= walk.position => {
            (Damage::Inserted, format!("position {} comes a second time", link.position))
        }
        Break::Gap => {
            let mut is_later = false;
            while let Some(text) = next_line(rest)? {
                is_later |= serde_json::from_str::<Line>(&text).is_ok_and(|line| line.position == next);
            }
            if is_later {
                (Damage::Reordered, format!("position {} stands before position {next}", link.position))
            } else {
                let found = Finding {
                    damage: Damage::Removed,
                    position: Some(next),
                    row_id: None,
                    created_at: None,
                    reason: format!("after position {} comes {}", walk.position, link.position),
                };
                return Ok(found);
            }
        }
        Break::Previous | Break::NoRow | Break::Text => {
            (Damage::Altered, "it does not give the hash that stands beside it".to_owned())
        }
    };
    Ok(Finding { damage, position: Some(link.position), row_id: member(0), created_at: member(9), reason })
}

fn next_line(input: &mut impl BufRead) -> Result<Option<String>> {
    let mut text = String::new();
    let read = input.by_ref().take(LINE_BYTES).read_line(&mut text).map_err(|e| unreadable(&e))?;
    if read == 0 {
        return Ok(None);
    }
    if !text.ends_with('\n') {
        return Err(Error::Invalid {
            field: "file".to_owned(),
            message: "a line has no end; the file was cut off, or it is another file".to_owned(),
        });
    }
    text.pop();
    Ok(Some(text))
}

fn unreadable(e: &std::io::Error) -> Error {
    Error::Invalid {
        field: "file".to_owned(),
        message: format!("it can't be read ({e}); it is no zstd file, or it was cut off or altered"),
    }
}

#[cfg(test)]
mod tests;
