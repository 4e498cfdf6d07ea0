//! People, what they were told, what happened, and the audit trail.

use domain::{
    accounts,
    briefing::{self, Briefing, Period},
};
use jiff::Timestamp;
use serde_json::json;
use store::{
    audit_trail::{self, AuditRow, ChainReport},
    notifications::{self, Notification},
    system_logs::{self, Filter, LogLine},
    users::{self, Account, User},
};
use uuid::Uuid;

use super::{super::Context, Place};
use crate::{Result, cli::not_allowed};

/// Lines of the log that are looked through for those of one level.
const LOG_LINES: i64 = 2000;

/// Which lines of the log are wanted; what is none is not asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    /// Of this level, and of no heavier one.
    pub level: Option<String>,
    /// Of this part.
    pub module: Option<String>,
    /// About this task.
    pub task: Option<Uuid>,
    /// About this user.
    pub user: Option<Uuid>,
    /// Of then or later …
    pub since: Option<Timestamp>,
    /// … and from before then.
    pub until: Option<Timestamp>,
    /// What is looked for in the message.
    pub search: Option<String>,
}

impl Place {
    /// Users by id, as far as the person may know them.
    pub(super) async fn users(&self, ids: Vec<Uuid>) -> Result<Vec<User>> {
        match self {
            Self::Here(ctx) => Ok(users::names(&ctx.actor, &ctx.store, ids).await?),
            Self::There(there) => {
                let mut found = Vec::new();
                // An address holds only so many.
                for part in ids.chunks(50) {
                    let list = part.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",");
                    found.extend(there.whole::<User>("/v1/users/names", &[("ids", Some(list))]).await?);
                }
                Ok(found)
            }
        }
    }

    pub(super) async fn user_called(&self, name: &str) -> Result<Option<User>> {
        match self {
            Self::Here(ctx) => Ok(users::named(&ctx.actor, &ctx.store, name).await?),
            Self::There(there) => {
                let query = [("username", Some(name.to_owned()))];
                Ok(there.whole("/v1/users/names", &query).await?.into_iter().next())
            }
        }
    }

    /// Accounts by name.
    pub(crate) async fn accounts(&self, limit: i64) -> Result<Vec<Account>> {
        match self {
            Self::Here(ctx) => Ok(users::accounts(&ctx.actor, &ctx.store, None, limit).await?),
            Self::There(there) => there.list("/v1/users", &[], limit).await,
        }
    }

    /// One account; none where the person may not see it.
    pub(crate) async fn account(&self, id: Uuid) -> Result<Option<Account>> {
        match self {
            Self::Here(ctx) => Ok(users::account(&ctx.actor, &ctx.store, id).await?),
            Self::There(there) => there.find(&format!("/v1/users/{id}")).await,
        }
    }

    /// Refuses whoever may not add people, before a password is asked for.
    pub(crate) async fn may_add_people(&self) -> Result<()> {
        match self {
            Self::Here(ctx) if !users::allowed(&ctx.actor, &ctx.store, "user_admin").await? => {
                Err(not_allowed("users"))
            }
            Self::There(there) if there.user.role != "admin" => Err(not_allowed("users")),
            Self::Here(_) | Self::There(_) => Ok(()),
        }
    }

    /// Adds a person, and answers the id.
    pub(crate) async fn add_user(&self, username: &str, email: &str, role: &str, password: String) -> Result<Uuid> {
        match self {
            Self::Here(ctx) => Ok(accounts::add_user(&ctx.store, &ctx.actor, username, email, role, password).await?),
            Self::There(there) => {
                let body = json!({ "username": username, "email": email, "role": role, "password": password });
                Ok(there.send_json::<Account>("POST", "/v1/users", &body).await?.id)
            }
        }
    }

    /// Gives a role.
    pub(crate) async fn set_role(&self, id: Uuid, role: &str) -> Result<()> {
        match self {
            Self::Here(ctx) => Ok(accounts::set_role(&ctx.store, &ctx.actor, id, role).await?),
            Self::There(there) => there.tell("PATCH", &format!("/v1/users/{id}"), &json!({ "role": role })).await,
        }
    }

    /// Suspends an account, or lifts that.
    pub(crate) async fn set_user_status(&self, id: Uuid, status: &str) -> Result<()> {
        match self {
            Self::Here(ctx) => Ok(accounts::set_status(&ctx.store, &ctx.actor, id, status).await?),
            Self::There(there) => there.tell("PATCH", &format!("/v1/users/{id}"), &json!({ "status": status })).await,
        }
    }

    /// What the person was told on the web, newest first.
    pub(crate) async fn notifications(&self, status: Option<&str>, limit: i64) -> Result<Vec<Notification>> {
        match self {
            Self::Here(ctx) => Ok(notifications::list(&ctx.actor, &ctx.store, status, limit).await?),
            Self::There(there) => {
                there.list("/v1/notifications", &[("status", status.map(str::to_owned))], limit).await
            }
        }
    }

    /// Lines of the log, newest first.
    pub(crate) async fn logs(&self, wanted: &Lines, limit: i64) -> Result<Vec<LogLine>> {
        let (level, module, task) = (wanted.level.as_deref(), wanted.module.as_deref(), wanted.task);
        let is_plain = wanted.user.is_none() && wanted.since.or(wanted.until).is_none() && wanted.search.is_none();
        // What is asked answers heavier lines too.
        let most = if level.is_some() { LOG_LINES } else { limit };
        let mut lines: Vec<LogLine> = match self {
            Self::Here(ctx) if is_plain => {
                return Ok(system_logs::list(&ctx.actor, &ctx.store, level, module, task, limit).await?);
            }
            Self::Here(ctx) => {
                let filter = Filter {
                    level: level.and_then(system_logs::level),
                    module,
                    task_id: task,
                    user_id: wanted.user,
                    from: wanted.since,
                    to: wanted.until,
                    after: None,
                };
                match &wanted.search {
                    Some(query) => {
                        let found = system_logs::search(&ctx.actor, &ctx.store, query, &filter, most).await?;
                        found.into_iter().map(|found| found.line).collect()
                    }
                    None => system_logs::find(&ctx.actor, &ctx.store, &filter, most).await?,
                }
            }
            Self::There(there) => {
                let query = [
                    ("level", level.map(str::to_owned)),
                    ("module", module.map(str::to_owned)),
                    ("task_id", task.map(|id| id.to_string())),
                    ("user_id", wanted.user.map(|id| id.to_string())),
                    ("from", wanted.since.map(|time| time.to_string())),
                    ("to", wanted.until.map(|time| time.to_string())),
                    ("search", wanted.search.clone()),
                ];
                there.list("/v1/logs", &query, most).await?
            }
        };
        lines.retain(|line| level.is_none_or(|level| line.level == level));
        lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(lines)
    }

    /// Changes, newest first.
    pub(crate) async fn audit(&self, kind: Option<&str>, id: Option<Uuid>, limit: i64) -> Result<Vec<AuditRow>> {
        match self {
            Self::Here(ctx) => Ok(audit_trail::list(&ctx.actor, &ctx.store, kind, id, limit).await?),
            Self::There(there) => {
                let query = [("entity_type", kind.map(str::to_owned)), ("entity_id", id.map(|id| id.to_string()))];
                there.list("/v1/audit", &query, limit).await
            }
        }
    }

    /// Checks the whole chain of the audit trail.
    pub(crate) async fn verify_audit(&self, head: Option<&str>) -> Result<ChainReport> {
        match self {
            Self::Here(ctx) => {
                sees_all(ctx).await?;
                Ok(audit_trail::verify_against(&ctx.actor, &ctx.store, head).await?)
            }
            Self::There(there) => there.get("/v1/audit/verify", &[("head", head.map(str::to_owned))]).await,
        }
    }

    /// What was done, what waits, and what comes.
    pub(crate) async fn briefing(&self, period: Period) -> Result<Briefing> {
        match self {
            Self::Here(ctx) => Ok(briefing::make(&ctx.store, &ctx.actor, period, store::now()).await?),
            Self::There(there) => {
                let word = if period == Period::Week { "week" } else { "day" };
                there.get("/v1/briefing", &[("period", Some(word.to_owned()))]).await
            }
        }
    }
}

/// Who sees only a part of the chain would find it broken.
pub(crate) async fn sees_all(ctx: &Context) -> Result<()> {
    if users::allowed(&ctx.actor, &ctx.store, "audit_view_all").await? {
        Ok(())
    } else {
        Err(not_allowed("audit_chain"))
    }
}
