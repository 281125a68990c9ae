#![doc = include_str!("README.md")]

mod erased;
mod handle;
mod home;
mod owner;
mod word;

pub use erased::Erased;
pub use handle::{Handle, Polled};
pub use home::{Home, Message};
pub use owner::Owner;
pub use word::Key;

use erased::Payload;
use filch_atomic::cell::UnsafeCell;
use filch_atomic::sync::atomic::{AtomicU64, Ordering};
use std::fmt;
use std::mem::MaybeUninit;
use std::task::Waker;
use word::{CLAIMED, COMMON, DONE, DROPPED, FREE, LOST, WAKER};

/// One operation's stable place in memory, from its staging to the delivery of its result.
///
/// Public only for the models; see the module's essay for who may touch which field when.
#[repr(C, align(64))]
pub struct OpCell {
    /// Generation above, state bits below.
    word: AtomicU64,
    /// Whom to wake. Valid while `WAKER` is set.
    waker: UnsafeCell<MaybeUninit<Waker>>,
    /// The result of the final CQE. The completer's until `DONE`, the future's after.
    result: UnsafeCell<i32>,
    /// What the payload is. Written when the cell is filled, read by both sides.
    erased: UnsafeCell<MaybeUninit<&'static Erased>>,
    /// The operation and everything that the kernel was told the address of (D1).
    payload: UnsafeCell<Payload>,
}

// Two cache lines: the word and the waker share the first with the head of the payload.
#[cfg(not(any(filch_loom, filch_shuttle)))]
const _: () = assert!(size_of::<OpCell>() == 128);

// SAFETY: fields other than the word are touched only by the side that the word says owns them (see
// the essay); payloads and wakers are Send.
unsafe impl Send for OpCell {}
// SAFETY: as above.
unsafe impl Sync for OpCell {}

impl OpCell {
    fn new() -> Self {
        Self {
            word: AtomicU64::new(FREE),
            waker: UnsafeCell::new(MaybeUninit::uninit()),
            result: UnsafeCell::new(0),
            erased: UnsafeCell::new(MaybeUninit::uninit()),
            payload: UnsafeCell::new(Payload::uninit()),
        }
    }

    /// Fills a cell that was just taken from a free list (`list` is `COMMON`, or 0 for the owner's), and
    /// gives its key.
    ///
    /// # Safety
    ///
    /// The cell is free and the caller alone has its index.
    unsafe fn fill<T: crate::Operation>(
        &self,
        index: u32,
        list: u64,
        operation: T,
        waker: Waker,
    ) -> Key {
        // Relaxed: the index came through a free list, and with it everything done to the cell.
        let free = self.word.load(Ordering::Relaxed);
        debug_assert!(word::state(free) == FREE, "cell {index} is in use");
        // SAFETY: nobody else has the cell (caller's promise).
        self.payload.with_mut(|payload| unsafe { erased::write(payload, operation) });
        // SAFETY: as above.
        self.erased.with_mut(|erased| unsafe { (*erased).write(Erased::of::<T>()) });
        // SAFETY: as above.
        self.waker.with_mut(|slot| unsafe { (*slot).write(waker) });
        let key = Key::new(index, word::generation(free));
        // Release: pairs with the Acquire loads of whoever completes or polls it on another thread.
        self.word.store(word::filled(key.generation()) | WAKER | list, Ordering::Release);
        key
    }

    /// What the payload is.
    ///
    /// # Safety
    ///
    /// The cell is filled and cannot be released during the call.
    unsafe fn erased(&self) -> &'static Erased {
        // SAFETY: a filled cell's `erased` was written before the word said so, and is not written
        // again until after the release.
        self.erased.with(|erased| unsafe { (*erased).assume_init() })
    }

    /// The kernel side's last act on the cell: the operation is over with `result`. Wakes the future,
    /// or, if that is gone, disposes of the payload and the result (D2).
    ///
    /// Runs a waker or a destructor (D8: the caller holds no lock and no borrow).
    ///
    /// # Safety
    ///
    /// The final CQE of the operation that fills this cell was reaped (or it was never submitted), and
    /// this is the only call for it.
    unsafe fn complete(&self, owner: &Owner, index: u32, result: i32) {
        // SAFETY: until DONE the result is the completer's.
        self.result.with_mut(|slot| unsafe { *slot = result });
        let waker = self.claim();
        // Release: publishes the result and the end of our reading of the waker slot; pairs with the
        // Acquire loads in `Handle::poll` and `Handle::abandon`. Acquire: pairs with the DROPPED of
        // `Handle::abandon`, whose side is then over with the cell.
        let before = self.word.fetch_or(DONE, Ordering::AcqRel);
        debug_assert!(before & (DONE | LOST | FREE) == 0, "completed twice");
        if before & DROPPED == 0 {
            if let Some(waker) = waker {
                waker.wake();
            }
            return;
        }
        drop(waker);
        // SAFETY: DONE and DROPPED: both sides are through, and we were the second, so the cell is
        // ours (D4).
        unsafe { (self.erased().dispose)(self, owner, index, result) };
    }

    /// The kernel side gives up on the operation: its driver is gone and the kernel may hold the
    /// payload for ever. The cell is never used again (D7). Gives the waker of the future, if there is
    /// one: the caller wakes it.
    ///
    /// # Safety
    ///
    /// As for [`complete`](Self::complete), except that no CQE came and none will be looked at.
    unsafe fn lose(&self) -> Option<Waker> {
        let waker = self.claim();
        // Release, Acquire: as in `complete`.
        self.word.fetch_or(LOST, Ordering::AcqRel);
        waker
    }

    /// Takes the waker, if one is in the slot, and keeps the future from putting another there.
    fn claim(&self) -> Option<Waker> {
        // Acquire: pairs with the Release that set WAKER. AcqRel is not needed: nothing is published.
        let before = self.word.fetch_or(CLAIMED, Ordering::Acquire);
        // SAFETY: WAKER was set at the moment of the claim: the slot is full, the future does not
        // write it any more (it sees CLAIMED first), and only this claim moves the value out.
        (before & WAKER != 0).then(|| self.waker.with(|slot| unsafe { (*slot).assume_init_read() }))
    }

    /// Takes the operation out and marks the cell free for its next use. The index has yet to be given
    /// back to a free list; which one it came from (`COMMON` or 0) is told too.
    ///
    /// # Safety
    ///
    /// `DONE` is set, the cell is filled with a `T`, and the caller is the last one in (D4).
    unsafe fn empty<T: crate::Operation>(&self) -> (T, u64) {
        // SAFETY: the caller owns the cell; moved out once, because the cell is free next.
        let operation = self.payload.with(|payload| unsafe { erased::read::<T>(payload) });
        // Relaxed: only the side that frees changes the word now.
        let word = self.word.load(Ordering::Relaxed);
        let generation = word::generation(word);
        // The next generation: from here on a late message for this operation misses (D4).
        // Release: pairs with the Acquire load in `Home::state`.
        self.word.store(word::free(generation.wrapping_add(1)), Ordering::Release);
        (operation, word & COMMON)
    }
}

impl fmt::Debug for OpCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpCell").field("word", &self.word).finish_non_exhaustive()
    }
}
