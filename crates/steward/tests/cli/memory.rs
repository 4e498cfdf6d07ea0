//! What the employee remembers, and playbooks made of what a model did, at the terminal.

use crate::desk::{Desk, PASSWORD};

#[test]
fn facts_are_told_shown_changed_and_forgotten() {
    let desk = Desk::set_up();
    desk.with_input(&["user", "add", "bob", "--email", "bob@example.org"], PASSWORD).done();
    let id = desk.made(&["memory", "add", "Invoices belong into Taxes."]);
    assert!(desk.run(&["memory", "add", "Invoices belong into Taxes."]).refused().contains("known already"));
    desk.run(&["memory", "add", "We close at five.", "--all"]).done();
    assert!(desk.run(&["--as", "bob", "memory", "add", "x", "--all"]).refused().contains("you may not do this"));
    let known = desk.run(&["memory", "list"]).done();
    assert!(known.contains("Invoices belong into Taxes.") && known.contains("told by a person"), "{known}");
    let of_bob = desk.run(&["--as", "bob", "memory", "list"]).done();
    assert!(of_bob.contains("We close at five.") && !of_bob.contains("Taxes"), "{of_bob}");
    desk.run(&["memory", "edit", &id, "Invoices belong into Accounts."]).done();
    let shown = desk.run(&["memory", "show", &id]).done();
    assert!(shown.contains("Accounts") && shown.contains("one person's work"), "{shown}");
    assert!(desk.run(&["--as", "bob", "memory", "forget", &id]).refused().contains("fact"));
    desk.run(&["memory", "forget", &id]).done();
    assert!(desk.run(&["memory", "show", &id]).refused().contains("fact"));
}

#[test]
fn a_playbook_is_made_of_a_models_work_alone_and_is_tried_on_the_past() {
    let desk = Desk::set_up();
    let task = desk.made(&["task", "add", "Answer the mail"]);
    assert!(desk.run(&["playbook", "promote", &task]).refused().contains("no such run"));
    let source = "name: mine\nmatch: { watcher: mail }\nsteps:\n  - { name: a, server: s, tool: t }\n";
    let file = desk.file("mine.yaml", source);
    let tried = desk.json(&["playbook", "replay", &file]);
    assert_eq!((tried["differ"].as_i64(), tried["events"].as_array().map(Vec::len)), (Some(0), Some(0)), "{tried}");
    assert!(desk.run(&["playbook", "replay", "nothing"]).refused().contains("no file"));
    for verb in ["show", "on", "off", "remove"] {
        assert!(desk.run(&["playbook", verb, "mine"]).refused().contains("mine"), "a file is not kept here");
    }
}
