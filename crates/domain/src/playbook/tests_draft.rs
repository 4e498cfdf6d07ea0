//! Playbooks made of what was done: they do the same on the same event, and the like on another.

use serde_json::{Value, json};

use super::draft::{Draft, Made, draft};
use super::{Next, Outcome, OutcomeState, parse};

fn made(tool: &str, arguments: Value, text: &str) -> Made {
    let result = json!({ "content": [{ "type": "text", "text": text }] });
    Made { server: "files".to_owned(), tool: tool.to_owned(), arguments, result }
}

fn mail(from: &str, subject: &str, order: u64) -> Value {
    json!({
        "task": { "id": "0199a1b2-0000-7000-8000-000000000001", "title": format!("Mail: {subject}"), "description": null },
        "event": { "kind": "mail", "from": { "name": "Bob", "address": from }, "subject": subject, "order": order, "files": [] },
        "watcher": { "name": "mail" }, "file": null, "outside": true, "now": "2026-11-27T10:00:00Z",
    })
}

/// Every call with these facts, each answered with `answers` in turn.
fn calls(source: &str, facts: &Value, answers: &[&str]) -> Vec<Value> {
    let playbook = parse(source).unwrap_or_else(|e| panic!("{e:?}\n{source}"));
    let (mut journal, mut found) = (Vec::new(), Vec::new());
    loop {
        match playbook.next(facts, &journal).unwrap() {
            Next::Call { step, arguments, .. } => {
                let text = answers.get(found.len()).copied().unwrap_or_default();
                found.push(arguments);
                let result = json!({ "content": [{ "type": "text", "text": text }] });
                journal.push(Outcome::new(step, OutcomeState::Succeeded { result }));
            }
            Next::Finish { .. } => return found,
            other => panic!("{other:?}"),
        }
    }
}

fn of(facts: &Value, made: &[Made]) -> Draft {
    let draft = draft("made", "Made of the task “x”", facts, made).unwrap();
    assert_eq!(draft.remarks, Vec::<String>::new(), "{}", draft.source);
    let answers: Vec<&str> = made.iter().map(|m| m.result["content"][0]["text"].as_str().unwrap()).collect();
    let sent: Vec<Value> = made.iter().map(|m| m.arguments.clone()).collect();
    assert_eq!(calls(&draft.source, facts, &answers), sent, "{}", draft.source);
    draft
}

#[test]
fn what_came_from_event_and_results_becomes_templates() {
    let facts = mail("bob@example.org", "Order 4711 arrived", 4711);
    let done = [
        made("find", json!({ "query": "4711", "limit": 10 }), r#"{"id": "c-77", "folder": "/orders/new"}"#),
        made("read", json!({ "id": "c-77" }), "the whole text"),
        made(
            "send",
            json!({
                "to": ["bob@example.org"], "subject": "Re: Order 4711 arrived", "order": 4711, "urgent": false,
                "body": "Hello Bob,\n\nthe whole text\n\nis kept in /orders/new/4711.\n", "note": "whole",
            }),
            "sent",
        ),
    ];
    let draft = of(&facts, &done);
    let template = |step: &str, argument: &str| {
        let found = draft.parameters.iter().find(|p| p.step == step && p.argument == argument);
        found.map_or_else(|| panic!("{argument} of {step}: {draft:#?}"), |p| p.template.clone())
    };
    assert_eq!(template("find", "query"), "{{ event.order | string }}");
    assert_eq!(template("read", "id"), "{{ steps.find.data.id }}");
    assert_eq!(template("send", "to[0]"), "{{ event.from.address }}");
    assert_eq!(template("send", "subject"), "Re: {{ event.subject }}");
    assert_eq!(template("send", "order"), "{{ event.order }}");
    let stayed: Vec<(&str, Option<&str>)> =
        draft.literals.iter().map(|l| (l.argument.as_str(), l.part_of.as_deref())).collect();
    assert!(stayed.contains(&("limit", None)) && stayed.contains(&("urgent", None)), "{stayed:?}");
    assert!(stayed.contains(&("note", Some("steps.read.text"))), "a part of a text may differ next time: {stayed:?}");
    // Another mail of the same sender: its own number, and what is found for it.
    let other = mail("bob@example.org", "Where is 5822?", 5822);
    let playbook = parse(&draft.source).unwrap();
    assert!(playbook.results_are_outside() && !playbook.fits_all());
    assert_eq!(playbook.mismatch(&other), None);
    let sent = calls(&draft.source, &other, &[r#"{"id": "c-9", "folder": "/orders/old"}"#, "another text"]);
    assert_eq!(sent[0], json!({ "query": "5822", "limit": 10 }));
    assert_eq!(sent[1], json!({ "id": "c-9" }));
    assert_eq!(
        sent[2],
        json!({
            "to": ["bob@example.org"], "subject": "Re: Where is 5822?", "order": 5822, "urgent": false,
            "body": "Hello Bob,\n\nanother text\n\nis kept in /orders/old/5822.\n", "note": "whole",
        })
    );
    // Somebody else's mail, and what another watcher noticed, are not for it.
    assert!(playbook.mismatch(&mail("eve@example.org", "Order 1", 1)).is_some());
    let mut elsewhere = other.clone();
    elsewhere["watcher"]["name"] = json!("mailx");
    assert!(playbook.mismatch(&elsewhere).is_some());
}

#[test]
fn texts_that_look_like_yaml_or_templates_stay_as_they_are() {
    let facts = mail("bob@example.org", "x", 1);
    let odd = json!({
        "braces": "{{ event.subject }} {% raw %} {# no #} {", "words": ["yes", "null", "~", "1.0", "- a", "a: b", "#", ""],
        "lines": "a\n\n  b\n", "spaces": "  a\n b", "ends": "a\nb\n\n", "returns": "a\r\nb", "hides": "a\u{202e}b\u{e0041}\u{7f}",
        "yes": true, "with \"quotes\" and: more": { "deep": [{ "a": [1, 2.5, null] }], "none": {}, "empty": [] }, "big": 18_446_744_073_709_551_615_u64,
    });
    let draft = of(&facts, &[made("odd tool!", odd, "ok"), made("odd tool!", json!({}), "ok")]);
    assert!(
        draft.source.contains("- name: odd_tool\n") && draft.source.contains("- name: odd_tool_2\n"),
        "{}",
        draft.source
    );
    assert!(!draft.source.contains('\u{202e}'), "nothing hides in a draft");
}

#[test]
fn a_brace_before_a_template_stays_a_brace() {
    let facts = mail("bob@example.org", "Order", 1);
    let draft = of(&facts, &[made("send", json!({ "body": "{bob@example.org} {{bob@example.org}}" }), "ok")]);
    assert_eq!(draft.parameters.len(), 1, "{}", draft.source);
}

#[test]
fn parts_of_words_and_short_values_are_no_parameters() {
    let mut facts = mail("bob@example.org", "order", 12);
    facts["event"]["page"] = json!(7);
    let draft =
        of(&facts, &[made("list", json!({ "a": "reorders", "b": "12", "count": 12, "page": 7, "c": "Bob" }), "ok")]);
    // (Whether a map keeps its own order depends on a feature that any crate may switch on.)
    let parameters: std::collections::BTreeMap<_, _> =
        draft.parameters.iter().map(|p| (p.argument.as_str(), p.template.as_str())).collect();
    assert_eq!(
        parameters.into_iter().collect::<Vec<_>>(),
        [("c", "{{ event.from.name }}"), ("page", "{{ event.page }}")],
        "{}",
        draft.source
    );
}

#[test]
fn without_a_call_there_is_no_draft() {
    let facts = mail("bob@example.org", "x", 1);
    assert!(draft("made", "x", &facts, &[]).unwrap_err().contains("no call"));
    let many: Vec<Made> = (0..101).map(|_| made("t", json!({}), "")).collect();
    assert!(draft("made", "x", &facts, &many).unwrap_err().contains("101"));
}
