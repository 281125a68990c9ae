//! Whose turn it is.

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod pollers;

#[cfg(all(test, any(feature = "futures-io", feature = "tokio-io")))]
mod poller;

#[cfg(all(test, any(feature = "futures-io", feature = "tokio-io")))]
pub(crate) use poller::Poller;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
pub(crate) use pollers::{Due, Polled, Role};

use filch_atomic::current;
use filch_sync::{Guard, Lock};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

/// A value that one future at a time may use, or one poll.
///
/// A future takes its turn in the order in which it came, and has it across its polls: that is
/// [`Lock`]. A caller of a poll-based trait cannot: it may poll once and never come back, and would keep
/// everybody out. So it has the value for the length of one poll, and when it finds it taken, it leaves
/// its waker (`Pollers`), and is woken after every turn.
pub(crate) struct Turn<T> {
    lock: Lock<T>,
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pollers: std::sync::Arc<pollers::Pollers>,
}

/// The value of a [`Turn`], until this is dropped.
pub(crate) struct Taken<'a, T> {
    // Given back first; then those who poll are woken, and find it free.
    guard: Guard<'a, T>,
    _over: Over<'a, T>,
}

/// When this is dropped, a turn may have ended.
struct Over<'a, T> {
    #[cfg_attr(not(any(feature = "futures-io", feature = "tokio-io")), expect(dead_code))]
    turn: &'a Turn<T>,
}

impl<T> Turn<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            lock: Lock::new(value),
            #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
            pollers: std::sync::Arc::default(),
        }
    }

    /// Waits for a turn, on behalf of the code at `at`.
    pub(crate) async fn lock_at(&self, at: &'static Location<'static>) -> Taken<'_, T> {
        // From before, so that it outlives the wait: who is dropped when it was just given the turn hands
        // it on, or nobody has it.
        let over = Over { turn: self };
        let guard = self.lock.lock_at(at).await;
        Taken { guard, _over: over }
    }

    /// The turn that [`lock_at`](Self::lock_at) would give at once: the usual one, without a place to wait in.
    ///
    /// It costs a unit of the task's budget (I6), for what is read in it may be there already (S6). Who gets none here
    /// goes there, and pays again: with the next poll's, as a rule.
    #[inline]
    pub(crate) fn lock_now(&self) -> Option<Taken<'_, T>> {
        // Who has used up its budget gives way, as there.
        if current::try_proceed() { self.try_lock() } else { None }
    }

    /// A turn, if nobody has it, and nobody waits for it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Taken<'_, T>> {
        let guard = self.lock.try_lock()?;
        Some(Taken { guard, _over: Over { turn: self } })
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.lock.get_mut()
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
impl<T> Drop for Over<'_, T> {
    fn drop(&mut self) {
        self.turn.pollers.wake_all();
    }
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: fmt::Debug> fmt::Debug for Turn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}
