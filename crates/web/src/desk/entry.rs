//! Coming in and going out: set-up by its link, log-in, log-out.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::CookieJar;
use domain::{
    guessing::{self, Try},
    passwords::MIN_CHARS,
    second_factor, sign_in,
};
use maud::{Markup, html};
use store::sessions;

use super::{
    layout::{fault_notice, open_page},
    passkeys,
};
use crate::{
    app::App,
    body::{Fields, OpenForm, SignedForm},
    fault::{Fault, Result},
    params::Params,
    session::{self, Client, Signed},
};

/// Pages with a form but no session ask the browser to name its origin to this server (and to no other): without
/// that, a plain-HTTP desk could not tell its own form from a forged one.
const NAMES_ORIGIN: [(HeaderName, &str); 1] = [(header::REFERRER_POLICY, "same-origin")];

/// `GET /setup/{token}`: shows the form; the token is not touched.
pub(crate) async fn setup_page(State(app): State<App>) -> Result<Response> {
    if !domain::accounts::needs_setup(app.store()).await? {
        let page = open_page(
            "Set-up is done",
            &html! {
                h1 { "Set-up is done" }
                p { "There is an administrator already, so this link does nothing any more." }
                p { a href="/login" { "Log in" } }
            },
        );
        return Ok((NAMES_ORIGIN, page).into_response());
    }
    Ok((NAMES_ORIGIN, setup_form(&Fields::default(), None)).into_response())
}

fn setup_form(sent: &Fields, fault: Option<&Fault>) -> Markup {
    open_page(
        "Set up",
        &html! {
            h1 { "Set up Steward" }
            p.lead { "You become its administrator: you add people and servers, and you decide what the employee may do." }
            @if let Some(fault) = fault { (fault_notice(fault)) }
            form.entry method="post" {
                (field("username", "User name", "text", "username", sent.get("username"), Some("Letters, digits, dots, dashes or underscores."), fault))
                (field("email", "E-mail address", "email", "email", sent.get("email"), None, fault))
                (field("password", "Password", "password", "new-password", None, Some(&format!("At least {MIN_CHARS} characters; four or five words make a good one.")), fault))
                (field("password_again", "Password once more", "password", "new-password", None, None, fault))
                button.primary type="submit" { "Make me the administrator" }
            }
        },
    )
}

fn field(
    name: &str,
    label: &str,
    kind: &str,
    complete: &str,
    value: Option<&str>,
    hint: Option<&str>,
    fault: Option<&Fault>,
) -> Markup {
    let wrong = fault.and_then(|f| f.errors.iter().find(|e| e.field == name));
    let hint_id = format!("{name}-hint");
    html! {
        div.field {
            label for=(name) { (label) }
            input id=(name) name=(name) type=(kind) value=[value] autocomplete=(complete) required maxlength="1000"
                autocapitalize="none" spellcheck="false" aria-invalid=[wrong.map(|_| "true")] aria-describedby=[hint.map(|_| hint_id.as_str())];
            @if let Some(hint) = hint { p.hint id=(hint_id) { (hint) } }
        }
    }
}

/// `POST /setup/{token}`: makes the first administrator, and logs in.
pub(crate) async fn setup(
    State(app): State<App>,
    Path(token): Path<String>,
    OpenForm(client, sent): OpenForm,
) -> Result<Response> {
    match make_admin(&app, &client, &token, &sent).await {
        Ok(answer) => Ok(answer),
        Err(fault) if fault.status.is_client_error() => Ok(again(&fault, &setup_form(&sent, Some(&fault)))),
        Err(fault) => Err(fault),
    }
}

async fn make_admin(app: &App, client: &Client, token: &str, sent: &Fields) -> Result<Response> {
    let password = sent.get("password").unwrap_or_default().to_owned();
    if Some(password.as_str()) != sent.get("password_again") {
        return Err(Fault::invalid("password_again", "the two passwords are not the same"));
    }
    // Guessing the link is slowed down as the guessing of passwords is; each try costs a hash.
    let attempt = Try { login: "set-up", ip: client.ip, device: None };
    guessing::begin(app.store(), &attempt).await?;
    let username = sent.text("username").unwrap_or_default().to_owned();
    let setup = domain::accounts::Setup {
        username: username.clone(),
        email: sent.text("email").unwrap_or_default().to_owned(),
        password: password.clone(),
        token: Some(token.to_owned()),
    };
    domain::accounts::setup(app.store(), setup).await?;
    let (_, _, jar) =
        session::log_in(app, client, &HeaderMap::new(), (username.as_str(), password.as_str(), None)).await?;
    Ok((jar, Redirect::to("/")).into_response())
}

/// `GET /login`
pub(crate) async fn login_page(State(app): State<App>, params: Params, me: Result<Signed>) -> Result<Response> {
    let next = safe_next(params.get("next"));
    if me.is_ok() {
        return Ok(Redirect::to(next).into_response());
    }
    let needs_setup = domain::accounts::needs_setup(app.store()).await?;
    Ok((NAMES_ORIGIN, login_form(next, None, None, needs_setup)).into_response())
}

fn login_form(next: &str, login: Option<&str>, fault: Option<&Fault>, needs_setup: bool) -> Markup {
    open_page(
        "Log in",
        &html! {
            h1 { "Log in" }
            @if needs_setup {
                div.notice { p { "Nobody is set up yet. Open the link that Steward printed when it started, or run " code { "steward setup" } "." } }
            }
            @if let Some(fault) = fault { (fault_notice(fault)) }
            form.entry method="post" action="/login" {
                input type="hidden" name="next" value=(next);
                (field("login", "User name or e-mail address", "text", "username", login, None, None))
                (field("password", "Password", "password", "current-password", None, None, None))
                button.primary type="submit" { "Log in" }
            }
            (passkeys::log_in_button(next, None))
        },
    )
}

/// `POST /login`
pub(crate) async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    OpenForm(client, sent): OpenForm,
) -> Result<Response> {
    let next = safe_next(sent.get("next"));
    let name = sent.text("login").unwrap_or_default();
    let password = sent.get("password").unwrap_or_default();
    match session::log_in(&app, &client, &headers, (name, password, None)).await {
        Ok((_, _, jar)) => Ok((jar, Redirect::to(next)).into_response()),
        Err(fault) => match fault.code_for {
            Some(user) => {
                let challenge = second_factor::challenge(&app.device_key, user);
                Ok((NAMES_ORIGIN, code_form(next, &challenge, None)).into_response())
            }
            None if fault.status.is_client_error() => {
                Ok(again(&fault, &login_form(next, Some(name), Some(&fault), false)))
            }
            None => Err(fault),
        },
    }
}

/// The second step of a log-in, where there is a second factor.
fn code_form(next: &str, challenge: &str, fault: Option<&Fault>) -> Markup {
    open_page(
        "Log in",
        &html! {
            h1 { "One more step" }
            @if let Some(fault) = fault { (fault_notice(fault)) }
            form.entry method="post" action="/login/code" {
                input type="hidden" name="next" value=(next);
                input type="hidden" name="challenge" value=(challenge);
                (field("code", "Code of your authenticator app", "text", "one-time-code", None, Some("Or one of your recovery codes."), fault))
                button.primary type="submit" { "Log in" }
            }
            (passkeys::log_in_button(next, Some(challenge)))
            p { a href="/login" { "Begin again" } }
        },
    )
}

/// `POST /login/code`: the code, within five minutes after the password.
pub(crate) async fn login_code(State(app): State<App>, OpenForm(client, sent): OpenForm) -> Result<Response> {
    let next = safe_next(sent.get("next"));
    let challenge = sent.get("challenge").unwrap_or_default();
    let Some(user) = second_factor::challenged(&app.device_key, challenge) else {
        return Ok(Redirect::to("/login").into_response());
    };
    let (code, agent) = (sent.get("code").unwrap_or_default(), client.user_agent.as_deref());
    let found = sign_in::log_in_by_code(app.store(), &app.state.vault, user, code, client.ip, agent).await;
    match found.map_err(Fault::from) {
        Ok((token, _)) => {
            Ok((CookieJar::new().add(session::cookie(token, &client)), Redirect::to(next)).into_response())
        }
        Err(fault) if fault.status.is_client_error() => Ok(again(&fault, &code_form(next, challenge, Some(&fault)))),
        Err(fault) => Err(fault),
    }
}

/// The same form once more, with what was wrong.
fn again(fault: &Fault, page: &Markup) -> Response {
    let mut answer = (fault.status, NAMES_ORIGIN, page.clone()).into_response();
    if let Some(seconds) = fault.retry_after_s {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// `POST /logout`
pub(crate) async fn logout(State(app): State<App>, client: Client, SignedForm(me, _): SignedForm) -> Result<Response> {
    sessions::revoke(&me.actor, app.store(), me.session.id).await?;
    Ok((CookieJar::new().add(session::no_cookie(&client)), Redirect::to("/login")).into_response())
}

/// Where to go after log-in: a page here, never another server.
fn safe_next(asked: Option<&str>) -> &str {
    asked
        .filter(|n| {
            n.len() <= 500
                && n.starts_with('/')
                && !n.starts_with("//")
                && !n.contains(['\\', '\n', '\r', '\t'])
                && n.is_ascii()
        })
        .filter(|n| !n.starts_with("/login") && !n.starts_with("/logout"))
        .unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::safe_next;

    #[test]
    fn log_in_leads_nowhere_else() {
        assert_eq!(safe_next(Some("/approvals/7?x=1")), "/approvals/7?x=1");
        for bad in
            ["//evil.example", "/\\evil.example", "https://evil.example", "", "evil", "/a\nb", "/login", "/logout"]
        {
            assert_eq!(safe_next(Some(bad)), "/", "{bad}");
        }
        assert_eq!(safe_next(None), "/");
    }
}
