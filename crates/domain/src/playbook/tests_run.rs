//! The interpreter against the shipped example and against random journals.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Next, Outcome, OutcomeState, Playbook, PlaybookRunError, canonical_json, parse, sha256_hex};

const MANUAL: &str = include_str!("../../../../docs/playbooks.md");
const FILE_AWAY: &str = include_str!("../../../../examples/playbooks/file-away.yaml");

fn playbook(source: &str) -> Playbook {
    parse(source).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn facts(name: &str, mime_type: &str) -> Value {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    json!({
        "task": { "id": "00000000-0000-7000-8000-000000000001", "title": name, "source": "watcher:inbox" },
        "file": {
            "path": format!("/home/ada/steward/inbox/{name}"), "name": name, "stem": stem, "extension": extension,
            "size_bytes": 1234, "mime_type": mime_type, "sha256": "00", "modified_at": "2026-03-31T08:00:00Z",
            "year": "2026", "month": "03", "day": "31"
        },
        "watcher": { "name": "inbox", "path": "/home/ada/steward/inbox", "root": "/home/ada/steward" },
        "now": "2026-11-22T10:00:00Z"
    })
}

fn ok(step: &str, text: &str) -> Outcome {
    let result = json!({ "content": [{ "type": "text", "text": text }], "structuredContent": { "content": text }, "isError": false });
    Outcome::new(step, OutcomeState::Succeeded { result })
}

fn failed(step: &str, error: &str) -> Outcome {
    Outcome::new(step, OutcomeState::Failed { error: error.to_owned() })
}

fn denied(step: &str, reason: &str) -> Outcome {
    Outcome::new(step, OutcomeState::Denied { reason: reason.to_owned() })
}

fn skipped(step: &str) -> Outcome {
    Outcome::new(step, OutcomeState::Skipped)
}

fn call(next: Next) -> (String, String, Value) {
    match next {
        Next::Call { step, tool, arguments, .. } => (step, tool, arguments),
        other => panic!("a call was due, not {other:?}"),
    }
}

fn folder_of(name: &str, mime_type: &str) -> String {
    let info = ok("info", "size: 1\nisFile: true");
    let (_, _, arguments) = call(playbook(FILE_AWAY).next(&facts(name, mime_type), &[info]).unwrap());
    arguments["path"].as_str().unwrap().strip_prefix("/home/ada/steward/").unwrap().to_owned()
}

#[test]
fn file_away_from_the_first_step_to_the_last() {
    let (book, facts) = (playbook(FILE_AWAY), facts("Rechnung März 2026.pdf", "application/pdf"));
    assert_eq!(book.name(), "file-away");
    assert_eq!(book.mismatch(&facts), None);
    let mut journal = Vec::new();
    assert_eq!(
        call(book.next(&facts, &journal).unwrap()),
        ("info".into(), "get_file_info".into(), json!({ "path": "/home/ada/steward/inbox/Rechnung März 2026.pdf" }))
    );
    journal.push(ok("info", "size: 1234\nisDirectory: false\nisFile: true"));
    assert_eq!(
        call(book.next(&facts, &journal).unwrap()),
        ("folder".into(), "create_directory".into(), json!({ "path": "/home/ada/steward/Invoices/2026" }))
    );
    journal.push(ok("folder", "Successfully created directory"));
    assert_eq!(
        call(book.next(&facts, &journal).unwrap()),
        (
            "move".into(),
            "move_file".into(),
            json!({
                "source": "/home/ada/steward/inbox/Rechnung März 2026.pdf",
                "destination": "/home/ada/steward/Invoices/2026/Rechnung März 2026.pdf"
            })
        )
    );
    let mut edited = ok("move", "Successfully moved");
    edited.arguments = Some(json!({ "source": "a", "destination": "/home/ada/steward/Taxes/r.pdf" }));
    journal.push(edited);
    let summary = "Moved Rechnung März 2026.pdf to /home/ada/steward/Taxes/r.pdf (rule: invoices).";
    assert_eq!(book.next(&facts, &journal).unwrap(), Next::Finish { summary: summary.into() });
}

#[test]
fn file_away_chooses_by_name_then_type() {
    assert_eq!(folder_of("INVOICE-7.docx", "application/octet-stream"), "Invoices/2026");
    // An accent in two code points, as some systems write it, and a line break in the name.
    assert_eq!(folder_of("Kaufvertrag Ma\u{308}rz.pdf", "application/pdf"), "Contracts");
    assert_eq!(folder_of("der\nVERTRAG\n.pdf", "application/pdf"), "Contracts");
    assert_eq!(folder_of("die\nRechnung\n.pdf", "application/pdf"), "Invoices/2026");
    assert_eq!(folder_of("IMG_1.JPG", "image/jpeg"), "Pictures/2026/03");
    assert_eq!(folder_of("manual.pdf", "application/pdf"), "Documents/2026");
    assert_eq!(folder_of("notes.txt", "text/plain; charset=utf-8"), "Documents/2026");
    assert_eq!(folder_of("archive.zip", "application/zip"), "Other/2026");
}

/// The manual's worked example does what the manual says it does.
#[test]
fn the_manuals_example_is_true() {
    let source = MANUAL.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (book, facts) = (playbook(source), facts("Invoice 2025-11.pdf", "application/pdf"));
    assert_eq!(book.mismatch(&facts), None);
    let mut journal = Vec::new();
    for text in ["isFile: true", "", ""] {
        let (step, tool, arguments) = call(book.next(&facts, &journal).unwrap());
        let row = format!("| `{step}` | `{tool}` | `{}` |", canonical_json(&arguments));
        assert!(MANUAL.contains(&row), "{row}");
        journal.push(ok(&step, text));
    }
    let summary = "Invoice 2025-11.pdf: succeeded".to_owned();
    assert_eq!(book.next(&facts, &journal).unwrap(), Next::Finish { summary });
}

#[test]
fn patterns_do_not_care_about_case_or_encoding() {
    let fits = |pattern: &str, name: &str| {
        let source =
            format!("name: t\nmatch: {{ name: {} }}\nsteps:\n  - {{ name: a, server: s, tool: t }}\n", json!(pattern));
        playbook(&source).mismatch(&facts(name, "text/plain")).is_none()
    };
    for (pattern, name) in [
        ("*.pdf", "A.PDF"),
        ("ÄRGER*", "ärger.txt"),
        ("ma\u{308}rz", "MÄRZ"),
        ("m?rz", "märz"),
        ("*", "a\nb"),
        ("*.{jpg,png}", "x.Png"),
        ("[a-c]?", "Bü"),
        ("a*c", "a\n\"'{{ }}c"),
        ("*", ""),
    ] {
        assert!(fits(pattern, name), "{pattern} {name:?}");
    }
    assert!(!fits("*.pdf", "a.pdf.exe") && !fits("a", "ab") && !fits("m?rz", "mrz"));
}

#[test]
fn file_away_is_not_for_partial_files() {
    let book = playbook(FILE_AWAY);
    for name in ["a", "ä\nö.pdf", "no extension", "\"{{ file }}\".txt"] {
        assert_eq!(book.mismatch(&facts(name, "text/plain")), None, "{name}");
    }
    for name in ["a.part", "film.mkv.crdownload", ".hidden", "letter.txt~", "~lock"] {
        assert!(book.mismatch(&facts(name, "text/plain")).is_some(), "{name}");
    }
    let mut large = facts("a.pdf", "application/pdf");
    large["file"]["size_bytes"] = json!(2_000_000_000_u64);
    assert!(book.mismatch(&large).unwrap().contains("2000000000 bytes"));
    assert!(book.mismatch(&json!({ "task": {} })).unwrap().contains("not known"));
}

#[test]
fn a_persons_no_is_the_reason_word_for_word() {
    let (book, facts) = (playbook(FILE_AWAY), facts("a.pdf", "application/pdf"));
    let journal = [ok("info", "isFile: true"), ok("folder", ""), denied("move", "Not yet,\nask Bob first.")];
    assert_eq!(book.next(&facts, &journal).unwrap(), Next::Fail { reason: "Not yet,\nask Bob first.".into() });
    let journal = [ok("info", "isFile: true"), denied("folder", "No new folders.")];
    let Next::Fail { reason } = book.next(&facts, &journal).unwrap() else { panic!() };
    assert!(reason.contains("Documents/2026") && reason.ends_with("No new folders."), "{reason}");
}

#[test]
fn the_move_follows_a_folder_that_a_person_edited() {
    let (book, facts) = (playbook(FILE_AWAY), facts("a.pdf", "application/pdf"));
    let mut folder = ok("folder", "");
    folder.arguments = Some(json!({ "path": "/home/ada/steward/Elsewhere" }));
    let (_, _, arguments) = call(book.next(&facts, &[ok("info", "isFile: true"), folder]).unwrap());
    assert_eq!(arguments["destination"], "/home/ada/steward/Elsewhere/a.pdf");
}

#[test]
fn something_that_is_no_file_is_left_alone() {
    let (book, facts) = (playbook(FILE_AWAY), facts("a", "inode/directory"));
    let mut journal = vec![ok("info", "isFile: false")];
    for step in ["folder", "move"] {
        let Next::Skip { step: skip, .. } = book.next(&facts, &journal).unwrap() else { panic!("{step}") };
        assert_eq!(skip, step);
        journal.push(skipped(step));
    }
    let Next::Finish { summary } = book.next(&facts, &journal).unwrap() else { panic!() };
    assert!(summary.contains("not a plain file"), "{summary}");
}

#[test]
fn failures_reach_people_with_their_words() {
    let (book, facts) = (playbook(FILE_AWAY), facts("a.pdf", "application/pdf"));
    let Next::Fail { reason } = book.next(&facts, &[failed("info", "ENOENT: no such file")]).unwrap() else { panic!() };
    assert_eq!(reason, "step \"info\" (files.get_file_info) failed: ENOENT: no such file");
    // A result that says isError is a failure, whatever the caller made of it.
    let result = json!({ "content": [{ "type": "text", "text": "Destination already exists" }], "isError": true });
    let moved = Outcome::new("move", OutcomeState::Succeeded { result });
    let journal = [ok("info", "isFile: true"), ok("folder", ""), moved];
    let Next::Fail { reason } = book.next(&facts, &journal).unwrap() else { panic!() };
    assert_eq!(reason, "a.pdf was left where it is: Destination already exists");
}

const REACTIONS: &str = r#"
name: reactions
steps:
  - { name: one, server: s, tool: t, on_failure: continue }
  - name: two
    server: s
    tool: t
    on_failure:
      steps:
        - { name: undo, server: s, tool: undo, arguments: { why: "{{ failure.error }}", of: "{{ failure.step }}" } }
      then: continue
  - { name: three, server: s, tool: t, arguments: { one: "{{ steps.one.state }}", undo: "{{ steps.undo.state }}" } }
on_failure:
  steps:
    - { name: tell, server: s, tool: tell }
  reason: "gave up at {{ failure.step }}, told: {{ steps.tell.state }}"
finish: "{{ steps.three.data.n + 1 }}"
"#;

#[test]
fn reactions_run_and_are_replayed() {
    let (book, facts) = (playbook(REACTIONS), json!({}));
    let mut journal = vec![failed("one", "e1"), failed("two", "e2")];
    assert_eq!(
        call(book.next(&facts, &journal).unwrap()),
        ("undo".into(), "undo".into(), json!({ "why": "e2", "of": "two" }))
    );
    journal.push(ok("undo", ""));
    let (_, _, arguments) = call(book.next(&facts, &journal).unwrap());
    assert_eq!(arguments, json!({ "one": "failed", "undo": "succeeded" }));
    journal.push(failed("three", "e3"));
    assert_eq!(call(book.next(&facts, &journal).unwrap()).0, "tell");
    journal.push(ok("tell", ""));
    assert_eq!(book.next(&facts, &journal).unwrap(), Next::Fail { reason: "gave up at three, told: succeeded".into() });
    journal.pop();
    journal.push(failed("tell", "no line"));
    let Next::Fail { reason } = book.next(&facts, &journal).unwrap() else { panic!() };
    assert!(reason.contains("e3") && reason.contains("no line"), "{reason}");
    // A reaction that did not run is not in the journal, and its step says so.
    let journal = [ok("one", ""), ok("two", "")];
    assert_eq!(call(book.next(&facts, &journal).unwrap()).2, json!({ "one": "succeeded", "undo": "not_run" }));
    let three = Outcome::new("three", OutcomeState::Succeeded { result: json!({ "structuredContent": { "n": 41 } }) });
    assert_eq!(
        book.next(&facts, &[ok("one", ""), ok("two", ""), three]).unwrap(),
        Next::Finish { summary: "42".into() }
    );
    // A summary that cannot be made does not turn done work into a failure.
    let Next::Finish { summary } = book.next(&facts, &[ok("one", ""), ok("two", ""), ok("three", "")]).unwrap() else {
        panic!()
    };
    assert!(summary.starts_with("reactions: 3 of 3 steps done."), "{summary}");
}

#[test]
fn a_journal_of_another_playbook_is_refused() {
    let (book, facts) = (playbook(FILE_AWAY), facts("a.pdf", "application/pdf"));
    let error = book.next(&facts, &[ok("other", "")]).unwrap_err();
    assert!(matches!(error, PlaybookRunError::Journal { entry: 1, .. }), "{error}");
    let journal = [failed("info", "x"), ok("folder", "")];
    assert!(matches!(book.next(&facts, &journal).unwrap_err(), PlaybookRunError::Journal { entry: 2, .. }));
    assert!(matches!(book.next(&json!([]), &[]).unwrap_err(), PlaybookRunError::Facts { .. }));
}

fn arguments_of(yaml: &str, facts: &Value, journal: &[Outcome]) -> Result<Value, PlaybookRunError> {
    let source = format!(
        "name: t\nsteps:\n  - {{ name: a, server: s, tool: t }}\n  - name: b\n    server: s\n    tool: t\n    arguments: {yaml}\n"
    );
    Ok(call(playbook(&source).next(facts, journal)?).2)
}

#[test]
fn a_lone_expression_keeps_its_type() {
    let result = json!({ "structuredContent": { "n": 9_007_199_254_740_993_i64, "f": 1.0, "big": u64::MAX, "list": [1, null, {"k": true}], "none": null } });
    let journal = [Outcome::new("a", OutcomeState::Succeeded { result })];
    let yaml = r#"{ n: "{{ steps.a.data.n }}", f: "{{ steps.a.data.f }}", big: "{{ steps.a.data.big }}", list: "{{ steps.a.data.list }}",
      none: "{{ steps.a.data.none }}", made: "{{ {'a': [1, 2], \"b\": {'c': 'd}}'}} }}", text: "n={{ steps.a.data.n }}", plain: 7, deep: [{ x: "{{ 1 + 1 }}" }], braces: "{{ '{{' }} } {" }"#;
    let arguments = arguments_of(yaml, &json!({}), &journal).unwrap();
    assert_eq!(
        canonical_json(&arguments),
        r#"{"big":18446744073709551615,"braces":"{{ } {","deep":[{"x":2}],"f":1.0,"list":[1,null,{"k":true}],"made":{"a":[1,2],"b":{"c":"d}}"}},"n":9007199254740993,"none":null,"plain":7,"text":"n=9007199254740993"}"#
    );
}

#[test]
fn what_cannot_be_worked_out_is_an_error_and_never_an_empty_text() {
    let journal = [ok("a", "x")];
    for yaml in [
        r#"{ x: "{{ steps.a.data.nothing }}" }"#,
        r#"{ x: "{{ [steps.a.data.nothing] }}" }"#,
        r#"{ x: "in {{ steps.a.data.nothing }} text" }"#,
        r#"{ x: "{{ task.missing }}" }"#,
        r#"{ x: "list {{ [1] }}" }"#,
        r#"{ x: "null {{ none }}" }"#,
        r#"{ x: "{{ 1 / 0 }}" }"#,
        r#"{ x: "{{ 'a' * 100000000 }}" }"#,
        r#"{ x: "{{ [1] * 100000000 }}" }"#,
        r#"{ x: "{{ 'aaaaaaaaaaaaaaaa' * 4100 }}" }"#,
    ] {
        let error = arguments_of(yaml, &json!({ "task": {} }), &journal).expect_err(yaml).to_string();
        assert!(error.contains("step \"b\""), "{yaml}: {error}");
    }
    let yaml = r#"{ x: "{{ 'a' * 40000 }}", y: "{{ 'a' * 40000 }}" }"#;
    assert!(matches!(arguments_of(yaml, &json!({}), &journal).unwrap_err(), PlaybookRunError::TooLarge { .. }));
}

#[test]
fn results_that_are_json_text_are_data() {
    let result = json!({ "content": [{ "type": "text", "text": "{\"id\": 7}" }] });
    let journal = [Outcome::new("a", OutcomeState::Succeeded { result })];
    assert_eq!(arguments_of("{ x: \"{{ steps.a.data.id }}\" }", &json!({}), &journal).unwrap(), json!({ "x": 7 }));
    let result = json!({ "content": [{ "type": "text", "text": "y".repeat(super::MAX_RESULT_BYTES) }] });
    let journal = [Outcome::new("a", OutcomeState::Succeeded { result })];
    assert_eq!(
        arguments_of("{ x: \"{{ steps.a.state }}\" }", &json!({}), &journal).unwrap(),
        json!({ "x": "succeeded" })
    );
    assert!(arguments_of("{ x: \"{{ steps.a.text }}\" }", &json!({}), &journal).is_err());
}

#[test]
fn outcomes_and_answers_survive_storage() {
    let mut outcome = ok("a", "x");
    outcome.arguments = Some(json!({ "a": 1 }));
    for outcome in [outcome, failed("a", "e"), denied("a", "r"), skipped("a")] {
        let text = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome, "{text}");
    }
    assert_eq!(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let step = prop::sample::select(vec!["info", "folder", "move", "one", "two", "three", "undo", "tell"]);
    let state = prop_oneof![
        any_json().prop_map(|result| OutcomeState::Succeeded { result }),
        Just(OutcomeState::Succeeded { result: json!({ "content": [{ "type": "text", "text": "isFile: true" }] }) }),
        any::<String>().prop_map(|error| OutcomeState::Failed { error }),
        any::<String>().prop_map(|reason| OutcomeState::Denied { reason }),
        Just(OutcomeState::Skipped),
    ];
    (step, prop::option::of(any_json()), state).prop_map(|(step, arguments, state)| Outcome {
        step: step.into(),
        arguments,
        state,
    })
}

proptest! {
    #[test]
    fn canonical_text_is_a_fixed_point(value in any_json()) {
        let text = canonical_json(&value);
        let again: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(canonical_json(&again), text);
    }

    /// Whatever a file is called, its name goes through untouched.
    #[test]
    fn odd_names_pass_untouched(name in "[^/\0]{1,80}") {
        let mut facts = facts("x", "text/plain");
        facts["file"]["name"] = json!(name);
        facts["file"]["path"] = json!(format!("/in/{name}"));
        let journal = [ok("info", "isFile: true"), ok("folder", "")];
        let (_, _, arguments) = call(playbook(FILE_AWAY).next(&facts, &journal).unwrap());
        let parsed: Value = serde_json::from_str(&canonical_json(&arguments)).unwrap();
        prop_assert_eq!(parsed["source"].as_str().unwrap(), format!("/in/{name}"));
        let kept = parsed["destination"].as_str().unwrap().ends_with(&format!("/{name}"));
        prop_assert!(kept);
    }

    #[test]
    fn random_journals_never_panic_and_answer_alike(facts in any_json(), journal in prop::collection::vec(any_outcome(), 0..6)) {
        for source in [FILE_AWAY, REACTIONS] {
            let book = playbook(source);
            prop_assert_eq!(book.next(&facts, &journal), book.next(&facts, &journal));
        }
    }

    /// A run that follows the answers always comes to an end, and every prefix of its journal replays to the same step.
    #[test]
    fn following_the_answers_ends(choices in prop::collection::vec(0..3_u8, 16)) {
        let (book, facts) = (playbook(REACTIONS), json!({}));
        let mut journal: Vec<Outcome> = Vec::new();
        let mut ended = false;
        for choice in choices {
            match book.next(&facts, &journal).unwrap() {
                Next::Call { step, .. } => journal.push(match choice { 0 => ok(&step, "{\"n\": 1}"), 1 => failed(&step, "e"), _ => denied(&step, "r") }),
                Next::Skip { step, .. } => journal.push(skipped(&step)),
                Next::Finish { .. } | Next::Fail { .. } => { ended = true; break; }
                other => panic!("{other:?} is not in this playbook"),
            }
        }
        prop_assert!(ended);
        for end in 0..journal.len() {
            let Next::Call { step, .. } = book.next(&facts, &journal[..end]).unwrap() else { panic!() };
            prop_assert_eq!(&step, &journal[end].step);
        }
    }
}

#[test]
fn what_a_person_wants_otherwise_is_asked_for_anew() {
    let book = playbook(
        "name: b\nsteps:\n  - name: move\n    server: files\n    tool: move_file\n    arguments:\n      to: \"{{ changes or 'here' }}\"\n  - name: after\n    server: files\n    tool: note\n    arguments:\n      text: \"{{ changes }}\"\n",
    );
    let facts = facts("a.txt", "text/plain");
    let asked = |to: &str, words: &str| Outcome {
        arguments: Some(json!({ "to": to })),
        ..Outcome::new("move", OutcomeState::Changes { words: words.to_owned() })
    };
    let (step, _, first) = call(book.next(&facts, &[]).unwrap());
    assert_eq!((step.as_str(), &first["to"]), ("move", &json!("here")));
    let (step, _, again) = call(book.next(&facts, &[asked("here", "there")]).unwrap());
    assert_eq!((step.as_str(), &again["to"]), ("move", &json!("there")));
    // Agreed to then: the next step knows nothing of it any more.
    let (step, _, after) = call(book.next(&facts, &[asked("here", "there"), ok("move", "done")]).unwrap());
    assert_eq!((step.as_str(), &after["text"]), ("after", &json!("")));
    // What would be the same call is no other one: the person's words are the reason.
    let same = book.next(&facts, &[asked("here", "there"), asked("there", "there")]).unwrap();
    assert_eq!(same, Next::Fail { reason: "there".to_owned() });
    // And there is an end to it.
    let words: Vec<String> = (0..7).map(|n| format!("w{n}")).collect();
    let mut journal = vec![asked("here", &words[0])];
    journal.extend((1..6).map(|n| asked(&words[n - 1], &words[n])));
    assert_eq!(book.next(&facts, &journal).unwrap(), Next::Fail { reason: words[5].clone() });
}
