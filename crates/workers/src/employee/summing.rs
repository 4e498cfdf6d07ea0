//! Old turns are summed up before they fill the model's window. The summary is asked for once, and paid and journalled like any
//! answer; without it the conversation is shortened as before.

use domain::{
    brain::{
        CUT_OFF,
        names::Offer,
        summary::{self, SYSTEM},
        transcript::Message,
    },
    work::{Work, Worker},
};
use store::{
    model_turns::{ModelTurn, TurnEnd},
    runs::Step,
};

use super::{
    Employee, Turn,
    think::{Brief, Setting, new_turn, room},
    unanswered,
};
use crate::{
    Error, Result,
    brains::{Brains, Meter, Question},
    checkpoint,
};

impl Employee {
    /// Has the beginning of the conversation summed up, where it is due. False: it is not, or the beginning does not fit
    /// whoever would sum it up.
    pub(super) async fn sum_up(
        &self,
        worker: &Worker,
        work: &Work,
        (brains, name): (&Brains, &str),
        brief: &Brief,
        turns: &[ModelTurn],
        offer: &Offer,
    ) -> Result<bool> {
        let Setting { mark, about, room: tokens, .. } = Setting::of(brains, name, brief, work, offer);
        let Some(through) = summary::due(&about, turns, &work.steps, &mark, tokens) else { return Ok(false) };
        let name = brains.for_summaries(name);
        let tokens = room(brains, name, SYSTEM.len());
        let Some(text) = summary::question(&about, turns, &work.steps, &mark, through, tokens) else {
            return Ok(false);
        };
        let question = Question {
            system: SYSTEM.to_owned(),
            messages: vec![Message::User(text)],
            // Whoever sums up can ask for nothing.
            tools: Vec::new(),
        };
        let turn = new_turn(work, turns, name, &question);
        let begun = worker.begin_summary(&self.store, work, turn, through).await?;
        checkpoint::reached("summary asked");
        let mut used = Meter::default();
        let answered = self.while_renewing(worker, &work.lease, brains.ask(name, question, &mut used)).await;
        checkpoint::reached("summary answered");
        let end = brains.turn_end(name, &used, answered.as_ref().map_err(unanswered::written));
        let end = end.map_err(|e| Error::Internal(e.to_string()))?;
        let came = match &answered {
            Ok(answered) => summary::checked(&answered.answer),
            Err(no) => Err(no.reason().to_owned()),
        };
        self.insist(|| worker.end_summary(&self.store, work, begun, end.clone(), came.clone())).await?;
        checkpoint::reached("summary journalled");
        if let Err(why) = came {
            let line = format!("the model {name} summed nothing up, and old results are shortened instead: {why}");
            self.logs.push("warning", "employee", &line, Some(work.task.id));
        }
        Ok(true)
    }

    /// Ends a summary that was under way when its process stopped. It may have been paid for, and is not asked for again.
    pub(super) async fn resume_summary(&self, worker: &Worker, work: &Work, step: &Step) -> Result<Turn> {
        let turns = worker.turns(&self.store, work).await?;
        let asked = summary::stretch_of(step).and_then(|stretch| turns.iter().find(|t| t.ordinal == stretch.turn));
        let why = CUT_OFF.to_owned();
        let end = TurnEnd { error: Some(why.clone()), ..TurnEnd::default() };
        worker.end_summary(&self.store, work, (asked.map(|t| t.id), step.id), end, Err(why)).await?;
        checkpoint::reached("summary given up");
        Ok(Turn::Again)
    }
}
