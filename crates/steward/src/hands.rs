//! What the workers know, for the web.

use std::{path::PathBuf, sync::Arc};

use domain::{Error, Result, brain::limits::Limits};
use secrecy::SecretString;
use serde_json::Value;
use store::{Actor, BoxFuture, Store, Vault, watchers::Watcher};
use web::{Backups, ModelEntry, Models, Preview, Settings, Told};
use workers::{
    brains::Brains,
    browsers, folder_preview,
    library::Library,
    notifier,
    watchers::{folder, polling},
};

use crate::{
    cli::{doctor, folders::Made},
    config::Config,
    looker::Looker,
};

/// The workers' knowledge.
#[derive(Debug)]
pub struct Hands {
    /// The playbooks at hand.
    pub library: Library,
    /// The language models, where some are set up.
    pub brains: Option<Brains>,
    /// Where these are described.
    pub models_file: PathBuf,
    /// The settings, for whoever looks for what is wrong.
    pub config: Config,
    /// Who looks at the backups.
    pub looker: Arc<Looker>,
}

impl web::Hands for Hands {
    fn check_watcher(&self, settings: &Settings, kept: &[String]) -> Result<()> {
        let Settings { watcher_type, config, credentials, may_reach_private } = settings;
        let wrong = |why: String| Error::invalid("config", why);
        let playbook = match watcher_type.as_str() {
            "folder" => Some(folder::parse(config).map_err(|e| wrong(e.to_string()))?.playbook),
            "webhook" => {
                let parsed = domain::webhooks::Settings::parse(config)?;
                domain::webhooks::check_secret(credentials.as_ref())?;
                parsed.playbook
            }
            kind => {
                let opened = polling::open(kind, config, credentials.as_ref(), *may_reach_private);
                opened.map_err(|trouble| wrong(trouble.message))?.0.playbook
            }
        };
        match playbook.map(|name| (self.library.get(&name), name)) {
            // A file goes first, also one with mistakes.
            Some((Err(Error::NotFound(_)), name)) if kept.contains(&name) => Ok(()),
            Some((found, _)) => found.map(drop),
            None => Ok(()),
        }
    }

    fn preview_watcher<'a>(
        &'a self,
        (store, vault): (&'a Store, &'a Vault),
        actor: &'a Actor,
        watcher: &'a Watcher,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<Preview>>> {
        Box::pin(async move {
            let found = match watcher.watcher_type.as_str() {
                "folder" => folder_preview::preview(store, actor, watcher, most).await,
                "webhook" => return Err(Error::Conflict(format!("it waits to be called, at /hooks/{}", watcher.id))),
                _ => polling::preview(store, vault, actor, watcher, most).await,
            };
            let items = found.map_err(told)?.into_iter();
            let preview = items.map(|item| Preview {
                title: item.title,
                description: item.description,
                source: item.source,
                files: item.files.into_iter().map(|f| f.name).collect(),
            });
            Ok(preview.collect())
        })
    }

    fn set_way<'a>(
        &'a self,
        (store, vault): (&'a Store, &'a Vault),
        actor: &'a Actor,
        channel: &'a str,
        config: Value,
        secret: Option<Value>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let set = notifier::set_channel(store, vault, actor, channel, config, secret.as_ref()).await;
            set.map_err(|e| match e {
                workers::Error::Outside(trouble) => Error::invalid("config", trouble.message),
                other => told(other),
            })
        })
    }

    fn test_way<'a>(
        &'a self,
        (store, vault): (&'a Store, &'a Vault),
        actor: &'a Actor,
        channel: &'a str,
    ) -> BoxFuture<'a, Result<Told>> {
        Box::pin(async move {
            Ok(match notifier::test(store, vault, actor, channel).await.map_err(told)? {
                Some(out) if out.state == "done" => Told::Sent,
                Some(out) => Told::Failed(out.last_error.unwrap_or_default()),
                None => Told::UnderWay,
            })
        })
    }

    fn folder(&self, path: &str) -> Result<String> {
        let home = std::env::home_dir();
        let whole = match (path.strip_prefix('~'), &home) {
            (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
            _ => PathBuf::from(path),
        };
        let wrong = |why: String| Error::invalid("path", why);
        if !whole.is_absolute() || path.contains('\0') {
            return Err(wrong("write the whole path of the folder, from / or ~/ on".to_owned()));
        }
        Made::folder(&whole, home.as_deref()).map_err(|e| wrong(e.to_string()))?;
        if !whole.is_dir() {
            return Err(wrong(format!("the folder {} is missing; make it, or correct the path", whole.display())));
        }
        whole.to_str().map(str::to_owned).ok_or_else(|| wrong("the path is no text".to_owned()))
    }

    fn backups(&self) -> BoxFuture<'static, Option<Backups>> {
        let looker = Arc::clone(&self.looker);
        Box::pin(async move { Some(looker.look().await) })
    }

    fn look(&self) -> BoxFuture<'static, Result<Option<Vec<web::Finding>>>> {
        let config = self.config.clone();
        Box::pin(async move { doctor::findings(&config).await.map(Some).map_err(|e| Error::Conflict(e.line())) })
    }

    fn make_push_key(&self) -> Result<SecretString> {
        browsers::new_key()
    }

    fn push_public(&self, key: &SecretString) -> Result<String> {
        browsers::public(key)
    }

    fn check_browser(&self, browser: &Value) -> Result<String> {
        browsers::check(browser)
    }

    fn models(&self) -> Models {
        let file = self.models_file.display().to_string();
        let Some(brains) = &self.brains else { return Models { entries: Vec::new(), limits: Limits::default(), file } };
        Models { entries: entries(brains), limits: brains.limits().clone(), file }
    }
}

/// The models that are set up, each with what it is used for.
pub fn entries(brains: &Brains) -> Vec<ModelEntry> {
    let roles = &brains.settings().roles;
    let models = brains.settings().models.iter();
    let entries = models.map(|(name, model)| {
        let fixed = [("default", Some(&roles.default)), ("fallback", roles.fallback.as_ref())];
        let kinds = roles.kinds.iter().map(|(kind, model)| (kind.as_str(), Some(model)));
        let used_for = fixed.into_iter().chain(kinds).filter(|(_, model)| *model == Some(name));
        ModelEntry {
            name: name.clone(),
            provider: model.provider.name().to_owned(),
            model: model.model.clone(),
            url: model.url.clone(),
            used_for: used_for.map(|(role, _)| role.to_owned()).collect(),
            window_tokens: model.window_tokens,
            input_usd_per_mtok: model.input_usd_per_mtok,
            output_usd_per_mtok: model.output_usd_per_mtok,
        }
    });
    entries.collect()
}

/// What went wrong, as a rule would say it: a place outside that does not answer is no fault of ours.
fn told(error: workers::Error) -> Error {
    match error {
        workers::Error::Domain(e) => e,
        workers::Error::Store(e) => e.into(),
        other => Error::Conflict(other.to_string()),
    }
}
