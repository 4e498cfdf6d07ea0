//! Who looks at the backups for the desk: once for all who ask, and never longer than a page may take.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use backup::Safe;
use tokio::sync::Notify;
use web::{Backups, Seen};

use crate::{config::Config, kept};

/// How old what was seen of the backups may be before it is looked again.
const FRESH: Duration = Duration::from_secs(10);
/// How long a page waits for a place that is slow or away; what was seen before is shown then.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at the backups, once for all who ask at the same time.
#[derive(Debug)]
pub struct Looker {
    config: Config,
    safe: Safe,
    seen: Mutex<Look>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Look {
    last: Option<(Instant, Seen)>,
    is_looking: bool,
}

impl Looker {
    /// Of these settings' safe.
    pub fn new(config: Config, safe: Safe) -> Self {
        Self { config, safe, seen: Mutex::default(), news: Notify::new() }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Look> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks again where what was seen is old; answers within seconds, with what was seen before where the place takes
    /// longer.
    pub async fn look(self: Arc<Self>) -> Backups {
        let news = self.news.notified();
        let mut news = std::pin::pin!(news);
        news.as_mut().enable();
        let is_fresh = {
            let mut seen = self.seen();
            let is_fresh = seen.last.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH);
            if !is_fresh && !seen.is_looking {
                seen.is_looking = true;
                tokio::spawn(Arc::clone(&self).look_again());
            }
            is_fresh
        };
        if !is_fresh {
            // Where it takes longer, the next page has it.
            drop(tokio::time::timeout(PATIENCE, news).await);
        }
        let keep = self.safe.keep;
        let people = &self.config.backups.recipients;
        Backups {
            place: self.safe.place.describe(),
            sealed_for: if people.is_empty() {
                "whoever holds the master key".to_owned()
            } else {
                format!(
                    "{} whose public keys are set (backup_recipients)",
                    match people.len() {
                        1 => "the one".to_owned(),
                        n => format!("the {n}"),
                    }
                )
            },
            keeps: format!("{} days, {} weeks, {} months", keep.daily, keep.weekly, keep.monthly),
            seen: self.seen().last.as_ref().map(|(_, seen)| seen.clone()),
        }
    }

    async fn look_again(self: Arc<Self>) {
        // Gives the turn back whatever happens.
        let turn = Turn(Arc::clone(&self));
        let kept = kept::look(&self.config, &self.safe, true).await;
        let (found, could_look) = match kept.found {
            Ok(found) => (found, true),
            Err(_) => (backup::bundle::Found::default(), false),
        };
        let (alarms, well): (Vec<_>, Vec<_>) = kept.remarks.into_iter().partition(|r| r.weight > kept::Weight::Well);
        let words = |r: kept::Remark| if r.remedy.is_empty() { r.said } else { format!("{}; {}", r.said, r.remedy) };
        let bundles = found.bundles.iter().rev().map(|b| web::Bundle {
            id: b.id.clone(),
            as_of: b.as_of,
            size_bytes: b.size_bytes(),
            has_log: b.has_log,
            schema_version: b.schema_version,
        });
        let seen = Seen {
            at: store::now(),
            bundles: could_look.then(|| bundles.collect()),
            unusable: found.unfinished,
            newest: kept.newest,
            well: well.into_iter().map(words).collect(),
            alarms: alarms.into_iter().map(words).collect(),
        };
        self.seen().last = Some((Instant::now(), seen));
        drop(turn);
    }
}

struct Turn(Arc<Looker>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.seen().is_looking = false;
        self.0.news.notify_waiters();
    }
}
