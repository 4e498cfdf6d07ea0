//! What is wrong with Steward and what it stands on, and how to mend it: as `steward doctor` says it.

use axum::extract::State;
use maud::{Markup, html};
use store::users;

use super::{
    layout::{Reader, shell},
    parts::{empty, say, state_as},
};
use crate::{
    app::App,
    fault::{Fault, Result},
    hands::Finding,
};

/// `GET /system/findings`: looks now, which takes seconds.
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    if !users::allowed(&me.actor, app.store(), "log_admin").await? {
        return Err(Fault::refused("system"));
    }
    // One at once: it is much work, and the next one finds the same.
    let Ok(_permit) = app.looking.try_acquire() else {
        return Err(Fault::busy("somebody looks already".to_owned(), "busy", 5));
    };
    let found = app.state.hands.look().await?;
    Ok(shell(&me, "What is wrong", "/system", &render(found.as_deref())))
}

fn render(found: Option<&[Finding]>) -> Markup {
    // What is wrong first.
    let mut found: Vec<&Finding> = found.into_iter().flatten().collect();
    found.sort_by_key(|f| ["wrong", "warning", "note", "well"].iter().position(|s| *s == f.state));
    let wrong = found.iter().filter(|f| f.state == "wrong").count();
    let look = |state: &str| match state {
        "wrong" => "error",
        "warning" => "warning",
        "well" => "completed",
        _ => "note",
    };
    html! {
        p.crumbs { a href="/system" { "System" } }
        h1 { "What is wrong, and how to mend it" }
        @if found.is_empty() { (empty("Nothing was looked at.", &html! { "The terminal looks: " code { "steward doctor" } })) }
        @else {
            p.lead { @if wrong == 0 { "Nothing is wrong." } @else if wrong == 1 { "One thing is to be mended." } @else { (wrong) " things are to be mended." } }
            table {
                caption.hidden { "What was looked at, the gravest first" }
                thead { tr { th scope="col" { "What" } th scope="col" { "State" } th scope="col" { "More" } } }
                tbody {
                    @for one in found {
                        tr {
                            th scope="row" { (say(&one.what)) }
                            td { (state_as(look(one.state), one.state)) }
                            td.grow { (say(&one.said)) @if let Some(remedy) = &one.remedy { p.soft.small { (say(remedy)) } } }
                        }
                    }
                }
            }
            p { a href="/system/findings" { "Look again" } }
        }
    }
}
