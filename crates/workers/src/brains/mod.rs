//! Language models: the owner's settings for them, and asking one of them one question. What is asked, and what follows
//! from the answer, is `domain::brain`'s and the employee's; nothing here decides about a call.

mod client;
pub mod settings;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::brain::{Answer, limits::Limits, transcript::Message};
use secrecy::SecretString;
use store::model_turns::TurnEnd;

pub use self::settings::{Model, Provider, Settings};

/// The largest key, in bytes.
const MAX_KEY_BYTES: u64 = 10_000;

/// The kind whose model sums up old turns.
const SUMMARY: &str = "summary";

/// The models that may be asked. Cloning shares them.
#[derive(Clone)]
pub struct Brains(Arc<Inner>);

struct Inner {
    settings: Settings,
    keys: BTreeMap<String, SecretString>,
    client: genai::Client,
}

impl std::fmt::Debug for Brains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brains").field("models", &self.0.settings.models.keys()).finish_non_exhaustive()
    }
}

/// A tool as it is offered with a question.
#[derive(Debug, Clone)]
pub struct OfferedTool {
    /// Its offered name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub schema: serde_json::Value,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is told first.
    pub system: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// What may be called.
    pub tools: Vec<OfferedTool>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Words and calls.
    pub answer: Answer,
    /// The model that answered, as the provider names it.
    pub served_by: String,
}

/// What a question used, whatever became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// Tokens read.
    pub input_tokens: u64,
    /// Of these from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Whether the provider told no count of both, so that it is estimated from lengths.
    pub is_estimated: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// It may be different in a while: too many questions, an overloaded or unreachable provider, an answer cut off.
    Later {
        /// What happened, for people.
        reason: String,
        /// When the provider wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It will not be different: a wrong key, an unknown model, a question that is refused.
    Never {
        /// What happened, for people.
        reason: String,
    },
}

impl NoAnswer {
    /// What happened.
    pub fn reason(&self) -> &str {
        match self {
            Self::Later { reason, .. } | Self::Never { reason } => reason,
        }
    }
}

impl Brains {
    /// Reads the keys. Blocking. The error is a sentence that says what is wrong with the settings.
    pub fn open(settings: Settings) -> Result<Self, String> {
        settings.check()?;
        // Whoever was first to choose one for the process has chosen the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut keys = BTreeMap::new();
        for (name, model) in &settings.models {
            if let Some(key) = read_key(model).map_err(|why| format!("[models.{name}] {why}"))? {
                keys.insert(name.clone(), key);
            }
        }
        Ok(Self(Arc::new(Inner { client: client::client()?, settings, keys })))
    }

    /// The owner's settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What may be used up.
    pub fn limits(&self) -> &Limits {
        &self.0.settings.limits
    }

    /// A model by its name in the settings.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.0.settings.models.get(name)
    }

    /// The model for a task of this kind.
    pub fn choose(&self, kind: Option<&str>) -> &str {
        let roles = &self.0.settings.roles;
        kind.and_then(|kind| roles.kinds.get(kind)).unwrap_or(&roles.default)
    }

    /// The model that sums up in the place of another: the one that is named for the kind `summary`, else itself.
    pub fn for_summaries<'a>(&'a self, model: &'a str) -> &'a str {
        self.0.settings.roles.kinds.get(SUMMARY).map_or(model, String::as_str)
    }

    /// The model to ask in the place of one that does not answer.
    pub fn fallback(&self, model: &str) -> Option<&str> {
        self.0.settings.roles.fallback.as_deref().filter(|f| *f != model)
    }

    /// Asks a model by its name in the settings. Bounded in time (the model's `timeout_s`) and in what is read. What it used
    /// stands in `meter`, also where no answer came.
    pub async fn ask(&self, name: &str, question: Question, meter: &mut Meter) -> Result<Answered, NoAnswer> {
        let Some(model) = self.model(name) else {
            let reason = format!("the model {name} is no longer in the settings (models.toml)");
            return Err(NoAnswer::Never { reason });
        };
        let key = self.0.keys.get(name);
        let asked = client::ask(&self.0.client, model, key, question, meter);
        match tokio::time::timeout(Duration::from_secs(model.timeout_s), asked).await {
            Ok(answered) => answered,
            Err(_) => Err(NoAnswer::Later {
                reason: format!("the model {name} did not answer within {} seconds", model.timeout_s),
                retry_after: None,
            }),
        }
    }

    /// What a question cost by the owner's prices, in millionths of a US dollar, rounded up.
    pub fn cost_microusd(&self, name: &str, used: &Meter) -> i64 {
        let Some(model) = self.model(name) else { return 0 };
        let fresh = used.input_tokens.saturating_sub(used.cached_tokens);
        let cached_price = model.cached_usd_per_mtok.unwrap_or(model.input_usd_per_mtok);
        // Dollars for a million tokens are millionths of a dollar for one.
        #[allow(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let cost = fresh as f64 * model.input_usd_per_mtok
            + used.cached_tokens as f64 * cached_price
            + used.output_tokens as f64 * model.output_usd_per_mtok;
        #[allow(clippy::cast_possible_truncation, reason = "prices and counts are bounded, and the cast saturates")]
        let rounded = cost.ceil() as i64;
        rounded.max(0)
    }

    /// How a turn ends that used so much: with an answer, or with the reason why there is none.
    pub fn turn_end(
        &self,
        name: &str,
        used: &Meter,
        came: Result<&Answered, String>,
    ) -> Result<TurnEnd, serde_json::Error> {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let (answered, error) = match came {
            Ok(answered) => (Some(answered), None),
            Err(why) if used.is_estimated => (None, Some(format!("{why} (what it used is estimated)"))),
            Err(why) => (None, Some(why)),
        };
        Ok(TurnEnd {
            served_by: answered.map(|a| a.served_by.chars().take(200).collect()),
            answer: answered.map(|a| serde_json::to_string(&a.answer)).transpose()?,
            input_tokens: count(used.input_tokens),
            cached_tokens: count(used.cached_tokens),
            output_tokens: count(used.output_tokens),
            cost_microusd: self.cost_microusd(name, used),
            error,
        })
    }
}

fn read_key(model: &Model) -> Result<Option<SecretString>, String> {
    let text = if let Some(file) = &model.key_file {
        let fail = |e: std::io::Error| format!("key_file {} can't be read: {e}", file.display());
        if std::fs::metadata(file).map_err(fail)?.len() > MAX_KEY_BYTES {
            return Err(format!("key_file {} is too large to be a key", file.display()));
        }
        std::fs::read_to_string(file).map_err(fail)?
    } else if let Some(variable) = &model.key_env {
        std::env::var(variable)
            .map_err(|_| format!("the environment variable {variable}, named by key_env, is not set"))?
    } else {
        return Ok(None);
    };
    let key = text.trim();
    if key.is_empty() || key.chars().any(char::is_control) {
        return Err("the key is empty, or more than one line".to_owned());
    }
    Ok(Some(SecretString::from(key.to_owned())))
}
