//! One queue: what its handles share.

use filch_atomic::current;
use filch_atomic::sync::Mutex;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::error::{PutError, PutErrorKind, ShutDown, TryGetError};
use super::items::Items;
use super::state::{Line, Locked, Phase, State};
use super::tally::Tally;
use crate::wait_list::{Site, Waiter};

pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    pub(super) tally: Tally,
}

impl<T> Shared<T> {
    pub(super) fn new(items: Items<T>, capacity: usize) -> Self {
        Self { state: Mutex::new(State::new(items, capacity)), tally: Tally::new() }
    }

    /// Takes the lock.
    #[inline]
    pub(super) fn lock(&self) -> Locked<'_, T> {
        Locked::new(&self.state)
    }

    /// Puts an item in, whose room nobody else has. It is counted before it is compared with others, which
    /// may panic: then it is in.
    #[inline]
    pub(super) fn push(&self, state: &mut State<T>, item: T) {
        self.tally.add();
        state.items.push(item);
    }

    /// Takes room, by `take`, under the lock, if that takes no waiting.
    #[inline]
    pub(super) fn try_room(&self, take: impl FnOnce(&mut State<T>)) -> Result<(), PutErrorKind> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(PutErrorKind::ShutDown);
        }
        if !state.is_free(Line::Putters) {
            return Err(PutErrorKind::Full);
        }
        take(&mut state);
        Ok(())
    }

    #[inline]
    pub(super) fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        let mut item = Some(item);
        let put = self.try_room(|state| {
            if let Some(item) = item.take() {
                self.push(state, item);
            }
        });
        match (put, item) {
            (Err(kind), Some(item)) => Err(PutError { item, kind }),
            _ => Ok(()),
        }
    }

    #[inline]
    pub(super) fn try_get(&self) -> Result<T, TryGetError> {
        let mut state = self.lock();
        if state.is_over(Line::Getters) {
            return Err(TryGetError::ShutDown);
        }
        if !state.is_free(Line::Getters) {
            return Err(TryGetError::Empty);
        }
        state.items.pop().ok_or(TryGetError::Empty)
    }

    /// One poll of a wait for an item.
    #[inline]
    pub(super) fn poll_get(
        &self,
        waiter: Pin<&mut Waiter<()>>,
        cx: &mut Context<'_>,
        site: &Site,
    ) -> Poll<Result<T, ShutDown>> {
        // Nobody but this poll pops what is promised to it, or free and found so under the same lock.
        let pop = |state: &mut State<T>| state.items.pop().expect("it is there");
        self.poll_line(Line::Getters, waiter, cx, site, pop)
    }

    /// One poll of a wait for room, which `take` takes under the lock.
    #[inline]
    pub(super) fn poll_room(
        &self,
        waiter: Pin<&mut Waiter<()>>,
        cx: &mut Context<'_>,
        site: &Site,
        take: impl FnOnce(&mut State<T>),
    ) -> Poll<Result<(), ShutDown>> {
        self.poll_line(Line::Putters, waiter, cx, site, take)
    }

    /// One poll in a line: takes what it was promised, or what is free, or the next place in the line.
    #[inline]
    fn poll_line<R>(
        &self,
        line: Line,
        mut waiter: Pin<&mut Waiter<()>>,
        cx: &mut Context<'_>,
        site: &Site,
        take: impl FnOnce(&mut State<T>) -> R,
    ) -> Poll<Result<R, ShutDown>> {
        let in_turn = current::has_budget();
        // Cloned, and an old one dropped, outside the lock: wakers are foreign code (D8).
        let mut waker = None;
        loop {
            let mut state = self.lock();
            let is_new = waiter.is_idle();
            if state.is_over(line) {
                let left = state.leave(line, waiter);
                drop(state);
                drop(left);
                return Poll::Ready(Err(ShutDown));
            }
            if is_new && state.is_free(line) {
                if in_turn {
                    return self.taken(cx, state, take);
                }
                // A task that has had its turn (S6) finds it in the next, as if it had waited.
                state.promise(line);
                waiter.as_mut().set_released(());
            }
            if !waiter.is_idle() && !waiter.is_queued() {
                if in_turn {
                    let _ = waiter.take_released();
                    state.unpromise(line);
                    return self.taken(cx, state, take);
                }
                drop(state);
                let proceed = current::poll_proceed(cx);
                debug_assert!(proceed.is_pending(), "it had no budget when this poll began");
                return Poll::Pending;
            }
            if is_new {
                if let Some(waker) = waker.take() {
                    state.line(line).push_back(waiter, (), waker);
                    break;
                }
            } else {
                if !state.line(line).has_other_waker(waiter.as_mut(), cx.waker()) {
                    break;
                }
                if let Some(waker) = waker.take() {
                    let old = state.line(line).replace_waker(waiter, waker);
                    drop(state);
                    drop(old);
                    break;
                }
            }
            drop(state);
            waker = Some(cx.waker().clone());
        }
        site.note(self);
        Poll::Pending
    }

    /// Takes, lets the lock go, and pays for it with a unit of budget, which is there.
    #[inline]
    fn taken<R>(
        &self,
        cx: &mut Context<'_>,
        mut state: Locked<'_, T>,
        take: impl FnOnce(&mut State<T>) -> R,
    ) -> Poll<Result<R, ShutDown>> {
        let taken = take(&mut state);
        drop(state);
        let paid = current::poll_proceed(cx);
        debug_assert!(paid.is_ready(), "there was budget when this poll began");
        Poll::Ready(Ok(taken))
    }

    /// Ends a wait in a line; what it was promised goes to the next.
    #[inline]
    pub(super) fn leave(&self, line: Line, waiter: Pin<&mut Waiter<()>>) {
        if waiter.is_idle() {
            return;
        }
        let mut state = self.lock();
        let left = state.leave(line, waiter);
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
