//! Places of a run where a test may kill the process, as power may fail anywhere: after each commit of the journal.
//! Only in debug builds, and only where `STEWARD_TEST_KILL_AT` asks for it.

/// Notes that a place was reached; the n-th one kills the process where the test asks for n.
pub fn reached(place: &str) {
    #[cfg(debug_assertions)]
    debug::reached(place);
    #[cfg(not(debug_assertions))]
    let _ = place;
}

#[cfg(debug_assertions)]
mod debug {
    //! The counter behind [`super::reached`].
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    static KILL_AT: LazyLock<Option<u32>> =
        LazyLock::new(|| std::env::var("STEWARD_TEST_KILL_AT").ok().and_then(|v| v.parse().ok()));
    static COUNT: AtomicU32 = AtomicU32::new(0);

    pub(super) fn reached(place: &str) {
        let Some(kill_at) = *KILL_AT else { return };
        let count = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
        if count == kill_at {
            eprintln!("checkpoint {count}: {place}: killed");
            let me = nix::unistd::Pid::this();
            if let Err(e) = nix::sys::signal::kill(me, nix::sys::signal::Signal::SIGKILL) {
                eprintln!("checkpoint {count}: could not kill: {e}");
            }
        }
    }
}
