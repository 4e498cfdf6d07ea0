//! The search language on both databases, and what remains different between them (`docs/search.md`).

use std::collections::BTreeSet;

use proptest::{strategy::Strategy, strategy::ValueTree, test_runner::TestRunner};
use store::{
    search::Piece,
    tasks::{self, FoundTask, NewTask, TaskFilter},
};
use uuid::Uuid;

use crate::common::{Db, Engine, id};

crate::on_both!(
    the_language,
    what_matches_is_marked,
    the_best_comes_first,
    filters,
    nothing_typed_is_an_error,
    what_differs_is_known
);

async fn make(db: &Db, title: &str, text: &str) -> Uuid {
    let new = NewTask { description: Some(text.to_owned()), ..NewTask::titled(title) };
    tasks::create(&db.bob, &db.store, &new).await.unwrap()
}

async fn found(db: &Db, query: &str) -> Vec<FoundTask> {
    tasks::find(&db.bob, &db.store, query, &TaskFilter::default(), 50).await.unwrap()
}

async fn ids(db: &Db, query: &str) -> BTreeSet<Uuid> {
    found(db, query).await.into_iter().map(|f| f.task.id).collect()
}

async fn the_language(db: &Db) {
    let invoice = make(db, "Moving invoices", "all the invoices of march").await;
    let draft = make(db, "Invoice draft", "not sent, it's for the neighbour's shed").await;
    let plants = make(db, "Water the plants", "every morning").await;
    tasks::create(&db.cat, &db.store, &NewTask::titled("Somebody else's")).await.unwrap();
    let all = BTreeSet::from([invoice, draft, plants]);
    for (query, wanted) in [
        ("invo*", vec![invoice, draft]),
        ("INVO* mar*", vec![invoice]),
        ("invoices*", vec![invoice, draft]),
        ("wat* or dra*", vec![draft, plants]),
        ("invoice -dra*", vec![invoice]),
        ("invoice -\"of march\"", vec![draft]),
        ("neighbour's", vec![draft]),
        ("-invoice", vec![plants]),
        ("-invoice -plants", vec![]),
        ("-the -draft", vec![invoice, plants]),
        ("plants or -invoice", vec![plants]),
        ("draft or -invoice", vec![draft, plants]),
        ("-draft or -plants", vec![invoice, draft, plants]),
        ("-the", vec![]),
        ("the*", vec![]),
        ("morn* \"every morning\"", vec![plants]),
    ] {
        assert_eq!(ids(db, query).await, wanted.into_iter().collect(), "{query}");
    }
    assert_eq!(ids(db, "-nothing-like-it").await, all, "all that one may see, and no more");
}

fn text(pieces: &[Piece]) -> String {
    pieces.iter().map(|p| if p.hit { format!("<{}>", p.text) } else { p.text.clone() }).collect()
}

async fn what_matches_is_marked(db: &Db) {
    let filler = "and so it goes on ".repeat(50);
    make(db, "Invoices <b>& co</b>", &format!("{filler} the invoice of march {filler}")).await;
    make(db, "Plain", "nothing of it").await;
    let by_words = found(db, "invoice march").await;
    let hit = &by_words[0].snippet;
    assert_eq!(text(&hit.title), "<Invoices> <b>& co</b>");
    let shown = text(&hit.description);
    assert!(shown.contains("<invoice>") && shown.contains("<march>") && shown.len() < 600, "{shown}");
    assert!(text(&found(db, "invo*").await[0].snippet.title).starts_with("<Invoices>"));
    // What is found by what it lacks shows its beginning, without a mark.
    let rest = found(db, "-invoice").await;
    assert_eq!(
        (text(&rest[0].snippet.title), text(&rest[0].snippet.description)),
        ("Plain".to_owned(), "nothing of it".to_owned())
    );
    tasks::create(&db.bob, &db.store, &NewTask::titled("bare")).await.unwrap();
    assert!(found(db, "bare").await[0].snippet.description.is_empty());
}

async fn the_best_comes_first(db: &Db) {
    let weak = make(db, "Notes", "some day an invoice, and many other things that are not about it at all").await;
    let strong = make(db, "Invoice", "invoice").await;
    let order: Vec<Uuid> = found(db, "invoice").await.into_iter().map(|f| f.task.id).collect();
    assert_eq!(order, [strong, weak]);
    let one = tasks::find(&db.bob, &db.store, "invoice", &TaskFilter::default(), 1).await.unwrap();
    assert_eq!(one.len(), 1);
    assert!(tasks::find(&db.bob, &db.store, "invoice", &TaskFilter::default(), -1).await.unwrap().is_empty());
}

async fn filters(db: &Db) {
    let on = &db.store;
    let new = NewTask {
        priority: "high".to_owned(),
        assigned_to: Some(id(&db.cat)),
        tags: vec!["tax".to_owned(), "a,\"b".to_owned()],
        ..NewTask::titled("the marked report")
    };
    let marked = tasks::create(&db.bob, on, &new).await.unwrap();
    let plain = make(db, "a plain report", "").await;
    let made = tasks::get(&db.bob, on, marked).await.unwrap().unwrap().created_at;
    let later = tasks::get(&db.bob, on, plain).await.unwrap().unwrap().created_at;
    let none = TaskFilter::default;
    let text = |t: &str| Some(t.to_owned());
    for (filter, wanted) in [
        (TaskFilter { status: text("pending"), ..none() }, vec![marked, plain]),
        (TaskFilter { status: text("failed"), ..none() }, vec![]),
        (TaskFilter { priority: text("high"), ..none() }, vec![marked]),
        (TaskFilter { assigned_to: Some(id(&db.cat)), ..none() }, vec![marked]),
        (TaskFilter { tag: text("a,\"b"), ..none() }, vec![marked]),
        (TaskFilter { tag: text("ta"), ..none() }, vec![]),
        (TaskFilter { created_from: Some(later), ..none() }, vec![plain]),
        (TaskFilter { created_before: Some(later), ..none() }, vec![marked]),
        (TaskFilter { created_from: Some(made), created_before: Some(made), ..none() }, vec![]),
    ] {
        for query in ["report", "-nothing", "rep*"] {
            let rows = tasks::find(&db.bob, on, query, &filter, 50).await.unwrap();
            let ids: BTreeSet<Uuid> = rows.into_iter().map(|f| f.task.id).collect();
            assert_eq!(ids, wanted.iter().copied().collect(), "{query} {filter:?}");
        }
    }
}

async fn nothing_typed_is_an_error(db: &Db) {
    make(db, "invoice", "of march").await;
    let mut runner = TestRunner::deterministic();
    let any = proptest::collection::vec(
        proptest::prop_oneof![
            2 => proptest::string::string_regex("\\PC{0,12}").unwrap(),
            1 => proptest::string::string_regex("(?s).{0,8}").unwrap(),
            4 => proptest::sample::select(vec!["\"", "'", "\\", "-", "*", ":*", "&", "|", "!", "<->", "(", ")", " or ", "NEAR(", "^", "\0", "{", "title :", "invoice", ":", "%", "@", "http://x.y/z?a=b", "a@b.c", "--", " "])
                .prop_map(str::to_owned),
        ],
        0..12,
    );
    let owner = match db.engine {
        Engine::Postgres => Some(crate::common::connect(&db.owner).await),
        Engine::Sqlite => None,
    };
    for _ in 0..300 {
        let typed = any.new_tree(&mut runner).unwrap().current().concat();
        let answered = tasks::find(&db.bob, &db.store, &typed, &TaskFilter::default(), 5).await;
        assert!(answered.is_ok(), "{typed:?}: {answered:?}");
        // The specification's own function, as another program calls it.
        if let Some(owner) = owner.as_ref().filter(|_| !typed.contains('\0')) {
            let answered = owner.query("SELECT search_tasks($1)", &[&typed]).await;
            assert!(answered.is_ok(), "{typed:?}: {answered:?}");
        }
    }
    for typed in
        ["x".repeat(100_000), "-".repeat(100_000), "\"".repeat(100_001), "a b ".repeat(50_000), "*".repeat(9999)]
    {
        tasks::find(&db.bob, &db.store, &typed, &TaskFilter::default(), 5).await.unwrap();
    }
}

/// Each line of the list in `docs/search.md`: (document, query, found on PostgreSQL, found on SQLite).
const DIFFERENCES: [(&str, &str, bool, bool); 8] = [
    ("see report.pdf", "report", false, true),
    ("write to ada@example.org", "example", false, true),
    ("on 2026-11-22", "11", false, true),
    ("a well known place", "well-known", false, true),
    ("the march of invoices", "\"march by invoices\"", true, false),
    ("the news", "new", false, true),
    ("he was dying", "die", true, false),
    ("nation of nationals", "nation", true, true),
];

async fn what_differs_is_known(db: &Db) {
    for (document, query, on_postgres, on_sqlite) in DIFFERENCES {
        let task = make(db, document, "").await;
        let wanted = if db.engine == Engine::Postgres { on_postgres } else { on_sqlite };
        assert_eq!(ids(db, query).await.contains(&task), wanted, "{query} in {document}");
        assert!(tasks::delete(&db.bob, &db.store, task).await.unwrap());
    }
    // Alike: accents and case.
    let task = make(db, "Müllers RECHNUNG", "").await;
    assert!(ids(db, "MÜLLERS rechnung").await.contains(&task));
    assert!(!ids(db, "mullers").await.contains(&task));
    // A phrase may begin in the title and end in the description on PostgreSQL, whose index is over both as one text.
    let task = make(db, "pay the bill", "march is over").await;
    assert_eq!(ids(db, "\"bill march\"").await.contains(&task), db.engine == Engine::Postgres);
    // What looks like a tag is no word, and PostgreSQL leaves it out of a description's snippet; the task itself holds it.
    let task = make(db, "wager", "a <b>bold</b> wager").await;
    let shown = found(db, "wager").await.into_iter().find(|f| f.task.id == task).unwrap();
    let snippet: String = shown.snippet.description.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(snippet.contains("<b>"), db.engine == Engine::Sqlite, "{snippet}");
    assert_eq!(shown.task.description.as_deref(), Some("a <b>bold</b> wager"));
    let docs = include_str!("../../../../docs/search.md");
    for listed in ["| `\"bill march\"` | pay the bill + march is over |", "`a <b>bold</b> wager`"] {
        assert!(docs.contains(listed), "docs/search.md does not list {listed}");
    }
    for (document, query, ..) in DIFFERENCES.iter().filter(|(.., pg, lite)| pg != lite) {
        assert!(docs.contains(&format!("| `{query}` | {document} |")), "docs/search.md does not list {query}");
    }
}
