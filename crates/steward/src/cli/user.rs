//! `steward user`: people and agents.

use domain::{accounts, passkeys, second_factor};
use store::users::Account;

use super::{Json, Limit, Place, not_allowed, not_found, password};
use crate::{Error, Result, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add a person; the password comes from a prompt, stdin or a file
    Add {
        username: String,
        #[arg(long)]
        email: String,
        #[arg(long, value_enum, default_value_t = Role::User)]
        role: Role,
        #[command(flatten)]
        password: password::Source,
        #[command(flatten)]
        json: Json,
    },
    /// Everybody (an admin) or oneself
    List {
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        json: Json,
    },
    /// One account
    Show {
        user: String,
        #[command(flatten)]
        json: Json,
    },
    /// Give a role
    Role {
        user: String,
        role: Role,
        #[command(flatten)]
        json: Json,
    },
    /// Suspend an account, or lift that
    Suspend {
        user: String,
        /// Make the account active again
        #[arg(long)]
        lift: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Whether a user has a second factor or passkeys; take them away from who lost them
    SecondFactor {
        user: String,
        /// Take all of it away, recovery codes too
        #[arg(long)]
        remove: bool,
    },
    /// Give a new password; it comes from a prompt, stdin or a file
    Password {
        user: String,
        #[command(flatten)]
        password: password::Source,
    },
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Role {
    /// Everything.
    Admin,
    /// Their own tasks, watchers and decisions.
    User,
    /// See everything, change nothing.
    Observer,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Observer => "observer",
        }
    }
}

pub(super) async fn run(place: &Place, command: Command) -> Result<()> {
    match command {
        Command::Add { username, email, role, password, json } => {
            place.may_add_people().await?;
            let password = password.read().await?;
            let id = place.add_user(&username, &email, role.as_str(), password).await?;
            if json.json {
                return output::json(&place.account(id).await?);
            }
            output::line(format!("Added {username} as {role} ({id})."))
        }
        Command::List { limit, json } => {
            let accounts = place.accounts(limit.limit).await?;
            limit.note(accounts.len());
            output::list(
                json.json,
                &accounts,
                "no accounts",
                &["username", "kind", "role", "status", "email", "last log-in", "id"],
                row,
            )
        }
        Command::Show { user, json } => show(place, &user, json.json).await,
        Command::Role { user, role, json } => {
            let found = place.user_named(&user).await?;
            place.set_role(found.id, role.as_str()).await?;
            output::told(json.json, &place.account(found.id).await?, format!("{} is {role} now.", found.username))
        }
        Command::Suspend { user, lift, json } => {
            let found = place.user_named(&user).await?;
            let status = if lift { "active" } else { "suspended" };
            place.set_user_status(found.id, status).await?;
            output::told(json.json, &place.account(found.id).await?, format!("{} is {status} now.", found.username))
        }
        Command::SecondFactor { user, remove } => {
            let ctx = place.here()?;
            let found = place.user_named(&user).await?;
            if remove {
                let removed = passkeys::remove_all(&ctx.store, &ctx.actor, found.id).await?;
                match second_factor::remove(&ctx.store, &ctx.actor, found.id).await {
                    Err(domain::Error::NotFound(_)) if removed > 0 => {}
                    other => other?,
                }
                return output::line(format!("{} has no second factor any more, and no passkey.", found.username));
            }
            for passkey in store::passkeys::list(&ctx.actor, &ctx.store, found.id).await? {
                let since = output::time(passkey.created_at);
                output::line(format!(
                    "The passkey {} for {}, since {since}.",
                    output::safe(&passkey.name),
                    passkey.site
                ))?;
            }
            let since =
                store::second_factors::get(&ctx.actor, &ctx.store, found.id).await?.and_then(|f| f.confirmed_at);
            output::line(match since {
                Some(at) => format!("{} has had a second factor since {}.", found.username, output::time(at)),
                None => format!("{} has no second factor, or you may not see it.", found.username),
            })
        }
        Command::Password { user, password } => {
            let ctx = place.here()?;
            let found = place.user_named(&user).await?;
            let account = place.account(found.id).await?.ok_or_else(|| not_allowed("users"))?;
            // Said before anything is asked for.
            if account.is_agent {
                return Err(Error::refused(format!(
                    "{} is an agent and never logs in, so it has no password",
                    found.username
                )));
            }
            accounts::set_password(&ctx.store, &ctx.actor, found.id, password.read().await?).await?;
            output::line(format!("{} has a new password, and no session any more.", found.username))
        }
    }
}

fn row(account: &Account) -> Vec<String> {
    vec![
        account.username.clone(),
        kind(account).to_owned(),
        account.role.clone(),
        account.status.clone(),
        account.email.clone(),
        output::maybe_time(account.last_login),
        account.id.to_string(),
    ]
}

fn kind(account: &Account) -> &'static str {
    if account.is_agent { "agent" } else { "person" }
}

async fn show(place: &Place, name: &str, json: bool) -> Result<()> {
    let user = place.user_named(name).await?;
    let account = place.account(user.id).await?.ok_or_else(|| not_found("account", name))?;
    if json {
        return output::json(&account);
    }
    let full_name = [account.first_name.as_deref(), account.last_name.as_deref()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ");
    output::fields(&[
        ("id", account.id.to_string()),
        ("username", account.username.clone()),
        ("name", full_name),
        ("kind", kind(&account).to_owned()),
        ("role", account.role.clone()),
        ("status", account.status.clone()),
        ("email", account.email.clone()),
        ("made", output::time(account.created_at)),
        ("last log-in", output::maybe_time(account.last_login)),
    ])
}
