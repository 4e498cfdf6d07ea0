//! `file_attachments` and `system_logs`.

use jiff::SignedDuration;
use serde_json::json;
use store::{
    Actor,
    file_attachments::{self, NewAttachment},
    log_keeping, schedules,
    system_logs::{self, Filter, LEVELS, NewLogLine},
    tasks::{self, NewTask},
    value::time_text,
};
use uuid::Uuid;

use crate::common::{Db, Engine, id, in_seconds, refusal};

crate::on_both!(
    attachments,
    newest_files,
    log_lines,
    filters_and_pages,
    search_in_messages,
    months_of_the_log,
    old_months_leave
);

async fn attachments(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let new = |task_id| NewAttachment {
        filename: "Rechnung März.pdf".to_owned(),
        original_filename: "ä".repeat(255),
        mime_type: Some("application/pdf".to_owned()),
        file_size: 5_000_000_000,
        storage_path: format!("ab/{task_id}"),
        task_id,
        hash_checksum: "0".repeat(64),
        expires_at: None,
    };
    let made = file_attachments::create(&db.bob, on, &new(task)).await.unwrap();
    let row = file_attachments::get(&db.employee, on, made).await.unwrap().unwrap();
    assert_eq!(
        (row.filename.as_str(), row.file_size, row.uploaded_by, row.task_id),
        ("Rechnung März.pdf", Some(5_000_000_000), Some(id(&db.bob)), Some(task))
    );
    assert!(row.is_encrypted && row.original_filename == "ä".repeat(255));
    assert_eq!(file_attachments::list(&db.obs, on, task).await.unwrap(), std::slice::from_ref(&row));
    for actor in [&db.cat, &db.sus, &db.nobody] {
        assert!(file_attachments::get(actor, on, made).await.unwrap().is_none());
        assert!(file_attachments::list(actor, on, task).await.unwrap().is_empty());
        assert!(!file_attachments::is_stored(actor, on, &row.storage_path).await.unwrap());
    }
    assert!(file_attachments::is_stored(&db.service, on, &row.storage_path).await.unwrap());
    assert!(!file_attachments::is_stored(&db.service, on, "ab/other").await.unwrap());
    for actor in [&db.obs, &db.sus, &db.cat, &db.service, &db.nobody] {
        assert_eq!(refusal(file_attachments::create(actor, on, &new(task)).await), "refused");
    }
    for (wrong, rule) in [
        (NewAttachment { file_size: -1, ..new(task) }, "file_attachments_file_size_check"),
        (NewAttachment { hash_checksum: "abc".to_owned(), ..new(task) }, "file_attachments_hash_checksum_check"),
        (NewAttachment { filename: "x".repeat(256), ..new(task) }, "length"),
        (new(Uuid::now_v7()), "refused"),
    ] {
        assert_eq!(refusal(file_attachments::create(&db.bob, on, &wrong).await), rule);
    }
    // A deleted task leaves the file's row, so that its content is found and removed.
    store::tasks::delete(&db.bob, on, task).await.unwrap();
    assert_eq!(file_attachments::get(&db.bob, on, made).await.unwrap().unwrap().task_id, None);
}

async fn newest_files(db: &Db) {
    let on = &db.store;
    let of_bob = db.task("bob's, for the employee").await;
    let of_cat = tasks::create(&db.cat, on, &NewTask::titled("cat's own")).await.unwrap();
    let given = NewTask { assigned_to: Some(id(&db.bob)), ..NewTask::titled("cat's, for bob") };
    let given = tasks::create(&db.cat, on, &given).await.unwrap();
    let gone = tasks::create(&db.bob, on, &NewTask::titled("soon gone")).await.unwrap();
    let add = async |actor: &Actor, task_id: Uuid, name: &str| {
        let new = NewAttachment {
            filename: name.to_owned(),
            original_filename: name.to_owned(),
            mime_type: None,
            file_size: 1,
            storage_path: format!("ab/{name}"),
            task_id,
            hash_checksum: "0".repeat(64),
            expires_at: None,
        };
        file_attachments::create(actor, on, &new).await.unwrap();
    };
    add(&db.bob, of_bob, "1").await;
    add(&db.employee, of_bob, "2").await;
    add(&db.cat, of_cat, "3").await;
    add(&db.bob, gone, "4").await;
    add(&db.cat, given, "5").await;
    add(&db.bob, given, "6").await;
    tasks::delete(&db.bob, on, gone).await.unwrap();
    // In pages of two, as one list of all would have it: what one brought, what hangs on a task one made or works on.
    for (actor, seen) in [
        (&db.bob, "65421"),
        (&db.cat, "653"),
        (&db.employee, "21"),
        (&db.obs, "65321"),
        (&db.ada, "65321"),
        (&db.service, "654321"),
        (&db.sus, ""),
        (&db.nobody, ""),
    ] {
        let (mut found, mut cursor) = (String::new(), None);
        loop {
            let page = file_attachments::newest(actor, on, cursor, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            cursor = Some((last.created_at, last.id));
            found.extend(page.iter().map(|file| file.filename.as_str()));
        }
        assert_eq!(found, seen, "{actor:?}");
    }
}

fn line(level: &'static str, module: &str, seconds: i64) -> NewLogLine {
    NewLogLine {
        id: Uuid::now_v7(),
        timestamp: time_text(in_seconds(seconds)),
        level,
        module: module.to_owned(),
        message: format!("{module} says ü"),
        user_id: None,
        task_id: None,
        request_id: Some("r-1".to_owned()),
        ip_address: None,
        user_agent: None,
        metadata: json!({ "n": 1 }),
    }
}

async fn log_lines(db: &Db) {
    let on = &db.store;
    let task = db.task("x").await;
    let lines = [
        line("info", "a", -3),
        NewLogLine { task_id: Some(task), user_id: Some(id(&db.bob)), ..line("error", "b", -2) },
        NewLogLine { message: "a\0b".to_owned(), metadata: json!({ "a": ["\0"] }), ..line("info", "b", -1) },
        // Years away: the partition that catches the rest.
        line("debug", "old", -5 * 366 * 86400),
    ];
    assert_eq!(system_logs::append(&db.service, on, &lines).await.unwrap(), 4);
    assert_eq!(system_logs::append(&db.service, on, &[]).await.unwrap(), 0);
    let of = async |actor, level, module, task_id| -> Vec<String> {
        let rows = system_logs::list(actor, on, level, module, task_id, 10).await.unwrap();
        rows.into_iter().map(|l| format!("{} {}", l.level, l.module.unwrap_or_default())).collect()
    };
    assert_eq!(of(&db.service, None, None, None).await, ["info b", "error b", "info a", "debug old"]);
    assert_eq!(of(&db.ada, Some("info"), None, None).await, ["info b", "info a"]);
    assert_eq!(of(&db.obs, None, Some("b"), None).await, ["info b", "error b"]);
    assert_eq!(of(&db.obs, None, None, Some(task)).await, ["error b"]);
    assert_eq!(of(&db.bob, None, None, None).await, ["error b"], "one's own");
    assert!(of(&db.cat, None, None, None).await.is_empty());
    let rows = system_logs::list(&db.service, on, Some("info"), Some("b"), None, 10).await.unwrap();
    assert_eq!(
        (rows[0].message.as_deref(), &rows[0].metadata),
        (Some("a\u{2400}b"), &Some(json!({ "a": ["\u{2400}"] }))),
        "a stray NUL costs nothing"
    );
    assert_eq!((rows[0].request_id.as_deref(), rows[0].ip_address), (Some("r-1"), None));
    // In nobody's or one's own name.
    assert_eq!(
        system_logs::append(
            &db.bob,
            on,
            &[line("info", "mine", 0), NewLogLine { user_id: Some(id(&db.bob)), ..line("info", "mine", 0) }]
        )
        .await
        .unwrap(),
        2
    );
    let forged = NewLogLine { user_id: Some(id(&db.cat)), ..line("info", "x", 0) };
    assert_eq!(refusal(system_logs::append(&db.bob, on, &[forged]).await), "refused");
    assert_eq!(
        refusal(system_logs::append(&db.service, on, &[line("info", "c", 0), line("loud", "c", 0)]).await),
        "chk_log_level"
    );
    assert!(of(&db.service, None, Some("c"), None).await.is_empty(), "all or none");
    // Many at once are cut to a thousand.
    let many: Vec<NewLogLine> = (0..1100).map(|_| line("debug", "many", 0)).collect();
    assert_eq!(system_logs::append(&db.service, on, &many).await.unwrap(), 1000);
}

async fn filters_and_pages(db: &Db) {
    let on = &db.store;
    let mut lines = Vec::new();
    for (n, level) in LEVELS.into_iter().cycle().take(20).enumerate() {
        let n = i64::try_from(n).unwrap();
        let whose = if n % 2 == 0 { id(&db.bob) } else { id(&db.cat) };
        lines.push(NewLogLine {
            user_id: Some(whose),
            ip_address: Some("2001:db8::7".parse().unwrap()),
            user_agent: Some("curl/8".to_owned()),
            ..line(level, if n < 10 { "first" } else { "second" }, n - 100)
        });
    }
    // Two lines of one moment: the id decides.
    let moment = lines[4].timestamp.clone();
    lines[5].timestamp = moment;
    system_logs::append(&db.service, on, &lines).await.unwrap();
    let wanted = async |actor: &Actor, filter: &Filter<'_>| -> Vec<Uuid> {
        // In pages of three, as a program walks them.
        let (mut all, mut filter) = (Vec::new(), *filter);
        loop {
            let page = system_logs::find(actor, on, &filter, 3).await.unwrap();
            let Some(last) = page.last() else { return all };
            filter.after = Some((last.timestamp, last.id));
            all.extend(page.iter().map(|l| l.id));
        }
    };
    let expected = |keep: &dyn Fn(usize, &NewLogLine) -> bool| -> Vec<Uuid> {
        let mut kept: Vec<&NewLogLine> =
            lines.iter().enumerate().filter(|(n, l)| keep(*n, l)).map(|(_, l)| l).collect();
        kept.sort_by_key(|l| std::cmp::Reverse((l.timestamp.clone(), l.id)));
        kept.iter().map(|l| l.id).collect()
    };
    let all = Filter::default();
    for actor in [&db.service, &db.ada, &db.obs] {
        assert_eq!(wanted(actor, &all).await, expected(&|_, _| true));
    }
    assert_eq!(wanted(&db.bob, &all).await, expected(&|n, _| n % 2 == 0), "one's own");
    for actor in [&db.sus, &db.ina, &db.nobody] {
        assert!(wanted(actor, &all).await.is_empty());
    }
    let heavy = Filter { level: Some("error"), ..all };
    assert_eq!(wanted(&db.ada, &heavy).await, expected(&|_, l| l.level == "error" || l.level == "critical"));
    let mixed = Filter { level: Some("info"), module: Some("second"), user_id: Some(id(&db.cat)), ..all };
    assert_eq!(wanted(&db.obs, &mixed).await, expected(&|n, l| l.level != "debug" && n >= 10 && n % 2 == 1));
    assert!(wanted(&db.bob, &mixed).await.is_empty(), "another's");
    let between = Filter { from: lines[3].timestamp.parse().ok(), to: lines[8].timestamp.parse().ok(), ..all };
    assert_eq!(wanted(&db.ada, &between).await, expected(&|n, _| (3..8).contains(&n)), "from inclusive, to exclusive");
    let first = system_logs::find(&db.ada, on, &all, 1).await.unwrap().remove(0);
    assert_eq!((first.ip_address, first.user_agent.as_deref()), (Some("2001:db8::7".parse().unwrap()), Some("curl/8")));
    // The same batch again, as after a commit that nobody heard of: nothing stands twice.
    assert_eq!(system_logs::append(&db.service, on, &lines).await.unwrap(), 0);
    assert_eq!(wanted(&db.ada, &all).await.len(), 20);
}

async fn search_in_messages(db: &Db) {
    let on = &db.store;
    let said = |message: &str, whose: Option<&Actor>, seconds| NewLogLine {
        message: message.to_owned(),
        user_id: whose.map(id),
        ..line("info", "m", seconds)
    };
    let lines = [
        said("The invoice was filed away", Some(&db.bob), -3),
        said("Two invoices could not be filed", Some(&db.cat), -2),
        said("a <b>mail</b> arrived", None, -1),
    ];
    system_logs::append(&db.service, on, &lines).await.unwrap();
    let found = async |actor: &Actor, query: &str| -> Vec<String> {
        let filter = Filter::default();
        let rows = system_logs::search(actor, on, query, &filter, 10).await.unwrap();
        // The pieces are the message, whatever is marked of it.
        for row in &rows {
            let whole: String = row.snippet.iter().map(|piece| piece.text.as_str()).collect();
            assert_eq!(Some(&whole), row.line.message.as_ref(), "{query}");
        }
        rows.into_iter().map(|found| found.line.message.unwrap()).collect()
    };
    let [filed, two, mail] = [0, 1, 2].map(|n: usize| lines[n].message.as_str());
    assert_eq!(found(&db.ada, "invoice").await, [two, filed], "stems, newest first");
    assert_eq!(found(&db.ada, "\"filed away\"").await, [filed]);
    assert_eq!(found(&db.ada, "invoice -two").await, [filed]);
    assert_eq!(found(&db.ada, "mail or away").await, [mail, filed]);
    assert_eq!(found(&db.ada, "-invoice").await, [mail], "all but");
    assert_eq!(found(&db.bob, "filed").await, [filed], "one's own");
    for actor in [&db.sus, &db.nobody] {
        assert!(found(actor, "invoice").await.is_empty());
    }
    for odd in ["", "\"", "'; DROP", "((", "a:* & !", "\u{0}x"] {
        // What is found does not matter; that it is no error does.
        system_logs::search(&db.ada, on, odd, &Filter::default(), 10).await.unwrap();
    }
    let odd = Filter { module: Some("a\0"), ..Filter::default() };
    assert!(system_logs::search(&db.ada, on, "invoice", &odd, 10).await.unwrap().is_empty());
    assert!(system_logs::find(&db.ada, on, &odd, 10).await.unwrap().is_empty());
    let marked = system_logs::search(&db.ada, on, "invoice -two", &Filter::default(), 10).await.unwrap().remove(0);
    let hits: Vec<&str> = marked.snippet.iter().filter(|piece| piece.hit).map(|piece| piece.text.as_str()).collect();
    assert!(!hits.is_empty() && hits.iter().all(|hit| hit.to_lowercase().starts_with("invoic")), "{marked:?}");
    let filter = Filter { from: Some(in_seconds(-2) - SignedDuration::from_millis(500)), ..Filter::default() };
    assert_eq!(system_logs::search(&db.ada, on, "invoice", &filter, 10).await.unwrap().len(), 1);
}

async fn months_of_the_log(db: &Db) {
    let on = &db.store;
    assert_eq!(schedules::ensure_log_partitions(&db.service, on).await.unwrap(), 0, "the migration made them");
    assert_eq!(refusal(schedules::ensure_log_partitions(&db.ada, on).await), "refused");
    system_logs::append(&db.service, on, &[line("info", "now", 0)]).await.unwrap();
    let months = log_keeping::partitions(&db.service, on).await.unwrap();
    let now = format!("system_logs_{}", store::now().strftime("%Y_%m"));
    let this = months.iter().find(|m| m.name == now).unwrap();
    assert_eq!((this.state.as_str(), this.lines, this.is_exact), ("month", 1, true));
    assert_eq!(this.month(), now.get(12..));
    assert!(this.from_at.unwrap() <= store::now() && store::now() < this.to_at.unwrap());
    for actor in [&db.ada, &db.bob, &db.nobody] {
        assert_eq!(refusal(log_keeping::partitions(actor, on).await), "refused");
        assert_eq!(refusal(log_keeping::drain(actor, on).await), "refused");
        assert_eq!(refusal(log_keeping::detach(actor, on, "2020_01").await), "refused");
        assert_eq!(refusal(log_keeping::discard(actor, on, "2020_01", 0).await), "refused");
    }
}

/// The steps by which a month leaves, one by one.
async fn old_months_leave(db: &Db) {
    let on = &db.store;
    let may: jiff::Timestamp = "2024-05-10T12:00:00Z".parse().unwrap();
    let between = ("2024-05-01T00:00:00Z".parse().unwrap(), "2024-06-01T00:00:00Z".parse().unwrap());
    let lines: Vec<NewLogLine> = (0..1500)
        .map(|n| NewLogLine { timestamp: time_text(may + SignedDuration::from_secs(n / 2)), ..line("info", "old", 0) })
        .collect();
    for part in lines.chunks(1000) {
        system_logs::append(&db.service, on, part).await.unwrap();
    }
    system_logs::append(&db.service, on, &[line("info", "new", 0)]).await.unwrap();
    let of_may = async || {
        let months = log_keeping::partitions(&db.service, on).await.unwrap();
        months.into_iter().find(|m| m.name.starts_with("system_logs_2024_05")).map(|m| (m.state, m.lines))
    };
    let is_postgres = db.engine == Engine::Postgres;
    if is_postgres {
        assert_eq!(of_may().await, None, "its month is missing");
        assert!(log_keeping::drain(&db.service, on).await.unwrap());
        assert!(!log_keeping::drain(&db.service, on).await.unwrap(), "nothing is left to drain");
    }
    assert_eq!(of_may().await, Some(("month".to_owned(), 1500)));
    assert_eq!(log_keeping::detach(&db.service, on, "2024_05").await.unwrap(), is_postgres);
    assert!(!log_keeping::detach(&db.service, on, "2024_05").await.unwrap(), "once");
    for none in ["2024_13", "x", "2024_05; DROP TABLE users", "9999_01"] {
        assert!(!log_keeping::detach(&db.service, on, none).await.unwrap(), "{none}");
    }
    let now = store::now().strftime("%Y_%m").to_string();
    assert!(!log_keeping::detach(&db.service, on, &now).await.unwrap(), "the present month stays");
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = log_keeping::read(&db.service, on, "2024_05", between, after).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.timestamp, last.id));
        read.extend(page.iter().map(|l| l.id));
    }
    let mut wanted: Vec<(String, Uuid)> = lines.iter().map(|l| (l.timestamp.clone(), l.id)).collect();
    wanted.sort();
    assert!(read.iter().eq(wanted.iter().map(|(_, id)| id)), "all of them, in order");
    if is_postgres {
        assert!(
            system_logs::find(&db.ada, on, &Filter { module: Some("old"), ..Filter::default() }, 1)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(of_may().await, Some(("detached".to_owned(), 1500)));
        let error = log_keeping::discard(&db.service, on, "2024_05", 1499).await.unwrap_err();
        assert!(error.to_string().contains("1500 lines, not the 1499"), "{error}");
        assert_eq!(log_keeping::discard(&db.service, on, "2024_05", 1500).await.unwrap(), 1500);
    } else {
        assert_eq!(log_keeping::remove(&db.service, on, read[..700].to_vec(), between).await.unwrap(), 700);
        assert_eq!(of_may().await.unwrap().1, 800);
        assert_eq!(log_keeping::remove(&db.service, on, read.clone(), between).await.unwrap(), 800);
        let recent =
            system_logs::find(&db.service, on, &Filter { module: Some("new"), ..Filter::default() }, 1).await.unwrap();
        let month = (in_seconds(-3600), in_seconds(3600));
        assert_eq!(refusal(log_keeping::remove(&db.service, on, vec![recent[0].id], month).await), "refused");
        assert!(db.store.give_back_space().await.unwrap() > 100_000, "the file shrinks");
    }
    assert_eq!(of_may().await, None);
    assert_eq!(log_keeping::discard(&db.service, on, "2024_05", 0).await.unwrap(), 0, "it is gone");
}
