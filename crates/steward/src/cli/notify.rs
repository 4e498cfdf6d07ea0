//! `steward notify`: what the person was told, by which ways, and setting these up.

use std::collections::HashMap;

use domain::telling;
use serde_json::{Value, json};
use store::{notification_channels, notification_outbox, notifications};
use workers::notifier;

use super::{Context, Json, Limit, Place, watcher_add::read_credentials};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Your notifications, newest first
    Log {
        /// Only those with this status
        #[arg(long, value_parser = ["unread", "read", "archived"], conflicts_with = "sent")]
        status: Option<String>,
        /// What went out to you by mail, push or SMS, and what became of it
        #[arg(long)]
        sent: bool,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        json: Json,
    },
    /// Send yourself a test by one of the ways, and wait for what becomes of it
    Test {
        #[arg(value_parser = ["email", "push", "sms"])]
        channel: String,
    },
    /// How you want to be told: show it, or set it in JSON (see docs/notifications.md)
    Wishes {
        /// The new settings, such as '{"quiet": {"from": "22:00", "to": "07:00"}, "time_zone": "Europe/Berlin"}'
        #[arg(long, value_name = "JSON")]
        set: Option<String>,
    },
    /// The ways by which people are told beside the web
    #[command(subcommand)]
    Channel(Channel),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Channel {
    /// The ways that are set up
    List(Json),
    /// Set a way up, or anew
    Set {
        #[arg(value_parser = ["email", "push", "sms"])]
        channel: String,
        /// Its settings in JSON, such as '{"host": "smtp.example.org", "user": "steward", "from": "steward@example.org"}'
        #[arg(long, value_name = "JSON")]
        config: String,
        /// A file with its credentials in JSON, or - for the standard input; they are sealed and never shown
        #[arg(long, value_name = "FILE")]
        credentials_file: Option<std::path::PathBuf>,
    },
    /// Take a way away
    Remove {
        #[arg(value_parser = ["email", "push", "sms"])]
        channel: String,
    },
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::Log { sent: true, limit, json, .. } => sent(place.here()?, limit.limit, json.json).await,
        Command::Log { status, limit, json, .. } => {
            let found = place.notifications(status.as_deref(), limit.limit).await?;
            limit.note(found.len());
            output::list(
                json.json,
                &found,
                "you were told nothing yet",
                &["made", "type", "status", "title", "message"],
                |n| {
                    vec![
                        output::time(n.created_at),
                        n.r#type.clone(),
                        n.status.clone(),
                        n.title.clone(),
                        n.message.clone().unwrap_or_default(),
                    ]
                },
            )
        }
        Command::Test { channel } => test(place.here()?, &channel).await,
        Command::Wishes { set } => wishes(place.here()?, set).await,
        Command::Channel(command) => channel(place.here()?, command).await,
    }
}

async fn sent(ctx: &Context, limit: i64, as_json: bool) -> Result<()> {
    let found = notifications::list_ways(&ctx.actor, &ctx.store, limit).await?;
    let ids = found.iter().map(|n| n.id).collect();
    let states: HashMap<_, _> = notification_outbox::list(&ctx.actor, &ctx.store, ids)
        .await?
        .into_iter()
        .map(|o| (o.notification_id, o))
        .collect();
    if as_json {
        let shown: Vec<Value> =
            found.iter().map(|n| json!({ "notification": n, "outbox": states.get(&n.id) })).collect();
        return output::json(&shown);
    }
    output::list(
        false,
        &found,
        "nothing went out to you yet",
        &["made", "by", "sent", "tries", "title", "last trouble"],
        |n| {
            let out = states.get(&n.id);
            let sent = match (n.sent_at, out.map(|o| o.state.as_str()), n.scheduled_for) {
                (Some(at), ..) => output::time(at),
                (None, Some("failed"), _) => "given up".to_owned(),
                (None, _, Some(at)) => format!("from {}", output::time(at)),
                (None, ..) => "waits".to_owned(),
            };
            vec![
                output::time(n.created_at),
                n.channel.clone(),
                sent,
                out.map_or(0, |o| o.attempts).to_string(),
                n.title.clone(),
                out.and_then(|o| o.last_error.clone()).unwrap_or_default(),
            ]
        },
    )
}

async fn test(ctx: &Context, channel: &str) -> Result<()> {
    let vault = ctx.vault().await?;
    match notifier::test(&ctx.store, &vault, &ctx.actor, channel).await? {
        Some(out) if out.state == "done" => output::line(format!("Sent by {channel}; look there.")),
        Some(out) => Err(Error::refused(format!(
            "the test by {channel} was not sent: {}",
            output::safe(&out.last_error.unwrap_or_default())
        ))),
        None => {
            Err(Error::refused(format!("the test by {channel} is still under way; see: steward notify log --sent")))
        }
    }
}

async fn wishes(ctx: &Context, set: Option<String>) -> Result<()> {
    if let Some(text) = set {
        let value: Value =
            serde_json::from_str(&text).map_err(|e| Error::refused(format!("--set is no JSON ({e})")))?;
        telling::set_wishes(&ctx.store, &ctx.actor, &value).await?;
    }
    output::json(&telling::wishes(&ctx.store, &ctx.actor).await?)
}

async fn channel(ctx: &Context, command: Channel) -> Result<()> {
    match command {
        Channel::List(json) => {
            let found = notification_channels::list(&ctx.actor, &ctx.store).await?;
            output::list(
                json.json,
                &found,
                "people are told on the web alone; set up a way with: steward notify channel set --help",
                &["way", "settings", "state"],
                |c| {
                    vec![
                        c.channel.clone(),
                        c.config.to_string(),
                        if c.is_active { "in use" } else { "rests" }.to_owned(),
                    ]
                },
            )
        }
        Channel::Set { channel, config, credentials_file } => {
            let config: Value =
                serde_json::from_str(&config).map_err(|e| Error::refused(format!("--config is no JSON ({e})")))?;
            let secret = match credentials_file {
                Some(file) => Some(read_credentials(file).await?),
                None => None,
            };
            let vault = ctx.vault().await?;
            notifier::set_channel(&ctx.store, &vault, &ctx.actor, &channel, config, secret.as_ref()).await?;
            output::line(format!("People are told by {channel} now. Try it: steward notify test {channel}"))
        }
        Channel::Remove { channel } => {
            if !notification_channels::delete(&ctx.actor, &ctx.store, &channel).await? {
                return Err(Error::refused(format!("{channel} is not set up, or you may not change it")));
            }
            output::line(format!("People are told by {channel} no more."))
        }
    }
}
