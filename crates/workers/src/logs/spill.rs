//! A bounded file for lines that must not be lost while the database does not answer: JSON Lines, appended, read back
//! from the front, removed when all of it is written.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;
use store::system_logs::{self, NewLogLine};

/// Bytes that the file holds at most.
const MOST_BYTES: u64 = 64 << 20;

/// The file. Its methods block; they are called off the async threads.
#[derive(Debug, Clone)]
pub(super) struct Spill(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// How much of it was written into the database already, in bytes from the front.
    read: Mutex<u64>,
}

/// A line as the file holds it.
#[derive(Deserialize)]
struct Kept {
    id: uuid::Uuid,
    timestamp: String,
    level: String,
    module: String,
    message: String,
    user_id: Option<uuid::Uuid>,
    task_id: Option<uuid::Uuid>,
    request_id: Option<String>,
    ip_address: Option<std::net::IpAddr>,
    user_agent: Option<String>,
    metadata: serde_json::Value,
}

impl From<Kept> for NewLogLine {
    fn from(k: Kept) -> Self {
        Self {
            id: k.id,
            timestamp: k.timestamp,
            level: system_logs::level(&k.level).unwrap_or("error"),
            module: k.module,
            message: k.message,
            user_id: k.user_id,
            task_id: k.task_id,
            request_id: k.request_id,
            ip_address: k.ip_address,
            user_agent: k.user_agent,
            metadata: k.metadata,
        }
    }
}

impl Spill {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(Arc::new(Inner { path, read: Mutex::new(0) }))
    }

    /// Where it is, for people.
    pub(super) fn path(&self) -> std::path::Display<'_> {
        self.0.path.display()
    }

    /// Appends lines durably. Those for which there is no room, or that can't be written, come back with why.
    pub(super) fn keep(&self, lines: Vec<NewLogLine>) -> Result<(), (String, Vec<NewLogLine>)> {
        let _turn = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match self.open() {
            Ok(file) => file,
            Err(e) => return Err((e.to_string(), lines)),
        };
        // Whoever wrote last may have ended in the middle of a line.
        let mut text = vec![b'\n'];
        for line in &lines {
            // A line is plain data; what can't be written as JSON can't be written at all.
            if serde_json::to_writer(&mut text, line).is_ok() {
                text.push(b'\n');
            }
        }
        let end = match file.seek(SeekFrom::End(0)) {
            Ok(end) => end,
            Err(e) => return Err((e.to_string(), lines)),
        };
        if end + text.len() as u64 > MOST_BYTES {
            return Err((format!("{} holds {end} bytes already", self.path()), lines));
        }
        let written = file.write_all(&text).and_then(|()| file.sync_data());
        written.map_err(|e| {
            // Half a line would spoil the next one.
            drop(file.set_len(end));
            (e.to_string(), lines)
        })
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.0.path)
    }

    /// The first lines that are not written yet, at most `most`, and where the next begin. A line that can't be read
    /// (its process ended in the middle of it) is passed over and told on stderr.
    pub(super) fn next(&self, most: usize) -> io::Result<(Vec<NewLogLine>, u64)> {
        let from = *self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match File::open(&self.0.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
            Err(e) => return Err(e),
        };
        file.seek(SeekFrom::Start(from))?;
        let (mut lines, mut end, mut reader, mut text) = (Vec::new(), from, BufReader::new(file), Vec::new());
        while lines.len() < most {
            text.clear();
            let read = reader.read_until(b'\n', &mut text)?;
            if read == 0 {
                break;
            }
            end += read as u64;
            if text.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Kept>(&text) {
                Ok(kept) => lines.push(kept.into()),
                Err(e) => eprintln!("a line in {} can't be read and is left out: {e}", self.path()),
            }
        }
        Ok((lines, end))
    }

    /// Notes that everything before `end` stands in the database; the file goes when that is all of it.
    pub(super) fn done(&self, end: u64) -> io::Result<()> {
        let mut read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read = end;
        match std::fs::metadata(&self.0.path) {
            Ok(found) if found.len() <= end => {
                std::fs::remove_file(&self.0.path)?;
                *read = 0;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn line(message: &str) -> NewLogLine {
        NewLogLine::new("critical", "test", message)
    }

    #[test]
    fn what_is_kept_is_read_back_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spill");
        let spill = Spill::new(path.clone());
        assert!(spill.next(10).unwrap().0.is_empty(), "no file yet");
        spill.keep(vec![line("a"), line("b")]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (lines, end) = spill.next(1).unwrap();
        assert_eq!(lines[0].message, "a");
        spill.done(end).unwrap();
        spill.keep(vec![line("c")]).unwrap();
        // The next process begins at the front: what stands already is not written again, by its id.
        let next = Spill::new(path.clone());
        assert_eq!(next.next(10).unwrap().0.len(), 3);
        let (lines, end) = spill.next(10).unwrap();
        assert_eq!(lines.iter().map(|l| l.message.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(lines[0].level, "critical");
        spill.done(end).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn half_a_line_costs_nothing_else_and_the_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spill");
        std::fs::write(&path, "{\"id\": \"half").unwrap();
        let spill = Spill::new(path.clone());
        spill.keep(vec![line("whole")]).unwrap();
        assert_eq!(spill.next(10).unwrap().0[0].message, "whole");
        File::options().write(true).open(&path).unwrap().set_len(MOST_BYTES).unwrap();
        let (why, back) = spill.keep(vec![line("more")]).unwrap_err();
        assert!(why.contains("already"), "{why}");
        assert_eq!(back[0].message, "more");
    }
}
