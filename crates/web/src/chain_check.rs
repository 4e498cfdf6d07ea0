//! A check of the audit trail's chain that goes on when its page is left: one at once on a node, which keeps the last result.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;
use store::{
    Actor,
    audit_trail::{self, ChainReport},
};

use crate::app::App;

/// The check that is under way or was the last.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub begun_at: Timestamp,
    /// When it ended, and what it found or why it could not.
    pub ended: Option<(Timestamp, Result<ChainReport, String>)>,
    good: Arc<AtomicI64>,
}

impl Check {
    /// Links that are good so far.
    pub fn good(&self) -> i64 {
        self.good.load(Ordering::Relaxed)
    }
}

/// Where checks are noted.
#[derive(Debug, Default)]
pub(crate) struct Checks(Mutex<Option<Check>>);

impl Checks {
    /// The check that is under way or was the last one here.
    pub fn last(&self) -> Option<Check> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, check: Check) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(check);
    }
}

/// Begins a check as somebody who may see the whole trail; where one is under way that one goes on.
pub(crate) fn begin(app: &App, actor: Actor) {
    let Ok(permit) = Arc::clone(&app.verifying).try_acquire_owned() else { return };
    let check = Check { begun_at: store::now(), ended: None, good: Arc::default() };
    app.checks.set(check.clone());
    let app = app.clone();
    tokio::spawn(async move {
        let good = Arc::clone(&check.good);
        let tell = move |links| good.store(links, Ordering::Relaxed);
        let looked = app.clone();
        let found = to_its_end(async move {
            tokio::select! {
                found = audit_trail::verify_telling(&actor, looked.store(), None, tell) => found.map_err(|e| e.to_string()),
                () = looked.shutdown.cancelled() => Err("Steward was stopped".to_owned()),
            }
        })
        .await;
        if let Err(reason) = &found {
            tracing::warn!(reason, "a check of the audit trail did not come to its end");
        }
        app.checks.set(Check { ended: Some((store::now(), found)), ..check });
        drop(permit);
    });
}

/// What comes of a check. One that panics has ended too: nothing may look as if it went on for ever.
async fn to_its_end(
    check: impl Future<Output = Result<ChainReport, String>> + Send + 'static,
) -> Result<ChainReport, String> {
    tokio::spawn(check).await.unwrap_or_else(|e| Err(format!("it broke off ({e}); the program's own output says more")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_that_panics_has_ended() {
        let found = to_its_end(async { panic!("a defect") }).await;
        assert!(found.is_err_and(|said| said.starts_with("it broke off")));
        assert_eq!(to_its_end(async { Err("stopped".to_owned()) }).await.unwrap_err(), "stopped");
    }
}
