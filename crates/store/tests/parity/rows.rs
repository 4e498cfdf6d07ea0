//! Every row that the store can show, with ids and times made comparable.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value as Json, json};
use store::{
    Store, approvals, audit_trail, file_attachments, mcp_servers, notifications, policies, runs, schedules, sessions,
    system_logs, task_queue, tasks, users, watchers,
};
use uuid::Uuid;

use crate::{
    common::People,
    draw::{Ids, OFFSETS, TOKENS, at},
};

/// What ids and times are called.
pub struct Names {
    ids: BTreeMap<Uuid, String>,
    times: BTreeMap<jiff::Timestamp, String>,
}

impl Names {
    pub fn new(ids: &Ids, start: jiff::Timestamp) -> Self {
        let names = ids
            .each()
            .into_iter()
            .flat_map(|(kind, ids)| ids.iter().enumerate().map(move |(n, id)| (*id, format!("{kind} {n}"))));
        Self { ids: names.collect(), times: OFFSETS.iter().map(|o| (at(start, *o), format!("at {o}"))).collect() }
    }

    /// The document with ids and times replaced by what they are called.
    pub fn normal(&self, json: Json) -> Json {
        match json {
            Json::String(text) => Json::String(self.text(text)),
            Json::Array(list) => list.into_iter().map(|j| self.normal(j)).collect(),
            Json::Object(map) => map.into_iter().map(|(k, v)| (k, self.normal(v))).collect(),
            other => other,
        }
    }

    fn text(&self, text: String) -> String {
        if let Ok(id) = text.parse::<Uuid>() {
            // A small number is one that the sequence made up; any other is a row's that was undone.
            return self
                .ids
                .get(&id)
                .cloned()
                .unwrap_or_else(|| if id.as_u128() < 1 << 64 { text } else { "undone".to_owned() });
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => self.times.get(&time).cloned().unwrap_or_else(|| "now".to_owned()),
            Err(_) => text,
        }
    }
}

fn json_of(rows: impl Serialize) -> Json {
    serde_json::to_value(rows).unwrap()
}

/// Everything, by what it is.
pub async fn all(on: &Store, people: &People, ids: &Ids, start: jiff::Timestamp) -> Vec<(&'static str, Json)> {
    let (service, names) = (&people.service, Names::new(ids, start));
    // As the service, which sees every row, and as each actor.
    let mut found = vec![
        ("tasks", json_of(tasks::list(service, on, None, None, 1000).await.unwrap())),
        ("summaries", json_of(tasks::summaries(service, on, 1000).await.unwrap())),
        ("approvals", json_of(approvals::list(service, on, None, None, None, 1000).await.unwrap())),
        ("servers", json_of(mcp_servers::list(service, on).await.unwrap())),
        ("launches", json_of(mcp_servers::launches(service, on).await.unwrap())),
        ("policies", json_of(policies::list(service, on).await.unwrap())),
        ("watchers", json_of(watchers::list(service, on).await.unwrap())),
        ("notifications", json_of(notifications::list(service, on, None, 1000).await.unwrap())),
        ("log lines", json_of(system_logs::list(service, on, None, None, None, 1000).await.unwrap())),
        ("schedules", json_of(schedules::list(service, on).await.unwrap())),
    ];
    let mut of_tasks = Vec::new();
    for task in &ids.tasks {
        of_tasks.push(json!([
            tasks::provenance(service, on, *task).await.unwrap(),
            task_queue::get(service, on, *task).await.unwrap(),
            runs::list(service, on, *task).await.unwrap(),
            file_attachments::list(service, on, *task).await.unwrap(),
        ]));
    }
    found.push(("what hangs on tasks", json_of(of_tasks)));
    let mut steps = Vec::new();
    for run in &ids.runs {
        steps.push(runs::steps(service, on, *run).await.unwrap());
    }
    found.push(("steps", json_of(steps)));
    let mut calls = Vec::new();
    for approval in &ids.approvals {
        let call = approvals::call(service, on, *approval).await.unwrap();
        calls.push(json!([
            call.map(|c| json!([c.call, c.edit])),
            approvals::edit(service, on, *approval).await.unwrap()
        ]));
    }
    found.push(("calls", json_of(calls)));
    let mut tools = Vec::new();
    for server in &ids.servers {
        tools.push(mcp_servers::tools(service, on, *server).await.unwrap());
    }
    found.push(("tools", json_of(tools)));
    let mut cursors = Vec::new();
    for watcher in &ids.watchers {
        cursors.push(watchers::cursor(service, on, *watcher).await.unwrap());
    }
    found.push(("cursors", json_of(cursors)));
    let mut found_sessions = Vec::new();
    for token in TOKENS {
        found_sessions.push(sessions::by_token(service, on, &token.repeat(64)).await.unwrap());
    }
    found.push(("sessions", json_of(found_sessions)));
    let mut views = Vec::new();
    for actor in crate::draw::ACTORS {
        let me = crate::draw::actor(people, actor);
        if me == people.service {
            continue;
        }
        let titles: Vec<String> =
            tasks::list(&me, on, None, None, 1000).await.unwrap().into_iter().map(|t| t.title).collect();
        let seen: BTreeSet<Uuid> = audit_trail::list(&me, on, None, None, 1000)
            .await
            .unwrap()
            .into_iter()
            .filter_map(|a| a.entity_id)
            .collect();
        let mut seen: Vec<Json> = seen.into_iter().map(|id| names.normal(json!(id))).collect();
        seen.sort_by_key(Json::to_string);
        views.push(json!([
            users::accounts(&me, on, None, 1000).await.unwrap(),
            titles,
            approvals::list(&me, on, None, None, None, 1000).await.unwrap().len(),
            watchers::list(&me, on).await.unwrap().len(),
            system_logs::list(&me, on, None, None, None, 1000).await.unwrap().len(),
            seen,
        ]));
    }
    found.push(("what each actor sees", json_of(views)));
    found = found.into_iter().map(|(what, rows)| (what, names.normal(rows))).collect();
    found.push(("audit rows", audit(on, people, &names).await));
    found
}

/// The trail by transactions, oldest first; within one, sorted. And the chain holds.
async fn audit(on: &Store, people: &People, names: &Names) -> Json {
    let report = audit_trail::verify(&people.service, on).await.unwrap();
    assert_eq!(report.broken, None);
    let rows = audit_trail::list(&people.service, on, None, None, 1000).await.unwrap();
    assert!(rows.len() < 1000, "the sequences outgrow one page of the trail");
    let mut transactions: BTreeMap<jiff::Timestamp, Vec<Json>> = BTreeMap::new();
    for row in rows {
        let normal = names.normal(json!([
            row.user_id,
            row.action,
            row.entity_type,
            row.entity_id,
            row.old_values,
            row.new_values,
            row.ip_address,
            row.user_agent
        ]));
        transactions.entry(row.created_at).or_default().push(normal);
    }
    for rows in transactions.values_mut() {
        rows.sort_by_key(Json::to_string);
    }
    json!([report.links, transactions.into_values().collect::<Vec<_>>()])
}
