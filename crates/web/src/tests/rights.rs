//! Every operation of the API, tried by every role on a row of bob's: what each is answered stands in a golden file.
//! `UPDATE_GOLDEN=1` writes it anew, and its difference is what a review looks at.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use axum::{
    body::Body,
    http::{Method, header},
};
use serde_json::{Value, json};
use store::{
    Actor, mcp_servers,
    notifications::{self, NewNotification},
    playbooks,
    policies::{self, NewPolicy},
    tasks::{self, NewTask},
    watchers,
};
use uuid::Uuid;

use super::house::{Browser, House};
use crate::api::openapi::DOCUMENT;

/// Operations that are not tried. The list may only become shorter.
const UNTRIED: &[&str] = &[];

/// Operation, address and body. `{task}` and the like stand for a row of bob's that is made for the try.
const TRIES: &[(&str, &str, &str)] = &[
    ("get_openapi_json", "/v1/openapi.json", ""),
    ("post_auth_login", "/v1/auth/login", r#"{"login": "bob", "password": "wrong wrong wrong"}"#),
    ("post_auth_logout", "/v1/auth/logout", "{}"),
    ("get_auth_session", "/v1/auth/session", ""),
    ("get_auth_sessions", "/v1/auth/sessions", ""),
    ("delete_auth_sessions", "/v1/auth/sessions", "{}"),
    ("delete_auth_sessions_id", "/v1/auth/sessions/{none}", "{}"),
    ("post_auth_reauthenticate", "/v1/auth/reauthenticate", r#"{"password": "wrong wrong wrong"}"#),
    (
        "post_auth_password",
        "/v1/auth/password",
        r#"{"current_password": "wrong wrong wrong", "new_password": "correct horse battery"}"#,
    ),
    ("get_auth_passkeys", "/v1/auth/passkeys", ""),
    ("post_auth_passkeys_begin", "/v1/auth/passkeys/begin", "{}"),
    ("post_auth_passkeys", "/v1/auth/passkeys", r#"{"name": "x", "state": "{}", "credential": {}}"#),
    ("delete_auth_passkeys_id", "/v1/auth/passkeys/{none}", "{}"),
    ("post_auth_login_passkey_begin", "/v1/auth/login/passkey/begin", "{}"),
    ("post_auth_login_passkey", "/v1/auth/login/passkey", r#"{"state": "{}", "credential": {}}"#),
    ("post_auth_reauthenticate_passkey_begin", "/v1/auth/reauthenticate/passkey/begin", "{}"),
    ("post_auth_reauthenticate_passkey", "/v1/auth/reauthenticate/passkey", r#"{"state": "{}", "credential": {}}"#),
    ("get_auth_second_factor", "/v1/auth/second-factor", ""),
    ("post_auth_second_factor", "/v1/auth/second-factor", "{}"),
    ("delete_auth_second_factor", "/v1/auth/second-factor", "{}"),
    ("post_auth_second_factor_confirm", "/v1/auth/second-factor/confirm", r#"{"code": "000000"}"#),
    ("post_auth_second_factor_recovery_codes", "/v1/auth/second-factor/recovery-codes", "{}"),
    // A stream that is let in goes on for ever: what is tried is who is let that far.
    ("get_events", "/v1/events?after=x", ""),
    ("get_push_key", "/v1/push/key", ""),
    ("get_push_subscriptions", "/v1/push/subscriptions", ""),
    (
        "post_push_subscriptions",
        "/v1/push/subscriptions",
        r#"{"name": "phone", "subscription": {"endpoint": "https://push.example.org/{name}"}}"#,
    ),
    ("delete_push_subscriptions_id", "/v1/push/subscriptions/{none}", "{}"),
    ("get_tokens", "/v1/tokens", ""),
    ("post_tokens", "/v1/tokens", r#"{"name": "x", "scopes": ["read"]}"#),
    ("get_tokens_id", "/v1/tokens/{none}", ""),
    ("delete_tokens_id", "/v1/tokens/{none}", "{}"),
    ("get_tasks", "/v1/tasks", ""),
    ("post_tasks", "/v1/tasks", r#"{"title": "x"}"#),
    ("get_tasks_search", "/v1/tasks/search?q=tried", ""),
    ("get_tasks_id", "/v1/tasks/{task}", ""),
    ("patch_tasks_id", "/v1/tasks/{task}", r#"{"priority": "high"}"#),
    ("delete_tasks_id", "/v1/tasks/{task}", "{}"),
    ("post_tasks_id_assign", "/v1/tasks/{task}/assign", r#"{"username": "employee"}"#),
    ("post_tasks_id_start", "/v1/tasks/{task}/start", "{}"),
    ("post_tasks_id_complete", "/v1/tasks/{task}/complete", "{}"),
    ("post_tasks_id_cancel", "/v1/tasks/{task}/cancel", "{}"),
    ("post_tasks_id_reopen", "/v1/tasks/{done}/reopen", "{}"),
    ("get_tasks_id_dependencies", "/v1/tasks/{task}/dependencies", ""),
    ("post_tasks_id_dependencies", "/v1/tasks/{task}/dependencies", "{}"),
    ("post_tasks_id_promote", "/v1/tasks/{task}/promote", "{}"),
    ("get_tasks_id_standing", "/v1/tasks/{task}/standing", ""),
    ("get_tasks_id_runs", "/v1/tasks/{task}/runs", ""),
    ("get_tasks_id_attachments", "/v1/tasks/{task}/attachments", ""),
    ("post_tasks_id_attachments", "/v1/tasks/{task}/attachments?filename=a", "{}"),
    ("get_attachments", "/v1/attachments", ""),
    ("delete_attachments_id", "/v1/attachments/{none}", "{}"),
    ("get_attachments_id", "/v1/attachments/{none}", ""),
    ("get_attachments_id_content", "/v1/attachments/{none}/content", ""),
    ("get_approvals", "/v1/approvals", ""),
    ("post_approvals", "/v1/approvals", r#"{"summary": "x", "task_id": "{task}"}"#),
    ("get_approvals_id", "/v1/approvals/{approval}", ""),
    ("post_approvals_id_decision", "/v1/approvals/{approval}/decision", r#"{"decision": "reject"}"#),
    ("post_approvals_id_extend", "/v1/approvals/{approval}/extend", r#"{"expires_at": "{tomorrow}"}"#),
    ("get_approvals_id_deciders", "/v1/approvals/{approval}/deciders", ""),
    ("post_approvals_id_ask", "/v1/approvals/{approval}/ask", r#"{"to": "{ada}"}"#),
    ("get_watchers", "/v1/watchers", ""),
    ("post_watchers", "/v1/watchers", r#"{"name": "{name}", "watcher_type": "folder", "config": {"path": "/x"}}"#),
    ("get_watchers_id", "/v1/watchers/{watcher}", ""),
    ("patch_watchers_id", "/v1/watchers/{watcher}", r#"{"is_active": false}"#),
    ("delete_watchers_id", "/v1/watchers/{watcher}", "{}"),
    ("post_watchers_id_pause", "/v1/watchers/{watcher}/pause", "{}"),
    ("post_watchers_id_resume", "/v1/watchers/{watcher}/resume", "{}"),
    ("post_watchers_id_test", "/v1/watchers/{watcher}/test", "{}"),
    ("get_servers", "/v1/servers", ""),
    ("post_servers", "/v1/servers", r#"{"name": "{name}", "command": "true"}"#),
    ("get_servers_id", "/v1/servers/{server}", ""),
    ("patch_servers_id", "/v1/servers/{server}", r#"{"is_active": false}"#),
    ("delete_servers_id", "/v1/servers/{server}", "{}"),
    ("get_servers_id_tools", "/v1/servers/{server}/tools", ""),
    ("post_servers_id_approve_tools", "/v1/servers/{server}/approve-tools", r#"{"tools": ["t"]}"#),
    ("get_policies", "/v1/policies", ""),
    ("post_policies", "/v1/policies", r#"{"name": "{name}", "effect": "deny", "server": "nowhere"}"#),
    ("post_policies_test", "/v1/policies/test", r#"{"server": "s", "tool": "t"}"#),
    ("post_policies_replay", "/v1/policies/replay", r#"{"without": ["*"]}"#),
    ("get_policies_id", "/v1/policies/{policy}", ""),
    ("patch_policies_id", "/v1/policies/{policy}", r#"{"is_active": false}"#),
    ("delete_policies_id", "/v1/policies/{policy}", "{}"),
    ("get_playbooks", "/v1/playbooks", ""),
    ("post_playbooks", "/v1/playbooks", r#"{"source": "name: {name}\nsteps: [{name: a, server: s, tool: t}]"}"#),
    ("get_playbooks_name", "/v1/playbooks/{playbook}", ""),
    ("delete_playbooks_name", "/v1/playbooks/{playbook}", "{}"),
    ("post_playbooks_name_on", "/v1/playbooks/{playbook}/on", "{}"),
    ("post_playbooks_name_off", "/v1/playbooks/{playbook}/off", "{}"),
    (
        "post_playbooks_replay",
        "/v1/playbooks/replay",
        r#"{"source": "name: x\nsteps: [{name: a, server: s, tool: t}]"}"#,
    ),
    ("post_playbooks_check", "/v1/playbooks/check", r#"{"source": "x"}"#),
    ("get_handbook", "/v1/handbook", ""),
    ("post_handbook", "/v1/handbook", r#"{"read": 7, "content": "x"}"#),
    ("get_memories", "/v1/memories", ""),
    ("post_memories", "/v1/memories", r#"{"content": "{name}"}"#),
    ("get_memories_id", "/v1/memories/{memory}", ""),
    ("patch_memories_id", "/v1/memories/{memory}", r#"{"content": "other"}"#),
    ("delete_memories_id", "/v1/memories/{memory}", "{}"),
    ("get_models", "/v1/models", ""),
    ("get_notifications_wishes", "/v1/notifications/wishes", ""),
    ("patch_notifications_wishes", "/v1/notifications/wishes", r#"{"time_zone": "UTC"}"#),
    ("post_notifications_test", "/v1/notifications/test", r#"{"channel": "email"}"#),
    ("get_notifications", "/v1/notifications", ""),
    ("post_notifications_read", "/v1/notifications/read", "{}"),
    ("get_notifications_id", "/v1/notifications/{notification}", ""),
    ("patch_notifications_id", "/v1/notifications/{notification}", r#"{"status": "read"}"#),
    ("post_notifications_id_read", "/v1/notifications/{notification}/read", "{}"),
    ("post_notifications_id_archive", "/v1/notifications/{notification}/archive", "{}"),
    ("get_users", "/v1/users", ""),
    (
        "post_users",
        "/v1/users",
        r#"{"username": "{name}", "email": "{name}@example.org", "password": "correct horse battery"}"#,
    ),
    ("get_users_names", "/v1/users/names?username=employee", ""),
    ("get_users_id", "/v1/users/{bob}", ""),
    ("patch_users_id", "/v1/users/{bob}", r#"{"first_name": "Bob"}"#),
    ("post_users_id_password", "/v1/users/{bob}/password", r#"{"new_password": "correct horse battery"}"#),
    ("delete_users_id_second_factor", "/v1/users/{bob}/second-factor", "{}"),
    ("get_schedules", "/v1/schedules", ""),
    ("get_schedules_name", "/v1/schedules/statistics", ""),
    ("patch_schedules_name", "/v1/schedules/statistics", r#"{"is_active": true}"#),
    ("get_schedules_name_fires", "/v1/schedules/statistics/fires", ""),
    ("post_schedules_name_run", "/v1/schedules/statistics/run", "{}"),
    ("post_schedules_name_cancel", "/v1/schedules/statistics/cancel", "{}"),
    ("get_logs", "/v1/logs", ""),
    ("post_logs", "/v1/logs", r#"{"lines": [{"level": "info", "message": "x"}]}"#),
    ("get_audit", "/v1/audit", ""),
    ("get_audit_verify", "/v1/audit/verify", ""),
    ("get_audit_entity_type_entity_id", "/v1/audit/task/{task}", ""),
    ("get_status", "/v1/status", ""),
    ("get_briefing", "/v1/briefing", ""),
    ("get_ids", "/v1/ids?kind=task&begins=00000000", ""),
];

struct World {
    house: House,
    ada: Uuid,
    bob: Uuid,
    made: std::cell::Cell<u32>,
}

impl World {
    fn name(&self) -> String {
        self.made.set(self.made.get() + 1);
        format!("tried-{}", self.made.get())
    }

    /// The text with rows in place of the words in braces.
    async fn fill(&self, text: &str) -> String {
        let (on, bob, ada) = (&self.house.store, Actor::user(self.bob), Actor::user(self.ada));
        let mut text = text.replace("{bob}", &self.bob.to_string()).replace("{none}", &Uuid::nil().to_string());
        let tomorrow = store::now() + jiff::SignedDuration::from_hours(24);
        text = text.replace("{ada}", &self.ada.to_string()).replace("{tomorrow}", &tomorrow.to_string());
        if text.contains("{name}") {
            text = text.replace("{name}", &self.name());
        }
        if text.contains("{playbook}") {
            let name = self.name();
            playbooks::create(&ada, on, &name, "name: kept", None).await.unwrap();
            assert!(playbooks::switch(&ada, on, &name, true).await.unwrap());
            text = text.replace("{playbook}", &name);
        }
        if text.contains("{memory}") {
            let fact = domain::memory::add(on, &bob, &self.name(), false).await.unwrap();
            text = text.replace("{memory}", &fact.id.to_string());
        }
        for word in ["task", "done", "approval", "watcher", "server", "policy", "notification"] {
            let place = format!("{{{word}}}");
            if !text.contains(&place) {
                continue;
            }
            let id = match word {
                "task" => tasks::create(&bob, on, &NewTask::titled("tried")).await.unwrap(),
                "done" => {
                    let id = tasks::create(&bob, on, &NewTask::titled("tried")).await.unwrap();
                    domain::tasks::set_status(on, &bob, id, "completed", None).await.unwrap();
                    id
                }
                "approval" => self.house.asked(self.bob, self.ada).await.1,
                "watcher" => watchers::create(&bob, on, &self.name(), "folder", json!({})).await.unwrap(),
                "server" => {
                    let id = mcp_servers::create(&ada, on, &self.name(), "true", vec![], None).await.unwrap();
                    mcp_servers::see_tool(&Actor::service(), on, id, "t", None, &json!({}), "h").await.unwrap();
                    id
                }
                "policy" => {
                    let rule = NewPolicy {
                        position: 1000,
                        name: self.name(),
                        server: "nowhere".to_owned(),
                        tool: "*".to_owned(),
                        condition: None,
                        outside: false,
                        effect: "deny".to_owned(),
                        approval_ttl_minutes: 60,
                    };
                    policies::create(&ada, on, &rule).await.unwrap()
                }
                _ => {
                    let new = NewNotification {
                        user_id: self.bob,
                        title: "t".to_owned(),
                        message: None,
                        r#type: "info",
                        data: json!({}),
                    };
                    notifications::create(&Actor::service(), on, &new).await.unwrap()
                }
            };
            text = text.replace(&place, &id.to_string());
        }
        text
    }
}

#[tokio::test]
async fn every_operation_answers_every_role_as_the_golden_file_says() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let (cat, obs) = (house.add_user(ada, "cat", "user").await, house.add_user(ada, "obs", "observer").await);
    let employee = store::users::agent(&Actor::service(), &house.store, domain::accounts::EMPLOYEE).await.unwrap();
    let world = World { house, ada, bob, made: std::cell::Cell::new(0) };
    let roles = [
        ("nobody", None),
        ("owner", Some(bob)),
        ("stranger", Some(cat)),
        ("observer", Some(obs)),
        ("agent", employee),
        ("admin", Some(ada)),
    ];
    let mut text = format!("{:<38}", "");
    for (role, _) in roles {
        let _ = write!(text, " {role:<8}");
    }
    text.push('\n');
    for (operation, address, body) in TRIES {
        let method = Method::from_bytes(operation.split('_').next().unwrap().to_uppercase().as_bytes()).unwrap();
        let _ = write!(text, "{operation:<38}");
        for (_, user) in roles {
            // A session for each try: one of them ends it.
            let browser = match user {
                Some(user) => world.house.browser(user).await,
                None => world.house.stranger(),
            };
            let status = attempt(&world, &browser, &method, address, body).await;
            let _ = write!(text, " {status:<8}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/rights.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let differing: Vec<String> = text
        .lines()
        .filter(|line| !golden.lines().any(|known| known == *line))
        .map(|line| format!("found {line}"))
        .collect();
    assert!(golden == text, "not as tests/rights.txt says:\n{}", differing.join("\n"));
}

async fn attempt(world: &World, browser: &Browser<'_>, method: &Method, address: &str, body: &str) -> u16 {
    let (address, body) = (world.fill(address).await, world.fill(body).await);
    let request = browser.request(method.clone(), &address).header(header::CONTENT_TYPE, "application/json");
    let answer = world.house.send(request.body(Body::from(body)).unwrap()).await;
    assert!(answer.status.as_u16() < 500, "{method} {address}: {}", answer.text);
    answer.status.as_u16()
}

/// An operation that is not tried is a hole in the golden file.
#[test]
fn every_operation_is_tried() {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let there: BTreeSet<&str> = paths
        .values()
        .flat_map(|methods| methods.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    let tried: BTreeSet<&str> = TRIES.iter().map(|(operation, ..)| *operation).chain(UNTRIED.iter().copied()).collect();
    assert_eq!(tried, there);
}

/// What a list takes is what is described.
#[tokio::test]
async fn the_filters_are_those_that_are_described() {
    let (house, ada) = House::with_ada().await;
    let bob = house.add_user(ada, "bob", "user").await;
    let world = World { house, ada, bob, made: std::cell::Cell::new(0) };
    let client = world.house.browser(ada).await;
    for (operation, address, _) in TRIES.iter().filter(|(o, ..)| o.starts_with("get_")) {
        let described: BTreeSet<String> = DOCUMENT["paths"]
            .as_object()
            .unwrap()
            .values()
            .find(|methods| methods["get"]["operationId"] == *operation)
            .unwrap()["get"]["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|p| p["in"] == "query")
            .map(|p| p["name"].as_str().unwrap().to_owned())
            .collect();
        let address = world.fill(address.split('?').next().unwrap()).await;
        let refused = client.get(&format!("{address}?no_such_filter=1")).await;
        if described.is_empty() && refused.status.is_success() {
            continue;
        }
        let said: Value = refused.json();
        let message = said["errors"][0]["message"].as_str().unwrap_or_default();
        let (_, known) = message.split_once("there are: ").unwrap_or_else(|| panic!("{operation}: {message}"));
        let known: BTreeSet<String> = known.split(", ").filter(|n| !n.is_empty()).map(str::to_owned).collect();
        assert_eq!(known, described, "{operation}");
    }
}
