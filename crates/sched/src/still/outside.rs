//! Threads that are no workers and run a future.

use super::{State, Stillness, Workers};
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// A thread in `block_on`, as the stillness counts it: once while it polls, and once while it is woken to.
///
/// Where there is no stillness to keep, it does nothing.
#[derive(Debug)]
pub struct Outside<W>(Arc<W>);

impl<W: Workers> Outside<W> {
    /// A thread that is about to poll.
    pub fn begin(workers: &Arc<W>) -> Self {
        if let Some(still) = workers.stillness() {
            still.enter();
        }
        Self(workers.clone())
    }

    /// It has polled, and has to wait.
    pub fn rests(&self) {
        if let Some(still) = self.0.stillness()
            && still.leave()
        {
            // It becomes still anew, and decides, or leaves that to the last one that does.
            self.0.unpark(0);
        }
    }

    /// It is woken, unless `flag` is raised already. The count goes up before anybody can act on the flag. Whether it
    /// was not.
    pub fn raise(&self, flag: &AtomicBool) -> bool {
        let state = self.0.stillness().map(|still| still.state.lock());
        // AcqRel: pairs with the swaps in `block`.
        let is_first = !flag.swap(true, Ordering::AcqRel);
        if let Some(mut state) = state
            && is_first
        {
            state.enter();
        }
        is_first
    }

    /// It polls no more. Who wakes it from now on finds `flag` raised, and does not count.
    pub fn end(&self, flag: &AtomicBool) {
        self.rests();
        // AcqRel: as in `raise`.
        if flag.swap(true, Ordering::AcqRel) {
            self.rests();
        }
    }
}

impl Stillness {
    /// One thread outside more.
    pub(super) fn enter(&self) {
        self.state.lock().enter();
    }

    /// One thread outside fewer. True if none is left, and somebody may have to know.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        state.outside -= 1;
        state.outside == 0 && (self.hand.is_some() || state.is_asked())
    }
}

impl State {
    /// As [`Stillness::enter`]. What it begins is nobody's work that is counted: it has its own time to come.
    fn enter(&mut self) {
        self.outside += 1;
        self.quiet = None;
    }
}
