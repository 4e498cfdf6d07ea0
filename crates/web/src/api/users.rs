//! People and agents.

use axum::{extract::State, http::StatusCode, response::Response};
use domain::{
    accounts::{self, people},
    second_factor,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    users::{self, Account, User},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Nothing,
    answer::{self, Fields, List},
    changes::{self, Change},
    pages::Page,
    patch::Patch,
    second_factor::fresh,
};
use crate::{
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::{Id, Params},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(names))
        .routes(routes!(get, change))
        .routes(routes!(set_password))
        .routes(routes!(remove_factor))
}

/// Accounts by name
///
/// An administrator sees all, others their own.
#[utoipa::path(get, path = "/users", tag = "Users", params(Page),
    responses((status = 200, description = "A page of accounts", body = List<Account>)))]
async fn list(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["limit", "cursor", "fields"])?;
    let (limit, fields) = (params.limit()?, Fields::of(&params, &[Account::COLUMNS])?);
    // The cursor is a name, in hexadecimal since a name may be of any letters.
    let after = match params.get("cursor") {
        None => None,
        Some(text) => {
            let name = hex::decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(name.filter(|n| !n.contains('\0')).ok_or_else(crate::params::wrong_cursor)?)
        }
    };
    let mut rows = users::accounts(&me.actor, app.store(), after.as_deref(), limit + 1).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > wanted;
    rows.truncate(wanted);
    let next = rows.last().filter(|_| has_more).map(|last| hex::encode(&last.username));
    fields.page((rows, next))
}

/// Ids that are looked up at once.
const NAMED: usize = 50;

/// What every active user may know of others
///
/// By ids, at most 50, or by name. Whoever is unknown is left out.
#[utoipa::path(get, path = "/users/names", tag = "Users", params(
    ("ids" = Option<String>, Query, description = "The users' ids, separated by commas"),
    ("username" = Option<String>, Query, description = "One user's name"),
), responses((status = 200, description = "The users", body = List<User>)))]
async fn names(State(app): State<App>, me: Signed, params: Params) -> Result<Response> {
    params.only(&["ids", "username"])?;
    let mut found = Vec::new();
    if let Some(name) = params.get("username").filter(|name| !name.contains('\0')) {
        found.extend(users::named(&me.actor, app.store(), name).await?);
    }
    let ids = params.get("ids").unwrap_or_default().split(',').filter(|id| !id.is_empty());
    let ids: Vec<Uuid> = ids
        .map(|id| id.parse().map_err(|_| Fault::invalid("ids", format!("{id:?} is no id (a UUID)"))))
        .collect::<Result<_>>()?;
    if ids.len() > NAMED {
        return Err(Fault::invalid("ids", format!("there are {} ids; ask for at most {NAMED} at once", ids.len())));
    }
    if !ids.is_empty() {
        found.extend(users::names(&me.actor, app.store(), ids).await?);
    }
    answer::whole(found)
}

/// A person to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPerson {
    /// Log-in name: 1–100 letters, digits, dots, dashes or underscores; unique without regard to case.
    username: String,
    /// Address; unique without regard to case.
    email: String,
    /// `admin`, `user` or `observer`.
    #[serde(default = "user")]
    role: String,
    /// First password, 15–1000 characters.
    password: String,
    /// Given name.
    #[serde(default)]
    first_name: Option<String>,
    /// Family name.
    #[serde(default)]
    last_name: Option<String>,
}

fn user() -> String {
    "user".to_owned()
}

/// Add a person
#[utoipa::path(post, path = "/users", tag = "Users", request_body = NewPerson,
    responses((status = 201, description = "The new account", body = Account)))]
async fn create(State(app): State<App>, SignedJson(me, new): SignedJson<NewPerson>) -> Result<Response> {
    let new = people::NewPerson {
        username: new.username,
        email: new.email,
        role: new.role,
        password: new.password,
        first_name: new.first_name,
        last_name: new.last_name,
    };
    let account = people::add(app.store(), &me.actor, new).await?;
    answer::created(&format!("/v1/users/{}", account.id), &account)
}

async fn account(app: &App, me: &Signed, id: Uuid) -> Result<Account> {
    users::account(&me.actor, app.store(), id).await?.ok_or_else(|| Fault::not_found("user"))
}

/// One account
#[utoipa::path(get, path = "/users/{id}", tag = "Users", params(("id" = Uuid, Path, description = "The user"),
    ("fields" = Option<String>, Query, description = "Only these fields, separated by commas")),
    responses((status = 200, description = "The account", body = Account)))]
async fn get(State(app): State<App>, me: Signed, Id(id): Id, params: Params) -> Result<Response> {
    params.only(&["fields"])?;
    let fields = Fields::of(&params, &[Account::COLUMNS])?;
    fields.row(&account(&app, &me, id).await?)
}

/// What can be changed of an account; what is not named stays, and `null` takes away what may be missing.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountEdit {
    /// Log-in name: 1–100 letters, digits, dots, dashes or underscores.
    username: String,
    /// Address.
    email: String,
    /// `admin`, `user` or `observer`; the last admin stays one.
    role: String,
    /// `active`, `inactive` or `suspended`; whoever is not active has no session from then on.
    status: String,
    /// Given name.
    #[serde(default)]
    first_name: Option<String>,
    /// Family name.
    #[serde(default)]
    last_name: Option<String>,
    /// The user's own settings; merged key by key.
    #[serde(default)]
    #[schema(value_type = Object)]
    preferences: Value,
}

fn patched(patch: &Patch, account: Account) -> domain::Result<Account> {
    let edit = AccountEdit {
        username: account.username,
        email: account.email,
        role: account.role,
        status: account.status,
        first_name: account.first_name,
        last_name: account.last_name,
        preferences: account.preferences,
    };
    let e = patch.apply(&edit)?;
    let preferences = if e.preferences.is_null() { Value::Object(serde_json::Map::new()) } else { e.preferences };
    Ok(Account {
        username: e.username,
        email: e.email,
        role: e.role,
        status: e.status,
        first_name: e.first_name,
        last_name: e.last_name,
        preferences,
        ..account
    })
}

/// Change an account; for administrators
#[utoipa::path(patch, path = "/users/{id}", tag = "Users", params(("id" = Uuid, Path, description = "The user")),
    request_body = AccountEdit, responses((status = 200, description = "The account as it stands now", body = Account)))]
async fn change(State(app): State<App>, Change(me, id, wanted): Change) -> Result<Response> {
    let changed = people::change(app.store(), &me.actor, id, move |account| wanted.of(account, patched));
    changes::answer(&app, &me, ("user", id), changed).await
}

/// A new password for somebody else.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordReset {
    /// 15 to 1000 characters.
    new_password: String,
}

/// Give a person a new password; for administrators
///
/// It ends all sessions of that person, and takes no second factor away. You need to have shown within ten minutes who you
/// are; a token can't.
#[utoipa::path(post, path = "/users/{id}/password", tag = "Users", params(("id" = Uuid, Path, description = "The user")),
    request_body = PasswordReset, responses((status = 204, description = "It is set")))]
async fn set_password(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, said): SignedJson<PasswordReset>,
) -> Result<StatusCode> {
    account(&app, &me, id).await?;
    fresh(&me)?;
    accounts::set_password(app.store(), &me.actor, id, said.new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a person's second factor away; for administrators
///
/// For somebody who lost it: from then on the password alone opens the account. You need to have shown within ten minutes
/// who you are; a token can't.
#[utoipa::path(delete, path = "/users/{id}/second-factor", tag = "Users",
    params(("id" = Uuid, Path, description = "The user")), responses((status = 204, description = "It is gone")))]
async fn remove_factor(
    State(app): State<App>,
    Id(id): Id,
    SignedJson(me, Nothing {}): SignedJson<Nothing>,
) -> Result<StatusCode> {
    account(&app, &me, id).await?;
    fresh(&me)?;
    second_factor::remove(app.store(), &me.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
