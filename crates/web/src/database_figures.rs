//! The store's figures in Prometheus' text format: pools, waiting, statements, errors, the replica, SQLite's writer.

use std::fmt::Write;

use store::metrics::{Histogram, Metrics, PoolMetrics, ReplicaMetrics, WriterMetrics};

/// Writes all of them.
pub(crate) fn write(out: &mut String, metrics: &Metrics) {
    if !metrics.pools.is_empty() {
        pools(out, &metrics.pools);
    }
    if let Some(found) = &metrics.replica {
        replica(out, found);
    }
    if let Some(found) = &metrics.writer {
        writer(out, found);
    }
    head(
        out,
        "steward_database_latency_seconds",
        "histogram",
        "How long statements and transactions took, waiting included.",
    );
    histogram(out, "steward_database_latency_seconds", "", &metrics.latency_us, seconds);
    head(
        out,
        "steward_database_statement_seconds",
        "summary",
        "The same by statement; `transaction` stands for each transaction of several.",
    );
    for s in &metrics.statements {
        let labels = format!("statement=\"{}\"", s.name);
        line(out, "steward_database_statement_seconds_sum", &labels, seconds(s.sum_us));
        line(out, "steward_database_statement_seconds_count", &labels, s.count);
    }
    head(
        out,
        "steward_database_statement_errors_total",
        "counter",
        "Statements that ended in an error, refusals included.",
    );
    for s in &metrics.statements {
        line(out, "steward_database_statement_errors_total", &format!("statement=\"{}\"", s.name), s.errors);
    }
    head(out, "steward_database_errors_total", "counter", "Errors of statements by what kind they were.");
    for (class, count) in &metrics.errors {
        line(out, "steward_database_errors_total", &format!("class=\"{class}\""), count);
    }
    head(
        out,
        "steward_database_retries_total",
        "counter",
        "Statements done again after a deadlock or a broken connection.",
    );
    line(out, "steward_database_retries_total", "", metrics.retries);
}

/// A figure of a pool.
type Figure = fn(&PoolMetrics) -> u64;

fn pools(out: &mut String, pools: &[PoolMetrics]) {
    let figures: [(&str, &str, &str, Figure); 6] = [
        ("steward_pool_max_connections", "gauge", "Connections the pool may have.", |p| p.max_size),
        ("steward_pool_connections", "gauge", "Connections that are open.", |p| p.size),
        ("steward_pool_available_connections", "gauge", "Open connections that are free.", |p| p.available),
        ("steward_pool_waiting", "gauge", "Callers that wait for a connection.", |p| p.waiting),
        ("steward_pool_connections_created_total", "counter", "Connections made.", |p| p.created),
        ("steward_pool_connections_closed_total", "counter", "Connections closed.", |p| p.closed),
    ];
    for (name, kind, help, figure) in figures {
        head(out, name, kind, help);
        for pool in pools {
            line(out, name, &format!("pool=\"{}\"", pool.name), figure(pool));
        }
    }
    head(out, "steward_pool_wait_seconds", "histogram", "How long callers waited for a connection.");
    for pool in pools {
        histogram(out, "steward_pool_wait_seconds", &format!("pool=\"{}\"", pool.name), &pool.wait_us, seconds);
    }
}

fn replica(out: &mut String, found: &ReplicaMetrics) {
    head(out, "steward_replica_usable", "gauge", "Whether reads go to the read replica.");
    line(out, "steward_replica_usable", "", u8::from(found.usable));
    if let Some(lag_us) = found.lag_us {
        head(out, "steward_replica_lag_seconds", "gauge", "How far the read replica is behind, at most.");
        line(out, "steward_replica_lag_seconds", "", seconds(lag_us));
    }
    head(out, "steward_replica_reads_total", "counter", "Reads by who answered what the replica might have.");
    line(out, "steward_replica_reads_total", "answered_by=\"replica\"", found.reads);
    line(out, "steward_replica_reads_total", "answered_by=\"primary\"", found.fallbacks);
}

fn writer(out: &mut String, found: &WriterMetrics) {
    head(out, "steward_sqlite_writes_queued", "gauge", "Transactions that wait for the writer.");
    line(out, "steward_sqlite_writes_queued", "", found.queued);
    head(out, "steward_sqlite_commits_total", "counter", "Durable commits by how they ended.");
    line(out, "steward_sqlite_commits_total", "outcome=\"committed\"", found.commits);
    line(out, "steward_sqlite_commits_total", "outcome=\"failed\"", found.failed_commits);
    head(out, "steward_sqlite_commit_transactions", "histogram", "How many transactions shared a commit.");
    histogram(out, "steward_sqlite_commit_transactions", "", &found.batches, |n| n.to_string());
}

/// Whole microseconds as seconds, exactly.
fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing into a String does not fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ =
        if labels.is_empty() { writeln!(out, "{name} {value}") } else { writeln!(out, "{name}{{{labels}}} {value}") };
}

fn histogram(out: &mut String, name: &str, labels: &str, found: &Histogram, shown: fn(u64) -> String) {
    let comma = if labels.is_empty() { "" } else { "," };
    let bucket = format!("{name}_bucket");
    for (bound, count) in &found.buckets {
        line(out, &bucket, &format!("{labels}{comma}le=\"{}\"", shown(*bound)), count);
    }
    line(out, &bucket, &format!("{labels}{comma}le=\"+Inf\""), found.count);
    line(out, &format!("{name}_sum"), labels, shown(found.sum));
    line(out, &format!("{name}_count"), labels, found.count);
}

#[cfg(test)]
mod tests {
    use store::metrics::{Histogram, Metrics, PoolMetrics, ReplicaMetrics, StatementMetrics, WriterMetrics};

    use super::write;

    fn some() -> Metrics {
        let histogram = Histogram { buckets: vec![(100, 1), (2_500_000, 2)], count: 3, sum: 30_000_007 };
        Metrics {
            pools: vec![PoolMetrics {
                name: "primary",
                max_size: 20,
                size: 3,
                available: 1,
                waiting: 0,
                created: 7,
                closed: 4,
                wait_us: histogram.clone(),
            }],
            replica: Some(ReplicaMetrics { usable: true, lag_us: Some(250_000), reads: 5, fallbacks: 2 }),
            writer: Some(WriterMetrics { queued: 2, commits: 9, failed_commits: 1, batches: histogram.clone() }),
            statements: vec![StatementMetrics { name: "tasks/get", count: 2, sum_us: 1500, errors: 1 }],
            latency_us: histogram,
            errors: vec![("busy", 1)],
            retries: 3,
        }
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut text = String::new();
        write(&mut text, &some());
        let mut families = std::collections::BTreeMap::new();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').unwrap();
                assert!(families.insert(name, kind).is_none(), "{name} stands twice");
                continue;
            }
            if line.starts_with('#') {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap_or_else(|e| panic!("{line}: {e}"));
            let name = series.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let kind =
                families.get(family).or_else(|| families.get(name)).unwrap_or_else(|| panic!("{line} has no type"));
            assert_eq!(*kind == "counter", name.ends_with("_total"), "{line}");
        }
        for wanted in [
            "steward_pool_wait_seconds_bucket{pool=\"primary\",le=\"2.500000\"} 2",
            "steward_pool_wait_seconds_bucket{pool=\"primary\",le=\"+Inf\"} 3",
            "steward_pool_wait_seconds_sum{pool=\"primary\"} 30.000007",
            "steward_database_statement_seconds_sum{statement=\"tasks/get\"} 0.001500",
            "steward_sqlite_commit_transactions_bucket{le=\"100\"} 1",
            "steward_replica_lag_seconds 0.250000",
        ] {
            assert!(text.lines().any(|line| line == wanted), "{wanted}\n{text}");
        }
    }
}
