//! Where a rule stands among the others. Each place is held by one rule: who takes a place that is held goes before its
//! holder, which moves on by one, as does whoever is met by that.

use store::{
    Actor, Run, Store,
    policies::{self, Policy},
};
use uuid::Uuid;

use crate::{Error, Result};

/// Which way a rule is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To be asked earlier.
    Up,
    /// To be asked later.
    Down,
}

/// Moves a rule past its neighbour; one that stands at that end already stays.
pub async fn step(store: &Store, actor: &Actor, id: Uuid, way: Way) -> Result<()> {
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let rows = settled(tx, &actor).await?;
                let at = rows.iter().position(|row| row.id == id);
                let at = at.ok_or_else(|| Error::NotFound(format!("rule {id}")))?;
                let beside = match way {
                    Way::Up => at.checked_sub(1),
                    Way::Down => at.checked_add(1),
                };
                let Some((mine, other)) = beside.and_then(|beside| Some((&rows[at], rows.get(beside)?))) else {
                    return Ok(());
                };
                put(tx, &actor, &Policy { position: other.position, ..mine.clone() }).await?;
                put(tx, &actor, &Policy { position: mine.position, ..other.clone() }).await
            })
        })
        .await
}

/// The rules in order, locked against other changes, each at a place of its own.
pub(super) async fn settled(on: impl Run, actor: &Actor) -> Result<Vec<Policy>> {
    // What was added while the lock was waited for is read after it.
    policies::lock(actor, on).await?;
    let mut rows = policies::list(actor, on).await?;
    rise(on, actor, &mut rows, Some(1)).await?;
    Ok(rows)
}

/// Makes room at a place among settled rules.
pub(super) async fn make_room(on: impl Run, actor: &Actor, rows: &mut [Policy], position: i32) -> Result<()> {
    let behind = rows.partition_point(|row| row.position < position);
    rise(on, actor, &mut rows[behind..], position.checked_add(1)).await
}

/// Moves rules on until each stands behind the one before it, and the first at `least` or behind it.
async fn rise(on: impl Run, actor: &Actor, rows: &mut [Policy], mut least: Option<i32>) -> Result<()> {
    for row in rows {
        let place = least.ok_or_else(|| {
            Error::Conflict(format!("there is no place behind {}; give the rules lower positions", i32::MAX))
        })?;
        if row.position < place {
            row.position = place;
            put(on, actor, row).await?;
        }
        least = row.position.checked_add(1);
    }
    Ok(())
}

async fn put(on: impl Run, actor: &Actor, row: &Policy) -> Result<()> {
    if policies::update(actor, on, row).await? {
        return Ok(());
    }
    Err(store::Error::Refused { what: "policies".to_owned() }.into())
}
