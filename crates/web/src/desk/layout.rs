//! The frame of every page: head, navigation, and the pages that stand outside it.

use std::ops::Deref;

use axum::{extract::FromRequestParts, http::request::Parts};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use store::{approvals, notifications};

use super::parts::say;
use crate::{
    app::App,
    assets::{MANIFEST, MARK, PICTURE, SCRIPT, STYLE},
    fault::{Fault, Result},
    session::Signed,
};

/// Counts in the navigation go no further.
const COUNTED: i64 = 100;

/// The places of the desk: the everyday ones first, then by what they are for.
pub(crate) const PLACES: [(&str, &[(&str, &str)]); 4] = [
    ("", &[("/", "Today"), ("/approvals", "Approvals"), ("/tasks", "Tasks"), ("/notifications", "Notifications")]),
    (
        "The employee",
        &[
            ("/watchers", "Watchers"),
            ("/servers", "Servers"),
            ("/policies", "Policies"),
            ("/playbooks", "Playbooks"),
            ("/handbook", "Handbook"),
            ("/memory", "Memory"),
            ("/models", "Models"),
        ],
    ),
    ("The record", &[("/briefing", "Briefing"), ("/activity", "Activity"), ("/logs", "Logs"), ("/audit", "Audit")]),
    ("The house", &[("/users", "Users"), ("/system", "System"), ("/account", "My account")]),
];

/// Somebody logged in who looks at a page, with what the frame tells on each.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    me: Signed,
    /// Open approvals the reader may see, counted up to [`COUNTED`].
    waiting: i64,
    /// Unread notifications of the reader's, counted likewise.
    unread: i64,
}

impl Deref for Reader {
    type Target = Signed;
    fn deref(&self) -> &Signed {
        &self.me
    }
}

impl Reader {
    /// With what is counted now.
    pub async fn of(app: &App, me: Signed) -> Result<Self> {
        let (waiting, unread) = tokio::try_join!(
            approvals::waiting(&me.actor, app.store(), COUNTED),
            notifications::unread(&me.actor, app.store(), COUNTED),
        )?;
        Ok(Self { me, waiting, unread })
    }

    /// Open approvals, and the word for more than are counted.
    pub fn waiting_words(&self) -> String {
        counted(self.waiting)
    }

    fn count(&self, address: &str) -> Option<String> {
        let count = match address {
            "/approvals" => self.waiting,
            "/notifications" => self.unread,
            _ => 0,
        };
        (count > 0).then(|| counted(count))
    }
}

fn counted(count: i64) -> String {
    if count >= COUNTED { format!("{}+", COUNTED - 1) } else { count.to_string() }
}

impl FromRequestParts<App> for Reader {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let me = Signed::from_request_parts(parts, app).await?;
        Self::of(app, me).await
    }
}

fn document(title: &str, refresh: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="theme-color" content="#f7f5ef" media="(prefers-color-scheme: light)";
                meta name="theme-color" content="#14181a" media="(prefers-color-scheme: dark)";
                meta name="robots" content="noindex";
                @if let Some(address) = refresh { meta http-equiv="refresh" content={ "0; url=" (address) }; }
                title { (super::parts::visible(title)) " · Steward" }
                link rel="icon" href=(MARK.path()) type="image/svg+xml";
                link rel="apple-touch-icon" href=(PICTURE.path());
                link rel="manifest" href=(MANIFEST.path());
                link rel="stylesheet" href=(STYLE.path());
                // What it puts into the reader's zone and shows stands so at the first paint: nothing moves after it.
                script src=(SCRIPT.path()) defer blocking="render" {}
            }
            (body)
        }
    }
}

/// A page for somebody logged in. `place` is the address of the navigation's entry it belongs to.
pub(crate) fn shell(me: &Reader, title: &str, place: &str, main: &Markup) -> Markup {
    let body = html! {
        body {
            a.skip href="#main" { "Skip to the content" }
            header.side {
                (brand())
                nav aria-label="Desk" { (navigation(me, place)) }
                div.who {
                    p { a href="/account" { (say(&me.session.username)) } " " span.soft { (me.session.role) } }
                    p.buttons {
                        button.quiet type="button" data-opens="palette" data-script="" hidden title="Ctrl K" { "Go to …" }
                        button.quiet type="button" data-opens="keys" data-script="" hidden aria-label="Keys" { "?" }
                    }
                    form method="post" action="/logout" {
                        (token(me))
                        button.quiet type="submit" { "Log out" }
                    }
                }
            }
            main #main tabindex="-1" data-events="/v1/events" { (main) }
            footer { p #zone { "All times are UTC." } }
        }
    };
    document(title, None, &body)
}

fn brand() -> Markup {
    html! { a.brand href="/" { span.mark aria-hidden="true" { (PreEscaped(include_str!("../assets/mark.svg"))) } span { "Steward" } } }
}

fn navigation(me: &Reader, place: &str) -> Markup {
    html! {
        @for (group, places) in PLACES {
            div class=[(!group.is_empty()).then_some("rest")] {
                @if !group.is_empty() { p.group { (group) } }
                ul {
                    @for (address, name) in places {
                        li {
                            a href=(address) aria-current=[(*address == place).then_some("page")] {
                                span { (name) }
                                @if let Some(count) = me.count(address) { span.count { (count) span.hidden { " waiting" } } }
                            }
                        }
                    }
                    @if group.is_empty() {
                        li.more-places { a href="/more" aria-current=[(place == "/more").then_some("page")] { "More" } }
                    }
                }
            }
        }
    }
}

/// `GET /more`: the way to every place where the window is too narrow for the whole navigation.
pub(crate) async fn more(me: Reader) -> Markup {
    shell(
        &me,
        "More",
        "/more",
        &html! {
            h1 { "More" }
            @for (group, places) in PLACES.iter().skip(1) {
                section {
                    h2 { (group) }
                    ul.lines { @for (address, name) in *places { li { a href=(address) { (name) } } } }
                }
            }
            section {
                h2 { (say(&me.session.username)) }
                form method="post" action="/logout" { (token(&me)) button type="submit" { "Log out" } }
            }
        },
    )
}

/// The hidden field that every form of a session carries.
pub(crate) fn token(me: &Signed) -> Markup {
    html! { input type="hidden" name="csrf" value=(me.form_token); }
}

/// A form with one button and nothing to fill in.
pub(crate) fn button(
    me: &Signed,
    action: &str,
    fields: &[(&str, &str)],
    label: &str,
    class: &str,
    about: &str,
) -> Markup {
    html! {
        form.inline method="post" action=(action) data-once="" {
            (token(me))
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button class=(class) type="submit" aria-label=[(!about.is_empty()).then(|| format!("{label}: {about}"))] { (label) }
        }
    }
}

/// A page for somebody who is not logged in.
pub(crate) fn open_page(title: &str, main: &Markup) -> Markup {
    let body = html! { body.open { main #main { (brand()) (main) } } };
    document(title, None, &body)
}

/// What happened, why, and what to do.
pub(crate) fn fault_page(fault: &Fault, request_id: &str) -> Markup {
    open_page(
        fault.title(),
        &html! {
            h1 { (fault.title()) }
            (fault_notice(fault))
            p { a href="/" { "To Today" } }
            p.soft.small { "Request " code { (request_id) } }
        },
    )
}

/// A fault as a part of a page.
pub(crate) fn fault_notice(fault: &Fault) -> Markup {
    html! {
        div.notice.bad role="alert" {
            p { strong { (sentence(&fault.detail)) } }
            @if !fault.advice.is_empty() { p { (fault.advice) } }
        }
    }
}

/// Begins with a capital and ends with a stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let mut out: String =
        chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default() + chars.as_str();
    if !out.ends_with(['.', '!', '?', ':', ')']) {
        out.push('.');
    }
    out
}

/// A step on our own page, after which the cookie comes along.
pub(crate) fn step_page(address: &str) -> Markup {
    let body = html! {
        body.open { main #main { p { a href=(address) { "Continue to Steward" } } } }
    };
    document("Steward", Some(address), &body)
}
