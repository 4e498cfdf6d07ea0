//! The people whom rules know: who stands among the contacts, and for administrators adding and removing.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use store::contacts::{self, Contact};

use super::{
    form::Form,
    layout::{Reader, button, fault_notice, shell, token},
    parts::{empty, say, time},
};
use crate::{
    app::App,
    body::SignedForm,
    fault::{Fault, Result},
};

/// `GET /policies/contacts`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let rows = contacts::list(&me.actor, app.store()).await?;
    Ok(render(&me, &rows, Form::default()))
}

fn render(me: &Reader, rows: &[Contact], form: Form<'_>) -> Markup {
    shell(
        me,
        "Contacts",
        "/policies",
        &html! {
            p.crumbs { a href="/policies" { "Policies" } }
            h1 { "Contacts" }
            p.lead { "Whom you know. A rule may ask " code { "known(args.to)" } " and so let the employee write to these people, and to nobody else." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            @if rows.is_empty() {
                (empty("Nobody stands here yet.", &html! { "Then no condition with known(…) holds, and what it would allow is asked." }))
            } @else {
                table {
                    caption.hidden { "Contacts by address" }
                    thead {
                        tr {
                            th scope="col" { "Address" } th scope="col" { "Name" } th.opt scope="col" { "Since" }
                            @if me.is_admin() { th scope="col" { span.hidden { "Remove" } } }
                        }
                    }
                    tbody {
                        @for row in rows {
                            tr {
                                th scope="row" { (say(&row.address)) }
                                td { @if let Some(name) = &row.name { (say(name)) } }
                                td.opt { (time(row.created_at)) }
                                @if me.is_admin() {
                                    td { (button(me, "/policies/contacts/remove", &[("address", &row.address)], "Remove", "quiet danger", &row.address)) }
                                }
                            }
                        }
                    }
                }
            }
            @if me.is_admin() {
                section aria-labelledby="add" {
                    h2 #add { "Add somebody" }
                    form.form method="post" action="/policies/contacts" data-once="" {
                        (token(me))
                        div.pair {
                            (form.line("address", "Address", "", "As in ada@example.org, or what your mail tool calls it; in small letters."))
                            (form.line("name", "Name", "", "May be left out."))
                        }
                        div.buttons { button.primary type="submit" { "Add" } }
                    }
                }
            }
        },
    )
}

/// `POST /policies/contacts`
pub(crate) async fn add(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let address = sent.text("address").unwrap_or_default();
    match domain::contacts::add(app.store(), &me.actor, address, sent.text("name")).await.map_err(Fault::from) {
        Ok(_) => Ok(Redirect::to("/policies/contacts").into_response()),
        Err(fault) if fault.status.is_client_error() => {
            let me = Reader::of(&app, me).await?;
            let rows = contacts::list(&me.actor, app.store()).await?;
            Ok((fault.status, render(&me, &rows, Form::again(&sent, &fault))).into_response())
        }
        Err(fault) => Err(fault),
    }
}

/// `POST /policies/contacts/remove`
pub(crate) async fn remove(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    if !contacts::remove(&me.actor, app.store(), sent.get("address").unwrap_or_default()).await? {
        return Err(Fault::not_found("contact that you may remove"));
    }
    Ok(Redirect::to("/policies/contacts").into_response())
}
