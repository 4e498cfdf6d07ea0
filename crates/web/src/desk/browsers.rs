//! Pushes to browsers on the desk: one's own browsers, the button that adds this one, and the script that shows a push.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use domain::web_push;
use maud::{Markup, html};

use super::{
    layout::{Reader, button, token},
    parts::{empty, say, time},
};
use crate::{
    app::App,
    assets::PUSH,
    body::SignedForm,
    fault::{Fault, Result},
};

/// The part of one's own page that shows which browsers are told.
pub(super) async fn section(app: &App, me: &Reader) -> Result<Markup> {
    let held = web_push::list(app.store(), &me.actor).await?;
    Ok(html! {
        section aria-labelledby="browsers" {
            h2 #browsers { "Pushes to browsers" }
            p.soft { "A browser shows what Steward has to say while no page of it is open: a title, and where it leads. It goes over the service of the browser's maker, which can't read it." }
            @if held.is_empty() { (empty("None is told.", &html! { "On a phone, put the desk on the home screen first." })) }
            ul.lines {
                @for one in &held {
                    li {
                        p.title { (say(&one.name)) }
                        div.meta {
                            "since " (time(one.created_at)) " "
                            (button(me, "/account/browsers/remove", &[("id", &one.id.to_string())], "Tell it no more", "quiet danger", &one.name))
                        }
                    }
                }
            }
            form.form data-script="" hidden {
                (token(me))
                div.field {
                    label for="browser-name" { "What you call this one" }
                    input #browser-name name="name" type="text" maxlength="100" value="This browser";
                }
                div.buttons {
                    button type="button" data-push="" { "Tell me here" }
                    p role="status" {}
                }
            }
            script src=(PUSH.path()) defer {}
        }
    })
}

/// `POST /account/browsers/remove`
pub(crate) async fn remove(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let id = sent.get("id").and_then(|id| id.parse().ok()).ok_or_else(|| Fault::not_found("browser"))?;
    web_push::unsubscribe(app.store(), &me.actor, id).await?;
    Ok(Redirect::to("/account").into_response())
}

/// `GET /sw.js`: stands at the top, since a script there alone may show a push for the whole desk.
pub(crate) async fn worker() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_bytes!("../assets/sw.js").as_slice()).into_response()
}
