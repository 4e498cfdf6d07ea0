//! `policies`: the rules a tool call meets.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run, Store,
    cache::{Change, Kind},
    statement::statements,
    value::row,
};

row! {
    /// A rule. The first active one that matches, by position, decides.
    pub struct Policy {
        /// Id.
        pub id: Uuid,
        /// 1, 2, …: order in which the rules are asked.
        pub position: i32,
        /// Name, unique.
        pub name: String,
        /// Glob over the server's name.
        pub server: String,
        /// Glob over the tool's name.
        pub tool: String,
        /// CEL condition; none holds always.
        pub condition: Option<String>,
        /// Whether an allowing rule reaches work on content from outside.
        pub outside: bool,
        /// `allow`, `ask` or `deny`.
        pub effect: String,
        /// Minutes a person has to decide.
        pub approval_ttl_minutes: i32,
        /// Whether it counts.
        pub is_active: bool,
        /// Who made it.
        pub created_by: Option<Uuid>,
        /// When made.
        pub created_at: Timestamp,
        /// When last changed.
        pub updated_at: Timestamp,
        /// How much may go wrong with what it asks about: `low`, `normal` or `high`.
        pub risk: String,
        /// How many people must say yes, 1 to 5; one no is a no.
        pub approvers: i32,
        /// Whether a call it matches is never made again by itself, whatever the owner said of the tool.
        pub never_repeat: bool,
        /// After how many minutes whoever was asked is reminded, once; none: never.
        pub remind_minutes: Option<i32>,
        /// After how many minutes others are asked too; none: never.
        pub escalate_minutes: Option<i32>,
        /// Who is asked then; none: everybody else who may decide.
        pub escalate_to: Option<Uuid>,
    }
}

/// A rule to be made.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    /// Order.
    pub position: i32,
    /// Name, unique.
    pub name: String,
    /// Glob over the server's name.
    pub server: String,
    /// Glob over the tool's name.
    pub tool: String,
    /// CEL condition.
    pub condition: Option<String>,
    /// Whether an allowing rule reaches work on content from outside.
    pub outside: bool,
    /// `allow`, `ask` or `deny`.
    pub effect: String,
    /// Minutes a person has to decide.
    pub approval_ttl_minutes: i32,
}

statements! {
    CREATE: Policy = "policies/create";
    LIST: Policy = "policies/list";
    LOCK: Policy = "policies/lock" split;
    SET_RISK: Policy = "policies/set_risk";
    SET_ASKING: Policy = "policies/set_asking";
    UPDATE: Policy = "policies/update";
    DELETE: Policy = "policies/delete";
}

/// Adds a rule and answers its id.
pub async fn create(actor: &Actor, on: impl Run, new: &NewPolicy) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![
        id.into(),
        new.position.into(),
        (&new.name).into(),
        (&new.server).into(),
        (&new.tool).into(),
        new.condition.clone().into(),
        new.outside.into(),
        (&new.effect).into(),
        new.approval_ttl_minutes.into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// Says how much may go wrong with what a rule asks about: `low`, `normal` or `high`. False: no such rule, or not allowed.
pub async fn set_risk(actor: &Actor, on: impl Run, id: Uuid, risk: &str) -> Result<bool> {
    Ok(on.execute(actor, &SET_RISK, vec![id.into(), risk.into()]).await? > 0)
}

/// What a rule says of those it asks, beside the question itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// How many people must say yes, 1 to 5.
    pub approvers: i32,
    /// Whether a call is never made again by itself.
    pub never_repeat: bool,
    /// After how many minutes whoever was asked is reminded.
    pub remind_minutes: Option<i32>,
    /// After how many minutes others are asked too.
    pub escalate_minutes: Option<i32>,
    /// Who is asked then; none: everybody else who may decide.
    pub escalate_to: Option<Uuid>,
}

impl Default for Asking {
    fn default() -> Self {
        Self { approvers: 1, never_repeat: false, remind_minutes: None, escalate_minutes: None, escalate_to: None }
    }
}

impl Policy {
    /// What it says of those it asks.
    pub fn asking(&self) -> Asking {
        Asking {
            approvers: self.approvers,
            never_repeat: self.never_repeat,
            remind_minutes: self.remind_minutes,
            escalate_minutes: self.escalate_minutes,
            escalate_to: self.escalate_to,
        }
    }
}

/// Says how a rule asks. False: no such rule, or not allowed.
pub async fn set_asking(actor: &Actor, on: impl Run, id: Uuid, asking: &Asking) -> Result<bool> {
    let params = vec![
        id.into(),
        asking.approvers.into(),
        asking.never_repeat.into(),
        asking.remind_minutes.into(),
        asking.escalate_minutes.into(),
        asking.escalate_to.into(),
    ];
    Ok(on.execute(actor, &SET_ASKING, params).await? > 0)
}

/// The rules in order; all of them, up to 10,000. One statement: of rules that are moved meanwhile none is missed.
pub async fn list(actor: &Actor, on: impl Run) -> Result<Vec<Policy>> {
    on.list(actor, &LIST, Vec::new()).await
}

/// The rules that the actor may change, in order, locked until the transaction ends; at most 10,000.
pub async fn lock(actor: &Actor, on: impl Run) -> Result<Vec<Policy>> {
    on.list(actor, &LOCK, Vec::new()).await
}

/// What [`list`] answers, as it was remembered: for showing. Whether a call may run is judged by [`list`] itself.
pub async fn shown(actor: &Actor, store: &Store) -> Result<Vec<Policy>> {
    let Some(user) = actor.user_id() else { return list(actor, store).await };
    let on = [Change::User(user), Change::Policies];
    store.cache.kept(store, (Kind::Policies, &user.to_string()), &on, Box::pin(list(actor, store))).await
}

/// Writes all of a rule but who made it. False: none such, or not allowed.
pub async fn update(actor: &Actor, on: impl Run, rule: &Policy) -> Result<bool> {
    let params = vec![
        rule.id.into(),
        rule.position.into(),
        (&rule.name).into(),
        (&rule.server).into(),
        (&rule.tool).into(),
        rule.condition.clone().into(),
        rule.outside.into(),
        (&rule.effect).into(),
        rule.approval_ttl_minutes.into(),
        rule.is_active.into(),
    ];
    Ok(on.execute(actor, &UPDATE, params).await? > 0)
}

/// Removes a rule. False: none such, or not allowed.
pub async fn delete(actor: &Actor, on: impl Run, id: Uuid) -> Result<bool> {
    Ok(on.execute(actor, &DELETE, vec![id.into()]).await? > 0)
}
