//! What the rest of the program would do for the pages of the example.

use serde_json::Value as Json;
use store::{Actor, BoxFuture, Store, Vault, watchers};

/// The example has no workers: no kind of watcher is refused.
#[derive(Debug)]
pub(crate) struct Hands;

impl web::Hands for Hands {
    fn check_watcher(&self, _: &web::Settings, _: &[String]) -> domain::Result<()> {
        Ok(())
    }

    fn preview_watcher<'a>(
        &'a self,
        _: (&'a Store, &'a Vault),
        _: &'a Actor,
        _: &'a watchers::Watcher,
        _: usize,
    ) -> BoxFuture<'a, domain::Result<Vec<web::Preview>>> {
        Box::pin(async {
            Ok(vec![web::Preview {
                title: "File: Rechnung März 2026.pdf".to_owned(),
                description: None,
                source: "/home/ada/steward/inbox/Rechnung März 2026.pdf".to_owned(),
                files: vec!["Rechnung März 2026.pdf".to_owned()],
            }])
        })
    }

    fn set_way<'a>(
        &'a self,
        on: (&'a Store, &'a Vault),
        actor: &'a Actor,
        channel: &'a str,
        config: Json,
        secret: Option<Json>,
    ) -> BoxFuture<'a, domain::Result<()>> {
        Box::pin(async move {
            let sealed =
                secret.map(|s| on.1.seal_json(&store::sealed::Purpose::channel_secret(channel), &s)).transpose()?;
            store::notification_channels::put(actor, on.0, channel, config, sealed).await?;
            Ok(())
        })
    }

    fn test_way<'a>(
        &'a self,
        _: (&'a Store, &'a Vault),
        _: &'a Actor,
        channel: &'a str,
    ) -> BoxFuture<'a, domain::Result<web::Told>> {
        Box::pin(async move {
            Ok(if channel == "sms" {
                web::Told::Failed("the gateway is not set up".to_owned())
            } else {
                web::Told::Sent
            })
        })
    }

    fn folder(&self, path: &str) -> domain::Result<String> {
        Ok(path.replacen('~', "/home/ada", 1))
    }

    fn models(&self) -> web::Models {
        web::Models {
            entries: vec![web::ModelEntry {
                name: "main".to_owned(),
                provider: "anthropic".to_owned(),
                model: "claude-sonnet-4-5".to_owned(),
                url: None,
                used_for: vec!["default".to_owned()],
                window_tokens: 200_000,
                input_usd_per_mtok: 3.0,
                output_usd_per_mtok: 15.0,
            }],
            limits: domain::brain::limits::Limits::default(),
            file: "/home/ada/.local/share/steward/models.toml".to_owned(),
        }
    }
}
