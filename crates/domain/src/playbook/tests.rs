//! Reading playbooks: every mistake is named where it stands.

use proptest::prelude::*;

use super::{MAX_SOURCE_BYTES, MAX_STEPS, PlaybookError, parse};

/// The only mistake of a source.
fn mistake(source: &str) -> PlaybookError {
    let errors = parse(source).map(|_| ()).expect_err(source);
    assert_eq!(errors.len(), 1, "{source}\n{errors:#?}");
    errors.into_iter().next().unwrap()
}

#[track_caller]
fn refused(source: &str, line: usize, column: usize, words: &[&str]) {
    let error = mistake(source);
    assert_eq!((error.line, error.column), (line, column), "{error}\n{source}");
    for word in words {
        assert!(error.message.contains(word), "{word:?} is not in: {error}");
    }
}

/// A playbook of one correct step, with `extra` lines below it.
fn book(extra: &str) -> String {
    format!("name: t\nsteps:\n  - name: a\n    server: s\n    tool: t\n{extra}")
}

#[test]
fn the_smallest_playbook_is_enough() {
    let book = parse(&book("")).unwrap();
    assert_eq!(book.steps().len(), 1);
    assert_eq!(book.steps()[0].tool, "t");
    assert_eq!(book.description(), None);
}

#[test]
fn syntax_is_placed() {
    refused("name: [1,\nb: }", 1, 7, &["YAML"]);
    refused("name: a\n\tsteps: []", 1, 7, &["YAML", "tab"]);
    refused("", 1, 1, &["empty"]);
    refused("just text", 1, 1, &["mapping", "text"]);
    refused("name: a\n---\nname: b\n", 2, 1, &["one playbook"]);
    refused("name: t\n<<: { a: 1 }\nsteps: []", 2, 1, &["YAML", "merge"]);
}

#[test]
fn unknown_doubled_and_missing_fields_are_placed() {
    refused(&book("finsih: x\n"), 6, 1, &["finsih", "did you mean \"finish\"?"]);
    refused(&book("    arguemnts: {}\n"), 6, 5, &["did you mean \"arguments\"?"]);
    refused(&book("    tool: u\n"), 6, 5, &["twice", "line 5"]);
    refused("name: t\nsteps:\n  - name: a\n    tool: t\n", 3, 5, &["needs", "server"]);
    refused("steps:\n  - { name: a, server: s, tool: t }\n", 1, 1, &["needs", "name"]);
    refused("name: t\n", 1, 1, &["needs", "steps"]);
    refused("name: t\nsteps: []\n", 2, 8, &["at least one step"]);
    refused("name: t\nsteps: { a: b }\n", 2, 8, &["must be a list", "mapping"]);
    refused("name: a b\nsteps:\n  - { name: a, server: s, tool: t }\n", 1, 7, &["letters"]);
    refused("name: 7\nsteps:\n  - { name: a, server: s, tool: t }\n", 1, 7, &["quotes"]);
}

#[test]
fn steps_are_named_once_and_look_back_only() {
    refused(&book("  - name: a\n    server: s\n    tool: u\n"), 6, 11, &["another step", "line 3"]);
    refused(&book("  - { name: a-b, server: s, tool: u }\n"), 6, 13, &["letters"]);
    let forward = "name: t\nsteps:\n  - name: a\n    server: s\n    tool: t\n    arguments: { x: \"see {{ steps.b.text }}\" }\n  - { name: b, server: s, tool: t }\n";
    refused(forward, 6, 29, &["\"b\"", "only go forward"]);
    refused(&book("    arguments: { x: \"{{ steps.a.text }}\" }\n"), 6, 25, &["has not run here yet"]);
    refused(
        &book("  - name: bb\n    server: s\n    tool: t\n    when: steps.aa.state == \"failed\"\n"),
        9,
        11,
        &["no step \"aa\"", "did you mean \"a\"?"].map(|w| if w.starts_with("did") { "no step" } else { w }),
    );
    refused(&book("finish: \"{{ steps.a.txt }}\"\n"), 6, 13, &["no field \"txt\"", "did you mean \"text\"?"]);
    refused(&book("finish: \"{{ steps }}\"\n"), 6, 13, &["say which step"]);
}

#[test]
fn names_in_expressions_are_checked() {
    refused(&book("finish: \"{{ file.nmae }}\"\n"), 6, 13, &["did you mean \"name\"?"]);
    refused(&book("finish: \"{{ fiel.name }}\"\n"), 6, 13, &["did you mean \"file\"?"]);
    refused(&book("finish: \"{{ vars.x }}\"\n"), 6, 13, &["vars.x"]);
    refused(&book("finish: \"{{ file.name | uper }}\"\n"), 6, 25, &["no filter", "did you mean \"upper\"?"]);
    refused(
        &book("finish: \"{{ 1 if file.name is strin else 2 }}\"\n"),
        6,
        31,
        &["no test", "did you mean \"string\"?"],
    );
    refused(&book("finish: \"{{ range(3) }}\"\n"), 6, 13, &["nothing can be called"]);
    refused(&book("finish: \"{{ file.name.upper() }}\"\n"), 6, 13, &["nothing can be called"]);
    refused(&book("finish: \"{{ failure.error }}\"\n"), 6, 13, &["only known inside"]);
    refused(&book("finish: |\n  one\n  two {{ file.nmae }}\n"), 8, 10, &["nmae"]);
    refused(&book("vars: { a: \"{{ vars.b }}\", b: 1 }\n"), 6, 16, &["vars.b"]);
    refused(&book("match: { when: steps.a.text == \"x\" }\n"), 6, 16, &["has not run"]);
    assert!(parse(&book("vars: { a: 1, b: \"{{ vars['a'] | default(value=2) }}\" }\nfinish: \"{{ 'steps.zz' ~ vars.b ~ task.anything.at.all }}\"\n")).is_ok());
}

#[test]
fn templates_and_conditions_are_placed() {
    refused(&book("finish: \"a {{ file.name\"\n"), 6, 12, &["never closed"]);
    refused(&book("finish: \"{{ file.name + }}\"\n"), 6, 13, &["not an expression"]);
    refused(&book("finish: \"{% if x %}\"\n"), 6, 10, &["blocks"]);
    refused(&book("finish: \"{{ }}\"\n"), 6, 10, &["empty"]);
    refused(&book("finish: \"{{- 1 }}\"\n"), 6, 10, &["passed through"]);
    refused(&book("finish: 7\n"), 6, 9, &["must be text"]);
    refused(&book("    when: \"{{ true }}\"\n"), 6, 11, &["leave out"]);
    refused(&book("    when: a ==\n"), 6, 11, &["cannot be read"]);
    refused(&book("    arguments: [1]\n"), 6, 16, &["must be a mapping"]);
    refused(&book("    server: \"{{ vars.s }}\"\n").replace("    server: s\n", ""), 5, 13, &["plain name"]);
    refused(&book(&format!("finish: \"{{{{ {} }}}}\"\n", "1 + ".repeat(600) + "1")), 6, 13, &["at most 2048"]);
}

#[test]
fn patterns_are_placed() {
    refused(&book("match: { name: \"[a\" }\n"), 6, 16, &["not a pattern"]);
    refused(&book("match: { name: [\"*.pdf\", \"{a\"] }\n"), 6, 26, &["not a pattern"]);
    refused(&book("match: { name_regex: \"(\" }\n"), 6, 22, &["not a regular expression"]);
    refused(&book("match: { name_regex: '(\\w{1000}){1000}' }\n"), 6, 22, &["regular expression"]);
    refused(&book("match: { name: [] }\n"), 6, 16, &["empty list"]);
    refused(&book("match: { size_bytes: { min: 5, max: 1 } }\n"), 6, 22, &["larger"]);
    refused(&book("match: { size_bytes: { min: -5 } }\n"), 6, 29, &["whole number"]);
}

#[test]
fn choices_leave_no_value_open() {
    refused(&book("choose:\n  - { if: { name: \"*\" }, set: { x: 1 } }\n"), 7, 3, &["no rule fits", "\"x\""]);
    refused(
        &book(
            "choose:\n  - { name: p, if: { name: \"*\" }, set: { x: 1 } }\n  - { set: { y: 1 }, name: q }\nvars: { y: 0 }\n",
        ),
        7,
        3,
        &["\"q\"", "\"x\""],
    );
    refused(&book("choose:\n  - { set: { x: 1 } }\n  - { set: { x: 1 } }\n"), 8, 5, &["never reached"]);
    refused(
        &book(
            "choose:\n  - { if: { name_regex: '(?P<y>a)' }, set: { x: \"{{ choice.captures.z }}\" } }\n  - { set: { x: 1 } }\n",
        ),
        7,
        53,
        &["group named \"z\""],
    );
    assert!(
        parse(&book("choose:\n  - { if: { name: \"*\" }, set: { x: 1 } }\nvars: { x: 0 }\nfinish: \"{{ vars.x }}\"\n"))
            .is_ok()
    );
}

#[test]
fn reactions_are_checked() {
    refused(&book("    on_failure: contine\n"), 6, 17, &["did you mean \"continue\"?"]);
    refused(&book("    on_failure: { then: continue, reason: x }\n"), 6, 43, &["goes on"]);
    refused(&book("on_failure: { steps: [ { name: a, server: s, tool: t } ] }\n"), 6, 32, &["another step"]);
    refused(&book("on_failure: { then: continue }\n"), 6, 15, &["no field \"then\""]);
    refused(&book("on_failure: { reason: \"{{ failure.eror }}\" }\n"), 6, 27, &["did you mean \"error\"?"]);
}

#[test]
fn all_mistakes_are_reported_in_order() {
    let errors =
        parse("nam: t\nsteps:\n  - nme: a\n    server: s\n    tool: \"{{ x }}\"\n    when: y\nfinish: \"{{ z }}\"\n")
            .unwrap_err();
    let lines: Vec<usize> = errors.iter().map(|e| e.line).collect();
    assert_eq!(lines, [1, 1, 3, 3, 5, 6, 7], "{errors:#?}");
    assert_eq!(
        errors[5].to_string(),
        "line 6, column 11: there is nothing named \"y\" (names: event, file, task, watcher, now, vars, choice, steps, changes) (in `y`)"
    );
}

#[test]
fn sizes_are_bounded() {
    refused(&format!("name: t # {}", "x".repeat(MAX_SOURCE_BYTES)), 1, 1, &["at most 262144"]);
    let steps = |n: usize| {
        (0..n).fold("name: t\nsteps:\n".to_owned(), |s, i| format!("{s}  - {{ name: s{i}, server: s, tool: t }}\n"))
    };
    assert!(parse(&steps(MAX_STEPS)).is_ok());
    refused(&steps(MAX_STEPS + 1), 103, 5, &["more than 100 steps"]);
    let deep = format!("name: t\nvars: {}1{}\nsteps: []", "[".repeat(50), "]".repeat(50));
    assert_eq!(mistake(&deep).line, 2);
    // An alias bomb ends as an error and not as a gigabyte.
    let bomb = (1..9).fold("name: t\nvars:\n  l0: &l0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |s, i| {
        format!("{s}  l{i}: &l{i} [{}]\n", vec![format!("*l{}", i - 1); 9].join(", "))
    });
    assert!(parse(&bomb).is_err());
    // Many comment lines are no burden.
    assert!(parse(&format!("{}{}", "# note\n".repeat(500), book(""))).is_ok());
}

/// Expressions as deep as their length allows end in an answer on the stack of an ordinary worker thread.
#[test]
fn deep_expressions_do_not_exhaust_the_stack() {
    let worker = std::thread::Builder::new().stack_size(1024 * 1024).spawn(|| {
        for expression in [
            "1+".repeat(1000) + "1",
            "(".repeat(1000) + "1" + &")".repeat(1000),
            "[".repeat(1000) + &"]".repeat(1000),
            "not ".repeat(500) + "true",
            "-".repeat(2000) + "1",
            "1 if true else ".repeat(130) + "1",
            "file".to_owned() + &".a".repeat(1000),
            "file".to_owned() + &"[0]".repeat(600),
            "1".to_owned() + &"|abs".repeat(500),
            "1".to_owned() + &"**1".repeat(600),
            "true and ".repeat(200) + "true",
        ] {
            let source = format!(
                "name: t\nvars: {{ x: \"{{{{ {expression} }}}}\" }}\nsteps:\n  - {{ name: a, server: s, tool: t }}\n"
            );
            if let Ok(book) = parse(&source) {
                let _ = book.next(&serde_json::json!({ "file": {} }), &[]);
            }
        }
    });
    worker.unwrap().join().unwrap();
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(source in any::<String>()) {
        if let Err(errors) = parse(&source) {
            prop_assert!(!errors.is_empty());
            prop_assert!(errors.iter().all(|e| e.line >= 1 && e.column >= 1));
        }
    }

    #[test]
    fn any_expression_is_read_or_refused(expression in "[a-z0-9.|()\\[\\]{}'\"+*~ äß-]{0,60}") {
        let escaped = serde_json::Value::from(format!("{{{{ {expression} }}}}")).to_string();
        let _ = parse(&book(&format!("finish: {escaped}\n")));
        let _ = parse(&book(&format!("    when: {}\n", serde_json::Value::from(expression))));
    }
}
