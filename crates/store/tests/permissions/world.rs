//! The rows that the matrix is tried on: one set for each role in each relation.

use std::collections::BTreeMap;

use serde_json::json;
use store::{
    Actor,
    api_tokens::{self, NewApiToken},
    approvals,
    approvals::ApprovalCall,
    contacts,
    file_attachments::{self, NewAttachment},
    handbook, idempotency_keys, kept_files, login_tries, master_key, mcp_servers,
    memories::{self, NewMemory},
    model_turns::{self, NewTurn, TurnEnd},
    notification_channels, notifications,
    notifications::NewNotification,
    passkeys::{self, NewPasskey},
    playbooks, policies,
    policies::NewPolicy,
    push_subscriptions, runs,
    runs::NewStep,
    second_factors, server_grants, sessions, system_logs,
    system_logs::NewLogLine,
    task_queue,
    task_queue::Lease,
    tasks::{self, NewTask, Task},
    users, watchers,
};
use uuid::Uuid;

use crate::common::{Db, id, in_seconds, new_approval, new_user, seconds};

/// The columns.
pub const ROLES: &[&str] =
    &["anonymous", "user", "observer", "admin", "suspended", "inactive", "agent", "agent-admin", "service"];
/// The lines of a verb.
pub const RELATIONS: &[&str] = &["creator", "assignee", "stranger"];

#[derive(Debug, Clone)]
pub struct World {
    /// Who tries.
    pub actor: Actor,
    /// A word that stands in the task's title alone.
    pub word: String,
    pub task: Task,
    /// A second task between the same two, without provenance, ready where its assignee is an agent.
    pub second: Uuid,
    /// Of the task; held where the assignee is an agent.
    pub lease: Lease,
    pub approval: Uuid,
    pub expired: Uuid,
    /// Open, with no call frozen yet.
    pub bare_approval: Uuid,
    pub run: Uuid,
    pub step: Uuid,
    pub started: Uuid,
    /// A question to a model that was answered …
    pub turn: Uuid,
    /// … and one that is open.
    pub open_turn: Uuid,
    /// A fact for the creator's work.
    pub memory: Uuid,
    pub attachment: Uuid,
    pub storage_path: String,
    pub watcher: Uuid,
    pub notification: Uuid,
    pub creator: Uuid,
    pub session: Uuid,
    pub token: String,
    /// Of the creator.
    pub api_token: Uuid,
    pub api_token_sha256: String,
    /// Of the creator.
    pub passkey: Uuid,
    pub passkey_sha256: String,
    /// Of the creator.
    pub browser: Uuid,
    /// The request by which the task was made.
    pub request: Uuid,
    /// An agent that is not who tries.
    pub agent: Uuid,
    pub log: Uuid,
    /// Cat: neither creator nor assignee nor who tries.
    pub other: Uuid,
    pub copy: Uuid,
    pub server: Uuid,
    pub policy: Uuid,
    pub link: String,
}

/// A step without anything special.
pub fn new_step(run_id: Uuid, task_id: Uuid, ordinal: i32) -> NewStep {
    NewStep {
        run_id,
        task_id,
        ordinal,
        name: "s".to_owned(),
        server: "files".to_owned(),
        tool: "move_file".to_owned(),
        state: "planned",
        arguments: "{}".to_owned(),
        arguments_sha256: "a".repeat(64),
        policy_id: None,
        policy_reason: None,
        attempt: 1,
        error: None,
    }
}

/// A run's steps: one that is planned, one that is started, and one that waits; answers the first two.
async fn steps_of(db: &Db, worker: &Actor, run: Uuid, task: Uuid) -> (Uuid, Uuid) {
    let on = &db.store;
    let step = runs::add_step(worker, on, &new_step(run, task, 0)).await.unwrap();
    let started = runs::add_step(worker, on, &new_step(run, task, 1)).await.unwrap();
    assert!(runs::start_step(worker, on, started, 1, "{}", "h").await.unwrap());
    let wait = NewStep { server: String::new(), tool: "wait".to_owned(), ..new_step(run, task, 2) };
    runs::add_step(worker, on, &wait).await.unwrap();
    (step, started)
}

/// A passkey as a device enrols it.
pub fn new_passkey(user_id: Uuid, credential_sha256: &str) -> NewPasskey {
    NewPasskey {
        user_id,
        name: "phone".to_owned(),
        site: "desk.example.org".to_owned(),
        credential_sha256: credential_sha256.to_owned(),
        credential: json!({}),
        sign_count: 0,
        challenge_at: in_seconds(-600),
    }
}

/// A frozen call of a step.
pub fn new_call(approval_id: Uuid, step_id: Uuid) -> ApprovalCall {
    ApprovalCall {
        approval_id,
        step_id,
        server: "files".to_owned(),
        tool: "move_file".to_owned(),
        definition_sha256: "d".repeat(64),
        arguments: "{}".to_owned(),
        arguments_sha256: "a".repeat(64),
    }
}

/// A file of a task.
pub fn new_attachment(task_id: Uuid) -> NewAttachment {
    NewAttachment {
        filename: "a.pdf".to_owned(),
        original_filename: "a.pdf".to_owned(),
        mime_type: None,
        file_size: 1,
        storage_path: format!("{task_id}/a"),
        task_id,
        hash_checksum: "0".repeat(64),
        expires_at: None,
    }
}

/// A line of the log.
pub fn new_line(user_id: Option<Uuid>, task_id: Option<Uuid>) -> NewLogLine {
    NewLogLine {
        id: Uuid::now_v7(),
        timestamp: store::value::time_text(in_seconds(0)),
        level: "info",
        module: "test".to_owned(),
        message: "m".to_owned(),
        user_id,
        task_id,
        request_id: None,
        ip_address: None,
        user_agent: None,
        metadata: json!({}),
    }
}

/// A rule of that name.
pub fn new_policy(name: &str) -> NewPolicy {
    NewPolicy {
        position: 1,
        name: name.to_owned(),
        server: "*".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: false,
        effect: "ask".to_owned(),
        approval_ttl_minutes: 5,
    }
}

/// An API token of a user.
pub fn new_token(user_id: Uuid, token_sha256: &str) -> NewApiToken {
    NewApiToken {
        user_id,
        name: "t".to_owned(),
        token_sha256: token_sha256.to_owned(),
        hint: "wxyz".to_owned(),
        scopes: vec!["read".to_owned()],
        expires_at: in_seconds(600),
    }
}

/// A question to a model.
pub fn new_turn(run_id: Uuid, task_id: Uuid, ordinal: i32) -> NewTurn {
    NewTurn {
        run_id,
        task_id,
        ordinal,
        model: "main".to_owned(),
        request_sha256: "a".repeat(64),
        request_bytes: 10,
        attempt: 1,
    }
}

/// What the model said.
pub fn an_answer() -> TurnEnd {
    TurnEnd {
        served_by: Some("m-1".to_owned()),
        answer: Some("{}".to_owned()),
        input_tokens: 30,
        cached_tokens: 10,
        output_tokens: 12,
        cost_microusd: 7,
        error: None,
    }
}

/// A fact that somebody told.
fn new_memory(user_id: Uuid) -> NewMemory {
    let content = "Invoices go to Taxes.".to_owned();
    NewMemory { content, user_id: Some(user_id), source: "person", outside: false, task_id: None, step_id: None }
}

/// Something to tell a person.
pub fn new_notification(user_id: Uuid) -> NewNotification {
    NewNotification { user_id, title: "t".to_owned(), message: None, r#type: "info", data: json!({}) }
}

/// Every role in every relation; nobody and the service are strangers always.
pub async fn every(db: &Db) -> BTreeMap<(&'static str, &'static str), World> {
    let on = &db.store;
    let server =
        mcp_servers::create(&db.ada, on, "files", "npx", vec![], Some(json!({ "K": "s3cret" }))).await.unwrap();
    server_grants::give(&db.service, on, server, json!({})).await.unwrap();
    assert!(server_grants::hold(&db.service, on, server, seconds(600)).await.unwrap());
    mcp_servers::create(&db.ada, on, "bare", "https://x.example.org", vec![], None).await.unwrap();
    mcp_servers::see_tool(&db.service, on, server, "move_file", None, &json!({}), "h").await.unwrap();
    let policy = policies::create(&db.ada, on, &new_policy("first")).await.unwrap();
    handbook::save(&db.ada, on, 1, "Be kind.").await.unwrap();
    contacts::add(&db.ada, on, "bob@example.org", Some("Bob")).await.unwrap();
    for (name, is_on) in [("draft", false), ("used", true)] {
        playbooks::create(&db.ada, on, name, "steps: []", None).await.unwrap();
        assert!(playbooks::switch(&db.ada, on, name, is_on).await.unwrap());
    }
    let link = "f".repeat(64);
    sessions::create_setup_link(&db.service, on, &link, in_seconds(600)).await.unwrap();
    let secret = Some(json!({ "sealed": "s3cret" }));
    assert!(notification_channels::put(&db.ada, on, "email", json!({ "host": "h" }), secret).await.unwrap());
    login_tries::note(&db.service, on, std::slice::from_ref(&link), in_seconds(-900)).await.unwrap();
    kept_files::create_lost(&db.service, on, ("ab/kept", &"c".repeat(64), 1), "it is lost").await.unwrap();
    master_key::put(&db.service, on, "0123456789abcdef").await.unwrap();
    let mut worlds = BTreeMap::new();
    for role in ROLES {
        for relation in RELATIONS {
            let alone = matches!(*role, "anonymous" | "service");
            if alone && *relation != "stranger" {
                continue;
            }
            let actor = match *role {
                "anonymous" => db.nobody.clone(),
                "service" => db.service.clone(),
                _ => Actor::user(
                    users::create(&db.ada, on, &new_user(&format!("{role}-{relation}"), "user")).await.unwrap(),
                ),
            };
            if role.starts_with("agent") {
                users::make_agent(&db.ada, on, id(&actor), "tested").await.unwrap();
            }
            let world = one(db, &actor, relation, worlds.len(), (server, policy, &link)).await;
            match *role {
                "observer" => assert!(users::set_role(&db.ada, on, id(&actor), "observer").await.unwrap()),
                "admin" | "agent-admin" => assert!(users::set_role(&db.ada, on, id(&actor), "admin").await.unwrap()),
                "suspended" | "inactive" => assert!(users::set_status(&db.ada, on, id(&actor), role).await.unwrap()),
                _ => {}
            }
            worlds.insert((*role, *relation), world);
        }
    }
    worlds
}

/// A browser of somebody's that is told, and the key that tells it who sends.
async fn browser_of(db: &Db, person: Uuid) -> Uuid {
    let on = &db.store;
    push_subscriptions::create_key(&db.service, on, json!({})).await.unwrap();
    let endpoint = format!("d{:063x}", person.as_u128());
    assert!(push_subscriptions::put(&db.service, on, person, "phone", &endpoint, json!({})).await.unwrap());
    push_subscriptions::sealed(&db.service, on, person).await.unwrap()[0].id
}

async fn one(db: &Db, actor: &Actor, relation: &str, number: usize, shared: (Uuid, Uuid, &str)) -> World {
    let on = &db.store;
    let creator = if relation == "creator" { actor } else { &db.bob };
    let worker = if relation == "assignee" { actor } else { &db.employee };
    // Of the creators, bob stands in most worlds: his key is taken once.
    idempotency_keys::begin(&db.service, on, id(creator), "key", &"7".repeat(64)).await.unwrap();
    let word = format!("word{number}");
    let new = |title: &str| NewTask {
        assigned_to: worker.user_id(),
        priority: "high".to_owned(),
        due_date: Some(in_seconds(5 * 86_400)),
        ..NewTask::titled(title)
    };
    let request = Uuid::now_v7();
    let asking = creator.clone().from_request(None, None, Some(&request.to_string()));
    let task = tasks::create(&asking, on, &new(&word)).await.unwrap();
    // Earlier sets left ready tasks to the common employee: out of the way with them.
    let mut lease = Lease { task_id: task, worker: format!("w{number}"), attempt: 1 };
    while let Some(claimed) = task_queue::claim(worker, on, &lease.worker, seconds(600)).await.unwrap() {
        if claimed.task_id == task {
            lease = claimed;
            break;
        }
    }
    tasks::add_provenance(creator, on, task, true, "watcher:inbox", json!({})).await.unwrap();
    let approval = approvals::create(worker, on, &new_approval(task, 600)).await.unwrap();
    let expired = approvals::create(worker, on, &new_approval(task, -1)).await.unwrap();
    let bare_approval = approvals::create(worker, on, &new_approval(task, 600)).await.unwrap();
    let run = runs::create(worker, on, task, "p", "s", "h").await.unwrap();
    let (step, started) = steps_of(db, worker, run, task).await;
    let turn = model_turns::ask(worker, on, &new_turn(run, task, 0)).await.unwrap();
    assert!(model_turns::end(worker, on, turn, &an_answer()).await.unwrap());
    let open_turn = model_turns::ask(worker, on, &new_turn(run, task, 1)).await.unwrap();
    approvals::add_call(worker, on, &new_call(approval, step)).await.unwrap();
    let person = creator.user_id().unwrap();
    approvals::add_edit(&db.ada, on, approval, "{}", "e").await.unwrap();
    approvals::vote(&db.ada, on, approval, None).await.unwrap();
    let attachment = file_attachments::create(creator, on, &new_attachment(task)).await.unwrap();
    let watcher = watchers::create(creator, on, &word, "folder", json!({})).await.unwrap();
    assert!(watchers::add_event(creator, on, watcher, "key", Some(task), "source", "print").await.unwrap());
    watchers::put_cursor(creator, on, watcher, json!({ "at": 1 })).await.unwrap();
    let notification = notifications::create(&db.service, on, &new_notification(person)).await.unwrap();
    let told = notifications::get(&db.service, on, notification).await.unwrap().unwrap();
    let copy = Uuid::now_v7();
    assert!(notifications::put_copy(&db.service, on, copy, "email", &told, None).await.unwrap());
    let token = format!("{number:064x}");
    let session =
        sessions::create(&db.service, on, person, &token, in_seconds(600), None, Some("program")).await.unwrap();
    let api_token_sha256 = format!("f{number:063x}");
    let is_agent = users::names(&db.ada, on, vec![person]).await.unwrap()[0].username.starts_with("agent");
    let maker = if is_agent { &db.ada } else { creator };
    let api_token = api_tokens::create(maker, on, &new_token(person, &api_token_sha256)).await.unwrap();
    // Bob is the creator of many: his stands once.
    if second_factors::begin(&db.service, on, person, json!({})).await.unwrap() {
        assert!(second_factors::confirm(&db.service, on, person, 1).await.unwrap());
        second_factors::set_codes(&db.service, on, person, vec!["5".repeat(64)]).await.unwrap();
    }
    let passkey_sha256 = format!("e{number:063x}");
    let passkey = passkeys::create(&db.service, on, &new_passkey(person, &passkey_sha256)).await.unwrap().unwrap();
    let browser = browser_of(db, person).await;
    let line = new_line(Some(person), Some(task));
    let log = line.id;
    system_logs::append(&db.service, on, &[line]).await.unwrap();
    let second = tasks::create(creator, on, &new("second")).await.unwrap();
    // It waits for the second.
    tasks::create(creator, on, &NewTask { dependencies: vec![second], ..new("third") }).await.unwrap();
    World {
        actor: actor.clone(),
        word,
        task: tasks::get(&db.service, on, task).await.unwrap().unwrap(),
        second,
        lease,
        approval,
        expired,
        bare_approval,
        run,
        step,
        started,
        turn,
        open_turn,
        memory: memories::create(&db.ada, on, &new_memory(person)).await.unwrap(),
        attachment,
        storage_path: format!("{task}/a"),
        watcher,
        notification,
        creator: person,
        session,
        token,
        api_token,
        api_token_sha256,
        passkey,
        passkey_sha256,
        browser,
        request,
        agent: id(&db.employee),
        log,
        other: id(&db.cat),
        copy,
        server: shared.0,
        policy: shared.1,
        link: shared.2.to_owned(),
    }
}
