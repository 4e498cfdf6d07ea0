//! `tasks`, `task_provenance` and the view `task_summary`.

use std::collections::BTreeSet;

use serde_json::json;
use store::tasks::{self, NewTask};
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, refusal};

crate::on_both!(
    a_task_as_it_was_made,
    changing_tasks,
    rules_of_tasks,
    dependencies,
    what_is_still_open,
    what_waits_for_a_task,
    looked_up_and_due,
    assigning,
    pages,
    searching,
    summaries,
    provenance
);

async fn a_task_as_it_was_made(db: &Db) {
    let on = &db.store;
    let first = tasks::create(&db.bob, on, &NewTask::titled("first")).await.unwrap();
    let new = NewTask {
        title: "Rechnung März „a\"b'\\".to_owned(),
        description: Some("line\nline \u{1F4C4}".to_owned()),
        priority: "critical".to_owned(),
        assigned_to: Some(id(&db.cat)),
        due_date: Some(in_seconds(3600)),
        estimated_duration: Some(1440),
        metadata: json!({ "b": [1, 2.5, null, true], "a": { "ü": "x" }, "big": 9_007_199_254_740_993_i64 }),
        dependencies: vec![first],
        tags: vec!["a,b".to_owned(), "{}\"".to_owned(), String::new()],
    };
    let task = tasks::create(&db.bob, on, &new).await.unwrap();
    let row = tasks::get(&db.bob, on, task).await.unwrap().unwrap();
    let back = NewTask {
        title: row.title.clone(),
        description: row.description.clone(),
        priority: row.priority.clone(),
        assigned_to: row.assigned_to,
        due_date: row.due_date,
        estimated_duration: row.estimated_duration,
        metadata: row.metadata.clone(),
        dependencies: row.dependencies.clone(),
        tags: row.tags.clone(),
    };
    assert_eq!(back, new);
    assert_eq!(
        (row.id, row.status.as_str(), row.created_by, row.completed_at, row.actual_duration),
        (task, "pending", Some(id(&db.bob)), None, None)
    );
    assert_eq!(row.created_at, row.updated_at);
    for (actor, sees) in [
        (&db.ada, true),
        (&db.bob, true),
        (&db.cat, true),
        (&db.obs, true),
        (&db.sus, false),
        (&db.employee, false),
        (&db.admin_agent, false),
        (&db.service, true),
        (&db.nobody, false),
    ] {
        assert_eq!(tasks::get(actor, on, task).await.unwrap().is_some(), sees, "{actor:?}");
    }
}

async fn changing_tasks(db: &Db) {
    let on = &db.store;
    let task =
        tasks::create(&db.bob, on, &NewTask { assigned_to: Some(id(&db.cat)), ..NewTask::titled("x") }).await.unwrap();
    let mut row = tasks::get(&db.bob, on, task).await.unwrap().unwrap();
    "y".clone_into(&mut row.title);
    row.actual_duration = Some(5);
    row.tags = vec!["t".to_owned()];
    for (actor, may) in [
        (&db.bob, true),
        (&db.cat, true),
        (&db.ada, true),
        (&db.admin_agent, false),
        (&db.obs, false),
        (&db.sus, false),
        (&db.employee, false),
        (&db.nobody, false),
    ] {
        assert_eq!(tasks::update(actor, on, &row).await.unwrap(), may, "{actor:?}");
        assert_eq!(tasks::set_status(actor, on, &row).await.unwrap(), may, "{actor:?}");
        assert_eq!(
            tasks::lock(actor, on, task).await.unwrap().is_some(),
            may,
            "{actor:?}: only who may change a row locks it"
        );
    }
    for refused in [
        refusal(tasks::update(&db.service, on, &row).await),
        refusal(tasks::set_status(&db.service, on, &row).await),
        refusal(tasks::lock(&db.service, on, task).await),
        refusal(tasks::delete(&db.service, on, task).await),
        refusal(tasks::create(&db.service, on, &NewTask::titled("x")).await),
    ] {
        assert_eq!(refused, "refused");
    }
    for actor in [&db.obs, &db.sus, &db.ina, &db.nobody] {
        assert_eq!(refusal(tasks::create(actor, on, &NewTask::titled("x")).await), "refused");
    }
    let after = tasks::get(&db.bob, on, task).await.unwrap().unwrap();
    assert_eq!((after.title.as_str(), after.actual_duration, after.tags.len()), ("y", Some(5), 1));
    assert!(after.updated_at > after.created_at);

    "completed".clone_into(&mut row.status);
    assert!(tasks::set_status(&db.cat, on, &row).await.unwrap());
    let done = tasks::get(&db.cat, on, task).await.unwrap().unwrap();
    assert_eq!(done.completed_at, Some(done.updated_at));
    "pending".clone_into(&mut row.status);
    assert!(tasks::set_status(&db.cat, on, &row).await.unwrap());
    assert_eq!(tasks::get(&db.cat, on, task).await.unwrap().unwrap().completed_at, None);

    assert!(!tasks::delete(&db.cat, on, task).await.unwrap(), "the assignee does not delete");
    assert!(!tasks::delete(&db.obs, on, task).await.unwrap());
    assert!(!tasks::delete(&db.bob, on, Uuid::now_v7()).await.unwrap());
    assert!(tasks::delete(&db.bob, on, task).await.unwrap());
    assert!(tasks::get(&db.ada, on, task).await.unwrap().is_none());
    assert!(!tasks::update(&db.bob, on, &row).await.unwrap());
}

async fn rules_of_tasks(db: &Db) {
    let on = &db.store;
    let titled = |title: &str| NewTask::titled(title);
    let cases: Vec<(NewTask, &str)> = vec![
        (NewTask { priority: "urgent".to_owned(), ..titled("x") }, "chk_priority"),
        (
            NewTask { priority: "critical".to_owned(), estimated_duration: Some(1441), ..titled("x") },
            "chk_priority_duration",
        ),
        (NewTask { estimated_duration: Some(-1), ..titled("x") }, "tasks_estimated_duration_check"),
        (NewTask { assigned_to: Some(Uuid::now_v7()), ..titled("x") }, "foreign_key"),
        (NewTask { metadata: json!({ "a": "\0" }), ..titled("x") }, "format"),
        (NewTask { tags: vec!["\0".to_owned()], ..titled("x") }, "format"),
        (titled(&"x".repeat(256)), "length"),
        (titled("a\0b"), "format"),
    ];
    for (new, rule) in cases {
        assert_eq!(refusal(tasks::create(&db.bob, on, &new).await), rule, "{new:?}");
    }
    // 255 characters, not bytes.
    tasks::create(&db.bob, on, &titled(&"ü".repeat(255))).await.unwrap();
    let task =
        tasks::create(&db.bob, on, &NewTask { due_date: Some(in_seconds(-3 * 86400)), ..titled("x") }).await.unwrap();
    let mut row = tasks::get(&db.bob, on, task).await.unwrap().unwrap();
    "done".clone_into(&mut row.status);
    assert_eq!(refusal(tasks::set_status(&db.bob, on, &row).await), "chk_status");
    "completed".clone_into(&mut row.status);
    assert_eq!(refusal(tasks::set_status(&db.bob, on, &row).await), "chk_due_date_not_past");
    row.due_date = Some(in_seconds(86400));
    assert!(tasks::set_status(&db.bob, on, &row).await.unwrap());
    row.actual_duration = Some(-1);
    assert_eq!(refusal(tasks::update(&db.bob, on, &row).await), "tasks_actual_duration_check");
    row.actual_duration = None;
    row.due_date = Some(in_seconds(-3 * 86400));
    assert_eq!(refusal(tasks::update(&db.bob, on, &row).await), "chk_due_date_not_past");
    "failed".clone_into(&mut row.status);
    assert!(tasks::set_status(&db.bob, on, &row).await.unwrap(), "what failed may be late");
    // An assignee who hands the task on would lose it from sight: he may, as long as he is its creator too.
    let given =
        tasks::create(&db.bob, on, &NewTask { assigned_to: Some(id(&db.cat)), ..titled("given") }).await.unwrap();
    assert_eq!(refusal(tasks::assign(&db.cat, on, given, Some(id(&db.bob))).await), "refused");
}

async fn dependencies(db: &Db) {
    let on = &db.store;
    let a = db.task("a").await;
    let b = tasks::create(&db.bob, on, &NewTask { dependencies: vec![a], ..NewTask::titled("b") }).await.unwrap();
    let with = |dependencies| NewTask { dependencies, ..NewTask::titled("c") };
    for wrong in [vec![Uuid::now_v7()], vec![a, a]] {
        assert_eq!(refusal(tasks::create(&db.bob, on, &with(wrong)).await), "chk_task_dependencies");
    }
    let mut row = tasks::get(&db.bob, on, a).await.unwrap().unwrap();
    for circle in [vec![a], vec![b]] {
        row.dependencies = circle;
        assert_eq!(refusal(tasks::update(&db.bob, on, &row).await), "chk_task_dependencies");
    }
    assert_eq!(refusal(tasks::delete(&db.bob, on, a).await), "chk_task_dependencies");
    // Nobody who may not write learns by it which tasks exist.
    for actor in [&db.obs, &db.sus] {
        assert_eq!(refusal(tasks::create(actor, on, &with(vec![Uuid::now_v7()])).await), "refused");
    }
    assert!(tasks::delete(&db.bob, on, b).await.unwrap());
    assert!(tasks::delete(&db.bob, on, a).await.unwrap());
}

async fn what_is_still_open(db: &Db) {
    let on = &db.store;
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(db.task(&format!("t{n}")).await);
    }
    let mut row = tasks::get(&db.bob, on, made[1]).await.unwrap().unwrap();
    "completed".clone_into(&mut row.status);
    assert!(tasks::set_status(&db.bob, on, &row).await.unwrap());
    let open = tasks::open_among(&db.bob, on, made.clone()).await.unwrap();
    assert_eq!(open, ["t0", "t2", "t3", "t4", "t5"], "five at most, oldest first");
    assert!(tasks::open_among(&db.cat, on, made.clone()).await.unwrap().is_empty());
    assert!(tasks::open_among(&db.bob, on, vec![made[1], Uuid::now_v7()]).await.unwrap().is_empty());
    assert!(tasks::open_among(&db.bob, on, vec![]).await.unwrap().is_empty());
}

async fn what_waits_for_a_task(db: &Db) {
    let on = &db.store;
    let first = db.task("first").await;
    let needs = |title: &str, before: &[Uuid], assigned_to| NewTask {
        dependencies: before.to_vec(),
        assigned_to,
        ..NewTask::titled(title)
    };
    let second = tasks::create(&db.bob, on, &needs("second", &[first], None)).await.unwrap();
    let given = tasks::create(&db.bob, on, &needs("given", &[second, first], Some(id(&db.cat)))).await.unwrap();
    let last = tasks::create(&db.bob, on, &needs("last", &[given], None)).await.unwrap();
    let after = async |actor, ids: &[Uuid], limit| -> Vec<Uuid> {
        tasks::after(actor, on, ids.to_vec(), limit).await.unwrap().into_iter().map(|t| t.id).collect()
    };
    for actor in [&db.bob, &db.obs, &db.ada] {
        assert_eq!(after(actor, &[first], 10).await, [second, given], "each once, the oldest first");
        assert_eq!(after(actor, &[first, given], 10).await, [second, given, last]);
        assert_eq!(after(actor, &[first, given], 1).await, [second]);
    }
    assert_eq!(after(&db.cat, &[first, given], 10).await, [given], "what one may see");
    for actor in [&db.employee, &db.sus, &db.nobody] {
        assert!(after(actor, &[first], 10).await.is_empty());
    }
    assert!(after(&db.bob, &[last], 10).await.is_empty() && after(&db.bob, &[], 10).await.is_empty());
    assert_eq!(refusal(tasks::after(&db.service, on, vec![first], 10).await), "refused");
}

async fn looked_up_and_due(db: &Db) {
    let on = &db.store;
    let day = |n: i64| jiff::Timestamp::from_second(1_800_000_000 + n * 86_400).unwrap();
    let mut made = Vec::new();
    for n in [2, 0, 1] {
        let mut new = NewTask::titled(format!("day {n}"));
        new.due_date = Some(day(n));
        made.push(tasks::create(&db.bob, on, &new).await.unwrap());
    }
    let (without, assigned) = (db.task("no day").await, made[1]);
    tasks::assign(&db.bob, on, assigned, Some(id(&db.cat))).await.unwrap();
    let due = async |actor, from, before, limit| -> Vec<Uuid> {
        tasks::due(actor, on, from, before, limit).await.unwrap().into_iter().map(|t| t.id).collect()
    };
    assert_eq!(due(&db.bob, day(0), day(3), 10).await, [made[1], made[2], made[0]], "the earliest first");
    assert_eq!(due(&db.bob, day(0), day(2), 10).await, [made[1], made[2]], "before the end");
    assert_eq!(due(&db.bob, day(0), day(3), 1).await, [made[1]]);
    assert_eq!(due(&db.cat, day(0), day(3), 10).await, [made[1]], "the assignee's");
    assert_eq!(due(&db.obs, day(1), day(3), 10).await, [made[2], made[0]]);
    assert!(due(&db.nobody, day(0), day(3), 10).await.is_empty());
    let among = async |actor, ids| -> Vec<Uuid> {
        tasks::among(actor, on, ids).await.unwrap().into_iter().map(|t| t.id).collect()
    };
    let all = vec![made[0], made[1], without, Uuid::now_v7()];
    assert_eq!(among(&db.bob, all.clone()).await, [without, made[1], made[0]], "newest first");
    assert_eq!(among(&db.cat, all).await, [made[1]]);
    assert!(among(&db.bob, Vec::new()).await.is_empty());
}

async fn assigning(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    tasks::assign(&db.bob, on, task, Some(id(&db.cat))).await.unwrap();
    tasks::assign(&db.ada, on, task, None).await.unwrap();
    tasks::assign(&db.bob, on, task, Some(id(&db.employee))).await.unwrap();
    for actor in [&db.cat, &db.obs, &db.sus, &db.employee, &db.service, &db.nobody] {
        assert_eq!(refusal(tasks::assign(actor, on, task, Some(id(&db.cat))).await), "refused", "{actor:?}");
    }
    for absent in [id(&db.sus), id(&db.ina), Uuid::now_v7()] {
        assert_eq!(refusal(tasks::assign(&db.bob, on, task, Some(absent)).await), "tasks_assignee_active");
    }
    assert_eq!(refusal(tasks::assign(&db.ada, on, Uuid::now_v7(), None).await), "refused");
    let audit = store::audit_trail::list(&db.ada, on, Some("task"), Some(task), 10).await.unwrap();
    let actions: Vec<&str> = audit.iter().map(|a| a.action.as_str()).collect();
    assert_eq!(actions, ["task_assigned", "task_assigned", "task_assigned", "task_created"], "each assignment once");
    assert_eq!(audit[0].old_values, Some(json!({ "assigned_to": null })));
    assert_eq!(audit[0].new_values, Some(json!({ "assigned_to": id(&db.employee) })));
}

async fn pages(db: &Db) {
    let on = &db.store;
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(db.task(&format!("t{n}")).await);
    }
    // Rows of one transaction share their time: the id decides.
    let bob = db.bob.clone();
    let more: Vec<Uuid> = on
        .transaction(move |tx| {
            Box::pin(async move {
                let mut ids = Vec::new();
                for n in 0..4 {
                    ids.push(tasks::create(&bob, tx, &NewTask::titled(format!("same {n}"))).await?);
                }
                Ok::<_, store::Error>(ids)
            })
        })
        .await
        .unwrap();
    made.extend(more);
    tasks::create(&db.cat, on, &NewTask::titled("cat's")).await.unwrap();
    for actor in [&db.bob, &db.employee] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = tasks::list(actor, on, None, cursor, 3).await.unwrap();
            assert!(page.len() <= 3);
            let Some(last) = page.last() else { break };
            cursor = Some((last.created_at, last.id));
            seen.extend(page.iter().map(|t| t.id));
        }
        let mut wanted = made.clone();
        wanted.reverse();
        if actor == &db.employee {
            wanted.drain(..4);
        }
        assert_eq!(seen, wanted, "each once, newest first");
    }
    assert_eq!(tasks::list(&db.ada, on, None, None, 100).await.unwrap().len(), 12);
    assert_eq!(tasks::list(&db.obs, on, Some("pending"), None, 100).await.unwrap().len(), 12);
    assert!(tasks::list(&db.bob, on, Some("completed"), None, 100).await.unwrap().is_empty());
    assert!(tasks::list(&db.sus, on, None, None, 100).await.unwrap().is_empty());
    for limit in [0, -1, i64::MIN] {
        assert!(tasks::list(&db.bob, on, None, None, limit).await.unwrap().is_empty());
    }
}

async fn searching(db: &Db) {
    let on = &db.store;
    let make = async |actor, title: &str, text: &str| {
        let new = NewTask { description: Some(text.to_owned()), ..NewTask::titled(title) };
        tasks::create(actor, on, &new).await.unwrap()
    };
    let moved = make(&db.bob, "Moving invoices", "all the invoices of march").await;
    let draft = make(&db.bob, "Invoice draft", "not sent").await;
    let plants = make(&db.bob, "Water the plants", "every morning").await;
    let hers = make(&db.cat, "Her invoice", "private").await;
    let find = async |actor, query: &str| -> BTreeSet<Uuid> {
        tasks::search(actor, on, query, 50).await.unwrap().into_iter().map(|t| t.id).collect()
    };
    for (query, found) in [
        ("invoice", vec![moved, draft]),
        ("INVOICES the", vec![moved, draft]),
        ("invoice march", vec![moved]),
        ("\"invoices of march\"", vec![moved]),
        ("\"march invoices\"", vec![]),
        ("invoice -draft", vec![moved]),
        ("draft or water", vec![draft, plants]),
        ("plant", vec![plants]),
        ("nothing", vec![]),
        ("", vec![]),
        ("the", vec![]),
        // Nothing a person types is a syntax error.
        ("\"unclosed invoice", vec![]),
        ("invoice AND (", vec![moved, draft]),
        ("title:invoice ^ * NEAR(", vec![]),
        ("'; DROP TABLE tasks", vec![]),
    ] {
        assert_eq!(find(&db.bob, query).await, found.into_iter().collect(), "{query}");
    }
    assert_eq!(find(&db.cat, "invoice").await, BTreeSet::from([hers]));
    assert_eq!(find(&db.obs, "invoice").await, BTreeSet::from([moved, draft, hers]));
    assert_eq!(find(&db.ada, "invoice").await.len(), 3);
    for actor in [&db.employee, &db.sus, &db.nobody] {
        assert!(find(actor, "invoice").await.is_empty());
    }
    assert_eq!(refusal(tasks::search(&db.service, on, "invoice", 50).await), "refused");
    assert_eq!(tasks::search(&db.bob, on, "invoice", 1).await.unwrap().len(), 1);
    assert!(tasks::search(&db.bob, on, "invoice", -1).await.unwrap().is_empty());
    // The index follows changes.
    let mut row = tasks::get(&db.bob, on, plants).await.unwrap().unwrap();
    "Water the cactus".clone_into(&mut row.title);
    tasks::update(&db.bob, on, &row).await.unwrap();
    assert_eq!((find(&db.bob, "plants").await.len(), find(&db.bob, "cactus").await.len()), (0, 1));
    tasks::delete(&db.bob, on, plants).await.unwrap();
    assert!(find(&db.bob, "cactus").await.is_empty());
}

async fn summaries(db: &Db) {
    let on = &db.store;
    let make = async |title: &str, due: Option<i64>| {
        let new =
            NewTask { assigned_to: Some(id(&db.employee)), due_date: due.map(in_seconds), ..NewTask::titled(title) };
        tasks::create(&db.bob, on, &new).await.unwrap()
    };
    let late = make("late", Some(-2 * 86400)).await;
    make("soon", Some(0)).await;
    make("later", Some(5 * 86400)).await;
    make("never", None).await;
    db.approval(late).await;
    db.approval(late).await;
    let rows = tasks::summaries(&db.bob, on, 10).await.unwrap();
    let short: Vec<_> =
        rows.iter().map(|r| (r.title.as_str(), r.urgency_status.as_str(), r.approval_requests)).collect();
    assert_eq!(
        short,
        [("never", "on_track", 0), ("later", "on_track", 0), ("soon", "due_soon", 0), ("late", "overdue", 2)]
    );
    assert!(
        rows.iter().all(|r| r.assigned_to_name.as_deref() == Some("employee")
            && r.priority == "medium"
            && r.status == "pending")
    );
    let mut row = tasks::get(&db.bob, on, late).await.unwrap().unwrap();
    "failed".clone_into(&mut row.status);
    tasks::set_status(&db.bob, on, &row).await.unwrap();
    assert_eq!(
        tasks::summaries(&db.ada, on, 10).await.unwrap()[3].urgency_status,
        "on_track",
        "what is finished is not overdue"
    );
    assert!(tasks::summaries(&db.cat, on, 10).await.unwrap().is_empty());
    assert_eq!(tasks::summaries(&db.obs, on, 2).await.unwrap().len(), 2);
    assert_eq!(tasks::summaries(&db.service, on, 10).await.unwrap().len(), 4);
}

async fn provenance(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    tasks::add_provenance(&db.bob, on, task, true, "watcher:inbox", json!({ "path": "a b" })).await.unwrap();
    let found = tasks::provenance(&db.employee, on, task).await.unwrap().unwrap();
    assert_eq!(
        (found.task_id, found.outside, found.source.as_str(), found.detail),
        (task, true, "watcher:inbox", json!({ "path": "a b" }))
    );
    assert!(tasks::provenance(&db.cat, on, task).await.unwrap().is_none());
    // Nobody washes it clean.
    assert_eq!(
        refusal(tasks::add_provenance(&db.bob, on, task, false, "desk", json!({})).await),
        "task_provenance_pkey"
    );
    let other = db.task("y").await;
    for actor in [&db.employee, &db.cat, &db.ada, &db.obs, &db.service, &db.nobody] {
        assert_eq!(
            refusal(tasks::add_provenance(actor, on, other, false, "desk", json!({})).await),
            "refused",
            "{actor:?}"
        );
    }
    assert!(tasks::provenance(&db.bob, on, other).await.unwrap().is_none());
}
