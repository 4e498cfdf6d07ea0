//! Where log events go: to the terminal for whoever runs the process, and to `system_logs` for whoever looks later.

use std::fmt::Write;

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer, layer::Context, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};
use workers::logs::LogQueue;

/// Events of these modules are Steward's own and go to the database.
const OURS: [&str; 6] = ["steward", "web", "workers", "tools", "domain", "store"];

/// Starts logging: to stderr as `STEWARD_LOG` (default `warn,steward=info`) says; when `queue` is given, Steward's own
/// events from `info` up also to the database.
pub fn start(queue: Option<LogQueue>) {
    let filter =
        EnvFilter::try_from_env("STEWARD_LOG").unwrap_or_else(|_| EnvFilter::new("warn,steward=info,workers=info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let terminal = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(true)
        .with_filter(filter);
    let started = tracing_subscriber::registry().with(terminal).with(queue.map(DatabaseLayer)).try_init();
    if let Err(e) = started {
        eprintln!("logging could not be started: {e}");
    }
}

struct DatabaseLayer(LogQueue);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for DatabaseLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        let own = OURS.contains(&target.split("::").next().unwrap_or(target));
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => return,
        };
        if own {
            let mut words = Words::default();
            event.record(&mut words);
            self.0.push(level, target, &format!("{}{}", words.message, words.fields), None);
        }
    }
}

/// The message and its fields as one readable line.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String does not fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
