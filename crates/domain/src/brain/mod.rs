//! Work led by a language model, as a pure function of what is written down: the turns (questions and answers) and the
//! steps (calls and what came of them). It says what is due next, so that it answers the same before and after a crash.
//!
//! The model only ever proposes. Each call it asks for becomes a step, and meets the tool's approval, its schema, the
//! policy and, where these say so, a person, exactly like a playbook's. What the model reads from outside is marked as
//! data ([`words`]); what it may use up is bounded ([`limits`]).

pub mod limits;
pub mod names;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod transcript;
pub mod words;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{model_turns::ModelTurn, runs::Step};

/// How the `playbook` of a run begins that a model leads; behind it stands the model's name. No playbook has such a name.
pub const RUN_PREFIX: &str = "model:";
/// What stands for the server in steps that Steward itself answers: questions to a person.
pub const OWN_SERVER: &str = "steward";
/// Asks a person something; the note of the decision is the answer.
pub const ASK_PERSON: &str = "ask_person";
/// Notes a fact.
pub const REMEMBER: &str = "remember";
/// Looks for facts.
pub const RECALL: &str = "recall";
/// Ends the work because it can't be done.
pub const GIVE_UP: &str = "give_up";
/// The step in which a person grants more than a limit.
pub const GRANT_MORE: &str = "grant_more";
/// The step in which old turns are summed up ([`summary`]).
pub const SUM_UP: &str = "sum_up";
/// Calls in one answer at most; further ones are told to the model as not made.
pub const MAX_CALLS: usize = 16;
/// Why a turn failed whose process stopped while it was under way.
pub const CUT_OFF: &str = "Steward stopped before the answer came; it may have been paid for";
/// Answers in a row that hold neither words nor calls, before the work is given up.
const MAX_EMPTY: usize = 3;
/// Questions and steps that the journal of one run holds at most, whatever a person grants: no more of them are read.
pub const MOST_IN_RUN: usize = 1000;

/// A call that a model asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedCall {
    /// The provider's name for this call, sent back with its result.
    pub id: String,
    /// The name under which the tool was offered.
    pub name: String,
    /// Its arguments; text where the model wrote what is no JSON object.
    pub arguments: Value,
}

/// What a model answered, as it is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Its words.
    pub text: String,
    /// The calls it asks for, in order.
    #[serde(default)]
    pub calls: Vec<AskedCall>,
    /// Whether it stopped because it had written as much as it may.
    #[serde(default)]
    pub cut_off: bool,
    /// Whether the provider told no count of tokens, so that those that are booked are estimated.
    #[serde(default)]
    pub estimated: bool,
    /// The answer in the client's own form, sent back unchanged with the next question.
    #[serde(default)]
    pub carried: Value,
}

/// What is due next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The model is asked (again).
    Ask,
    /// A call of the last answer is next: its step's name, and the call.
    Call {
        /// `turn 2 call 1`: unique within the run.
        step: String,
        /// What the model asks for.
        call: AskedCall,
    },
    /// The work is done, in the model's words.
    Finish {
        /// What was done.
        words: String,
    },
    /// The work can't be done.
    GiveUp {
        /// Why.
        reason: String,
    },
}

/// Whether a model leads the run of this playbook's name, and which.
pub fn leading_model(playbook: &str) -> Option<&str> {
    playbook.strip_prefix(RUN_PREFIX)
}

/// The name of the step for a call: counted from 1.
pub fn step_name(turn: i32, call: usize) -> String {
    format!("turn {turn} call {}", call + 1)
}

/// The answer of a turn; none where it has none or it can't be read (then it is asked again).
pub fn answer_of(turn: &ModelTurn) -> Option<Answer> {
    turn.answer.as_deref().and_then(|text| serde_json::from_str(text).ok())
}

/// What is due, given everything that is written down. No step may be open. A run whose journal is full is given up.
pub fn next(turns: &[ModelTurn], steps: &[Step]) -> Next {
    let due = due(turns, steps);
    let goes_on = matches!(due, Next::Ask | Next::Call { .. });
    let full =
        [(turns.len(), "questions"), (steps.len(), "steps")].into_iter().find(|(count, _)| *count >= MOST_IN_RUN);
    match full.filter(|_| goes_on) {
        Some((count, what)) => Next::GiveUp {
            reason: format!(
                "this work has had {count} {what}, which is as many as one run can hold; look at what is done, and give \
                 the rest as a new task"
            ),
        },
        None => due,
    }
}

fn due(turns: &[ModelTurn], steps: &[Step]) -> Next {
    let turns = summary::standing(turns, steps, None);
    let answered: Vec<(&ModelTurn, Answer)> = turns.into_iter().filter_map(|t| answer_of(t).map(|a| (t, a))).collect();
    let Some((turn, answer)) = answered.last() else { return Next::Ask };
    for (index, call) in answer.calls.iter().take(MAX_CALLS).enumerate() {
        let step = step_name(turn.ordinal, index);
        if !steps.iter().any(|s| s.name == step) {
            if call.name == GIVE_UP {
                let reason = call.arguments.get("reason").and_then(Value::as_str).unwrap_or_default().trim();
                let reason = if reason.is_empty() { "the model gave up without a word" } else { reason };
                return Next::GiveUp { reason: reason.to_owned() };
            }
            return Next::Call { step, call: call.clone() };
        }
    }
    if !answer.calls.is_empty() || answer.cut_off {
        return Next::Ask;
    }
    let words = answer.text.trim();
    if !words.is_empty() {
        return Next::Finish { words: words.to_owned() };
    }
    let empty = answered.iter().rev().take_while(|(_, a)| a.calls.is_empty() && a.text.trim().is_empty()).count();
    if empty >= MAX_EMPTY {
        return Next::GiveUp { reason: format!("the model answered {empty} times without a word or a call") };
    }
    Next::Ask
}
