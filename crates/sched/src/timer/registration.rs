//! One sleep's place in one worker's timers.

use super::timers::{Insert, Look, Timers};
use super::wheel::Key;
use filch_atomic::sync::Arc;
use std::task::Waker;
use std::time::Instant;

/// A waker registered with [`Timers`]. Dropping it takes it out, from any thread.
///
/// It stays with the timers it was registered with, wherever its task moves.
#[derive(Debug)]
pub struct Registration {
    timers: Arc<Timers>,
    key: Key,
    tick: u64,
    /// Whether the entry is known to have gone, so that there is nothing to take out.
    gone: bool,
}

/// What one finds out about a deadline.
#[derive(Debug)]
pub enum Wait<R = ()> {
    /// It is still to come; the waker will be woken.
    Pending(R),
    /// It has passed.
    Elapsed,
    /// The timers were closed: nobody will say when it passes.
    Closed,
}

impl Registration {
    /// Registers `waker` for `deadline`. `is_owner`: whether the caller is the worker that owns `timers`;
    /// any other one unparks it if need be.
    pub fn new(
        timers: &Arc<Timers>,
        deadline: Instant,
        waker: Waker,
        is_owner: bool,
    ) -> Wait<Self> {
        match timers.insert(deadline, waker, is_owner) {
            Insert::Waiting { key, tick, unpark_owner } => {
                if unpark_owner {
                    timers.unpark_owner();
                }
                Wait::Pending(Self { timers: timers.clone(), key, tick, gone: false })
            }
            Insert::Due => Wait::Elapsed,
            Insert::Closed => Wait::Closed,
        }
    }

    /// Whether the deadline has passed; if not, `waker` is the one to be woken from now on.
    #[inline]
    pub fn poll(&mut self, waker: &Waker) -> Wait {
        if self.timers.has_fired(self.tick) {
            self.gone = true;
            return Wait::Elapsed;
        }
        match self.timers.look(self.key, waker) {
            Look::Waiting => Wait::Pending(()),
            Look::Fired => {
                self.gone = true;
                Wait::Elapsed
            }
            Look::Closed => {
                self.gone = true;
                Wait::Closed
            }
        }
    }

    /// Moves the registration to another deadline, keeping its waker. False if it fired before: then it is
    /// over, and the waker has been woken. A deadline that has passed is found so at the owner's next look.
    pub fn reset(&mut self, deadline: Instant, is_owner: bool) -> bool {
        match self.timers.reschedule(self.key, deadline, is_owner) {
            Some((tick, unpark_owner)) => {
                self.tick = tick;
                if unpark_owner {
                    self.timers.unpark_owner();
                }
                true
            }
            None => {
                self.gone = true;
                false
            }
        }
    }

    /// The timers it is registered with.
    pub fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    /// The tick it is due at, in milliseconds since the timers were made.
    pub fn tick(&self) -> u64 {
        self.tick
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.gone && !self.timers.has_fired(self.tick) {
            self.timers.remove(self.key);
        }
    }
}
