//! What the two ends of a promise share.

use filch_atomic::cell::UnsafeCell;
use filch_atomic::sync::atomic::{AtomicU8, Ordering};
use std::mem::MaybeUninit;
use std::panic::Location;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

use crate::wait_list::wake;

/// The setter has fulfilled the promise or abandoned it, and does neither again.
pub(super) const DONE: u8 = 1;
/// The value is in its slot.
pub(super) const VALUE: u8 = 1 << 1;
/// The promise was dropped: nobody takes a value any more.
pub(super) const CLOSED: u8 = 1 << 2;
/// The promise's waker is in its slot, for whoever clears this.
const PROMISE_WAITS: u8 = 1 << 3;
/// The setter's waker is in its slot, for whoever clears this.
const SETTER_WAITS: u8 = 1 << 4;
/// The setter does not touch the cell again.
const SETTER_LEFT: u8 = 1 << 5;
/// The promise does not touch the cell again.
const PROMISE_LEFT: u8 = 1 << 6;

const WAITS: u8 = PROMISE_WAITS | SETTER_WAITS;

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Who gives the value.
    Setter,
    /// Who gets it.
    Promise,
}

impl End {
    /// What it says when it ends, and the other end waits for.
    const fn says(self) -> u8 {
        match self {
            Self::Setter => DONE,
            Self::Promise => CLOSED,
        }
    }

    const fn waits(self) -> u8 {
        match self {
            Self::Setter => SETTER_WAITS,
            Self::Promise => PROMISE_WAITS,
        }
    }

    const fn left(self) -> u8 {
        match self {
            Self::Setter => SETTER_LEFT,
            Self::Promise => PROMISE_LEFT,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Setter => Self::Promise,
            Self::Promise => Self::Setter,
        }
    }
}

/// Reached by both ends through a pointer, and freed by the one that leaves last.
pub(super) struct Cell<T> {
    /// Where it was made. Here, so that an end is a word and cheap to move.
    pub(super) made: &'static Location<'static>,
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
    promise_waker: UnsafeCell<MaybeUninit<Waker>>,
    setter_waker: UnsafeCell<MaybeUninit<Waker>>,
}

impl<T> Cell<T> {
    /// A cell for two ends, neither of which has done anything.
    pub(super) fn allocate(made: &'static Location<'static>) -> NonNull<Self> {
        NonNull::from(Box::leak(Box::new(Self {
            made,
            state: AtomicU8::new(0),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            promise_waker: UnsafeCell::new(MaybeUninit::uninit()),
            setter_waker: UnsafeCell::new(MaybeUninit::uninit()),
        })))
    }

    pub(super) fn state(&self) -> u8 {
        // Acquire: pairs with the Release of `end`: what the other end did before it is seen.
        self.state.load(Ordering::Acquire)
    }

    fn waker(&self, end: End) -> &UnsafeCell<MaybeUninit<Waker>> {
        match end {
            End::Setter => &self.setter_waker,
            End::Promise => &self.promise_waker,
        }
    }

    /// Puts the value into its slot, where nobody sees it before it is announced.
    ///
    /// # Safety
    ///
    /// The caller is the setter, and has not ended.
    pub(super) unsafe fn write(&self, value: T) {
        // SAFETY: until `VALUE` is announced the slot is the setter's.
        self.value.with_mut(|slot| unsafe { (*slot).write(value) });
    }

    /// Takes the value out of its slot.
    ///
    /// # Safety
    ///
    /// It is there, and the caller's: a setter's that was refused, or a promise's that has seen `VALUE`. It
    /// is taken once.
    pub(super) unsafe fn read(&self) -> T {
        // SAFETY: as the caller promises.
        self.value.with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }

    /// Takes an end's waker out of its slot.
    ///
    /// # Safety
    ///
    /// The caller cleared that end's "waits", or is the only one left.
    unsafe fn take_waker(&self, end: End) -> Waker {
        // SAFETY: as the caller promises, the waker is there, and the caller's. (`with`, for it is not written:
        // its end may look at it, in `poll_end`.)
        self.waker(end).with(|slot| unsafe { (*slot).assume_init_read() })
    }

    /// Waits until the other end has said that it ends. Gives the state that says so.
    ///
    /// # Safety
    ///
    /// The caller is `me`, and has not ended.
    pub(super) unsafe fn poll_end(&self, me: End, cx: &mut Context<'_>) -> Poll<u8> {
        let mut waker = None;
        let mut state = self.state();
        while state & me.other().says() == 0 {
            if state & me.waits() != 0 {
                // SAFETY: we wrote the waker, and only we write there. The other end may take it meanwhile,
                // which is to read it, and we only compare its two words. It was live when we saw the bit,
                // as is ours, so if they are equal they are the same.
                let is_known = self
                    .waker(me)
                    .with(|slot| unsafe { (*slot).assume_init_ref().will_wake(cx.waker()) });
                if is_known {
                    return Poll::Pending;
                }
                // SAFETY: as the caller promises.
                let Some(old) = (unsafe { self.withdraw(me) }) else {
                    state = self.state();
                    continue;
                };
                waker = waker.or(Some(old));
                state &= !me.waits();
            }
            let new = match waker.take() {
                // What is left of the turn before, if the other end did something in between.
                Some(old) if old.will_wake(cx.waker()) => old,
                _ => cx.waker().clone(),
            };
            // SAFETY: we wait no more, so the slot is ours until we say that we do.
            self.waker(me).with_mut(|slot| unsafe { (*slot).write(new) });
            // Release: pairs with the Acquire in `end` of the other: it gets the waker. Acquire: with its
            // Release, as in `state`.
            let said = self.state.compare_exchange(
                state,
                state | me.waits(),
                Ordering::Release,
                Ordering::Acquire,
            );
            match said {
                Ok(_) => return Poll::Pending,
                Err(now) => state = now,
            }
            // SAFETY: we did not come to say that we wait, so the slot is still ours.
            waker = Some(unsafe { self.take_waker(me) });
        }
        Poll::Ready(state)
    }

    /// Takes back the waker of an end that waits; none if the other end has it.
    ///
    /// # Safety
    ///
    /// The caller is `me`, and has not ended.
    pub(super) unsafe fn withdraw(&self, me: End) -> Option<Waker> {
        // Relaxed: only we set the bit. If the other end has cleared it, there is nothing to take.
        if self.state.load(Ordering::Relaxed) & me.waits() == 0 {
            return None;
        }
        // Relaxed: the slot was last written by us, and is ours again if the bit was still there. What
        // the other end says besides is looked at with Acquire, by `state`.
        let before = self.state.fetch_and(!me.waits(), Ordering::Relaxed);
        // SAFETY: we cleared it.
        (before & me.waits() != 0).then(|| unsafe { self.take_waker(me) })
    }
}

/// Ends `me`: says so, and `more`; wakes the other end if it waits; frees the cell if that has left.
/// Unless the other end has said one of `unless`: then it does nothing, and is false.
///
/// # Safety
///
/// The caller is `me`, and has not ended. When this is true, it does not touch the cell again.
pub(super) unsafe fn end<T>(cell: NonNull<Cell<T>>, me: End, more: u8, unless: u8) -> bool {
    // SAFETY: the cell is there until both ends have left.
    let this = unsafe { cell.as_ref() };
    let mut state = this.state();
    loop {
        if state & unless != 0 {
            return false;
        }
        if state & me.other().left() != 0 {
            // SAFETY: the other end has left, and so do we.
            unsafe { free(cell, state | more) };
            return true;
        }
        // With nobody's waker to see to, one step says all, and the cell is the other end's.
        let leaves = if state & WAITS == 0 { me.left() } else { 0 };
        let next = state & !WAITS | me.says() | more | leaves;
        // Release: pairs with the Acquire in `state`: value and all. Acquire: with the Release in
        // `poll_end`, whose waker we may have, and with the other `end`, as in `state`.
        match this.state.compare_exchange(state, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) if leaves != 0 => return true,
            Ok(_) => break,
            Err(now) => state = now,
        }
    }
    // SAFETY: we cleared the bit.
    let mine = (state & me.waits() != 0).then(|| unsafe { this.take_waker(me) });
    let other = me.other();
    // SAFETY: likewise.
    let others = (state & other.waits() != 0).then(|| unsafe { this.take_waker(other) });
    // SAFETY: we have ended, and touch the cell no more.
    unsafe { leave(cell, me, 0) };
    // After all else: wakers are foreign code (D8).
    if let Some(others) = others {
        wake(others);
    }
    drop(mine);
    true
}

/// Leaves the cell, and frees it if the other end has left. `taken` is `VALUE` if that was taken.
///
/// # Safety
///
/// The caller is `me`, has ended or seen the other end do so, and does not touch the cell again.
unsafe fn leave<T>(cell: NonNull<Cell<T>>, me: End, taken: u8) {
    // SAFETY: the cell is there until both ends have left.
    let state = &unsafe { cell.as_ref() }.state;
    // Flips bits whose present values are known: ours is not set, and a value that was taken was there. By an
    // addition, for which processors have an instruction that gives the old value.
    // Release: pairs with the Acquire of whoever frees the cell, here or in `end`: we touched it before.
    // Acquire: the same, the other way round.
    let before = state.fetch_add(me.left().wrapping_sub(taken), Ordering::AcqRel);
    if before & me.other().left() != 0 {
        // SAFETY: the other end has left, and so do we.
        unsafe { free(cell, before & !taken) };
    }
}

/// Takes what the setter left, a value or nothing, and leaves as the promise. `state` says `DONE`.
///
/// # Safety
///
/// The caller is the promise, which has not ended, and does not touch the cell again.
pub(super) unsafe fn take<T>(cell: NonNull<Cell<T>>, state: u8) -> Option<T> {
    let taken = state & VALUE;
    // SAFETY: the setter announced the value, and it is taken once, for the promise leaves.
    let value = (taken != 0).then(|| unsafe { cell.as_ref().read() });
    if state & SETTER_LEFT != 0 {
        // SAFETY: the setter has left, and so do we.
        unsafe { free(cell, state & !VALUE) };
    } else {
        // SAFETY: the setter has ended, so it has no use for our waker, nor its own for us.
        unsafe { leave(cell, End::Promise, taken) };
    }
    value
}

/// Frees the cell, and what `state` says is in it.
///
/// # Safety
///
/// Both ends have left.
unsafe fn free<T>(cell: NonNull<Cell<T>>, state: u8) {
    // SAFETY: it came out of a box, and nobody else has it. The box frees the memory even if a
    // destructor below panics.
    let cell = unsafe { Box::from_raw(cell.as_ptr()) };
    debug_assert!(state & WAITS == 0, "who ends takes the wakers");
    for end in [End::Setter, End::Promise] {
        // Nothing is in it. A model checker learns that the memory goes, and that nobody is at it.
        cell.waker(end).with_mut(|_| ());
    }
    if state & VALUE != 0 {
        // SAFETY: it is there, and nobody else takes it.
        drop(unsafe { cell.read() });
    }
}
