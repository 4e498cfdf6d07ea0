//! Where log events go: to the terminal for whoever runs the process, and to `system_logs` for whoever looks later.

mod fields;
#[cfg(test)]
mod tests;

use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FilterFn, layer::Context, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};
use workers::logs::{self, LogQueue};

use self::fields::Fields;
use crate::{Error, Result, config::LogLevel};

/// Events of these modules are Steward's own and go to the database. (What the drivers of databases and of HTTP say goes to
/// the terminal alone: it may hold what was sent.)
const OURS: [&str; 6] = ["steward", "web", "workers", "tools", "domain", "store"];

/// Starts logging: to stderr as `STEWARD_LOG` (default `warn,steward=info`) says; when `queue` is given, Steward's own
/// events from that level up also to the database.
/// An error where `STEWARD_LOG` says what can't be.
pub fn start(queue: Option<(LogQueue, LogLevel)>) -> Result<()> {
    let filter = match std::env::var_os("STEWARD_LOG").filter(|said| !said.is_empty()) {
        None => EnvFilter::new("warn,steward=info,workers=info"),
        Some(said) => wanted(&said.to_string_lossy())?,
    };
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let terminal = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(true)
        .with_filter(filter);
    let database = queue.map(|(queue, least)| database(queue, least));
    let started = tracing_subscriber::registry().with(terminal).with(database).try_init();
    if let Err(e) = started {
        eprintln!("logging could not be started: {e}");
    }
    Ok(())
}

/// What `STEWARD_LOG` asks for. A word alone is a level or one of Steward's own modules: whoever writes `verbose` means no
/// module of that name, and would see nothing.
fn wanted(said: &str) -> Result<EnvFilter> {
    let fail = |why: String| {
        Error::Config(format!(
            "STEWARD_LOG={said} can't be read: {why}; write a level (error, warn, info, debug, trace, off) or pairs like steward=debug,store=trace"
        ))
    };
    for part in said.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let is_known = part.contains(['=', '[', ':'])
            || part.parse::<tracing::level_filters::LevelFilter>().is_ok()
            || OURS.contains(&part);
        if !is_known {
            return Err(fail(format!("{part} is no level")));
        }
    }
    EnvFilter::builder().parse(said).map_err(|e| fail(e.to_string()))
}

/// The layer that hands Steward's own events from `least` up to the queue. Spans are followed whatever their level: they
/// say whose request and which task an event belongs to.
fn database<S: Subscriber + for<'a> LookupSpan<'a>>(queue: LogQueue, least: LogLevel) -> impl Layer<S> {
    let lightest = least.tracing();
    let wanted = move |event: &Metadata<'_>| is_ours(event) && (event.is_span() || *event.level() <= lightest);
    DatabaseLayer { queue, least }.with_filter(FilterFn::new(wanted))
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    OURS.contains(&target.split("::").next().unwrap_or(target))
}

struct DatabaseLayer {
    queue: LogQueue,
    least: LogLevel,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for DatabaseLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // What writing log lines has to say would otherwise be written, and have something to say again.
        if logs::is_writing() {
            return;
        }
        let mut fields = Fields::default();
        if let Some(spans) = context.event_scope(event) {
            for span in spans.from_root() {
                if let Some(of_span) = span.extensions().get::<Fields>() {
                    fields.take_over(of_span);
                }
            }
        }
        event.record(&mut fields);
        let level = level(*event.metadata().level(), fields.is_critical());
        if level >= self.least {
            self.queue.offer(fields.into_line(level.name(), event.metadata().target()));
        }
    }
}

/// The specification's level of an event: TRACE and DEBUG are `debug`, an ERROR that says `critical = true` is `critical`.
fn level(level: Level, is_critical: bool) -> LogLevel {
    match level {
        Level::ERROR if is_critical => LogLevel::Critical,
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warning,
        Level::INFO => LogLevel::Info,
        Level::DEBUG | Level::TRACE => LogLevel::Debug,
    }
}
