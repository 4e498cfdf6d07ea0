//! The policy by example, and by chance: whatever the rules and the call, nothing undecided is ever allowed.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Call, DEFAULT_APPROVAL_TTL_MINUTES, Effect, PolicyError, Rule, Verdict,
    around::{Around, Counts, Needs},
    decide, needs, validate,
};

fn rule(position: i32, effect: Effect, server: &str, tool: &str, condition: Option<&str>) -> Rule {
    Rule {
        id: Uuid::from_u128(u128::from(position.unsigned_abs())),
        position,
        name: format!("rule {position}"),
        server: server.to_owned(),
        tool: tool.to_owned(),
        condition: condition.map(str::to_owned),
        outside: true,
        effect,
        approval_ttl_minutes: 10 + position,
    }
}

fn judge(rules: &[Rule], tool: &str, arguments: &Value, outside: bool) -> Verdict {
    let task = json!({ "title": "t", "priority": "high" });
    decide(rules, &Call { server: "files", tool, arguments, outside, task: &task, around: Around::default() })
}

/// Whether a condition holds, by way of an allowing rule; an error is its reason.
fn holds(condition: &str, arguments: &Value) -> Result<bool, String> {
    let rule = rule(1, Effect::Allow, "*", "*", Some(condition));
    validate(&rule).map_err(|error| error.to_string())?;
    let verdict = judge(&[rule], "move_file", arguments, true);
    match (verdict.effect, verdict.rule) {
        (Effect::Allow, _) => Ok(true),
        (Effect::Ask, None) => Ok(false),
        (_, _) => Err(verdict.reason),
    }
}

#[test]
fn no_rule_means_ask() {
    let verdict = judge(&[], "move_file", &json!({}), false);
    assert_eq!(verdict.effect, Effect::Ask);
    assert_eq!(verdict.rule, None);
    assert_eq!(verdict.approval_ttl_minutes, DEFAULT_APPROVAL_TTL_MINUTES);
    assert_eq!(verdict.reason, "no rule decides about files.move_file, so a person does");
}

#[test]
fn the_first_match_in_order_of_position_decides() {
    let rules = [
        rule(3, Effect::Allow, "*", "*", None),
        rule(2, Effect::Deny, "files", "{write,delete}_*", None),
        rule(1, Effect::Ask, "files", "move_file", None),
    ];
    assert_eq!(judge(&rules, "move_file", &json!({}), false).effect, Effect::Ask);
    assert_eq!(judge(&rules, "move_file", &json!({}), false).approval_ttl_minutes, 11);
    assert_eq!(judge(&rules, "write_file", &json!({}), false).effect, Effect::Deny);
    let verdict = judge(&rules, "read_file", &json!({}), false);
    assert_eq!((verdict.effect, verdict.rule), (Effect::Allow, Some((Uuid::from_u128(3), "rule 3".into()))));
    assert_eq!(verdict.reason, "rule \"rule 3\" allows files.read_file");
}

#[test]
fn patterns_match_whole_names() {
    let rules = [rule(1, Effect::Allow, "files", "{get_file_info,list_*}", None)];
    for (tool, effect) in [
        ("get_file_info", Effect::Allow),
        ("list_directory", Effect::Allow),
        ("get_file_info2", Effect::Ask),
        ("GET_FILE_INFO", Effect::Ask),
        ("my_list_x", Effect::Ask),
    ] {
        assert_eq!(judge(&rules, tool, &json!({}), false).effect, effect, "{tool}");
    }
    let task = json!({});
    let other = Call {
        server: "files2",
        tool: "get_file_info",
        arguments: &task,
        outside: false,
        task: &task,
        around: Around::default(),
    };
    assert_eq!(decide(&rules, &other).effect, Effect::Ask);
}

#[test]
fn outside_content_needs_the_flag() {
    let mut reading = rule(1, Effect::Allow, "files", "get_*", None);
    reading.outside = false;
    assert_eq!(judge(std::slice::from_ref(&reading), "get_x", &json!({}), false).effect, Effect::Allow);
    let verdict = judge(std::slice::from_ref(&reading), "get_x", &json!({}), true);
    assert_eq!(verdict.effect, Effect::Ask);
    assert!(verdict.reason.contains("not for content from outside"), "{}", verdict.reason);
    // Refusing and asking reach outside content whatever the flag.
    let mut deny = rule(1, Effect::Deny, "*", "*", None);
    deny.outside = false;
    assert_eq!(judge(&[deny], "get_x", &json!({}), true).effect, Effect::Deny);
    reading.outside = true;
    assert_eq!(judge(&[reading], "get_x", &json!({}), true).effect, Effect::Allow);
}

#[test]
fn a_rule_that_cannot_be_judged_never_lets_a_call_through() {
    let allow = rule(9, Effect::Allow, "*", "*", None);
    for effect in [Effect::Allow, Effect::Ask, Effect::Deny] {
        for broken in [
            "args.missing == 1",
            "args.n > \"a\"",
            "args.n",
            "not CEL (",
            "nothing",
            "1 / 0 == 1",
            "args.n.all(x, true)",
        ] {
            let rules = [rule(1, effect, "files", "*", Some(broken)), allow.clone()];
            let verdict = judge(&rules, "move_file", &json!({ "n": 5 }), false);
            assert_eq!(verdict.effect, Effect::Ask, "{broken}");
            assert_eq!(verdict.rule.unwrap().1, "rule 1", "{broken}");
            assert!(verdict.reason.contains("rule \"rule 1\" could not be judged"), "{}", verdict.reason);
            // A refusal that would have been reached stands, whichever way the broken rule would have gone.
            let denied = [rules[0].clone(), rule(2, Effect::Deny, "*", "*", None), allow.clone()];
            assert_eq!(judge(&denied, "move_file", &json!({ "n": 5 }), false).effect, Effect::Deny, "{broken}");
            // One behind an allowing rule would not have been: a person is asked.
            let behind =
                [rules[0].clone(), rule(2, Effect::Allow, "*", "*", None), rule(3, Effect::Deny, "*", "*", None)];
            assert_eq!(judge(&behind, "move_file", &json!({ "n": 5 }), false).effect, Effect::Ask, "{broken}");
        }
        let rules = [rule(1, effect, "[files", "*", None), allow.clone()];
        assert_eq!(judge(&rules, "move_file", &json!({}), false).effect, Effect::Ask);
        // A condition of a rule for other tools is nobody's business.
        let rules = [rule(1, effect, "files", "other", Some("args.missing == 1")), allow.clone()];
        assert_eq!(judge(&rules, "move_file", &json!({}), false).effect, Effect::Allow);
    }
}

#[test]
fn conditions_see_the_call() {
    let args = json!({ "path": "/home/ada/steward/a.pdf", "n": 5, "big": u64::MAX, "f": 1.5, "list": ["/a/x", "/a/y"], "none": null, "deep": { "k": true } });
    for condition in [
        "args.path.startsWith('/home/ada/') && args.n + 1 == 6",
        "arguments.path == args.path",
        "args.big > 5 && args.f < 2.0",
        "server == 'files' && tool == 'move_file' && outside",
        "task.title == 't' && task.priority in ['high', 'critical']",
        "has(args.n) && !has(args.missing)",
        "args.none == null && args.deep.k && args['deep']['k']",
        "args.list.all(p, inside(p, '/a')) && size(args.list) == 2 && args.list.exists(p, p.endsWith('y'))",
        "args.list.map(p, p + '!')[0] == '/a/x!' && args.list.filter(p, p.contains('y')) == ['/a/y'] && args.list.exists_one(p, p == '/a/x')",
        "inside(args.path, '/home/ada/steward') && !inside('/home/ada/steward2/x', '/home/ada/steward')",
        "inside('/a//./b', '/a/') && glob(args.path, '*.{pdf,PDF}') && !glob('a', 'b')",
        "type(args.n) == int && string(args.n) == '5'",
    ] {
        assert_eq!(holds(condition, &args), Ok(true), "{condition}");
    }
    assert_eq!(holds("args.n == 6", &args), Ok(false));
    // A path that can be read in two ways is neither inside nor outside.
    for path in ["/home/ada/../eve", "relative", "~/x", ""] {
        let reason = holds("inside(args.path, '/home/ada')", &json!({ "path": path })).unwrap_err();
        assert!(reason.contains("path"), "{reason}");
    }
}

#[test]
fn work_is_bounded() {
    let many: Vec<i64> = (0..2000).collect();
    let args = json!({ "many": many, "text": "x".repeat(40_000) });
    let doubled = format!("args.many == [args.text]{}", ".map(x, x + x)".repeat(40));
    let nested = format!("[1]{} == [1]", ".map(x, [x, x])".repeat(40));
    for condition in [
        "args.many.all(a, args.many.all(b, args.many.all(c, a + b + c >= 0)))",
        // An error that CEL would forget beside `true`.
        "args.many.exists(a, args.many.exists(b, args.many.exists(c, false))) || true",
        "args.many.map(a, args.many) == []",
        "args.many.map(a, args.text).size() == 1",
        &doubled,
        &nested,
    ] {
        let reason = holds(condition, &args).expect_err(condition);
        assert!(reason.contains("too much work"), "{condition}: {reason}");
    }
    assert_eq!(holds("args.many.all(a, a >= 0) && args.text.contains('x')", &args), Ok(true));
    let reason = holds("args.text == ''", &json!({ "text": "x".repeat(600_000) })).unwrap_err();
    assert!(reason.contains("larger than"), "{reason}");
}

/// Conditions as deep as their length allows end in an answer on the stack of an ordinary worker thread.
#[test]
fn deep_conditions_do_not_exhaust_the_stack() {
    let worker = std::thread::Builder::new().stack_size(1536 * 1024).spawn(|| {
        for condition in [
            "1+".repeat(1000) + "1 == 1",
            "(".repeat(1000) + "true" + &")".repeat(1000),
            "[".repeat(1000) + &"]".repeat(1000),
            "!".repeat(2000) + "true",
            "-".repeat(2000) + "1 == 1",
            "true ? true : ".repeat(140) + "true",
            "args".to_owned() + &".a".repeat(1000),
            "args".to_owned() + &"[0]".repeat(600),
            "[1]".to_owned() + &".map(x,x)".repeat(200) + " == [1]",
            "true && ".repeat(250) + "true",
        ] {
            let _ = holds(&condition, &json!({}));
        }
    });
    worker.unwrap().join().unwrap();
}

#[test]
fn rules_are_checked_when_they_are_added() {
    let good = rule(1, Effect::Allow, "files", "{get_file_info,list_*}", Some("args.n > 1"));
    assert_eq!(validate(&good), Ok(()));
    let wrong = |change: fn(&mut Rule)| {
        let mut rule = good.clone();
        change(&mut rule);
        let error = validate(&rule).unwrap_err();
        (error.field(), error.to_string())
    };
    assert_eq!(wrong(|r| r.name = " ".into()).0, "name");
    assert_eq!(wrong(|r| r.name = "a\nb".into()).0, "name");
    assert_eq!(wrong(|r| r.position = 0).0, "position");
    assert_eq!(wrong(|r| r.server = String::new()).0, "server");
    assert_eq!(wrong(|r| r.tool = "{a".into()).0, "tool");
    assert_eq!(wrong(|r| r.tool = "a".repeat(256)).0, "tool");
    assert_eq!(wrong(|r| r.approval_ttl_minutes = 0).0, "approval_ttl_minutes");
    assert_eq!(
        validate(&Rule { approval_ttl_minutes: 525_601, ..good.clone() }),
        Err(PolicyError::ApprovalTtl { minutes: 525_601 })
    );
    for (condition, words) in [
        ("", "empty"),
        ("args.n >", "line 1, column"),
        ("\n  args.n >>", "line 2, column"),
        ("arg.n == 1", "nothing named \"arg\" (names: args"),
        ("args.n.matches('a')", "no function \"matches\""),
        ("now() > 1", "no function \"now\""),
        ("Thing{a: 1} == 1", "does not exist"),
        ("args.list.all(x, y)", "nothing named \"y\""),
    ] {
        let mut rule = good.clone();
        rule.condition = Some(condition.to_owned());
        let error = validate(&rule).expect_err(condition);
        assert_eq!(error.field(), "condition");
        assert!(error.to_string().contains(words), "{condition}: {error}");
    }
    assert!(wrong(|r| r.condition = Some("1 == 1 || ".repeat(300))).1.contains("at most 2048"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1,2}", inner, 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let condition = prop::sample::select(vec![
        None,
        Some("true"),
        Some("false"),
        Some("args.a == 1"),
        Some("has(args.a)"),
        Some("args.a.b"),
        Some("1 +"),
        Some("args"),
        Some("args.all(k, true)"),
        Some("outside"),
        Some("1 / 0 == 0 || true"),
    ]);
    let pattern = || prop::sample::select(vec!["*", "a", "b", "{a,b}", "?", "[", "{a"]);
    let effect = prop::sample::select(vec![Effect::Allow, Effect::Ask, Effect::Deny]);
    (0..9_i32, pattern(), pattern(), condition, any::<bool>(), effect, any::<i32>(), any::<u128>()).prop_map(
        |(position, server, tool, condition, outside, effect, ttl, id)| Rule {
            id: Uuid::from_u128(id),
            name: format!("rule {id}"),
            outside,
            approval_ttl_minutes: ttl,
            ..rule(position, effect, server, tool, condition)
        },
    )
}

proptest! {
    #[test]
    fn only_a_matching_rule_allows(
        rules in prop::collection::vec(any_rule(), 0..7), arguments in any_json(), task in any_json(),
        server in prop::sample::select(vec!["a", "b", "c"]), tool in prop::sample::select(vec!["a", "b", "ä\n"]), outside in any::<bool>(),
    ) {
        let call = Call { server, tool, arguments: &arguments, outside, task: &task, around: Around::default() };
        let verdict = decide(&rules, &call);
        // The order in which rules are handed over is nothing.
        let mut turned = rules.clone();
        turned.reverse();
        prop_assert_eq!(&decide(&turned, &call), &verdict);
        prop_assert!((1..=525_600).contains(&verdict.approval_ttl_minutes));
        if verdict.effect == Effect::Allow {
            let id = verdict.rule.clone().unwrap().0;
            let by = rules.iter().find(|rule| rule.id == id).unwrap();
            prop_assert_eq!(by.effect, Effect::Allow);
            prop_assert!(by.outside || !outside);
            prop_assert_eq!(validate(&Rule { position: 1, approval_ttl_minutes: 1, name: "n".into(), ..by.clone() }), Ok(()));
            prop_assert_eq!(decide(std::slice::from_ref(by), &call).effect, Effect::Allow);
            // Every rule before it was judged, and did not match unless its permission was withheld.
            for rule in rules.iter().filter(|rule| (rule.position, rule.id) < (by.position, by.id)) {
                let alone = decide(std::slice::from_ref(rule), &call);
                prop_assert_eq!(alone.rule, None, "{:?}", rule);
            }
        }
        // Without the allowing rules nothing is allowed, and no refusal is lost.
        let strict: Vec<Rule> = rules.iter().filter(|rule| rule.effect != Effect::Allow).cloned().collect();
        prop_assert_ne!(decide(&strict, &call).effect, Effect::Allow);
        if verdict.effect == Effect::Deny {
            prop_assert_eq!(decide(&strict, &call).effect, Effect::Deny);
        }
    }

    #[test]
    fn any_condition_is_judged_or_refused(condition in any::<String>(), arguments in any_json()) {
        let rule = rule(1, Effect::Allow, "*", "*", Some(&condition));
        let kept = validate(&rule).is_ok();
        let verdict = judge(&[rule], "t", &arguments, false);
        prop_assert!(kept || verdict.effect == Effect::Ask);
    }

    #[test]
    fn any_likely_condition_is_judged_or_refused(condition in "(args|task|[a-c]|[0-9]|'a'|\\.|\\[|\\]|\\(|\\)|\\{|\\}| && | \\|\\| |==|!|\\?|:|,|-|\\+|\\*|size|all|map|has| in ){1,14}", arguments in any_json()) {
        let rule = rule(1, Effect::Allow, "*", "*", Some(&condition));
        let kept = validate(&rule).is_ok();
        let verdict = judge(&[rule], "t", &arguments, false);
        prop_assert!(kept || verdict.effect == Effect::Ask);
    }
}

#[test]
fn conditions_see_the_time() {
    let at = |condition: &str| {
        let rule = rule(1, Effect::Allow, "*", "*", Some(condition));
        validate(&rule).unwrap();
        let (task, now) = (json!({}), "2026-11-27T22:30:00Z".parse().unwrap());
        let call = Call {
            server: "mail",
            tool: "send_mail",
            arguments: &task,
            outside: false,
            task: &task,
            around: Around { now, ..Around::default() },
        };
        decide(&[rule], &call)
    };
    for holds in [
        "now.hour == 22 && now.weekday == 5 && now.date == \"2026-11-27\"",
        "now.time >= \"20:00\"",
        "local(\"Europe/Berlin\").hour == 23",
        "local(\"Asia/Tokyo\").weekday == 6 && local(\"Asia/Tokyo\").day == 28",
    ] {
        assert_eq!(at(holds).effect, Effect::Allow, "{holds}");
    }
    assert_eq!(at("now.hour < 20").effect, Effect::Ask);
    let wrong = at("local(\"Mars/Crater\").hour == 1");
    assert!(wrong.reason.contains("no time zone"), "{}", wrong.reason);
}

#[test]
fn conditions_count_what_was_called() {
    let limit =
        Rule { outside: true, ..rule(1, Effect::Allow, "*", "send_*", Some("calls(\"mail/send_*\", \"1h\") < 3")) };
    validate(&limit).unwrap();
    assert_eq!(
        needs(std::slice::from_ref(&limit), "mail", "send_mail"),
        Needs { periods: [60].into(), ..Needs::default() }
    );
    assert_eq!(needs(std::slice::from_ref(&limit), "mail", "read"), Needs::default());
    let task = json!({});
    let judge = |counts: Option<&Counts>| {
        let around = Around { counts, ..Around::default() };
        decide(
            std::slice::from_ref(&limit),
            &Call { server: "mail", tool: "send_mail", arguments: &task, outside: true, task: &task, around },
        )
    };
    let made = |n: i64| {
        Counts::from([(
            60,
            vec![("mail".to_owned(), "send_mail".to_owned(), n), ("sms".to_owned(), "send_sms".to_owned(), 99)],
        )])
    };
    assert_eq!(judge(Some(&made(2))).effect, Effect::Allow);
    assert_eq!(judge(Some(&made(3))).effect, Effect::Ask);
    let blind = judge(None);
    assert!(blind.effect == Effect::Ask && blind.reason.contains("can't be said here"), "{}", blind.reason);
    for (wrong, word) in [
        ("calls(tool, \"1h\") < 3", "written out"),
        ("calls(\"send_*\") < 3", "written out"),
        ("calls(\"send_*\", \"1 hour\") < 3", "no period"),
        ("calls(\"send_*\", \"40d\") < 3", "no period"),
        ("calls(\"[\", \"1h\") < 3", "not a pattern"),
    ] {
        let said = validate(&rule(1, Effect::Allow, "*", "*", Some(wrong))).unwrap_err().to_string();
        assert!(said.contains(word), "{wrong}: {said}");
    }
}

#[test]
fn conditions_know_people() {
    let known = std::collections::BTreeSet::from(["bob@example.org".to_owned()]);
    let judge = |arguments: &Value, known| {
        let rule = rule(1, Effect::Allow, "*", "*", Some("known(args.to)"));
        validate(&rule).unwrap();
        let around = Around { known, ..Around::default() };
        decide(&[rule], &Call { server: "mail", tool: "send_mail", arguments, outside: true, task: &json!({}), around })
    };
    for to in [json!("bob@example.org"), json!("Bob@Example.org"), json!(["bob@example.org"])] {
        assert_eq!(judge(&json!({"to": to}), Some(&known)).effect, Effect::Allow, "{to}");
    }
    for to in [
        json!("eve@example.org"),
        json!("bob@example.org, eve@example.org"),
        json!("Bob <bob@example.org>"),
        json!("b\u{43e}b@example.org"),
        json!("bob@example.org\u{200b}"),
        json!(["bob@example.org", "eve@example.org"]),
        json!([]),
        json!(7),
    ] {
        assert_eq!(judge(&json!({"to": to}), Some(&known)).effect, Effect::Ask, "{to}");
    }
    assert_eq!(judge(&json!({"to": "bob@example.org"}), None).effect, Effect::Ask);
}

#[test]
fn conditions_know_where_the_task_came_from() {
    let rule = Rule {
        outside: true,
        ..rule(
            1,
            Effect::Allow,
            "*",
            "*",
            Some(
                "provenance.source == \"watcher:inbox\" && provenance.detail.authentication.trusted \
                 && provenance.detail.authentication.dmarc == \"pass\" && provenance.detail.from.address == \"boss@example.org\"",
            ),
        )
    };
    validate(&rule).unwrap();
    assert!(needs(std::slice::from_ref(&rule), "mail", "send_mail").provenance);
    let judge = |task: &Value, provenance: Option<&Value>| {
        let around = Around { provenance, ..Around::default() };
        let call = Call { server: "mail", tool: "send_mail", arguments: task, outside: true, task, around };
        decide(std::slice::from_ref(&rule), &call).effect
    };
    let from = |address: &str, dmarc: &str, trusted: bool| {
        json!({"source": "watcher:inbox", "detail": {
            "from": {"address": address}, "authentication": {"dmarc": dmarc, "trusted": trusted},
        }})
    };
    let right = from("boss@example.org", "pass", true);
    assert_eq!(judge(&json!({}), Some(&right)), Effect::Allow);
    for wrong in [
        from("eve@example.org", "pass", true),
        from("boss@example.org", "fail", true),
        from("boss@example.org", "pass", false),
        json!({"source": "watcher:inbox", "detail": {}}),
        json!({"source": "", "detail": {}}),
    ] {
        assert_eq!(judge(&json!({}), Some(&wrong)), Effect::Ask, "{wrong}");
    }
    // What a task says of itself is no provenance, and what was not looked up allows nothing.
    let forged =
        json!({"provenance": right.clone(), "metadata": {"provenance": right.clone(), "event": right["detail"]}});
    assert_eq!(judge(&forged, Some(&json!({"source": "mcp", "detail": {}}))), Effect::Ask);
    assert_eq!(judge(&forged, None), Effect::Ask);
}
