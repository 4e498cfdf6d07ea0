//! Whether Steward is alive and ready, and figures for Prometheus.

use std::{
    fmt::Write,
    sync::{LazyLock, atomic::Ordering},
    time::Duration,
};

use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use store::{Actor, approvals, mcp_servers, watchers};
use uuid::Uuid;

use crate::app::App;

/// How long the database has to answer a probe.
const PROBE: Duration = Duration::from_secs(2);
/// Open approvals are counted up to here.
const COUNTED: i64 = 1000;

/// What the process is called in its answers to `/healthz`.
const INSTANCE: HeaderName = HeaderName::from_static("x-steward-instance");

/// A name of this process that no other one has, and that says nothing else. Whoever finds it noted in a data folder knows
/// that it is that folder's Steward which answers.
pub fn instance() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| Uuid::new_v4().to_string());
    &NAME
}

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> impl IntoResponse {
    ([(INSTANCE, instance())], "alive\n")
}

async fn database_answers(app: &App) -> bool {
    matches!(tokio::time::timeout(PROBE, app.store().ping()).await, Ok(Ok(())))
}

/// `GET /readyz`: the database answers.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    if database_answers(&app).await {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "not ready: the database does not answer\n")
        .into_response()
}

/// `GET /metrics`
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let body = figures(&app).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response()
}

async fn figures(app: &App) -> String {
    let mut out = String::new();
    let version = app.state.version;
    gauge(
        &mut out,
        "steward_build_info",
        "Version and database of this Steward.",
        &[(format!("version=\"{version}\",database=\"{}\"", app.store().engine_name()), 1)],
    );
    gauge(
        &mut out,
        "steward_start_time_seconds",
        "When it started (Unix time).",
        &[(String::new(), app.started_at.as_second())],
    );
    let is_up = database_answers(app).await;
    gauge(&mut out, "steward_database_up", "Whether the database answers.", &[(String::new(), i64::from(is_up))]);
    let streams = i64::try_from(app.events.open()).unwrap_or(i64::MAX);
    gauge(&mut out, "steward_event_streams", "Streams of events that are open here.", &[(String::new(), streams)]);
    if is_up {
        counts(app, &mut out).await;
    }
    crate::database_figures::write(&mut out, &app.store().metrics());
    crate::cache_figures::write(&mut out, app.store());
    let classes: Vec<(String, i64)> = (1..)
        .zip(&app.answers)
        .map(|(class, n)| {
            (format!("class=\"{class}xx\""), i64::try_from(n.load(Ordering::Relaxed)).unwrap_or(i64::MAX))
        })
        .collect();
    family(&mut out, "steward_http_responses_total", "counter", "Answers by class of status.", &classes);
    out
}

/// Figures from the database; one that can't be read is left out rather than told as zero.
async fn counts(app: &App, out: &mut String) {
    let service = Actor::service();
    let (open, servers, watchers) = tokio::join!(
        approvals::list(&service, app.store(), Some("pending"), None, None, COUNTED),
        mcp_servers::list(&service, app.store()),
        watchers::list(&service, app.store()),
    );
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    if let Ok(open) = open {
        gauge(
            out,
            "steward_approvals_pending",
            "Approvals that wait for a person (counted up to 1000).",
            &[(String::new(), count(open.len()))],
        );
    }
    if let Ok(servers) = servers {
        let states = ["active", "inactive", "error"].map(|s| {
            (format!("status=\"{s}\""), count(servers.iter().filter(|v| v.is_active && v.status == s).count()))
        });
        gauge(out, "steward_servers", "Servers that are to run, by status.", &states);
    }
    if let Ok(watchers) = watchers {
        let failing = watchers.iter().filter(|w| w.is_active && w.error_count > 0).count();
        gauge(out, "steward_watchers_failing", "Watchers whose last look failed.", &[(String::new(), count(failing))]);
    }
}

fn gauge(out: &mut String, name: &str, help: &str, samples: &[(String, i64)]) {
    family(out, name, "gauge", help, samples);
}

fn family(out: &mut String, name: &str, kind: &str, help: &str, samples: &[(String, i64)]) {
    // Writing into a String does not fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = if labels.is_empty() {
            writeln!(out, "{name} {value}")
        } else {
            writeln!(out, "{name}{{{labels}}} {value}")
        };
    }
}
