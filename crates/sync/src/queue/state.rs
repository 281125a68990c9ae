//! What a queue's lock guards, and what follows from a change of it.

use filch_atomic::sync::{Mutex, MutexGuard};
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::Waker;

use super::items::Items;
use crate::wait_list::{Left, WaitList, Waiter, wake_batches};

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
    pub(super) capacity: usize,
    pub(super) phase: Phase,
    /// Items that are there for getters which were woken for them, or found them there but had used up
    /// their turn. Never more than there are items.
    promised: usize,
    /// Room that is kept for putters in the same way. Of no meaning once nothing is put any more.
    kept: usize,
    /// Room that is kept for [slots](super::Slot).
    pub(super) slots: usize,
    getters: WaitList<()>,
    putters: WaitList<()>,
}

/// The two lines of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Getters,
    Putters,
}

impl<T> State<T> {
    pub(super) fn new(items: Items<T>, capacity: usize) -> Self {
        Self {
            items,
            capacity,
            phase: Phase::Open,
            promised: 0,
            kept: 0,
            slots: 0,
            getters: WaitList::new(),
            putters: WaitList::new(),
        }
    }

    /// Whether an item, or room, may be had by somebody who has not waited.
    #[inline]
    pub(super) fn is_free(&self, line: Line) -> bool {
        match line {
            Line::Getters => self.items.len() > self.promised,
            Line::Putters => self.capacity - self.items.len() > self.kept + self.slots,
        }
    }

    /// Whether whoever is in the line waits for something that will never come.
    #[inline]
    pub(super) fn is_over(&self, line: Line) -> bool {
        match (self.phase, line) {
            (Phase::Open, _) => false,
            (_, Line::Putters) | (Phase::Closed, _) => true,
            // A slot may still be filled, and an item that was promised may come back.
            (Phase::Draining, Line::Getters) => self.items.len() == 0 && self.slots == 0,
        }
    }

    /// Makes the promise of an item, or of room.
    #[inline]
    pub(super) fn promise(&mut self, line: Line) {
        *self.promises(line) += 1;
    }

    /// Takes a promise back, or spends it.
    #[inline]
    pub(super) fn unpromise(&mut self, line: Line) {
        let promises = self.promises(line);
        debug_assert!(*promises > 0, "a promise is taken back once");
        *promises -= 1;
    }

    #[inline]
    fn promises(&mut self, line: Line) -> &mut usize {
        match line {
            Line::Getters => &mut self.promised,
            Line::Putters => &mut self.kept,
        }
    }

    #[inline]
    pub(super) fn line(&mut self, line: Line) -> &mut WaitList<()> {
        match line {
            Line::Getters => &mut self.getters,
            Line::Putters => &mut self.putters,
        }
    }

    /// Takes a waiter out, and back what it was promised.
    pub(super) fn leave(&mut self, line: Line, waiter: Pin<&mut Waiter<()>>) -> Left<()> {
        let left = self.line(line).remove(waiter);
        if matches!(left, Left::Released(())) && !self.is_over(line) {
            self.unpromise(line);
        }
        left
    }

    /// Ends the queue, as far as `phase` says. Gives what has to be dropped.
    pub(super) fn shut_down(&mut self, phase: Phase) -> Option<Items<T>> {
        self.phase = self.phase.max(phase);
        if phase != Phase::Closed {
            return None;
        }
        self.promised = 0;
        Some(self.items.take())
    }

    /// Releases one waiter who has a reason to go on: with what it waits for as a promise, or because it
    /// waits for nothing. `None` when all that wait have to.
    #[inline]
    fn release_one(&mut self) -> Option<Waker> {
        if self.getters.is_empty() && self.putters.is_empty() {
            return None;
        }
        self.release_from(Line::Getters).or_else(|| self.release_from(Line::Putters))
    }

    fn release_from(&mut self, line: Line) -> Option<Waker> {
        if self.is_over(line) {
            return self.line(line).pop_front();
        }
        if !self.is_free(line) {
            return None;
        }
        let waker = self.line(line).pop_front()?;
        self.promise(line);
        Some(waker)
    }

    /// Whether somebody would be released.
    fn owes(&self) -> bool {
        let owes = |line, list: &WaitList<()>| {
            !list.is_empty() && (self.is_over(line) || self.is_free(line))
        };
        owes(Line::Getters, &self.getters) || owes(Line::Putters, &self.putters)
    }
}

/// The lock, held. When it is let go, for whatever reason, everybody who has a reason to go on since then
/// is released, and woken after it (D8): so that whoever changes something under the lock need not know
/// whom it concerns, and nobody is forgotten when a comparison of items panics.
pub(super) struct Locked<'a, T> {
    state: MutexGuard<'a, State<T>>,
    // After the state: fields are dropped in this order.
    wake: Wake<'a, T>,
}

struct Wake<'a, T> {
    lock: &'a Mutex<State<T>>,
    first: Option<Waker>,
    /// The first was not the only one.
    owes: bool,
}

impl<'a, T> Locked<'a, T> {
    #[inline]
    pub(super) fn new(lock: &'a Mutex<State<T>>) -> Self {
        Self { state: lock.lock(), wake: Wake { lock, first: None, owes: false } }
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = State<T>;

    #[inline]
    fn deref(&self) -> &State<T> {
        &self.state
    }
}

impl<T> DerefMut for Locked<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State<T> {
        &mut self.state
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.wake.first = self.state.release_one();
        self.wake.owes = self.wake.first.is_some() && self.state.owes();
    }
}

impl<T> Drop for Wake<'_, T> {
    #[inline]
    fn drop(&mut self) {
        match self.first.take() {
            None => {}
            Some(first) if self.owes => wake_many(self.lock, first),
            Some(first) => first.wake(),
        }
    }
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
