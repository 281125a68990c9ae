//! The slot: one place per worker for the task that was just woken.

use crate::task::{Header, Task};
use filch_atomic::sync::atomic::{AtomicPtr, Ordering};
use std::fmt;
use std::ptr::{self, NonNull};

/// Holds the task that the running one has just woken or spawned, so that it runs next, while what the
/// two share is still in the cache.
///
/// # Protocol
///
/// Only the owner fills the slot; the owner and any thief may empty it (S1). So an owner that reads it
/// *empty* may fill it with a plain store: nobody else can have filled it meanwhile. An owner that
/// reads it full, and everybody who empties it, uses one read-modify-write, and whoever gets the
/// pointer out of it owns the task: no two can.
///
/// A thief takes from a slot only what it has seen there at two looks some time apart
/// ([`look`](Self::look), [`steal`](Self::steal)): a task that its waker will reach in the next
/// microsecond is better left to it. The same task may have come back in between; then the thief takes
/// a younger one than it thought, and nothing else is wrong.
///
/// Filling it wakes nobody. The owner runs it at the end of the poll that filled it.
#[derive(Default)]
pub struct Slot {
    task: AtomicPtr<Header>,
}

impl Slot {
    /// An empty slot.
    pub fn new() -> Self {
        Self { task: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Puts `task` into the slot and returns the one that it displaces. For the owner alone.
    #[inline]
    pub fn put(&self, task: Task) -> Option<Task> {
        let task = task.into_raw().as_ptr();
        // Relaxed: a hint; only the owner makes it other than null.
        if self.task.load(Ordering::Relaxed).is_null() {
            // Release: pairs with the Acquire of `take` and `steal`.
            self.task.store(task, Ordering::Release);
            return None;
        }
        // AcqRel: as the store above, and as `take` for what comes out.
        Self::own(self.task.swap(task, Ordering::AcqRel))
    }

    /// Takes the task out. For the owner, who mostly finds the slot empty: then it costs one load.
    #[inline]
    pub fn take(&self) -> Option<Task> {
        // Relaxed: only the owner fills the slot, so it cannot miss a task here.
        if self.task.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // Acquire: pairs with the Release of `put`.
        Self::own(self.task.swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// What a thief sees in it: to be compared with a later look, never followed.
    pub fn look(&self) -> Look {
        // Relaxed: only compared.
        Look(self.task.load(Ordering::Relaxed))
    }

    /// Takes the task out if the slot still holds what `seen` saw. For thieves.
    pub fn steal(&self, seen: Look) -> Option<Task> {
        if seen.0.is_null() {
            return None;
        }
        // Acquire: pairs with the Release of `put`. Relaxed on failure: nothing was taken.
        match self.task.compare_exchange(
            seen.0,
            ptr::null_mut(),
            Ordering::Acquire,
            Ordering::Relaxed,
        ) {
            Ok(task) => Self::own(task),
            Err(_) => None,
        }
    }

    fn own(task: *mut Header) -> Option<Task> {
        // SAFETY: every pointer in the slot came from `Task::into_raw` in `put`, and the
        // read-modify-write that brought it here took it out, so it becomes a task once (S1).
        NonNull::new(task).map(|task| unsafe { Task::from_raw(task) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.look()).finish()
    }
}

/// What was in a slot at one look. An address to compare, not a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look(*mut Header);

impl Look {
    /// A look at an empty slot.
    pub const EMPTY: Self = Self(ptr::null_mut());
}
