//! Each verb, tried once on a set of rows within a transaction that is undone.

use serde_json::json;
use store::{
    Result, Transaction, activity, approvals, audit_trail, events, file_attachments, log_keeping, mcp_servers,
    policies::{self, Asking},
    runs, schedules, server_grants, system_logs, task_queue,
    tasks::{self, NewTask},
    users, watchers,
};
use uuid::Uuid;

use crate::{
    access,
    common::{in_seconds, new_approval, new_user, seconds},
    rows::{account, rule, server, watcher},
    telling, thinking, trust,
    world::{World, new_attachment, new_call, new_line, new_policy, new_step},
};

/// A month in which nothing happened.
fn old_month() -> (jiff::Timestamp, jiff::Timestamp) {
    ("1999-01-01T00:00:00Z".parse().unwrap(), "1999-02-01T00:00:00Z".parse().unwrap())
}

pub fn seen(yes: bool) -> String {
    if yes { "seen" } else { "-" }.to_owned()
}
pub fn done(yes: bool) -> String {
    if yes { "done" } else { "nothing" }.to_owned()
}

fn a_started_fire(fire_at: jiff::Timestamp) -> schedules::Fire {
    schedules::Fire {
        name: "cleanup-sessions".to_owned(),
        fire_at,
        state: "started".to_owned(),
        worker: "node".to_owned(),
        attempt: 1,
        started_at: fire_at,
        lease_until: fire_at,
        finished_at: None,
        result: None,
    }
}

fn a_fire(fire_at: jiff::Timestamp) -> schedules::Held {
    schedules::Held { name: "cleanup-sessions".to_owned(), fire_at, worker: "node".to_owned(), attempt: 1 }
}

/// Tries `verb` and says how it went; an error is the caller's to name. (In parts: one future of all of them would not
/// fit the stack of SQLite's writer.)
pub async fn attempt(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    match verb.split('.').next().unwrap_or_default() {
        "users" | "tasks" | "task_queue" => Box::pin(of_people_and_tasks(verb, tx, w)).await,
        "beginnings" | "briefing" | "notifications" | "notification_outbox" | "notification_channels" => {
            Box::pin(telling::attempt(verb, tx, w)).await
        }
        "contacts" => Box::pin(trust::contacts(verb, tx, w)).await,
        "model_turns" | "handbook" | "memories" | "playbooks" => Box::pin(thinking::attempt(verb, tx, w)).await,
        "approvals" | "runs" | "file_attachments" => Box::pin(of_work(verb, tx, w)).await,
        "watchers" | "mcp_servers" | "server_grants" | "policies" => Box::pin(of_surroundings(verb, tx, w)).await,
        "api_tokens" | "login_tries" | "passkeys" | "push_subscriptions" | "second_factors" | "sessions" => {
            Box::pin(access::attempt(verb, tx, w)).await
        }
        "idempotency_keys" => Box::pin(crate::rows::of_keys(verb, tx, w)).await,
        "master_key" | "sealed" => Box::pin(crate::files::of_keys(verb, tx, w)).await,
        "kept_files" => Box::pin(crate::files::of_kept(verb, tx, w)).await,
        _ => Box::pin(of_records(verb, tx, w)).await,
    }
}

async fn of_people_and_tasks(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let me = &w.actor;
    let myself = me.user_id().unwrap_or(Uuid::nil());
    let task = w.task.id;
    let length = seconds(600);
    Ok(match verb {
        "users.create" => users::create(me, tx, &new_user("new", "user")).await.map(|_| done(true))?,
        "users.make_agent" => users::make_agent(me, tx, w.other, "k").await.map(|()| done(true))?,
        "users.agent" => seen(users::agent(me, tx, "employee").await?.is_some()),
        "users.accounts (one's own)" => seen(users::accounts(me, tx, None, 1000).await?.iter().any(|a| a.id == myself)),
        "users.accounts (another's)" => {
            seen(users::accounts(me, tx, None, 1000).await?.iter().any(|a| a.id == w.other))
        }
        "users.account (one's own)" => seen(users::account(me, tx, myself).await?.is_some()),
        "users.account (another's)" => seen(users::account(me, tx, w.other).await?.is_some()),
        "users.named" => seen(users::named(me, tx, "cat").await?.is_some()),
        "users.names" => seen(!users::names(me, tx, vec![w.other]).await?.is_empty()),
        "users.credentials" => seen(users::credentials(me, tx, "cat").await?.is_some()),
        "users.people_with_role" => seen(!users::people_with_role(me, tx, "admin").await?.is_empty()),
        "users.lock_admins" => seen(!users::lock_admins(me, tx).await?.is_empty()),
        "users.update (one's own)" => done(users::update(me, tx, &account(myself)).await?),
        "users.update (another's)" => done(users::update(me, tx, &account(w.other)).await?),
        "users.set_role (one's own)" => done(users::set_role(me, tx, myself, "admin").await?),
        "users.set_role (another's)" => done(users::set_role(me, tx, w.other, "admin").await?),
        "users.set_status (one's own)" => done(users::set_status(me, tx, myself, "active").await?),
        "users.set_status (another's)" => done(users::set_status(me, tx, w.other, "suspended").await?),
        "users.set_password (one's own)" => done(users::set_password(me, tx, myself, "x").await?),
        "users.set_password (another's)" => done(users::set_password(me, tx, w.other, "x").await?),
        "users.set_preferences (one's own)" => done(users::set_preferences(me, tx, myself, json!({ "x": 1 })).await?),
        "users.contacts" => seen(users::contacts(me, tx).await?.iter().any(|c| c.id == w.other)),
        "users.contact" => seen(users::contact(me, tx, w.other).await?.is_some()),
        "users.touch_login" => users::touch_login(me, tx, w.other).await.map(|()| done(true))?,
        "users.allowed (task_create)" => seen(users::allowed(me, tx, "task_create").await?),
        "users.allowed (approval_decide_own)" => seen(users::allowed(me, tx, "approval_decide_own").await?),
        "users.allowed (user_admin)" => seen(users::allowed(me, tx, "user_admin").await?),

        "tasks.create" => tasks::create(me, tx, &NewTask::titled("x")).await.map(|_| done(true))?,
        "tasks.get" => seen(tasks::get(me, tx, task).await?.is_some()),
        "tasks.lock" => seen(tasks::lock(me, tx, task).await?.is_some()),
        "tasks.list" => seen(tasks::list(me, tx, None, None, 1000).await?.iter().any(|t| t.id == task)),
        "tasks.filtered" => {
            let wanted = tasks::Listing { priority: Some(w.task.priority.clone()), ..tasks::Listing::default() };
            seen(tasks::filtered(me, tx, &wanted, None, 1000).await?.iter().any(|t| t.id == task))
        }
        "tasks.update" => {
            let row = tasks::Task { title: "changed".to_owned(), ..w.task.clone() };
            done(tasks::update(me, tx, &row).await?)
        }
        "tasks.set_status (completed)" => {
            let row = tasks::Task { status: "completed".to_owned(), ..w.task.clone() };
            done(tasks::set_status(me, tx, &row).await?)
        }
        "tasks.assign" => tasks::assign(me, tx, task, Some(w.other)).await.map(|()| done(true))?,
        "tasks.delete" => done(tasks::delete(me, tx, task).await?),
        "tasks.search" => seen(tasks::search(me, tx, &w.word, 50).await?.iter().any(|t| t.id == task)),
        "tasks.find" => {
            let filter = tasks::TaskFilter::default();
            seen(tasks::find(me, tx, &w.word, &filter, 50).await?.iter().any(|t| t.task.id == task))
        }
        "tasks.summaries" => seen(tasks::summaries(me, tx, 1000).await?.iter().any(|t| t.id == task)),
        "tasks.open_among" => seen(!tasks::open_among(me, tx, vec![task]).await?.is_empty()),
        "tasks.among" => seen(!tasks::among(me, tx, vec![task]).await?.is_empty()),
        "tasks.after" => seen(!tasks::after(me, tx, vec![w.second], 50).await?.is_empty()),
        "tasks.due" => {
            let (from, before) = (in_seconds(0), in_seconds(20 * 86_400));
            seen(tasks::due(me, tx, from, before, 1000).await?.iter().any(|t| t.id == task))
        }
        "tasks.of_source" => {
            seen(tasks::of_source(me, tx, "watcher:inbox", in_seconds(-3600)).await?.iter().any(|t| t.id == task))
        }
        "tasks.add_provenance" => {
            tasks::add_provenance(me, tx, w.second, false, "desk", json!({})).await.map(|()| done(true))?
        }
        "tasks.add_provenance (again)" => {
            tasks::add_provenance(me, tx, task, false, "desk", json!({})).await.map(|()| done(true))?
        }
        "tasks.provenance" => seen(tasks::provenance(me, tx, task).await?.is_some()),

        "task_queue.claim" => done(task_queue::claim(me, tx, "other", length).await?.is_some()),
        "task_queue.hold" => done(task_queue::hold(me, tx, &w.lease, length).await?),
        "task_queue.wait" => done(task_queue::wait(me, tx, &w.lease).await?),
        "task_queue.release" => done(task_queue::release(me, tx, &w.lease, length).await?),
        "task_queue.reclaim" => done(!task_queue::reclaim(me, tx, Some(&w.lease.worker)).await?.is_empty()),
        "task_queue.get" => seen(task_queue::get(me, tx, task).await?.is_some()),
        other => panic!("{other} is in VERBS and not tried"),
    })
}

async fn of_work(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let me = &w.actor;
    let task = w.task.id;
    Ok(match verb {
        "approvals.create" => approvals::create(me, tx, &new_approval(task, 60)).await.map(|_| done(true))?,
        "approvals.get" => seen(approvals::get(me, tx, w.approval).await?.is_some()),
        "approvals.lock" => seen(approvals::lock(me, tx, w.approval).await?.is_some()),
        "approvals.list" => {
            seen(approvals::list(me, tx, None, Some(task), None, 10).await?.iter().any(|a| a.id == w.approval))
        }
        "approvals.waiting" => seen(approvals::waiting(me, tx, 10).await? > 0),
        "approvals.open_of" => seen(approvals::open_of(me, tx, "tool_call", 10).await? > 0),
        "approvals.approve" => done(approvals::approve(me, tx, w.approval, None).await?),
        "approvals.approve (expired)" => done(approvals::approve(me, tx, w.expired, None).await?),
        "approvals.reject" => done(approvals::reject(me, tx, w.approval, None).await?),
        "approvals.expire" => done(!approvals::expire(me, tx).await?.is_empty()),
        "approvals.extend" => done(approvals::extend(me, tx, w.approval, in_seconds(86_400)).await?),
        "approvals.extend (expired)" => done(approvals::extend(me, tx, w.expired, in_seconds(86_400)).await?),
        "approvals.add_call" => {
            approvals::add_call(me, tx, &new_call(w.bare_approval, w.step)).await.map(|()| done(true))?
        }
        "approvals.call" => seen(approvals::call(me, tx, w.approval).await?.is_some()),
        "approvals.add_edit" => approvals::add_edit(me, tx, w.bare_approval, "{}", "e").await.map(|()| done(true))?,
        "approvals.vote" => approvals::vote(me, tx, w.bare_approval, None).await.map(|()| done(true))?,
        "approvals.votes" => seen(!approvals::votes(me, tx, w.approval).await?.is_empty()),
        "approvals.edit" => seen(approvals::edit(me, tx, w.approval).await?.is_some()),

        "runs.calls_made" => seen(!runs::calls_made(me, tx, 60).await?.is_empty()),
        "runs.past" => seen(runs::past(me, tx, in_seconds(-3600), 1000).await?.iter().any(|s| s.id == w.step)),
        "runs.create" => runs::create(me, tx, task, "p", "s", "h").await.map(|_| done(true))?,
        "runs.list" => seen(!runs::list(me, tx, task).await?.is_empty()),
        "runs.finish" => done(runs::finish(me, tx, w.run, "completed", None).await?),
        "runs.add_step" => runs::add_step(me, tx, &new_step(w.run, task, 9)).await.map(|_| done(true))?,
        "runs.step" => seen(runs::step(me, tx, w.step).await?.is_some()),
        "runs.steps" => seen(!runs::steps(me, tx, w.run).await?.is_empty()),
        "runs.shown_steps" => seen(!runs::shown_steps(me, tx, w.run, 9).await?.is_empty()),
        "runs.present_step" => seen(runs::present_step(me, tx, task).await?.is_some()),
        "runs.start_step" => done(runs::start_step(me, tx, w.step, 1, "{}", "h").await?),
        "runs.unsend_step" => done(runs::unsend_step(me, tx, w.started, 1).await?),
        "runs.ask_step" => {
            runs::ask_step(me, tx, w.step, "awaiting_approval", w.approval, None).await?;
            let asked =
                runs::step(&store::Actor::service(), tx, w.step).await?.is_some_and(|s| s.approval_id.is_some());
            done(asked)
        }
        "runs.end_step" => done(runs::end_step(me, tx, w.started, "succeeded", None, None).await?),

        "file_attachments.create" => {
            file_attachments::create(me, tx, &new_attachment(task)).await.map(|_| done(true))?
        }
        "file_attachments.list" => seen(!file_attachments::list(me, tx, task).await?.is_empty()),
        "file_attachments.newest" => {
            seen(file_attachments::newest(me, tx, None, 200).await?.iter().any(|a| a.id == w.attachment))
        }
        "file_attachments.delete" => done(file_attachments::delete(me, tx, w.attachment).await?),
        "file_attachments.get" => seen(file_attachments::get(me, tx, w.attachment).await?.is_some()),
        "file_attachments.after" => {
            seen(file_attachments::after(me, tx, Uuid::nil(), 50).await?.iter().any(|a| a.id == w.attachment))
        }
        "file_attachments.expire" => file_attachments::expire(me, tx, 5).await.map(|_| done(true))?,
        "file_attachments.named" => seen(!file_attachments::named(me, tx, &w.storage_path).await?.is_empty()),
        "file_attachments.unkept" => seen(!file_attachments::unkept(me, tx, 1000).await?.is_empty()),
        "file_attachments.move_to" => done(file_attachments::move_to(me, tx, &w.storage_path, "ab/new").await? > 0),
        "file_attachments.is_stored" => seen(file_attachments::is_stored(me, tx, &w.storage_path).await?),

        other => panic!("{other} is in VERBS and not tried"),
    })
}

async fn of_surroundings(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let me = &w.actor;
    Ok(match verb {
        "watchers.create" => watchers::create(me, tx, "n", "folder", json!({})).await.map(|_| done(true))?,
        "watchers.list" => seen(watchers::list(me, tx).await?.iter().any(|x| x.id == w.watcher)),
        "watchers.get" => seen(watchers::get(me, tx, w.watcher).await?.is_some()),
        "watchers.update" => done(watchers::update(me, tx, &watcher(w.watcher)).await?),
        "watchers.set_active" => done(watchers::set_active(me, tx, w.watcher, false).await?),
        "watchers.set_config" => done(watchers::set_config(me, tx, w.watcher, json!({ "x": 1 })).await?),
        "watchers.report" => done(watchers::report(me, tx, w.watcher, Some("e")).await?),
        "watchers.delete" => done(watchers::delete(me, tx, w.watcher).await?),
        "watchers.add_event" => done(watchers::add_event(me, tx, w.watcher, "new", None, "s", "f").await?),
        "watchers.known" => seen(watchers::known(me, tx, w.watcher, "source", "print").await?),
        "watchers.known_keys" => {
            seen(!watchers::known_keys(me, tx, w.watcher, vec!["key".to_owned()]).await?.is_empty())
        }
        "watchers.put_cursor" => watchers::put_cursor(me, tx, w.watcher, json!(2)).await.map(|()| done(true))?,
        "watchers.cursor" => seen(watchers::cursor(me, tx, w.watcher).await?.is_some()),

        "mcp_servers.create" => mcp_servers::create(me, tx, "new", "c", vec![], None).await.map(|_| done(true))?,
        "server_grants.give" => {
            let new = mcp_servers::named(me, tx, "bare").await?.map_or(w.server, |bare| bare.id);
            server_grants::give(me, tx, new, json!({})).await.map(|()| done(true))?
        }
        "server_grants.put" => done(server_grants::put(me, tx, w.server, json!({}), in_seconds(0)).await?),
        "server_grants.hold" => done(server_grants::hold(me, tx, w.server, jiff::SignedDuration::from_secs(1)).await?),
        "server_grants.get" => seen(server_grants::get(me, tx, w.server).await?.is_some()),
        "server_grants.remove" => done(server_grants::remove(me, tx, w.server).await?),
        "mcp_servers.list" => seen(!mcp_servers::list(me, tx).await?.is_empty()),
        "mcp_servers.named" => seen(mcp_servers::named(me, tx, "files").await?.is_some()),
        "mcp_servers.launches" => seen(mcp_servers::launches(me, tx).await?.iter().any(|l| l.environment.is_some())),
        "mcp_servers.update" => done(mcp_servers::update(me, tx, &server(w.server), None).await?),
        "mcp_servers.set_active" => done(mcp_servers::set_active(me, tx, w.server, false).await?),
        "mcp_servers.set_status" => {
            mcp_servers::set_status(me, tx, w.server, "active", None, None).await.map(|()| done(true))?
        }
        "mcp_servers.delete" => done(mcp_servers::delete(me, tx, w.server).await?),
        "mcp_servers.tools" => seen(!mcp_servers::tools(me, tx, w.server).await?.is_empty()),
        "mcp_servers.tool" => seen(mcp_servers::tool(me, tx, "files", "move_file").await?.is_some()),
        "mcp_servers.see_tool" => {
            mcp_servers::see_tool(me, tx, w.server, "t", None, &json!({}), "h").await.map(|()| done(true))?
        }
        "mcp_servers.withdraw_tool" => {
            mcp_servers::withdraw_tool(me, tx, w.server, "move_file").await.map(|()| done(true))?
        }
        "mcp_servers.approve_tool" => done(mcp_servers::approve_tool(me, tx, w.server, "move_file", "h", false).await?),

        "policies.create" => policies::create(me, tx, &new_policy("new")).await.map(|_| done(true))?,
        "policies.list" => seen(!policies::list(me, tx).await?.is_empty()),
        "policies.lock" => seen(!policies::lock(me, tx).await?.is_empty()),
        "policies.set_risk" => done(policies::set_risk(me, tx, w.policy, "high").await?),
        "policies.update" => done(policies::update(me, tx, &rule(w.policy)).await?),
        "policies.set_asking" => {
            done(policies::set_asking(me, tx, w.policy, &Asking { approvers: 2, ..Asking::default() }).await?)
        }
        "policies.delete" => done(policies::delete(me, tx, w.policy).await?),
        other => panic!("{other} is in VERBS and not tried"),
    })
}

async fn of_records(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let me = &w.actor;
    if let Some(verb) = verb.strip_prefix("events.") {
        return Ok(match verb {
            "latest" => seen(events::latest(me, tx).await? > 0),
            "after" => seen(!events::after(me, tx, 0).await?.is_empty()),
            _ => seen(!events::visible(me, tx, &[("task", w.task.id)]).await?.is_empty()),
        });
    }
    let task = w.task.id;
    let length = seconds(600);
    let soon = in_seconds(600);
    Ok(match verb {
        "system_logs.append (in nobody's name)" => {
            done(system_logs::append(me, tx, &[new_line(None, None)]).await? > 0)
        }
        "system_logs.append (in another's name)" => {
            done(system_logs::append(me, tx, &[new_line(Some(w.other), None)]).await? > 0)
        }
        "system_logs.list" => {
            seen(system_logs::list(me, tx, None, None, Some(task), 10).await?.iter().any(|l| l.id == w.log))
        }

        "system_logs.find" => {
            let filter = system_logs::Filter { task_id: Some(task), ..system_logs::Filter::default() };
            seen(system_logs::find(me, tx, &filter, 10).await?.iter().any(|l| l.id == w.log))
        }
        "system_logs.search" => {
            let filter = system_logs::Filter { task_id: Some(task), ..system_logs::Filter::default() };
            seen(system_logs::search(me, tx, "m", &filter, 10).await?.iter().any(|l| l.line.id == w.log))
        }
        "log_keeping.partitions" => log_keeping::partitions(me, tx).await.map(|_| done(true))?,
        "log_keeping.drain" => done(log_keeping::drain(me, tx).await?),
        "log_keeping.detach" => done(log_keeping::detach(me, tx, "1999_01").await?),
        "log_keeping.read" => seen(!log_keeping::read(me, tx, "1999_01", old_month(), None).await?.is_empty()),
        "log_keeping.remove" => done(log_keeping::remove(me, tx, vec![w.log], old_month()).await? > 0),
        "log_keeping.discard" => done(log_keeping::discard(me, tx, "1999_01", 0).await? > 0),

        "activity.levels" => seen(!activity::levels(me, tx).await?.is_empty()),
        "activity.flow" => seen(!activity::flow(me, tx, in_seconds(-86_400)).await?.is_empty()),
        "audit_trail.filtered (the task's)" => {
            let filter = audit_trail::Filter {
                entity_type: Some("task"),
                from: Some(jiff::Timestamp::UNIX_EPOCH),
                ..audit_trail::Filter::default()
            };
            seen(
                audit_trail::filtered(me, tx, &filter, None, 1000).await?.iter().any(|row| row.entity_id == Some(task)),
            )
        }
        "audit_trail.list (the task's)" => {
            seen(!audit_trail::list(me, tx, Some("task"), Some(task), 10).await?.is_empty())
        }
        "audit_trail.list (the creator's session)" => {
            seen(!audit_trail::list(me, tx, Some("session"), Some(w.session), 10).await?.is_empty())
        }
        "audit_trail.page (the task's)" => {
            let (rows, request) = (audit_trail::page(me, tx, Some("task"), Some(task), None, 10).await?, w.request);
            seen(rows.iter().any(|row| row.request_id.as_deref() == Some(request.to_string().as_str())))
        }
        "audit_trail.positions" => seen(audit_trail::positions(me, tx, None, None).await?.is_some()),
        "audit_trail.links" => seen(!audit_trail::links(me, tx, 0, 1).await?.is_empty()),

        "schedules.list" => seen(!schedules::list(me, tx).await?.is_empty()),
        "schedules.fires" => seen(schedules::fires(me, tx, "cleanup-sessions", 5).await.is_ok_and(|f| f.is_empty())),
        "schedules.clock" => seen(schedules::clock(me, tx).await.is_ok()),
        "schedules.follow_pg_cron" => schedules::follow_pg_cron(me, tx).await.map(|_| done(true))?,
        "schedules.set" => {
            done(schedules::set(me, tx, "cleanup-sessions", &schedules::Change::default(), Some(soon)).await?)
        }
        "schedules.request" => done(schedules::request(me, tx, "cleanup-sessions").await?),
        "schedules.plan" => schedules::plan(me, tx, "cleanup-sessions", soon).await.map(|()| done(true))?,
        "schedules.fire" => done(schedules::fire(me, tx, "cleanup-sessions", soon, "node", length).await?.is_some()),
        "schedules.advance" => schedules::advance(me, tx, &a_fire(soon), None, false).await.map(|()| done(true))?,
        "schedules.renew" => done(schedules::renew(me, tx, &a_fire(soon), length, None).await?),
        "schedules.abandoned" => seen(schedules::abandoned(me, tx).await.is_ok()),
        "schedules.retake" => done(schedules::retake(me, tx, &a_started_fire(soon), "other", length).await?.is_some()),
        "schedules.give_back" => done(schedules::give_back(me, tx, &a_fire(soon)).await?),
        "schedules.finish" => done(schedules::finish(me, tx, &a_fire(soon), true, "well", 1).await?),
        "schedules.cancel" => done(schedules::cancel(me, tx, &a_started_fire(soon), "cancelled").await?),
        "schedules.conclude" => done(schedules::conclude(me, tx, &a_fire(soon), "nothing of it is left").await?),
        "schedules.unreadable" => done(schedules::unreadable(me, tx, "cleanup-sessions", "why").await?),
        "schedules.refresh_statistics" => schedules::refresh_statistics(me, tx).await.map(|_| done(true))?,
        "schedules.ensure_log_partitions" => schedules::ensure_log_partitions(me, tx).await.map(|_| done(true))?,
        other => panic!("{other} is in VERBS and not tried"),
    })
}
