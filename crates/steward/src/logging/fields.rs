//! What an event and the spans around it say, as the columns of a log line: who, which task, which request, and the rest.

use std::{error::Error, fmt::Debug};

use domain::redact;
use serde_json::{Map, Value};
use store::system_logs::NewLogLine;
use tracing::field::{Field, Visit};

/// Fields kept of an event with its spans.
const FIELDS: usize = 32;
/// Characters kept of a field.
const FIELD_CHARS: usize = 2000;
/// Fields that say why: people read them in the message itself.
const REASONS: [&str; 4] = ["error", "cause", "reason", "result"];

/// Fields by name; an inner span's and the event's own go before an outer one's.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    message: String,
    named: Map<String, Value>,
}

impl Fields {
    /// Takes what a span says; of two values the later one holds. A span's message is its own.
    pub(super) fn take_over(&mut self, other: &Self) {
        for (name, value) in &other.named {
            self.put(name, value.clone());
        }
    }

    fn put(&mut self, name: &str, value: Value) {
        if self.named.len() < FIELDS || self.named.contains_key(name) {
            self.named.insert(name.to_owned(), value);
        }
    }

    /// Whether an error was called critical.
    pub(super) fn is_critical(&self) -> bool {
        self.named.get("critical").is_some_and(|v| *v == Value::Bool(true))
    }

    /// The line. What has a column goes there, why it happened into the message, all else into the metadata; secrets go
    /// nowhere.
    pub(super) fn into_line(mut self, level: &'static str, module: &str) -> NewLogLine {
        self.named.remove("critical");
        let mut line = NewLogLine::new(level, module, "");
        line.user_id = self.column(&["user_id", "user"]).and_then(|v| v.parse().ok());
        line.task_id = self.column(&["task_id", "task"]).and_then(|v| v.parse().ok());
        line.request_id = self.column(&["request_id"]).map(|v| v.chars().take(100).collect());
        line.ip_address = self.column(&["ip_address", "ip"]).and_then(|v| v.parse().ok());
        line.user_agent = self.column(&["user_agent"]);
        let mut metadata = Value::Object(self.named);
        redact::json(&mut metadata);
        let mut message = redact::text(&self.message).into_owned();
        for reason in REASONS {
            if let Some(why) = metadata.get(reason).and_then(Value::as_str) {
                message.push_str(if message.is_empty() { "" } else { ": " });
                message.push_str(why);
            }
        }
        line.message = message;
        line.metadata = metadata;
        line
    }

    /// Takes the first of these fields that has the form of its column: an id, an address, a text without blanks around it.
    fn column(&mut self, names: &[&str]) -> Option<String> {
        let is_fit = |name: &str, value: &str| match name {
            "user_id" | "user" | "task_id" | "task" => value.parse::<uuid::Uuid>().is_ok(),
            "ip_address" | "ip" => value.parse::<std::net::IpAddr>().is_ok(),
            _ => !value.is_empty(),
        };
        let name = names.iter().find(|n| self.named.get(**n).and_then(Value::as_str).is_some_and(|v| is_fit(n, v)))?;
        match self.named.remove(*name) {
            Some(Value::String(value)) => Some(value),
            _ => None,
        }
    }

    fn text(&mut self, field: &Field, value: &str) {
        let value: String = value.chars().take(FIELD_CHARS).map(|c| if c == '\0' { '\u{2400}' } else { c }).collect();
        if field.name() == "message" {
            self.message = value;
        } else {
            self.put(field.name(), Value::String(value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, &value.to_string());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }
}
