//! Oneself: who one is here, one's password and sessions, the tokens of one's programs, and the way to the rest.

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    passwords::MIN_CHARS,
    second_factor, sign_in,
    tokens::{self, NewToken, Scope},
};
use maud::{Markup, html};
use store::{
    api_tokens::{self, ApiToken},
    sessions::{self, OpenSession},
    users::{self, Account},
};

use super::{
    browsers,
    form::Form,
    layout::{Reader, button, fault_notice, shell, token},
    parts::{empty, say, state, state_as, time, when},
    passkeys,
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    params::Params,
    session::{self, Signed},
};

/// Tokens that are shown.
const ROWS: i64 = 50;
/// Days a token lasts where nothing is said.
const DAYS: &str = "90";

/// `GET /account`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["done"])?;
    render(&app, &me, Form::default(), None, params.get("done").is_some()).await
}

/// The page again, where what was sent is refused.
async fn refused(app: &App, me: Signed, sent: &Fields, fault: Fault) -> Result<Response> {
    if !fault.status.is_client_error() {
        return Err(fault);
    }
    let me = Reader::of(app, me).await?;
    Ok((fault.status, render(app, &me, Form::again(sent, &fault), None, false).await?).into_response())
}

async fn render(app: &App, me: &Reader, form: Form<'_>, made: Option<&str>, is_told: bool) -> Result<Markup> {
    let row = users::account(&me.actor, app.store(), me.user_id()).await?.ok_or_else(|| Fault::not_found("account"))?;
    let held = api_tokens::list(&me.actor, app.store(), Some(me.user_id()), false, ROWS).await?;
    let (open, factor) =
        tokio::try_join!(sign_in::open_sessions(app.store(), &me.actor), second_factor::state(app.store(), &me.actor))?;
    let (passkeys, browsers) = (passkeys::section(app, me).await?, browsers::section(app, me).await?);
    let now = store::now();
    Ok(shell(
        me,
        "My account",
        "/account",
        &html! {
            h1 { "My account" }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            @if is_told { div.notice.good role="status" { p { "It is done." } } }
            @if let Some(made) = made {
                div.notice.good role="status" {
                    p { strong { "Here is the token. It is shown this once." } }
                    p { code { (made) } }
                    p.small { "A program sends it as " code { "Authorization: Bearer …" } "." }
                }
            }
            div.cols {
                div {
                    section aria-labelledby="who" { h2 #who { "Who you are here" } (facts(&row, now)) @if me.is_admin() { p { a.button.quiet href={ "/users/" (row.id) } { "Change name or address" } } } @else { p.soft.small { "An administrator changes your name and address." } } }
                    section aria-labelledby="sessions" { h2 #sessions { "Your sessions" } (session_list(me, &open, now)) }
                    section aria-labelledby="password-head" { h2 #password-head { "Your password" } (password_form(me, form)) }
                }
                div {
                    section aria-labelledby="factor" {
                        h2 #factor { "Second factor" }
                        @if factor.is_on { p { (state_as("active", "on")) " A log-in asks for a code too. " (factor.recovery_codes_left) " recovery codes are left." } }
                        @else { p { (state_as("paused", "off")) " A code of your phone besides the password keeps out who learns the password." } }
                        p { a.button.quiet href="/account/second-factor" { @if factor.is_on { "Look after it" } @else { "Set it up" } } }
                    }
                    section aria-labelledby="telling" {
                        h2 #telling { "How you are told" }
                        p { "By mail, push or SMS besides this desk; when, and how urgent it must be." }
                        p { a.button.quiet href="/account/telling" { "Set it" } }
                    }
                    (passkeys)
                    (browsers)
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

/// Each session with its end.
fn session_list(me: &Reader, open: &[OpenSession], now: jiff::Timestamp) -> Markup {
    html! {
        ul.lines {
            @for one in open {
                li {
                    p.title {
                        (say(&program(one.user_agent.as_deref()))) @if let Some(ip) = one.ip_address { " at " code { (ip) } }
                        @if one.id == me.session.id { " " (state_as("active", "this one")) }
                    }
                    div.meta {
                        "used " (when(one.last_accessed, now)) " · began " (time(one.created_at)) " · ends " (when(one.expires_at, now)) " unless it is used "
                        @if one.id != me.session.id { (button(me, "/account/sessions/end", &[("id", &one.id.to_string())], "End it", "quiet danger", &format!("the session that began {}", one.created_at.strftime("%-d %b %Y, %H:%M")))) }
                    }
                }
            }
        }
        form method="post" action="/account/leave" data-once="" {
            (token(me))
            p.soft { "Lost a phone, or left a window open somewhere? This logs you out everywhere, here too." }
            div.buttons { button.danger type="submit" { "End all my sessions" } }
        }
    }
}

/// The program behind a user agent, in a word or two.
fn program(user_agent: Option<&str>) -> String {
    let Some(agent) = user_agent.filter(|a| !a.is_empty()) else { return "An unnamed program".to_owned() };
    let find =
        |names: &[(&str, &'static str)]| names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name);
    let browser = find(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = find(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ => super::parts::cut(agent, 60),
    }
}

fn password_form(me: &Reader, form: Form<'_>) -> Markup {
    let is_open = form.sent.is_some_and(|s| s.get("new_password").is_some());
    html! {
        details open[is_open] {
            summary { "Change it" }
            form.form method="post" action="/account/password" data-once="" {
                (token(me))
                input type="hidden" name="username" value=(me.session.username) autocomplete="username";
                (form.of_kind("password", "current_password", "The present one", "", ""))
                (form.of_kind("password", "new_password", "The new one", "", &format!("{MIN_CHARS} characters or more; a few words that do not belong together do well.")))
                (form.of_kind("password", "new_again", "The new one, once more", "", ""))
                div.buttons { button.primary type="submit" { "Change it" } span.hint { "It ends all your other sessions." } }
            }
        }
    }
}

/// `POST /account/password`
pub(crate) async fn set_password(
    State(app): State<App>,
    headers: HeaderMap,
    SignedForm(me, sent): SignedForm,
) -> Result<Response> {
    let text = |name: &str| sent.get(name).unwrap_or_default().to_owned();
    let (present, new) = (text("current_password"), text("new_password"));
    let done = if new == text("new_again") {
        let device = session::device(&app, &headers, &me.session.username);
        sign_in::change_password(app.store(), &me.actor, &me.session, device.as_ref(), present, new).await.map_err(
            |e| match Fault::from(e) {
                fault if fault.errors.iter().any(|e| e.field == "password") => {
                    Fault::invalid("new_password", fault.detail.clone())
                }
                fault => fault,
            },
        )
    } else {
        Err(Fault::invalid("new_again", "the two are not the same"))
    };
    match done {
        Ok(()) => Ok(Redirect::to("/account?done=yes").into_response()),
        Err(fault) => refused(&app, me, &sent, fault).await,
    }
}

/// `POST /account/sessions/end`: ends one of one's own.
pub(crate) async fn end_session(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let id = sent.get("id").and_then(|id| id.parse().ok()).ok_or_else(|| Fault::not_found("session"))?;
    sign_in::end_session(app.store(), &me.actor, id).await?;
    Ok(Redirect::to("/account").into_response())
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
        details open[form.sent.is_some_and(|s| s.get("days").is_some())] {
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
    match make(&app, &me, &sent).await {
        Ok(made) => {
            let me = Reader::of(&app, me).await?;
            Ok(render(&app, &me, Form::default(), Some(&made), false).await?.into_response())
        }
        Err(fault) => refused(&app, me, &sent, fault).await,
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
