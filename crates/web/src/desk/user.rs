//! One account, for administrators: its names and address, a new password, and the second factor taken away.

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    accounts::{self, people},
    passwords::MIN_CHARS,
    second_factor,
};
use maud::{Markup, html};
use store::users::{self, Account};
use uuid::Uuid;

use super::{
    as_read::AsRead,
    form::Form,
    layout::{Reader, fault_notice, shell, token},
    parts::{say, state, state_as, time, when},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    params::{Id, Params},
    session::{self, Signed},
};

fn as_read(row: &Account) -> AsRead {
    let text = |name: &Option<String>| name.clone().unwrap_or_default();
    AsRead(vec![
        ("username", "User name", row.username.clone()),
        ("email", "E-mail address", row.email.clone()),
        ("first_name", "Given name", text(&row.first_name)),
        ("last_name", "Family name", text(&row.last_name)),
    ])
}

async fn find(app: &App, me: &Signed, id: Uuid) -> Result<Account> {
    if !users::allowed(&me.actor, app.store(), "user_admin").await? {
        return Err(Fault::refused("users"));
    }
    users::account(&me.actor, app.store(), id).await?.ok_or_else(|| Fault::not_found("user"))
}

/// `GET /users/{id}`
pub(crate) async fn page(State(app): State<App>, me: Reader, Id(id): Id, params: Params) -> Result<Markup> {
    params.only(&["done"])?;
    let row = find(&app, &me, id).await?;
    render(&app, &me, &row, Form::default(), params.get("done").is_some(), None).await
}

async fn render(
    app: &App,
    me: &Reader,
    row: &Account,
    form: Form<'_>,
    is_done: bool,
    notice: Option<&Markup>,
) -> Result<Markup> {
    let has_factor = second_factor::is_on(app.store(), row.id).await?;
    let (now, path) = (store::now(), format!("/users/{}", row.id));
    Ok(shell(
        me,
        &row.username,
        "/users",
        &html! {
            p.crumbs { a href="/users" { "Users" } }
            h1 { (say(&row.username)) }
            p.meta {
                (row.role) " " (state(&row.status)) " · since " (time(row.created_at))
                @if let Some(at) = row.last_login { " · last log-in " (when(at, now)) }
                " · " a href={ "/audit?entity_type=user&entity_id=" (row.id) } { "its history" }
            }
            @if is_done { div.notice.good role="status" { p { "It is done." } } }
            @if let Some(notice) = notice { (notice) } @else if let Some(fault) = form.fault { (fault_notice(fault)) }
            section aria-labelledby="names" {
                h2 #names { "Names and address" }
                form.form method="post" action=(path) data-once="" {
                    (token(me))
                    (as_read(row).field(form.sent))
                    div.pair {
                        (form.line("username", "User name", &row.username, "Letters, digits, dots, dashes or underscores."))
                        (form.of_kind("email", "email", "E-mail address", &row.email, ""))
                        (form.line("first_name", "Given name", row.first_name.as_deref().unwrap_or_default(), "May be left empty."))
                        (form.line("last_name", "Family name", row.last_name.as_deref().unwrap_or_default(), "May be left empty."))
                    }
                    div.buttons { button.primary type="submit" { "Keep it so" } a.button href="/users" { "Leave it" } }
                }
            }
            @if !row.is_agent {
                section aria-labelledby="way-in" {
                    h2 #way-in { "The way in" }
                    form.form method="post" action={ (path) "/password" } data-once="" {
                        (token(me))
                        (form.of_kind("password", "password", "A new password", "", &format!("At least {MIN_CHARS} characters. It ends all sessions of this user; tell it by a safe way, and have it changed.")))
                        (form.of_kind("password", "own_password", "Your own password", "", "So that nobody does this at a desk you left open."))
                        div.buttons { button type="submit" { "Set the password" } }
                    }
                    @if has_factor {
                        p { (state_as("active", "on")) " A log-in asks for a second factor too." }
                        form method="post" action={ (path) "/factor" } data-once="" {
                            (token(me))
                            p.soft { "Only for somebody who lost the phone and the recovery codes, and whom you know: without it the password alone opens the account." }
                            (form.of_kind("password", "own_for_factor", "Your own password", "", ""))
                            div.buttons { button.danger type="submit" data-sure={ "Take the second factor of " (row.username) " away?" } { "Take the second factor away" } }
                        }
                    } @else { p.soft { (state_as("paused", "off")) " There is no second factor." } }
                }
            }
        },
    ))
}

async fn answer(app: &App, me: Signed, id: Uuid, sent: &Fields, done: Result<()>) -> Result<Response> {
    let Err(fault) = done else { return Ok(Redirect::to(&format!("/users/{id}?done=yes")).into_response()) };
    if !fault.status.is_client_error() {
        return Err(fault);
    }
    let row = find(app, &me, id).await?;
    let (me, now) = (Reader::of(app, me).await?, as_read(&row));
    let notice = now.notice(sent, &fault);
    let merged = if notice.is_some() { now.merged(sent) } else { sent.clone() };
    // What was sent from another form of the page says nothing of this one's fields.
    let is_names = sent.get("username").is_some();
    let form = Form { sent: is_names.then_some(&merged), fault: Some(&fault) };
    Ok((fault.status, render(app, &me, &row, form, false, notice.as_ref()).await?).into_response())
}

/// `POST /users/{id}`
pub(crate) async fn change(State(app): State<App>, Id(id): Id, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let fields = sent.clone();
    let changed = people::change(app.store(), &me.actor, id, move |row| {
        as_read(&row).check(&fields, &row)?;
        let text = |name: &str| fields.text(name).map(str::to_owned);
        Ok(Account {
            username: text("username").unwrap_or_default(),
            email: text("email").unwrap_or_default(),
            first_name: text("first_name"),
            last_name: text("last_name"),
            ..row
        })
    });
    let changed = changed.await.map(drop).map_err(Fault::from);
    answer(&app, me, id, &sent, changed).await
}

/// `POST /users/{id}/password`
pub(crate) async fn set_password(
    State(app): State<App>,
    Id(id): Id,
    headers: HeaderMap,
    SignedForm(me, sent): SignedForm,
) -> Result<Response> {
    let done = async {
        shown_again(&app, &me, &headers, &sent, "own_password").await?;
        let password = sent.get("password").unwrap_or_default().to_owned();
        Ok(accounts::set_password(app.store(), &me.actor, id, password).await?)
    };
    let done = done.await;
    answer(&app, me, id, &sent, done).await
}

/// Has the administrator show again who it is.
async fn shown_again(app: &App, me: &Signed, headers: &HeaderMap, sent: &Fields, field: &'static str) -> Result<()> {
    let password = sent.get(field).unwrap_or_default().to_owned();
    let shown = session::reauthenticate(app, me, headers, password).await;
    shown.map_err(|fault| {
        if fault.code == "log_in_refused" {
            Fault::invalid(field, "this is not your password; nothing was changed")
        } else {
            fault
        }
    })
}

/// `POST /users/{id}/factor`: takes the second factor away.
pub(crate) async fn remove_factor(
    State(app): State<App>,
    Id(id): Id,
    headers: HeaderMap,
    SignedForm(me, sent): SignedForm,
) -> Result<Response> {
    let done = async {
        shown_again(&app, &me, &headers, &sent, "own_for_factor").await?;
        Ok(second_factor::remove(app.store(), &me.actor, id).await?)
    };
    let done = done.await;
    answer(&app, me, id, &sent, done).await
}
