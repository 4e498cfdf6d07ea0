//! Answers kept in this process: bounded, one loader a key, and never believed past a change that was heard.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use super::{Change, beliefs::Beliefs};
use crate::Result;

/// Answers kept at most; with one more, all are let go.
const SLOTS: usize = 8192;
/// An answer is asked for anew after this, whatever was heard: a bound on what nobody can have foreseen.
const LIFE: Duration = Duration::from_secs(300);

type Kept = Arc<dyn Any + Send + Sync>;

/// The answers of this process.
#[derive(Default)]
pub(super) struct Local(Mutex<HashMap<String, Slot>>);

/// One answer, or the place where it is being waited for.
#[derive(Clone)]
struct Slot {
    /// The turn before anything was read.
    turn: u64,
    made: Instant,
    cell: Arc<OnceCell<Kept>>,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

impl Local {
    /// The answer kept under `name`, or what `load` answers, which then is kept. Whoever asks while somebody loads
    /// waits for the same answer, but only if that loading began after every change this node heard of. The flag says
    /// whether it was kept already.
    pub(super) async fn get<T: Clone + Send + Sync + 'static>(
        &self,
        beliefs: &Beliefs,
        name: &str,
        on: &[Change],
        load: impl Future<Output = Result<T>>,
    ) -> Result<(T, bool)> {
        let slot = self.slot(beliefs, name, on);
        let was_kept = slot.cell.initialized();
        let kept = slot.cell.get_or_try_init(async || Ok::<Kept, crate::Error>(Arc::new(load.await?))).await?;
        match kept.downcast_ref::<T>() {
            Some(value) => Ok((value.clone(), was_kept)),
            None => unreachable!("a name stands for one kind of answer"),
        }
    }

    fn slot(&self, beliefs: &Beliefs, name: &str, on: &[Change]) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(name)
            && slot.made.elapsed() < LIFE
            && beliefs.believes_own(on, slot.turn)
        {
            return slot.clone();
        }
        if slots.len() >= SLOTS {
            slots.clear();
        }
        let slot = Slot { turn: beliefs.turn(), made: Instant::now(), cell: Arc::default() };
        slots.insert(name.to_owned(), slot.clone());
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::sync::oneshot;

    use super::{Beliefs, Change, Local, SLOTS};
    use crate::Error;

    fn settled() -> Beliefs {
        let beliefs = Beliefs::new();
        beliefs.settle(beliefs.turn(), "0:0:".parse().unwrap(), "");
        beliefs
    }

    #[tokio::test]
    async fn one_loads_for_all_who_ask() {
        let (local, beliefs) = (Arc::new(Local::default()), Arc::new(settled()));
        let loads = Arc::new(AtomicU32::new(0));
        let asking: Vec<_> = (0..32)
            .map(|_| {
                let (local, beliefs, loads) = (Arc::clone(&local), Arc::clone(&beliefs), Arc::clone(&loads));
                tokio::spawn(async move {
                    let load = async {
                        loads.fetch_add(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        Ok(7)
                    };
                    local.get(&beliefs, "x", &[Change::Servers], load).await.unwrap().0
                })
            })
            .collect();
        for asked in asking {
            assert_eq!(asked.await.unwrap(), 7);
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn who_asks_after_a_change_does_not_join_who_asked_before() {
        let (local, beliefs) = (Arc::new(Local::default()), Arc::new(settled()));
        let (go, wait) = oneshot::channel::<()>();
        let (reading, is_reading) = oneshot::channel::<()>();
        let early = tokio::spawn({
            let (local, beliefs) = (Arc::clone(&local), Arc::clone(&beliefs));
            async move {
                let load = async {
                    reading.send(()).unwrap();
                    wait.await.unwrap();
                    Ok("old")
                };
                local.get(&beliefs, "x", &[Change::Servers], load).await.unwrap()
            }
        });
        is_reading.await.unwrap();
        beliefs.distrust(Change::Servers);
        assert_eq!(local.get(&beliefs, "x", &[Change::Servers], async { Ok("new") }).await.unwrap(), ("new", false));
        go.send(()).unwrap();
        assert_eq!(early.await.unwrap(), ("old", false), "it asked before the change");
        assert_eq!(local.get(&beliefs, "x", &[Change::Servers], async { Ok("never") }).await.unwrap(), ("new", true));
    }

    #[tokio::test]
    async fn failures_are_not_kept_and_the_number_is_bounded() {
        let (local, beliefs) = (Local::default(), settled());
        let failing = async { Err::<i32, _>(Error::Busy("x".to_owned())) };
        local.get(&beliefs, "x", &[], failing).await.unwrap_err();
        assert_eq!(local.get(&beliefs, "x", &[], async { Ok(1) }).await.unwrap(), (1, false));
        for n in 0..SLOTS * 2 {
            local.get(&beliefs, &n.to_string(), &[], async { Ok(n) }).await.unwrap();
        }
        assert!(local.0.lock().unwrap().len() <= SLOTS);
    }
}
