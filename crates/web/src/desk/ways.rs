//! The ways by which people are told beside the desk, as an administrator sets them up.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::{Value as Json, json};
use store::notification_channels;

use super::{
    form::Form,
    layout::{Reader, fault_notice, shell, token},
    settings::{self, Entry, Field, Secret, field, put},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
};

/// A way, as it is set up.
struct Sheet {
    name: &'static str,
    title: &'static str,
    lead: &'static str,
    fields: &'static [Field],
    secrets: &'static [Secret],
}

const DESK: Field = field(
    "desk_url",
    "Address of this desk",
    "At which people open it, as in https://desk.example.org; messages lead there.",
    Entry::Line,
);
const PRIVATE: Field = field(
    "allow_private",
    "Hosts that may be reached although they are not public",
    "With commas between.",
    Entry::List,
);

const SHEETS: &[Sheet] = &[
    Sheet {
        name: "email",
        title: "Mail",
        lead: "Through a mail server (SMTP).",
        fields: &[
            field("host", "Server", "As in smtp.example.org.", Entry::Line),
            field(
                "security",
                "Encryption",
                "",
                Entry::Choice(&[("", "TLS"), ("starttls", "STARTTLS"), ("none", "none")]),
            ),
            field("port", "Port", "465 with TLS, 587 with STARTTLS, where nothing is said.", Entry::Number),
            field("user", "User", "", Entry::Line),
            field("from", "Sender", "As in Steward <steward@example.org>.", Entry::Line),
            DESK,
        ],
        secrets: &[Secret { name: "password", label: "Password", hint: "" }],
    },
    Sheet {
        name: "push",
        title: "Push",
        lead: "Through an ntfy server, or what takes the same. Each person sets a topic of one’s own.",
        fields: &[field("url", "Address", "As in https://ntfy.sh.", Entry::Line), DESK, PRIVATE],
        secrets: &[Secret { name: "token", label: "Token", hint: "Where the server wants one." }],
    },
    Sheet {
        name: "sms",
        title: "SMS",
        lead: "Through a gateway over HTTP: Twilio, or any other by a template.",
        fields: &[
            field("kind", "Gateway", "", Entry::Choice(&[("twilio", "Twilio"), ("generic", "another one")])),
            field("account", "Account", "For Twilio.", Entry::Line),
            field("from", "Sender’s number", "For Twilio, as in +15005550006.", Entry::Line),
            field("url", "Address", "For another one; {to}, {text} and {id} are filled in.", Entry::Line),
            field(
                "method",
                "Method",
                "For another one.",
                Entry::Choice(&[("", "POST"), ("GET", "GET"), ("PUT", "PUT")]),
            ),
            field("content_type", "Content type", "As in application/json.", Entry::Line),
            field("body", "Body", "As in {\"to\": \"{to}\", \"text\": \"{text}\"}.", Entry::Lines),
            DESK,
            PRIVATE,
        ],
        secrets: &[Secret {
            name: "token",
            label: "Token",
            hint: "Of another gateway the whole header Authorization.",
        }],
    },
];

fn sheet(name: &str) -> Result<&'static Sheet> {
    SHEETS.iter().find(|s| s.name == name).ok_or_else(|| Fault::not_found("such way"))
}

async fn only_admins(app: &App, actor: &store::Actor) -> Result<()> {
    if store::users::may(actor, app.store(), "channel_admin").await? {
        return Ok(());
    }
    Err(store::Error::Refused { what: "only administrators set up ways".to_owned() }.into())
}

/// `GET /account/telling/{way}`
pub(crate) async fn page(State(app): State<App>, me: Reader, Path(way): Path<String>) -> Result<Markup> {
    let sheet = sheet(&way)?;
    only_admins(&app, &me.actor).await?;
    render(&app, &me, sheet, Form::default()).await
}

async fn render(app: &App, me: &Reader, sheet: &Sheet, form: Form<'_>) -> Result<Markup> {
    let stands =
        notification_channels::list(&me.actor, app.store()).await?.into_iter().find(|c| c.channel == sheet.name);
    let config = stands.as_ref().map_or_else(|| json!({}), |c| c.config.clone());
    Ok(shell(
        me,
        sheet.title,
        "/account",
        &html! {
            p.crumbs { a href="/account" { "My account" } " / " a href="/account/telling" { "How you are told" } }
            h1 { (sheet.title) }
            p.lead { (sheet.lead) }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            form.form method="post" action={ "/account/telling/" (sheet.name) } data-once="" autocomplete="off" {
                (token(me))
                @for field in sheet.fields { (field.render(form, &config)) }
                (settings::render_secrets(sheet.secrets, form, "Sealed with the master key, and never shown again. A way is set up as a whole: enter them each time."))
                div.buttons {
                    button.primary type="submit" name="act" value="set" { "Set it up" }
                    @if stands.is_some() { button.danger type="submit" name="act" value="remove" data-sure={ "Tell nobody by " (sheet.title) " any more?" } { "Take it away" } }
                    a.button href="/account/telling" { "Leave it" }
                }
            }
        },
    ))
}

/// `POST /account/telling/{way}`
pub(crate) async fn set(
    State(app): State<App>,
    Path(way): Path<String>,
    SignedForm(me, sent): SignedForm,
) -> Result<Response> {
    let sheet = sheet(&way)?;
    only_admins(&app, &me.actor).await?;
    let done = if sent.get("act") == Some("remove") {
        if notification_channels::delete(&me.actor, app.store(), sheet.name).await? {
            Ok(())
        } else {
            Err(Fault::not_found("such way that you may take away"))
        }
    } else {
        set_up(&app, &me.actor, sheet, &sent).await
    };
    match done {
        Ok(()) => Ok(Redirect::to("/account/telling?done=yes").into_response()),
        Err(fault) if fault.status.is_client_error() => {
            let me = Reader::of(&app, me).await?;
            Ok((fault.status, render(&app, &me, sheet, Form::again(&sent, &fault)).await?).into_response())
        }
        Err(fault) => Err(fault),
    }
}

async fn set_up(app: &App, actor: &store::Actor, sheet: &Sheet, sent: &Fields) -> Result<()> {
    let mut config: Json = json!({});
    for field in sheet.fields {
        put(&mut config, field.name, field.read(sent)?);
    }
    let secret = settings::read_secrets(sheet.secrets, sent);
    let on = (app.store(), &app.state.vault);
    Ok(app.state.hands.set_way(on, actor, sheet.name, config, secret).await?)
}
