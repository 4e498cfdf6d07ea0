//! What a reading of the database includes, as PostgreSQL writes it: `xmin:xmax:xip,xip` (`pg_snapshot`).

use std::{fmt, str::FromStr};

/// Transactions below `end` are included, but for those that were still running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The lowest that was running; only carried along.
    begin: u64,
    end: u64,
    /// In order.
    running: Vec<u64>,
}

impl Snapshot {
    /// Whether everything that `other` includes is included here.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.end >= other.end
            && self.running.iter().all(|id| *id >= other.end || other.running.binary_search(id).is_ok())
    }
}

impl FromStr for Snapshot {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, ':');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or(());
        let (begin, end) = (number()?, number()?);
        let list = parts.next().ok_or(())?.split(',').filter(|id| !id.is_empty());
        let mut running = list.map(|id| id.parse().map_err(drop)).collect::<Result<Vec<u64>, ()>>()?;
        running.sort_unstable();
        Ok(Self { begin, end, running })
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running: Vec<String> = self.running.iter().map(u64::to_string).collect();
        write!(f, "{}:{}:{}", self.begin, self.end, running.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::Snapshot;

    fn snapshot(text: &str) -> Snapshot {
        text.parse().unwrap()
    }

    #[test]
    fn a_later_reading_includes_an_earlier_one() {
        // 12 is still running at both; 15 ended between them.
        let (early, late) = (snapshot("12:18:12,15"), snapshot("12:20:12,19"));
        assert!(late.includes(&early) && !early.includes(&late));
        assert!(early.includes(&early));
        let before = snapshot("12:18:12,14,15");
        assert!(!before.includes(&early), "14 is missing");
        assert!(early.includes(&before));
        assert!(!snapshot("12:17:12,15").includes(&early), "17 is missing");
        assert!(snapshot("30:30:").includes(&late));
    }

    #[test]
    fn it_is_read_and_written_as_postgresql_does() {
        for text in ["12:18:12,15", "20:20:", "12:13:12"] {
            assert_eq!(snapshot(text).to_string(), text);
        }
        for wrong in ["", "1", "1:2", "1:x:", "1:2:3,x", "-1:2:"] {
            assert!(wrong.parse::<Snapshot>().is_err(), "{wrong}");
        }
    }
}
