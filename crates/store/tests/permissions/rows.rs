//! Rows as a change would write them, to try who may; and the verbs of the keys that requests carry.

use serde_json::json;
use store::{
    Result, Transaction, idempotency_keys, mcp_servers::Server, policies::Policy, users::Account, watchers::Watcher,
};
use uuid::Uuid;

use crate::world::World;

pub fn account(id: Uuid) -> Account {
    Account {
        id,
        username: "renamed".to_owned(),
        email: "renamed@example.org".to_owned(),
        role: "user".to_owned(),
        status: "active".to_owned(),
        first_name: None,
        last_name: None,
        created_at: store::now(),
        updated_at: store::now(),
        last_login: None,
        preferences: json!({}),
        is_agent: false,
    }
}

pub fn watcher(id: Uuid) -> Watcher {
    Watcher {
        id,
        name: "renamed".to_owned(),
        watcher_type: "folder".to_owned(),
        config: Some(json!({})),
        is_active: true,
        last_run: None,
        last_error: None,
        error_count: 0,
        created_at: store::now(),
        updated_at: store::now(),
        created_by: None,
    }
}

pub fn server(id: Uuid) -> Server {
    Server {
        id,
        name: "files".to_owned(),
        server_type: "stdio".to_owned(),
        command: "other".to_owned(),
        args: vec!["a".to_owned()],
        status: "inactive".to_owned(),
        last_heartbeat: None,
        capabilities: Vec::new(),
        created_at: store::now(),
        updated_at: store::now(),
        is_active: true,
    }
}

pub fn rule(id: Uuid) -> Policy {
    Policy {
        id,
        position: 3,
        name: "renamed".to_owned(),
        server: "*".to_owned(),
        tool: "*".to_owned(),
        condition: None,
        outside: false,
        effect: "deny".to_owned(),
        approval_ttl_minutes: 60,
        risk: "normal".to_owned(),
        is_active: false,
        created_by: None,
        created_at: store::now(),
        updated_at: store::now(),
        approvers: 1,
        never_repeat: false,
        remind_minutes: None,
        escalate_minutes: None,
        escalate_to: None,
    }
}

/// The verbs of the keys. In the world stands the key `key` of the creator's, with a request under way.
pub async fn of_keys(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let (me, hash) = (&w.actor, "7".repeat(64));
    let done = |done: bool| if done { "done" } else { "nothing" }.to_owned();
    Ok(match verb {
        "idempotency_keys.begin" => done(idempotency_keys::begin(me, tx, w.creator, "new", &hash).await?),
        "idempotency_keys.get" => {
            let seen = idempotency_keys::get(me, tx, w.creator, "key").await?.is_some();
            if seen { "seen" } else { "-" }.to_owned()
        }
        "idempotency_keys.finish" => done(idempotency_keys::finish(me, tx, w.creator, "key", 200, json!({})).await?),
        "idempotency_keys.forget" => done(idempotency_keys::forget(me, tx, w.creator, "key").await?),
        "idempotency_keys.clean" => done(idempotency_keys::clean(me, tx, store::now(), 10).await? > 0),
        other => panic!("{other} is in VERBS and not tried"),
    })
}
