//! Watchers: what each notices and how it fares; a pause, a way on, and an end.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::{Value as Json, json};
use store::{
    Actor, users,
    watchers::{self, Watcher},
};
use uuid::Uuid;

use super::{
    form::{Form, choices},
    layout::{Reader, button, fault_notice, shell, token},
    parts::{block, empty, name_of, pretty, say, state, state_as, when},
    playbooks::at_hand,
};
use crate::{
    app::{App, names},
    body::{Fields, SignedForm},
    fault::{Fault, Result},
};

/// `GET /watchers`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let rows: Vec<_> = watchers::list(&me.actor, app.store()).await?.into_iter().map(domain::watchers::shown).collect();
    let names = names(&app, &me.actor, rows.iter().filter_map(|w| w.created_by)).await?;
    let now = store::now();
    Ok(shell(
        &me,
        "Watchers",
        "/watchers",
        &html! {
            div.head {
                h1 { "Watchers" }
                @if me.is_admin() { p.acts { a.button.primary href="/watchers/new" { "Watch a folder" } } }
            }
            p.lead { "A watcher notices things outside and makes a task of each, once. It acts for the person who made it." }
            @if rows.is_empty() {
                (empty("Nothing is watched.", &html! { "What arrives in a folder can become work by itself: " a href="/watchers/new" { "watch a folder" } "." }))
            }
            @for watcher in &rows {
                article.place id=(watcher.id) {
                    div id={ "watcher-" (watcher.id) } data-live="" {
                        div.head {
                            h2 { (say(&watcher.name)) " " (standing(watcher)) }
                            div.acts {
                                @let (word, verb) = if watcher.is_active { ("no", "Pause") } else { ("yes", "Resume") };
                                (button(&me, "/watchers/run", &[("id", &watcher.id.to_string()), ("run", word)], verb, "quiet", &watcher.name))
                                form.inline method="post" action="/watchers/remove" {
                                    (token(&me))
                                    input type="hidden" name="id" value=(watcher.id);
                                    button.quiet.danger type="submit" aria-label={ "Remove: " (watcher.name) } data-sure={ "Remove the watcher " (watcher.name) " with what it has seen? Its tasks stay." } { "Remove" }
                                }
                            }
                        }
                        p.meta {
                            (watcher.watcher_type)
                            @if let Some(at) = setting(watcher, "path").or_else(|| setting(watcher, "url")) { " " code { (say(at)) } }
                            @if let Some(playbook) = setting(watcher, "playbook") { " · for the playbook " (say(playbook)) }
                            " · of " (name_of(&names, watcher.created_by)) " · "
                            @match watcher.last_run { Some(at) => { "last looked " (when(at, now)) }, None => "has not looked yet" }
                        }
                        @if let Some(error) = &watcher.last_error { p.error { (say(error)) @if watcher.error_count > 1 { " (" (watcher.error_count) " times in a row)" } } }
                    }
                    @if let Some(config) = &watcher.config { details { summary { "Settings" } (block(&pretty(config), "Settings")) } }
                }
            }
        },
    ))
}

fn setting<'a>(watcher: &'a Watcher, name: &str) -> Option<&'a str> {
    watcher.config.as_ref()?.get(name).and_then(Json::as_str)
}

fn standing(watcher: &Watcher) -> Markup {
    match (watcher.is_active, watcher.error_count, watcher.last_run) {
        (false, ..) => state("paused"),
        (true, 0, None) => state_as("running", "new"),
        (true, 0, Some(_)) => state_as("active", "watching"),
        (true, ..) => state("error"),
    }
}

fn id(sent: &Fields) -> Result<Uuid> {
    sent.get("id").and_then(|id| id.parse().ok()).ok_or_else(|| Fault::not_found("watcher"))
}

/// `POST /watchers/run`: lets a watcher rest, or go on.
pub(crate) async fn run(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let id = id(&sent)?;
    if !watchers::set_active(&me.actor, app.store(), id, sent.get("run") == Some("yes")).await? {
        return Err(Fault::not_found("watcher that you may change"));
    }
    Ok(Redirect::to(&format!("/watchers#{id}")).into_response())
}

/// `POST /watchers/remove`
pub(crate) async fn remove(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    if !watchers::delete(&me.actor, app.store(), id(&sent)?).await? {
        return Err(Fault::not_found("watcher that you may remove"));
    }
    Ok(Redirect::to("/watchers").into_response())
}

/// `GET /watchers/new`
pub(crate) async fn new_page(State(app): State<App>, me: Reader) -> Result<Markup> {
    form(&app, &me, Form::default()).await
}

async fn form(app: &App, me: &Reader, form: Form<'_>) -> Result<Markup> {
    let names: Vec<String> = at_hand(app).await?.into_iter().filter(|p| p.errors.is_empty()).map(|p| p.name).collect();
    let playbooks: Vec<(String, String)> = names.iter().map(|n| (n.clone(), n.clone())).collect();
    Ok(shell(
        me,
        "Watch a folder",
        "/watchers",
        &html! {
            p.crumbs { a href="/watchers" { "Watchers" } }
            h1 { "Watch a folder" }
            p.lead { "Each file that arrives there becomes a task for the employee, once, with the file hung on it, encrypted. Files that are still being written are left alone until they stand still." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            form.form method="post" action="/watchers/new" data-once="" {
                (token(me))
                (form.line("name", "Name", "inbox", ""))
                (form.line("path", "Folder", "~/steward/inbox", "On the machine that runs Steward; ~ is the home of whoever it runs as. It may be made later."))
                div.pair {
                    (form.choice("playbook", "Playbook", names.first().map_or("", String::as_str), &playbooks, "What the employee does with each."))
                    (form.choice("priority", "Priority of the tasks", "medium", &choices(&["low", "medium", "high", "critical"]), ""))
                }
                (form.line("patterns", "Only names like", "", "As in *.pdf, *.docx; empty takes every name."))
                div.buttons { button.primary type="submit" { "Watch it" } a.button href="/watchers" { "Leave it" } }
            }
            p.soft { "Mail, feeds and the rest are added in a terminal: " code { "steward watcher add --help" } "." }
        },
    ))
}

/// `POST /watchers/new`
pub(crate) async fn create(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    match add(&app, &me.actor, &sent).await {
        Ok(id) => Ok(Redirect::to(&format!("/watchers#{id}")).into_response()),
        Err(fault) if fault.status.is_client_error() => {
            let me = Reader::of(&app, me).await?;
            Ok((fault.status, form(&app, &me, Form::again(&sent, &fault)).await?).into_response())
        }
        Err(fault) => Err(fault),
    }
}

async fn add(app: &App, actor: &Actor, sent: &Fields) -> Result<Uuid> {
    // Any folder of the machine may be named here, so that it takes more than the right to make a watcher.
    if !users::may(actor, app.store(), "watcher_admin").await? {
        return Err(Fault::from(store::Error::Refused { what: "only administrators watch folders".to_owned() }));
    }
    let name = sent.text("name").unwrap_or_default();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Fault::invalid("name", "a watcher's name needs 1 to 100 characters on one line"));
    }
    if watchers::list(actor, app.store()).await?.iter().any(|w| w.name == name) {
        return Err(Fault::invalid("name", format!("there is a watcher called {name} already; choose another name")));
    }
    let path = sent.text("path").unwrap_or_default();
    if !(path.starts_with('/') || path == "~" || path.starts_with("~/")) || path.contains('\0') {
        return Err(Fault::invalid("path", "write the whole path of the folder, from / or ~/ on"));
    }
    let playbook = sent.get("playbook").unwrap_or_default();
    if !at_hand(app).await?.iter().any(|p| p.name == playbook && p.errors.is_empty()) {
        return Err(Fault::invalid("playbook", "choose one of the playbooks that are at hand and right"));
    }
    let mut config = json!({ "path": path, "playbook": playbook });
    match sent.get("priority") {
        Some("medium") | None => {}
        Some(priority @ ("low" | "high" | "critical")) => config["priority"] = json!(priority),
        Some(_) => return Err(Fault::invalid("priority", "the priority must be low, medium, high or critical")),
    }
    let patterns: Vec<&str> =
        sent.get("patterns").unwrap_or_default().split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
    if !patterns.is_empty() {
        config["patterns"] = json!(patterns);
    }
    Ok(watchers::create(actor, app.store(), name, "folder", config).await?)
}
