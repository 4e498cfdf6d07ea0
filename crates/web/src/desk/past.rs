//! Past calls judged by changed rules: what would differ if a rule did not stand, or another one did. Nothing is called.

use axum::extract::State;
use domain::{
    policy::Effect,
    replay::{self, Change, MAX_DAYS, Replayed},
};
use maud::{Markup, html};
use store::policies;

use super::{
    layout::{Reader, sentence, shell},
    parts::{empty, json_block, say, state, time},
};
use crate::{
    app::App,
    fault::{Fault, Result},
    params::Params,
};

/// Differences of a page.
const ROWS: usize = 100;
/// Looked back where nothing is said, in days.
pub(crate) const DAYS: i64 = 30;

/// `GET /policies/past`: which calls of the last days would be judged otherwise without a rule.
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["days", "without"])?;
    let days = match params.get("days") {
        None => DAYS,
        Some(days) => {
            days.parse().map_err(|_| Fault::invalid("days", format!("give a whole number of days, 1 to {MAX_DAYS}")))?
        }
    };
    let rows = policies::shown(&me.actor, app.store()).await?;
    let without = params.get("without").filter(|name| !name.is_empty());
    let found = match without {
        Some(name) => {
            let change = Change { without: vec![name.to_owned()], with: Vec::new() };
            Some(replay::replay(app.store(), &me.actor, days, &change).await?)
        }
        None => None,
    };
    Ok(shell(
        &me,
        "Rules on the past",
        "/policies",
        &html! {
            p.crumbs { a href="/policies" { "Policies" } }
            h1 { "Rules on the past" }
            p.lead { "What the calls of the last days would have come to if a rule did not stand. Nothing is called and nothing changed. For a new rule: " a href="/policies/new" { "write it" } " and look before you add it." }
            form.filter method="get" action="/policies/past" {
                label for="without" { "Without the rule" }
                select id="without" name="without" {
                    @for rule in &rows { option value=(rule.name) selected[without == Some(&rule.name)] { (rule.name) } }
                    option value="*" selected[without == Some("*")] { "any rule" }
                }
                label for="days" { "Days" }
                input id="days" name="days" type="number" min="1" max=(MAX_DAYS) value=(days);
                button type="submit" { "Look" }
            }
            @if let Some(found) = &found { (differences(found)) }
        },
    ))
}

fn word(effect: Effect) -> Markup {
    state(match effect {
        Effect::Allow => "allow",
        Effect::Ask => "ask",
        Effect::Deny => "deny",
    })
}

/// The calls that would be judged otherwise, newest first.
pub(crate) fn differences(found: &[Replayed]) -> Markup {
    let differing: Vec<&Replayed> = found.iter().filter(|one| one.differs()).collect();
    html! {
        section #past aria-labelledby="past-head" role="status" {
            h2 #past-head { "What would differ" }
            p.soft { (differing.len()) " of " (found.len()) " calls." }
            @if differing.is_empty() {
                (empty("Nothing would differ.", &html! { "Every call of that time would have been judged as it is now." }))
            } @else {
                table {
                    caption.hidden { "Calls that would be judged otherwise" }
                    thead { tr { th scope="col" { "Call" } th scope="col" { "Now" } th scope="col" { "Then" } th.opt scope="col" { "When" } } }
                    tbody {
                        @for one in differing.iter().take(ROWS) {
                            tr {
                                th scope="row" {
                                    a href={ "/tasks/" (one.task_id) } { code { (say(&one.server)) "/" (say(&one.tool)) } }
                                    details { summary { "Arguments" } (json_block(&one.arguments.to_string(), "Arguments")) }
                                }
                                td { (word(one.now)) @if let Some(rule) = &one.now_rule { p.soft.small { (say(rule)) } } }
                                td {
                                    (word(one.changed))
                                    @match &one.changed_rule { Some(rule) => p.soft.small { (say(rule)) }, None => p.soft.small { (say(&sentence(&one.reason))) } }
                                }
                                td.opt { (time(one.at)) }
                            }
                        }
                    }
                }
                @if differing.len() > ROWS { p.soft.small { "The newest " (ROWS) " are shown." } }
            }
        }
    }
}
