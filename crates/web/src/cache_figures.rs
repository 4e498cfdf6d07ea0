//! The figures of the caches, of Redis and of the signals in Prometheus' text format.

use std::fmt::Write;

use store::{
    Store,
    cache::{BreakerState, CacheFigures, RedisFigures},
    signals::Counts,
};

/// Writes all of them.
pub(crate) fn write(out: &mut String, store: &Store) {
    caches(out, &store.cache_figures());
    if let Some(found) = store.cache_figures().redis {
        redis(out, &found);
    }
    signals(out, &store.signal_counts());
}

fn caches(out: &mut String, found: &CacheFigures) {
    let kinds = |of: fn(&store::cache::KindFigures) -> u64| {
        found.kinds.iter().map(|kind| (format!("{{cache=\"{}\"}}", kind.name), of(kind))).collect::<Vec<_>>()
    };
    family(out, "steward_cache_hits_total", "counter", "Answers that were remembered.", &kinds(|k| k.hits));
    family(out, "steward_cache_misses_total", "counter", "Answers read from the database.", &kinds(|k| k.misses));
    one(
        out,
        "steward_cache_trusting",
        "gauge",
        "Whether remembered answers are believed now.",
        found.is_trusting.into(),
    );
    let waiting = u64::try_from(found.uses_waiting).unwrap_or(u64::MAX);
    one(out, "steward_session_uses_waiting", "gauge", "Uses of sessions that wait to be written.", waiting);
}

fn redis(out: &mut String, found: &RedisFigures) {
    let states = [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open]
        .map(|state| (format!("{{state=\"{}\"}}", state.as_str()), u64::from(found.breaker == state)));
    family(out, "steward_redis_breaker", "gauge", "The state of the breaker before Redis is 1.", &states);
    one(out, "steward_redis_breaker_openings_total", "counter", "How often the breaker opened.", found.openings);
    let failures = [("timeout", found.timeouts), ("connection", found.disconnections), ("answer", found.errors)]
        .map(|(kind, count)| (format!("{{kind=\"{kind}\"}}"), count));
    family(
        out,
        "steward_redis_errors_total",
        "counter",
        "Answers of Redis that did not come or were errors.",
        &failures,
    );
}

fn signals(out: &mut String, found: &Counts) {
    one(out, "steward_signals_sent_total", "counter", "Wake-ups sent to other processes.", found.sent);
    one(out, "steward_signals_received_total", "counter", "Signals that came from the database.", found.received);
    one(out, "steward_signals_reconnects_total", "counter", "How often listening broke off.", found.reconnects);
    one(out, "steward_signals_listening", "gauge", "Whether signals arrive now.", found.is_listening.into());
}

fn one(out: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    family(out, name, kind, help, &[(String::new(), value)]);
}

fn family(out: &mut String, name: &str, kind: &str, help: &str, samples: &[(String, u64)]) {
    // Writing into a String does not fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(out, "{name}{labels} {value}");
    }
}
