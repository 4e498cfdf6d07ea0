//! What runs by the clock: each job with its last time, run now, paused, and set to other times.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    backups::{BACKUP, DRILL},
    schedules as rules,
};
use jiff::Timestamp;
use maud::{Markup, html};
use store::schedules::{Change, Schedule};

use super::{
    as_read::AsRead,
    form::Form,
    layout::{Reader, button, fault_notice, shell, token},
    parts::{cut, empty, say, state, state_as, when},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    guard::encode,
    params::Params,
};

/// Characters of a cron expression and of a zone's name.
const CHARS: usize = 100;

/// The jobs by name.
pub(super) fn table(me: &Reader, jobs: &[Schedule], now: Timestamp) -> Markup {
    html! {
        @if jobs.is_empty() { (empty("Nothing runs by the clock that you may see.", &html! { "Schedules are for administrators." })) }
        @else {
            table {
                caption.hidden { "Jobs by name" }
                thead { tr { th scope="col" { "Job" } th scope="col" { "Last time" } th.opt scope="col" { "Next" } @if me.is_admin() { th scope="col" { span.hidden { "Change" } } } } }
                tbody {
                    @for job in jobs {
                        tr {
                            th scope="row" { (say(&job.name)) p.soft.small { code { (say(&job.cron)) } " " (say(&job.time_zone)) @if job.run_by != "steward" { ", by " (job.run_by) } } }
                            td {
                                @match (&job.last_status, job.last_fire_at) {
                                    (Some(status), Some(at)) => { (state_as(if status == "done" { "completed" } else { status }, status)) " " (when(at, now)) @if job.last_was_missed { " " span.soft { "late" } } },
                                    _ => span.soft { "not yet" },
                                }
                                @if let Some(said) = &job.last_result { p.soft.small { (say(&cut(said, 160))) } }
                            }
                            td.opt { @if !job.is_active { (state("paused")) } @else if let Some(at) = job.next_fire_at { (when(at, now)) } }
                            @if me.is_admin() { td { (acts(me, job)) } }
                        }
                    }
                }
            }
        }
    }
}

fn acts(me: &Reader, job: &Schedule) -> Markup {
    let name = ("name", job.name.as_str());
    let (word, label) = if job.is_active { ("no", "Pause") } else { ("yes", "Go on") };
    html! {
        div.buttons {
            (button(me, "/system/run", &[name], "Run now", "quiet", &job.name))
            (button(me, "/system/pause", &[name, ("run", word)], label, "quiet", &job.name))
            a.button.quiet href={ "/system/job?name=" (encode(&job.name)) } aria-label={ "Change: " (job.name) } { "Change" }
        }
    }
}

/// `POST /system/run`: wants a job to run once now; whichever node has the time takes it.
pub(crate) async fn run(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let name = sent.get("name").unwrap_or_default();
    if !store::schedules::request(&me.actor, app.store(), name).await? {
        return Err(Fault::not_found("job that you may run"));
    }
    Ok(back(name))
}

/// Where a job is shown.
fn back(name: &str) -> Response {
    let place = if [BACKUP, DRILL].contains(&name) { "/system#backups" } else { "/system" };
    Redirect::to(place).into_response()
}

/// `POST /system/cancel`: breaks a job off that runs, wherever it does. One that ended meanwhile shows how.
pub(crate) async fn cancel(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let name = sent.get("name").unwrap_or_default();
    match rules::cancel(app.store(), &me.actor, name).await {
        Ok(_) | Err(domain::Error::Conflict(_)) => Ok(back(name)),
        Err(e) => Err(e.into()),
    }
}

/// `POST /system/pause`: lets a job run by the clock, or not.
pub(crate) async fn pause(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let is_active = match sent.get("run") {
        Some("yes") => true,
        Some("no") => false,
        _ => return Err(Fault::invalid("run", "a job is paused, or goes on")),
    };
    let change = Change { cron: None, time_zone: None, is_active: Some(is_active) };
    rules::set(app.store(), &me.actor, sent.get("name").unwrap_or_default(), change).await?;
    Ok(Redirect::to("/system").into_response())
}

fn as_read(job: &Schedule) -> AsRead {
    AsRead(vec![("cron", "When", job.cron.clone()), ("time_zone", "Time zone", job.time_zone.clone())])
}

fn form(me: &Reader, job: &Schedule, form: Form<'_>, notice: Option<&Markup>) -> Markup {
    shell(
        me,
        "Change a job",
        "/system",
        &html! {
            p.crumbs { a href="/system" { "System" } }
            h1 { "When " (say(&job.name)) " runs" }
            @if let Some(notice) = notice { (notice) } @else if let Some(fault) = form.fault { (fault_notice(fault)) }
            form.form method="post" action="/system/job" data-once="" {
                (token(me))
                input type="hidden" name="name" value=(job.name);
                (as_read(job).field(form.sent))
                div.pair {
                    (form.line("cron", "When", &job.cron, "As in 30 2 * * *: minute, hour, day of the month, month, day of the week."))
                    (form.line("time_zone", "Time zone", &job.time_zone, "As in Europe/Berlin."))
                }
                div.buttons { button.primary type="submit" { "Keep it so" } a.button href="/system" { "Leave it" } }
            }
        },
    )
}

/// `GET /system/job?name=`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["name"])?;
    let job = rules::named(app.store(), &me.actor, params.get("name").unwrap_or_default()).await?;
    Ok(form(&me, &job, Form::default(), None))
}

/// `POST /system/job`
pub(crate) async fn change(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let name = sent.get("name").unwrap_or_default();
    let job = rules::named(app.store(), &me.actor, name).await?;
    let Err(fault) = set(&app, &me.actor, &job, &sent).await else {
        return Ok(Redirect::to("/system").into_response());
    };
    if !fault.status.is_client_error() {
        return Err(fault);
    }
    let (me, now) = (Reader::of(&app, me).await?, as_read(&job));
    let notice = now.notice(&sent, &fault);
    let merged = if notice.is_some() { now.merged(&sent) } else { sent };
    Ok((fault.status, form(&me, &job, Form::again(&merged, &fault), notice.as_ref())).into_response())
}

async fn set(app: &App, actor: &store::Actor, job: &Schedule, sent: &Fields) -> Result<()> {
    as_read(job).check(sent, job)?;
    let text = |name: &'static str| {
        let text = sent.text(name).ok_or_else(|| Fault::invalid(name, "say when it is to run"))?;
        if text.chars().count() > CHARS {
            return Err(Fault::invalid(name, format!("this is longer than {CHARS} characters")));
        }
        Ok(Some(text.to_owned()))
    };
    let change = Change { cron: text("cron")?, time_zone: text("time_zone")?, is_active: None };
    rules::set(app.store(), actor, &job.name, change).await?;
    Ok(())
}
