//! Checking the whole chain: read in batches that are hashed on other threads while the next one is fetched, and, where
//! it is broken, looking for what happened.

use std::collections::VecDeque;

use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    CHAIN, COUNTS, Counts, NEAR, UNLINKED, UNRECORDED,
    chain::{Break, Damage, Finding, Link, Walk},
};
use crate::{
    Actor, Error, Result, Run, Store,
    value::{FromRow, Row, Scalar},
};

/// Links in a batch.
const BATCH: i64 = 4000;
/// Batches that are fetched before the first of them is looked at.
const AHEAD: usize = 3;
/// Rows without a link that are looked at.
const UNLINKED_ROWS: i64 = 1000;

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ChainReport {
    /// Links that are good, from the first on.
    pub links: i64,
    /// Hash of the last of them, to be kept elsewhere; 64 zeros where there is none.
    pub head: String,
    /// Time of the last of them, RFC 3339 in UTC.
    pub head_at: Option<String>,
    /// Position of the head that was kept elsewhere, if one was named and found.
    pub anchored_at: Option<i64>,
    /// The first thing that is wrong.
    pub broken: Option<Finding>,
}

/// The links from behind a position on, in batches, each with its hash worked out.
#[derive(Debug)]
pub struct Links {
    after: i64,
    ended: bool,
    hashing: VecDeque<JoinHandle<Result<Vec<Link>>>>,
}

impl Links {
    /// From behind `position` on; 0 for all.
    pub fn after(position: i64) -> Self {
        Self { after: position, ended: false, hashing: VecDeque::new() }
    }

    /// The next batch; none at the end. At most some thousand rows are held. It may be dropped at any time.
    pub async fn next(&mut self, actor: &Actor, on: &Store) -> Result<Option<Vec<Link>>> {
        while !self.ended && self.hashing.len() < AHEAD {
            let rows = on.rows(actor, &CHAIN, vec![self.after.into(), BATCH.into()]).await?;
            self.ended = i64::try_from(rows.len()).unwrap_or(BATCH) < BATCH;
            let Some(last) = rows.last() else { break };
            self.after = last.get(0, "seq")?;
            self.hashing.push_back(spawn_blocking(move || rows.iter().map(Link::from_row).collect()));
        }
        let Some(hashing) = self.hashing.pop_front() else { return Ok(None) };
        hashing.await.map_err(|e| Error::Unavailable(e.to_string()))?.map(Some)
    }
}

/// Checks the whole chain. `anchor` is a head that was kept elsewhere: it must stand in the chain.
/// Whoever may not read the whole trail sees no chain, and no alarm.
pub async fn verify_against(actor: &Actor, on: &Store, anchor: Option<&str>) -> Result<ChainReport> {
    verify_telling(actor, on, anchor, |_| ()).await
}

/// The same; `tell` is told after every few thousand links how many are good so far.
pub async fn verify_telling(
    actor: &Actor,
    on: &Store,
    anchor: Option<&str>,
    tell: impl Fn(i64) + Send,
) -> Result<ChainReport> {
    let mut walk = Walk::default();
    let mut anchored_at = None;
    let mut broken = None;
    let mut links = Links::after(0);
    'chain: while let Some(batch) = links.next(actor, on).await? {
        for link in batch {
            if let Err(at) = walk.step(&link) {
                broken = Some(locate(actor, on, &walk, &link, at).await?);
                break 'chain;
            }
            if anchor.is_some_and(|head| head == link.sha256) {
                anchored_at = Some(link.position);
            }
        }
        tell(walk.position);
    }
    if broken.is_none() {
        broken = beside(actor, on, &walk).await?;
    }
    if broken.is_none() {
        broken = before(actor, on).await?;
    }
    if broken.is_none()
        && anchored_at.is_none()
        && let Some(head) = anchor
    {
        let reason = format!(
            "the chain is whole, but the head {head} that was kept elsewhere is not in it; rows were cut off its end, or all of it was written anew"
        );
        broken = Some(Finding { damage: Damage::Removed, position: None, row_id: None, created_at: None, reason });
    }
    Ok(ChainReport { links: walk.position, head: walk.head, head_at: walk.created_at, anchored_at, broken })
}

/// Rows that stand beside a chain that is whole.
async fn beside(actor: &Actor, on: &Store, walk: &Walk) -> Result<Option<Finding>> {
    let Counts(rows, links) = on.one(actor, &COUNTS, Vec::new()).await?;
    // Who sees no link may see rows of his own; that is no damage.
    if rows == links || links == 0 && walk.position == 0 && !sees_all(actor, on).await? {
        return Ok(None);
    }
    let Some(row) = unlinked(actor, on, 1).await?.pop() else { return Ok(None) };
    let is_newest = row.created_at >= walk.created_at;
    let (damage, reason) = if is_newest {
        (
            Damage::Removed,
            "no link covers it, and it is newer than the last link: links were cut off the chain's end, or the row was written past the chain",
        )
    } else {
        (Damage::Inserted, "no link covers it: it was written past the chain")
    };
    Ok(Some(about(damage, None, &row, reason.to_owned())))
}

/// A chain that is empty, or that was begun anew, is whole in itself. But the making of each user is a row of it.
async fn before(actor: &Actor, on: &Store) -> Result<Option<Finding>> {
    let Some(Scalar(user)) = on.optional::<Scalar<String>>(actor, &UNRECORDED, Vec::new()).await? else {
        return Ok(None);
    };
    if !sees_all(actor, on).await? {
        return Ok(None);
    }
    let reason = format!(
        "the user {user} is there, and no row says that he was made: the trail was emptied, or begun anew, or the user was written past it"
    );
    Ok(Some(Finding { damage: Damage::Removed, position: None, row_id: None, created_at: None, reason }))
}

async fn sees_all(actor: &Actor, on: &Store) -> Result<bool> {
    if actor.principal == crate::Principal::Service {
        return Ok(true);
    }
    crate::users::allowed(actor, on, "audit_view_all").await
}

async fn unlinked(actor: &Actor, on: &Store, limit: i64) -> Result<Vec<Link>> {
    read(on.rows(actor, &UNLINKED, vec![limit.into()]).await?).await
}

async fn read(rows: Vec<Row>) -> Result<Vec<Link>> {
    let read = spawn_blocking(move || rows.iter().map(Link::from_row).collect());
    read.await.map_err(|e| Error::Unavailable(e.to_string()))?
}

fn about(damage: Damage, position: Option<i64>, link: &Link, reason: String) -> Finding {
    Finding { damage, position, row_id: Some(link.row_id.clone()), created_at: link.created_at.clone(), reason }
}

/// What happened where `link` does not follow `walk`.
async fn locate(actor: &Actor, on: &Store, walk: &Walk, link: &Link, at: Break) -> Result<Finding> {
    match at {
        Break::Gap | Break::Previous => misplaced(actor, on, walk, link, at).await,
        Break::NoRow => {
            let reason = "its link stands in the chain, the row is gone".to_owned();
            Ok(about(Damage::Removed, Some(link.position), link, reason))
        }
        Break::Text => Ok(match rightful_place(actor, on, link).await? {
            Some(place) => {
                about(Damage::Reordered, Some(link.position), link, format!("it belongs at position {place}"))
            }
            None => about(
                Damage::Altered,
                Some(link.position),
                link,
                "it does not give the hash that its link holds".to_owned(),
            ),
        }),
    }
}

/// A link that is not the one to follow: which should, and where is it?
async fn misplaced(actor: &Actor, on: &Store, walk: &Walk, link: &Link, at: Break) -> Result<Finding> {
    let next = walk.position + 1;
    if link.previous_sha256 == walk.head {
        let reason = format!("its link should be at position {next}; the number was changed");
        return Ok(about(Damage::Altered, Some(link.position), link, reason));
    }
    let params = vec![(&walk.head).into(), (&link.previous_sha256).into()];
    let near = read(on.rows(actor, &NEAR, params).await?).await?;
    if let Some(follower) = near.iter().find(|l| l.previous_sha256 == walk.head && l.position > next) {
        let reason = format!("it stands at position {}", follower.position);
        return Ok(about(Damage::Reordered, Some(next), follower, reason));
    }
    if let Some(earlier) = near.iter().find(|l| l.sha256 == link.previous_sha256 && l.position < walk.position) {
        let first = earlier.position + 1;
        let rows = on.rows(actor, &CHAIN, vec![earlier.position.into(), 1.into()]).await?;
        let reason =
            format!("position {} follows position {} and knows of nothing between", link.position, earlier.position);
        if let Some(inserted) = read(rows).await?.pop() {
            return Ok(about(Damage::Inserted, Some(first), &inserted, reason));
        }
    }
    let lost = unlinked(actor, on, UNLINKED_ROWS).await?;
    if let Some(row) = lost.iter().find(|row| row.would_be(&walk.head, &link.previous_sha256)) {
        return Ok(about(Damage::Removed, Some(next), row, "its link is gone, the row still stands".to_owned()));
    }
    if link.would_be(&walk.head, &link.sha256) {
        let reason = "its link holds another hash for the link before than that one has".to_owned();
        return Ok(about(Damage::Altered, Some(link.position), link, reason));
    }
    let between = match (&walk.created_at, &link.created_at) {
        (Some(from), Some(to)) => format!(", written between {from} and {to}"),
        _ => String::new(),
    };
    if at == Break::Gap || walk.position == 0 {
        let missing = match link.position - next {
            0 | 1 => "the link and its row are gone".to_owned(),
            n => format!("{n} links and their rows are gone"),
        };
        let reason = format!("{missing}{between}");
        return Ok(Finding { damage: Damage::Removed, position: Some(next), row_id: None, created_at: None, reason });
    }
    Ok(Finding {
        damage: Damage::Altered,
        position: Some(walk.position),
        row_id: walk.row_id.clone(),
        created_at: walk.created_at.clone(),
        reason: format!(
            "position {} follows another hash than it has now; the row was altered and hashed anew, or rows behind it were removed and the rest numbered anew",
            link.position
        ),
    })
}

/// The position whose hash this row's text gives, if it is another one.
async fn rightful_place(actor: &Actor, on: &Store, wrong: &Link) -> Result<Option<i64>> {
    let mut links = Links::after(0);
    while let Some(batch) = links.next(actor, on).await? {
        let row = wrong.clone();
        let look = move || batch.iter().find(|l| row.would_be(&l.previous_sha256, &l.sha256)).map(|l| l.position);
        let place = spawn_blocking(look).await.map_err(|e| Error::Unavailable(e.to_string()))?;
        if place.is_some() {
            return Ok(place);
        }
    }
    Ok(None)
}
