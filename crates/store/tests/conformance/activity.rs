//! What happened by day.

use store::{
    activity,
    system_logs::{self, NewLogLine},
    tasks,
    value::time_text,
};

use crate::common::{Db, id, in_seconds};

crate::on_both!(lines_by_day_and_level, tasks_by_day);

async fn lines_by_day_and_level(db: &Db) {
    let on = &db.store;
    let line = |level, module: &str, days: i64| {
        let mut line = NewLogLine::new(level, module, "x");
        line.timestamp = time_text(in_seconds(-86_400 * days));
        line.user_id = Some(id(&db.bob));
        line
    };
    let lines = [
        line("info", "b", 1),
        line("info", "a", 1),
        line("error", "a", 1),
        line("info", "a", 2),
        line("info", "a", 40),
    ];
    assert_eq!(system_logs::append(&db.service, on, &lines).await.unwrap(), 5);
    let found = activity::levels(&db.bob, on).await.unwrap();
    let told: Vec<_> = found.iter().map(|d| (d.level.as_str(), d.events, d.modules.as_str())).collect();
    assert_eq!(told, [("info", 1, "a"), ("error", 1, "a"), ("info", 2, "a, b")], "the oldest day first, 30 days");
    assert_eq!(found[0].day.len(), 10);
    assert!(found[0].day < found[1].day && found[1].day == found[2].day);
    assert!(activity::levels(&db.cat, on).await.unwrap().is_empty());
    assert!(activity::levels(&db.nobody, on).await.unwrap().is_empty());
}

async fn tasks_by_day(db: &Db) {
    let on = &db.store;
    let (one, _) = (db.task("one").await, db.task("two").await);
    let mut row = tasks::get(&db.bob, on, one).await.unwrap().unwrap();
    "completed".clone_into(&mut row.status);
    assert!(tasks::set_status(&db.bob, on, &row).await.unwrap());
    let found = activity::flow(&db.bob, on, in_seconds(-86_400)).await.unwrap();
    // Midnight may pass between the two.
    let sum = |of: fn(&activity::DayFlow) -> i64| found.iter().map(of).sum::<i64>();
    assert_eq!((sum(|d| d.made), sum(|d| d.completed), sum(|d| d.failed)), (2, 1, 0));
    assert!(found.iter().all(|d| d.day.len() == 10));
    assert!(activity::flow(&db.bob, on, in_seconds(86_400)).await.unwrap().is_empty());
    assert!(activity::flow(&db.cat, on, in_seconds(-86_400)).await.unwrap().is_empty());
}
