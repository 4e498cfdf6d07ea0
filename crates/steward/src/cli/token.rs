//! `steward token`: what programs show in place of a log-in.

use domain::{
    ids::Beginning,
    tokens::{self, NewToken},
};
use store::{
    api_tokens::{self, ApiToken},
    beginnings::Begun,
};

use super::{Json, Limit, Place, ids::only};
use crate::{Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token; it is printed once, and kept only as a hash
    Create(Create),
    /// Tokens: your own, or those of a user
    List {
        /// Whose; an admin may ask for anybody's
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Also those that were revoked or are over
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        json: Json,
    },
    /// Revoke a token, at once and for good
    Revoke {
        /// Its id; see: steward token list
        id: Beginning,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// What it is for
    name: String,
    /// How far it reaches: read, tasks, decide, notifications, logs, watchers, servers, policies, users, system
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<String>,
    /// How many days it lasts, 1 to 366
    #[arg(long, value_name = "N", default_value_t = 90)]
    days: u32,
    /// The agent as which it acts; without it, you
    #[arg(long, value_name = "USER")]
    agent: Option<String>,
    #[command(flatten)]
    json: Json,
}

/// Tokens that are looked through for one whose id begins as it was typed.
const ALL: i64 = 10_000;

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    let ctx = place.here()?;
    match command {
        Command::Create(args) => create(place, args).await,
        Command::List { user, all, limit, json } => {
            let user = match user {
                Some(name) => place.user_named(&name).await?.id,
                None => ctx.user.id,
            };
            let found = api_tokens::list(&ctx.actor, &ctx.store, Some(user), all, limit.limit).await?;
            limit.note(found.len());
            output::list(
                json.json,
                &found,
                "no tokens",
                &["name", "ends in", "scopes", "state", "expires", "last use", "id"],
                row,
            )
        }
        Command::Revoke { id } => {
            let id = if let Some(id) = id.whole() {
                id
            } else {
                let all = api_tokens::list(&ctx.actor, &ctx.store, None, true, ALL).await?;
                let begun = all.into_iter().filter(|token| id.begins(token.id));
                let begun: Vec<Begun> = begun.map(|token| Begun { id: token.id, label: token.name }).collect();
                only("token", &id, &begun)?
            };
            tokens::revoke(&ctx.store, &ctx.actor, id).await?;
            output::line("The token is revoked; it opens nothing any more.")
        }
    }
}

async fn create(place: &Place, args: Create) -> Result<()> {
    let ctx = place.here()?;
    let user_id = match &args.agent {
        Some(name) => Some(place.user_named(name).await?.id),
        None => None,
    };
    let new = NewToken { user_id, name: args.name, scopes: args.scopes, days: args.days };
    let (token, row) = tokens::create(&ctx.store, &ctx.actor, new).await?;
    if args.json.json {
        let mut shown = serde_json::to_value(&row).map_err(|e| crate::Error::Internal(e.to_string()))?;
        if let Some(map) = shown.as_object_mut() {
            map.insert("token".to_owned(), token.into());
        }
        return output::json(&shown);
    }
    output::line(format!(
        "{token}\n\nThis is the only time the token is shown. It reaches {} until {}; send it as Authorization: Bearer.",
        row.scopes.join(", "),
        output::maybe_time(Some(row.expires_at)),
    ))
}

fn row(token: &ApiToken) -> Vec<String> {
    let state = match token.revoked_at {
        Some(_) => "revoked",
        None if token.expires_at <= store::now() => "over",
        None => "valid",
    };
    vec![
        token.name.clone(),
        token.hint.clone(),
        token.scopes.join(", "),
        state.to_owned(),
        output::maybe_time(Some(token.expires_at)),
        output::maybe_time(token.last_used_at),
        token.id.to_string(),
    ]
}
