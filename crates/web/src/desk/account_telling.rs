//! How one is told: by which ways, when, and how urgent it must be; and a test of each way.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use domain::telling::{self, Priority, WAYS, Way, Wishes};
use maud::{Markup, html};
use serde_json::{Value as Json, json};
use store::notification_channels;

use super::{
    form::Form,
    layout::{Reader, button, fault_notice, shell, token},
    parts::{say, state_as},
};
use crate::{
    app::App,
    body::{Fields, SignedForm},
    fault::{Fault, Result},
    hands::Told,
    params::Params,
    session::Signed,
};

/// How long a test is waited for: an answer takes no longer.
const TESTING: Duration = Duration::from_secs(25);

/// `GET /account/telling`
pub(crate) async fn page(State(app): State<App>, me: Reader, params: Params) -> Result<Markup> {
    params.only(&["done"])?;
    let done = params.get("done").map(|_| ("good", "Kept. From now on you are told like this.".to_owned()));
    render(&app, &me, Form::default(), done).await
}

/// A way, in words.
fn called(way: &str) -> &'static str {
    match way {
        "email" => "Mail",
        "push" => "Push",
        _ => "SMS",
    }
}

async fn render(app: &App, me: &Reader, form: Form<'_>, told: Option<(&str, String)>) -> Result<Markup> {
    let wishes = telling::wishes(app.store(), &me.actor).await?;
    let set_up = notification_channels::list(&me.actor, app.store()).await?;
    Ok(shell(
        me,
        "How you are told",
        "/account",
        &html! {
            p.crumbs { a href="/account" { "My account" } }
            h1 { "How you are told" }
            p.lead { "What Steward has to say stands on this desk at once. Beside that it can come by the ways below." }
            @if let Some(fault) = form.fault { (fault_notice(fault)) }
            @if let Some((class, words)) = &told { div.notice.(*class) role="status" { p { (say(words)) } } }
            div.cols {
                div { section aria-labelledby="wishes" { h2 #wishes { "Your wishes" } (wishes_form(me, form, &wishes)) } }
                div {
                    section aria-labelledby="test" {
                        h2 #test { "Try a way" }
                        p.soft { "It sends you a test now, whatever the hour, and says what became of it." }
                        div.buttons { @for way in WAYS { (button(me, "/account/telling/test", &[("way", way)], called(way), "", "")) } }
                    }
                    @if me.is_admin() {
                        section aria-labelledby="ways" {
                            h2 #ways { "The ways of this house" }
                            @if set_up.is_empty() { p { "None is set up: people are told on this desk alone." } }
                            ul.lines {
                                @for way in WAYS {
                                    @let stands = set_up.iter().find(|c| c.channel == *way);
                                    li {
                                        p.title { a href={ "/account/telling/" (way) } { (called(way)) } " "
                                            @match stands.map(|c| c.is_active) { Some(true) => (state_as("active", "in use")), Some(false) => (state_as("paused", "rests")), None => (state_as("paused", "not set up")) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        },
    ))
}

fn wishes_form(me: &Reader, form: Form<'_>, wishes: &Wishes) -> Markup {
    let at = |time: Option<jiff::civil::Time>| time.map(|t| t.strftime("%H:%M").to_string()).unwrap_or_default();
    let quiet = wishes.quiet.as_ref();
    let rest = [("email", &wishes.email), ("push", &wishes.push), ("sms", &wishes.sms)];
    let briefing = wishes.briefing.as_ref();
    let every = briefing.map_or("", |b| match b.every {
        telling::Every::Day => "day",
        telling::Every::Week => "week",
        telling::Every::Both => "both",
    });
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(v, c)| ((*v).to_owned(), (*c).to_owned())).collect::<Vec<_>>();
    html! {
        form.form method="post" action="/account/telling" data-once="" {
            (token(me))
            (form.line("time_zone", "Your time zone", &wishes.time_zone, "As in Europe/Berlin."))
            fieldset {
                legend { "Quiet hours" }
                div.pair {
                    (form.of_kind("time", "quiet_from", "From", &at(quiet.map(|q| q.from)), "Empty: none."))
                    (form.of_kind("time", "quiet_to", "To", &at(quiet.map(|q| q.to)), ""))
                    (form.choice("quiet_except", "All the same comes", word(quiet.map(|q| q.except)).unwrap_or("critical"), &pairs(&[("critical", "what is critical"), ("high", "what is wrong, or critical"), ("normal", "all but information")]), ""))
                }
            }
            @for (name, way) in rest { (way_fields(form, name, way)) }
            div.pair {
                (form.of_kind("time", "digest_at", "What waits comes together at", &at(wishes.digest_at), "Needed where something waits for it."))
                (form.choice("briefing_every", "A briefing by itself", every, &pairs(&[("", "none"), ("day", "each day"), ("week", "each Monday"), ("both", "each day, and of the week on Mondays")]), ""))
                (form.of_kind("time", "briefing_at", "At", &at(briefing.map(|b| b.at)), ""))
            }
            div.buttons { button.primary type="submit" { "Keep it so" } a.button href="/account" { "Leave it" } }
        }
    }
}

fn way_fields(form: Form<'_>, name: &str, way: &Way) -> Markup {
    let field = |part: &str| format!("{name}_{part}");
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(v, c)| ((*v).to_owned(), (*c).to_owned())).collect::<Vec<_>>();
    let on = way.on.map_or("", |on| if on { "true" } else { "false" });
    let (where_to, hint) = match name {
        "email" => ("Address", "Your account’s own where it is empty."),
        "push" => ("Topic", "Of your own, that nobody guesses."),
        _ => ("Number", "As in +491701234567."),
    };
    html! {
        fieldset {
            legend { (called(name)) }
            div.pair {
                (form.choice(&field("on"), "Use it", on, &pairs(&[("", "once it is set up"), ("true", "yes"), ("false", "no")]), ""))
                (form.line(&field("to"), where_to, way.to.as_deref().unwrap_or_default(), hint))
                (form.choice(&field("min"), "What is at least", word(way.min_priority).unwrap_or(""), &pairs(&[("", "as usual"), ("low", "information"), ("normal", "waiting for you"), ("high", "wrong"), ("critical", "critical")]), "The rest stays on this desk."))
                (form.choice(&field("digest"), "Waits for one message a day", word(way.digest_below).unwrap_or(""), &pairs(&[("", "nothing"), ("normal", "information"), ("high", "all but what is wrong"), ("critical", "all but what is critical")]), ""))
            }
        }
    }
}

fn word(priority: Option<Priority>) -> Option<&'static str> {
    Some(match priority? {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
        Priority::Critical => "critical",
    })
}

/// The wishes as JSON, as the terminal takes them.
fn read(sent: &Fields) -> Result<Json> {
    let mut wishes = json!({ "time_zone": sent.text("time_zone").unwrap_or("UTC") });
    match (sent.text("quiet_from"), sent.text("quiet_to")) {
        (Some(from), Some(to)) => {
            wishes["quiet"] =
                json!({"from": from, "to": to, "except": sent.text("quiet_except").unwrap_or("critical")});
        }
        (None, None) => {}
        _ => return Err(Fault::invalid("quiet_to", "quiet hours have a beginning and an end")),
    }
    if let Some(at) = sent.text("digest_at") {
        wishes["digest_at"] = json!(at);
    }
    if let Some(every) = sent.text("briefing_every") {
        wishes["briefing"] = json!({ "every": every, "at": sent.text("briefing_at").unwrap_or("07:00") });
    }
    for way in WAYS {
        let text = |part: &str| sent.text(&format!("{way}_{part}"));
        let mut own = json!({});
        if let Some(on) = text("on") {
            own["on"] = json!(on == "true");
        }
        for (part, name) in [("to", "to"), ("min", "min_priority"), ("digest", "digest_below")] {
            if let Some(value) = text(part) {
                own[name] = json!(value);
            }
        }
        wishes[*way] = own;
    }
    Ok(wishes)
}

/// `POST /account/telling`
pub(crate) async fn set(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let done = match read(&sent) {
        Ok(wishes) => telling::set_wishes(app.store(), &me.actor, &wishes).await.map_err(of_field),
        Err(fault) => Err(fault),
    };
    match done {
        Ok(()) => Ok(Redirect::to("/account/telling?done=yes").into_response()),
        Err(fault) if fault.status.is_client_error() => {
            let me = Reader::of(&app, me).await?;
            Ok((fault.status, render(&app, &me, Form::again(&sent, &fault), None).await?).into_response())
        }
        Err(fault) => Err(fault),
    }
}

/// What the rules say of `sms` is about its number.
fn of_field(error: domain::Error) -> Fault {
    match error {
        domain::Error::Invalid { field, message } if field == "sms" => Fault::invalid("sms_to", message),
        other => other.into(),
    }
}

/// `POST /account/telling/test`
pub(crate) async fn test(State(app): State<App>, SignedForm(me, sent): SignedForm) -> Result<Response> {
    let way = sent.get("way").filter(|way| WAYS.contains(way)).ok_or_else(|| Fault::invalid("way", "choose a way"))?;
    let told = try_way(&app, &me, way).await;
    let me = Reader::of(&app, me).await?;
    match told {
        Ok(Told::Sent) => {
            let words = format!("{} was sent. Look whether it arrived.", called(way));
            Ok(render(&app, &me, Form::default(), Some(("good", words))).await?.into_response())
        }
        Ok(Told::UnderWay) => {
            let words = format!("{} is still being tried; what becomes of it stands under Notifications.", called(way));
            Ok(render(&app, &me, Form::default(), Some(("good", words))).await?.into_response())
        }
        Ok(Told::Failed(why)) => {
            let words = format!("{} was not sent: {why}", called(way));
            Ok(render(&app, &me, Form::default(), Some(("bad", words))).await?.into_response())
        }
        Err(fault) if fault.status.is_client_error() => {
            Ok((fault.status, render(&app, &me, Form { sent: None, fault: Some(&fault) }, None).await?).into_response())
        }
        Err(fault) => Err(fault),
    }
}

/// Sends a test by a way. Pages and API do it here.
pub(crate) async fn try_way(app: &App, me: &Signed, way: &str) -> Result<Told> {
    let on = (app.store(), &app.state.vault);
    match tokio::time::timeout(TESTING, app.state.hands.test_way(on, &me.actor, way)).await {
        Ok(told) => Ok(told?),
        Err(_) => Ok(Told::UnderWay),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, Wishes, read};

    #[test]
    fn what_is_sent_is_what_the_rules_take() {
        let sent =
            |pairs: &[(&str, &str)]| Fields(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        let all = sent(&[
            ("time_zone", "Europe/Berlin"),
            ("quiet_from", "22:00"),
            ("quiet_to", "07:00"),
            ("quiet_except", "high"),
            ("digest_at", "08:00"),
            ("email_digest", "high"),
            ("sms_to", "+491701234567"),
            ("sms_min", "critical"),
            ("push_on", "false"),
            ("briefing_every", "week"),
            ("briefing_at", ""),
        ]);
        let wishes = Wishes::parse(&read(&all).unwrap()).unwrap();
        assert_eq!((wishes.push.on, wishes.sms.to.as_deref()), (Some(false), Some("+491701234567")));
        assert!(wishes.quiet.is_some() && wishes.briefing.is_some());
        assert_eq!(Wishes::parse(&read(&sent(&[])).unwrap()).unwrap(), Wishes::default());
        assert!(read(&sent(&[("quiet_from", "22:00")])).is_err());
    }
}
