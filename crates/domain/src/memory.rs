//! Facts that the employee remembers: told by people, or learned at work. Each keeps its source; what was learned from outside
//! content is data for ever, whatever it says.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::{
    Actor, Run, Store,
    memories::{self, Memory, NewMemory},
};
use uuid::Uuid;

use crate::{Error, Result, deceit, redact};

/// The longest fact, in characters.
pub const MAX_CHARS: usize = 1000;
/// Facts for one person's work, everybody's counted.
pub const MOST: usize = 1000;
/// Facts that a model is told when its work begins …
const TOLD: usize = 20;
/// … and bytes of them.
const TOLD_BYTES: usize = 8_000;
/// Facts that are found at once.
const FOUND: usize = 20;

/// A fact as a model is told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noted {
    /// Its id.
    pub id: Uuid,
    /// The fact.
    pub content: String,
    /// Where it is from, in words.
    pub source: String,
    /// Whether it was learned from outside content.
    pub outside: bool,
    /// When it was noted.
    pub at: Timestamp,
}

impl From<Memory> for Noted {
    fn from(memory: Memory) -> Self {
        let source = source_of(&memory).to_owned();
        Self { id: memory.id, content: memory.content, source, outside: memory.outside, at: memory.created_at }
    }
}

/// Where a fact is from, in words.
pub fn source_of(memory: &Memory) -> &'static str {
    match (memory.source.as_str(), memory.outside) {
        ("person", _) => "told by a person",
        (_, true) => "learned at work, from outside content",
        (_, false) => "learned at work",
    }
}

/// A fact as it is kept: without what looks like a secret, nothing hidden in it, and not too long.
pub fn checked(content: &str) -> Result<String> {
    let content = deceit::legible(&redact::text(content.trim())).replace('\0', "");
    if content.is_empty() {
        return Err(Error::invalid("content", "a fact needs words"));
    }
    if content.chars().count() > MAX_CHARS {
        return Err(Error::invalid(
            "content",
            format!("a fact has at most {MAX_CHARS} characters; say it more briefly"),
        ));
    }
    Ok(content)
}

/// One fact that the actor may see.
pub async fn get(actor: &Actor, on: impl Run, id: Uuid) -> Result<Memory> {
    memories::get(actor, on, id).await?.ok_or_else(|| Error::NotFound(format!("fact {id}")))
}

/// A person tells a fact, for their own work or (an administrator) for everybody's.
pub async fn add(store: &Store, actor: &Actor, content: &str, is_for_all: bool) -> Result<Memory> {
    let content = checked(content)?;
    let person = actor.user_id().ok_or_else(|| store::Error::Refused { what: "memories".to_owned() })?;
    let user_id = (!is_for_all).then_some(person);
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let known = memories::told(&actor, tx, person).await?;
                if known.iter().any(|m| m.content == content && m.user_id == user_id) {
                    return Err(Error::Conflict("this is known already".to_owned()));
                }
                if known.len() >= MOST {
                    return Err(Error::Conflict(format!("{MOST} facts are known already; forget one first")));
                }
                let new =
                    NewMemory { content, user_id, source: "person", outside: false, task_id: None, step_id: None };
                let id = memories::create(&actor, tx, &new).await?;
                get(&actor, tx, id).await
            })
        })
        .await
}

/// Changes a fact as `change` makes it; of it only the words can change. One that was learned from outside content stays so.
pub async fn edit(
    store: &Store,
    actor: &Actor,
    id: Uuid,
    change: impl FnOnce(Memory) -> Result<Memory> + Send + 'static,
) -> Result<Memory> {
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let content = checked(&change(get(&actor, tx, id).await?)?.content)?;
                if !memories::edit(&actor, tx, id, &content).await? {
                    return Err(store::Error::Refused { what: "memories".to_owned() }.into());
                }
                get(&actor, tx, id).await
            })
        })
        .await
}

/// Forgets a fact.
pub async fn forget(store: &Store, actor: &Actor, id: Uuid) -> Result<()> {
    get(actor, store, id).await?;
    if !memories::remove(actor, store, id).await? {
        return Err(store::Error::Refused { what: "memories".to_owned() }.into());
    }
    Ok(())
}

/// What a model is told when its work for a person begins: the newest facts that are not from outside. (Those would make all
/// its calls work on outside content; it finds them when it asks.)
pub fn told(known: Vec<Memory>) -> Vec<Noted> {
    let mut bytes = 0;
    let fits = |m: &Memory| {
        bytes += m.content.len();
        bytes <= TOLD_BYTES
    };
    known.into_iter().filter(|m| !m.outside).take(TOLD).take_while(fits).map(Noted::from).collect()
}

/// Facts that hold the most of the words, the newest first among equals; without words the newest.
pub fn found(known: Vec<Memory>, query: &str) -> Vec<Noted> {
    let lower = query.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 1).take(50).collect();
    let score = |m: &Memory| {
        let content = m.content.to_lowercase();
        words.iter().filter(|word| content.contains(**word)).count()
    };
    let mut scored: Vec<(usize, Memory)> = known.into_iter().map(|m| (score(&m), m)).collect();
    scored.retain(|(score, _)| words.is_empty() || *score > 0);
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().take(FOUND).map(|(_, m)| Noted::from(m)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(content: &str, outside: bool) -> Memory {
        Memory {
            id: Uuid::nil(),
            content: content.to_owned(),
            user_id: None,
            source: if outside { "task" } else { "person" }.to_owned(),
            outside,
            task_id: None,
            step_id: None,
            created_by: None,
            created_at: Timestamp::UNIX_EPOCH,
            edited_at: None,
        }
    }

    #[test]
    fn the_best_fit_is_found_first_and_the_newest_without_words() {
        let known = || vec![fact("Bob likes tea", false), fact("the bank of Bob", true), fact("invoices", false)];
        let contents = |query: &str| found(known(), query).into_iter().map(|n| n.content).collect::<Vec<_>>();
        assert_eq!(contents("Bob's bank"), ["the bank of Bob", "Bob likes tea"]);
        assert_eq!(contents("nothing of it"), ["the bank of Bob"], "`of` stands there");
        assert_eq!(contents(" "), ["Bob likes tea", "the bank of Bob", "invoices"]);
        assert_eq!(told(known()).iter().map(|n| n.content.as_str()).collect::<Vec<_>>(), ["Bob likes tea", "invoices"]);
        assert_eq!(told(vec![fact(&"x".repeat(1000), false); 30]).len(), 8, "bounded");
        assert_eq!(found(known(), "bank")[0].source, "learned at work, from outside content");
    }

    #[test]
    fn a_fact_is_words_and_hides_nothing() {
        assert_eq!(checked("  tea \u{200b}at five ").unwrap(), format!("tea {}at five", deceit::legible("\u{200b}")));
        assert!(checked(" ").is_err() && checked(&"x".repeat(1001)).is_err());
        assert!(
            !checked("the key is sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789")
                .unwrap()
                .contains("abcdefghijklmnop")
        );
    }
}
