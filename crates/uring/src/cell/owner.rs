//! The part of the cells that only the ring's own thread uses: its free list, needing no lock.

use super::home::State;
use super::{Handle, Home, Key, erased, word};
use crate::Operation;
use filch_atomic::panics::{caught, drop_caught};
use filch_atomic::sync::Arc;
use io_uring::squeue;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::task::Waker;

/// The owning thread's side of a [`Home`]. Not `Send`.
#[derive(Debug)]
pub struct Owner {
    home: Arc<Home>,
    free: RefCell<Vec<u32>>,
    /// Cells in use as far as this side knows; see `Home`'s own count.
    live: Cell<isize>,
    not_send: PhantomData<*const ()>,
}

impl Owner {
    /// The one owner of `home`.
    pub fn new(home: Arc<Home>) -> Self {
        Self { home, free: RefCell::default(), live: Cell::new(0), not_send: PhantomData }
    }

    /// What is shared with other threads.
    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Puts an operation into a cell. No lock, no read-modify-write: nobody else knows the cell yet.
    pub fn fill<T: Operation>(&self, operation: T, waker: Waker) -> Handle<T> {
        let index = {
            let mut free = self.free.borrow_mut();
            if free.is_empty() {
                self.home.refill(&mut free);
            }
            free.pop().expect("refilled")
        };
        self.live.set(self.live.get() + 1);
        let cell = self.home.cell(index);
        // SAFETY: the index was in the free list, and is out of it now.
        let key = unsafe { cell.fill(index, 0, operation, waker) };
        Handle::new(&self.home, cell, key)
    }

    /// The SQE of an operation that is about to be staged for the first time.
    pub fn entry(&self, key: Key) -> squeue::Entry {
        debug_assert!(self.home.state(key) != State::Over, "staged after it was over");
        let cell = self.home.cell(key.index());
        if let Some(ward) = &self.home.ward {
            // SAFETY: as below.
            let lent = cell.payload.with_mut(|payload| unsafe { (cell.erased().lent)(payload) });
            if !lent.is_empty() {
                // SAFETY: the kernel has not heard of it, and everybody else leaves it alone until it is over.
                unsafe { ward.lend(key, &lent) };
            }
        }
        // SAFETY: the cell is filled and not submitted, so that only this thread can complete it: it is
        // not released during the call; the payload has its final address (D1).
        let entry = cell.payload.with_mut(|payload| unsafe { (cell.erased().entry)(payload) });
        entry.user_data(key.user_data())
    }

    /// As [`entry`](Self::entry), of one that this thread has just put there: cell and type are at hand.
    pub(crate) fn entry_of<T: Operation>(&self, handle: &Handle<T>) -> squeue::Entry {
        if self.home.ward.is_some() {
            return self.entry(handle.key());
        }
        debug_assert!(self.home.state(handle.key()) != State::Over, "staged after it was over");
        // SAFETY: as there; the handle says what it is.
        let entry =
            handle.cell().payload.with_mut(|payload| unsafe { erased::entry::<T>(payload) });
        entry.user_data(handle.key().user_data())
    }

    /// The operation is over. Wakes its future or disposes of the result; user code runs (D8).
    ///
    /// # Safety
    ///
    /// `key` was staged here and this is its final CQE; or it was never submitted and never will be.
    pub unsafe fn complete(&self, key: Key, result: i32) {
        let cell = self.home.cell(key.index());
        debug_assert!(self.home.state(key) != State::Over, "a CQE for a cell that is over");
        // SAFETY: the caller's promise.
        unsafe { cell.complete(&self.home, Some(self), key.index(), result) };
    }

    /// Whether the operation is still with the kernel side (so that a cancel can mean it, D4). A rescuer
    /// may complete it a moment later; a cancel then finds nothing.
    pub fn is_running(&self, key: Key) -> bool {
        self.home.is_running(key)
    }

    /// Whether nobody wants the operation, which is not over: its future is gone, and it is one that is
    /// given up with its future (a write, say, is not: what was begun is done). Of one that was never
    /// submitted this stays true: nobody else completes it.
    pub fn is_unwanted(&self, key: Key) -> bool {
        self.home.is_unwanted(key)
    }

    /// Whether the operation is not over and one that is not given up, neither with its future nor with
    /// the driver ([`Operation::CANCEL_ON_DROP`]). One look: a rescuer may free the cell meanwhile.
    pub fn runs_to_its_end(&self, key: Key) -> bool {
        let state = self.home.state(key);
        matches!(state, State::Wanted { to_end: true } | State::Dropped { to_end: true })
    }

    /// Whether [`runs_to_its_end`](Self::runs_to_its_end) is true of any operation that is not over.
    pub fn has_one_that_runs_to_its_end(&self) -> bool {
        let mut has_one = false;
        self.home.for_each_used(|_, word| {
            let is_running = word & (word::CLAIMED | word::DONE | word::LOST) == 0;
            has_one |= is_running && word & word::TO_END != 0;
        });
        has_one
    }

    /// Every operation that is not over. A rescuer may complete some of them meanwhile.
    pub fn running(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        self.home.for_each_used(|index, word| {
            if word & (word::CLAIMED | word::DONE | word::LOST) == 0 {
                keys.push(Key::new(index, word::generation(word)));
            }
        });
        keys
    }

    /// Takes a cell back, for this side's list or the common one, whichever it came from: if this side
    /// kept what others took, they would need new ones for ever.
    pub(super) fn give_back(&self, index: u32, list: u64) {
        if list == word::COMMON {
            let kept = self.home.give_back(index);
            debug_assert!(kept.is_none(), "a home keeps itself only without an owner");
        } else {
            self.free.borrow_mut().push(index);
            self.live.set(self.live.get() - 1);
        }
    }

    /// Gives up on all operations that are not over: their futures learn that no result will come,
    /// their cells are never used again. Returns how many there were of each kind (D7). What a rescuer
    /// has in hand and settles first is not lost.
    ///
    /// # Safety
    ///
    /// No completion will be reaped any more, by nobody: the ring is out of reach. Nobody submits.
    pub unsafe fn lose_all(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        let mut wakers = Vec::new();
        for key in self.running() {
            let cell = self.home.cell(key.index());
            // SAFETY: the caller's promise; the claim decides between us and a rescuer.
            let Some((name, waker)) = (unsafe { cell.lose(key.generation()) }) else { continue };
            *kinds.entry(name).or_insert(0) += 1;
            wakers.extend(waker);
        }
        // All are told before the first waker, a user's code, runs (D8): it may panic.
        wake_all(wakers);
        kinds
    }
}

/// Wakes each, whether or not others panic. The panics have been said by whoever hooks panics, and have
/// nowhere to go: the caller is about to report what is lost.
fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        if let Err(payload) = caught(|| waker.wake()) {
            drop_caught(payload);
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.home.close();
        Home::retire(&self.home, self.live.get());
    }
}
