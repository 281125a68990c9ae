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
use word::{CLAIMED, COMMON, DONE, DROPPED, FREE, LOST, TO_END, WAKER};

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
        let to_end = if T::CANCEL_ON_DROP { 0 } else { TO_END };
        self.word.store(word::filled(key.generation()) | WAKER | list | to_end, Ordering::Release);
        key
    }

    /// The name of the operation that fills the cell at `index`, for who is last in.
    fn key(&self, index: u32) -> Key {
        // Relaxed: only the caller changes the word now.
        Key::new(index, word::generation(self.word.load(Ordering::Relaxed)))
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
    /// or, if that is gone, disposes of the payload and the result (D2). Does nothing if the operation
    /// was lost before. `home` is the cell's; `owner`, its owner, if this is the owner's thread.
    ///
    /// Runs a waker or a destructor (D8: the caller holds no lock and no borrow).
    ///
    /// # Safety
    ///
    /// The final CQE of the operation that fills this cell was reaped (or it was never submitted), and
    /// this is the only call for it. The caller holds a reference to the home.
    unsafe fn complete(&self, home: &Home, owner: Option<&Owner>, index: u32, result: i32) {
        // The owner gave up while a rescuer had the completion in hand: the future knows it as lost.
        let Some(waker) = self.claim() else { return };
        // SAFETY: the claim is ours, and until DONE the result is the claimer's.
        self.result.with_mut(|slot| unsafe { *slot = result });
        // Release: publishes the result and the end of our reading of the waker slot; pairs with the
        // Acquire loads in `Handle::poll` and `Handle::leave`. Acquire: pairs with the DROPPED of
        // `Handle::leave`, whose side is then over with the cell.
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
        unsafe { (self.erased().dispose)(self, home, owner, index, result) };
    }

    /// The owner has not begun the operation, and never will: its future is to do so elsewhere, and is told by
    /// a result that says so. False, and the operation is the owner's as before, if the future has left, or
    /// the owner is giving up. What `wakers` is given is to be woken, for nothing at worst.
    ///
    /// Runs no code of a user's: the caller holds the lock of the inbox, where the submission is.
    ///
    /// # Safety
    ///
    /// The operation that fills this cell was never submitted, and its submission is out of everybody else's
    /// reach until this returns, and for ever if it returns true.
    unsafe fn return_unbegun(&self, wakers: &mut Vec<Waker>) -> bool {
        let Some(waker) = self.claim() else { return false };
        wakers.extend(waker);
        // SAFETY: the claim is ours, and until DONE the result is the claimer's.
        self.result.with_mut(|slot| unsafe { *slot = crate::sys::NOT_BEGUN });
        // Relaxed: the exchange decides.
        let mut word = self.word.load(Ordering::Relaxed);
        while word & DROPPED == 0 {
            // Release: as in `complete`. Acquire is not needed: who was not dropped left nothing.
            match self.word.compare_exchange(
                word,
                word | DONE,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        // Dropped meanwhile: not the future's any more to begin, and perhaps one that runs to its end all the
        // same. Release: pairs with the Acquire of the next claim.
        self.word.fetch_and(!(CLAIMED | WAKER), Ordering::Release);
        false
    }

    /// Back to the owner goes an operation that was returned to its future, which left without beginning it:
    /// by another name, and with nobody to wait for it.
    ///
    /// # Safety
    ///
    /// `DONE` is set, the result says that it was not begun, and the caller is the last one in (D4).
    unsafe fn refill_unheard(&self, index: u32) -> Key {
        // Relaxed: only we change the word now.
        let word = self.word.load(Ordering::Relaxed);
        let generation = word::generation(word).wrapping_add(1);
        let kept = word & (COMMON | TO_END);
        // Release: as in `fill`.
        self.word.store(word::filled(generation) | DROPPED | kept, Ordering::Release);
        Key::new(index, generation)
    }

    /// The kernel side gives up on the operation: its driver is gone and the kernel may hold the
    /// payload for ever. The cell is never used again (D7). Gives the operation's name and the waker of
    /// the future, if there is one: the caller wakes it. None if the operation of this `generation` is
    /// over, or a rescuer is completing it just now.
    ///
    /// # Safety
    ///
    /// As for [`complete`](Self::complete), except that the owner saw no CQE and will look at none.
    unsafe fn lose(&self, generation: u32) -> Option<(&'static str, Option<Waker>)> {
        // Relaxed: the exchange decides.
        let mut word = self.word.load(Ordering::Relaxed);
        let waker = loop {
            if word::generation(word) != generation || word & (CLAIMED | FREE) != 0 {
                return None;
            }
            // Not `claim`, which may find the cell free by now. Acquire: pairs with the Release that
            // set WAKER, and with `fill`, which wrote what the cell holds.
            match self.word.compare_exchange(
                word,
                word | CLAIMED,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => break self.take_claimed(word),
                Err(now) => word = now,
            }
        };
        // SAFETY: the claim is ours, so nobody sets DONE, without which nobody frees the cell.
        let name = unsafe { self.erased().name };
        // Release, Acquire: as in `complete`.
        self.word.fetch_or(LOST, Ordering::AcqRel);
        Some((name, waker))
    }

    /// Takes the right to settle the operation, and with it the waker, if one is in the slot; keeps the
    /// future from putting another there. None if somebody has claimed it before.
    fn claim(&self) -> Option<Option<Waker>> {
        // Acquire: pairs with the Release that set WAKER. AcqRel is not needed: nothing is published.
        let before = self.word.fetch_or(CLAIMED, Ordering::Acquire);
        (before & CLAIMED == 0).then(|| self.take_claimed(before))
    }

    /// The waker, for who just set `CLAIMED`; `before` is the word it was set in.
    fn take_claimed(&self, before: u64) -> Option<Waker> {
        // SAFETY: WAKER was set at the moment of the claim, the first: the slot is full, the future does
        // not write it any more (it sees CLAIMED first), and only this claim moves the value out.
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
