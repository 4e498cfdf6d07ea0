//! Oneself: who one is here, the tokens of one's programs, and an end to all of one's sessions.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::tokens::{self, NewToken, Scope};
use maud::{Markup, html};
use store::{
    api_tokens::{self, ApiToken},
    sessions,
    users::{self, Account},
};

use super::{
    form::Form,
    layout::{Reader, button, fault_notice, shell, token},
    parts::{empty, say, state, time, when},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    session::Signed,
};

/// Tokens that are shown.
const ROWS: i64 = 50;
/// Days a token lasts where nothing is said.
const DAYS: &str = "90";

/// `GET /account`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    render(&app, &me, Form::default(), None).await
}

async fn render(app: &App, me: &Reader, form: Form<'_>, made: Option<&str>) -> Result<Markup> {
    let row = users::account(&me.actor, app.store(), me.user_id()).await?.ok_or_else(|| Fault::not_found("account"))?;
    let held = api_tokens::list(&me.actor, app.store(), Some(me.user_id()), false, ROWS).await?;
    let now = store::now();
    Ok(shell(
        me,
        "My account",
        "/account",
        &html! {
            h1 { "My account" }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            @if let Some(made) = made {
                div.notice.good role="status" {
                    p { strong { "Here is the token. It is shown this once." } }
                    p { code { (made) } }
                    p.small { "A program sends it as " code { "Authorization: Bearer …" } "." }
                }
            }
            div.cols {
                div {
                    section aria-labelledby="who" { h2 #who { "Who you are here" } (facts(&row, now)) }
                    section aria-labelledby="sessions" {
                        h2 #sessions { "Your sessions" }
                        p { "This one began " (when(me.session.created_at, now)) " and ends " (when(me.session.expires_at, now)) " unless it is used." }
                        form method="post" action="/account/leave" data-once="" {
                            (token(me))
                            p.soft { "Lost a phone, or left a window open somewhere? This logs you out everywhere, here too." }
                            div.buttons { button.danger type="submit" { "End all my sessions" } }
                        }
                    }
                }
                div {
                    section aria-labelledby="tokens" {
                        h2 #tokens { "Tokens for programs" }
                        (token_list(me, &held, now))
                        (token_form(me, form))
                    }
                }
            }
        },
    ))
}

fn facts(row: &Account, now: jiff::Timestamp) -> Markup {
    let may = match row.role.as_str() {
        "admin" => "You see and decide everything, and you look after the house.",
        "observer" => "You see everything and change nothing.",
        _ => "You see your own tasks, and decide what the employee asks about them.",
    };
    html! {
        dl.facts {
            dt { "Name" } dd { (say(&row.username)) }
            dt { "Address" } dd { (say(&row.email)) }
            dt { "Role" } dd { (row.role) " " (state(&row.status)) p.soft.small { (may) } }
            dt { "Since" } dd { (time(row.created_at)) }
            @if let Some(at) = row.last_login { dt { "Last log-in" } dd { (when(at, now)) } }
        }
        p { a href={ "/audit?entity_type=user&entity_id=" (row.id) } { "All that was ever changed of this account" } }
    }
}

fn token_list(me: &Reader, held: &[ApiToken], now: jiff::Timestamp) -> Markup {
    html! {
        @if held.is_empty() { (empty("None is valid.", &html! { "A token lets a program work under your name, as far as its scopes reach." })) }
        ul.lines {
            @for one in held {
                li {
                    p.title { (say(&one.name)) " " code { "…" (one.hint) } }
                    div.meta {
                        (one.scopes.join(", ")) " · ends " (when(one.expires_at, now))
                        @match one.last_used_at { Some(at) => { " · used " (when(at, now)) }, None => " · never used" }
                        " " (button(me, "/account/tokens/revoke", &[("id", &one.id.to_string())], "Revoke", "quiet danger", &one.name))
                    }
                }
            }
        }
    }
}

fn token_form(me: &Reader, form: Form<'_>) -> Markup {
    let is_ticked =
        |word: &str| form.sent.map_or(word == "read", |s| s.0.iter().any(|(n, v)| n == "scope" && v == word));
    html! {
        details open[form.fault.is_some()] {
            summary { "Make one" }
            form.form method="post" action="/account/tokens" data-once="" {
                (token(me))
                (form.line("name", "What it is for", "", ""))
                fieldset {
                    legend { "How far it reaches" }
                    @for scope in Scope::ALL {
                        label.check-box { input type="checkbox" name="scope" value=(scope.as_str()) checked[is_ticked(scope.as_str())]; (scope.as_str()) }
                    }
                }
                (form.of_kind("number", "days", "Days it lasts", DAYS, "At most 366."))
                div.buttons { button.primary type="submit" { "Make the token" } }
            }
        }
    }
}

/// `POST /account/tokens`
pub(crate) async fn make_token(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let made = make(&app, &me, &sent).await;
    let me = Reader::of(&app, me).await?;
    match made {
        Ok(made) => Ok(render(&app, &me, Form::default(), Some(&made)).await?.into_response()),
        Err(fault) if fault.status.is_client_error() => {
            Ok((fault.status, render(&app, &me, Form::again(&sent, &fault), None).await?).into_response())
        }
        Err(fault) => Err(fault),
    }
}

async fn make(app: &App, me: &Signed, sent: &Fields) -> Result<String> {
    let days = sent.text("days").unwrap_or(DAYS);
    let days = days.parse().map_err(|_| Fault::invalid("days", "the days must be a whole number"))?;
    let scopes = sent.0.iter().filter(|(name, _)| name == "scope").map(|(_, word)| word.clone()).collect();
    let new = NewToken { user_id: None, name: sent.text("name").unwrap_or_default().to_owned(), scopes, days };
    Ok(tokens::create(app.store(), &me.actor, new).await?.0)
}

/// `POST /account/tokens/revoke`
pub(crate) async fn revoke_token(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let id = sent.get("id").and_then(|id| id.parse().ok()).ok_or_else(|| Fault::not_found("token"))?;
    tokens::revoke(app.store(), &me.actor, id).await?;
    Ok(Redirect::to("/account").into_response())
}

/// `POST /account/leave`: ends all sessions of whoever asks.
pub(crate) async fn leave(State(app): State<App>, SignedForm(me, _): SignedForm) -> Result<Response> {
    sessions::revoke_all_of(&me.actor, app.store(), me.user_id()).await?;
    Ok(Redirect::to("/login").into_response())
}
