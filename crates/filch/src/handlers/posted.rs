//! What a signal's handler may read while somebody puts something else in its place.

use filch_atomic::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use filch_atomic::thread;
use std::ptr;

/// So often somebody who waits for handlers only lets others run. Then it sleeps in between: a handler's thread may have a
/// lower priority than the one that waits.
#[cfg(not(filch_loom))]
const YIELDS: u32 = 100;

/// Something that handlers read, or nothing. It does not change: who changes it puts another in its place.
///
/// The protocol is told in the module's documentation.
#[derive(Debug)]
pub(crate) struct Posted<T> {
    value: AtomicPtr<T>,
    /// How many read.
    inside: AtomicUsize,
}

impl<T> Posted<T> {
    /// Nothing.
    #[cfg(not(filch_loom))]
    pub(crate) const fn nothing() -> Self {
        Self { value: AtomicPtr::new(ptr::null_mut()), inside: AtomicUsize::new(0) }
    }

    /// Nothing.
    #[cfg(filch_loom)]
    pub(crate) fn nothing() -> Self {
        Self { value: AtomicPtr::new(ptr::null_mut()), inside: AtomicUsize::new(0) }
    }
}

impl<T: Send + Sync> Posted<T> {
    /// Looks at it: in a handler too. Takes no lock and no memory, and waits for nobody.
    ///
    /// # Deadlocks
    ///
    /// A [`replace`](Self::replace) within `look` waits for itself.
    pub(crate) fn read<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        // Acquire: pairs with the Release of the look in `replace`: who comes after that finds what it has put there.
        self.inside.fetch_add(1, Ordering::Acquire);
        let inside = Inside(&self.inside);
        // Acquire: pairs with the Release of the swap in `replace`.
        let value = self.value.load(Ordering::Acquire);
        // SAFETY: from a box, and not freed while this reader is counted (`replace`).
        let seen = look(unsafe { value.as_ref() });
        drop(inside);
        seen
    }

    /// Puts that in its place; gives what was there, which nobody reads any more. Waits for those who do.
    pub(crate) fn replace(&self, new: Option<Box<T>>) -> Option<Box<T>> {
        let new = new.map_or(ptr::null_mut(), Box::into_raw);
        // AcqRel: pairs with the load in `read`, which finds the new one, and with the swap before, which made the old.
        let old = self.value.swap(new, Ordering::AcqRel);
        let mut tries = 0;
        // A change of the count, though it adds nothing: so it is before or after each of the readers' own, and whoever
        // comes after it has seen the swap.
        // AcqRel: pairs with the Acquire in `read`, and with the Release in `Inside`.
        while self.inside.fetch_add(0, Ordering::AcqRel) != 0 {
            let_others_run(&mut tries);
        }
        // SAFETY: from `Box::into_raw` above, taken out once, and nobody reads it any more.
        (!old.is_null()).then(|| unsafe { Box::from_raw(old) })
    }
}

impl<T> Drop for Posted<T> {
    fn drop(&mut self) {
        // Relaxed: nobody else has it.
        let last = self.value.load(Ordering::Relaxed);
        if !last.is_null() {
            // SAFETY: from `Box::into_raw` in `replace`, and nobody else has it.
            drop(unsafe { Box::from_raw(last) });
        }
    }
}

/// One who reads.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // Release: pairs with the look in `replace`: what was read was read before it is freed.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(not(filch_loom))]
fn let_others_run(tries: &mut u32) {
    *tries = tries.saturating_add(1);
    if *tries < YIELDS {
        thread::yield_now();
    } else {
        std::thread::sleep(std::time::Duration::from_micros(50));
    }
}

#[cfg(filch_loom)]
fn let_others_run(_tries: &mut u32) {
    thread::yield_now();
}
