//! The open database and the person at the terminal: every command works under that person's own rights.

use store::{
    Actor, Store, Vault, master_key, migrate, playbooks,
    users::{self, User},
};
use workers::library::Library;

use super::blocking;
use crate::{Error, Result, config::Config};

/// What a command works with.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) store: Store,
    /// The person, with what the audit trail wants to know.
    pub(super) actor: Actor,
    pub(super) user: User,
}

/// Opens a database that exists and has this program's schema.
pub(super) async fn open_store(config: &Config) -> Result<Store> {
    if let Some(file) = config.sqlite_file()
        && !file.exists()
    {
        return Err(Error::refused(format!(
            "there is no database at {}; start Steward first (steward), or make it with: steward setup",
            file.display()
        )));
    }
    migrate::require_current(&config.database).await?;
    Ok(Store::open(&config.database).await?)
}

/// Opens the vault. A key that is not the database's is refused, and none is made where the database has one.
pub(crate) async fn open_vault(config: &Config, store: &Store) -> Result<Vault> {
    if !config.master_key_file.exists()
        && let Some(known) = master_key::get(&Actor::service(), store).await?
    {
        return Err(Error::refused(format!(
            "the master key {} is missing, and this database is sealed with the key {}; restore its file from where you keep it",
            config.master_key_file.display(),
            known.fingerprint
        )));
    }
    let settings = config.clone();
    let vault = blocking(move || settings.vault()).await?;
    domain::master_key::admit(store, &vault).await?;
    Ok(vault)
}

impl Context {
    /// Opens the database and finds out who acts.
    pub(super) async fn open(config: Config, acting_as: Option<&str>) -> Result<Self> {
        let store = open_store(&config).await?;
        let user = match who(&store, acting_as).await {
            Ok(user) => user,
            Err(e) => {
                store.close().await;
                return Err(e);
            }
        };
        let program = concat!("steward/", env!("CARGO_PKG_VERSION"), " terminal");
        let actor = Actor::user(user.id).from_request(None, Some(program), None);
        Ok(Self { config, store, actor, user })
    }

    pub(super) async fn close(self) {
        self.store.close().await;
    }

    /// The vault with the key that the database is sealed with; one is made where there was none.
    pub(super) async fn vault(&self) -> Result<Vault> {
        open_vault(&self.config, &self.store).await
    }

    pub(super) fn library(&self) -> Library {
        Library::open(&self.config.playbooks_dir())
    }

    /// Refuses a playbook that is not there or is wrong.
    pub(super) async fn check_playbook(&self, name: &str) -> Result<()> {
        let library = self.library();
        match library.find(&self.store, &self.actor, name).await {
            Ok(_) => Ok(()),
            Err(domain::Error::NotFound(_)) => {
                let files = blocking(move || Ok(library.names())).await?.into_iter().map(|e| e.name);
                let kept = playbooks::in_use(&self.actor, &self.store).await?.into_iter().map(|k| k.name);
                let known: Vec<String> = files.chain(kept).collect();
                Err(Error::refused(format!("there is no playbook {name:?}; there are: {}", known.join(", "))))
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// The person who acts: the one named, or the only admin.
async fn who(store: &Store, acting_as: Option<&str>) -> Result<User> {
    let service = Actor::service();
    let Some(name) = acting_as else {
        let mut admins = users::people_with_role(&service, store, "admin").await?;
        return match (admins.pop(), admins.is_empty()) {
            (Some(admin), true) => Ok(admin),
            (Some(last), false) => {
                let names: Vec<String> = admins.into_iter().chain([last]).map(|u| u.username).collect();
                Err(Error::refused(format!(
                    "there are several admins ({}); say who acts with --as USERNAME (or STEWARD_AS)",
                    names.join(", ")
                )))
            }
            (None, _) => {
                Err(Error::refused("nobody is set up yet; run: steward setup --username NAME --email ADDRESS"))
            }
        };
    };
    let user = users::named(&service, store, name).await?;
    let user =
        user.ok_or_else(|| Error::refused(format!("there is no user {name:?} to act as; see: steward user list")))?;
    if user.status != "active" {
        return Err(Error::refused(format!(
            "the user {name} is {} and can't act; an admin can lift that: steward user suspend {name} --lift",
            user.status
        )));
    }
    let account = users::account(&Actor::user(user.id), store, user.id).await?;
    if account.is_none_or(|a| a.is_agent) {
        return Err(Error::refused(format!(
            "{name} is an agent; at the terminal only a person acts, so name one with --as USERNAME"
        )));
    }
    Ok(user)
}
