//! Those who poll.

use super::Turn;
use filch_atomic::sync::Mutex;
use std::mem;
use std::task::{Context, Poll, Waker};

/// Which of those who poll it is: the last that read, or the last that wrote. One waker each is what the
/// poll-based traits promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Reads,
    Writes,
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
/// A poller that finds the value taken is *turned away*: it leaves its waker, and tries once more. Whoever
/// gives the value back looks for wakers after that. Both go through the lock of the slot: if the look
/// comes first, then the value was free before the poller tried; if the waker comes first, the look finds
/// it (S2).
///
/// A poller that waits for an operation leaves its waker, too, before it gives the value back: a future
/// whose turn comes next may take the operation over, and with it the operation's only waker. When that
/// future is done, or dropped, all wakers that were left are woken, and whoever still waits for something
/// begins anew.
#[derive(Default)]
pub(super) struct Pollers {
    reads: Mutex<Slot>,
    writes: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    waker: Option<Waker>,
    turned_away: bool,
}

impl Pollers {
    fn slot(&self, role: Role) -> &Mutex<Slot> {
        match role {
            Role::Reads => &self.reads,
            Role::Writes => &self.writes,
        }
    }

    /// Leaves a waker. If that takes the place of somebody else's who was turned away, gives that one, to
    /// be woken.
    fn leave(&self, role: Role, waker: &Waker, turned_away: bool) -> Option<Waker> {
        let mut slot = self.slot(role).lock();
        if slot.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            slot.turned_away = turned_away;
            return None;
        }
        // Cloned, and the old one dropped, without the lock (D8).
        drop(slot);
        let new = Slot { waker: Some(waker.clone()), turned_away };
        let old = mem::replace(&mut *self.slot(role).lock(), new);
        if old.turned_away { old.waker } else { None }
    }

    /// Takes the waker that was left.
    fn take(&self, role: Role) -> Option<Waker> {
        mem::take(&mut *self.slot(role).lock()).waker
    }

    /// Drops the waker of one who waits for nothing any more; not of one who was turned away since.
    fn forget(&self, role: Role) {
        let mut slot = self.slot(role).lock();
        let old = if slot.turned_away { None } else { slot.waker.take() };
        drop(slot);
        drop(old);
    }

    /// Takes the waker of one who was turned away.
    fn take_turned_away(&self, role: Role) -> Option<Waker> {
        let mut slot = self.slot(role).lock();
        if slot.turned_away { mem::take(&mut *slot).waker } else { None }
    }

    pub(super) fn wake_all(&self) {
        for role in [Role::Reads, Role::Writes] {
            wake(self.take(role));
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
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
            wake(self.pollers.leave(role, cx.waker(), true));
            self.lock.try_lock()
        });
        let Some(mut value) = taken else { return Poll::Pending };
        let polled = poll(&mut value, cx);
        // Before the value is given back: whose turn is next looks for it afterwards.
        let replaced = match polled.poll {
            Poll::Pending => self.pollers.leave(role, cx.waker(), false),
            Poll::Ready(_) => {
                self.pollers.forget(role);
                None
            }
        };
        drop(value);
        wake(replaced);
        wake(self.pollers.take_turned_away(role));
        let other = match role {
            Role::Reads => Role::Writes,
            Role::Writes => Role::Reads,
        };
        if polled.poll.is_ready() || polled.disturbed {
            wake(self.pollers.take(other));
        } else {
            wake(self.pollers.take_turned_away(other));
        }
        polled.poll
    }
}
