//! How the parts wait for changes: woken by the store's signals, and looking by themselves from time to time.

use std::time::Duration;

use store::{
    Store,
    signals::{Receiver, Signal, Topic},
};

/// How often the database is looked at where signals of other processes do not arrive …
const POLL: Duration = Duration::from_millis(500);
/// … and where they do: a signal may vanish all the same.
const POLL_LISTENING: Duration = Duration::from_secs(2);

/// How long to wait before looking without having been woken.
pub(crate) fn poll(store: &Store) -> Duration {
    if store.is_listening() { POLL_LISTENING } else { POLL }
}

/// Waits until one of `topics` may have changed, or it is time to look anyway.
pub(crate) async fn changed(store: &Store, signals: &mut Receiver, topics: &[Topic]) {
    let heard = async {
        loop {
            match signals.recv().await {
                Some(Signal::Missed) => return,
                Some(Signal::Changed(topic, _)) if topics.contains(&topic) => return,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    };
    // Woken or not, the database says what there is.
    drop(tokio::time::timeout(poll(store), heard).await);
}
