//! `contacts`: the addresses of people whom the owner knows, for rules that ask for them.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Actor, Result, Run,
    statement::statements,
    value::{Scalar, row},
};

row! {
    /// Somebody whom the owner knows.
    pub struct Contact {
        /// The address in lower case, 1 to 320 characters.
        pub address: String,
        /// Who it is, for people; at most 200 characters.
        pub name: Option<String>,
        /// Who added it.
        pub created_by: Option<Uuid>,
        /// When.
        pub created_at: Timestamp,
    }
}

statements! {
    LIST: Contact = "contacts/list";
    KNOWN: Scalar<String> = "contacts/known";
    ADD: Contact = "contacts/add";
    REMOVE: Contact = "contacts/remove";
}

/// All of them by address, at most 10,000.
pub async fn list(actor: &Actor, on: impl Run) -> Result<Vec<Contact>> {
    on.list(actor, &LIST, Vec::new()).await
}

/// Which of these addresses are contacts.
pub async fn known(actor: &Actor, on: impl Run, addresses: Vec<String>) -> Result<Vec<String>> {
    let found: Vec<Scalar<String>> = on.list(actor, &KNOWN, vec![addresses.into()]).await?;
    Ok(found.into_iter().map(|s| s.0).collect())
}

/// Adds one. An address that is there already is refused.
pub async fn add(actor: &Actor, on: impl Run, address: &str, name: Option<&str>) -> Result<()> {
    on.execute(actor, &ADD, vec![address.into(), name.into()]).await.map(drop)
}

/// Removes one. False: none such, or not allowed.
pub async fn remove(actor: &Actor, on: impl Run, address: &str) -> Result<bool> {
    Ok(on.execute(actor, &REMOVE, vec![address.into()]).await? > 0)
}
