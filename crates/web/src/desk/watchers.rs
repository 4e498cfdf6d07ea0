//! Watchers: what each notices and how it fares; a look at what it would do, a pause, a way on, and an end.

use std::time::Duration;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::Value as Json;
use store::watchers::{self, Watcher};
use uuid::Uuid;

use super::{
    layout::{Reader, button, fault_notice, shell, token},
    parts::{block, empty, name_of, pretty, say, state, state_as, time, when},
    watcher_fields::kind,
};
use crate::{
    api::pages,
    app::{App, names},
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    hands::Preview,
    params::{Id, Params},
    session::Signed,
};

/// How long a look at what a watcher would do may take: an answer takes no longer.
const LOOKING: Duration = Duration::from_secs(30);
/// Tasks of such a look that are shown.
const PREVIEWED: usize = 20;

/// `GET /watchers`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["cursor", "limit"])?;
    let rows: Vec<_> = watchers::list(&me.actor, app.store()).await?.into_iter().map(domain::watchers::shown).collect();
    let (rows, next) = pages::cut(rows, &params, |w| w.id.to_string())?;
    let names = names(&app, &me.actor, rows.iter().filter_map(|w| w.created_by)).await?;
    let now = store::now();
    Ok(shell(
        &me,
        "Watchers",
        "/watchers",
        &html! {
            div.head {
                h1 { "Watchers" }
                p.acts { a.button.primary href="/watchers/new" { "Add a watcher" } }
            }
            p.lead { "A watcher notices things outside and makes a task of each, once. It acts for the person who made it." }
            @if rows.is_empty() {
                (empty("Nothing is watched.", &html! { "What arrives in a folder, in a mailbox or in a feed can become work by itself, and so can a time of day: " a href="/watchers/new" { "add a watcher" } "." }))
            }
            ul.cards {
                @for watcher in &rows {
                    li id=(watcher.id) data-key=(watcher.id) {
                        div.row.plain id={ "watcher-" (watcher.id) } data-live="" {
                            div.grow {
                                p.title { a href={ "/watchers/" (watcher.id) } { (say(&watcher.name)) } " " (standing(watcher)) }
                                p.meta {
                                    (kind(&watcher.watcher_type).map_or(watcher.watcher_type.as_str(), |k| k.title))
                                    @if let Some(at) = place(watcher) { " " code { (say(at)) } }
                                    @if let Some(playbook) = setting(watcher, "playbook") { " · for the playbook " (say(playbook)) }
                                    @if let Some(person) = setting(watcher, "assign_to") { " · for " (say(person)) }
                                    " · of " (name_of(&names, watcher.created_by)) " · "
                                    @match watcher.last_run { Some(at) => { "last looked " (when(at, now)) }, None => "has not looked yet" }
                                }
                                (trouble(watcher))
                            }
                            div.buttons { (rest(&me, watcher, "/watchers")) }
                        }
                    }
                }
            }
            @if let Some(next) = next { p.more { a rel="next" href={ "/watchers?cursor=" (next) } { "More watchers" } } }
        },
    ))
}

/// What was wrong at the last look.
fn trouble(watcher: &Watcher) -> Markup {
    html! {
        @if let Some(error) = &watcher.last_error { p.error { (say(error)) @if watcher.error_count > 1 { " (" (watcher.error_count) " times in a row)" } } }
    }
}

/// The button that lets it rest, or go on.
fn rest(me: &Signed, watcher: &Watcher, back: &str) -> Markup {
    let (word, verb) = if watcher.is_active { ("no", "Pause") } else { ("yes", "Resume") };
    let fields = [("id", watcher.id.to_string()), ("run", word.to_owned()), ("back", back.to_owned())];
    button(me, "/watchers/run", &fields.each_ref().map(|(n, v)| (*n, v.as_str())), verb, "quiet", &watcher.name)
}

fn setting<'a>(watcher: &'a Watcher, name: &str) -> Option<&'a str> {
    watcher.config.as_ref()?.get(name).and_then(Json::as_str)
}

/// Where it looks, whatever its kind calls that.
fn place(watcher: &Watcher) -> Option<&str> {
    ["path", "url", "calendar", "cron", "host"].iter().find_map(|name| setting(watcher, name))
}

fn standing(watcher: &Watcher) -> Markup {
    match (watcher.is_active, watcher.error_count, watcher.last_run) {
        (false, ..) => state("paused"),
        (true, 0, None) => state_as("running", "new"),
        (true, 0, Some(_)) => state_as("active", "watching"),
        (true, ..) => state("error"),
    }
}

pub(super) async fn find(app: &App, me: &Signed, id: Uuid) -> Result<Watcher> {
    watchers::get(&me.actor, app.store(), id).await?.ok_or_else(|| Fault::not_found("watcher"))
}

/// What the page of one watcher tells besides it.
#[derive(Debug, Default)]
struct Told {
    /// What it would make tasks of, where that was asked.
    preview: Option<std::result::Result<Vec<Preview>, Fault>>,
    /// A secret that was made for it: shown this once.
    secret: Option<String>,
}

/// `GET /watchers/{id}`
pub(crate) async fn one(State(app): State<App>, me: Reader, Id(id): Id) -> Result<Markup> {
    render(&app, &me, id, &Told::default()).await
}

/// The page of one that was just made, with the secret that was made for it.
pub(super) async fn with_secret(app: &App, me: &Reader, id: Uuid, secret: &str) -> Result<Markup> {
    render(app, me, id, &Told { secret: Some(secret.to_owned()), ..Told::default() }).await
}

/// `POST /watchers/{id}/test`: what it would make tasks of now.
pub(crate) async fn test(State(app): State<App>, Id(id): Id, SignedForm(me, _): SignedForm) -> Result<Response> {
    let found = preview(&app, &me, id).await;
    if let Err(fault) = &found
        && (fault.status == StatusCode::NOT_FOUND || !fault.status.is_client_error())
    {
        return found.map(|_| ().into_response());
    }
    let me = Reader::of(&app, me).await?;
    let told = Told { preview: Some(found), ..Told::default() };
    Ok(render(&app, &me, id, &told).await?.into_response())
}

/// What a watcher would make tasks of now. Pages and API look here.
pub(crate) async fn preview(app: &App, me: &Signed, id: Uuid) -> Result<Vec<Preview>> {
    let watcher = find(app, me, id).await?;
    let on = (app.store(), &app.state.vault);
    let look = app.state.hands.preview_watcher(on, &me.actor, &watcher, PREVIEWED);
    match tokio::time::timeout(LOOKING, look).await {
        Ok(found) => Ok(found?),
        Err(_) => Err(Fault::conflict(format!("there was no answer within {} seconds", LOOKING.as_secs()))),
    }
}

async fn render(app: &App, me: &Reader, id: Uuid, told: &Told) -> Result<Markup> {
    let watcher = domain::watchers::shown(find(app, me, id).await?);
    let twice = domain::watchers::also_watched(&watchers::list(&me.actor, app.store()).await?, &watcher);
    let names = names(app, &me.actor, watcher.created_by).await?;
    let now = store::now();
    let what = kind(&watcher.watcher_type);
    Ok(shell(
        me,
        &watcher.name,
        "/watchers",
        &html! {
            p.crumbs { a href="/watchers" { "Watchers" } }
            div.head {
                h1 { (say(&watcher.name)) }
                div.acts {
                    @if what.is_some() { a.button.quiet href={ "/watchers/" (id) "/edit" } { "Change" } }
                    (rest(me, &watcher, &format!("/watchers/{id}")))
                    form.inline method="post" action="/watchers/remove" {
                        (token(me))
                        input type="hidden" name="id" value=(id);
                        button.quiet.danger type="submit" data-sure={ "Remove the watcher " (watcher.name) " with what it has seen? Its tasks stay." } { "Remove" }
                    }
                }
            }
            @if let Some(secret) = &told.secret {
                div.notice.good role="status" {
                    p { strong { "The sender signs with this secret. It is shown this once." } }
                    p { code { (secret) } }
                }
            }
            @if let Some(twice) = twice { div.notice { p { strong { "Watched twice:" } " " (say(&twice)) "." } } }
            div #standing data-live="" {
                p.meta { (standing(&watcher)) " · " (what.map_or(watcher.watcher_type.as_str(), |k| k.title)) }
                (trouble(&watcher))
                @if !watcher.is_active && watcher.last_error.is_some() { p.soft { "It rests until somebody resumes it." } }
            }
            div.cols {
                div {
                    section aria-labelledby="try" {
                        h2 #try { "What it would do" }
                        @if watcher.watcher_type == "webhook" {
                            p { "It is called at " code { "/hooks/" (id) } " of this desk’s address; each call that is signed rightly becomes a task." }
                        } @else {
                            @match &told.preview {
                                None => p.soft { "It looks now and shows what it would make tasks of. Nothing is changed." },
                                Some(Err(fault)) => (fault_notice(fault)),
                                Some(Ok(found)) => (would_make(found)),
                            }
                            (button(me, &format!("/watchers/{id}/test"), &[], "Try it", "", ""))
                        }
                    }
                }
                div {
                    section aria-labelledby="facts" {
                        h2 #facts { "How it fares" }
                        dl.facts {
                            dt { "Acts for" } dd { (name_of(&names, watcher.created_by)) }
                            dt { "Made" } dd { (time(watcher.created_at)) }
                            dt { "Last look" } dd { @match watcher.last_run { Some(at) => (when(at, now)), None => "not yet" } }
                            dt { "Failures in a row" } dd { (watcher.error_count) }
                            @if let Some(at) = place(&watcher) { dt { "Looks at" } dd { code { (say(at)) } } }
                            dt { "Leads the work" } dd { @match setting(&watcher, "playbook") { Some(name) => (say(name)), None => "no playbook" } }
                            dt { "Whose work" } dd { @match setting(&watcher, "assign_to") { Some(name) => (say(name)), None => "the employee’s" } }
                        }
                        @if let Some(config) = &watcher.config { details { summary { "All its settings" } (block(&pretty(config), "Settings")) } }
                        p { a href={ "/audit?entity_type=watcher&entity_id=" (id) } { "All that was ever changed of it" } }
                    }
                }
            }
        },
    ))
}

fn would_make(found: &[Preview]) -> Markup {
    html! {
        @if found.is_empty() {
            div.notice.good role="status" { p { "It was asked and answered: it would make no task now." } }
        } @else {
            div.notice.good role="status" { p { "It would make " (found.len()) @if found.len() == 1 { " task." } @else { " tasks." } " Nothing was changed." } }
            ul.lines {
                @for task in found {
                    li {
                        p.title { (say(&task.title)) }
                        p.meta { code { (say(&task.source)) } @if !task.files.is_empty() { " · " (task.files.len()) @if task.files.len() == 1 { " file" } @else { " files" } } }
                    }
                }
            }
        }
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
    let one = format!("/watchers/{id}");
    let back = if sent.get("back") == Some(one.as_str()) { one } else { format!("/watchers#{id}") };
    Ok(Redirect::to(&back).into_response())
}

/// `POST /watchers/remove`
pub(crate) async fn remove(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    if !watchers::delete(&me.actor, app.store(), id(&sent)?).await? {
        return Err(Fault::not_found("watcher that you may remove"));
    }
    Ok(Redirect::to("/watchers").into_response())
}
