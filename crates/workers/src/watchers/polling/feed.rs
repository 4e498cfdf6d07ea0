//! A feed: RSS, Atom or JSON.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use outside::{
    Trouble,
    address::Reach,
    feed::{self, Entry, Validators},
    http::Client,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Ask, Found, Item, Source, settings};

const FEED_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The feed's address.
    url: String,
    /// Entries that stand there when the watcher first looks and become tasks all the same, the newest of them.
    #[serde(default)]
    backlog: usize,
}

pub(super) struct Feed {
    url: String,
    backlog: usize,
    client: Client,
    headers: Vec<(String, String)>,
}

impl Feed {
    pub(super) fn open(own: Json, credentials: Option<&Json>, reach: Reach) -> Result<Self, Trouble> {
        let s: Settings = settings::read(own)?;
        if !s.url.starts_with("http://") && !s.url.starts_with("https://") {
            return Err(Trouble::lasting("url must be the feed's address, beginning with https://"));
        }
        let headers = settings::headers(credentials)?;
        Ok(Self { url: s.url, backlog: s.backlog, client: Client::new(reach, FEED_BYTES)?, headers })
    }

    async fn at(&self, ask: Ask<'_>) -> Result<Found, Trouble> {
        let known: Validators = match ask.state {
            // Another address than last time has said nothing yet.
            Some(state) if state["url"] == self.url.as_str() => {
                serde_json::from_value(state["validators"].clone()).unwrap_or_default()
            }
            _ => Validators::default(),
        };
        let is_first = ask.state.is_none_or(|s| s["url"] != self.url.as_str());
        let Some(look) = feed::fetch(&self.client, &self.url, &known, &self.headers).await? else {
            return Ok(Found { state: ask.state.cloned().unwrap_or_default(), ..Found::default() });
        };
        // What the feed says of itself counts once all its entries are in, so that none is lost half-way.
        let state = json!({ "url": self.url, "validators": look.validators });
        let old = if is_first { before(&look.entries, ask.made_at, self.backlog) } else { 0 };
        let (old, new) = look.entries.split_at(old);
        Ok(Found {
            seen: old.iter().map(|e| e.key.clone()).collect(),
            items: new.iter().map(|e| item(e, &look.title, &self.url)).collect(),
            state,
            ..Found::default()
        })
    }
}

/// How many of the entries, oldest first, stood there before the watcher.
fn before(entries: &[Entry], made_at: Timestamp, backlog: usize) -> usize {
    let old = entries.iter().take_while(|e| e.at.is_none_or(|at| at < made_at)).count();
    old.min(entries.len().saturating_sub(backlog))
}

fn item(entry: &Entry, feed: &str, url: &str) -> Item {
    let mut event = serde_json::to_value(entry).unwrap_or_default();
    event["kind"] = json!("entry");
    event["feed"] = json!(feed);
    Item {
        key: entry.key.clone(),
        source: entry.link.clone().unwrap_or_else(|| url.to_owned()),
        title: entry.title.clone(),
        description: match &entry.link {
            Some(link) => Some(format!("{}\n\n{link}", entry.summary)),
            None => Some(entry.summary.clone()),
        },
        event,
        detail: json!({ "feed": url, "link": entry.link, "id": entry.id }),
        ..Item::default()
    }
}

impl Source for Feed {
    fn look<'a>(&'a mut self, ask: Ask<'a>) -> BoxFuture<'a, Result<Found, Trouble>> {
        Box::pin(self.at(ask))
    }
    fn every_s(&self) -> u64 {
        900
    }
}
