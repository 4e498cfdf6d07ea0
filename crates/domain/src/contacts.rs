//! The people whom rules know.

use store::{Actor, Store, contacts};

use crate::{Error, Result, deceit, policy::around::address as kept};

/// Adds somebody and answers the address as it is kept. What could be taken for another address is refused.
pub async fn add(store: &Store, actor: &Actor, address: &str, name: Option<&str>) -> Result<String> {
    let address = kept(address.trim());
    let is_plain = (3..=320).contains(&address.chars().count()) && !address.contains(char::is_whitespace);
    if !is_plain || address.contains([',', ';', '<', '>', '"']) || deceit::hidden(&address) > 0 {
        return Err(Error::invalid(
            "address",
            "an address needs 3 to 320 characters, without blanks, commas, brackets or quotes",
        ));
    }
    if address.to_lowercase() != address {
        return Err(Error::invalid("address", "write the address in small letters"));
    }
    if let Some(mixed) = deceit::mixed_words(&address).first() {
        return Err(Error::invalid("address", format!("its letters only look like others: {mixed}")));
    }
    if name.is_some_and(|n| n.chars().count() > 200) {
        return Err(Error::invalid("name", "the name is longer than 200 characters"));
    }
    if contacts::list(actor, store).await?.iter().any(|c| c.address == address) {
        return Err(Error::Conflict(format!("{address} is known already")));
    }
    contacts::add(actor, store, &address, name).await?;
    Ok(address)
}
