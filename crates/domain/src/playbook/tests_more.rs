//! Loops, waits, tasks, further tries and taking back, driven like a run: what is due is done, noted, and asked again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Next, Outcome, OutcomeState, Playbook, dry::dry_run, parse};

const HEAD: &str = "name: p\nsteps:\n";

fn playbook(steps: &str) -> Playbook {
    parse(&format!("{HEAD}{steps}")).unwrap_or_else(|e| panic!("{e:#?}"))
}

fn mistakes(steps: &str) -> Vec<String> {
    parse(&format!("{HEAD}{steps}")).map(drop).unwrap_err().iter().map(ToString::to_string).collect()
}

fn ok(data: &Value) -> OutcomeState {
    OutcomeState::Succeeded {
        result: json!({"content": [{"type": "text", "text": data.to_string()}], "structuredContent": data}),
    }
}

fn failed(error: &str) -> OutcomeState {
    OutcomeState::Failed { error: error.to_owned() }
}

/// Goes through a run: `answer` says what comes of each step. Answers what was asked for, in order, and the end.
fn drive(playbook: &Playbook, answer: impl Fn(&str, &Value) -> OutcomeState) -> (Vec<String>, Next) {
    let facts = json!({"now": "2026-01-01T00:00:00Z", "task": {"title": "t"}});
    let (mut journal, mut asked) = (Vec::new(), Vec::new());
    loop {
        let next = playbook.next(&facts, &journal).unwrap();
        // A crash at this point changes nothing.
        assert_eq!(next, playbook.next(&facts, &journal).unwrap());
        let (step, arguments, extra) = match next {
            Next::Again { step, arguments, after_s, .. } => (step, arguments, format!(" after {after_s} s")),
            Next::Call { step, arguments, .. } | Next::Wait { step, arguments } | Next::Task { step, arguments } => {
                (step, arguments, String::new())
            }
            Next::Skip { step, .. } => {
                asked.push(format!("{step} skipped"));
                journal.push(Outcome::new(step, OutcomeState::Skipped));
                continue;
            }
            end => return (asked, end),
        };
        asked.push(format!("{step} {arguments}{extra}"));
        let state = answer(&step, &arguments);
        journal.push(Outcome { step, arguments: Some(arguments), state });
    }
}

const LOOP: &str = r#"
  - { name: list, server: s, tool: list }
  - name: all
    for_each: steps.list.data.items
    as: one
    at_most: 3
    steps:
      - { name: read, server: s, tool: read, arguments: { id: "{{ one.id }}", n: "{{ index }}" } }
      - name: write
        server: s
        tool: write
        when: steps.read.data.good
        arguments: { text: "{{ steps.read.data.text }}" }
        on_failure: continue
  - { name: end, server: s, tool: end, arguments: { count: "{{ steps.all.count }}", first: "{{ steps.all.results[0].read.data.text }}" } }
"#;

#[test]
fn a_loop_goes_through_its_list() {
    let playbook = playbook(LOOP);
    let (asked, end) = drive(&playbook, |step, arguments| match step {
        "list" => ok(&json!({"items": [{"id": "a"}, {"id": "b"}]})),
        "write[1]" => failed("full"),
        _ if step.starts_with("read") => ok(&json!({"good": arguments["id"] == "a", "text": "x"})),
        _ => ok(&json!({})),
    });
    assert_eq!(
        asked,
        [
            "list {}",
            r#"read[1] {"id":"a","n":1}"#,
            r#"write[1] {"text":"x"}"#,
            r#"read[2] {"id":"b","n":2}"#,
            "write[2] skipped",
            r#"end {"count":2,"first":"x"}"#
        ]
    );
    assert!(matches!(&end, Next::Finish { summary } if summary.ends_with(": 4 steps done")), "{end:?}");
    let (asked, end) = drive(&playbook, |_, _| ok(&json!({"items": [1, 2, 3, 4]})));
    assert_eq!(asked, ["list {}"]);
    assert!(matches!(&end, Next::Fail { reason } if reason.contains("4 entries, and at most 3")), "{end:?}");
    let (_, end) = drive(&playbook, |_, _| ok(&json!({"items": "no"})));
    assert!(matches!(&end, Next::Fail { reason } if reason.contains("is no list")), "{end:?}");
}

#[test]
fn an_empty_loop_and_one_whose_condition_does_not_hold_do_nothing() {
    let (asked, end) = drive(
        &playbook("  - { name: all, for_each: '[]', at_most: 1, steps: [{ name: a, server: s, tool: t }] }\n"),
        |_, _| ok(&json!({})),
    );
    assert!(asked.is_empty() && matches!(end, Next::Finish { .. }));
    let (asked, _) = drive(
        &playbook(
            "  - { name: all, when: false, for_each: '[1]', at_most: 1, steps: [{ name: a, server: s, tool: t }] }\n  - { name: b, server: s, tool: t, when: steps.all.state == \"skipped\" }\n",
        ),
        |_, _| ok(&json!({})),
    );
    assert_eq!(asked, ["all skipped", "b {}"]);
}

#[test]
fn a_failed_call_is_tried_again_with_growing_pauses() {
    let playbook = playbook("  - { name: get, server: s, tool: get, retry: { times: 3, after_s: 5 } }\n");
    let (asked, end) = drive(&playbook, |step, _| if step == "get~4" { ok(&json!({})) } else { failed("busy") });
    assert_eq!(asked, ["get {}", "get~2 {} after 5 s", "get~3 {} after 10 s", "get~4 {} after 20 s"]);
    assert!(matches!(end, Next::Finish { .. }));
    let (asked, end) = drive(&playbook, |_, _| failed("busy"));
    assert_eq!(asked.len(), 4);
    assert!(matches!(&end, Next::Fail { reason } if reason.contains("busy")), "{end:?}");
    // Where it may not be made again, that is noted, and the first failure counts.
    let (asked, end) = drive(&playbook, |step, _| if step == "get" { failed("busy") } else { OutcomeState::Skipped });
    assert_eq!(asked.len(), 2);
    assert!(matches!(&end, Next::Fail { reason } if reason.contains("busy")), "{end:?}");
    // A no is a no.
    let (asked, _) = drive(&playbook, |_, _| OutcomeState::Denied { reason: "no".to_owned() });
    assert_eq!(asked.len(), 1);
}

const BOOKING: &str = r#"
  - name: flight
    server: travel
    tool: book
    undo: { server: travel, tool: cancel, arguments: { id: "{{ steps.flight.data.id }}" } }
  - name: hotel
    server: travel
    tool: book
    undo: { server: travel, tool: cancel, arguments: { id: "{{ steps.hotel.data.id }}" } }
  - { name: car, server: travel, tool: rent }
"#;

#[test]
fn what_was_done_is_taken_back_when_the_run_fails() {
    let playbook = playbook(BOOKING);
    let book = |step: &str| match step {
        "car" => failed("sold out"),
        _ => ok(&json!({"id": step.len()})),
    };
    let (asked, end) = drive(&playbook, |step, _| book(step));
    assert_eq!(asked, ["flight {}", "hotel {}", "car {}", r#"undo hotel {"id":5}"#, r#"undo flight {"id":6}"#]);
    assert!(
        matches!(&end, Next::Fail { reason } if reason.contains("sold out") && reason.contains("2 of the steps before it were taken back")),
        "{end:?}"
    );
    let (asked, end) = drive(&playbook, |step, _| if step == "undo hotel" { failed("too late") } else { book(step) });
    assert_eq!(asked.len(), 5, "the rest is taken back all the same");
    assert!(
        matches!(&end, Next::Fail { reason } if reason.contains("not taken back, please look: undo hotel (too late)")),
        "{end:?}"
    );
    let (asked, end) = drive(&playbook, |_, _| ok(&json!({"id": 1})));
    assert_eq!((asked.len(), matches!(end, Next::Finish { .. })), (3, true), "nothing is taken back of what went well");
    let (asked, _) =
        drive(
            &playbook,
            |step, _| if step == "hotel" { OutcomeState::Denied { reason: "no".to_owned() } } else { book(step) },
        );
    assert_eq!(asked, ["flight {}", "hotel {}", r#"undo flight {"id":6}"#], "a no too");
}

#[test]
fn waits_and_tasks_are_asked_for() {
    let playbook = playbook(
        r#"
  - { name: a, task: { title: "Part {{ task.title }}", playbook: other } }
  - { name: b, task: { title: second, after: ["{{ steps.a.data.task_id }}"] } }
  - { name: both, wait: { tasks: ["{{ steps.a.data.task_id }}", "{{ steps.b.data.task_id }}"], at_most_minutes: 60 } }
  - { name: pause, wait: { minutes: 5 } }
"#,
    );
    let (asked, end) = drive(&playbook, |step, _| ok(&json!({"task_id": format!("id-{step}")})));
    assert_eq!(
        asked,
        [
            r#"a {"title":"Part t","playbook":"other"}"#,
            r#"b {"title":"second","after":["id-a"]}"#,
            r#"both {"tasks":["id-a","id-b"],"at_most_minutes":60}"#,
            r#"pause {"minutes":5}"#
        ]
    );
    assert!(matches!(end, Next::Finish { .. }));
}

#[test]
fn mistakes_are_named_with_their_places() {
    for (steps, place, word) in [
        ("  - { name: a, wait: { minutes: 5 }, tool: t }\n", "line 3", "no `tool`"),
        ("  - { name: a, wait: {} }\n", "line 3, column 22", "needs one of"),
        ("  - { name: a, wait: { minutes: 0 } }\n", "line 3, column 33", "whole number from 1"),
        ("  - { name: a, wait: { tasks: [] } }\n", "line 3", "at_most_minutes"),
        ("  - { name: a, wait: { minutes: 1, contains: x } }\n", "line 3", "is for `watcher`"),
        ("  - { name: a, task: { playbook: p } }\n", "line 3", "title"),
        ("  - { name: a, task: { title: t, playbook: \"{{ task.x }}\" } }\n", "line 3", "plain name"),
        ("  - { name: a, for_each: '[1]', steps: [{ name: b, server: s, tool: t }] }\n", "line 3", "at_most"),
        ("  - { name: a, for_each: '[1]', at_most: 1, steps: [] }\n", "line 3", "empty"),
        (
            "  - { name: a, for_each: '{{ x }}', at_most: 1, steps: [{ name: b, server: s, tool: t }] }\n",
            "line 3",
            "leave out",
        ),
        (
            "  - { name: a, for_each: nothing, at_most: 1, steps: [{ name: b, server: s, tool: t }] }\n",
            "line 3, column 26",
            "nothing named",
        ),
        (
            "  - { name: a, for_each: '[1]', as: task, at_most: 1, steps: [{ name: b, server: s, tool: t }] }\n",
            "line 3",
            "cannot name an entry",
        ),
        (
            "  - { name: a, for_each: '[1]', at_most: 1, steps: [{ name: b, for_each: '[1]', at_most: 1, steps: [] }] }\n",
            "line 3",
            "no field \"for_each\"",
        ),
        (
            "  - { name: a, for_each: '[1]', at_most: 1, steps: [{ name: b, server: s, tool: t }] }\n  - { name: c, server: s, tool: t, when: steps.b.state }\n",
            "line 4",
            "has not run here",
        ),
        (
            "  - { name: a, for_each: '[1]', at_most: 1, steps: [{ name: b, server: s, tool: t }] }\n  - { name: c, server: s, tool: t, when: steps.a.text }\n",
            "line 4",
            "no field \"text\"",
        ),
        (
            "  - { name: a, for_each: '[1]', at_most: 200, steps: [{ name: b, server: s, tool: t, retry: { times: 10 } }] }\n",
            "line 3",
            "at most 900",
        ),
        ("  - { name: a, server: s, tool: t, at_most: 3 }\n", "line 3", "belongs to `for_each`"),
        ("  - { name: a, server: s, tool: t, retry: { times: 11 } }\n", "line 3", "from 1 to 10"),
        ("  - { name: a, server: s, tool: t, retry: {} }\n", "line 3", "times"),
        ("  - { name: a, server: s, tool: t, undo: { server: s } }\n", "line 3", "tool"),
        (
            "  - { name: a, server: s, tool: t, undo: { server: s, tool: u, arguments: { x: \"{{ steps.b.text }}\" } } }\n",
            "line 3",
            "no step \"b\"",
        ),
        ("  - { name: a, server: s, tool: t, arguments: { x: \"{{ item }}\" } }\n", "line 3", "nothing named \"item\""),
    ] {
        let found = mistakes(steps);
        assert!(found.iter().any(|m| m.starts_with(place) && m.contains(word)), "{steps}: {found:#?}");
    }
}

#[test]
fn a_dry_run_shows_every_call() {
    let facts = json!({"now": "2026-01-01T00:00:00Z", "task": {"title": "t"}});
    let answers = BTreeMap::from([
        ("list".to_owned(), json!({"items": [{"id": "a"}]})),
        ("read".to_owned(), json!({"good": true, "text": "x"})),
    ]);
    let run = dry_run(&playbook(LOOP), &facts, &answers);
    assert!(run.completes, "{}", run.words);
    let shown: Vec<(&str, &str, bool)> = run.steps.iter().map(|s| (s.step.as_str(), s.kind, s.is_given)).collect();
    assert_eq!(
        shown,
        [("list", "call", true), ("read[1]", "call", true), ("write[1]", "call", false), ("end", "call", false)]
    );
    let blind = dry_run(&playbook(LOOP), &facts, &BTreeMap::new());
    assert!(!blind.completes && blind.steps.len() == 1, "{blind:#?}");
}
