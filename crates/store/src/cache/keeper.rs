//! The task beside the caches: finds floors after changes and writes down the uses of sessions.

use std::{sync::Arc, time::Duration};

use super::{FLOOR, Found, Inner, Kind, Use, name, odd_answer, read};
use crate::{
    Actor, Result, api_tokens,
    run::Engine,
    sessions::{self, Session},
    signals::Hub,
    statement::Statement,
    value::{FromRow, Value, row},
};

row! {
    /// Since when shared answers may be believed, and of which database.
    pub struct Floor {
        /// What is committed now, as a `pg_snapshot`.
        pub floor: String,
        /// The database's identity and timeline.
        pub scope: String,
    }
}

/// How often the uses of sessions are written.
const WRITE: Duration = Duration::from_secs(5);
/// How soon a floor that could not be found is looked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long closing waits for the work under way.
pub(super) const CLOSING: Duration = Duration::from_secs(5);

/// Works until the cache ends.
pub(super) async fn keep(inner: Arc<Inner>, engine: Engine, hub: Arc<Hub>) {
    let mut write = tokio::time::interval(WRITE);
    let mut again = tokio::time::interval(AGAIN);
    for tick in [&mut write, &mut again] {
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = inner.end.cancelled() => return,
            _ = write.tick() => write_uses(&inner, &engine).await,
            () = inner.work.notified() => settle(&inner, &engine, &hub).await,
            _ = again.tick() => settle(&inner, &engine, &hub).await,
        }
    }
}

/// Finds the floor of what was heard, while signals arrive.
async fn settle(inner: &Inner, engine: &Engine, hub: &Hub) {
    // The turn comes first: whatever is heard or lost from here on has a later one and is not settled by this.
    let turn = inner.beliefs.turn();
    if !inner.beliefs.is_unsettled() || !hub.is_listening() {
        return;
    }
    let found = floor(engine).await.and_then(|found| {
        let floor = found.floor.parse().map_err(|()| odd_answer(FLOOR.name))?;
        Ok((floor, found.scope))
    });
    match found {
        Ok((floor, scope)) => inner.beliefs.settle(turn, floor, &scope),
        Err(e) => {
            tracing::debug!(error = %e, "cached answers are not believed until the database says since when they may");
        }
    }
}

/// What is committed now, and which database this is.
pub(super) async fn floor(engine: &Engine) -> Result<Floor> {
    let rows = match engine {
        Engine::Postgres(pg) => pg.rows(&Actor::service(), &FLOOR, &[]).await?,
        Engine::Sqlite(file) => file.rows(&Actor::service(), &FLOOR, Vec::new()).await?,
    };
    rows.first().map_or_else(|| Err(odd_answer(FLOOR.name)), Floor::from_row)
}

/// Writes the uses that wait, those of sessions in one statement and those of API tokens in another, and brings Redis'
/// copies up to date.
pub(super) async fn write_uses(inner: &Inner, engine: &Engine) {
    let (tokens, sessions): (Vec<Use>, Vec<Use>) =
        inner.uses.take(crate::now()).into_iter().partition(|used| used.is_token);
    if !sessions.is_empty() {
        write(inner, engine, sessions::touch_all_of(&sessions), sessions).await;
    }
    if !tokens.is_empty() {
        write(inner, engine, api_tokens::touch_all_of(&tokens), tokens).await;
    }
}

async fn write(inner: &Inner, engine: &Engine, (statement, params): (&'static Statement, Vec<Value>), uses: Vec<Use>) {
    let actor = Actor::service();
    let written = match engine {
        Engine::Postgres(pg) => pg.execute(&actor, statement, &params).await,
        Engine::Sqlite(file) => file.execute(&actor, statement, params).await,
    };
    match written {
        Ok(_) => refresh(inner, &uses).await,
        Err(e) => {
            tracing::warn!(error = %e, count = uses.len(), "the last uses of sessions could not be written; they are kept and tried again");
            inner.uses.put_back(uses);
        }
    }
}

/// Moves the ends of the sessions that Redis holds; what was removed meanwhile stays removed.
async fn refresh(inner: &Inner, uses: &[Use]) {
    let (Some(redis), Some(scope)) = (&inner.redis, inner.beliefs.scope()) else { return };
    for used in uses {
        let (name, mut budget) = (name(&scope, Kind::Sessions, &used.token_sha256), redis.budget());
        let old = match redis.get(&mut budget, &name).await {
            Found::Text(old) => old,
            Found::Nothing => continue,
            Found::NoAnswer => return,
        };
        let Some((stamp, Some(mut session))) = read::<Option<Session>>(&old) else { continue };
        session.last_accessed = session.last_accessed.max(used.at);
        session.expires_at = session.expires_at.max(used.expires_at);
        if let (Some(life), Ok(json)) = (session.life(), serde_json::to_string(&Some(session))) {
            redis.replace(&mut budget, &name, &old, &format!("{stamp}|{json}"), life).await;
        }
    }
}
