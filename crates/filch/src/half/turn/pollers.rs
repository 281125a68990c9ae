//! Those who poll.

use super::Turn;
use filch_atomic::sync::Mutex;
use std::task::{Context, Poll, Waker};

/// Which of those who poll it is: the last that read, and the last that wrote. One waker each is what the
/// poll-based traits promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Reads = 0,
    Writes = 1,
}

impl Role {
    fn other(self) -> Self {
        match self {
            Self::Reads => Self::Writes,
            Self::Writes => Self::Reads,
        }
    }
}

/// What came of a poll.
pub(crate) struct Polled<R> {
    pub(crate) poll: Poll<R>,
    /// What the other role waits for has ended, or is gone: it has to look again.
    pub(crate) disturbed: bool,
}

impl<R> From<Poll<R>> for Polled<R> {
    fn from(poll: Poll<R>) -> Self {
        Self { poll, disturbed: false }
    }
}

/// The wakers of those who poll and were told to wait.
///
/// A poller that finds the value taken leaves its waker, and tries once more. Whoever gives the value back
/// looks for wakers after that. Both go through the lock of the slot: if the look comes first, then the
/// value was free before the poller tried; if the waker comes first, the look finds it (S2).
///
/// A poller that waits for an operation leaves its waker, too, while it has the value: a future whose turn
/// comes next may take the operation over, and with it the operation's only waker.
#[derive(Default)]
pub(super) struct Pollers([Mutex<Option<Waker>>; 2]);

impl Pollers {
    fn leave(&self, role: Role, waker: &Waker) {
        let mut slot = self.0[role as usize].lock();
        if slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            return;
        }
        // Cloned, and the old one dropped, without the lock (D8).
        drop(slot);
        let new = waker.clone();
        slot = self.0[role as usize].lock();
        let old = slot.replace(new);
        drop(slot);
        drop(old);
    }

    fn take(&self, role: Role) -> Option<Waker> {
        self.0[role as usize].lock().take()
    }

    fn wake(&self, role: Role) {
        if let Some(waker) = self.take(role) {
            waker.wake();
        }
    }

    pub(super) fn wake_all(&self) {
        self.wake(Role::Reads);
        self.wake(Role::Writes);
    }
}

impl<T> Turn<T> {
    /// Polls with the value, if nobody has it. `Pending` means that the role will be woken.
    pub(crate) fn poll<R>(
        &self,
        role: Role,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut T, &mut Context<'_>) -> Polled<R>,
    ) -> Poll<R> {
        let taken = self.lock.try_lock().or_else(|| {
            self.pollers.leave(role, cx.waker());
            self.lock.try_lock()
        });
        let Some(mut value) = taken else { return Poll::Pending };
        let polled = poll(&mut value, cx);
        match polled.poll {
            // Before the value is given back: whose turn is next looks for it afterwards.
            Poll::Pending => self.pollers.leave(role, cx.waker()),
            Poll::Ready(_) => drop(self.pollers.take(role)),
        }
        drop(value);
        if polled.disturbed || polled.poll.is_ready() {
            self.pollers.wake(role.other());
        }
        polled.poll
    }
}
