//! Adding people and changing their accounts, for user administrators.

use store::{
    Actor, BoxFuture, Store, Transaction,
    cache::Change,
    sessions,
    users::{self, Account, NewUser},
};
use uuid::Uuid;

use super::{as_service, check_email, check_name, check_role, keep_an_admin, permitted};
use crate::{Error, Result, passwords::hash_password};

/// Characters of a given or a family name.
const NAME_CHARS: usize = 100;
/// Bytes of a user's settings as JSON.
const PREFERENCES_BYTES: usize = 64 * 1024;

/// A person to be added.
#[derive(Clone)]
pub struct NewPerson {
    /// Log-in name.
    pub username: String,
    /// Address.
    pub email: String,
    /// `admin`, `user` or `observer`.
    pub role: String,
    /// Password in clear; hashed here.
    pub password: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
}

/// Adds a person and answers the account.
pub async fn add(store: &Store, actor: &Actor, new: NewPerson) -> Result<Account> {
    check_name(&new.username)?;
    check_email(&new.email)?;
    check_role(&new.role)?;
    check_given(new.first_name.as_deref(), new.last_name.as_deref())?;
    permitted(users::allowed(actor, store, "user_admin").await?)?;
    let names = [new.username.clone(), new.email.clone()];
    let row = NewUser {
        username: new.username,
        email: new.email,
        password_hash: hash_password(new.password, &names).await?,
        role: new.role,
        first_name: new.first_name,
        last_name: new.last_name,
    };
    let id = users::create(actor, store, &row).await?;
    users::account(actor, store, id).await?.ok_or_else(|| Error::NotFound(format!("user {id}")))
}

/// Changes an account: `change` is given the row and answers it as it shall be. Role and status may be among what it
/// changes; the last active admin stays one, and whoever is not active has no session from then on.
pub async fn change(
    store: &Store,
    actor: &Actor,
    id: Uuid,
    change: impl FnOnce(Account) -> Result<Account> + Send + 'static,
) -> Result<Account> {
    let actor = actor.clone();
    let done = store.transaction(move |tx: &Transaction| -> BoxFuture<'_, Result<Account>> {
        Box::pin(async move {
            let unknown = || Error::NotFound(format!("user {id}"));
            let before = users::account(&actor, tx, id).await?.ok_or_else(unknown)?;
            permitted(users::allowed(&actor, tx, "user_admin").await?)?;
            let (name, email) = (before.username.clone(), before.email.clone());
            let (role, status) = (before.role.clone(), before.status.clone());
            let after = change(before)?;
            if after.username != name {
                check_name(&after.username)?;
            }
            if after.email != email {
                check_email(&after.email)?;
            }
            check_given(after.first_name.as_deref(), after.last_name.as_deref())?;
            check_preferences(&after)?;
            permitted(users::update(&actor, tx, &after).await?)?;
            if after.role != role || after.status != status {
                check_role(&after.role)?;
                if after.role != "admin" || after.status != "active" {
                    keep_an_admin(&actor, tx, id).await?;
                }
            }
            if after.role != role {
                permitted(users::set_role(&actor, tx, id, &after.role).await?)?;
            }
            if after.status != status {
                permitted(users::set_status(&actor, tx, id, &after.status).await?)?;
                if after.status != "active" {
                    sessions::revoke_all_of(&as_service(&actor), tx, id).await?;
                }
            }
            // Whoever just gave up the role that shows other accounts sees this one no more.
            Ok(users::account(&actor, tx, id).await?.unwrap_or(after))
        })
    });
    let account = done.await?;
    store.changed(Change::User(id)).await;
    Ok(account)
}

fn check_given(first: Option<&str>, last: Option<&str>) -> Result<()> {
    for (field, name) in [("first_name", first), ("last_name", last)] {
        if name.is_some_and(|n| n.chars().count() > NAME_CHARS || n.chars().any(char::is_control)) {
            return Err(Error::invalid(field, format!("a name has at most {NAME_CHARS} characters on one line")));
        }
    }
    Ok(())
}

fn check_preferences(account: &Account) -> Result<()> {
    if !account.preferences.is_object() {
        return Err(Error::invalid("preferences", "the preferences must be an object"));
    }
    if account.preferences.to_string().len() > PREFERENCES_BYTES {
        return Err(Error::invalid(
            "preferences",
            format!("the preferences are larger than {PREFERENCES_BYTES} bytes"),
        ));
    }
    Ok(())
}
