//! What the workers know, for the web.

use domain::{Error, Result};
use web::Settings;
use workers::{
    library::Library,
    watchers::{folder, polling},
};

/// The workers' knowledge.
#[derive(Debug)]
pub struct Hands {
    /// The playbooks at hand.
    pub library: Library,
}

impl web::Hands for Hands {
    fn check_watcher(&self, settings: &Settings) -> Result<()> {
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
        playbook.map_or(Ok(()), |name| self.library.get(&name).map(drop))
    }
}
