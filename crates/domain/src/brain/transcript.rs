//! The conversation that is sent with a question: the task, each answer as it came, and what came of its calls. Where it
//! would not fit the model's window, of old results (and of the model's own long words) the beginning is kept, with a word about
//! it; the whole of them stays in the journal. What was summed up (`summary`) stands with the task, in the place of its turns.

use serde_json::Value;
use store::{model_turns::ModelTurn, runs::Step};

use super::{Answer, AskedCall, MAX_CALLS, OWN_SERVER, RECALL, REMEMBER, answer_of, step_name, summary, words};
use crate::{memory::Noted, playbook::canonical_json, redact, work::changes_asked};

/// Bytes that are counted as one token: fewer than texts in most languages have, so that the estimate errs on the safe side.
const BYTES_A_TOKEN: usize = 3;
/// Results that are kept whole as long as anything else can go.
const KEPT_RESULTS: usize = 4;
/// What is longer than this, in bytes, is shortened …
const LONG_BYTES: usize = 700;
/// … to so many characters.
const KEPT_CHARS: usize = 200;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// From the person's side.
    User(String),
    /// The model's own answer.
    Model(Answer),
    /// What came of the calls of the answer before it, in their order.
    Results(Vec<CallResult>),
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResult {
    /// The provider's name for the call.
    pub id: String,
    /// The tool's offered name.
    pub name: String,
    /// What the model reads.
    pub text: String,
}

/// The conversation so far, within a window of so many tokens. `None`: even shortened it does not fit.
pub fn transcript(
    task: String,
    turns: &[ModelTurn],
    steps: &[Step],
    mark: &str,
    window_tokens: u64,
) -> Option<Vec<Message>> {
    let (through, beginning) = match summary::newest(steps, mark) {
        Some((through, text)) => (
            Some(through),
            format!(
                "{task}\n\nWhat you did before, summed up to save room (all of it is kept; call again what you need whole):\n{text}"
            ),
        ),
        None => (None, task),
    };
    let mut messages = vec![Message::User(beginning)];
    messages.extend(summary::standing(turns, steps, through).into_iter().flat_map(|turn| of_turn(turn, steps, mark)));
    fit(messages, bytes_of(window_tokens), mark)
}

/// A window's length in bytes.
pub(super) fn bytes_of(window_tokens: u64) -> usize {
    usize::try_from(window_tokens).unwrap_or(usize::MAX).saturating_mul(BYTES_A_TOKEN)
}

/// An answer and what came of it; nothing where there is none.
pub(super) fn of_turn(turn: &ModelTurn, steps: &[Step], mark: &str) -> Vec<Message> {
    let Some(answer) = answer_of(turn) else { return Vec::new() };
    let results: Vec<CallResult> = answer
        .calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            let step = steps.iter().find(|s| s.name == step_name(turn.ordinal, index));
            CallResult { id: call.id.clone(), name: call.name.clone(), text: outcome(call, step, index, mark) }
        })
        .collect();
    let nothing_said = answer.text.trim().is_empty() && answer.calls.is_empty();
    let cut_off = answer.cut_off && answer.calls.is_empty();
    let mut messages = Vec::new();
    if !nothing_said {
        messages.push(Message::Model(answer));
    }
    if !results.is_empty() {
        messages.push(Message::Results(results));
    } else if cut_off {
        messages.push(Message::User("Your answer was cut off. Go on, more briefly.".to_owned()));
    } else if nothing_said {
        messages.push(Message::User("You answered without a word or a call. Go on with the task.".to_owned()));
    }
    messages
}

/// What the model is told of a call.
fn outcome(call: &AskedCall, step: Option<&Step>, index: usize, mark: &str) -> String {
    let Some(step) = step else {
        return if index >= MAX_CALLS {
            format!("not made: at most {MAX_CALLS} calls are made of one answer; ask for it again")
        } else {
            "not made".to_owned()
        };
    };
    let why = || step.error.clone().unwrap_or_else(|| step.state.clone());
    match step.state.as_str() {
        "succeeded" => {
            let result =
                step.result.as_deref().and_then(|r| serde_json::from_str::<Value>(r).ok()).unwrap_or(Value::Null);
            if step.server == OWN_SERVER {
                return match step.tool.as_str() {
                    REMEMBER if result["noted"] == false => "It was known already.".to_owned(),
                    REMEMBER => "It is noted.".to_owned(),
                    RECALL => match serde_json::from_value::<Vec<Noted>>(result["facts"].clone()) {
                        Ok(facts) if !facts.is_empty() => words::remembered(&facts, mark),
                        _ => "Nothing is known of it.".to_owned(),
                    },
                    // A person's own words.
                    _ => format!("The person answers: {}", redact::text(result["answer"].as_str().unwrap_or("yes"))),
                };
            }
            let told = words::result(&step.server, &step.tool, &result, mark);
            // An approval with an edit puts its own arguments into the step.
            if step.arguments == canonical_json(&call.arguments) {
                told
            } else {
                format!("A person changed the arguments; it was called with {}\n{told}", redact::text(&step.arguments))
            }
        }
        "failed" => {
            format!(
                "It failed: {}",
                words::data(mark, &format!("{}.{}", step.server, step.tool), &redact::text(&why()))
            )
        }
        "denied" => match changes_asked(step) {
            // A person's own words.
            Some(words) => format!(
                "It was not done. The person wants it otherwise: {}\nAsk for the call again the way they want it.",
                redact::text(&words)
            ),
            None => format!("It was not done: {}", words::plain(&why())),
        },
        other => format!("It was not done ({other})"),
    }
}

/// The length of a message in bytes, about.
pub(super) fn size(message: &Message) -> usize {
    match message {
        Message::User(text) => text.len(),
        Message::Model(answer) => answer.carried.to_string().len().max(answer.text.len()),
        Message::Results(results) => results.iter().map(|r| r.text.len() + r.id.len() + r.name.len() + 32).sum(),
    }
}

/// Shortens old results, the oldest first, and then the model's own long words, until the rest fits. Calls and their arguments
/// stay as they were.
pub(super) fn fit(mut messages: Vec<Message>, most_bytes: usize, mark: &str) -> Option<Vec<Message>> {
    let mut total: usize = messages.iter().map(size).sum();
    let results = messages.iter().filter(|m| matches!(m, Message::Results(_))).count();
    let answers = messages.iter().filter(|m| matches!(m, Message::Model(_))).count();
    // First results that are old, then all but the last, then the model's own words but for its last.
    for (is_of_results, kept) in [(true, KEPT_RESULTS), (true, 1), (false, 1)] {
        let (all, mut seen) = (if is_of_results { results } else { answers }, 0);
        for message in &mut messages {
            if total <= most_bytes {
                return Some(messages);
            }
            let before = size(message);
            match message {
                Message::Results(list) if is_of_results => {
                    seen += 1;
                    if seen + kept > all {
                        break;
                    }
                    for result in list {
                        shorten(&mut result.text, mark);
                    }
                }
                Message::Model(answer) if !is_of_results => {
                    seen += 1;
                    if seen + kept > all {
                        break;
                    }
                    shorten_answer(answer);
                }
                _ => {}
            }
            total = total - before + size(message);
        }
    }
    (total <= most_bytes).then_some(messages)
}

/// How a result ends of which only the beginning was kept.
const SHORTENED: &str = "only the beginning was kept to save room; call again if you need the rest]";

/// Keeps the beginning of a result. What came from outside stays between its marks.
fn shorten(text: &mut String, mark: &str) {
    if text.len() <= LONG_BYTES || text.ends_with(SHORTENED) {
        return;
    }
    let (bytes, end) = (text.len(), format!("</data {mark}>"));
    // Behind the line that says what it is.
    let from = text.find("<data ").and_then(|at| text[at..].find('\n').map(|line| at + line + 1)).unwrap_or(0);
    let is_marked = text.contains(&end);
    let kept = text[from..].char_indices().nth(KEPT_CHARS).map_or(text.len(), |(at, _)| from + at);
    text.truncate(kept);
    if is_marked {
        text.push_str("…\n");
        text.push_str(&end);
    }
    *text = format!("{text}\n[of this old result, {bytes} bytes, {SHORTENED}");
}

/// Keeps the beginning of what a model said, in its words and in the client's own form of them, and each call.
fn shorten_answer(answer: &mut Answer) {
    if answer.text.len() <= LONG_BYTES {
        return;
    }
    let whole = std::mem::take(&mut answer.text);
    let cut = |text: &str| {
        let kept: String = text.chars().take(KEPT_CHARS).collect();
        format!("{kept}… [the rest was left out to save room]")
    };
    cut_within(&mut answer.carried, &whole, &cut);
    answer.text = cut(&whole);
}

/// Cuts every long text that is a part of `whole`: what else the client's form holds (signed thoughts, arguments) stays.
fn cut_within(value: &mut Value, whole: &str, cut: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) if text.len() > LONG_BYTES && whole.contains(text.as_str()) => *text = cut(text),
        Value::Array(items) => items.iter_mut().for_each(|item| cut_within(item, whole, cut)),
        Value::Object(map) => map.values_mut().for_each(|item| cut_within(item, whole, cut)),
        _ => {}
    }
}
