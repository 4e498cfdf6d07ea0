//! `steward approval`: what waits for a person, and the decision.

use domain::{
    decide::{self, Decision, apply_edits},
    ids::Beginning,
    requests, risk, rules, server_questions, sign_in,
    work::Seen,
};
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::{Value, json};
use store::{
    approvals::{self, Approval},
    beginnings::Kind,
};
use uuid::Uuid;

use super::{Json, Limit, Place, context::Context, not_found, password, place::Asked};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// What waits for a decision (or was decided), newest first
    List {
        /// Those with another status
        #[arg(long, default_value = "pending", value_parser = ["pending", "approved", "rejected", "expired"])]
        status: String,
        /// Whatever their status
        #[arg(long, conflicts_with = "status")]
        all: bool,
        /// Only those of this task
        #[arg(long, value_name = "ID")]
        task: Option<Beginning>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        json: Json,
    },
    /// One approval with the exact call it decides
    Show {
        id: Beginning,
        #[command(flatten)]
        json: Json,
    },
    /// Say yes; the call runs exactly as shown, or as you set it
    Approve {
        id: Beginning,
        /// Put a value in place of the one asked for: `destination=/home/ada/x`; where an outcome is unknown,
        /// `resolution=done` (it happened; also without --set) or `resolution=retry` (call again)
        #[arg(long, value_name = "PATH=VALUE", value_parser = parse_edit)]
        set: Vec<(String, String)>,
        /// Make a rule of it too: such a call is allowed from now on, to the same people and within the same folders
        #[arg(long)]
        always: bool,
        #[command(flatten)]
        rest: Rest,
    },
    /// Say no; the call never runs
    Reject {
        id: Beginning,
        #[command(flatten)]
        rest: Rest,
    },
    /// Say no and what should be different; whoever leads the work hears it and may ask anew
    Changes {
        id: Beginning,
        /// What should be different
        #[arg(long)]
        note: String,
        #[command(flatten)]
        json: Json,
    },
    /// Take more time to decide
    Extend {
        id: Beginning,
        /// From now, 1 to 720 hours
        #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=720))]
        hours: u16,
        #[command(flatten)]
        json: Json,
    },
    /// Ask somebody else who may decide it; it stays open for you too
    Ask {
        id: Beginning,
        /// Whom: a user's name
        #[arg(long, value_name = "USER")]
        to: String,
        /// A word to them
        #[arg(long)]
        note: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Rest {
    /// A word to whoever reads it later
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    json: Json,
}

fn parse_edit(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() => Ok((path.to_owned(), value.to_owned())),
        _ => Err("write it as PATH=VALUE, such as destination=/home/ada/x".to_owned()),
    }
}

/// The kind of approval that asks what became of a call.
const OUTCOME_UNKNOWN: &str = "outcome_unknown";

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::List { status, all, task, limit, json } => {
            let status = (!all).then_some(status.as_str());
            let task = place.maybe_id_of(Kind::Task, task.as_ref()).await?;
            let found = place.approvals(status, task, limit.limit).await?;
            limit.note(found.len());
            output::list(
                json.json,
                &found,
                "nothing waits for a decision",
                &["id", "asks", "risk", "status", "until", "task"],
                |a| {
                    vec![
                        a.id.to_string(),
                        asks(a),
                        risk::of_approval(a).map(|(risk, _)| risk.word().to_owned()).unwrap_or_default(),
                        a.status.clone(),
                        output::maybe_time(a.expires_at),
                        a.task_id.map(|id| id.to_string()).unwrap_or_default(),
                    ]
                },
            )
        }
        Command::Show { id, json } => show(place, one(place, &id).await?, json.json).await,
        Command::Approve { id, set, always, rest } => {
            let id = one(place, &id).await?;
            // What makes a rule is asked for first: it is of this house alone.
            let here = if always { Some(place.here()?) } else { None };
            if always {
                rules::may_be_always(&place.approval(id).await?.approval)?;
            }
            let arguments = edited(place, id, &set).await?;
            decide(place, id, Decision { approve: true, note: rest.note, arguments }, rest.json.json).await?;
            let Some(ctx) = here else { return Ok(()) };
            let approval = approvals::get(&ctx.actor, &ctx.store, id).await?;
            let approval = approval.ok_or_else(|| super::not_found("approval", &id.to_string()))?;
            let rule = rules::always(&ctx.store, &ctx.actor, &approval).await?;
            output::note(format!(
                "The rule “{}” allows it from now on{}; see: steward policy list",
                output::safe(&rule.name),
                rule.condition.map(|c| format!(", if {}", output::safe(&c))).unwrap_or_default()
            ));
            Ok(())
        }
        Command::Reject { id, rest } => {
            let id = one(place, &id).await?;
            decide(place, id, Decision { approve: false, note: rest.note, arguments: None }, rest.json.json).await
        }
        Command::Changes { id, note, json } => changes(place, one(place, &id).await?, &note, json.json).await,
        Command::Extend { id, hours, json } => extend(place, one(place, &id).await?, hours, json.json).await,
        Command::Ask { id, to, note } => ask(place, one(place, &id).await?, &to, note.as_deref()).await,
    }
}

async fn one(place: &Place, typed: &Beginning) -> Result<Uuid> {
    place.id_of(Kind::Approval, typed).await
}

async fn changes(place: &Place, id: Uuid, note: &str, json: bool) -> Result<()> {
    let row = place.ask_for_changes(id, note).await?;
    if json {
        return output::json(&row);
    }
    output::line("Sent back: the call does not run; the work hears what you want, and may ask anew.")
}

async fn extend(place: &Place, id: Uuid, hours: u16, json: bool) -> Result<()> {
    let until = store::now() + SignedDuration::from_hours(hours.into());
    let row = place.extend_approval(id, until).await?;
    if json {
        return output::json(&row);
    }
    output::line(format!("It may be decided until {}.", output::maybe_time(row.expires_at)))
}

async fn ask(place: &Place, id: Uuid, to: &str, note: Option<&str>) -> Result<()> {
    let others = place.deciders(id).await?;
    let Some(whom) = others.iter().find(|u| u.username == to) else {
        let names: Vec<&str> = others.iter().map(|u| u.username.as_str()).collect();
        let known = if names.is_empty() { "nobody besides you".to_owned() } else { names.join(", ") };
        return Err(Error::refused(format!("{} can't decide this; who can: {known}", output::safe(to))));
    };
    place.ask_to_decide(id, whom.id, note).await?;
    output::line(format!("{} was asked; it stays open for you too.", output::safe(to)))
}

/// What is asked, in a few words.
pub(super) fn asks(approval: &Approval) -> String {
    let detail = |key: &str| approval.details.as_ref().and_then(|d| d.get(key)).and_then(Value::as_str);
    match (detail("summary"), detail("server"), detail("tool")) {
        (Some(summary), ..) => summary.to_owned(),
        (None, Some(server), Some(tool)) => format!("{}: {server}/{tool}", approval.action_type),
        _ => approval.action_type.clone(),
    }
}

/// The arguments after a person's edits; none where nothing was edited.
async fn edited(place: &Place, id: Uuid, edits: &[(String, String)]) -> Result<Option<Value>> {
    if edits.is_empty() {
        return Ok(None);
    }
    let asked = place.approval(id).await?;
    match asked.approval.action_type.as_str() {
        OUTCOME_UNKNOWN => return Ok(Some(apply_edits(&json!({}), None, edits)?)),
        server_questions::ACTION_TYPE => {
            let form = asked.approval.details.as_ref().and_then(|d| d.get("schema")).filter(|form| form.is_object());
            return Ok(Some(apply_edits(&asked_arguments(&asked.approval), form, edits)?));
        }
        requests::ACTION_TYPE => return Ok(Some(apply_edits(&asked_arguments(&asked.approval), None, edits)?)),
        _ => {}
    }
    let frozen = asked.call.ok_or_else(|| not_found("call of approval", &id.to_string()))?;
    let schema = place.tool_schema(&frozen.server, &frozen.tool).await?;
    Ok(Some(apply_edits(&arguments_of(&frozen.arguments)?, schema.as_ref(), edits)?))
}

/// What a question without a call carries.
fn asked_arguments(approval: &Approval) -> Value {
    approval.details.as_ref().and_then(|d| d.get("arguments")).cloned().unwrap_or_else(|| json!({}))
}

fn arguments_of(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|e| Error::Internal(format!("the frozen arguments are no JSON: {e}")))
}

async fn decide(place: &Place, id: Uuid, decision: Decision, json: bool) -> Result<()> {
    let retries = decision.arguments.as_ref().is_some_and(|a| a["resolution"] == "retry");
    let set = decision.arguments.clone().unwrap_or_default();
    let was_edited = decision.arguments.is_some();
    let decided = match place.decide(id, decision.clone(), false).await {
        Err(Error::Domain(domain::Error::ReauthenticationNeeded)) => {
            show_who_it_is(place.here()?, id).await?;
            place.decide(id, decision, true).await?
        }
        decided => decided?,
    };
    if json {
        return output::json(&decided);
    }
    let is_unknown = decided.action_type == OUTCOME_UNKNOWN;
    output::line(match (decided.status.as_str(), was_edited) {
        ("approved", _) if is_unknown && retries => "Noted: the call is made again.".to_owned(),
        ("approved", _) if is_unknown => "Noted: the call happened, and the work goes on.".to_owned(),
        ("rejected", _) if is_unknown => "Noted: the call failed.".to_owned(),
        ("approved", _) if decided.action_type == server_questions::ACTION_TYPE => {
            "Answered: the server gets it, and its call goes on.".to_owned()
        }
        ("rejected", _) if decided.action_type == server_questions::ACTION_TYPE => {
            "Noted: the server hears that you do not answer.".to_owned()
        }
        ("approved", false) => "Approved: the call runs exactly as it was shown.".to_owned(),
        ("approved", true) => {
            let lines: Vec<String> = pretty(&set).lines().map(output::safe).collect();
            format!("Approved; the call runs with these arguments:\n{}", lines.join("\n"))
        }
        ("rejected", _) => "Rejected: the call does not run.".to_owned(),
        ("pending", _) => {
            format!("Noted: you agree. It runs when {} people have agreed.", decide::approvers_of(&decided))
        }
        (other, _) => format!("The approval is {other}."),
    })
}

/// A yes to what is of high risk is taken from the person, and not from whatever runs under the person's name.
async fn show_who_it_is(ctx: &Context, id: Uuid) -> Result<()> {
    let (user, desk) = (&ctx.user, format!("http://{}/approvals/{id}", ctx.config.listen));
    let prompt =
        format!("A yes to this is of high risk. The password of {}, once more: ", output::safe(&user.username));
    let Some(password) = password::shown_again(prompt).await? else {
        return Err(Error::refused(format!(
            "a yes to this is of high risk and needs your password once more; say it at a terminal, which asks for it, or \
             at the desk: {desk}"
        )));
    };
    let shown = sign_in::show_password(&ctx.store, &ctx.actor, (user.id, &user.username), None, password).await;
    shown.map_err(|e| match e {
        domain::Error::LogInRefused => {
            Error::refused("this is not your password, so nothing was decided; say it again, or decide at the desk")
        }
        other => other.into(),
    })
}

/// An approval with its call, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    approval: &'a Approval,
    call: Option<Value>,
    edited_arguments: Option<Value>,
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// What a person may answer where nobody knows whether a call took effect.
fn choices(approval: &Approval) -> String {
    if approval.action_type != OUTCOME_UNKNOWN || approval.status != "pending" {
        return String::new();
    }
    let id = approval.id;
    format!(
        "it happened, go on:       steward approval approve {id}\n\
         make the call once more:  steward approval approve {id} --set resolution=retry\n\
         it failed:                steward approval reject {id}"
    )
}

/// The files that the call may meet, and as what: it is refused where one of them changed since.
fn files(approval: &Approval) -> String {
    let lines: Vec<String> = Seen::files_of(approval)
        .into_iter()
        .map(|file| {
            let hash = file.sha256.map_or_else(|| "too long to be hashed".to_owned(), |hash| format!("SHA-256 {hash}"));
            format!("{} ({} bytes, {hash})", output::safe(&file.path), file.size_bytes)
        })
        .collect();
    lines.join("\n")
}

async fn show(place: &Place, id: Uuid, json: bool) -> Result<()> {
    let Asked { approval, call: frozen, edited_arguments } = place.approval(id).await?;
    let edited = edited_arguments.map(|text| arguments_of(&text)).transpose()?;
    let arguments = frozen.as_ref().map(|f| arguments_of(&f.arguments)).transpose()?;
    if json {
        let call = frozen.as_ref().zip(arguments).map(|(f, arguments)| {
            json!({ "server": f.server, "tool": f.tool, "arguments": arguments, "arguments_sha256": f.arguments_sha256, "step_id": f.step_id })
        });
        return output::json(&Whole { approval: &approval, call, edited_arguments: edited });
    }
    let is_request = [requests::ACTION_TYPE, server_questions::ACTION_TYPE].contains(&approval.action_type.as_str());
    let arguments = arguments.or_else(|| is_request.then(|| asked_arguments(&approval)));
    let votes = match place.here() {
        Ok(ctx) => approvals::votes(&ctx.actor, &ctx.store, id).await?,
        Err(_) => Vec::new(),
    };
    let people = [approval.approved_by, approval.rejected_by, approval.requested_by.parse().ok()];
    let names = place.names(people.into_iter().chain(votes.iter().map(|v| Some(v.user_id)))).await?;
    let detail = |key: &str| approval.details.as_ref().and_then(|d| d.get(key));
    let text = |key: &str| detail(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let outside = detail("outside").and_then(Value::as_bool).unwrap_or(false);
    let mut rows = vec![
        ("id", approval.id.to_string()),
        ("asks", output::safe(&asks(&approval))),
        ("status", approval.status.clone()),
        ("risk", risk::of_approval(&approval).map(|(risk, why)| format!("{}: {why}", risk.word())).unwrap_or_default()),
        ("kind", approval.action_type.clone()),
        ("task", approval.task_id.map(|id| id.to_string()).unwrap_or_default()),
        (
            "asked by",
            approval.requested_by.parse().map_or_else(|_| approval.requested_by.clone(), |id| names.of(Some(id))),
        ),
        ("asked", output::time(approval.created_at)),
        ("until", output::maybe_time(approval.expires_at)),
        ("why", text("reason")),
        ("it says", output::safe(&text("message"))),
        ("to be opened", output::safe(&text("url"))),
        ("outside", if outside { "the work is on content from outside".to_owned() } else { String::new() }),
        ("tool", frozen.as_ref().map(|f| format!("{}/{}", f.server, f.tool)).unwrap_or_default()),
        ("arguments", arguments.as_ref().map(pretty).unwrap_or_default()),
        ("files", files(&approval)),
        ("choices", choices(&approval)),
        ("set instead", edited.as_ref().filter(|_| approval.status == "approved").map(pretty).unwrap_or_default()),
        ("agreed so far", votes.iter().map(|v| names.of(Some(v.user_id))).collect::<Vec<_>>().join(", ")),
        (
            "needed",
            Some(decide::approvers_of(&approval)).filter(|n| *n > 1).map(|n| format!("{n} people")).unwrap_or_default(),
        ),
        ("decided by", names.of(approval.approved_by.or(approval.rejected_by))),
        ("decided", output::maybe_time(approval.approved_at.or(approval.rejected_at))),
        ("note", approval.notes.clone().unwrap_or_default()),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    output::fields(&rows)
}
