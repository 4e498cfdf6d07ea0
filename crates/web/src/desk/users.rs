//! The people of the house and its programs: who there is, and for administrators who may do what.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::{accounts, passwords::MIN_CHARS};
use maud::{Markup, html};
use store::users::{self, Account};

use super::{
    form::{Form, choices},
    layout::{Reader, button, fault_notice, shell, token},
    parts::{say, state, when},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
};

/// Rows of the page.
const ROWS: i64 = 200;
const ROLES: [&str; 3] = ["user", "observer", "admin"];

/// `GET /users`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let rows = users::accounts(&me.actor, app.store(), None, ROWS).await?;
    Ok(render(&me, &rows, Form::default()))
}

fn render(me: &Reader, rows: &[Account], form: Form<'_>) -> Markup {
    let now = store::now();
    shell(
        me,
        "Users",
        "/users",
        &html! {
            h1 { "Users" }
            p.lead { "Administrators decide about everything; users about what they asked to be done; observers look. The employee is a program with a row of its own: it never decides." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            table {
                caption.hidden { "Users by name" }
                thead {
                    tr {
                        th scope="col" { "Name" } th.opt scope="col" { "Address" } th scope="col" { "Role" } th scope="col" { "State" }
                        th.opt scope="col" { "Last log-in" }
                        @if me.is_admin() { th scope="col" { span.hidden { "Change" } } }
                    }
                }
                tbody { @for row in rows { (account_row(me, row, now)) } }
            }
            @if me.is_admin() { (add_form(me, form)) }
            @else { p.soft { "You see yourself here. An administrator sees everybody." } }
        },
    )
}

fn account_row(me: &Reader, row: &Account, now: jiff::Timestamp) -> Markup {
    let is_other = row.id != me.user_id();
    html! {
        tr data-key=(row.id) {
            th scope="row" {
                @if me.is_admin() { a href={ "/users/" (row.id) } { (say(&row.username)) } } @else { (say(&row.username)) }
                @if row.is_agent { " " span.soft { "program" } } @if !is_other { " " span.soft { "you" } }
            }
            td.opt { (say(&row.email)) }
            td {
                @if me.is_admin() && is_other && !row.is_agent {
                    form.filter method="post" action={ "/users/" (row.id) "/role" } {
                        (token(me))
                        select name="role" aria-label={ "Role of " (row.username) } data-now="" { @for role in ROLES { option value=(role) selected[role == row.role] { (role) } } }
                        button.quiet type="submit" { "Set" }
                    }
                } @else { (row.role) }
            }
            td { (state(&row.status)) }
            td.opt { @match row.last_login { Some(at) => (when(at, now)), None => span.soft { "never" } } }
            @if me.is_admin() {
                td {
                    @if is_other {
                        @let (status, verb) = if row.status == "active" { ("suspended", "Suspend") } else { ("active", "Let in again") };
                        (button(me, &format!("/users/{}/status", row.id), &[("status", status)], verb, "quiet", &row.username))
                    }
                }
            }
        }
    }
}

fn add_form(me: &Reader, form: Form<'_>) -> Markup {
    html! {
        section aria-labelledby="add" {
            h2 #add { "Add somebody" }
            form.form method="post" action="/users" data-once="" {
                (token(me))
                div.pair {
                    (form.line("username", "User name", "", "Letters, digits, dots, dashes or underscores."))
                    (form.of_kind("email", "email", "E-mail address", "", ""))
                }
                div.pair {
                    (form.choice("role", "Role", "user", &choices(&ROLES), ""))
                    (form.of_kind("password", "password", "First password", "", &format!("At least {MIN_CHARS} characters. Tell it by a safe way, and have it changed.")))
                }
                div.buttons { button.primary type="submit" { "Add" } }
            }
        }
    }
}

/// `POST /users`
pub(crate) async fn create(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let text = |name: &str| sent.text(name).unwrap_or_default();
    let password = sent.get("password").unwrap_or_default().to_owned();
    let added =
        accounts::add_user(app.store(), &me.actor, text("username"), text("email"), text("role"), password).await;
    answer(&app, me, added.map(drop), Some(&sent)).await
}

/// `POST /users/{id}/role`
pub(crate) async fn set_role(
    State(app): State<App>,
    crate::params::Id(id): crate::params::Id,
    SignedForm(me, sent): SignedForm,
) -> Result<Response> {
    let done = accounts::set_role(app.store(), &me.actor, id, sent.get("role").unwrap_or_default()).await;
    answer(&app, me, done, None).await
}

/// `POST /users/{id}/status`
pub(crate) async fn set_status(
    State(app): State<App>,
    crate::params::Id(id): crate::params::Id,
    SignedForm(me, sent): SignedForm,
) -> Result<Response> {
    let done = accounts::set_status(app.store(), &me.actor, id, status(&sent)?).await;
    answer(&app, me, done, None).await
}

fn status(sent: &Fields) -> Result<&str> {
    match sent.get("status") {
        Some(status @ ("active" | "inactive" | "suspended")) => Ok(status),
        _ => Err(Fault::invalid("status", "the status must be active, inactive or suspended")),
    }
}

async fn answer(
    app: &App,
    me: crate::session::Signed,
    done: domain::Result<()>,
    sent: Option<&Fields>,
) -> Result<Response> {
    let Err(error) = done else { return Ok(Redirect::to("/users").into_response()) };
    let fault = Fault::from(error);
    if !fault.status.is_client_error() {
        return Err(fault);
    }
    let me = Reader::of(app, me).await?;
    let rows = users::accounts(&me.actor, app.store(), None, ROWS).await?;
    Ok((fault.status, render(&me, &rows, Form { sent, fault: Some(&fault) })).into_response())
}
