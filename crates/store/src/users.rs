//! `users`, `agents` and the permissions behind them.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run, Store,
    cache::{Change, Kind},
    statement::statements,
    value::{Scalar, page, row},
};

row! {
    /// A user in full (without the password's hash), as oneself or a user administrator sees it.
    pub struct Account {
        /// Id.
        pub id: Uuid,
        /// Log-in name; unique without regard to case; 1–100 characters.
        pub username: String,
        /// Address; unique without regard to case.
        pub email: String,
        /// `admin`, `user` or `observer`.
        pub role: String,
        /// `active`, `inactive` or `suspended`.
        pub status: String,
        /// Given name.
        pub first_name: Option<String>,
        /// Family name.
        pub last_name: Option<String>,
        /// When made.
        pub created_at: Timestamp,
        /// When last changed.
        pub updated_at: Timestamp,
        /// Last log-in.
        pub last_login: Option<Timestamp>,
        /// The user's own settings.
        #[schema(value_type = Object)]
        pub preferences: serde_json::Value,
        /// Whether it is a program, which never decides.
        pub is_agent: bool,
    }
}
row! {
    /// What every active user may know of another.
    pub struct User {
        /// Id.
        pub id: Uuid,
        /// Log-in name.
        pub username: String,
        /// `admin`, `user` or `observer`.
        pub role: String,
        /// `active`, `inactive` or `suspended`.
        pub status: String,
        /// Given name.
        pub first_name: Option<String>,
        /// Family name.
        pub last_name: Option<String>,
    }
}
/// What a log-in is checked against; never serialized.
#[derive(Clone)]
pub struct Credentials {
    /// Id.
    pub id: Uuid,
    /// Log-in name.
    pub username: String,
    /// PHC string of the password.
    pub password_hash: String,
    /// `active`, `inactive` or `suspended`.
    pub status: String,
}
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}
impl crate::value::FromRow for Credentials {
    const COLUMNS: &'static [&'static str] = &["id", "username", "password_hash", "status"];
    fn from_row(row: &crate::value::Row) -> Result<Self> {
        Ok(Self {
            id: row.get(0, "id")?,
            username: row.get(1, "username")?,
            password_hash: row.get(2, "password_hash")?,
            status: row.get(3, "status")?,
        })
    }
}

/// A user to be made.
#[derive(Clone)]
pub struct NewUser {
    /// Log-in name.
    pub username: String,
    /// Address.
    pub email: String,
    /// PHC string of the password; `!` for one that never logs in.
    pub password_hash: String,
    /// `admin`, `user` or `observer`.
    pub role: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
}

row! {
    /// How a user can be reached, and how he wants to be.
    pub struct Contact {
        /// Id.
        pub id: Uuid,
        /// Log-in name.
        pub username: String,
        /// Address.
        pub email: String,
        /// `active`, `inactive` or `suspended`.
        pub status: String,
        /// The user's own settings.
        pub preferences: serde_json::Value,
    }
}

statements! {
    CREATE: User = "users/create";
    ACCOUNTS: Account = "users/accounts";
    ACCOUNT: Account = "users/account";
    NAMED: User = "users/named";
    NAMES: User = "users/names";
    CREDENTIALS: Credentials = "users/credentials";
    PEOPLE: User = "users/people_with_role";
    LOCK_ADMINS: User = "users/lock_admins";
    UPDATE: User = "users/update";
    SET_ROLE: User = "users/set_role";
    SET_STATUS: User = "users/set_status" wakes;
    SET_PASSWORD: User = "users/set_password";
    SET_PREFERENCES: User = "users/set_preferences";
    CONTACT: Contact = "users/contact";
    CONTACTS: Contact = "users/contacts";
    TOUCH_LOGIN: User = "users/touch_login";
    ALLOWED: Scalar<bool> = "users/allowed";
    CREATE_AGENT: User = "agents/create";
    AGENT: Scalar<Uuid> = "agents/of_kind";
}

/// Makes a user and answers its id.
pub async fn create(actor: &Actor, on: impl Run, new: &NewUser) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let params = vec![
        id.into(),
        (&new.username).into(),
        (&new.email).into(),
        (&new.password_hash).into(),
        (&new.role).into(),
        new.first_name.clone().into(),
        new.last_name.clone().into(),
    ];
    on.execute(actor, &CREATE, params).await?;
    Ok(id)
}

/// Marks a user as a program of a kind (`employee`): it never decides and never administers.
pub async fn make_agent(actor: &Actor, on: impl Run, id: Uuid, kind: &str) -> Result<()> {
    on.execute(actor, &CREATE_AGENT, vec![id.into(), kind.into()]).await?;
    tell(on, id, true).await;
    Ok(())
}

/// The first agent of a kind.
pub async fn agent(actor: &Actor, on: impl Run, kind: &str) -> Result<Option<Uuid>> {
    Ok(on.optional::<Scalar<Uuid>>(actor, &AGENT, vec![kind.into()]).await?.map(|s| s.0))
}

/// Accounts by name: oneself, or all for a user administrator. At most `limit`, after the name `after`.
pub async fn accounts(actor: &Actor, on: impl Run, after: Option<&str>, limit: i64) -> Result<Vec<Account>> {
    on.list(actor, &ACCOUNTS, vec![after.into(), page(limit)]).await
}

/// One account, if the actor may see it.
pub async fn account(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Account>> {
    on.optional(actor, &ACCOUNT, vec![id.into()]).await
}

/// A user by name, without regard to case.
pub async fn named(actor: &Actor, on: impl Run, username: &str) -> Result<Option<User>> {
    on.optional(actor, &NAMED, vec![username.into()]).await
}

/// Users by id, to show names.
pub async fn names(actor: &Actor, on: impl Run, ids: Vec<Uuid>) -> Result<Vec<User>> {
    on.list(actor, &NAMES, vec![ids.into()]).await
}

/// What a log-in by name or address is checked against. For Steward itself only.
pub async fn credentials(actor: &Actor, on: impl Run, login: &str) -> Result<Option<Credentials>> {
    on.optional(actor, &CREDENTIALS, vec![login.into()]).await
}

/// Active people (no agents) of a role, at most ten.
pub async fn people_with_role(actor: &Actor, on: impl Run, role: &str) -> Result<Vec<User>> {
    on.list(actor, &PEOPLE, vec![role.into()]).await
}

/// Active people (no agents) who are admins, by id and at most a hundred, locked until the transaction ends: so that of
/// two who take the role from each other one comes second and sees it.
pub async fn lock_admins(actor: &Actor, on: impl Run) -> Result<Vec<User>> {
    on.list(actor, &LOCK_ADMINS, Vec::new()).await
}

/// Writes name, address, given and family name and settings. False: no such user, or not the actor's to change.
pub async fn update(actor: &Actor, on: impl Run, account: &Account) -> Result<bool> {
    let params = vec![
        account.id.into(),
        (&account.username).into(),
        (&account.email).into(),
        account.first_name.clone().into(),
        account.last_name.clone().into(),
        account.preferences.clone().into(),
    ];
    let done = on.execute(actor, &UPDATE, params).await? > 0;
    tell(on, account.id, done).await;
    Ok(done)
}

/// Gives a user a role. False: no such user, or not allowed.
pub async fn set_role(actor: &Actor, on: impl Run, id: Uuid, role: &str) -> Result<bool> {
    let done = on.execute(actor, &SET_ROLE, vec![id.into(), role.into()]).await? > 0;
    tell(on, id, done).await;
    Ok(done)
}

/// Has the caches forget a user who changed. Within a transaction they hear of it from the database.
async fn tell(on: impl Run, id: Uuid, changed: bool) {
    if changed && let Some(store) = on.store() {
        store.changed(Change::User(id)).await;
    }
}

/// Makes a user active, inactive or suspended. False: no such user, or not allowed.
pub async fn set_status(actor: &Actor, on: impl Run, id: Uuid, status: &str) -> Result<bool> {
    let done = on.execute(actor, &SET_STATUS, vec![id.into(), status.into()]).await? > 0;
    tell(on, id, done).await;
    Ok(done)
}

/// Stores the hash of a new password. False: no such user, or not allowed.
pub async fn set_password(actor: &Actor, on: impl Run, id: Uuid, hash: &str) -> Result<bool> {
    Ok(on.execute(actor, &SET_PASSWORD, vec![id.into(), hash.into()]).await? > 0)
}

/// Notes a log-in. For Steward itself only.
pub async fn touch_login(actor: &Actor, on: impl Run, id: Uuid) -> Result<()> {
    on.execute(actor, &TOUCH_LOGIN, vec![id.into()]).await.map(drop)
}

/// Keeps a user's own settings. False: there is none such, or not allowed. Steward may for anybody: whoever calls it so
/// has made sure whose they are.
pub async fn set_preferences(actor: &Actor, on: impl Run, id: Uuid, preferences: serde_json::Value) -> Result<bool> {
    Ok(on.execute(actor, &SET_PREFERENCES, vec![id.into(), preferences.into()]).await? > 0)
}

/// How a user can be reached. For Steward itself only.
pub async fn contact(actor: &Actor, on: impl Run, id: Uuid) -> Result<Option<Contact>> {
    on.optional(actor, &CONTACT, vec![id.into()]).await
}

/// Every person who is active, at most 1,000. For Steward itself only.
pub async fn contacts(actor: &Actor, on: impl Run) -> Result<Vec<Contact>> {
    on.list(actor, &CONTACTS, Vec::new()).await
}

/// Whether the actor has a permission, by its role and status.
pub async fn allowed(actor: &Actor, on: impl Run, permission: &str) -> Result<bool> {
    Ok(on.one::<Scalar<bool>>(actor, &ALLOWED, vec![permission.into()]).await?.0)
}

/// The same, as it was remembered: for showing. What is done is judged by the database itself.
pub async fn may(actor: &Actor, store: &Store, permission: &str) -> Result<bool> {
    let Some(user) = actor.user_id() else { return allowed(actor, store, permission).await };
    let (key, on) = (format!("{user}:{permission}"), [Change::User(user), Change::Permissions]);
    store.cache.kept(store, (Kind::Permissions, &key), &on, Box::pin(allowed(actor, store, permission))).await
}
