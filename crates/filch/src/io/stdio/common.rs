//! What all handles to a stream have in common.

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
use super::crowd::{Crowd, Over};
use filch_sync::{Guard, Lock};
use std::ops::{Deref, DerefMut};
use std::panic::Location;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
use std::{
    io,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// A value that one future at a time may use, in the order in which they came, or one poll.
///
/// Whoever polls may never come back, so it has the value for the length of its poll. What it waits for belongs to the
/// value, and wakes all who poll (`Crowd`): any number of them may wait for the same.
pub(super) struct Common<T> {
    lock: Lock<T>,
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    crowd: Arc<Crowd>,
    /// Wakes the crowd.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    all: Waker,
}

/// The value, until this is dropped.
pub(super) struct Taken<T: 'static> {
    // Given back first; then those who poll are woken, and find it free.
    guard: Guard<'static, T>,
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    _over: Over,
}

impl<T> Common<T> {
    pub(super) fn new(value: T) -> Self {
        #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
        let crowd = Arc::<Crowd>::default();
        Self {
            lock: Lock::new(value),
            #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
            all: Waker::from(crowd.clone()),
            #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
            crowd,
        }
    }

    /// Waits for its turn, on behalf of the code at `at`.
    pub(super) async fn lock_at(&'static self, at: &'static Location<'static>) -> Taken<T> {
        // From before, so that it outlives the wait: who is dropped when it was just given the value hands it on, or
        // nobody has it.
        #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
        let over = Over(&self.crowd);
        let guard = self.lock.lock_at(at).await;
        Taken {
            guard,
            #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
            _over: over,
        }
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
impl<T> Common<T> {
    /// Polls with the value, if nobody has it. `Pending` means that the poller will be woken.
    pub(super) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut T, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let taken = self.lock.try_lock().or_else(|| {
            self.crowd.leave(cx.waker(), true);
            self.lock.try_lock()
        });
        let Some(value) = taken else { return Poll::Pending };
        // In this order, so that the value is given back first.
        let over = self.crowd.turn();
        let mut value = value;
        // Before an operation may wake it.
        let is_own = self.crowd.leave(cx.waker(), false);
        let polled = poll(&mut value, &mut Context::from_waker(&self.all));
        drop(value);
        if let Poll::Ready(ended) = &polled {
            self.crowd.forget(cx.waker(), is_own);
            if ended.is_err() {
                // What the others wait for may be gone.
                self.crowd.wake_all();
            }
        }
        drop(over);
        polled
    }
}

impl<T> Deref for Taken<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Taken<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
