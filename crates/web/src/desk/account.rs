//! Oneself: who one is here, and an end to all of one's sessions.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use store::{sessions, users};

use super::{
    layout::{Reader, shell, token},
    parts::{say, state, time, when},
};
use crate::{
    app::App,
    body::SignedForm,
    fault::{Fault, Result},
};

/// `GET /account`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let row = users::account(&me.actor, app.store(), me.user_id()).await?.ok_or_else(|| Fault::not_found("account"))?;
    let now = store::now();
    let may = match row.role.as_str() {
        "admin" => "You see and decide everything, and you look after the house.",
        "observer" => "You see everything and change nothing.",
        _ => "You see your own tasks, and decide what the employee asks about them.",
    };
    Ok(shell(
        &me,
        "My account",
        "/account",
        &html! {
            h1 { "My account" }
            div.cols {
                div {
                    section aria-labelledby="who" {
                        h2 #who { "Who you are here" }
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
                div {
                    section aria-labelledby="sessions" {
                        h2 #sessions { "Your sessions" }
                        p { "This one began " (when(me.session.created_at, now)) " and ends " (when(me.session.expires_at, now)) " unless it is used." }
                        form method="post" action="/account/leave" data-once="" {
                            (token(&me))
                            p.soft { "Lost a phone, or left a window open somewhere? This logs you out everywhere, here too." }
                            div.buttons { button.danger type="submit" { "End all my sessions" } }
                        }
                    }
                }
            }
        },
    ))
}

/// `POST /account/leave`: ends all sessions of whoever asks.
pub(crate) async fn leave(State(app): State<App>, SignedForm(me, _): SignedForm) -> Result<Response> {
    sessions::revoke_all_of(&me.actor, app.store(), me.user_id()).await?;
    Ok(Redirect::to("/login").into_response())
}
