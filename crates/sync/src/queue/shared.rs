//! What the handles of one queue share.

use filch_atomic::current;
use filch_atomic::sync::Mutex;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::error::{PutError, PutErrorKind, ShutDown, TryGetError};
use super::items::Items;
use super::state::{Locked, Phase, Side, State};
use super::tally::Tally;
use crate::wait_list::{Site, Waiter};

pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    pub(super) capacity: usize,
    pub(super) tally: Tally,
}

/// A place in a line, its poll, and what the task is to be on record for.
pub(super) struct Turn<'a, 'b, 'c> {
    pub(super) waiter: Pin<&'a mut Waiter<()>>,
    pub(super) cx: &'a mut Context<'b>,
    pub(super) site: &'c Site,
}

impl Turn<'_, '_, '_> {
    /// Uses up the promise, or takes what is free.
    #[inline(always)]
    fn claim<T>(&mut self, side: Side, state: &mut State<T>) {
        if self.waiter.is_idle() {
            state.promise(side);
        } else {
            let _ = self.waiter.as_mut().take_released();
        }
    }
}

impl<T> Shared<T> {
    pub(super) fn new(items: Items<T>, capacity: usize) -> Self {
        Self { state: Mutex::new(State::new(items, capacity)), capacity, tally: Tally::new() }
    }

    /// Takes the lock.
    #[inline(always)]
    pub(super) fn lock(&self) -> Locked<'_, T> {
        Locked::new(&self.state)
    }

    /// Lets go of the lock when what was waited for on `side` was taken. Should the waker of the next in line
    /// panic, an item that was taken is lost, and counts as done: whoever would have said so never gets it.
    #[inline(always)]
    fn unlock(&self, state: Locked<'_, T>, side: Side) {
        let count = usize::from(side == Side::Get);
        let lost = Done { tally: &self.tally, count };
        drop(state);
        mem::forget(lost);
    }

    /// Puts an item into room that is promised to the caller. It is counted before it is compared with
    /// others, which may panic: then it is in.
    #[inline(always)]
    pub(super) fn push(&self, state: &mut State<T>, item: T) {
        self.tally.add();
        state.push(item);
    }

    /// Promises room to the caller, who takes it under the same lock, if that takes no waiting.
    #[inline]
    pub(super) fn try_room(&self) -> Result<Locked<'_, T>, PutErrorKind> {
        let mut state = self.lock();
        if !state.is_free(Side::Put) {
            let is_over = state.is_over(Side::Put);
            return Err(if is_over { PutErrorKind::ShutDown } else { PutErrorKind::Full });
        }
        state.promise(Side::Put);
        Ok(state)
    }

    #[inline]
    pub(super) fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        match self.try_room() {
            Ok(mut state) => {
                self.push(&mut state, item);
                Ok(())
            }
            Err(kind) => Err(PutError { item, kind }),
        }
    }

    #[inline]
    pub(super) fn try_get(&self) -> Result<T, TryGetError> {
        let mut state = self.lock();
        if !state.is_free(Side::Get) {
            let is_over = state.is_over(Side::Get);
            return Err(if is_over { TryGetError::ShutDown } else { TryGetError::Empty });
        }
        let item = state.pop();
        state.promise(Side::Get);
        self.unlock(state, Side::Get);
        Ok(item)
    }

    /// One poll of a wait for an item.
    #[inline(never)]
    pub(super) fn poll_get(&self, turn: Turn<'_, '_, '_>) -> Poll<Result<T, ShutDown>> {
        self.poll_side(Side::Get, turn, |state| state.pop())
    }

    /// One poll of a wait for room, which `take` takes under the lock.
    #[inline(never)]
    pub(super) fn poll_room(
        &self,
        turn: Turn<'_, '_, '_>,
        take: impl FnOnce(&mut State<T>),
    ) -> Poll<Result<(), ShutDown>> {
        self.poll_side(Side::Put, turn, take)
    }

    /// One poll in a line: takes what it was promised, or what is free, or the next place in the line.
    #[inline(always)]
    fn poll_side<R>(
        &self,
        side: Side,
        mut turn: Turn<'_, '_, '_>,
        take: impl FnOnce(&mut State<T>) -> R,
    ) -> Poll<Result<R, ShutDown>> {
        let mut state = self.lock();
        if !(turn.waiter.is_idle() && state.is_free(side) && current::has_budget()) {
            match self.poll_waiting(side, &mut turn, state) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(over)) => return Poll::Ready(Err(over)),
                Poll::Ready(Ok(locked)) => state = locked,
            }
        }
        // Paid for when the place in the line, or what it came for, is its own (I6); and before the lock is let go,
        // for the wakers that are woken then may use up the rest.
        let paid = current::poll_proceed(turn.cx);
        debug_assert!(paid.is_ready(), "there was budget just now");
        // Comparisons may panic: then an item that was put is in, and one that was not got is still free, or
        // promised to who could not get it.
        let taken = match side {
            Side::Put => {
                turn.claim(side, &mut state);
                take(&mut state)
            }
            Side::Get => {
                let item = take(&mut state);
                turn.claim(side, &mut state);
                item
            }
        };
        self.unlock(state, side);
        Poll::Ready(Ok(taken))
    }

    /// The rest of it: gives the lock back if the waiter was promised what it waits for, and may have it.
    #[inline(never)]
    fn poll_waiting<'a>(
        &'a self,
        side: Side,
        turn: &mut Turn<'_, '_, '_>,
        mut state: Locked<'a, T>,
    ) -> Poll<Result<Locked<'a, T>, ShutDown>> {
        // Cloned, and an old one dropped, outside the lock: wakers are foreign code (D8).
        let mut waker = None;
        loop {
            let mut waiter = turn.waiter.as_mut();
            let is_new = waiter.is_idle();
            if state.is_over(side) {
                // An answer like any other, which a task gets in its turn (S6). It stays the same.
                let in_turn = current::has_budget();
                let left = in_turn.then(|| state.leave(side, waiter));
                drop(state);
                drop(left);
                return current::poll_proceed(turn.cx).map(|()| Err(ShutDown));
            }
            if is_new && state.is_free(side) {
                // To be found released: by what follows, or, if the task has had its turn (S6), by the
                // next poll.
                state.promise(side);
                waiter.as_mut().set_released(());
            }
            if !waiter.is_idle() && !waiter.is_queued() {
                if waker.is_some() {
                    // Not needed any more; to be dropped with the lock released (D8).
                    drop(state);
                    drop(waker.take());
                    state = self.lock();
                    continue;
                }
                if current::has_budget() {
                    return Poll::Ready(Ok(state));
                }
                drop(state);
                let proceed = current::poll_proceed(turn.cx);
                debug_assert!(proceed.is_pending(), "it had no budget before");
                return Poll::Pending;
            }
            if is_new {
                if let Some(waker) = waker.take() {
                    state.waiters(side).push_back(waiter, (), waker);
                    break;
                }
            } else {
                if !state.waiters(side).has_other_waker(waiter.as_mut(), turn.cx.waker()) {
                    break;
                }
                if let Some(waker) = waker.take() {
                    let old = state.waiters(side).replace_waker(waiter, waker);
                    drop(state);
                    drop(old);
                    break;
                }
            }
            drop(state);
            waker = Some(turn.cx.waker().clone());
            state = self.lock();
        }
        turn.site.note(self);
        Poll::Pending
    }

    /// Ends a wait in a line; what it was promised goes to the next.
    #[inline(always)]
    pub(super) fn leave(&self, side: Side, waiter: Pin<&mut Waiter<()>>) {
        if !waiter.is_idle() {
            self.leave_line(side, waiter);
        }
    }

    #[inline(never)]
    fn leave_line(&self, side: Side, waiter: Pin<&mut Waiter<()>>) {
        let mut state = self.lock();
        let left = state.leave(side, waiter);
        drop(state);
        drop(left);
    }

    /// Ends the queue.
    pub(super) fn shut_down(&self, phase: Phase) {
        let mut state = self.lock();
        let count = state.items.len();
        let items = state.shut_down(phase);
        // They count as done when they are dropped, also when a destructor, or a waker, panics.
        let _done = items.as_ref().map(|_| Done { tally: &self.tally, count });
        let items = items;
        drop(state);
        drop(items);
    }
}

/// Declares so much work done.
struct Done<'a> {
    tally: &'a Tally,
    count: usize,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        // It ends early if somebody has declared done what he never got.
        let _ = (0..self.count).try_for_each(|_| self.tally.done());
    }
}
