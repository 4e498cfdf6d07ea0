//! The archive of PostgreSQL's log: whether it keeps up, and how much of the newest work a lost disk would take along.

use store::{Target, backup::postgres::Archive};

use super::Findings;
use crate::{Error, config::Config};

/// A segment that is not full may wait so long, in seconds.
const LONGEST_TIMEOUT_S: u32 = 60;

/// Looks at it.
pub(super) async fn look(config: &Config, findings: &mut Findings) {
    if matches!(config.database.target, Target::Sqlite(_)) {
        return;
    }
    match store::backup::postgres::archive(&config.database).await {
        Ok(archive) => tell(&archive, findings),
        Err(e) => findings.failed("archive", &Error::from(e)),
    }
}

fn tell(archive: &Archive, findings: &mut Findings) {
    if let Some((what, remedy)) = archive.trouble() {
        findings.wrong("archive", what, remedy);
    } else if !archive.is_on {
        findings.note(
            "archive",
            "the server archives no log: what was written since the last backup goes with its disk",
            "set it up on the database's machine with: steward backup setup",
        );
    } else if archive.timeout_s == 0 || archive.timeout_s > LONGEST_TIMEOUT_S {
        findings.warning(
            "archive",
            if archive.timeout_s == 0 {
                "a segment is archived only when it is full, which may take hours".to_owned()
            } else {
                format!("up to {} s of work wait to be archived", archive.timeout_s)
            },
            "set archive_timeout to 60 s or less, or run: steward backup setup",
        );
    } else {
        findings.well("archive", format!("keeps up; at most {} s of work wait", archive.timeout_s));
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use store::backup::postgres::Archive;

    use super::tell;
    use crate::cli::doctor::{Findings, State};

    #[test]
    fn each_trouble_has_its_weight() {
        let well = Archive {
            is_on: true,
            archived: 5,
            last_archived_at: Some(Timestamp::UNIX_EPOCH),
            failed: 0,
            last_failed_at: None,
            is_failing: false,
            waiting: 0,
            behind: SignedDuration::ZERO,
            timeout_s: 30,
        };
        let state = |archive: Archive| {
            let mut findings = Findings::default();
            tell(&archive, &mut findings);
            findings.0[0].state
        };
        assert_eq!(state(well.clone()), State::Well);
        assert_eq!(state(Archive { is_on: false, ..well.clone() }), State::Note);
        assert_eq!(state(Archive { is_failing: true, failed: 3, waiting: 2, ..well.clone() }), State::Wrong);
        assert_eq!(state(Archive { waiting: 2, behind: SignedDuration::from_secs(61), ..well.clone() }), State::Wrong);
        assert_eq!(state(Archive { timeout_s: 0, ..well.clone() }), State::Warning);
        assert_eq!(state(Archive { timeout_s: 300, ..well }), State::Warning);
    }
}
