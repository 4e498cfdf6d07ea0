//! Set-up, users, and who acts.

use crate::desk::{Desk, PASSWORD, mode};

#[test]
fn set_up_once() {
    let desk = Desk::empty();
    let args = ["setup", "--username", "ada", "--email", "ada@example.org"];
    assert!(desk.run(&args).refused().contains("no password came on stdin"));
    assert!(desk.with_input(&args, "short").refused().contains("15 to 1000"));
    assert!(
        desk.with_input(&["setup", "--username", "a b", "--email", "x@y"], PASSWORD).refused().contains("user name")
    );
    let out = desk.with_input(&args, PASSWORD).done();
    assert!(out.contains("ada is the first admin") && !out.contains(PASSWORD), "{out}");
    assert_eq!(mode(&desk.data()), 0o700);
    assert!(desk.with_input(&args, PASSWORD).refused().contains("set-up was done before"));
    let users = desk.json(&["user", "list"]);
    let named = |name: &str| users.as_array().unwrap().iter().find(|u| u["username"] == name).unwrap();
    assert_eq!((named("ada")["role"].as_str(), named("ada")["is_agent"].as_bool()), (Some("admin"), Some(false)));
    assert_eq!(named("employee")["is_agent"], true);
}

#[test]
fn adding_and_changing_people() {
    let desk = Desk::set_up();
    let file = desk.file("pw", &format!("{PASSWORD}\nnot this\n"));
    desk.run(&["user", "add", "bob", "--email", "bob@example.org", "--password-file", &file]).done();
    assert!(
        desk.with_input(&["user", "add", "BOB", "--email", "b2@example.org"], PASSWORD).refused().contains("taken")
    );
    let out = desk.run(&["user", "show", "bob"]).done();
    assert!(out.contains("bob@example.org") && out.contains("person") && !out.contains("argon2"), "{out}");
    assert!(desk.run(&["user", "show", "eve"]).refused().contains("user eve"));
    desk.run(&["user", "role", "bob", "observer"]).done();
    assert_eq!(desk.json(&["user", "show", "bob"])["role"], "observer");
    desk.run(&["user", "suspend", "bob"]).done();
    assert!(desk.run(&["--as", "bob", "task", "list"]).refused().contains("suspended"));
    desk.run(&["user", "suspend", "bob", "--lift"]).done();
    desk.run(&["--as", "bob", "task", "list"]).done();
    desk.with_input(&["user", "password", "bob"], "another long password").done();
    assert!(desk.with_input(&["user", "password", "employee"], PASSWORD).refused().contains("agent"));
    assert!(desk.run(&["user", "suspend", "ada"]).refused().contains("only admin"));
    assert!(desk.run(&["user", "role", "ada", "user"]).refused().contains("only admin"));
}

#[test]
fn who_acts() {
    let desk = Desk::set_up();
    let line = desk.run(&["--as", "employee", "task", "list"]).refused();
    assert!(line.contains("employee is an agent"), "{line}");
    assert!(desk.run(&["task", "list", "--as", "nobody"]).refused().contains("no user \"nobody\""));
    desk.with_input(&["user", "add", "bob", "--email", "bob@example.org"], PASSWORD).done();
    // Bob is no administrator.
    let line =
        desk.with_input(&["--as", "bob", "user", "add", "eve", "--email", "eve@example.org"], PASSWORD).refused();
    assert!(line.contains("you may not do this"), "{line}");
    assert!(desk.run(&["--as", "bob", "user", "role", "bob", "admin"]).refused().contains("you may not do this"));
    assert_eq!(desk.json(&["--as", "bob", "user", "list"]).as_array().unwrap().len(), 1);
    assert!(desk.run(&["--as", "bob", "audit", "verify"]).refused().contains("you may not do this"));
    desk.run(&["user", "role", "bob", "admin"]).done();
    let line = desk.run(&["task", "list"]).refused();
    assert!(line.contains("several admins (ada, bob)") && line.contains("--as"), "{line}");
    let desk = desk.env("STEWARD_AS", "bob");
    assert_eq!(desk.json(&["status"])["acting_as"], "bob");
    assert_eq!(desk.json(&["status", "--as", "ada"])["acting_as"], "ada");
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let desk = Desk::set_up();
    let out = desk.run(&["token", "create", "nightly report", "--scope", "read,tasks", "--days", "7"]).done();
    assert!(out.starts_with("stw_") && out.contains("read, tasks") && out.contains("only time"), "{out}");
    let token = out.lines().next().unwrap();
    let listed = desk.json(&["token", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["created_by"]), (&"nightly report".into(), &listed[0]["user_id"]));
    assert!(!desk.run(&["token", "list"]).done().contains(token), "it is shown once");
    desk.run(&["token", "revoke", listed[0]["id"].as_str().unwrap()]).done();
    assert!(desk.run(&["token", "revoke", listed[0]["id"].as_str().unwrap()]).refused().contains("revoked before"));
    assert_eq!(desk.json(&["token", "list"]).as_array().unwrap().len(), 0);
    assert_eq!(desk.json(&["token", "list", "--all"]).as_array().unwrap().len(), 1);
    let agents = ["token", "create", "builder", "--agent", "employee", "--scope"];
    assert!(desk.run(&[&agents[..], &["read,decide"]].concat()).refused().contains("only people decide"));
    let made = desk.json(&[&agents[..], &["read"]].concat());
    assert!(made["token"].as_str().unwrap().starts_with("stw_"), "{made}");
    assert!(desk.run(&["token", "create", "x", "--scope", "everything"]).refused().contains("there are: read, tasks"));
}

#[test]
fn second_factors_and_risks() {
    let desk = Desk::set_up();
    assert!(desk.run(&["user", "second-factor", "ada"]).done().contains("no second factor"));
    assert!(desk.run(&["user", "second-factor", "ada", "--remove"]).refused().contains("second factor"));
    desk.run(&["policy", "add", "pay", "--effect", "ask", "--tool", "pay", "--risk", "high"]).done();
    desk.run(&["policy", "add", "read", "--effect", "allow", "--tool", "read_*"]).done();
    let rules = desk.json(&["policy", "list"]);
    assert_eq!((&rules[0]["risk"], &rules[1]["risk"]), (&"high".into(), &"normal".into()));
    let weak = desk.with_input(&["user", "password", "ada"], "passwordpassword").refused();
    assert!(weak.contains("guessed"), "{weak}");
}
