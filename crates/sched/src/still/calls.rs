//! What programs ask of the stillness and of a virtual clock.

use super::Settled;
use crate::context::with_handle;
use crate::{Handle, NO_RUNTIME};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// There is no virtual clock to move, or nobody who would notice that nothing can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotVirtual(());

impl fmt::Display for NotVirtual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this runtime goes by the system's clock: build it with `virtual_time(true)`")
    }
}

impl std::error::Error for NotVirtual {}

impl Handle {
    /// Whether the clock is a virtual one.
    pub fn is_virtual(&self) -> bool {
        self.shared().still.as_ref().is_some_and(|still| still.is_virtual())
    }

    /// Moves the virtual clock on by `step` and wakes what is due then, whatever runs.
    ///
    /// # Errors
    ///
    /// If there is no virtual clock.
    pub fn advance(&self, step: Duration) -> Result<(), NotVirtual> {
        let shared = self.shared();
        let Some(still) = shared.still.as_ref().filter(|still| still.advance(step)) else {
            return Err(NotVirtual(()));
        };
        debug_assert!(still.is_virtual());
        let now = shared.clock.now();
        let mut due = Vec::new();
        for remote in &shared.remotes {
            while remote.timers.expire(now, &mut due).more {}
        }
        Ok(())
    }

    /// A future that is ready when nothing can run but those who wait for just that. `None` where nobody would notice:
    /// in a runtime in real time whose tasks run in no order that is kept.
    #[track_caller]
    pub fn settled(&self) -> Option<Settled> {
        // In a closure the caller's place would be here.
        let location = Location::caller();
        Settled::of(self.shared(), location)
    }
}

/// Waits until nothing else can run: every task waits for time to pass, for the world outside, or for somebody who
/// does. What is in flight in a ring has to be quiet for a millisecond of real time, and blocking closures have to be
/// over. A virtual clock stands meanwhile.
///
/// For tests: it takes the place of the short sleep that hopes that the others are through. Of several who wait for it at
/// a time, all go on at once.
///
/// ```
/// # use filch_sched::{Config, Order, ThreadPark, run, spawn, settle};
/// # use filch_sched::task::Meta;
/// # let config = Config { workers: 1, order: Order::Woken, ..Config::default() };
/// # run(config, |_worker| Ok(ThreadPark::new()), async {
/// let task = spawn(async { filch_sched::task::yield_now().await }, Meta::here());
/// assert!(!task.is_finished());
/// settle().await;
/// assert!(task.is_finished());
/// # }).unwrap();
/// ```
///
/// # Panics
///
/// On a thread without a runtime; and in a runtime with neither a virtual clock nor one thread alone
/// (`Builder::virtual_time`, `Builder::current_thread`): in others nobody would notice.
///
/// # Cancel safety
///
/// Dropped, it leaves nothing behind.
///
/// # Deadlocks
///
/// A task that always has something to do never lets it end. In a `block_on` inside of a blocking closure it waits for
/// that closure, and so for itself. After the end of its runtime it is never over.
#[track_caller]
#[doc(alias = "wait_all_tasks_blocked")]
pub fn settle() -> Settled {
    let handle = with_handle(|handle| handle.cloned());
    let Some(handle) = handle else { panic!("{NO_RUNTIME}") };
    match handle.settled() {
        Some(settled) => settled,
        None => panic!(
            "nobody would notice that nothing can run: `settle` is for runtimes that are built with \
             `virtual_time(true)`, `current_thread()` or `seed(..)`"
        ),
    }
}

/// Moves the virtual clock of this thread's runtime on by `step`, at once, whatever runs, and wakes all sleeps that are
/// due then. They run when this task waits.
///
/// Seldom needed: the clock moves by itself when nothing can run, so that a `sleep` is over at once and everything
/// has happened by then that should have. This is for what time does to code that does not wait, or waits for something
/// else: a lease that has run out, a stalled peer.
///
/// # Panics
///
/// On a thread without a runtime, and in one that goes by the system's clock.
#[track_caller]
pub fn advance(step: Duration) {
    let handle = with_handle(|handle| handle.cloned());
    let Some(handle) = handle else { panic!("{NO_RUNTIME}") };
    if let Err(error) = handle.advance(step) {
        panic!("{error}");
    }
}
