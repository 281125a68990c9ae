//! What gives access to the value of a lock, and gives the lock back.

use super::Lock;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The value of a [`Lock`], until this is dropped.
#[must_use = "the lock is given back when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct Guard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
}

/// As [`Guard`], with a share in the lock instead of a borrow of it.
#[must_use = "the lock is given back when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct OwnedGuard<T: ?Sized> {
    lock: Arc<Lock<T>>,
}

// SAFETY: a shared guard lends `&T`, and (`source`) the lock, for longer than itself: from there another thread
// may take the value later, which takes `T: Send`.
unsafe impl<T: ?Sized + Send + Sync> Sync for Guard<'_, T> {}
// SAFETY: likewise, with a share in the lock.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedGuard<T> {}

impl<'a, T: ?Sized> Guard<'a, T> {
    /// The guard of a lock whose permit the caller has.
    #[inline(always)]
    pub(super) fn new(lock: &'a Lock<T>) -> Self {
        Self { lock }
    }

    /// The lock that it is of. Not a method, so that it hides none of the value's.
    #[doc(alias = "mutex")]
    pub fn source(guard: &Self) -> &'a Lock<T> {
        guard.lock
    }
}

impl<T: ?Sized> OwnedGuard<T> {
    /// The guard of a lock whose permit the caller has.
    #[inline(always)]
    pub(super) fn new(lock: Arc<Lock<T>>) -> Self {
        Self { lock }
    }

    /// The lock that it is of. Not a method, so that it hides none of the value's.
    #[doc(alias = "mutex")]
    pub fn source(guard: &Self) -> &Arc<Lock<T>> {
        &guard.lock
    }
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard has the only permit, and lends the value for no longer than itself.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes it the only loan.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.permits.release(1);
    }
}

impl<T: ?Sized> Deref for OwnedGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard has the only permit, and lends the value for no longer than itself.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for OwnedGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes it the only loan.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for OwnedGuard<T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.permits.release(1);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for OwnedGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
