//! The future's side of a cell.

use super::word::{CLAIMED, DONE, DROPPED, LOST, WAKER};
use super::{Home, Key, OpCell, Owner};
use crate::Operation;
use filch_atomic::sync::atomic::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::task::Waker;

/// How far a polled operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// Not done; the waker will be woken.
    Pending,
    /// The result is there: [`Handle::take`].
    Done,
    /// No result will ever come: the driver is gone and the kernel keeps the payload.
    Lost,
}

/// The one future-side reference to a filled cell. Whoever has it ends with [`take`](Self::take) or
/// [`leave`](Self::leave); letting it go otherwise leaks the cell, which is safe.
pub struct Handle<T> {
    // Not an `Arc`: a cell in use keeps its home alive (`Home::retire`), so that a submission costs no
    // reference counting.
    home: NonNull<Home>,
    cell: NonNull<OpCell>,
    key: Key,
    operation: PhantomData<T>,
}

// SAFETY: the cell's protocol allows the future's side on any thread, one at a time; the operation is
// Send.
unsafe impl<T: Send> Send for Handle<T> {}
// SAFETY: nothing but the key, the home and one atomic load can be reached through a `&Handle`.
unsafe impl<T: Send> Sync for Handle<T> {}

impl<T: Operation> Handle<T> {
    pub(super) fn new(home: &Home, cell: &OpCell, key: Key) -> Self {
        Self { home: home.into(), cell: cell.into(), key, operation: PhantomData }
    }

    /// Which operation.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Where it lives.
    pub fn home(&self) -> &Home {
        // SAFETY: the cell is in use, which keeps the home alive.
        unsafe { self.home.as_ref() }
    }

    pub(super) fn cell(&self) -> &OpCell {
        // SAFETY: cells live as long as their home.
        unsafe { self.cell.as_ref() }
    }

    /// Whether the result is there. One load.
    pub fn is_done(&self) -> bool {
        // Acquire: pairs with the Release of DONE in `OpCell::complete`.
        self.cell().word.load(Ordering::Acquire) & DONE != 0
    }

    /// Looks for the result, and leaves `waker` if there is none.
    pub fn poll(&mut self, waker: &Waker) -> Polled {
        let cell = self.cell();
        // Acquire: pairs with the Releases of DONE and LOST.
        let word = cell.word.load(Ordering::Acquire);
        if word & (DONE | LOST) != 0 {
            return settled(word);
        }
        if word & WAKER != 0 {
            // SAFETY: WAKER is set, so the slot was filled, by this side; a completer at most reads
            // it bitwise as we do, and `will_wake` follows no pointer.
            if cell.waker.with(|slot| unsafe { (*slot).assume_init_ref() }.will_wake(waker)) {
                return Polled::Pending;
            }
        }
        self.replace_waker(word, waker)
    }

    /// Puts another waker into the slot, unless the completer is at it.
    fn replace_waker(&self, word: u64, waker: &Waker) -> Polled {
        let cell = self.cell();
        if word & CLAIMED == 0 {
            self.take_waker(word);
            let new = waker.clone();
            // Relaxed: a claim that is missed here fails the exchange below; one that is seen is followed
            // by an Acquire load.
            let word = cell.word.load(Ordering::Relaxed);
            if word & CLAIMED == 0 {
                // SAFETY: no WAKER (just taken out) and the claim, which would find none, does not
                // look into the slot: it is ours.
                cell.waker.with_mut(|slot| unsafe { (*slot).write(new) });
                // Release: publishes the waker; pairs with the Acquire in `OpCell::claim`.
                let set = cell.word.compare_exchange(
                    word,
                    word | WAKER,
                    Ordering::Release,
                    Ordering::Relaxed,
                );
                if set.is_ok() {
                    return Polled::Pending;
                }
                // SAFETY: WAKER was not set, so nobody else takes it out.
                drop(cell.waker.with(|slot| unsafe { (*slot).assume_init_read() }));
            }
        }
        // A completer is at work: the result is there, or will be within a few instructions. It may
        // have missed our waker, so we come again by ourselves.
        // Acquire: pairs with the Releases of DONE and LOST.
        let word = cell.word.load(Ordering::Acquire);
        if word & (DONE | LOST) != 0 {
            return settled(word);
        }
        waker.wake_by_ref();
        Polled::Pending
    }

    /// Empties the slot, if it is full and still ours.
    fn take_waker(&self, word: u64) {
        let cell = self.cell();
        if word & WAKER == 0 {
            return;
        }
        // Acquire: what follows, the drop and the next waker's write, must not move up, before the slot is
        // known to be ours. Release is not needed: the slot is not handed over.
        let before = cell.word.fetch_and(!WAKER, Ordering::Acquire);
        if before & CLAIMED == 0 {
            // SAFETY: the slot was full, no claim had come, and any claim from now on sees no WAKER.
            drop(cell.waker.with(|slot| unsafe { (*slot).assume_init_read() }));
        }
    }

    /// Takes the operation and the kernel's result out, and frees the cell.
    ///
    /// # Panics
    ///
    /// If the last [`poll`](Self::poll) did not say [`Polled::Done`].
    pub fn take(self, owner: Option<&Owner>) -> (T, i32) {
        assert!(self.is_done(), "no result to take yet");
        let cell = self.cell();
        // SAFETY: DONE: the result is the future's side's.
        let result = cell.result.with(|result| unsafe { *result });
        // SAFETY: DONE, and this is the one future-side reference: we are last in. `fill` put a `T`.
        let (mut operation, list) = unsafe { cell.empty::<T>() };
        let watched = self.home().ward.clone();
        match owner {
            Some(owner) => owner.give_back(self.key.index(), list),
            None => {
                let kept = self.home().give_back(self.key.index());
                // Perhaps the home's last reference; `self` is not looked at again.
                drop(kept);
            }
        }
        if let Some(ward) = watched {
            ward.look(self.key, &mut operation, result);
        }
        (operation, result)
    }

    /// As [`leave`](Self::leave), and disposes of the result if it is over. For models: an [`Op`](crate::Op) asks first whether the operation should begin after all.
    #[cfg(filch_loom)]
    pub fn abandon(self, owner: Option<&Owner>) {
        if let Some(this) = self.leave() {
            let (operation, result) = this.take(owner);
            operation.dispose(crate::sys::result(result));
        }
    }

    /// Gives the operation up. If it is over, the caller has the handle back and sees to its result (D2); if
    /// not, the completer will do that. Who wants it cancelled asks *before*: after this, cell and home may
    /// be gone.
    pub fn leave(self) -> Option<Self> {
        let cell = self.cell();
        // Acquire: as in `poll`.
        let word = cell.word.load(Ordering::Acquire);
        if word & (DONE | LOST) == 0 {
            // Before DROPPED, after which the cell may at once be another operation's. The task's
            // memory is not kept until the kernel is done.
            self.take_waker(word);
            // Release: this side is over with the cell; pairs with the Acquire of DONE in
            // `OpCell::complete`. Acquire: sees the result if DONE came first.
            let before = cell.word.fetch_or(DROPPED, Ordering::AcqRel);
            if before & (DONE | LOST) == 0 {
                return None;
            }
        }
        self.is_done().then_some(self)
    }

    /// Whether the operation is over because it was never begun: its future may begin it elsewhere.
    pub fn was_not_begun(&self) -> bool {
        // SAFETY: DONE: the result is the future's side's.
        self.is_done()
            && self.cell().result.with(|result| unsafe { *result }) == crate::sys::NOT_BEGUN
    }

    /// Sends an operation that [was not begun](Self::was_not_begun) to its owner again, and leaves it there:
    /// nobody waits for it. Gives the handle back if the owner takes no more.
    ///
    /// # Panics
    ///
    /// If it was begun.
    pub fn begin_unheard(self) -> Result<(), Self> {
        assert!(self.was_not_begun(), "an operation begins once");
        // SAFETY: DONE, and this is the one future-side reference: we are last in.
        let sent = unsafe { self.home().submit_again(self.cell(), self.key.index()) };
        if sent { Ok(()) } else { Err(self) }
    }
}

fn settled(word: u64) -> Polled {
    if word & DONE != 0 { Polled::Done } else { Polled::Lost }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("key", &self.key).finish_non_exhaustive()
    }
}
