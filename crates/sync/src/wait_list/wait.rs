//! What every poll of a waiting future has in common.

use filch_atomic::current::{self, WaitKind};
use filch_atomic::sync::Mutex;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{WaitList, Waiter};

/// What a wait is on record as: see [`current::note_wait`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    kind: WaitKind,
    location: &'static Location<'static>,
}

impl Site {
    /// A wait of this kind, begun by the code at `location`.
    pub(crate) fn at(kind: WaitKind, location: &'static Location<'static>) -> Self {
        Self { kind, location }
    }

    /// A wait of this kind, begun by the caller of whatever `#[track_caller]` function this is called in.
    #[track_caller]
    pub(crate) fn here(kind: WaitKind) -> Self {
        Self::at(kind, Location::caller())
    }

    /// Notes that the current task waits for `resource`, which is told from others by its address.
    pub(crate) fn note<R: ?Sized>(&self, resource: &R) {
        let resource = std::ptr::from_ref(resource).cast::<()>() as usize;
        current::note_wait(self.kind, resource, self.location);
    }
}

/// What came of a look under the lock.
#[derive(Debug)]
pub(crate) enum Attempt<T> {
    /// It is there, and was taken.
    Granted(T),
    /// It is not: wait, with this.
    Wait(T),
}

impl<T> Waiter<T> {
    /// One poll of a future that looks, and else waits in a list until it is released; then its value is
    /// the outcome. `attempt` is asked under the lock, at the first poll and never once the waiter has
    /// its place, and the look and the taking of the place are one step. It may be asked twice, and what
    /// it grants is not asked for again.
    ///
    /// A task whose budget is used up (S6) takes its place, or what it came for, like any other: that is
    /// kept for it in the waiter, as released, until its next turn.
    pub(crate) fn poll_in<S>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        lock: &Mutex<S>,
        list: impl Fn(&mut S) -> &mut WaitList<T>,
        mut attempt: impl FnMut(&mut S) -> Attempt<T>,
        note: impl FnOnce(),
    ) -> Poll<T> {
        if !self.is_idle() {
            return self.poll_place(cx, lock, list, note);
        }
        // Cloned outside the lock: wakers are foreign code (D8).
        let mut waker = None;
        loop {
            let mut state = lock.lock();
            match attempt(&mut state) {
                Attempt::Granted(value) => {
                    drop(state);
                    let Some(unneeded) = waker else { return self.poll_granted(cx, value) };
                    // Kept while the waker is dropped, which may panic.
                    self.as_mut().set_released(value);
                    drop(unneeded);
                    return self.poll_released(cx);
                }
                Attempt::Wait(value) => {
                    if let Some(waker) = waker.take() {
                        list(&mut state).push_back(self, value, waker);
                        break;
                    }
                    drop(state);
                    drop(value);
                }
            }
            waker = Some(cx.waker().clone());
        }
        note();
        Poll::Pending
    }

    /// One poll of a future whose waiter has its place: its value if it was released, and else this poll's
    /// waker is the one that is woken when it is.
    pub(crate) fn poll_place<S>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        lock: &Mutex<S>,
        list: impl Fn(&mut S) -> &mut WaitList<T>,
        note: impl FnOnce(),
    ) -> Poll<T> {
        // Cloned, and the old one dropped, outside the lock: wakers are foreign code (D8).
        let mut waker = None;
        while self.is_queued() {
            let mut state = lock.lock();
            let list = list(&mut state);
            if !self.is_queued() {
                break;
            }
            if !list.has_other_waker(self.as_mut(), cx.waker()) {
                note();
                return Poll::Pending;
            }
            if let Some(waker) = waker.take() {
                let old = list.replace_waker(self, waker);
                drop(state);
                drop(old);
                note();
                return Poll::Pending;
            }
            drop(state);
            waker = Some(cx.waker().clone());
        }
        // Before the value is taken, for it may panic.
        drop(waker);
        self.poll_released(cx)
    }

    /// The value of a waiter that was released, as soon as its task may have it (S6). Pending, too, for one
    /// that was not.
    #[inline]
    pub(crate) fn poll_released(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if self.is_idle() || self.is_queued() {
            return Poll::Pending;
        }
        ready!(current::poll_proceed(cx));
        self.take_released().map_or(Poll::Pending, Poll::Ready)
    }

    /// `value`, which was got without waiting, as soon as the task may have it (S6); until then it is kept
    /// as if the waiter had been released with it.
    #[inline]
    pub(crate) fn poll_granted(self: Pin<&mut Self>, cx: &mut Context<'_>, value: T) -> Poll<T> {
        if !current::has_budget() {
            return self.keep_granted(cx, value);
        }
        let paid = current::poll_proceed(cx);
        debug_assert!(paid.is_ready(), "there was budget just now");
        Poll::Ready(value)
    }

    /// Keeps `value` in the waiter, and only then wakes the task for its next turn: its waker may panic.
    #[cold]
    fn keep_granted(mut self: Pin<&mut Self>, cx: &mut Context<'_>, value: T) -> Poll<T> {
        self.as_mut().set_released(value);
        self.poll_released(cx)
    }
}
