//! Where the rows are that a command works on: in the database itself, or with a running Steward that is asked through
//! its API (`--server`). Each verb stands here once, with both ways; the commands are written over it and know neither.

mod house;
mod mind;
mod people;
mod there;
mod work;

use std::collections::HashMap;

use store::users::User;
use uuid::Uuid;

use super::Context;
use crate::{Error, Result, config::Config};

use self::there::There;
pub(super) use self::{
    house::{House, Trial},
    mind::Models,
    people::{Lines, sees_all},
    work::{Asked, Move, RunWithSteps, Whole},
};

/// Where the rows are, and who acts on them.
#[derive(Debug)]
pub(super) enum Place {
    /// In a database that is open.
    Here(Box<Context>),
    /// With a running Steward.
    There(Box<There>),
}

impl Place {
    /// The place that the settings name.
    pub(super) async fn open(config: Config, acting_as: Option<&str>) -> Result<Self> {
        match config.server.clone() {
            None => Context::open(config, acting_as).await.map(|ctx| Self::Here(Box::new(ctx))),
            Some(_) if acting_as.is_some() => Err(Error::refused(
                "--as and --server do not go together: with a Steward elsewhere the token says who acts",
            )),
            Some(server) => {
                There::open(&server, config.token_file.as_deref()).await.map(|there| Self::There(Box::new(there)))
            }
        }
    }

    /// The database, for what a Steward elsewhere can't be asked to do.
    pub(super) fn here(&self) -> Result<&Context> {
        match self {
            Self::Here(ctx) => Ok(ctx.as_ref()),
            Self::There(there) => Err(only_here(there.base())),
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Here(ctx) => ctx.close().await,
            Self::There(_) => {}
        }
    }

    /// What a watcher of a Steward elsewhere would make tasks of now, as it says so; none where the watcher is here.
    pub(super) async fn preview_elsewhere(&self, watcher: Uuid) -> Result<Option<Vec<serde_json::Value>>> {
        let Self::There(there) = self else { return Ok(None) };
        let path = format!("/v1/watchers/{watcher}/test");
        let mut answer: serde_json::Value = there.send_json("POST", &path, &serde_json::json!({})).await?;
        match answer.get_mut("data").map(serde_json::Value::take) {
            Some(serde_json::Value::Array(tasks)) => Ok(Some(tasks)),
            _ => Err(Error::refused("the answer can't be read; that Steward may be of a different version")),
        }
    }

    /// The desk's address, for showing.
    pub(super) fn desk(&self) -> String {
        match self {
            Self::Here(ctx) => format!("http://{}", ctx.config.listen),
            Self::There(there) => there.base().to_owned(),
        }
    }

    /// Who acts.
    pub(super) fn user(&self) -> &User {
        match self {
            Self::Here(ctx) => &ctx.user,
            Self::There(there) => &there.user,
        }
    }

    /// Names of users, for showing; an id without a name shows as itself.
    pub(super) async fn names(&self, ids: impl IntoIterator<Item = Option<Uuid>>) -> Result<Names> {
        let mut ids: Vec<Uuid> = ids.into_iter().flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Names(HashMap::new()));
        }
        Ok(Names(self.users(ids).await?.into_iter().map(|u| (u.id, u.username)).collect()))
    }

    /// A user by name or id.
    pub(super) async fn user_named(&self, name: &str) -> Result<User> {
        let found = match name.parse::<Uuid>() {
            Ok(id) => self.users(vec![id]).await?.pop(),
            Err(_) => self.user_called(name).await?,
        };
        found.ok_or_else(|| super::not_found("user", name))
    }
}

/// What works on the machine itself, said where `server` is to be asked.
pub(super) fn only_here(server: &str) -> Error {
    Error::refused(format!(
        "this command works on the database and the files of Steward itself, and {server} can't be asked to do it; run it on that machine, without --server (STEWARD_SERVER)"
    ))
}

/// Names by id.
pub(super) struct Names(HashMap<Uuid, String>);

impl Names {
    pub(super) fn of(&self, id: Option<Uuid>) -> String {
        id.map(|id| self.0.get(&id).cloned().unwrap_or_else(|| id.to_string())).unwrap_or_default()
    }
}
