//! Saving the handbook: a new version on top of the one its writer has read.

use store::{
    Actor, Store,
    handbook::{self, Handbook},
};

use crate::{Error, Result};

/// The longest handbook, in characters.
pub const MAX_CHARS: usize = 100_000;

/// Saves a version on top of version `read` (0: nothing was written yet), and answers it. Whoever has read an older one is
/// told so, and nothing changes.
pub async fn save(store: &Store, actor: &Actor, read: i32, content: String) -> Result<Handbook> {
    if content.chars().count() > MAX_CHARS {
        return Err(Error::invalid(
            "content",
            format!("the handbook has more than {MAX_CHARS} characters; shorten it"),
        ));
    }
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let stands = handbook::current(&actor, tx).await?.map_or(0, |h| h.version);
                if stands != read {
                    return Err(Error::Conflict(format!(
                        "the handbook is at version {stands} by now, and you have read {read}; read it again, and save your changes on top"
                    )));
                }
                handbook::save(&actor, tx, read + 1, &content).await?;
                handbook::current(&actor, tx).await?.ok_or_else(|| Error::NotFound("the handbook".to_owned()))
            })
        })
        .await
}
