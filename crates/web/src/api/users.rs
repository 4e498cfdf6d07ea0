//! People and agents.

use axum::{extract::State, http::HeaderMap, response::Response};
use domain::accounts::people;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    users::{self, Account},
    value::FromRow,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer::{self, Fields, IfMatch, List},
    changes,
    pages::Page,
    patch::Patch,
};
use crate::{
    app::App,
    body::SignedJson,
    fault::{Fault, Result},
    params::{Id, Params},
    session::Signed,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, change))
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
async fn change(
    State(app): State<App>,
    Id(id): Id,
    headers: HeaderMap,
    SignedJson(me, body): SignedJson<Value>,
) -> Result<Response> {
    let (patch, expected) = (Patch::of(body)?, IfMatch::of(&headers)?);
    let changed = people::change(app.store(), &me.actor, id, move |account| {
        expected.check(&account)?;
        patched(&patch, account)
    });
    match changed.await {
        Ok(account) => answer::row(&account),
        Err(e) => Err(changes::told(&app, &me, "user", id, e).await),
    }
}
