//! Deciding at the terminal. The questions are asked as the employee asks them.

use domain::{
    accounts::EMPLOYEE,
    playbook::sha256_hex,
    policy::{Effect, Verdict},
    work::{PlannedCall, Work, Worker, open},
};
use jiff::SignedDuration;
use serde_json::json;
use store::{Actor, Config, Store, mcp_servers, runs, users};
use uuid::Uuid;

use crate::desk::{Desk, PASSWORD};

const ARGUMENTS: &str = r#"{"copies":1,"destination":"/a"}"#;

/// A desk where the employee works on a task.
struct Asked {
    desk: Desk,
    store: Store,
    worker: Worker,
    work: Work,
}

impl Asked {
    async fn begin() -> Self {
        Self::begin_with(&["--command", "sh"]).await
    }

    /// With a server of this kind.
    async fn begin_with(kind: &[&str]) -> Self {
        let desk = Desk::set_up();
        desk.run(&[&["server", "add", "files"], kind].concat()).done();
        desk.run(&["task", "add", "Move it", "--assign", "employee"]).done();
        let store = Store::open(&Config::from_url(&format!("sqlite://{}/steward.db", desk.data().display())).unwrap())
            .await
            .unwrap();
        let service = Actor::service();
        let server = mcp_servers::named(&service, &store, "files").await.unwrap().unwrap();
        let schema = json!({"type": "object", "properties": {"destination": {"type": "string"}, "copies": {"type": "integer"}}, "required": ["destination"]});
        mcp_servers::see_tool(&service, &store, server.id, "move_file", None, &schema, &"0".repeat(64)).await.unwrap();
        desk.run(&["server", "approve-tools", "files", "--all"]).done();
        let employee = users::agent(&service, &store, EMPLOYEE).await.unwrap().unwrap();
        let worker =
            Worker { actor: Actor::user(employee), name: "test/1".to_owned(), lease: SignedDuration::from_mins(5) };
        let lease = worker.claim(&store).await.unwrap().unwrap();
        let work = open(&worker, &store, &lease, "move", "name: move").await.unwrap();
        Self { desk, store, worker, work }
    }

    async fn ask(&self) -> String {
        self.ask_by(None).await
    }

    /// Asks as a rule (id and name) wants it.
    async fn ask_by(&self, rule: Option<(Uuid, String)>) -> String {
        let call = PlannedCall {
            step: "move".to_owned(),
            server: "files".to_owned(),
            tool: "move_file".to_owned(),
            arguments: ARGUMENTS.to_owned(),
            arguments_sha256: sha256_hex(ARGUMENTS),
        };
        let verdict =
            Verdict { effect: Effect::Ask, rule, reason: "no rule matches".to_owned(), approval_ttl_minutes: 60 };
        let tool = mcp_servers::tool(&Actor::service(), &self.store, "files", "move_file").await.unwrap().unwrap();
        self.worker.ask(&self.store, &self.work, None, call, &verdict, &tool).await.unwrap().to_string()
    }
}

#[tokio::test]
async fn yes_as_asked() {
    let asked = Asked::begin().await;
    let id = asked.ask().await;
    let desk = &asked.desk;
    let list = desk.json(&["approval", "list"]);
    assert_eq!((list[0]["id"].as_str(), list[0]["details"]["tool"].as_str()), (Some(id.as_str()), Some("move_file")));
    let out = desk.run(&["approval", "show", &id]).done();
    assert!(
        out.contains("files/move_file") && out.contains("\"destination\": \"/a\"") && out.contains("no rule matches"),
        "{out}"
    );
    assert!(desk.json(&["notify", "log"])[0]["title"].as_str().unwrap().contains("Approval"));
    // Neither the agent nor a stranger decides.
    assert!(desk.run(&["--as", "employee", "approval", "approve", &id]).refused().contains("agent"));
    desk.with_input(&["user", "add", "bob", "--email", "bob@example.org"], PASSWORD).done();
    assert!(desk.run(&["--as", "bob", "approval", "approve", &id]).refused().contains(&id));
    let out = desk.run(&["approval", "approve", &id, "--note", "go on"]).done();
    assert!(out.contains("Approved"), "{out}");
    let line = desk.run(&["approval", "reject", &id]).refused();
    assert!(line.contains("already approved") && line.contains("by ada"), "{line}");
    assert_eq!(desk.json(&["approval", "list"]), json!([]));
    let shown = desk.json(&["approval", "show", &id]);
    assert_eq!((shown["status"].as_str(), shown["notes"].as_str()), (Some("approved"), Some("go on")));
    assert_eq!(desk.json(&["approval", "list", "--status", "approved"])[0]["id"], id.as_str());
    assert_eq!(desk.json(&["approval", "list", "--all"]).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn yes_with_something_else() {
    let asked = Asked::begin().await;
    let id = asked.ask().await;
    let desk = &asked.desk;
    assert!(desk.run(&["approval", "approve", &id, "--set", "copies=many"]).refused().contains("/copies"));
    desk.run(&["policy", "add", "never there", "--effect", "deny", "--condition", r#"args.destination == "/etc""#])
        .done();
    assert!(desk.run(&["approval", "approve", &id, "--set", "destination=/etc"]).refused().contains("denies"));
    assert_eq!(desk.json(&["approval", "show", &id])["status"], "pending");
    desk.run(&["approval", "approve", &id, "--set", "destination=7", "--set", "copies=2"]).done();
    let shown = desk.json(&["approval", "show", &id]);
    assert_eq!(shown["edited_arguments"], json!({"copies": 2, "destination": "7"}), "types survive");
    assert_eq!(shown["call"]["arguments"], json!({"copies": 1, "destination": "/a"}));
    let task = shown["task_id"].as_str().unwrap();
    let set = r#"{"copies":2,"destination":"7"}"#;
    let out = desk.run(&["task", "show", task]).done();
    assert!(out.contains(&format!("move will be called with {set}")), "{out}");
    let (store, worker) = (&asked.store, &asked.worker);
    let lease = worker.claim(store).await.unwrap().unwrap();
    let step = runs::steps(&worker.actor, store, asked.work.run.id).await.unwrap().remove(0);
    worker.start(store, &lease, step.id, set.to_owned(), sha256_hex(set), None).await.unwrap();
    let out = desk.run(&["task", "show", task]).done();
    assert!(
        out.contains(&format!("move was called with {set}\n    as ada set it; asked for was {ARGUMENTS}")),
        "{out}"
    );
}

#[tokio::test]
async fn neither_yes_nor_no() {
    let asked = Asked::begin().await;
    let id = asked.ask().await;
    let desk = &asked.desk;
    let before = desk.json(&["approval", "show", &id])["expires_at"].as_str().unwrap().to_owned();
    assert!(desk.run(&["approval", "extend", &id, "--hours", "48"]).done().contains("until"));
    assert!(desk.json(&["approval", "show", &id])["expires_at"].as_str().unwrap() > before.as_str());
    assert!(desk.run(&["approval", "extend", &id, "--hours", "1"]).refused().contains("as much time already"));
    assert!(desk.run(&["approval", "ask", &id, "--to", "bob"]).refused().contains("who can: nobody besides you"));
    desk.with_input(&["user", "add", "bob", "--email", "bob@example.org", "--role", "admin"], PASSWORD).done();
    assert!(
        desk.run(&["--as", "ada", "approval", "ask", &id, "--to", "bob", "--note", "I am away"])
            .done()
            .contains("was asked")
    );
    assert!(
        desk.run(&["--as", "ada", "approval", "changes", &id, "--note", " "])
            .refused()
            .contains("what should be different")
    );
    assert!(
        desk.run(&["--as", "ada", "approval", "changes", &id, "--note", "to /b instead"]).done().contains("Sent back")
    );
    let shown = desk.json(&["--as", "ada", "approval", "show", &id]);
    assert_eq!((shown["status"].as_str(), shown["notes"].as_str()), (Some("rejected"), Some("to /b instead")));
    assert!(desk.run(&["--as", "ada", "approval", "extend", &id]).refused().contains("already rejected"));
}

#[tokio::test]
async fn no() {
    let asked = Asked::begin().await;
    let id = asked.ask().await;
    let desk = &asked.desk;
    assert!(desk.run(&["approval", "reject", &id, "--note", "not yet"]).done().contains("does not run"));
    assert_eq!(desk.json(&["approval", "show", &id])["notes"], "not yet");
    let missing = "019b0000-0000-7000-8000-000000000000";
    assert!(desk.run(&["approval", "reject", missing]).refused().contains(missing));
    assert!(desk.run(&["approval", "approve", missing, "--set", "a=b"]).refused().contains(missing));
}

#[tokio::test]
async fn what_became_of_a_call() {
    let asked = Asked::begin().await;
    let id = asked.ask().await;
    asked.desk.run(&["approval", "approve", &id]).done();
    let (store, worker) = (&asked.store, &asked.worker);
    let lease = worker.claim(store).await.unwrap().unwrap();
    let step = runs::steps(&worker.actor, store, asked.work.run.id).await.unwrap().remove(0);
    worker.start(store, &lease, step.id, ARGUMENTS.to_owned(), sha256_hex(ARGUMENTS), None).await.unwrap();
    let step = runs::step(&worker.actor, store, step.id).await.unwrap().unwrap();
    let work = Work { lease, ..asked.work.clone() };
    let unknown = worker
        .outcome_unknown(store, &work, &step, "Steward ended in the middle".to_owned())
        .await
        .unwrap()
        .to_string();
    let desk = &asked.desk;
    let always = desk.run(&["approval", "approve", &unknown, "--always"]).refused();
    assert!(always.contains("whether a call happened") && always.contains("no rule was made"), "{always}");
    assert_eq!(desk.json(&["approval", "show", &unknown])["status"], "pending");
    assert_eq!(desk.json(&["policy", "list"]), json!([]));
    // Made again it would be judged again.
    desk.run(&["policy", "add", "never", "--effect", "deny", "--tool", "move_file"]).done();
    assert!(desk.run(&["approval", "approve", &unknown, "--set", "resolution=retry"]).refused().contains("denies"));
    desk.run(&["policy", "remove", "never"]).done();
    assert!(
        desk.run(&["approval", "approve", &unknown, "--set", "resolution=perhaps"])
            .refused()
            .contains("resolution=done")
    );
    let out = desk.run(&["approval", "approve", &unknown, "--set", "resolution=retry"]).done();
    assert!(out.contains("made again"), "{out}");
    assert_eq!(desk.json(&["approval", "show", &unknown])["edited_arguments"], json!({"resolution": "retry"}));
}

#[tokio::test]
async fn a_yes_after_which_nothing_would_run_is_none() {
    let asked = Asked::begin().await;
    let id = asked.ask().await;
    let desk = &asked.desk;
    desk.run(&["policy", "add", "never", "--effect", "deny", "--tool", "move_file"]).done();
    let line = desk.run(&["approval", "approve", &id]).refused();
    assert!(line.contains("denies") && line.contains("never") && line.contains("nothing would run"), "{line}");
    assert_eq!(desk.json(&["approval", "show", &id])["status"], "pending", "the question stays");
    desk.run(&["policy", "remove", "never"]).done();
    // A rule that came after the question counts as well where it says how much may go wrong.
    desk.run(&["policy", "add", "grave", "--effect", "ask", "--tool", "move_file", "--risk", "high"]).done();
    let line = desk.run(&["approval", "approve", &id]).refused();
    assert!(line.contains("high risk") && line.contains("at a terminal"), "{line}");
    desk.run(&["policy", "remove", "grave"]).done();
    assert!(desk.run(&["approval", "approve", &id]).done().contains("Approved"));
}

#[tokio::test]
async fn nothing_outside_a_server_s_folders_is_agreed_to() {
    let asked = Asked::begin_with(&["--builtin", "files", "--config", r#"{"folders": ["~/steward"]}"#]).await;
    let id = asked.ask().await;
    let desk = &asked.desk;
    let within = desk.home().join("steward/a").display().to_string();
    for args in [&["approval", "approve", &id][..], &["approval", "approve", &id, "--set", "destination=/etc/x"]] {
        let line = desk.run(args).refused();
        assert!(line.contains("not within the folders") && line.contains("~/steward"), "{args:?}: {line}");
    }
    let line = desk.run(&["approval", "approve", &id, "--set", &format!("destination={within}/../../x")]).refused();
    assert!(line.contains(".."), "{line}");
    assert_eq!(desk.json(&["approval", "show", &id])["status"], "pending");
    desk.run(&["approval", "approve", &id, "--set", &format!("destination={within}")]).done();
}

#[tokio::test]
async fn a_yes_of_high_risk_wants_the_password() {
    let asked = Asked::begin().await;
    let desk = &asked.desk;
    let rule = desk
        .made(&["policy", "add", "grave", "--effect", "ask", "--tool", "move_file", "--risk", "high"])
        .parse()
        .unwrap();
    let id = asked.ask_by(Some((rule, "grave".to_owned()))).await;
    assert!(desk.run(&["approval", "list"]).done().contains("high"));
    assert!(desk.run(&["approval", "show", &id]).done().contains("high: whoever asks says so"));
    let line = desk.run(&["approval", "approve", &id]).refused();
    assert!(line.contains("at a terminal") && line.contains(&format!("/approvals/{id}")), "{line}");
    let wrong = desk.at_a_terminal(&["approval", "approve", &id], "something else entirely");
    assert!(wrong.code == 1 && wrong.out.contains("nothing was decided"), "{wrong:?}");
    assert_eq!(desk.json(&["approval", "show", &id])["status"], "pending");
    let right = desk.at_a_terminal(&["approval", "approve", &id], PASSWORD);
    assert!(right.code == 0 && right.out.contains("Approved"), "{right:?}");
    assert_eq!(desk.json(&["approval", "show", &id])["status"], "approved");
}
