//! What a repository holds, as pgBackRest tells it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A backup in the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// pgBackRest's name for it.
    pub label: String,
    /// Whether it stands alone.
    pub is_full: bool,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended: from here on every moment can be recovered.
    pub ended_at: Timestamp,
    /// Its size in the repository, in bytes.
    pub size_bytes: u64,
    /// Whether a page of it did not have its checksum.
    pub has_damage: bool,
}

/// What a repository holds of one server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Info {
    /// The oldest first.
    pub backups: Vec<Backup>,
    /// The first segment of the log that is there.
    pub first_segment: Option<String>,
    /// The last.
    pub last_segment: Option<String>,
}

#[derive(Deserialize)]
struct Stanza {
    name: String,
    #[serde(default)]
    backup: Vec<RawBackup>,
    #[serde(default)]
    archive: Vec<RawArchive>,
}
#[derive(Deserialize)]
struct RawBackup {
    label: String,
    #[serde(rename = "type")]
    kind: String,
    timestamp: Times,
    #[serde(default)]
    error: Option<bool>,
    info: RawSize,
}
#[derive(Deserialize)]
struct Times {
    start: i64,
    stop: i64,
}
#[derive(Deserialize)]
struct RawSize {
    repository: RawDelta,
}
#[derive(Deserialize)]
struct RawDelta {
    #[serde(default)]
    delta: u64,
}
#[derive(Deserialize)]
struct RawArchive {
    #[serde(default)]
    min: Option<String>,
    #[serde(default)]
    max: Option<String>,
}

impl Info {
    /// Reads pgBackRest's JSON.
    pub(super) fn read(json: &str, stanza: &str) -> Result<Self> {
        let odd = |what: String| Error::failed(format!("pgbackrest info answered something unexpected: {what}"));
        let stanzas: Vec<Stanza> = serde_json::from_str(json).map_err(|e| odd(e.to_string()))?;
        let Some(found) = stanzas.into_iter().find(|s| s.name == stanza) else { return Ok(Self::default()) };
        let moment = |s: i64| Timestamp::from_second(s).map_err(|e| odd(e.to_string()));
        let mut backups = Vec::new();
        for raw in found.backup {
            backups.push(Backup {
                label: raw.label,
                is_full: raw.kind == "full",
                began_at: moment(raw.timestamp.start)?,
                ended_at: moment(raw.timestamp.stop)?,
                size_bytes: raw.info.repository.delta,
                has_damage: raw.error == Some(true),
            });
        }
        // The last of them is the newest server's: one that was restored begins another.
        let newest = found.archive.into_iter().next_back();
        let (first_segment, last_segment) = newest.map_or((None, None), |a| (a.min, a.max));
        Ok(Self { backups, first_segment, last_segment })
    }

    /// The newest backup that had ended at a moment.
    pub fn before(&self, moment: Timestamp) -> Option<&Backup> {
        self.backups.iter().rev().find(|b| b.ended_at <= moment)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Info;

    /// As pgBackRest 2.45 tells it, without what is not read.
    const SAID: &str = r#"[{"archive":[{"database":{"id":1,"repo-key":1},"id":"15-1","max":"000000010000000000000006","min":"000000010000000000000002"}],
        "backup":[{"archive":{"start":"000000010000000000000002","stop":"000000010000000000000003"},"error":false,
        "info":{"delta":22827345,"repository":{"delta":2874129,"size":2874129},"size":22827345},"label":"20261127-081500F","prior":null,"reference":null,
        "timestamp":{"start":1795767300,"stop":1795767310},"type":"full"},
        {"info":{"delta":1,"repository":{"delta":10,"size":20},"size":1},"label":"20261127-081500F_20261127-091500D","timestamp":{"start":1795770900,"stop":1795770905},"type":"diff"}],
        "cipher":"aes-256-cbc","db":[{"id":1,"repo-key":1,"system-id":7400000000000000000,"version":"15"}],"name":"steward","status":{"code":0,"message":"ok"}}]"#;

    #[test]
    fn the_repository_is_read_and_asked_for_a_moment() {
        let info = Info::read(SAID, "steward").unwrap();
        assert_eq!(info.backups.len(), 2);
        assert!(info.backups[0].is_full && !info.backups[1].is_full);
        assert_eq!(info.backups[0].size_bytes, 2_874_129);
        assert_eq!(info.last_segment.as_deref(), Some("000000010000000000000006"));
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(info.before(at(1_795_767_309)), None, "it had not ended yet");
        assert_eq!(info.before(at(1_795_767_310)).unwrap().label, "20261127-081500F");
        assert_eq!(info.before(at(1_795_999_999)).unwrap().label, "20261127-081500F_20261127-091500D");
        assert_eq!(Info::read("[]", "steward").unwrap(), Info::default());
        assert!(Info::read("{}", "steward").is_err());
    }
}
