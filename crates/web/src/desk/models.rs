//! Language models: which there are, what each cost today and in all, how near work is to its limits, and what waits there
//! for a person's grant.

use axum::extract::State;
use domain::brain::limits::Limits;
pub(crate) use domain::briefing::dollars;
use maud::{Markup, html};
use store::{
    approvals,
    model_turns::{self, DaySpend, ModelSpend, Used, Worked},
};

use super::{
    approvals::{Behind, card},
    layout::{Reader, shell},
    parts::{empty, say},
};
use crate::{
    app::App,
    fault::{Fault, Result},
    hands::Models,
};

/// Open approvals that are looked through for limits.
const LOOKED_AT: i64 = 200;

/// The models, read on a thread that may wait for the disk.
pub(crate) async fn at_hand(app: &App) -> Result<Models> {
    let hands = std::sync::Arc::clone(&app.state.hands);
    tokio::task::spawn_blocking(move || hands.models()).await.map_err(|e| Fault::internal(e.to_string()))
}

/// `GET /models`
pub(crate) async fn page(State(app): State<App>, me: Reader) -> Result<Markup> {
    let (actor, on, now) = (&me.actor, app.store(), store::now());
    let models = at_hand(&app).await?;
    let (by_day, ever, today, all, worked_today, worked, open) = tokio::try_join!(
        model_turns::spent_by_day(actor, on),
        model_turns::spent_by_model(actor, on),
        model_turns::spent(actor, on, true),
        model_turns::spent(actor, on, false),
        model_turns::worked(actor, on, true),
        model_turns::worked(actor, on, false),
        approvals::list(actor, on, Some("pending"), None, None, LOOKED_AT),
    )?;
    let waiting: Vec<_> = open.into_iter().filter(|a| a.action_type == "budget").collect();
    let behind = Behind::of(&app, &me, &waiting, "/models").await?;
    let day = now.strftime("%Y-%m-%d").to_string();
    let of_today: Vec<&DaySpend> = by_day.iter().filter(|d| d.day == day).collect();
    Ok(shell(
        &me,
        "Models",
        "/models",
        &html! {
            h1 { "Models" }
            p.lead { "A task that names no playbook is led by a language model. It only proposes: each call meets the policies, and you. What it may use up is bounded; at a limit it stops and asks." }
            @if models.entries.is_empty() {
                (empty("No language model is set up.", &html! { "Describe one in " code { (say(&models.file)) } ", with its key in a file beside it, and start Steward again. Playbooks need none." }))
            }
            div #waits data-live="" {
                @if !waiting.is_empty() {
                    section aria-labelledby="limit" {
                        h2 #limit { "At a limit" span.count { (waiting.len()) } }
                        ul.cards.wait { @for approval in &waiting { (card(approval, now, &behind, &html! {})) } }
                    }
                }
            }
            @if !models.entries.is_empty() || !ever.is_empty() { section aria-labelledby="cost" { h2 #cost { "What they cost" } (table(&models, &of_today, &ever)) } }
            section aria-labelledby="limits" { h2 #limits { "Limits" } (limits(&models.limits, (today, worked_today), (all, worked))) }
        },
    ))
}

/// Each model with today and in all; one that is no longer set up stands there with what it cost.
fn table(models: &Models, today: &[&DaySpend], ever: &[ModelSpend]) -> Markup {
    let mut names: Vec<&str> = models.entries.iter().map(|m| m.name.as_str()).collect();
    names.extend(ever.iter().map(|m| m.model.as_str()).filter(|n| !models.entries.iter().any(|m| m.name == *n)));
    html! {
        div.scroll tabindex="0" role="region" aria-label="What models cost" {
            table.dense {
                thead { tr {
                    th scope="col" { "Model" } th scope="col" { "Used for" } th.num scope="col" { "Today" } th.num scope="col" { "Tokens" }
                    th.num scope="col" { "In all" } th.num scope="col" { "Tokens" } th.num scope="col" { "Questions" }
                } }
                tbody {
                    @for name in names {
                        @let entry = models.entries.iter().find(|m| m.name == name);
                        @let now = today.iter().find(|d| d.model == name);
                        @let all = ever.iter().find(|m| m.model == name);
                        tr {
                            th scope="row" { (say(name)) @if let Some(m) = entry { " " span.soft { (say(&m.model)) } } @else { " " span.soft { "no longer set up" } } }
                            td { @if let Some(m) = entry { (m.used_for.join(", ")) } }
                            td.num { (dollars(now.map_or(0, |d| d.cost_microusd))) }
                            td.num { (grouped(now.map_or(0, |d| d.input_tokens + d.output_tokens))) }
                            td.num { (dollars(all.map_or(0, |m| m.cost_microusd))) }
                            td.num { (grouped(all.map_or(0, |m| m.input_tokens + m.output_tokens))) }
                            td.num { (grouped(all.map_or(0, |m| m.turns))) }
                        }
                    }
                }
            }
        }
        p.soft.small { "By your own prices, in US dollars; days are UTC days." }
    }
}

fn limits(limits: &Limits, (today, worked_today): (Used, Worked), (all, worked): (Used, Worked)) -> Markup {
    let usd = |usd: f64| format!("$ {usd:.2}");
    let none = || "no limit".to_owned();
    let minutes = |worked: &Worked| grouped(worked.worked_ms / 60_000);
    let whole = |n: u64| grouped(i64::try_from(n).unwrap_or(i64::MAX));
    html! {
        table.dense {
            thead { tr { th scope="col" { "Of" } th.num scope="col" { "Used" } th.num scope="col" { "At most" } } }
            tbody {
                @if let Some(most) = limits.day_steps { (row("Calls a day", None, &whole(most))) }
                @if let Some(most) = limits.day_turns { (row("Questions a day", Some(&grouped(today.turns)), &whole(most))) }
                (row("Tokens a day", Some(&grouped(today.tokens)), &limits.day_tokens.map_or_else(none, whole)))
                (row("Cost a day", Some(&dollars(today.cost_microusd)), &limits.day_usd.map_or_else(none, usd)))
                (row("Minutes of work a day", Some(&minutes(&worked_today)), &limits.day_minutes.map_or_else(none, whole)))
                @if let Some(most) = limits.all_turns { (row("Questions in all", Some(&grouped(all.turns)), &whole(most))) }
                @if let Some(most) = limits.all_tokens { (row("Tokens in all", Some(&grouped(all.tokens)), &whole(most))) }
                (row("Cost in all", Some(&dollars(all.cost_microusd)), &limits.all_usd.map_or_else(none, usd)))
                (row("Minutes of work in all", Some(&minutes(&worked)), &limits.all_minutes.map_or_else(none, whole)))
                (row("Calls of a task", None, &limits.task_steps.to_string()))
                (row("Questions of a task", None, &limits.task_turns.to_string()))
                (row("Tokens of a task", None, &whole(limits.task_tokens)))
                (row("Cost of a task", None, &usd(limits.task_usd)))
                (row("Minutes of work of a task", None, &limits.task_minutes.to_string()))
            }
        }
        p.soft.small { "What stands at a limit waits for your grant: a yes is another allotment of the same size." }
    }
}

fn row(of: &str, used: Option<&str>, most: &str) -> Markup {
    html! { tr { th scope="row" { (of) } td.num { @match used { Some(used) => (used), None => span.soft { "see the task" } } } td.num { (most) } } }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.max(0).to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{dollars, grouped};

    #[test]
    fn money_and_numbers_in_words() {
        assert_eq!([dollars(0), dollars(1_234_567), dollars(49)], ["$ 0.0000", "$ 1.2346", "$ 0.0000"]);
        assert_eq!([grouped(0), grouped(1234), grouped(1_234_567)], ["0", "1\u{202f}234", "1\u{202f}234\u{202f}567"]);
    }
}
