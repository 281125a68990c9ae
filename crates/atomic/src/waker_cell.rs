//! A place for one waker, between one task that registers it and anybody who takes it.

use crate::cell::UnsafeCell;
use crate::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;
use std::{fmt, mem};

/// Nobody is at the cell. The waker in it, if any, may be taken or replaced.
const IDLE: u8 = 0;
/// The task is writing its waker. Whoever wants to take it must leave word instead.
const REGISTERING: u8 = 0b01;
/// A wake has come: somebody is taking the waker, or left word while the task was registering.
const WAKING: u8 = 0b10;

/// Holds the waker of the one task that waits for something.
///
/// The waiting side calls [`register`](Self::register) and *then* looks whether what it waits for has
/// happened; the other side makes it happen and *then* calls [`wake`](Self::wake) or
/// [`take`](Self::take).
///
/// # Protocol
///
/// | state | who may touch the waker |
/// |---|---|
/// | `IDLE` | whoever moves the state first |
/// | `REGISTERING` | the registering task |
/// | `WAKING` | the waking thread |
/// | `REGISTERING \| WAKING` | the registering task, which then owes a wake |
///
/// *Why no wake is lost.* A waker that finds `IDLE` takes what is there; both sides move the state by
/// read-modify-writes on one word, so if that came before the registration, the registering task's
/// Acquire sees what the waker made happen before it, and the task finds it when it looks. A waker that
/// finds `REGISTERING` leaves `WAKING` behind, and the registering task, which cannot leave
/// `REGISTERING` without seeing it, wakes the task at once. A task that finds `WAKING` wakes itself:
/// its old waker is just being taken, and the new one is not in the cell.
///
/// Only one task registers at a time (the future is polled under `&mut`); any number of threads wake.
pub struct WakerCell {
    state: AtomicU8,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the state word gives the waker to one thread at a time (the table above), and `Waker` is Send.
unsafe impl Send for WakerCell {}
// SAFETY: as above: shared access goes through the state word.
unsafe impl Sync for WakerCell {}

impl WakerCell {
    /// An empty cell.
    #[cfg(not(any(filch_loom, filch_shuttle)))]
    pub const fn new() -> Self {
        Self { state: AtomicU8::new(IDLE), waker: UnsafeCell::new(None) }
    }

    /// An empty cell.
    #[cfg(any(filch_loom, filch_shuttle))]
    pub fn new() -> Self {
        Self { state: AtomicU8::new(IDLE), waker: UnsafeCell::new(None) }
    }

    /// Puts a waker into a cell that nobody else can see yet. Costs no atomic operation.
    pub fn set_exclusive(&mut self, waker: Waker) {
        // SAFETY: `&mut self`: no other thread holds the cell, whatever its state says.
        let old = self.waker.with_mut(|slot| unsafe { (*slot).replace(waker) });
        drop(old);
    }

    /// Sees to it that `waker` is woken by the next [`wake`](Self::wake). If a wake is under way just
    /// now, wakes it at once. The caller looks for what it waits for *after* this.
    pub fn register(&self, waker: &Waker) {
        // Acquire: pairs with the Release of the last `take`, whose write to the slot we follow, and
        // brings what that wake announced to the look that comes after us.
        match self.state.compare_exchange(IDLE, REGISTERING, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => self.register_locked(waker),
            // A wake is under way: its thread has the slot. What it announces came before it.
            Err(WAKING) => waker.wake_by_ref(),
            Err(state) => {
                debug_assert!(
                    state & REGISTERING != 0,
                    "only IDLE, WAKING and REGISTERING states exist"
                );
                // Two tasks register at once, against the contract. Waking is always allowed.
                waker.wake_by_ref();
            }
        }
    }

    /// The half of `register` that owns the slot.
    fn register_locked(&self, waker: &Waker) {
        // Should the clone panic, the cell must not stay closed: a wake that came is passed on to the
        // waker that is still in it.
        let unwinding = Reopen(self);
        // SAFETY: the state is REGISTERING and we set it: the slot is ours until we leave it.
        let old = self.waker.with_mut(|slot| unsafe {
            match &*slot {
                Some(old) if old.will_wake(waker) => None,
                _ => (*slot).replace(waker.clone()),
            }
        });
        mem::forget(unwinding);
        // AcqRel: Release gives the new waker to the next `take`; Acquire brings what a wake that came
        // meanwhile announced.
        let left =
            self.state.compare_exchange(REGISTERING, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if left.is_err() {
            // A wake came while we were at it and left the slot to us: it is ours to deliver.
            // SAFETY: REGISTERING is still set, by us.
            let mine = self.waker.with_mut(|slot| unsafe { (*slot).take() });
            // AcqRel: pairs with the AcqRel of `take` on both sides, as above. Nobody else moves the
            // state while both bits are set.
            self.state.swap(IDLE, Ordering::AcqRel);
            if let Some(mine) = mine {
                mine.wake();
            }
        }
        drop(old);
    }

    /// Takes the waker out, if there is one and nobody else is at it. A task that is registering at
    /// this moment is woken by its own registration.
    pub fn take(&self) -> Option<Waker> {
        // AcqRel: Acquire pairs with the Release of `register` (the waker we read); Release gives what
        // we announce to a `register` that finds our mark.
        match self.state.fetch_or(WAKING, Ordering::AcqRel) {
            IDLE => {
                // SAFETY: the state went from IDLE to WAKING by us: the slot is ours until we leave it.
                let waker = self.waker.with_mut(|slot| unsafe { (*slot).take() });
                // Release: pairs with the Acquire of the next `register` or `take`.
                self.state.fetch_and(!WAKING, Ordering::Release);
                waker
            }
            // Another wake, or a registration, has the slot. The latter sees our mark.
            _ => None,
        }
    }

    /// Wakes the registered task, if there is one.
    pub fn wake(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }
}

/// Ends a registration that did not come to its end.
struct Reopen<'a>(&'a WakerCell);

impl Drop for Reopen<'_> {
    fn drop(&mut self) {
        // SAFETY: REGISTERING is still set, by this thread.
        let old = self.0.waker.with_mut(|slot| unsafe { (*slot).take() });
        // AcqRel: pairs with `take`, as in `register_locked`.
        if self.0.state.swap(IDLE, Ordering::AcqRel) & WAKING != 0
            && let Some(old) = old
        {
            old.wake();
        }
    }
}

impl Default for WakerCell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WakerCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakerCell").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::WakerCell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn wakes_the_last_registered_once() {
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let cell = WakerCell::new();
        cell.wake();
        cell.register(&Waker::from(first.clone()));
        cell.register(&Waker::from(second.clone()));
        cell.wake();
        cell.wake();
        assert_eq!(first.0.load(Ordering::Relaxed), 0);
        assert_eq!(second.0.load(Ordering::Relaxed), 1);
        assert!(cell.take().is_none());
    }

    #[test]
    fn an_unshared_cell_is_filled_without_a_handshake() {
        let count = Arc::new(Count::default());
        let mut cell = WakerCell::default();
        cell.set_exclusive(Waker::from(count.clone()));
        cell.take().expect("it was put there").wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(Arc::strong_count(&count), 1, "nothing keeps the waker");
    }

    #[test]
    fn a_waker_that_cannot_be_cloned_leaves_the_cell_usable() {
        use std::task::{RawWaker, RawWakerVTable};
        static TABLE: RawWakerVTable =
            RawWakerVTable::new(|_| panic!("no clone"), |_| {}, |_| {}, |_| {});
        // SAFETY: none of its functions looks at the pointer.
        let broken = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) };
        let cell = WakerCell::new();
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cell.register(&broken)));
        assert!(outcome.is_err());
        let count = Arc::new(Count::default());
        cell.register(&Waker::from(count.clone()));
        cell.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
