//! What the owner says of language models: which there are, what each costs, which one does what, and how much they may
//! use up. Read from `models.toml` by the program; here it is checked.

use std::{collections::BTreeMap, path::PathBuf};

use domain::brain::limits::Limits;
use serde::Deserialize;

/// Models at most.
const MAX_MODELS: usize = 50;
/// The longest name of a model in the settings; the providers' own names may be as long.
const MAX_NAME_CHARS: usize = 60;

/// Whose protocol a model speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Anthropic's messages.
    Anthropic,
    /// `OpenAI`'s chat completions, and whatever speaks alike: llama.cpp, vLLM, LM Studio.
    #[serde(rename = "openai")]
    OpenAi,
    /// Google's Gemini.
    Gemini,
    /// Ollama's own protocol.
    Ollama,
}

impl Provider {
    /// Its name, as in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }
}

/// A model that may be asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Whose protocol it speaks.
    pub provider: Provider,
    /// The provider's name of it.
    pub model: String,
    /// Where it is, as in `http://127.0.0.1:8080/v1/`; the provider's own address where nothing is said.
    #[serde(default)]
    pub url: Option<String>,
    /// A file that holds the key and nothing else.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The environment variable that holds the key.
    #[serde(default)]
    pub key_env: Option<String>,
    /// Tokens that question and answer may have together, 2000–10000000.
    #[serde(default = "window")]
    pub window_tokens: u64,
    /// Tokens of an answer at most, 100–200000.
    #[serde(default = "answer")]
    pub answer_tokens: u32,
    /// US dollars for a million tokens read.
    #[serde(default)]
    pub input_usd_per_mtok: f64,
    /// US dollars for a million tokens read from the provider's cache; as for others where nothing is said.
    #[serde(default)]
    pub cached_usd_per_mtok: Option<f64>,
    /// US dollars for a million tokens written.
    #[serde(default)]
    pub output_usd_per_mtok: f64,
    /// Seconds that an answer may take in all, 1–3600.
    #[serde(default = "timeout")]
    pub timeout_s: u64,
}

fn window() -> u64 {
    128_000
}
fn answer() -> u32 {
    8_000
}
fn timeout() -> u64 {
    300
}

/// Who does what.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// The model that is asked where nothing else is said.
    pub default: String,
    /// The model that is asked when another can't be reached, or refuses.
    #[serde(default)]
    pub fallback: Option<String>,
    /// Models by the task's kind (`kind` of its metadata).
    #[serde(default)]
    pub kinds: BTreeMap<String, String>,
}

/// All of `models.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The models, by the owner's names for them.
    pub models: BTreeMap<String, Model>,
    /// Who does what.
    #[serde(rename = "use")]
    pub roles: Use,
    /// What they may use up.
    #[serde(default)]
    pub limits: Limits,
}

impl Settings {
    /// What is wrong, in a sentence that names the place.
    pub fn check(&self) -> Result<(), String> {
        if self.models.is_empty() || self.models.len() > MAX_MODELS {
            return Err(format!("[models] must hold 1 to {MAX_MODELS} models"));
        }
        for (name, model) in &self.models {
            check_model(model).map_err(|why| format!("[models.{name}] {why}"))?;
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(fits) {
                return Err(format!(
                    "[models] has the name {name:?}; use 1 to {MAX_NAME_CHARS} letters, digits, '-', '_', '.'"
                ));
            }
        }
        let roles = [("default", Some(&self.roles.default)), ("fallback", self.roles.fallback.as_ref())];
        let kinds = self.roles.kinds.iter().map(|(kind, model)| (kind.as_str(), Some(model)));
        for (role, model) in roles.into_iter().chain(kinds) {
            if let Some(model) = model.filter(|m| !self.models.contains_key(*m)) {
                return Err(format!("[use] {role} names the model {model:?}, which is not under [models]"));
            }
        }
        match self.limits.wrong() {
            Some((name, range)) => Err(format!("[limits] {name} must be {range}")),
            None => Ok(()),
        }
    }
}

fn check_model(model: &Model) -> Result<(), String> {
    let price = |usd: f64| usd.is_finite() && (0.0..=100_000.0).contains(&usd);
    if model.model.trim().is_empty() || model.model.chars().count() > 100 {
        return Err("model must be the provider's name of it, 1 to 100 characters".to_owned());
    }
    if let Some(url) = &model.url
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        return Err("url must begin with http:// or https://".to_owned());
    }
    if model.key_file.is_some() && model.key_env.is_some() {
        return Err("says both key_file and key_env; say one".to_owned());
    }
    if !(2_000..=10_000_000).contains(&model.window_tokens) {
        return Err("window_tokens must be 2000 to 10000000".to_owned());
    }
    if !(100..=200_000).contains(&model.answer_tokens) || u64::from(model.answer_tokens) * 2 > model.window_tokens {
        return Err("answer_tokens must be 100 to 200000, and at most half of window_tokens".to_owned());
    }
    let prices = [model.input_usd_per_mtok, model.output_usd_per_mtok, model.cached_usd_per_mtok.unwrap_or(0.0)];
    if !prices.into_iter().all(price) {
        return Err("prices must be 0 to 100000 dollars for a million tokens".to_owned());
    }
    if !(1..=3_600).contains(&model.timeout_s) {
        return Err("timeout_s must be 1 to 3600 seconds".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Settings;

    fn read(text: &str) -> Result<(), String> {
        toml::from_str::<Settings>(text).map_err(|e| e.message().to_owned())?.check()
    }

    const RIGHT: &str = "[models.main]\nprovider = \"anthropic\"\nmodel = \"m\"\n[use]\ndefault = \"main\"\n";

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(read(RIGHT), Ok(()));
        for (more, named) in [
            ("fallback = \"other\"\n", "fallback names the model \"other\""),
            ("[limits]\ntask_steps = 0\n", "task_steps must be 1 to 1000"),
            ("[limits]\nday_usd = -1.0\n", "day_usd must be"),
            ("[limits]\nday_minutes = 0\n", "day_minutes must be"),
            ("[limits]\nnonsense = 1\n", "nonsense"),
            ("[models.x]\nprovider = \"nobody\"\nmodel = \"m\"\n", "nobody"),
            ("[models.x]\nprovider = \"openai\"\nmodel = \"m\"\nurl = \"ftp://x\"\n", "[models.x] url"),
            ("[models.x]\nprovider = \"gemini\"\nmodel = \"m\"\nkey_env = \"K\"\nkey_file = \"f\"\n", "say one"),
            (
                "[models.x]\nprovider = \"ollama\"\nmodel = \"m\"\nwindow_tokens = 4000\nanswer_tokens = 4000\n",
                "half of window_tokens",
            ),
        ] {
            let said = read(&format!("{RIGHT}{more}")).unwrap_err();
            assert!(said.contains(named), "{more}: {said}");
        }
    }
}
