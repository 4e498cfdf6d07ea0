//! The database under Steward: whether it answers, its schema, role, clock, connections, standbys; and Redis.

use jiff::SignedDuration;
use secrecy::SecretString;
use store::{
    Target,
    diagnosis::{self, Diagnosis},
    migrate,
};

use super::{Findings, State, count, machine::size};
use crate::{Error, config::Config};

/// A clock that is further off makes times misleading.
const CLOCK_OFF: SignedDuration = SignedDuration::from_secs(2);
/// A clock that is further off breaks sessions, leases and expiries.
const CLOCK_WRONG: SignedDuration = SignedDuration::from_secs(60);
/// A transaction that is open longer keeps old rows alive and may hold locks.
const LONG_OPEN: SignedDuration = SignedDuration::from_mins(5);
/// A standby that has more to replay is behind, in bytes.
const FAR_BEHIND: i64 = 64 << 20;

/// Whether the database answers and has this program's schema, so that more can be looked at.
pub(super) async fn schema(config: &Config, findings: &mut Findings) -> bool {
    let described = config.database.describe();
    match migrate::status(&config.database).await {
        Ok(status) if status.pending.is_empty() => {
            findings.well("database", format!("{described} ({})", status.version));
            drift(config, findings).await;
            true
        }
        Ok(status) if status.applied.is_empty() => {
            findings.note("database", format!("{described} is empty"), "start Steward, or run: steward db migrate");
            false
        }
        Ok(status) => {
            findings.wrong(
                "database",
                format!("{described} lacks {}", count(status.pending.len(), "migration")),
                "run: steward db migrate",
            );
            false
        }
        Err(e) => {
            findings.failed("database", &Error::from(e));
            false
        }
    }
}

/// What was changed by hand. On PostgreSQL that takes a scratch database and its owner's rights.
async fn drift(config: &Config, findings: &mut Findings) {
    if matches!(config.database.target, Target::Postgres(_)) {
        return;
    }
    match migrate::drift(&config.database).await {
        Ok(lines) if lines.is_empty() => {}
        Ok(lines) => findings.wrong(
            "schema",
            format!("differs in {} from what the migrations make", count(lines.len(), "place")),
            "look with: steward db drift",
        ),
        Err(e) => findings.failed("schema", &Error::from(e)),
    }
}

/// Everything the database shows of itself.
pub(super) async fn look(config: &Config, findings: &mut Findings) {
    let found = match diagnosis::look(&config.database).await {
        Ok(found) => found,
        Err(e) => return findings.failed("database", &Error::from(e)),
    };
    writes(&found, findings);
    role(&found, findings);
    clock(&found, findings);
    connections(config, &found, findings);
    transactions(&found, findings);
    standbys(&found, findings);
    replica(&found, findings);
    file(&found, findings);
}

fn writes(found: &Diagnosis, findings: &mut Findings) {
    if !found.takes_writes {
        findings.wrong(
            "database",
            "takes no writes: it is a standby, or its file is read-only",
            "name the primary (or all hosts, separated by commas) in database_url; for a file mend its mode",
        );
    }
}

fn role(found: &Diagnosis, findings: &mut Findings) {
    let Some(role) = &found.role else { return };
    let remedy = "make a login of its own: CREATE ROLE steward LOGIN IN ROLE app_user, app_service; and name it in database_url (the owner only migrates)";
    if role.is_superuser || role.bypasses_policies {
        // Each request runs as app_user all the same; what is left is what a stolen password opens.
        findings.warning("role", format!("{} may do everything in the database", role.name), remedy);
    } else if role.owns_tables {
        findings.warning("role", format!("{} owns the tables and may change the schema", role.name), remedy);
    } else {
        findings.well("role", format!("{} may only what the rules allow", role.name));
    }
}

fn clock(found: &Diagnosis, findings: &mut Findings) {
    let off = found.clock_skew.abs();
    if off < CLOCK_OFF {
        return;
    }
    let way = if found.clock_skew.is_negative() { "behind" } else { "before" };
    let said = format!("the database's clock is {off:#} {way} this machine's");
    let remedy = "set both by NTP (timedatectl set-ntp true)";
    if off < CLOCK_WRONG {
        findings.warning("clock", said, remedy);
    } else {
        findings.wrong("clock", said, remedy);
    }
}

fn connections(config: &Config, found: &Diagnosis, findings: &mut Findings) {
    let Some(connections) = found.connections else { return };
    let (used, limit) = (connections.used, connections.limit);
    let pool = i64::try_from(config.database.pool_size).unwrap_or(i64::MAX);
    let said = format!("{used} of {limit} connections of the server are in use; the pool here may have {pool}");
    if used >= limit {
        findings.wrong("connections", said, "raise max_connections, or end programs that hold some");
    } else if used.saturating_mul(10) >= limit.saturating_mul(9) {
        findings.warning("connections", said, "raise max_connections, or lower pool_size on the nodes");
    } else if pool > limit {
        findings.warning("connections", said, format!("lower pool_size below {limit}, or raise max_connections"));
    } else {
        findings.well("connections", said);
    }
}

fn transactions(found: &Diagnosis, findings: &mut Findings) {
    if let Some(old) = found.oldest_transaction.as_ref().filter(|t| t.age > LONG_OPEN) {
        findings.warning(
            "transaction",
            format!(
                "one of {:?} has been open for {} min ({}); it keeps dead rows alive and may hold locks",
                old.program,
                old.age.as_mins(),
                old.state
            ),
            format!("end it in the program, or with: SELECT pg_terminate_backend({})", old.pid),
        );
    }
}

fn standbys(found: &Diagnosis, findings: &mut Findings) {
    for standby in &found.standbys {
        let behind = size(u64::try_from(standby.behind_bytes).unwrap_or_default());
        let said = format!("the standby {:?} is {} and {behind} behind", standby.name, standby.state);
        if standby.state != "streaming" || standby.behind_bytes > FAR_BEHIND {
            findings.warning("replication", said, "look at the standby's log, its disk and the network between");
        } else {
            findings.well("replication", said);
        }
    }
}

fn replica(found: &Diagnosis, findings: &mut Findings) {
    match &found.read_replica {
        None => {}
        Some(Err(e)) => findings.warning(
            "read replica",
            format!("does not answer, so all reads go to the primary ({e})"),
            "start it, or correct read_replica_url",
        ),
        Some(Ok(state)) if !state.is_standby => findings.warning(
            "read replica",
            "is no standby, so it is not used",
            "name a streaming standby of the primary in read_replica_url, or remove it",
        ),
        Some(Ok(state)) => {
            let behind = state.behind_bytes.unwrap_or_default();
            let said = format!("is {} behind", size(u64::try_from(behind).unwrap_or_default()));
            if behind > FAR_BEHIND {
                findings.warning("read replica", said, "look at the standby's log, its disk and the network between");
            } else {
                findings.well("read replica", said);
            }
        }
    }
}

/// A file of which most is free keeps room from others.
fn file(found: &Diagnosis, findings: &mut Findings) {
    let Some(file) = found.file else { return };
    if file.free_bytes > 256 << 20 && file.free_bytes > file.size_bytes / 2 {
        findings.note(
            "file",
            format!("{} of the database's file are free", size(u64::try_from(file.free_bytes).unwrap_or_default())),
            "give the room back with: steward db maintain",
        );
    }
}

/// Whether Redis answers. Without it everything is right, only slower.
pub(super) async fn redis(url: &SecretString, findings: &mut Findings) {
    match diagnosis::redis(url).await {
        Ok(version) if version.split('.').next().and_then(|v| v.parse::<u32>().ok()).is_some_and(|v| v < 7) => {
            findings.warning("redis", format!("is version {version}; Steward is made for 7 and newer"), "upgrade it");
        }
        Ok(version) => findings.well("redis", format!("answers (version {version})")),
        Err(e) => findings.add(
            "redis",
            State::Warning,
            format!("does not answer, so everything is read from the database ({e})"),
            Some("start it, or correct redis_url (REDIS_URL)".to_owned()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use store::diagnosis::{Diagnosis, OldTransaction, ReplicaState, Role, Standby};

    use super::{Findings, State, clock, replica, role, standbys, transactions, writes};

    fn said(look: fn(&Diagnosis, &mut Findings), found: &Diagnosis) -> Vec<(&'static str, State)> {
        let mut findings = Findings::default();
        look(found, &mut findings);
        for finding in &findings.0 {
            assert!(finding.state == State::Well || finding.remedy.is_some(), "{finding:?}");
        }
        findings.0.iter().map(|f| (f.what, f.state)).collect()
    }

    fn as_role(is_superuser: bool, owns_tables: bool) -> Diagnosis {
        let role = Role { name: "r".to_owned(), is_superuser, bypasses_policies: false, owns_tables };
        Diagnosis { role: Some(role), takes_writes: true, ..Diagnosis::default() }
    }

    #[test]
    fn each_thing_has_its_state() {
        assert_eq!(said(writes, &Diagnosis::default()), [("database", State::Wrong)]);
        assert_eq!(said(role, &as_role(true, true)), [("role", State::Warning)]);
        assert_eq!(said(role, &as_role(false, true)), [("role", State::Warning)]);
        assert_eq!(said(role, &as_role(false, false)), [("role", State::Well)]);
        for (off_s, state) in [(0, None), (-3, Some(State::Warning)), (61, Some(State::Wrong))] {
            let found = Diagnosis { clock_skew: SignedDuration::from_secs(off_s), ..Diagnosis::default() };
            assert_eq!(said(clock, &found).first().map(|f| f.1), state, "{off_s}");
        }
    }

    #[test]
    fn what_lags_or_stays_open_is_told() {
        let old = |minutes| OldTransaction {
            pid: 7,
            age: SignedDuration::from_mins(minutes),
            program: "psql".to_owned(),
            state: "idle in transaction".to_owned(),
        };
        let found = |minutes| Diagnosis { oldest_transaction: Some(old(minutes)), ..Diagnosis::default() };
        assert_eq!(said(transactions, &found(1)), []);
        assert_eq!(said(transactions, &found(9)), [("transaction", State::Warning)]);
        let standby = |behind_bytes| Standby { name: "b".to_owned(), state: "streaming".to_owned(), behind_bytes };
        let found = Diagnosis { standbys: vec![standby(0), standby(1 << 40)], ..Diagnosis::default() };
        assert_eq!(said(standbys, &found), [("replication", State::Well), ("replication", State::Warning)]);
        for (state, expected) in [
            (Err("refused".to_owned()), State::Warning),
            (Ok(ReplicaState { is_standby: false, behind_bytes: None }), State::Warning),
            (Ok(ReplicaState { is_standby: true, behind_bytes: Some(0) }), State::Well),
            (Ok(ReplicaState { is_standby: true, behind_bytes: Some(1 << 40) }), State::Warning),
        ] {
            let found = Diagnosis { read_replica: Some(state), ..Diagnosis::default() };
            assert_eq!(said(replica, &found), [("read replica", expected)]);
        }
    }
}
