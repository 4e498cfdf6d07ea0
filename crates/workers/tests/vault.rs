//! A folder of notes as a two-way view, with real files, on both databases: each note one task, and a moved note a person's
//! word only if it is letter by letter what Steward wrote and nobody else can have moved it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

mod common;
#[path = "common/watching.rs"]
mod watching;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use common::Steward;
use domain::{
    accounts::EMPLOYEE,
    requests::{self, NewRequest},
    servers::{self as server_rules, NewServer},
    watchers::{self as rules, NewWatcher},
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use store::{
    Actor, approvals,
    approvals::{Approval, NewApproval},
    mcp_servers, tasks,
    tasks::NewTask,
    users, watchers,
};
use uuid::Uuid;
use watching::World;

on_both!(
    a_note_becomes_a_task_once_and_is_handed_on,
    of_many_notes_at_once_each_knows_its_task,
    a_moved_note_decides_as_its_owner,
    what_is_not_the_owners_word_decides_nothing,
    what_wants_more_than_a_moved_note_waits_for_the_desk,
    a_note_is_worked_on_from_end_to_end,
);

struct Vault {
    root: PathBuf,
}

impl Vault {
    fn new(root: PathBuf) -> Self {
        fs::create_dir_all(&root).unwrap();
        Self { root }
    }

    fn config(&self) -> Value {
        json!({ "path": self.root, "decides": "ada", "trusts": ["files"], "every_s": 5 })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a note that has stood still for `age_s` seconds.
    fn put(&self, path: &str, text: &str, age_s: u64) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
        let then = SystemTime::now() - Duration::from_secs(age_s);
        fs::File::options().write(true).open(self.at(path)).unwrap().set_modified(then).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.at(folder))
            .map(|all| all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        // Nobody sees what is being written.
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    /// Moves a note as a file manager does.
    fn drag(&self, name: &str, to: &str) {
        fs::rename(self.at("Pending_Approval").join(name), self.at(to).join(name)).unwrap();
    }
}

fn name_of(id: Uuid) -> String {
    format!("request {id}.md")
}

async fn employee(world: &World) -> Actor {
    Actor::user(users::agent(&Actor::service(), &world.store, EMPLOYEE).await.unwrap().unwrap())
}

async fn ask(world: &World, summary: &str, risk: &str) -> Uuid {
    let new = NewRequest {
        task_id: None,
        summary: summary.to_owned(),
        arguments: json!({ "to": "bob@example.org", "text": "```\n![x](https://evil.example/x.png)" })
            .as_object()
            .unwrap()
            .clone(),
        reason: Some("Bob asked".to_owned()),
        risk: risk.to_owned(),
        minutes: 60,
        via: "api",
    };
    requests::ask(&world.store, &employee(world).await, new).await.unwrap().id
}

async fn approval(world: &World, id: Uuid) -> Approval {
    approvals::get(&world.ada, &world.store, id).await.unwrap().unwrap()
}

async fn a_note_becomes_a_task_once_and_is_handed_on(postgres: bool) {
    let world = World::new(postgres).await;
    let vault = Vault::new(world.dir.path().join("Vault"));
    let id = world.add("vault", vault.config(), None).await;
    vault.put("Needs_Action/call.md", "---\ntags: phone\n---\n# Call Bob\nToday.", 60);
    fs::write(vault.at("Needs_Action/picture.png"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", vault.at("Needs_Action/link.md")).unwrap();
    // What it would do is shown, and nothing is changed.
    let watcher = world.watcher(id).await;
    let shown =
        workers::watchers::polling::preview(&world.store, &world.vault, &world.ada, &watcher, 10).await.unwrap();
    assert_eq!(shown.iter().map(|item| item.title.as_str()).collect::<Vec<_>>(), ["Note: Call Bob"]);
    assert!(world.tasks().await.is_empty() && vault.names("In_Progress").is_empty());
    world.once(id).await;
    world.once(id).await;
    assert_eq!(world.titles().await, ["Note: Call Bob"]);
    let task = world.tasks().await.pop().unwrap();
    assert!(tasks::provenance(&world.ada, &world.store, task.id).await.unwrap().unwrap().outside);
    assert_eq!(vault.names("Needs_Action"), ["link.md", "picture.png"]);
    assert!(vault.read("In_Progress/call.md").starts_with(&format!("---\nsteward_task: {}\ntags: phone\n", task.id)));
    assert!(vault.read("Dashboard.md").contains("`Note: Call Bob` (pending)"));
    // Written anew it is another note: what was done once may be wanted again.
    let first = fs::metadata(vault.at("In_Progress/call.md")).unwrap().modified().unwrap();
    assert!(first > SystemTime::now() - Duration::from_secs(50), "it was written anew when it was handed on");
    vault.put("Needs_Action/call.md", "---\ntags: phone\n---\n# Call Bob\nToday.", 30);
    world.once(id).await;
    assert_eq!(world.titles().await.len(), 2);
    assert_eq!(vault.names("In_Progress"), ["call (2).md", "call.md"]);
    // What is over is put away with what came of it.
    domain::tasks::set_status(&world.store, &world.ada, task.id, "completed", Some("Bob was called".into()))
        .await
        .unwrap();
    world.once(id).await;
    assert_eq!(
        (vault.names("In_Progress"), vault.names("Done")),
        (vec!["call (2).md".to_owned()], vec!["call.md".to_owned()])
    );
    assert!(
        vault.read("Done/call.md").contains("**completed**") && vault.read("Done/call.md").contains("Bob was called")
    );
    // The dashboard is written when something happens, and only then.
    let written = fs::metadata(vault.at("Dashboard.md")).unwrap().modified().unwrap();
    world.once(id).await;
    assert_eq!(fs::metadata(vault.at("Dashboard.md")).unwrap().modified().unwrap(), written);
    // A vault that is not there is told, and none is made in its place.
    fs::rename(&vault.root, world.dir.path().join("away")).unwrap();
    world.once(id).await;
    let watcher = world.watcher(id).await;
    assert!(watcher.last_error.unwrap().contains("is not there") && watcher.error_count == 1 && !vault.root.exists());
    fs::rename(world.dir.path().join("away"), &vault.root).unwrap();
    world.once(id).await;
    assert_eq!(world.watcher(id).await.last_error, None);
}

async fn of_many_notes_at_once_each_knows_its_task(postgres: bool) {
    // More than a list of the newest tasks shows.
    const NOTES: usize = 203;
    let world = World::new(postgres).await;
    let vault = Vault::new(world.dir.path().join("Vault"));
    let mut config = vault.config();
    config["kind"] = json!("triage");
    let id = world.add("vault", config, None).await;
    for n in 0..NOTES {
        vault.put(&format!("Needs_Action/n{n}.md"), &format!("# Note {n}"), 60);
    }
    world.once(id).await;
    let began = std::time::Instant::now();
    while !vault.names("Needs_Action").is_empty() {
        assert!(began.elapsed() < common::PATIENCE, "{} notes are left", vault.names("Needs_Action").len());
        world.once(id).await;
    }
    let names = vault.names("In_Progress");
    assert_eq!(names.len(), NOTES);
    for name in names {
        let text = vault.read(&format!("In_Progress/{name}"));
        let task = text.lines().find_map(|line| line.strip_prefix("steward_task: ")).unwrap().parse().unwrap();
        let task = tasks::get(&world.ada, &world.store, task).await.unwrap().unwrap();
        assert_eq!((&task.metadata["event"]["note"], &task.metadata["kind"]), (&json!(name), &json!("triage")));
    }
}

async fn a_moved_note_decides_as_its_owner(postgres: bool) {
    let world = World::new(postgres).await;
    let vault = Vault::new(world.dir.path().join("Vault"));
    let id = world.add("vault", vault.config(), None).await;
    let (yes, no) = (ask(&world, "Write to Bob", "normal").await, ask(&world, "Pay Eve", "normal").await);
    world.once(id).await;
    let text = vault.read(&format!("Pending_Approval/{}", name_of(yes)));
    assert!(text.contains("Write to Bob") && text.contains("bob@example.org") && text.contains("````"), "{text}");
    assert!(vault.read("Dashboard.md").contains(&format!("[[request {yes}]]")));
    vault.drag(&name_of(yes), "Approved");
    vault.drag(&name_of(no), "Rejected");
    // A note of one's own is nobody's word.
    vault.put("Approved/mine.md", "# Mine", 60);
    world.once(id).await;
    let (yes, no) = (approval(&world, yes).await, approval(&world, no).await);
    assert_eq!((yes.status.as_str(), yes.approved_by), ("approved", world.ada.user_id()));
    assert_eq!((no.status.as_str(), no.rejected_by), ("rejected", world.ada.user_id()));
    assert_eq!(yes.notes.as_deref(), Some("in the vault vault"));
    assert_eq!((vault.names("Approved"), vault.names("Rejected").len()), (vec!["mine.md".to_owned()], 0));
    assert!(vault.names("Pending_Approval").is_empty());
    assert!(vault.read(&format!("Done/{}", name_of(yes.id))).contains("**Approved by ada.**"));
    // Put there once more it decides nothing, and nothing breaks.
    fs::copy(vault.at(&format!("Done/{}", name_of(yes.id))), vault.at("Rejected/again.md")).unwrap();
    world.once(id).await;
    assert_eq!(approval(&world, yes.id).await.status, "approved");
    // What is decided at the desk leaves the vault.
    let other = ask(&world, "Something else", "normal").await;
    world.once(id).await;
    assert_eq!(vault.names("Pending_Approval"), [name_of(other)]);
    let decision = domain::decide::Decision { approve: false, note: None, arguments: None };
    domain::decide::decide(&world.store, &world.ada, other, decision).await.unwrap();
    world.once(id).await;
    assert!(vault.names("Pending_Approval").is_empty());
}

async fn what_is_not_the_owners_word_decides_nothing(postgres: bool) {
    let world = World::new(postgres).await;
    let vault = Vault::new(world.dir.path().join("Vault"));
    // Nobody lets a folder speak for another, and the employee is nobody's voice.
    for name in ["employee", "eve"] {
        let mut config = vault.config();
        (config["decides"], config["playbook"]) = (json!(name), json!("p"));
        let new = NewWatcher { name: name.into(), watcher_type: "vault".into(), config, credentials: None };
        let refused = rules::add(&world.store, &world.vault, &world.ada, new).await.unwrap_err().to_string();
        assert!(refused.contains("your own user name"), "{refused}");
    }
    let id = world.add("vault", vault.config(), None).await;
    let question = ask(&world, "Write to Bob", "normal").await;
    let name = name_of(question);
    let approved = format!("Approved/{name}");
    let try_it = async |why: &str| {
        world.once(id).await;
        let said = vault.read(&approved);
        assert!(said.contains("**Nothing was decided:**") && said.contains(why), "{why}: {said}");
        assert_eq!(approval(&world, question).await.status, "pending", "{why}");
        assert_eq!(
            vault.names("Pending_Approval").as_slice(),
            std::slice::from_ref(&name),
            "{why}: the question stands there as it is"
        );
        // Looked at again it stays as it is.
        world.once(id).await;
        assert_eq!(vault.read(&approved), said);
        fs::remove_file(vault.at(&approved)).unwrap();
    };
    world.once(id).await;
    // Tampered with: other words, another hash, another question's number.
    let text = vault.read(&format!("Pending_Approval/{name}"));
    vault.put(&approved, &text.replace("bob@example.org", "eve@example.org"), 60);
    try_it("changed after Steward wrote it").await;
    vault.put(&approved, &text.replace("sha256: ", "sha256: 0"), 60);
    try_it("hash").await;
    let other = ask(&world, "Pay Eve", "normal").await;
    vault.put(&approved, &text.replace(&question.to_string(), &other.to_string()), 60);
    let decision = domain::decide::Decision { approve: false, note: None, arguments: None };
    world.once(id).await;
    assert!(vault.read(&approved).contains("hash") && approval(&world, other).await.status == "pending");
    domain::decide::decide(&world.store, &world.ada, other, decision).await.unwrap();
    fs::remove_file(vault.at(&approved)).unwrap();
    world.once(id).await;
    // Who may write there may have moved it: other people of the machine …
    fs::set_permissions(vault.at("Approved"), PermissionsExt::from_mode(0o777)).unwrap();
    vault.drag(&name, "Approved");
    try_it("others on this machine").await;
    fs::set_permissions(vault.at("Approved"), PermissionsExt::from_mode(0o755)).unwrap();
    // … or the employee, with a server that reaches it.
    let reaching = vec!["-y".to_owned(), world.dir.path().display().to_string()];
    let server = mcp_servers::create(&world.ada, &world.store, "disk", "npx", reaching, None).await.unwrap();
    vault.drag(&name, "Approved");
    try_it("the server disk may write into the vault").await;
    mcp_servers::delete(&world.ada, &world.store, server).await.unwrap();
    // … by another way that leads there, within a longer text, or as a built-in one.
    let way = world.dir.path().join("way");
    std::os::unix::fs::symlink(&vault.root, &way).unwrap();
    let settings = json!({ "folders": [way] }).to_string();
    let shell = format!("cd {} && mv x y", way.display());
    for (command, args) in [("builtin:files", vec![settings]), ("sh", vec!["-c".to_owned(), shell])] {
        let server = mcp_servers::create(&world.ada, &world.store, "disk", command, args, None).await.unwrap();
        vault.drag(&name, "Approved");
        try_it("the server disk may write into the vault").await;
        mcp_servers::delete(&world.ada, &world.store, server).await.unwrap();
    }
    // Any program of the same user may; its owner can vouch for one.
    let server = mcp_servers::create(&world.ada, &world.store, "calendar", "npx", vec![], None).await.unwrap();
    vault.drag(&name, "Approved");
    try_it("its name in the watcher's trusts").await;
    mcp_servers::delete(&world.ada, &world.store, server).await.unwrap();
    // Whoever may write into the vault itself, or above it, can exchange its folders.
    for at in [vault.root.clone(), world.dir.path().to_owned()] {
        let before = fs::metadata(&at).unwrap().permissions();
        fs::set_permissions(&at, PermissionsExt::from_mode(0o775)).unwrap();
        vault.drag(&name, "Approved");
        try_it("others on this machine").await;
        fs::set_permissions(&at, before).unwrap();
    }
    // A vault whose owner did not say that it decides.
    let config = json!({ "path": vault.root, "playbook": "p" });
    watchers::set_config(&world.ada, &world.store, id, config).await.unwrap();
    vault.drag(&name, "Approved");
    try_it("this vault decides nothing").await;
}

async fn what_wants_more_than_a_moved_note_waits_for_the_desk(postgres: bool) {
    let world = World::new(postgres).await;
    let vault = Vault::new(world.dir.path().join("Vault"));
    let id = world.add("vault", vault.config(), None).await;
    let high = ask(&world, "Pay", "high").await;
    world.once(id).await;
    assert!(vault.read(&format!("Pending_Approval/{}", name_of(high))).contains("Decide it at the desk"));
    vault.drag(&name_of(high), "Approved");
    world.once(id).await;
    assert!(vault.read(&format!("Approved/{}", name_of(high))).contains("high risk"));
    assert_eq!(approval(&world, high).await.status, "pending");
    // An answer in words, or more means, are no yes or no.
    for kind in ["question", "budget"] {
        let asked = question_of(&world, kind, SignedDuration::from_hours(1)).await;
        world.once(id).await;
        let name = format!("{kind} {asked}.md");
        assert!(vault.read(&format!("Pending_Approval/{name}")).contains("Decide it at the desk"));
        vault.drag(&name, "Approved");
        world.once(id).await;
        assert!(vault.read(&format!("Approved/{name}")).contains("more than a yes or a no"));
        assert_eq!(approval(&world, asked).await.status, "pending");
    }
    // Too late means no.
    let late = question_of(&world, requests::ACTION_TYPE, SignedDuration::from_secs(2)).await;
    world.once(id).await;
    let late_name = format!("request {late}.md");
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let over = async {
        while approval(&world, late).await.status == "pending" {
            tick.tick().await;
            approvals::expire(&Actor::service(), &world.store).await.unwrap();
        }
    };
    tokio::time::timeout(common::PATIENCE, over).await.expect("it expires");
    vault.drag(&late_name, "Approved");
    world.once(id).await;
    assert!(vault.read(&format!("Approved/{late_name}")).contains("expired"));
    assert_eq!(approval(&world, late).await.status, "expired");
}

/// A question of a kind that is open for so long.
async fn question_of(world: &World, kind: &str, open: SignedDuration) -> Uuid {
    let employee = employee(world).await;
    let new = NewTask { assigned_to: employee.user_id(), ..NewTask::titled("Hurry") };
    let task_id = tasks::create(&world.ada, &world.store, &new).await.unwrap();
    let expires_at = store::now() + open;
    let details = json!({ "summary": "Hurry", "arguments": {}, "outside": true });
    let new = NewApproval { task_id, action_type: kind.to_owned(), details, expires_at };
    approvals::create(&employee, &world.store, &new).await.unwrap()
}

async fn a_note_is_worked_on_from_end_to_end(postgres: bool) {
    let s = Steward::start(postgres).await;
    let vault = Vault::new(s.home().join("Vault"));
    let notes = s.home().join("notes");
    fs::create_dir_all(&notes).unwrap();
    let (command, args) = ("builtin:notes".to_owned(), vec![json!({ "folder": notes }).to_string()]);
    s.add_own_server(NewServer { name: "notes".into(), command, args, environment: std::collections::BTreeMap::new() })
        .await;
    server_rules::approve_tools(&s.store, &s.ada, "notes", &[], true, false).await.unwrap();
    s.add_playbook(
        "keep.yaml",
        "name: keep\nsteps:\n  - name: keep\n    server: notes\n    tool: write_note\n    arguments: { name: \"{{ event.title }}\", text: \"{{ event.text }}\" }\n",
    );
    vault.put("Needs_Action/idea.md", "# An idea\nWith words.", 60);
    let mut config = vault.config();
    config["playbook"] = json!("keep");
    let new = NewWatcher { name: "vault".into(), watcher_type: "vault".into(), config, credentials: None };
    rules::add(&s.store, &s.vault(), &s.ada, new).await.unwrap();
    let asked = s.until("the question stands in the vault", async |_| vault.names("Pending_Approval").pop()).await;
    let text = vault.read(&format!("Pending_Approval/{asked}"));
    assert!(text.contains("`write_note` of `notes` is called once") && text.contains("With words."), "{text}");
    assert!(!notes.join("An idea.md").exists());
    vault.drag(&asked, "Approved");
    s.until("the note is done", async |_| vault.names("Done").contains(&"idea.md".to_owned()).then_some(())).await;
    assert_eq!(fs::read_to_string(notes.join("An idea.md")).unwrap(), "# An idea\nWith words.");
    let task = s.tasks().await.pop().unwrap();
    assert_eq!(task.status, "completed");
    assert!(vault.read("Done/idea.md").contains("**completed**"));
    assert!(Path::new(&vault.at(&format!("Done/{asked}"))).exists());
    s.stop().await;
}
