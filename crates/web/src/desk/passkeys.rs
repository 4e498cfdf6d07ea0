//! Passkeys on the desk: one's own, and the button that shows one.

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use domain::{passkeys, sign_in};
use maud::{Markup, html};

use super::{
    layout::{Reader, token},
    parts::{empty, say, time, when},
};
use crate::{
    app::App,
    assets::PASSKEYS,
    body::SignedForm,
    fault::{Fault, Result},
    session,
};

/// The part of one's own page that shows one's passkeys.
pub(super) async fn section(app: &App, me: &Reader) -> Result<Markup> {
    let (held, now) = (passkeys::list(app.store(), &me.actor).await?, store::now());
    let is_fresh = sign_in::is_fresh(&me.session);
    let password = |id: &str| {
        html! {
            @if !is_fresh {
                div.field {
                    label for=(id) { "Your password, once more" }
                    input id=(id) name="password" type="password" autocomplete="current-password" maxlength="1000" required;
                }
            }
        }
    };
    Ok(html! {
        section aria-labelledby="passkeys" {
            h2 #passkeys { "Passkeys" }
            p.soft { "A passkey is this device, or a key that you carry, and a finger, a face or a PIN. It lets you in without a password; and while you have one, your password alone lets nobody in." }
            @if held.is_empty() { (empty("You have none.", &html! { "Enrol the device that you sit at." })) }
            ul.lines {
                @for (n, one) in held.iter().enumerate() {
                    li {
                        p.title { (say(&one.name)) " " span.soft { "for " (say(&one.site)) } }
                        div.meta {
                            "since " (time(one.created_at))
                            @match one.last_used_at { Some(at) => { " · used " (when(at, now)) }, None => " · never used" }
                            @if one.sign_count > 0 { " · " (one.sign_count) "×" }
                        }
                        details {
                            summary { "Take it away" }
                            form.form method="post" action="/account/passkeys/remove" data-once="" {
                                (token(me))
                                input type="hidden" name="id" value=(one.id);
                                (password(&format!("password-passkey-{n}")))
                                div.buttons { button.danger type="submit" aria-label={ "Take away: " (one.name) } { "Take it away" } }
                            }
                        }
                    }
                }
            }
            details data-script="" hidden {
                summary { "Enrol a passkey" }
                form.form {
                    div.field {
                        label for="passkey-name" { "What you call it" }
                        input #passkey-name name="name" type="text" maxlength="100" value="This device";
                    }
                    (password("password-passkey"))
                    div.buttons {
                        button.primary type="button" data-passkey="enrol" { "Enrol it" }
                        p role="status" {}
                    }
                }
            }
            (script())
        }
    })
}

/// The script behind the buttons.
pub(super) fn script() -> Markup {
    html! { script src=(PASSKEYS.path()) defer {} }
}

/// A button that logs in; after the password where there is a challenge.
pub(super) fn log_in_button(next: &str, challenge: Option<&str>) -> Markup {
    html! {
        div.buttons data-script="" hidden {
            button type="button" data-passkey="login" data-next=(next) data-challenge=[challenge] { "Use a passkey" }
            p role="status" {}
        }
        (script())
    }
}

/// A button that shows again who one is.
pub(super) fn again_button() -> Markup {
    html! {
        div.buttons data-script="" hidden {
            button type="button" data-passkey="again" { "Or show a passkey" }
            p role="status" {}
        }
        (script())
    }
}

/// `POST /account/passkeys/remove`
pub(crate) async fn remove(
    State(app): State<App>,
    headers: HeaderMap,
    SignedForm(me, sent): SignedForm,
) -> Result<Response> {
    let id = sent.get("id").and_then(|id| id.parse().ok()).ok_or_else(|| Fault::not_found("passkey"))?;
    if let Some(password) = sent.get("password").filter(|p| !p.is_empty()) {
        session::reauthenticate(&app, &me, &headers, password.to_owned()).await?;
    } else if !sign_in::is_fresh(&me.session) {
        return Err(domain::Error::ReauthenticationNeeded.into());
    }
    passkeys::remove(app.store(), &me.actor, id).await?;
    Ok(Redirect::to("/account").into_response())
}
