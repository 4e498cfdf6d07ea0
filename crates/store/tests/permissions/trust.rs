//! The verbs of the people whom rules know.

use store::{Result, Transaction, contacts};

use crate::{
    verbs::{done, seen},
    world::World,
};

/// Tries a verb of contacts.
pub async fn contacts(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let me = &w.actor;
    Ok(match verb {
        "contacts.list" => seen(!contacts::list(me, tx).await?.is_empty()),
        "contacts.known" => seen(!contacts::known(me, tx, vec!["bob@example.org".to_owned()]).await?.is_empty()),
        "contacts.add" => contacts::add(me, tx, "new@example.org", None).await.map(|()| done(true))?,
        "contacts.remove" => done(contacts::remove(me, tx, "bob@example.org").await?),
        other => panic!("{other} is in VERBS and not tried"),
    })
}
