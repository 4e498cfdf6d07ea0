//! The frame of every page: head, navigation, and the pages that stand outside it.

use maud::{DOCTYPE, Markup, html};

use super::parts::say;
use crate::{
    assets::{MARK, SCRIPT, STYLE},
    fault::Fault,
    session::Signed,
};

/// The places of the desk in the order of their weight: address and name.
const PLACES: [(&str, &str); 8] = [
    ("/", "Today"),
    ("/approvals", "Approvals"),
    ("/tasks", "Tasks"),
    ("/watchers", "Watchers"),
    ("/servers", "Servers"),
    ("/policies", "Policies"),
    ("/notifications", "Notifications"),
    ("/logs", "Logs"),
];

fn document(title: &str, refresh: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                @if let Some(address) = refresh { meta http-equiv="refresh" content={ "0; url=" (address) }; }
                title { (super::parts::visible(title)) " · Steward" }
                link rel="icon" href=(MARK.path()) type="image/svg+xml";
                link rel="stylesheet" href=(STYLE.path());
                script src=(SCRIPT.path()) defer {}
            }
            (body)
        }
    }
}

/// A page for somebody logged in. `place` is the address of the navigation's entry it belongs to.
pub(crate) fn shell(me: &Signed, title: &str, place: &str, main: &Markup) -> Markup {
    let body = html! {
        body {
            a.skip href="#main" { "Skip to the content" }
            header.side {
                a.brand href="/" { span.mark aria-hidden="true" { "S" } span { "Steward" } }
                nav aria-label="Desk" {
                    ul {
                        @for (address, name) in PLACES {
                            li { a href=(address) aria-current=[(address == place).then_some("page")] { (name) } }
                        }
                    }
                }
                div.who {
                    p { (say(&me.session.username)) " " span.soft { (me.session.role) } }
                    form method="post" action="/logout" {
                        (token(me))
                        button.quiet type="submit" { "Log out" }
                    }
                }
            }
            main #main tabindex="-1" { (main) }
            footer { p { "All times are UTC." } }
        }
    };
    document(title, None, &body)
}

/// The hidden field that every form of a session carries.
pub(crate) fn token(me: &Signed) -> Markup {
    html! { input type="hidden" name="csrf" value=(me.form_token); }
}

/// A page for somebody who is not logged in.
pub(crate) fn open_page(title: &str, main: &Markup) -> Markup {
    let body = html! {
        body.open {
            main #main {
                p.brand { span.mark aria-hidden="true" { "S" } span { "Steward" } }
                (main)
            }
        }
    };
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
