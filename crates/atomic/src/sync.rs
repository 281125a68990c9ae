//! Atomics, locks and reference counts: the real ones, or a model checker's.

/// Atomic types and fences.
pub mod atomic {
    #[cfg(filch_loom)]
    pub use loom::sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
    #[cfg(filch_shuttle)]
    pub use shuttle::sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
    #[cfg(not(any(filch_loom, filch_shuttle)))]
    pub use std::sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
}

#[cfg(filch_loom)]
pub use loom::sync::Arc;
#[cfg(filch_shuttle)]
pub use shuttle::sync::Arc;
#[cfg(not(any(filch_loom, filch_shuttle)))]
pub use std::sync::Arc;

#[cfg(any(filch_loom, filch_shuttle))]
pub use crate::model::lock::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
#[cfg(not(any(filch_loom, filch_shuttle)))]
pub use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// `parking_lot`'s condition variable, cut down to what a model checker can stand in for.
#[cfg(not(any(filch_loom, filch_shuttle)))]
#[derive(Debug, Default)]
pub struct Condvar(parking_lot::Condvar);

#[cfg(not(any(filch_loom, filch_shuttle)))]
impl Condvar {
    /// A condition variable nobody waits on.
    pub const fn new() -> Self {
        Self(parking_lot::Condvar::new())
    }

    /// Releases the lock, sleeps until notified (or for no reason), takes the lock again.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.0.wait(guard);
    }

    /// As [`wait`](Self::wait), for at most `timeout`. True if the time ran out. A model has no time:
    /// there it never does.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: std::time::Duration) -> bool {
        self.0.wait_for(guard, timeout).timed_out()
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes every waiter.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
