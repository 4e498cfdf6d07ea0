//! What work is done with: watchers, servers, rules, schedules and playbooks.

use domain::{
    playbook::draft::Draft,
    playbooks,
    policy::{Effect, Verdict},
    promote,
    rerun::{self, Replayed, Span},
    rules, schedules as schedule_rules, servers,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    mcp_servers::{self, Server, ServerTool},
    playbooks::{self as kept_playbooks, KeptPlaybook},
    policies::{self, Asking, NewPolicy, Policy},
    schedules::{self, Change, Schedule},
    watchers::{self, Watcher},
};
use uuid::Uuid;
use workers::library::Entry;

use super::Place;
use crate::{
    Error, Result,
    cli::{
        blocking,
        health::{self, Answers},
        ids, not_allowed, not_found,
    },
};

/// Rows of a list that is shown whole.
const ALL: i64 = 10_000;

/// What a Steward elsewhere says of a call.
#[derive(Debug, Deserialize)]
struct Judged {
    effect: Effect,
    rule_id: Option<Uuid>,
    rule: Option<String>,
    reason: String,
    approval_ttl_minutes: i32,
}

/// A call to be judged.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) server: String,
    pub(crate) tool: String,
    pub(crate) arguments: Value,
    pub(crate) task: Option<Uuid>,
    pub(crate) outside: bool,
}

/// How the house stands.
#[derive(Debug, Serialize)]
pub(crate) struct House {
    /// Whether the desk answers.
    pub(crate) desk_answers: bool,
    /// Whether something else answers in its place.
    pub(crate) another_answers: bool,
    engine: String,
    pub(crate) engine_version: String,
    pub(crate) database: String,
}

/// What a Steward elsewhere says of itself.
#[derive(Debug, Deserialize)]
struct Standing {
    database: String,
    database_version: String,
}

impl Place {
    /// How the house stands.
    pub(crate) async fn house(&self) -> Result<House> {
        match self {
            Self::Here(ctx) => {
                let answers = health::desk(&ctx.config).await;
                Ok(House {
                    desk_answers: answers == Answers::This,
                    another_answers: answers == Answers::Another,
                    engine: ctx.store.engine_name().to_owned(),
                    engine_version: ctx.store.engine_version().await?,
                    database: ctx.config.database.describe(),
                })
            }
            Self::There(there) => {
                let standing: Standing = there.get("/v1/status", &[]).await?;
                Ok(House {
                    desk_answers: true,
                    another_answers: false,
                    engine: standing.database.clone(),
                    engine_version: standing.database_version,
                    database: standing.database,
                })
            }
        }
    }

    /// Watchers, without what is sealed.
    pub(crate) async fn watchers(&self) -> Result<Vec<Watcher>> {
        match self {
            Self::Here(ctx) => {
                let found = watchers::list(&ctx.actor, &ctx.store).await?;
                Ok(found.into_iter().map(domain::watchers::shown).collect())
            }
            Self::There(there) => there.list("/v1/watchers", &[], ALL).await,
        }
    }

    /// Lets a watcher rest, or go on.
    pub(crate) async fn set_watcher_active(&self, id: Uuid, is_active: bool) -> Result<()> {
        match self {
            Self::Here(ctx) if watchers::set_active(&ctx.actor, &ctx.store, id, is_active).await? => Ok(()),
            Self::Here(_) => Err(not_allowed("watchers")),
            Self::There(there) => {
                let verb = if is_active { "resume" } else { "pause" };
                there.tell("POST", &format!("/v1/watchers/{id}/{verb}"), &json!({})).await
            }
        }
    }

    /// Removes a watcher with what it has seen.
    pub(crate) async fn remove_watcher(&self, id: Uuid) -> Result<()> {
        match self {
            Self::Here(ctx) if watchers::delete(&ctx.actor, &ctx.store, id).await? => Ok(()),
            Self::Here(_) => Err(not_allowed("watchers")),
            Self::There(there) => there.tell("DELETE", &format!("/v1/watchers/{id}"), &json!({})).await,
        }
    }

    /// Servers by name.
    pub(crate) async fn servers(&self) -> Result<Vec<Server>> {
        match self {
            Self::Here(ctx) => Ok(mcp_servers::list(&ctx.actor, &ctx.store).await?),
            Self::There(there) => there.list("/v1/servers", &[], ALL).await,
        }
    }

    /// A server by name.
    pub(crate) async fn server(&self, name: &str) -> Result<Server> {
        let all = self.servers().await?;
        let found = ids::named("server", name, &all, |server| (server.id, server.name.as_str()))?;
        found.first().copied().cloned().ok_or_else(|| domain::Error::NotFound(format!("server {name}")).into())
    }

    /// What a server offers, as far as is known.
    pub(crate) async fn tools(&self, server: &Server) -> Result<Vec<ServerTool>> {
        match self {
            Self::Here(ctx) => Ok(mcp_servers::tools(&ctx.actor, &ctx.store, server.id).await?),
            Self::There(there) => there.whole(&format!("/v1/servers/{}/tools", server.id), &[]).await,
        }
    }

    /// Approves tools of a server as it offers them now, and answers their names.
    pub(crate) async fn approve_tools(
        &self,
        server: &str,
        tools: &[String],
        all: bool,
        repeatable: bool,
    ) -> Result<Vec<String>> {
        match self {
            Self::Here(ctx) => {
                let approved = servers::approve_tools(&ctx.store, &ctx.actor, server, tools, all, repeatable).await?;
                Ok(approved.into_iter().map(|tool| tool.name).collect())
            }
            Self::There(there) => {
                let found = self.server(server).await?;
                let offered: Vec<String> = self
                    .tools(&found)
                    .await?
                    .into_iter()
                    .filter(|t| t.is_offered && (all || tools.contains(&t.name)))
                    .map(|t| t.name)
                    .collect();
                // What was seen is approved, and nothing that appears meanwhile.
                let chosen = if all { &offered } else { tools };
                if chosen.is_empty() {
                    return Err(Error::refused(format!(
                        "{server} has offered no tools yet; see: steward server tools {server}"
                    )));
                }
                let body = json!({ "tools": chosen, "repeatable": repeatable });
                there.tell("POST", &format!("/v1/servers/{}/approve-tools", found.id), &body).await?;
                Ok(offered)
            }
        }
    }

    /// Stops a server, or starts it again.
    pub(crate) async fn set_server_active(&self, id: Uuid, is_active: bool) -> Result<()> {
        match self {
            Self::Here(ctx) if mcp_servers::set_active(&ctx.actor, &ctx.store, id, is_active).await? => Ok(()),
            Self::Here(_) => Err(not_allowed("mcp_servers")),
            Self::There(there) => {
                there.tell("PATCH", &format!("/v1/servers/{id}"), &json!({ "is_active": is_active })).await
            }
        }
    }

    /// Removes a server, and answers the names of the rules that went with it.
    pub(crate) async fn remove_server(&self, name: &str) -> Result<Vec<String>> {
        match self {
            Self::Here(ctx) => Ok(servers::remove(&ctx.store, &ctx.actor, name).await?),
            Self::There(there) => {
                let found = self.server(name).await?;
                let before = self.policies().await?;
                there.tell("DELETE", &format!("/v1/servers/{}", found.id), &json!({})).await?;
                let after = self.policies().await?;
                let gone = |rule: &Policy| !after.iter().any(|other| other.id == rule.id);
                Ok(before.into_iter().filter(gone).map(|rule| rule.name).collect())
            }
        }
    }

    /// The rules in order.
    pub(crate) async fn policies(&self) -> Result<Vec<Policy>> {
        match self {
            Self::Here(ctx) => Ok(policies::list(&ctx.actor, &ctx.store).await?),
            Self::There(there) => there.list("/v1/policies", &[], ALL).await,
        }
    }

    /// Adds a rule, and answers it.
    pub(crate) async fn add_policy(
        &self,
        new: NewPolicy,
        position: Option<i32>,
        (risk, asking): (String, Asking),
    ) -> Result<Policy> {
        match self {
            Self::Here(ctx) => {
                let id = rules::add_with_risk(&ctx.store, &ctx.actor, new, position, (risk, asking)).await?;
                Ok(rules::find(&ctx.store, &ctx.actor, id).await?)
            }
            Self::There(there) => {
                let body = json!({
                    "position": position, "name": new.name, "server": new.server, "tool": new.tool,
                    "condition": new.condition, "outside": new.outside, "effect": new.effect,
                    "approval_ttl_minutes": new.approval_ttl_minutes, "risk": risk,
                    "approvers": asking.approvers, "never_repeat": asking.never_repeat,
                    "remind_minutes": asking.remind_minutes, "escalate_minutes": asking.escalate_minutes,
                    "escalate_to": asking.escalate_to,
                });
                there.send_json("POST", "/v1/policies", &body).await
            }
        }
    }

    /// Which rule decides a call; nothing is called.
    pub(crate) async fn test_policy(&self, trial: &Trial) -> Result<Verdict> {
        let Trial { server, tool, arguments, task, outside } = trial;
        match self {
            Self::Here(ctx) => {
                Ok(rules::test(&ctx.store, &ctx.actor, (server, tool), arguments, *task, *outside).await?)
            }
            Self::There(there) => {
                let body = json!({
                    "server": server, "tool": tool, "arguments": arguments, "task_id": task, "outside": outside,
                });
                let judged: Judged = there.send_json("POST", "/v1/policies/test", &body).await?;
                Ok(Verdict {
                    effect: judged.effect,
                    rule: judged.rule_id.zip(judged.rule),
                    reason: judged.reason,
                    approval_ttl_minutes: judged.approval_ttl_minutes,
                })
            }
        }
    }

    /// Removes a rule.
    pub(crate) async fn remove_policy(&self, id: Uuid) -> Result<()> {
        match self {
            Self::Here(ctx) if policies::delete(&ctx.actor, &ctx.store, id).await? => Ok(()),
            Self::Here(_) => Err(not_allowed("policies")),
            Self::There(there) => there.tell("DELETE", &format!("/v1/policies/{id}"), &json!({})).await,
        }
    }

    /// What runs by the clock.
    pub(crate) async fn schedules(&self) -> Result<Vec<Schedule>> {
        match self {
            Self::Here(ctx) => Ok(schedules::list(&ctx.actor, &ctx.store).await?),
            Self::There(there) => there.list("/v1/schedules", &[], ALL).await,
        }
    }

    /// Breaks off a job that runs.
    pub(crate) async fn cancel_schedule(&self, name: &str) -> Result<Schedule> {
        match self {
            Self::Here(ctx) => Ok(schedule_rules::cancel(&ctx.store, &ctx.actor, name).await?),
            Self::There(there) => {
                // The name is a part of the address.
                if !self.schedules().await?.into_iter().any(|s| s.name == name) {
                    return Err(not_found("schedule", name));
                }
                there.send_json("POST", &format!("/v1/schedules/{name}/cancel"), &json!({})).await
            }
        }
    }

    /// Changes when a job runs, and answers how it stands then.
    pub(crate) async fn set_schedule(&self, name: &str, change: Change) -> Result<Schedule> {
        match self {
            Self::Here(ctx) => Ok(schedule_rules::set(&ctx.store, &ctx.actor, name, change).await?),
            Self::There(there) => {
                let mut body = json!({});
                if let Some(cron) = change.cron {
                    body["cron"] = json!(cron);
                }
                if let Some(zone) = change.time_zone {
                    body["time_zone"] = json!(zone);
                }
                if let Some(is_active) = change.is_active {
                    body["is_active"] = json!(is_active);
                }
                // The name is a part of the address.
                let known = self.schedules().await?.into_iter().any(|s| s.name == name);
                if !known {
                    return Err(not_found("schedule", name));
                }
                there.send_json("PATCH", &format!("/v1/schedules/{name}"), &body).await
            }
        }
    }

    /// The playbooks at hand: files, and those that are kept in the database.
    pub(crate) async fn playbooks(&self) -> Result<Vec<Entry>> {
        match self {
            Self::Here(ctx) => {
                let (library, kept) = (ctx.library(), kept_playbooks::list(&ctx.actor, &ctx.store).await?);
                blocking(move || {
                    let kept = kept.into_iter().map(|kept| {
                        let (description, errors) = playbooks::described(&kept);
                        Entry {
                            name: kept.name,
                            description,
                            origin: "kept here".to_owned(),
                            is_on: kept.is_on,
                            errors,
                        }
                    });
                    Ok(library.names().into_iter().chain(kept).collect())
                })
                .await
            }
            Self::There(there) => there.whole("/v1/playbooks", &[]).await,
        }
    }

    /// Refuses a playbook that is not there or is wrong.
    pub(crate) async fn check_playbook(&self, name: &str) -> Result<()> {
        match self {
            Self::Here(ctx) => ctx.check_playbook(name).await,
            Self::There(_) => {
                let known = self.playbooks().await?;
                match known.iter().find(|entry| entry.name == name) {
                    Some(entry) if !entry.is_on => Err(Error::refused(format!(
                        "the playbook {name} is switched off; first: steward playbook on {name}"
                    ))),
                    Some(entry) if entry.errors.is_empty() => Ok(()),
                    Some(entry) => Err(Error::refused(entry.errors.join("; "))),
                    None => {
                        let names: Vec<&str> = known.iter().map(|entry| entry.name.as_str()).collect();
                        Err(Error::refused(format!("there is no playbook {name:?}; there are: {}", names.join(", "))))
                    }
                }
            }
        }
    }

    /// A playbook draft of what a model did for a task; nothing is kept.
    pub(crate) async fn draft(&self, task: Uuid, name: Option<&str>) -> Result<Draft> {
        match self {
            Self::Here(ctx) => Ok(promote::promote(&ctx.store, &ctx.actor, task, name).await?),
            Self::There(there) => {
                there.send_json("POST", &format!("/v1/tasks/{task}/promote"), &json!({ "name": name })).await
            }
        }
    }

    /// Keeps a playbook, switched off.
    pub(crate) async fn keep_playbook(&self, source: String, task: Option<Uuid>) -> Result<KeptPlaybook> {
        match self {
            Self::Here(ctx) => {
                let library = ctx.library();
                let files = blocking(move || Ok(library.names())).await?;
                let taken: Vec<String> = files.into_iter().map(|entry| entry.name).collect();
                Ok(playbooks::save(&ctx.store, &ctx.actor, source, task, &taken).await?)
            }
            Self::There(there) => {
                there.send_json("POST", "/v1/playbooks", &json!({ "source": source, "task_id": task })).await
            }
        }
    }

    /// A playbook that is kept, if there is one of this name.
    pub(crate) async fn kept_playbook(&self, name: &str) -> Result<Option<KeptPlaybook>> {
        match self {
            Self::Here(ctx) => Ok(kept_playbooks::named(&ctx.actor, &ctx.store, name).await?),
            Self::There(there) => match promote::checked(name) {
                // The name is a part of the address.
                Ok(name) => there.find(&format!("/v1/playbooks/{name}")).await,
                Err(_) => Ok(None),
            },
        }
    }

    /// Switches a kept playbook on or off.
    pub(crate) async fn switch_playbook(&self, name: &str, is_on: bool) -> Result<KeptPlaybook> {
        match self {
            Self::Here(ctx) => Ok(playbooks::switch(&ctx.store, &ctx.actor, name, is_on).await?),
            Self::There(there) => {
                let (name, to) = (promote::checked(name)?, if is_on { "on" } else { "off" });
                there.send_json("POST", &format!("/v1/playbooks/{name}/{to}"), &json!({})).await
            }
        }
    }

    /// Removes a kept playbook.
    pub(crate) async fn remove_playbook(&self, name: &str) -> Result<()> {
        match self {
            Self::Here(ctx) => Ok(playbooks::remove(&ctx.store, &ctx.actor, name).await?),
            Self::There(there) => {
                there.tell("DELETE", &format!("/v1/playbooks/{}", promote::checked(name)?), &json!({})).await
            }
        }
    }

    /// What a playbook would do with past events.
    pub(crate) async fn replay_playbook(&self, source: String, span: Span) -> Result<Vec<Replayed>> {
        match self {
            Self::Here(ctx) => {
                let playbook = blocking(move || Ok(playbooks::read(&source)?)).await?;
                Ok(rerun::replay(&ctx.store, &ctx.actor, &playbook, &span).await?)
            }
            Self::There(there) => {
                let body = json!({ "source": source, "watcher": span.watcher, "last": span.last });
                let tried: Tried = there.send_json("POST", "/v1/playbooks/replay", &body).await?;
                Ok(tried.events)
            }
        }
    }
}

/// What a Steward elsewhere says of past events.
#[derive(Debug, Deserialize)]
struct Tried {
    events: Vec<Replayed>,
}
