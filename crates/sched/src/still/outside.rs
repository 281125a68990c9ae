//! Threads that are no workers and run a future.

use super::{State, Stillness};
use crate::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A thread in `block_on`, as the stillness counts it: once while it polls, and once while it is woken to.
///
/// Where there is no stillness to keep, it does nothing.
pub(crate) struct Outside(Arc<Shared>);

impl Outside {
    /// A thread that is about to poll.
    pub(crate) fn begin(shared: &Arc<Shared>) -> Self {
        if let Some(still) = &shared.still {
            still.enter();
        }
        Self(shared.clone())
    }

    /// It has polled, and has to wait.
    pub(crate) fn rests(&self) {
        if let Some(still) = &self.0.still
            && still.leave()
        {
            // It becomes still anew, and decides, or leaves that to the last one that does.
            self.0.unpark(0);
        }
    }

    /// It is woken, unless `flag` is raised already. The count goes up before anybody can act on the flag. Whether it
    /// was not.
    pub(crate) fn raise(&self, flag: &AtomicBool) -> bool {
        let state = self.0.still.as_ref().map(|still| still.state.lock());
        // AcqRel: pairs with the swaps in `block_on`.
        let is_first = !flag.swap(true, Ordering::AcqRel);
        if let Some(mut state) = state
            && is_first
        {
            state.enter();
        }
        is_first
    }

    /// It polls no more. Who wakes it from now on finds `flag` raised, and does not count.
    pub(crate) fn end(&self, flag: &AtomicBool) {
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
