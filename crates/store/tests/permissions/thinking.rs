//! The verbs of work that a model leads: its turns, what is spent, the handbook, and playbooks made of it.

use store::{
    Result, Transaction, handbook,
    memories::{self, NewMemory},
    model_turns, playbooks,
};

use crate::{
    verbs::{done, seen},
    world::{World, an_answer, new_turn},
};

/// A fact as a person says it.
fn said(user_id: Option<uuid::Uuid>) -> NewMemory {
    NewMemory { content: "x".to_owned(), user_id, source: "person", outside: false, task_id: None, step_id: None }
}

/// Tries a verb of what a model leads.
pub async fn attempt(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let (me, task) = (&w.actor, w.task.id);
    Ok(match verb {
        "model_turns.ask" => model_turns::ask(me, tx, &new_turn(w.run, task, 9)).await.map(|_| done(true))?,
        "model_turns.end" => done(model_turns::end(me, tx, w.open_turn, &an_answer()).await?),
        "model_turns.end (again)" => done(model_turns::end(me, tx, w.turn, &an_answer()).await?),
        "model_turns.list" => seen(!model_turns::list(me, tx, w.run).await?.is_empty()),
        "model_turns.used" => seen(model_turns::used(me, tx, task).await?.turns > 0),
        "model_turns.spent" => seen(model_turns::spent(me, tx, true).await?.turns > 0),
        "model_turns.worked" => seen(model_turns::worked(me, tx, true).await?.worked_ms > 0),
        "model_turns.spent_by_day" => seen(!model_turns::spent_by_day(me, tx).await?.is_empty()),
        "model_turns.spent_by_model" => seen(!model_turns::spent_by_model(me, tx).await?.is_empty()),
        "model_turns.book" => model_turns::book(me, tx, "main", &an_answer()).await.map(|()| done(true))?,
        "handbook.current" => seen(handbook::current(me, tx).await?.is_some()),
        "handbook.list" => seen(!handbook::list(me, tx).await?.is_empty()),
        "handbook.save" => handbook::save(me, tx, 2, "Be quick.").await.map(|()| done(true))?,
        "memories.create (one's own)" => memories::create(me, tx, &said(me.user_id())).await.map(|_| done(true))?,
        "memories.create (everybody's)" => memories::create(me, tx, &said(None)).await.map(|_| done(true))?,
        "memories.create (learned)" => {
            let learned = NewMemory { source: "task", task_id: Some(task), ..said(Some(w.other)) };
            memories::create(me, tx, &learned).await.map(|_| done(true))?
        }
        "memories.list" => seen(memories::list(me, tx, 2000).await?.iter().any(|m| m.id == w.memory)),
        "memories.told" => seen(memories::told(me, tx, w.creator).await?.iter().any(|m| m.id == w.memory)),
        "memories.get" => seen(memories::get(me, tx, w.memory).await?.is_some()),
        "memories.edit" => done(memories::edit(me, tx, w.memory, "other").await?),
        "memories.remove" => done(memories::remove(me, tx, w.memory).await?),
        "playbooks.list" => seen(!playbooks::list(me, tx).await?.is_empty()),
        "playbooks.in_use" => seen(!playbooks::in_use(me, tx).await?.is_empty()),
        "playbooks.named" => seen(playbooks::named(me, tx, "draft").await?.is_some()),
        "playbooks.create" => playbooks::create(me, tx, "new", "name: new", None).await.map(|_| done(true))?,
        "playbooks.switch" => done(playbooks::switch(me, tx, "draft", true).await?),
        "playbooks.remove" => done(playbooks::remove(me, tx, "draft").await?),
        other => panic!("{other} is in VERBS and not tried"),
    })
}
