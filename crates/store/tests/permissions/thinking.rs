//! The verbs of work that a model leads: its turns, what is spent, the handbook, and playbooks made of it.

use store::{Result, Transaction, handbook, model_turns, playbooks};

use crate::{
    verbs::{done, seen},
    world::{World, an_answer, new_turn},
};

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
        "model_turns.spent_by_day" => seen(!model_turns::spent_by_day(me, tx).await?.is_empty()),
        "model_turns.spent_by_model" => seen(!model_turns::spent_by_model(me, tx).await?.is_empty()),
        "handbook.current" => seen(handbook::current(me, tx).await?.is_some()),
        "handbook.list" => seen(!handbook::list(me, tx).await?.is_empty()),
        "handbook.save" => handbook::save(me, tx, 2, "Be quick.").await.map(|()| done(true))?,
        "playbooks.list" => seen(!playbooks::list(me, tx).await?.is_empty()),
        "playbooks.in_use" => seen(!playbooks::in_use(me, tx).await?.is_empty()),
        "playbooks.named" => seen(playbooks::named(me, tx, "draft").await?.is_some()),
        "playbooks.create" => playbooks::create(me, tx, "new", "name: new", None).await.map(|_| done(true))?,
        "playbooks.switch" => done(playbooks::switch(me, tx, "draft", true).await?),
        "playbooks.remove" => done(playbooks::remove(me, tx, "draft").await?),
        other => panic!("{other} is in VERBS and not tried"),
    })
}
