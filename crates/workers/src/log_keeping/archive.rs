//! Archives of old months: `log-archive/system_logs_2024_01.jsonl.zst`, one line of the log a line of JSON, compressed,
//! mode 0600. A file bears its name only once it was read back whole.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use store::system_logs::LogLine;
use uuid::Uuid;

use crate::{Error, Result};

/// Archives of one month at most: a month has more than one where lines of it came after it had left.
const FILES: usize = 1000;
/// zstd's level: the usual balance.
const LEVEL: i32 = 3;

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where it is.
    pub path: PathBuf,
    /// Lines in it.
    pub lines: i64,
    /// SHA-256 of what it holds, uncompressed.
    sha256: [u8; 32],
}

/// Where a month's archives are. Its methods block.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    month: String,
}

/// An archive that is being written.
pub(super) struct Writer {
    path: PathBuf,
    file: zstd::stream::write::Encoder<'static, BufWriter<File>>,
    hash: Sha256,
    lines: i64,
}

fn fail(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |e| Error::Archive { path: path.display().to_string(), reason: e.to_string() }
}

impl Writer {
    pub(super) fn add(&mut self, lines: &[LogLine]) -> Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).map_err(|e| fail(&self.path)(e.into()))?;
            text.push(b'\n');
            self.lines += 1;
        }
        self.hash.update(&text);
        self.file.write_all(&text).map_err(fail(&self.path))
    }
}

impl Folder {
    pub(super) fn new(path: &Path, month: &str) -> Self {
        Self { path: path.to_owned(), month: month.to_owned() }
    }

    fn file(&self, number: usize) -> PathBuf {
        let number = if number == 1 { String::new() } else { format!(".{number}") };
        self.path.join(format!("system_logs_{}{number}.jsonl.zst", self.month))
    }

    /// The month's finished archives.
    pub(super) fn archives(&self) -> Result<Vec<Archive>> {
        (1..=FILES).map(|n| self.file(n)).take_while(|path| path.exists()).map(look).collect()
    }

    /// Begins an archive; what a round that ended in the middle left of one goes.
    pub(super) fn begin(&self) -> Result<Writer> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(fail(&self.path))?;
        let path = self.path.join(format!("system_logs_{}.part", self.month));
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fail(&path)(e)),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = BufWriter::new(file.map_err(fail(&path))?);
        let mut file = zstd::stream::write::Encoder::new(file, LEVEL).map_err(fail(&path))?;
        file.include_checksum(true).map_err(fail(&path))?;
        Ok(Writer { path, file, hash: Sha256::new(), lines: 0 })
    }

    /// Brings an archive onto the disk, reads it back, and gives it its name. Where an earlier round wrote just the same,
    /// that one is kept.
    pub(super) fn finish(&self, writer: Writer) -> Result<Archive> {
        let Writer { path, file, hash, lines } = writer;
        let file = file.finish().and_then(|f| f.into_inner().map_err(io::IntoInnerError::into_error));
        file.and_then(|f| f.sync_all()).map_err(fail(&path))?;
        let found = look(path.clone())?;
        if found.lines != lines || found.sha256 != <[u8; 32]>::from(hash.finalize()) {
            let reason = format!("{lines} lines were written and {} read back, or others", found.lines);
            return Err(Error::Archive { path: path.display().to_string(), reason });
        }
        let earlier = self.archives()?;
        if let Some(same) = earlier.iter().find(|a| a.sha256 == found.sha256) {
            std::fs::remove_file(&path).map_err(fail(&path))?;
            return Ok(same.clone());
        }
        let name = self.file(earlier.len() + 1);
        if name.exists() {
            let reason = format!("there are {FILES} archives of this month already");
            return Err(Error::Archive { path: name.display().to_string(), reason });
        }
        std::fs::rename(&path, &name).map_err(fail(&name))?;
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(fail(&self.path))?;
        Ok(Archive { path: name, ..found })
    }

    /// The ids of an archive's lines.
    pub(super) fn ids(path: &Path) -> Result<Vec<Uuid>> {
        #[derive(Deserialize)]
        struct Line {
            id: Uuid,
        }
        let mut ids = Vec::new();
        read(path, |text| {
            ids.push(serde_json::from_slice::<Line>(text)?.id);
            Ok(())
        })?;
        Ok(ids)
    }
}

/// Reads an archive whole: what it holds, and that it is sound.
fn look(path: PathBuf) -> Result<Archive> {
    let (mut hash, mut lines) = (Sha256::new(), 0);
    read(&path, |text| {
        hash.update(text);
        lines += 1;
        Ok(())
    })?;
    Ok(Archive { path, lines, sha256: hash.finalize().into() })
}

fn read(path: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
    let mut reading = || -> io::Result<()> {
        let mut file = BufReader::new(zstd::stream::read::Decoder::new(File::open(path)?)?);
        let mut text = Vec::new();
        while file.read_until(b'\n', &mut text)? > 0 {
            each(&text)?;
            text.clear();
        }
        Ok(())
    };
    reading().map_err(fail(path))
}
