//! The operations that sequences are made of: verbs of the store with arguments drawn from a few, so that they meet.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use store::{
    Result, Run, approvals,
    approvals::{ApprovalCall, NewApproval},
    audit_trail,
    file_attachments::{self, NewAttachment},
    mcp_servers,
    notifications::{self, NewNotification},
    policies::{self, NewPolicy},
    runs::{self, NewStep},
    schedules, sessions, system_logs,
    system_logs::NewLogLine,
    task_queue::{self, Lease},
    tasks::{self, NewTask},
    users::{self, NewUser},
    watchers,
};
use uuid::Uuid;

use crate::common::People;
use crate::draw::{Ids, Made, OFFSETS, Op, TOKENS, actor, at};

/// One of them, or now and then one that never was.
fn one(ids: &[Uuid], n: u8) -> Uuid {
    match ids.len() {
        0 => Uuid::from_u128(n.into()),
        _ if n == 255 => Uuid::from_u128(7),
        len => ids[usize::from(n) % len],
    }
}
fn pick<T: Copy>(list: &[T], n: u8) -> T {
    list[usize::from(n) % list.len()]
}
fn hash(n: u8) -> String {
    pick(&["1", "2"], n).repeat(64)
}

/// Does it, and says what was answered and made.
#[allow(clippy::too_many_lines, reason = "a table: one arm an operation")]
pub async fn apply(on: impl Run, people: &People, ids: &Ids, op: &Op, start: Timestamp) -> Result<(Json, Made)> {
    let me = &actor(people, op.actor);
    let Op { a, b, c, .. } = *op;
    let (task, user, when) = (one(&ids.tasks, a), one(&ids.users, b), at(start, pick(&OFFSETS, b)));
    let (approval, run, step) = (one(&ids.approvals, a), one(&ids.runs, a), one(&ids.steps, a));
    let (watcher, server) = (one(&ids.watchers, a), one(&ids.servers, a));
    let length = SignedDuration::from_secs(pick(&OFFSETS, b));
    let word = pick(&["invoice", "Invoices", "plants", "ü \"x\"", ""], c);
    let lease = Lease { task_id: task, worker: pick(&["n1/a", "n2/a"], b).to_owned(), attempt: i32::from(c % 3) };
    let plain = |answer: Json| Ok((answer, None));
    let made = |kind: &'static str, id: Uuid| Ok((json!("made"), Some((kind, id))));
    match op.kind {
        "user create" => {
            let name = pick(&["Bob", "dora", "DORA", "eve", ""], a);
            let mail = pick(&["dora@x", "eve@x", "EVE@x"], b);
            let new = NewUser {
                username: name.to_owned(),
                email: mail.to_owned(),
                password_hash: "h".to_owned(),
                role: pick(&["user", "admin", "king"], c).to_owned(),
                first_name: None,
                last_name: Some("Ü".to_owned()),
            };
            made("users", users::create(me, on, &new).await?)
        }
        "user role" => plain(json!(users::set_role(me, on, user, pick(&["user", "observer", "admin", "x"], a)).await?)),
        "user status" => {
            plain(json!(users::set_status(me, on, user, pick(&["active", "suspended", "inactive", "x"], a)).await?))
        }
        "user password" => plain(json!(users::set_password(me, on, user, pick(&["h", "i"], a)).await?)),
        "user login" => plain(json!(users::touch_login(me, on, user).await?)),
        "user agent" => plain(json!(users::make_agent(me, on, user, "other").await?)),
        "user names" => plain(json!([
            users::names(me, on, ids.users.clone()).await?,
            users::named(me, on, "BOB").await?,
            users::people_with_role(me, on, "user").await?
        ])),
        "user allowed" => plain(json!(
            users::allowed(me, on, pick(&["task_create", "approval_decide", "user_admin", "log_view_all"], a)).await?
        )),
        "user credentials" => plain(json!(users::credentials(me, on, "cat").await?.map(|c| c.password_hash))),
        "task create" => {
            let new = NewTask {
                description: (c % 2 == 0).then(|| format!("about {word}")),
                priority: pick(&["low", "medium", "high", "critical", "medium", "urgent"], c).to_owned(),
                assigned_to: (b != 0).then_some(user),
                due_date: (a % 3 == 0).then_some(when),
                estimated_duration: (a % 4 == 1).then_some(i32::from(c) * 8 - 8),
                metadata: json!({ "n": c, word: [1.5, null] }),
                tags: vec![word.to_owned()],
                ..NewTask::titled(format!("{word} {a}"))
            };
            made("tasks", tasks::create(me, on, &new).await?)
        }
        "task depends" => {
            let Some(mut row) = tasks::get(me, on, task).await? else { return plain(json!("unseen")) };
            row.dependencies = [one(&ids.tasks, b), one(&ids.tasks, c)][..usize::from(a) % 3].to_vec();
            plain(json!(tasks::update(me, on, &row).await?))
        }
        "task update" => {
            let Some(mut row) = tasks::get(me, on, task).await? else { return plain(json!("unseen")) };
            row.title = format!("{word}{}", "x".repeat(usize::from(b % 200)));
            row.due_date = (c % 2 == 0).then_some(when);
            row.actual_duration = (c % 3 == 0).then_some(i32::from(c) - 10);
            pick(&["low", "critical", "high"], c).clone_into(&mut row.priority);
            row.metadata = json!({ "b": b, "a": word });
            plain(json!(tasks::update(me, on, &row).await?))
        }
        "task status" => {
            let Some(mut row) = tasks::get(me, on, task).await? else { return plain(json!("unseen")) };
            pick(&["completed", "in_progress", "failed", "completed", "pending", "cancelled", "done"], b)
                .clone_into(&mut row.status);
            plain(json!(tasks::set_status(me, on, &row).await?))
        }
        "task assign" => plain(json!(tasks::assign(me, on, task, (b != 0).then_some(user)).await?)),
        "task delete" => plain(json!(tasks::delete(me, on, task).await?)),
        "task get" => plain(json!([
            tasks::get(me, on, task).await?,
            tasks::provenance(me, on, task).await?,
            task_queue::get(me, on, task).await?
        ])),
        "task lock" => plain(json!(tasks::lock(me, on, task).await?)),
        "task search" => {
            // The two rank by other measures: the same set, not the same order.
            let mut found: Vec<String> = tasks::search(
                me,
                on,
                pick(&["invoice", "plant -invoice", "\"about plants\"", "the", "or (", ""], a),
                500,
            )
            .await?
            .into_iter()
            .map(|t| t.title)
            .collect();
            found.sort();
            plain(json!(found))
        }
        "task provenance" => {
            plain(json!(tasks::add_provenance(me, on, task, b % 2 == 0, "desk", json!({ "c": c })).await?))
        }
        "queue claim" => plain(json!(
            task_queue::claim(me, on, pick(&["n1/a", "n2/a", "N1/a"], a), length)
                .await?
                .map(|l| json!([l.task_id, l.worker, l.attempt]))
        )),
        "queue hold" => plain(json!(task_queue::hold(me, on, &lease, length).await?)),
        "queue wait" => plain(json!(task_queue::wait(me, on, &lease).await?)),
        "queue release" => plain(json!(task_queue::release(me, on, &lease, length).await?)),
        "queue reclaim" => {
            let freed = task_queue::reclaim(me, on, pick(&[None, Some("n1/"), Some("n_/")], a)).await?;
            plain(in_order_of(&ids.tasks, freed))
        }
        "approval create" => {
            let new = NewApproval {
                task_id: task,
                action_type: "tool_call".to_owned(),
                details: json!({ "c": c, "word": word }),
                expires_at: when,
            };
            made("approvals", approvals::create(me, on, &new).await?)
        }
        "approval approve" => plain(json!(approvals::approve(me, on, approval, (b % 2 == 0).then_some(word)).await?)),
        "approval reject" => plain(json!(approvals::reject(me, on, approval, (b % 2 == 0).then_some(word)).await?)),
        "approval expire" => {
            let expired = approvals::expire(me, on).await?;
            plain(in_order_of(&ids.approvals, expired))
        }
        "approval lock" => {
            plain(json!([approvals::lock(me, on, approval).await?, approvals::get(me, on, approval).await?]))
        }
        "approval call" => {
            let call = ApprovalCall {
                approval_id: approval,
                step_id: one(&ids.steps, b),
                server: "files".to_owned(),
                tool: "t".to_owned(),
                definition_sha256: hash(c),
                arguments: format!("{{\"w\": \"{c}\"}}"),
                arguments_sha256: hash(c),
            };
            plain(json!(approvals::add_call(me, on, &call).await?))
        }
        "approval edit" => plain(json!(approvals::add_edit(me, on, approval, word, &hash(b)).await?)),
        "run create" => made("runs", runs::create(me, on, task, "p", word, &hash(b)).await?),
        "run finish" => plain(json!(
            runs::finish(me, on, run, pick(&["completed", "failed", "running", "x"], b), (c % 2 == 0).then_some(word))
                .await?
        )),
        "step add" => {
            let new = NewStep {
                run_id: run,
                task_id: one(&ids.tasks, b),
                ordinal: i32::from(c % 8) - 1,
                name: word.to_owned(),
                server: "files".to_owned(),
                tool: "t".to_owned(),
                state: pick(&["x", "planned", "denied", "allowed"], c),
                arguments: "{}".to_owned(),
                arguments_sha256: hash(c),
                policy_id: (c % 3 == 0).then(|| one(&ids.policies, c)).filter(|_| !ids.policies.is_empty()),
                policy_reason: Some(word.to_owned()),
                attempt: i32::from(b % 3),
                error: None,
            };
            made("steps", runs::add_step(me, on, &new).await?)
        }
        "step start" => plain(json!(runs::start_step(me, on, step, i32::from(b % 3), word, &hash(c)).await?)),
        "step unsend" => plain(json!(runs::unsend_step(me, on, step, i32::from(b % 3)).await?)),
        "step ask" => {
            plain(json!(runs::ask_step(me, on, step, "awaiting_approval", one(&ids.approvals, b), None).await?))
        }
        "step end" => plain(json!(
            runs::end_step(me, on, step, pick(&["succeeded", "failed", "outcome_unknown", "x"], b), Some(word), None)
                .await?
        )),
        "file add" => {
            let new = NewAttachment {
                filename: word.to_owned(),
                original_filename: "ä".repeat(usize::from(b.min(254)) + 1),
                mime_type: None,
                file_size: i64::from(c) - 3,
                storage_path: format!("p/{c}"),
                task_id: task,
                hash_checksum: if c == 9 { "no".to_owned() } else { hash(c) },
                expires_at: None,
            };
            let file = if c < 3 { NewAttachment { file_size: i64::from(c), ..new } } else { new };
            made("attachments", file_attachments::create(me, on, &file).await?)
        }
        "file stored" => plain(json!([
            file_attachments::is_stored(me, on, &format!("p/{c}")).await?,
            file_attachments::get(me, on, one(&ids.attachments, a)).await?
        ])),
        "notify" => {
            let user = one(&ids.users, a);
            let new = NewNotification {
                user_id: user,
                title: word.to_owned(),
                message: None,
                r#type: pick(&["info", "alert", "approval", "gossip"], c),
                data: json!({ "b": b }),
            };
            made("notifications", notifications::create(me, on, &new).await?)
        }
        "notification status" => plain(json!(
            notifications::set_status(
                me,
                on,
                one(&ids.notifications, a),
                pick(&["read", "unread", "archived", "x"], b)
            )
            .await?
        )),
        "watcher create" => made(
            "watchers",
            watchers::create(me, on, pick(&["inbox", "Alpha", "ü"], a), "folder", json!({ "w": word })).await?,
        ),
        "watcher active" => plain(json!(watchers::set_active(me, on, watcher, b % 2 == 0).await?)),
        "watcher report" => plain(json!(watchers::report(me, on, watcher, (b % 3 != 0).then_some(word)).await?)),
        "watcher delete" => plain(json!(watchers::delete(me, on, watcher).await?)),
        "watcher event" => plain(json!([
            watchers::add_event(
                me,
                on,
                watcher,
                pick(&["k1", "k2"], b),
                (c % 2 == 0).then(|| one(&ids.tasks, c)),
                word,
                "f"
            )
            .await?,
            watchers::known(me, on, watcher, word, "f").await?
        ])),
        "watcher cursor" => plain(json!([
            watchers::put_cursor(me, on, watcher, json!({ "c": c })).await?,
            watchers::cursor(me, on, watcher).await?
        ])),
        "server create" => {
            let environment = (b % 2 == 0).then(|| json!({ "K": word }));
            made(
                "servers",
                mcp_servers::create(
                    me,
                    on,
                    pick(&["files", "Mail", "web"], a),
                    "npx",
                    vec![word.to_owned()],
                    environment,
                )
                .await?,
            )
        }
        "server active" => plain(json!(mcp_servers::set_active(me, on, server, b % 2 == 0).await?)),
        "server status" => plain(json!(
            mcp_servers::set_status(
                me,
                on,
                server,
                pick(&["active", "error", "x"], b),
                (c % 2 == 0).then(|| vec![word.to_owned()]),
                (c % 3 == 0).then_some(when)
            )
            .await?
        )),
        "server delete" => plain(json!(mcp_servers::delete(me, on, server).await?)),
        "tool see" => plain(json!(
            mcp_servers::see_tool(
                me,
                on,
                server,
                pick(&["t", "T"], b),
                Some(word),
                &json!({ "b": 1, "a": word }),
                &hash(c)
            )
            .await?
        )),
        "tool approve" => {
            plain(json!(mcp_servers::approve_tool(me, on, server, pick(&["t", "T"], b), &hash(c), c % 2 == 0).await?))
        }
        "tool withdraw" => plain(json!([
            mcp_servers::withdraw_tool(me, on, server, pick(&["t", "T"], b)).await?,
            mcp_servers::tool(me, on, "files", "t").await?
        ])),
        "policy create" => {
            let new = NewPolicy {
                position: i32::from(b % 4) + i32::from(b == 0),
                name: pick(&["p", "q", "r"], a).to_owned(),
                server: "*".to_owned(),
                tool: word.to_owned(),
                condition: None,
                outside: b % 2 == 0,
                effect: pick(&["ask", "allow", "deny", "x"], c).to_owned(),
                approval_ttl_minutes: i32::from(c) + 1,
            };
            made("policies", policies::create(me, on, &new).await?)
        }
        "policy delete" => plain(json!(policies::delete(me, on, one(&ids.policies, a)).await?)),
        "session create" => {
            let when = at(start, pick(&OFFSETS, c));
            let token = pick(&TOKENS, b).repeat(64);
            made(
                "sessions",
                sessions::create(me, on, one(&ids.users, a), &token, when, "192.0.2.1".parse().ok(), Some(word))
                    .await?,
            )
        }
        "session other" => match c % 4 {
            0 => plain(json!(sessions::revoke(me, on, one(&ids.sessions, a)).await?)),
            1 => plain(json!(sessions::cleanup(me, on).await?)),
            2 => plain(json!(sessions::touch(me, on, one(&ids.sessions, a), when).await?)),
            _ => plain(json!([
                sessions::take_setup_link(me, on, &hash(a)).await?,
                sessions::create_setup_link(me, on, &hash(a), when).await?
            ])),
        },
        "log" => {
            let line = NewLogLine {
                id: Uuid::now_v7(),
                timestamp: store::value::time_text(when + SignedDuration::from_micros(i64::from(a))),
                level: pick(&["info", "error", "loud"], c),
                module: word.to_owned(),
                message: format!("{word}\0"),
                user_id: (a % 2 == 0).then_some(user),
                task_id: (b % 2 == 0).then_some(task),
                request_id: None,
                ip_address: None,
                user_agent: None,
                metadata: json!({ "c": c }),
            };
            plain(json!([
                system_logs::append(me, on, &[line]).await?,
                schedules::plan(me, on, "cleanup-sessions", when).await.is_ok(),
                schedules::fire(me, on, "cleanup-sessions", when, word, SignedDuration::from_secs(60))
                    .await
                    .is_ok_and(|f| f.is_some()),
                audit_trail::list(me, on, Some("task"), None, 5).await.is_ok()
            ]))
        }
        other => panic!("{other} is in KINDS and not done"),
    }
}

/// Ids in the order in which the rows were made: a RETURNING has none.
fn in_order_of(all: &[Uuid], mut found: Vec<Uuid>) -> Json {
    found.sort_by_key(|id| all.iter().position(|a| a == id));
    json!(found)
}
