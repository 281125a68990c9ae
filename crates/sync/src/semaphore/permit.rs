//! Permits that give themselves back.

#[cfg(doc)]
use super::BoundedSemaphore;
use super::Semaphore;
use std::sync::Arc;
use std::{mem, ptr};

/// Permits of a [`Semaphore`], given back when this is dropped.
#[must_use = "the permits are given back when this is dropped"]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

/// As [`Permit`], with a share in the semaphore instead of a borrow of it.
#[must_use = "the permits are given back when this is dropped"]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    permits: usize,
}

impl<'a> Permit<'a> {
    /// So many permits, which the caller has.
    #[inline(always)]
    pub(super) fn new(semaphore: &'a Semaphore, permits: usize) -> Self {
        Self { semaphore, permits }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.permits
    }

    /// Does not give them back. [`Semaphore::add_permits`] or [`BoundedSemaphore::release`] may do so later,
    /// anywhere: for permits that are taken in one place and given back in another.
    pub fn forget(mut self) {
        self.semaphore.note_forgotten(mem::take(&mut self.permits));
    }

    /// Parts with so many of them, if there are as many.
    pub fn split(&mut self, permits: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(permits)?;
        Some(Self::new(self.semaphore, permits))
    }

    /// Adds those of another to these.
    ///
    /// # Panics
    ///
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(ptr::eq(self.semaphore, other.semaphore), "permits of another semaphore");
        self.permits += mem::take(&mut other.permits);
    }
}

impl OwnedPermit {
    /// So many permits, which the caller has.
    #[inline(always)]
    pub(super) fn new(semaphore: Arc<Semaphore>, permits: usize) -> Self {
        Self { semaphore, permits }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.permits
    }

    /// Does not give them back. [`Semaphore::add_permits`] or [`BoundedSemaphore::release`] may do so later,
    /// anywhere: for permits that are taken in one place and given back in another.
    pub fn forget(mut self) {
        self.semaphore.note_forgotten(mem::take(&mut self.permits));
    }

    /// Parts with so many of them, if there are as many.
    pub fn split(&mut self, permits: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(permits)?;
        Some(Self::new(self.semaphore.clone(), permits))
    }

    /// Adds those of another to these.
    ///
    /// # Panics
    ///
    /// If they are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(Arc::ptr_eq(&self.semaphore, &other.semaphore), "permits of another semaphore");
        self.permits += mem::take(&mut other.permits);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.permits.release(self.permits);
        }
    }
}

impl Drop for OwnedPermit {
    #[inline]
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.permits.release(self.permits);
        }
    }
}
