//! Watchers and policies.

use axum::extract::State;
use maud::{Markup, html};
use store::{policies, watchers};

use super::{
    layout::shell,
    parts::{block, empty, name_of, pretty, say, state, when},
};
use crate::{
    app::{App, names},
    fault::Result,
    session::Signed,
};

/// `GET /watchers`
pub(crate) async fn watchers(State(app): State<App>, me: Signed) -> Result<Markup> {
    let rows: Vec<_> = watchers::list(&me.actor, app.store()).await?.into_iter().map(domain::watchers::shown).collect();
    let names = names(&app, &me.actor, rows.iter().filter_map(|w| w.created_by)).await?;
    let now = store::now();
    Ok(shell(
        &me,
        "Watchers",
        "/watchers",
        &html! {
            h1 { "Watchers" }
            p.lead { "A watcher notices things outside and makes a task of each, once. It acts for the person who made it." }
            @if rows.is_empty() {
                (empty("Nothing is watched.", &html! { "Add a folder: " code { "steward watcher add inbox --type folder --config '{\"path\": \"~/steward/inbox\", \"playbook\": \"file-away\"}'" } }))
            }
            @for watcher in &rows {
                article.place {
                    h2 { (say(&watcher.name)) " " (state(match (watcher.is_active, watcher.error_count) { (false, _) => "paused", (true, 0) => "active", _ => "error" })) }
                    p.meta {
                        (watcher.watcher_type) " · of " (name_of(&names, watcher.created_by)) " · "
                        @match watcher.last_run { Some(at) => { "last looked " (when(at, now)) }, None => "has not looked yet" }
                    }
                    @if let Some(error) = &watcher.last_error { p.error { (say(error)) @if watcher.error_count > 1 { " (" (watcher.error_count) " times in a row)" } } }
                    @if let Some(config) = &watcher.config { details { summary { "Settings" } (block(&pretty(config), "Settings")) } }
                }
            }
        },
    ))
}

/// `GET /policies`
pub(crate) async fn policies(State(app): State<App>, me: Signed) -> Result<Markup> {
    let rows = policies::shown(&me.actor, app.store()).await?;
    Ok(shell(
        &me,
        "Policies",
        "/policies",
        &html! {
            h1 { "Policies" }
            p.lead { "Before each call the rules are asked from top to bottom; the first one that matches decides. Where none does, a person is asked." }
            @if rows.is_empty() {
                (empty("There are no rules: every call asks.", &html! { "Add one with " code { "steward policy add" } "." }))
            } @else {
                table {
                    caption.hidden { "Rules in the order in which they are asked" }
                    thead { tr { th scope="col" { "Rule" } th scope="col" { "Effect" } th scope="col" { "Calls" } th.opt scope="col" { "Reaches outside content" } } }
                    tbody {
                        @for rule in &rows {
                            tr {
                                th scope="row" {
                                    span.soft { (rule.position) } " " (say(&rule.name))
                                    @if !rule.is_active { " " (state("paused")) }
                                }
                                td { (state(&rule.effect)) @if rule.effect == "ask" { p.soft.small { "within " (minutes(rule.approval_ttl_minutes)) } } }
                                td {
                                    code { (say(&rule.server)) "/" (breakable(&rule.tool)) }
                                    @if let Some(condition) = &rule.condition { p.small { "if " code { (say(condition)) } } }
                                }
                                td.opt { @if rule.outside || rule.effect != "allow" { "yes" } @else { "no, asks instead" } }
                            }
                        }
                    }
                }
                p.soft.small { "After the last rule: ask." }
            }
        },
    ))
}

/// A long list of names that may break after its commas.
fn breakable(text: &str) -> Markup {
    html! { @for (place, part) in text.split(',').enumerate() { @if place > 0 { "," wbr; } (say(part)) } }
}

fn minutes(minutes: i32) -> String {
    match minutes {
        m if m % 1440 == 0 => format!("{} days", m / 1440).replace("1 days", "1 day"),
        m if m % 60 == 0 => format!("{} h", m / 60),
        m => format!("{m} min"),
    }
}
