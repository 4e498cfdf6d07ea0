//! Ids by their beginning: here, and with a Steward elsewhere.

use crate::{desk::Desk, remote::house};

/// As much of an id as no other of these begins with.
fn beginning(id: &str, others: &[&str]) -> String {
    let alike = |other: &&str| id.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    id[..=others.iter().map(alike).max().unwrap_or(0)].to_owned()
}

#[test]
fn a_unique_beginning_is_enough() {
    let (here, _serving, there) = house("read,tasks,policies");
    // Ids of nearly the same moment begin alike; a minute may end between the two.
    let (one, two, short) = loop {
        let (one, two) = (here.made(&["task", "add", "Call the bank"]), here.made(&["task", "add", "Pay the plumber"]));
        let short = beginning(&one, &[&two]);
        if short.len() > 8 {
            break (one, two, short);
        }
    };
    for desk in [&here, &there] {
        assert_eq!(desk.json(&["task", "show", &short])["task"]["id"], one.as_str());
        let line = desk.run(&["task", "show", &one[..8]]).refused();
        assert!(line.contains("type more") && line.contains(&one) && line.contains("Pay the plumber"), "{line}");
        let line = desk.run(&["task", "start", "ffffffff"]).refused();
        assert!(line.contains("no task here whose id begins with ffffffff"), "{line}");
    }
    there.run(&["task", "depends", &short, "--on", &two]).done();
    assert_eq!(here.json(&["task", "show", &short])["task"]["dependencies"][0], two.as_str());
    assert_eq!(here.json(&["logs", "--task", &short]), serde_json::json!([]));
    assert!(here.json(&["audit", "list", "--id", &short]).as_array().is_some_and(|rows| !rows.is_empty()));
    let fact = there.made(&["memory", "add", "Mondays are for mail"]);
    assert!(there.run(&["memory", "show", &fact[..8]]).done().contains("Mondays"));
    let rule = here.made(&["policy", "add", "feed", "--effect", "ask"]);
    there.run(&["policy", "remove", &rule[..13]]).done();
    here.run(&["server", "add", "notes", "--command", "true"]).done();
    let server = here.json(&["server", "list"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(there.json(&["server", "show", &server[..8]])["name"], "notes");
}

#[test]
fn in_a_window_ids_are_short_and_can_be_typed() {
    let desk = Desk::set_up();
    let id = desk.made(&["task", "add", "Call the bank"]);
    let seen = desk.at_a_terminal(&["task", "list"], "");
    assert!(seen.out.contains(&id[..8]) && !seen.out.contains(&id) && seen.out.contains("pending"), "{seen:?}");
    assert!(desk.run(&["task", "list"]).done().contains(&id), "for programs they are whole");
    assert!(desk.run(&["task", "show", &id[..8]]).done().contains(&id));
}
