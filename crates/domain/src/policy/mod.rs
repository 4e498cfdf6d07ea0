//! The policy: whether a tool call runs by itself, needs a person, or is refused. A pure function over rules, so that
//! it answers alike when a call is planned, when an approval is edited and when a rule is tried out.
//!
//! Rules are tried in order of position and the first that matches decides; where none matches, a person is asked.
//! Nothing that goes wrong ever allows: a rule that cannot be judged makes the call ask, unless a rule below denies it.

pub mod around;
mod condition;
mod named;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use around::{Around, Needs};
pub use condition::{MAX_CONDITION_BYTES, MAX_CONTEXT_BYTES};
use named::Named;

/// How long an approval waits where no rule says: a day, in minutes.
pub const DEFAULT_APPROVAL_TTL_MINUTES: i32 = 1440;
/// The longest that an approval may wait: a year, in minutes.
pub const MAX_APPROVAL_TTL_MINUTES: i32 = 525_600;
/// The longest name of a rule or a server's pattern, in characters.
const MAX_NAME_CHARS: usize = 100;
/// The longest pattern for tools, in characters.
const MAX_TOOL_CHARS: usize = 255;

/// What a rule does with the calls it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The call runs.
    Allow,
    /// A person decides.
    Ask,
    /// The call never runs.
    Deny,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id.
    pub id: Uuid,
    /// Its place, from 1; the lowest is tried first, and of two alike the one with the lower id.
    pub position: i32,
    /// Its name, for people.
    pub name: String,
    /// A pattern over the server's name: `*`, `?`, `{a,b}`; after `~` it is about the name's words.
    pub server: String,
    /// A pattern over the tool's name: `*`, `?`, `{a,b}`; after `~` it is about the name's words, so that `~send_mail` is also
    /// `sendMail` and `Send-Mail`.
    pub tool: String,
    /// A CEL expression over `args` (also `arguments`), `task`, `server`, `tool`, `outside`, `provenance` and `now`; none
    /// always holds.
    pub condition: Option<String>,
    /// Whether an allowing rule also reaches work on content from outside.
    pub outside: bool,
    /// What it does.
    pub effect: Effect,
    /// How long an approval under it waits, in minutes, from 1 to [`MAX_APPROVAL_TTL_MINUTES`].
    pub approval_ttl_minutes: i32,
}

/// A call to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The MCP server's name.
    pub server: &'a str,
    /// The tool's name.
    pub tool: &'a str,
    /// The arguments as they will be sent.
    pub arguments: &'a Value,
    /// Whether the task works on content from outside.
    pub outside: bool,
    /// The task, as conditions see it.
    pub task: &'a Value,
    /// The world around it.
    pub around: Around<'a>,
}

/// What was decided, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What happens with the call.
    pub effect: Effect,
    /// The rule that decided, or that could not be judged; `None` when no rule matched.
    pub rule: Option<(Uuid, String)>,
    /// Why, for people.
    pub reason: String,
    /// How long an approval waits, in minutes.
    pub approval_ttl_minutes: i32,
}

/// Why a rule cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The name is empty or too long.
    #[error("a rule needs a name of 1 to {MAX_NAME_CHARS} characters, without line breaks")]
    Name,
    /// The position is not positive.
    #[error("a rule's position is a whole number from 1; the lowest is tried first")]
    Position,
    /// A pattern cannot be read.
    #[error(
        "the pattern {pattern:?} for {field} cannot be used: {reason}; `*` stands for anything, `{{a,b}}` for a choice"
    )]
    Pattern {
        /// `server` or `tool`.
        field: &'static str,
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// The condition cannot be read.
    #[error("the condition cannot be used: {reason}")]
    Condition {
        /// Why, with line and column where they are known.
        reason: String,
    },
    /// The time an approval waits is out of range.
    #[error("an approval can wait from 1 to {MAX_APPROVAL_TTL_MINUTES} minutes, not {minutes}")]
    ApprovalTtl {
        /// What was asked for.
        minutes: i32,
    },
}

impl PolicyError {
    /// The rule's field that is wrong, by its name in [`Rule`].
    pub fn field(&self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Position => "position",
            Self::Pattern { field, .. } => field,
            Self::Condition { .. } => "condition",
            Self::ApprovalTtl { .. } => "approval_ttl_minutes",
        }
    }
}

/// Whether a rule can be kept: its patterns and its condition can be read, and its numbers are in range.
pub fn validate(rule: &Rule) -> Result<(), PolicyError> {
    let name_chars = rule.name.chars().count();
    if rule.name.trim().is_empty() || name_chars > MAX_NAME_CHARS || rule.name.chars().any(char::is_control) {
        return Err(PolicyError::Name);
    }
    if rule.position < 1 {
        return Err(PolicyError::Position);
    }
    pattern("server", &rule.server)?;
    pattern("tool", &rule.tool)?;
    if !(1..=MAX_APPROVAL_TTL_MINUTES).contains(&rule.approval_ttl_minutes) {
        return Err(PolicyError::ApprovalTtl { minutes: rule.approval_ttl_minutes });
    }
    match &rule.condition {
        Some(source) => condition::check(source).map_err(|reason| PolicyError::Condition { reason }),
        None => Ok(()),
    }
}

/// Whether a rule's two patterns name a tool; what can't be read names every tool.
pub fn names(server_pattern: &str, tool_pattern: &str, server: &str, tool: &str) -> bool {
    let fits = |field, written: &str, name: &str| pattern(field, written).map_or(true, |glob| glob.fits(name));
    fits("server", server_pattern, server) && fits("tool", tool_pattern, tool)
}

/// What must be looked up before a call of this server and tool can be judged.
pub fn needs(rules: &[Rule], server: &str, tool: &str) -> Needs {
    let mut needs = Needs::default();
    for rule in rules {
        if names(&rule.server, &rule.tool, server, tool)
            && let Some(source) = &rule.condition
        {
            condition::needs(source, &mut needs);
        }
    }
    needs
}

/// Judges a call by the rules, whatever order they are given in.
pub fn decide(rules: &[Rule], call: &Call<'_>) -> Verdict {
    let mut rules: Vec<&Rule> = rules.iter().collect();
    rules.sort_by_key(|rule| (rule.position, rule.id));
    // The first rule that could not be judged. From there on only a refusal still counts: had that rule matched, or
    // had it not, the call might have been allowed or not, and nobody knows which.
    let mut unjudged: Option<(&Rule, String)> = None;
    // A rule that would have allowed, had the content not come from outside.
    let mut withheld: Option<&Rule> = None;
    for rule in rules {
        match matches(rule, call) {
            Ok(false) => {}
            Ok(true) if rule.effect == Effect::Allow && call.outside && !rule.outside => {
                withheld.get_or_insert(rule);
            }
            Ok(true) if rule.effect == Effect::Deny => {
                return verdict(Effect::Deny, rule, format!("rule {:?} denies {}", rule.name, name_of(call)));
            }
            Ok(true) if unjudged.is_some() => break,
            Ok(true) if rule.effect == Effect::Allow => {
                return verdict(Effect::Allow, rule, format!("rule {:?} allows {}", rule.name, name_of(call)));
            }
            Ok(true) => {
                let reason = format!("rule {:?} wants a person to decide about {}", rule.name, name_of(call));
                return verdict(Effect::Ask, rule, with_withheld(reason, withheld));
            }
            Err(reason) => {
                unjudged.get_or_insert((rule, reason));
            }
        }
    }
    if let Some((rule, reason)) = unjudged {
        let reason =
            format!("rule {:?} could not be judged ({reason}), so a person decides about {}", rule.name, name_of(call));
        return verdict(Effect::Ask, rule, reason);
    }
    Verdict {
        effect: Effect::Ask,
        rule: None,
        reason: with_withheld(format!("no rule decides about {}, so a person does", name_of(call)), withheld),
        approval_ttl_minutes: DEFAULT_APPROVAL_TTL_MINUTES,
    }
}

/// Whether a rule matches, its flag for outside content aside; an error where that cannot be known.
fn matches(rule: &Rule, call: &Call<'_>) -> Result<bool, String> {
    // Both patterns are read before either decides: a broken rule is never taken for one that does not apply.
    let server = pattern("server", &rule.server).map_err(|error| error.to_string())?;
    let tool = pattern("tool", &rule.tool).map_err(|error| error.to_string())?;
    if !server.fits(call.server) || !tool.fits(call.tool) {
        return Ok(false);
    }
    // Not needed, and so not risked: what this rule would allow is withheld anyway.
    if rule.effect == Effect::Allow && call.outside && !rule.outside {
        return Ok(rule.condition.is_none()
            || rule.condition.as_deref().is_some_and(|c| condition::holds(c, call).unwrap_or(false)));
    }
    match &rule.condition {
        Some(source) => condition::holds(source, call),
        None => Ok(true),
    }
}

fn pattern(field: &'static str, pattern: &str) -> Result<Named, PolicyError> {
    let limit = if field == "server" { MAX_NAME_CHARS } else { MAX_TOOL_CHARS };
    let refused = |reason: String| PolicyError::Pattern { field, pattern: pattern.to_owned(), reason };
    if pattern.is_empty() {
        return Err(refused("it is empty".to_owned()));
    }
    if pattern.chars().count() > limit {
        return Err(refused(format!("it is longer than {limit} characters")));
    }
    Named::new(pattern).map_err(refused)
}

fn verdict(effect: Effect, rule: &Rule, reason: String) -> Verdict {
    // A rule that was never validated may carry any number; an approval is still bounded.
    let approval_ttl_minutes = rule.approval_ttl_minutes.clamp(1, MAX_APPROVAL_TTL_MINUTES);
    Verdict { effect, rule: Some((rule.id, rule.name.clone())), reason, approval_ttl_minutes }
}

fn name_of(call: &Call<'_>) -> String {
    format!("{}.{}", call.server, call.tool)
}

fn with_withheld(reason: String, withheld: Option<&Rule>) -> String {
    match withheld {
        Some(rule) => format!("{reason}; rule {:?} would allow it, but not for content from outside", rule.name),
        None => reason,
    }
}
