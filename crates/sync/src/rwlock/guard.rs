//! What gives access to the value of a reader-writer lock, and gives the lock back.

use super::{ALL, RwLock};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::Arc;

/// The value of a [`RwLock`], to be read, until this is dropped.
#[must_use = "the lock is given back when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct ReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

/// The value of a [`RwLock`], to be changed, until this is dropped.
#[must_use = "the lock is given back when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct WriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

/// As [`ReadGuard`], with a share in the lock instead of a borrow of it.
#[must_use = "the lock is given back when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct OwnedReadGuard<T: ?Sized> {
    lock: Arc<RwLock<T>>,
}

/// As [`WriteGuard`], with a share in the lock instead of a borrow of it.
#[must_use = "the lock is given back when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct OwnedWriteGuard<T: ?Sized> {
    lock: Arc<RwLock<T>>,
}

impl<'a, T: ?Sized> ReadGuard<'a, T> {
    /// The guard of a lock of which the caller has a permit.
    #[inline(always)]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        Self { lock }
    }

    /// The lock that it is of. Not a method, so that it hides none of the value's.
    pub fn source(guard: &Self) -> &'a RwLock<T> {
        guard.lock
    }
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard has a permit, so nobody writes, and lends the value for no longer
        // than itself.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> Drop for ReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.permits.release(1);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'a, T: ?Sized> WriteGuard<'a, T> {
    /// The guard of a lock of which the caller has all permits.
    #[inline(always)]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        Self { lock }
    }

    /// The lock that it is of. Not a method, so that it hides none of the value's.
    pub fn source(guard: &Self) -> &'a RwLock<T> {
        guard.lock
    }

    /// Goes on reading: others may read too, and nobody can have changed the value in between. Readers that
    /// wait get in, up to the first writer.
    pub fn downgrade(guard: Self) -> ReadGuard<'a, T> {
        // The guard must not give back all.
        let lock = ManuallyDrop::new(guard).lock;
        // Before it is given to others: should a waker panic, this one is given back.
        let reading = ReadGuard::new(lock);
        reading.lock.permits.release(ALL - 1);
        reading
    }
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard has all permits, so nobody else has any, and lends the value for no longer
        // than itself.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes it the only loan.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for WriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.permits.release(ALL);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> OwnedReadGuard<T> {
    /// The guard of a lock of which the caller has a permit.
    #[inline(always)]
    pub(super) fn new(lock: Arc<RwLock<T>>) -> Self {
        Self { lock }
    }

    /// The lock that it is of. Not a method, so that it hides none of the value's.
    pub fn source(guard: &Self) -> &Arc<RwLock<T>> {
        &guard.lock
    }
}

impl<T: ?Sized> Deref for OwnedReadGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard has a permit, so nobody writes, and lends the value for no longer
        // than itself.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> Drop for OwnedReadGuard<T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.permits.release(1);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> OwnedWriteGuard<T> {
    /// The guard of a lock of which the caller has all permits.
    #[inline(always)]
    pub(super) fn new(lock: Arc<RwLock<T>>) -> Self {
        Self { lock }
    }

    /// The lock that it is of. Not a method, so that it hides none of the value's.
    pub fn source(guard: &Self) -> &Arc<RwLock<T>> {
        &guard.lock
    }

    /// Goes on reading: others may read too, and nobody can have changed the value in between. Readers that
    /// wait get in, up to the first writer.
    pub fn downgrade(guard: Self) -> OwnedReadGuard<T> {
        // The guard must not give back all.
        let guard = ManuallyDrop::new(guard);
        // SAFETY: the guard is not dropped, so its share is ours to move out, once.
        let lock = unsafe { ptr::read(&guard.lock) };
        // Before it is given to others: should a waker panic, this one is given back.
        let reading = OwnedReadGuard::new(lock);
        reading.lock.permits.release(ALL - 1);
        reading
    }
}

impl<T: ?Sized> Deref for OwnedWriteGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard has all permits, so nobody else has any, and lends the value for no longer
        // than itself.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for OwnedWriteGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes it the only loan.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for OwnedWriteGuard<T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.permits.release(ALL);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
