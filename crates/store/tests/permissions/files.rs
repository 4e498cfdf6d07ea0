//! The verbs of kept files and of what the master key seals. In the world stands the file `ab/kept`, which nothing names.

use serde_json::json;
use store::{
    Result, Transaction, Vault, kept_files as kept, master_key,
    sealed::{self, Kind},
    vault::Stored,
};

use crate::world::World;

/// A file of one byte in a vault of its own.
pub fn stored() -> Stored {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open(&folder.path().join("key"), &folder.path().join("files")).unwrap();
    vault.store(&mut [1_u8].as_slice(), 1).unwrap()
}

pub async fn of_kept(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let (me, place, places) = (&w.actor, "ab/kept", vec!["ab/kept".to_owned()]);
    let done = |done: bool| if done { "done" } else { "nothing" }.to_owned();
    let seen = |seen: bool| if seen { "seen" } else { "-" }.to_owned();
    let hash = "c".repeat(64);
    Ok(match verb {
        "kept_files.create" => kept::create(me, tx, &stored()).await.map(|()| done(true))?,
        "kept_files.create_lost" => {
            kept::create_lost(me, tx, ("ab/lost", &hash, 1), "it is lost").await.map(|()| done(true))?
        }
        "kept_files.alike" => seen(!kept::alike(me, tx, &hash).await?.is_empty()),
        "kept_files.get" => seen(kept::get(me, tx, place).await?.is_some()),
        "kept_files.lock" => seen(!kept::lock(me, tx, places).await?.is_empty()),
        "kept_files.drop_unused" => done(!kept::drop_unused(me, tx, places).await?.is_empty()),
        "kept_files.unused" => seen(!kept::unused(me, tx, 10).await?.is_empty()),
        "kept_files.due" => seen(!kept::due(me, tx, crate::common::in_seconds(60), 10).await?.is_empty()),
        "kept_files.checked" => done(kept::checked(me, tx, place, None).await?),
        "kept_files.troubled" => seen(!kept::troubled(me, tx, 10).await?.is_empty()),
        "kept_files.figures" => seen(kept::figures(me, tx).await?.files > 0),
        other => panic!("{other} is in VERBS and not tried"),
    })
}

/// The way `email` has sealed credentials.
pub async fn of_keys(verb: &str, tx: &Transaction, w: &World) -> Result<String> {
    let me = &w.actor;
    let done = |done: bool| if done { "done" } else { "nothing" }.to_owned();
    let seen = |seen: bool| if seen { "seen" } else { "-" }.to_owned();
    Ok(match verb {
        "master_key.get" => seen(master_key::get(me, tx).await?.is_some()),
        "master_key.put" => done(master_key::put(me, tx, &"a".repeat(16)).await?),
        "sealed.after" => seen(!sealed::after(me, tx, Kind::ChannelSecret, "", 10).await?.is_empty()),
        "sealed.held" => seen(sealed::held(me, tx, Kind::SecondFactor, "x", me).await?.is_some()),
        "sealed.put" => done(sealed::put(me, tx, Kind::ChannelSecret, "email", json!({ "sealed": "x" })).await?),
        other => panic!("{other} is in VERBS and not tried"),
    })
}
