//! What a queue's lock guards, and what follows from a change of it.

use filch_atomic::sync::{Mutex, MutexGuard};
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::Waker;

use super::items::Items;
use crate::wait_list::{self, Left, WaitList, Waiter, wake_batches};

/// How far a queue has come. Only ever goes down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    /// Shut down: nothing is put any more, what is there may be got.
    Draining,
    /// Shut down at once: there is nothing any more.
    Closed,
}

/// Everything under the lock. The README tells how it hangs together.
pub(super) struct State<T> {
    pub(super) items: Items<T>,
    pub(super) phase: Phase,
    /// Room that is kept for [slots](super::Slot).
    slots: usize,
    /// Those who wait for items.
    getters: Line,
    /// Those who wait for room.
    putters: Line,
}

/// What is there for nobody in particular, and who waits for some.
struct Line {
    /// Not those, of items or room, that somebody was woken for, or found there but had used up its turn:
    /// they are its own until it takes them, or goes.
    free: usize,
    waiters: WaitList<()>,
}

/// Which of the two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Get,
    Put,
}

impl<T> State<T> {
    pub(super) fn new(items: Items<T>, capacity: usize) -> Self {
        let line = |free| Line { free, waiters: WaitList::new() };
        Self { items, phase: Phase::Open, slots: 0, getters: line(0), putters: line(capacity) }
    }

    #[inline(always)]
    fn line(&mut self, side: Side) -> &mut Line {
        match side {
            Side::Get => &mut self.getters,
            Side::Put => &mut self.putters,
        }
    }

    /// Who waits on one side.
    pub(super) fn waiters(&mut self, side: Side) -> &mut WaitList<()> {
        &mut self.line(side).waiters
    }

    /// Whether something may be had by somebody who has not waited. Nothing on the side of putters counts
    /// once the queue is shut down.
    #[inline(always)]
    pub(super) fn is_free(&self, side: Side) -> bool {
        match side {
            Side::Get => self.getters.free > 0,
            Side::Put => self.putters.free > 0 && self.phase == Phase::Open,
        }
    }

    /// Whether no room is free.
    pub(super) fn is_full(&self) -> bool {
        self.putters.free == 0
    }

    /// Whether whoever waits there waits for something that will never come.
    #[inline(always)]
    pub(super) fn is_over(&self, side: Side) -> bool {
        match (self.phase, side) {
            (Phase::Open, _) => false,
            (_, Side::Put) | (Phase::Closed, _) => true,
            // A slot may still be filled, and an item that was promised may come back.
            (Phase::Draining, Side::Get) => self.items.len() == 0 && self.slots == 0,
        }
    }

    /// Promises to somebody what is free.
    #[inline(always)]
    pub(super) fn promise(&mut self, side: Side) {
        self.line(side).free -= 1;
    }

    /// Takes a promise back: what was promised is free.
    #[inline(always)]
    pub(super) fn unpromise(&mut self, side: Side) {
        self.line(side).free += 1;
    }

    /// Takes out an item that is promised to the caller. Should a comparison panic, none is taken.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> T {
        let item = self.items.pop().expect("an item that was promised is there");
        self.putters.free += 1;
        item
    }

    /// Puts an item into room that is promised to the caller. Should a comparison panic, it is in.
    #[inline(always)]
    pub(super) fn push(&mut self, item: T) {
        self.getters.free += 1;
        self.items.push(item);
    }

    /// Makes room that is promised to the caller a slot.
    #[inline(always)]
    pub(super) fn keep(&mut self) {
        self.slots += 1;
    }

    /// Makes a slot room that is promised to the caller.
    #[inline(always)]
    pub(super) fn unkeep(&mut self) {
        self.slots -= 1;
    }

    /// Takes a waiter out, and back what it was promised.
    pub(super) fn leave(&mut self, side: Side, waiter: Pin<&mut Waiter<()>>) -> Left<()> {
        let left = self.waiters(side).remove(waiter);
        // Who was released because nothing comes any more was promised nothing; and nothing is over while a
        // promise of an item is out.
        if matches!(left, Left::Released(())) && !self.is_over(side) {
            self.unpromise(side);
        }
        left
    }

    /// Ends the queue, as far as `phase` says. Gives what has to be dropped.
    pub(super) fn shut_down(&mut self, phase: Phase) -> Option<Items<T>> {
        self.phase = self.phase.max(phase);
        if phase != Phase::Closed {
            return None;
        }
        // Promises of items are void from here on.
        self.getters.free = 0;
        self.putters.free += self.items.len();
        Some(self.items.take())
    }

    #[inline(always)]
    fn nobody_waits(&self) -> bool {
        self.getters.waiters.is_empty() && self.putters.waiters.is_empty()
    }

    /// Releases one waiter who has a reason to go on: with what it waits for as a promise, or because it
    /// waits for nothing. `None` when all that wait have to.
    fn release_one(&mut self) -> Option<Waker> {
        self.release_from(Side::Get).or_else(|| self.release_from(Side::Put))
    }

    fn release_from(&mut self, side: Side) -> Option<Waker> {
        let is_over = self.is_over(side);
        if !is_over && !self.is_free(side) {
            return None;
        }
        let waker = self.waiters(side).pop_front()?;
        if !is_over {
            self.promise(side);
        }
        Some(waker)
    }

    /// Whether somebody would be released.
    fn owes(&self) -> bool {
        let owes = |side, line: &Line| {
            !line.waiters.is_empty() && (self.is_over(side) || self.is_free(side))
        };
        owes(Side::Get, &self.getters) || owes(Side::Put, &self.putters)
    }
}

/// The lock, held. When it is let go, for whatever reason, everybody who has a reason to go on since then
/// is released, and woken after it (D8): so that whoever changes something under the lock need not know
/// whom it concerns, and nobody is forgotten when a comparison of items panics.
pub(super) struct Locked<'a, T> {
    /// There until the destructor takes it. Alone here, and so one word: this is moved in every step, and what
    /// was written word by word is slow to copy by wider loads. An `Option` would be asked at every step.
    state: ManuallyDrop<MutexGuard<'a, State<T>>>,
}

impl<'a, T> Locked<'a, T> {
    #[inline(always)]
    pub(super) fn new(lock: &'a Mutex<State<T>>) -> Self {
        Self { state: ManuallyDrop::new(lock.lock()) }
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = State<T>;

    #[inline(always)]
    fn deref(&self) -> &State<T> {
        &self.state
    }
}

impl<T> DerefMut for Locked<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut State<T> {
        &mut self.state
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: nobody has taken it before, and nobody looks at it after: that is done here only, and a
        // destructor runs once.
        let state = unsafe { ManuallyDrop::take(&mut self.state) };
        if !state.nobody_waits() {
            release(state);
        }
    }
}

/// Lets go of the lock, and releases whoever has a reason to go on.
#[inline(never)]
fn release<T>(mut state: MutexGuard<'_, State<T>>) {
    let Some(first) = state.release_one() else { return };
    let owes = state.owes();
    let lock = MutexGuard::mutex(&state);
    drop(state);
    if owes { wake_many(lock, first) } else { wait_list::wake(first) }
}

/// A shutdown, or the end of one.
#[cold]
fn wake_many<T>(lock: &Mutex<State<T>>, first: Waker) {
    let mut first = Some(first);
    wake_batches(lock, lock.lock(), |state, batch| {
        batch.extend(first.take());
        while !batch.is_full()
            && let Some(waker) = state.release_one()
        {
            batch.push(waker);
        }
    });
}
