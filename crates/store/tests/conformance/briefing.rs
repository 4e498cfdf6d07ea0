//! What a briefing is made of.

use store::{
    approvals,
    beginnings::{self, Kind},
    briefing, model_turns,
    runs::{self, NewStep},
    tasks::{self, Task},
    users,
};

use crate::common::{Db, id, seconds};

crate::on_both!(a_period_and_what_is_open, ids_by_their_beginning);

async fn a_period_and_what_is_open(db: &Db) {
    let on = &db.store;
    let (from, to) = (store::now() - seconds(60), store::now() + seconds(60));
    let (done, open) = (db.task("ü done").await, db.task("open").await);
    let row = tasks::get(&db.bob, on, done).await.unwrap().unwrap();
    assert!(tasks::set_status(&db.bob, on, &Task { status: "completed".to_owned(), ..row }).await.unwrap());
    let ended = briefing::ended(&db.bob, on, from, to, 10).await.unwrap();
    assert_eq!(ended.iter().map(|t| (t.id, t.title.as_str())).collect::<Vec<_>>(), [(done, "ü done")]);
    assert!(briefing::ended(&db.bob, on, to, to + seconds(60), 10).await.unwrap().is_empty(), "of another period");
    assert!(briefing::ended(&db.cat, on, from, to, 10).await.unwrap().is_empty(), "another's");
    let left = briefing::open(&db.bob, on, 10).await.unwrap();
    assert_eq!(left.iter().map(|t| t.id).collect::<Vec<_>>(), [open]);
    assert!(briefing::open(&db.nobody, on, 10).await.unwrap().is_empty());

    let asked = db.approval(open).await;
    assert!(approvals::approve(&db.ada, on, asked, None).await.unwrap());
    let found = briefing::approvals(&db.bob, on, from, to, 10).await.unwrap();
    assert_eq!(found.iter().map(|a| (a.id, a.status.as_str())).collect::<Vec<_>>(), [(asked, "approved")]);
    assert!(found[0].approved_at.is_some());
    assert!(briefing::approvals(&db.cat, on, from, to, 10).await.unwrap().is_empty());

    // What waits comes first; what is over before the period's beginning is not there, however lately it was asked.
    let (one, two) = (db.approval(open).await, db.approval(open).await);
    let waits = briefing::approvals(&db.bob, on, from, to, 10).await.unwrap();
    assert_eq!(waits.iter().map(|a| a.id).collect::<Vec<_>>(), [two, one, asked]);
    let over = waits[0].expires_at + seconds(1);
    assert!(briefing::approvals(&db.bob, on, over, over + seconds(60), 10).await.unwrap().is_empty());
    let early = briefing::approvals(&db.bob, on, from, from, 10).await.unwrap();
    assert!(early.is_empty(), "of a later one nothing is known");

    let run = db.run(open).await;
    let step = runs::add_step(&db.employee, on, &super::runs::new_step(run, open, 0)).await.unwrap();
    assert!(briefing::steps(&db.bob, on, vec![open], 10).await.unwrap().is_empty(), "not sent yet");
    assert!(runs::start_step(&db.employee, on, step, 1, "{}", "h").await.unwrap());
    let steps = briefing::steps(&db.bob, on, vec![open, done], 10).await.unwrap();
    assert_eq!(
        steps.iter().map(|s| (s.tool.as_str(), s.state.as_str())).collect::<Vec<_>>(),
        [("move_file", "started")]
    );
    assert_eq!(briefing::runs(&db.bob, on, vec![open], 10).await.unwrap().len(), 1);
    assert!(briefing::runs(&db.cat, on, vec![open], 10).await.unwrap().is_empty());

    let wait = NewStep { server: String::new(), tool: "wait".to_owned(), ..super::runs::new_step(run, open, 1) };
    runs::add_step(&db.employee, on, &wait).await.unwrap();
    assert_eq!(briefing::waits(&db.bob, on, vec![open], 10).await.unwrap().len(), 1);
    assert!(briefing::waits(&db.cat, on, vec![open], 10).await.unwrap().is_empty());

    let new = |ordinal| super::models::new_turn(run, open, ordinal);
    for ordinal in [0, 1] {
        let turn = model_turns::ask(&db.employee, on, &new(ordinal)).await.unwrap();
        assert!(model_turns::end(&db.employee, on, turn, &super::models::answer(7)).await.unwrap());
    }
    let spent = briefing::turns(&db.bob, on, vec![open, done], from, to, 10).await.unwrap();
    assert_eq!(
        spent.iter().map(|s| (s.task_id, s.turns, s.tokens, s.cost_microusd)).collect::<Vec<_>>(),
        [(open, 2, 240, 14)]
    );
    assert!(briefing::turns(&db.bob, on, vec![open], to, to + seconds(60), 10).await.unwrap().is_empty());
    assert!(briefing::turns(&db.cat, on, vec![open], from, to, 10).await.unwrap().is_empty());

    // Whom briefings may go to: people who are active, and no program.
    let people = users::contacts(&db.service, on).await.unwrap();
    assert!(people.iter().any(|c| c.id == id(&db.bob)));
    assert!(!people.iter().any(|c| [id(&db.employee), id(&db.sus), id(&db.ina)].contains(&c.id)));
}

async fn ids_by_their_beginning(db: &Db) {
    let on = &db.store;
    let (one, two) = (db.task("one").await, db.task("two").await);
    let asked = db.approval(two).await;
    let (first, last) = (one.min(two), one.max(two));
    let found = beginnings::find(&db.bob, on, Kind::Task, (first, last), 10).await.unwrap();
    let labels = |rows: &[beginnings::Begun]| rows.iter().map(|row| (row.id, row.label.clone())).collect::<Vec<_>>();
    assert_eq!(labels(&found), [(one, "one".to_owned()), (two, "two".to_owned())], "by id");
    assert_eq!(beginnings::find(&db.bob, on, Kind::Task, (first, last), 1).await.unwrap().len(), 1);
    assert_eq!(beginnings::find(&db.bob, on, Kind::Task, (two, two), 10).await.unwrap().len(), 1);
    let all = beginnings::find(&db.ada, on, Kind::Task, (first, last), 10).await.unwrap();
    assert_eq!(labels(&all), labels(&found), "who sees all finds them too");
    assert!(beginnings::find(&db.cat, on, Kind::Task, (first, last), 10).await.unwrap().is_empty(), "another's");
    let found = beginnings::find(&db.bob, on, Kind::Approval, (asked, asked), 10).await.unwrap();
    assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [asked]);
    for kind in [Kind::Attachment, Kind::Memory] {
        assert!(beginnings::find(&db.bob, on, kind, (asked, asked), 10).await.unwrap().is_empty());
    }
}
