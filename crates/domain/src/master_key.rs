//! The master key: whether it is the one the database is sealed with, and another in its place while work goes on.
//!
//! The key's file says which keys there are; the first seals, the others open. The database says by which it is sealed. A
//! new key comes first into the file, whole or not at all, with the old ones behind it; every process that has the file
//! open sees it and seals with it. Then what the old ones sealed is sealed anew, value by value, each in a transaction of
//! its own. Wherever that ends early, everything can still be opened, and going on finds what is left.

use store::{
    Actor, Error, Result, Store, Vault, master_key,
    sealed::{self, Kind, Sealed},
};

use crate::{checkpoint, files::IsStopped};

/// Values read at once.
const PAGE: i64 = 200;
/// Values sealed anew in one transaction, short for those who wait to write.
const BATCH: usize = 50;
/// Times that everything is gone through: what was sealed with the old key meanwhile is found by the next one.
const ROUNDS: usize = 10;

/// How the keys stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The key the database is sealed with.
    pub expected: String,
    /// Whether the file holds it.
    pub is_known: bool,
    /// Values that are sealed with another key than the first.
    pub older: usize,
}

/// Refuses a vault whose file does not hold the key that the database is sealed with, and notes the key where none was.
/// After a new key came first, it is the one from now on.
pub async fn admit(store: &Store, vault: &Vault) -> Result<()> {
    let service = Actor::service();
    let ours = vault.fingerprints();
    let first = ours.first().cloned().unwrap_or_default();
    match master_key::get(&service, store).await? {
        Some(row) if row.fingerprint == first => return Ok(()),
        Some(row) if ours.contains(&row.fingerprint) => {}
        Some(row) => {
            return Err(Error::Vault(format!(
                "the master key in {} is {first}, and this database is sealed with {}; restore that key's file from where you keep it, or name it with master_key_file",
                vault.key_file().display(),
                row.fingerprint
            )));
        }
        // A database from before keys had names: any value tells.
        None => {
            for kind in Kind::ALL {
                let Some(one) = sealed::after(&service, store, kind, "", 1).await?.pop() else { continue };
                vault.unseal_json(&kind.purpose(&one.binding), &one.value).map_err(|_| {
                    Error::Vault(format!(
                        "the master key in {} is not the one this database is sealed with; restore that key's file from where you keep it, or name it with master_key_file",
                        vault.key_file().display()
                    ))
                })?;
                break;
            }
        }
    }
    master_key::put(&service, store, &first).await.map(drop)
}

/// How the keys stand, for whoever looks.
pub async fn standing(store: &Store, vault: &Vault) -> Result<Standing> {
    let ours = vault.fingerprints();
    let row = master_key::get(&Actor::service(), store).await?;
    let expected = row.map(|row| row.fingerprint).or_else(|| ours.first().cloned()).unwrap_or_default();
    let mut older = 0;
    each(store, |_, row| older += usize::from(!vault.is_current(&row.value))).await?;
    Ok(Standing { is_known: ours.contains(&expected), expected, older })
}

/// How many values are sealed with the key of this fingerprint; those that name none count for every key.
pub async fn sealed_with(store: &Store, fingerprint: &str) -> Result<usize> {
    let mut count = 0;
    each(store, |_, row| {
        let named = row.value.get("key").and_then(serde_json::Value::as_str);
        count += usize::from(row.value.get("sealed").is_some() && named.is_none_or(|key| key == fingerprint));
    })
    .await?;
    Ok(count)
}

async fn each(store: &Store, mut look: impl FnMut(Kind, &Sealed)) -> Result<()> {
    for kind in Kind::ALL {
        let mut at = String::new();
        loop {
            let page = sealed::after(&Actor::service(), store, kind, &at, PAGE).await?;
            let Some(last) = page.last() else { break };
            at.clone_from(&last.id);
            page.iter().filter(|row| row.value.get("sealed").is_some()).for_each(|row| look(kind, row));
        }
    }
    Ok(())
}

/// Seals anew whatever is sealed with an older key, as `actor`, who may change servers, watchers and channels. Answers how
/// many values; work that was stopped goes on where it stood when it is called again.
pub async fn seal_anew(store: &Store, vault: &Vault, actor: &Actor, is_stopped: &IsStopped) -> Result<usize> {
    let mut done = 0;
    for _ in 0..ROUNDS {
        let mut left: Vec<(Kind, String)> = Vec::new();
        each(store, |kind, row| {
            if !vault.is_current(&row.value) {
                left.push((kind, row.id.clone()));
            }
        })
        .await?;
        if left.is_empty() {
            break;
        }
        for batch in left.chunks(BATCH) {
            if is_stopped() {
                return Ok(done);
            }
            done += anew(store, vault, actor, batch.to_vec()).await?;
            checkpoint::reached("values sealed anew");
        }
    }
    Ok(done)
}

async fn anew(store: &Store, vault: &Vault, actor: &Actor, batch: Vec<(Kind, String)>) -> Result<usize> {
    let (vault, actor) = (vault.clone(), actor.clone());
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let service = Actor::service();
                let mut done = 0;
                for (kind, id) in batch {
                    let writer = if kind.is_peoples() { &actor } else { &service };
                    let Some(row) = sealed::held(writer, tx, kind, &id, &service).await? else { continue };
                    if vault.is_current(&row.value) {
                        continue;
                    }
                    let value = vault.seal_anew(&kind.purpose(&row.binding), &row.value)?;
                    if !sealed::put(writer, tx, kind, &id, value).await? {
                        return Err(Error::Refused { what: kind.name().to_owned() });
                    }
                    done += 1;
                }
                Ok(done)
            })
        })
        .await
}
