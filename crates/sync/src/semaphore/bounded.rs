//! A semaphore that never has more permits than at first.

use super::{AcquirePermits, AcquirePermitsOwned, OwnedPermit, Permit, Semaphore};
use crate::blocking::block_on;
use crate::permits::{Closed, TryAcquireError};
use filch_atomic::sync::atomic::Ordering;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A [`Semaphore`] that knows how many permits it began with, and refuses to be given more.
///
/// ```
/// use filch_sync::{BoundedSemaphore, OverRelease};
///
/// # pollster::block_on(async {
/// let pool = BoundedSemaphore::new(2);
/// // Taken here and given back elsewhere, by hand.
/// pool.acquire().await?.forget();
/// assert_eq!(pool.release(1), Ok(()));
/// assert_eq!(pool.release(1), Err(OverRelease), "once too often");
/// // A permit that gives itself back cannot be given back twice.
/// let permit = pool.acquire().await?;
/// assert_eq!(pool.release(1), Err(OverRelease));
/// drop(permit);
/// assert_eq!(pool.available_permits(), 2);
/// # Ok::<_, filch_sync::Closed>(())
/// # }).unwrap();
/// ```
///
/// Fairness, cost and hazards are those of [`Semaphore`].
#[doc(alias = "asyncio.BoundedSemaphore")]
#[derive(Debug)]
pub struct BoundedSemaphore {
    semaphore: Arc<Semaphore>,
    bound: usize,
}

/// More permits were to be given back than had been taken and [forgotten](Permit::forget).
#[doc(alias = "ValueError")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverRelease;

impl fmt::Display for OverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bounded semaphore was released too often")
    }
}

impl Error for OverRelease {}

impl BoundedSemaphore {
    /// A semaphore with so many permits, all free, and never more.
    ///
    /// # Panics
    ///
    /// If these are more than [`Semaphore::MAX_PERMITS`].
    pub fn new(permits: usize) -> Self {
        Self { semaphore: Arc::new(Semaphore::new(permits)), bound: permits }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// [`Closed`], if the semaphore is closed, or is while this waits.
    ///
    /// # Cancel safety
    ///
    /// As for [`Semaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> AcquirePermits<'_> {
        self.semaphore.acquire()
    }

    /// Waits for so many permits, and takes them at once.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// If these are more than there will ever be.
    ///
    /// # Cancel safety
    ///
    /// As for [`Semaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, permits: usize) -> AcquirePermits<'_> {
        assert!(permits <= self.bound, "this semaphore never has so many permits");
        self.semaphore.acquire_many(permits)
    }

    /// As [`acquire`](Self::acquire), with a permit that shares the semaphore instead of borrowing it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// As for [`Semaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire_owned(&self) -> AcquirePermitsOwned {
        self.semaphore.clone().acquire_owned()
    }

    /// As [`acquire_many`](Self::acquire_many), with permits that share the semaphore.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// # Cancel safety
    ///
    /// As for [`Semaphore::acquire`].
    #[inline]
    #[track_caller]
    pub fn acquire_many_owned(&self, permits: usize) -> AcquirePermitsOwned {
        assert!(permits <= self.bound, "this semaphore never has so many permits");
        self.semaphore.clone().acquire_many_owned(permits)
    }

    /// As [`Semaphore::blocking_acquire`].
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`Semaphore::blocking_acquire`].
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<Permit<'_>, Closed> {
        self.semaphore.blocking_acquire()
    }

    /// As [`Semaphore::blocking_acquire_many`].
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire_many`](Self::acquire_many) and [`Semaphore::blocking_acquire`].
    #[track_caller]
    pub fn blocking_acquire_many(&self, permits: usize) -> Result<Permit<'_>, Closed> {
        block_on(self.acquire_many(permits))
    }

    /// Takes a permit, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`], which tells whether the semaphore is closed.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.semaphore.try_acquire()
    }

    /// Takes so many permits, if they are free and nobody waits.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many(&self, permits: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.semaphore.try_acquire_many(permits)
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that shares the semaphore.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, TryAcquireError> {
        self.semaphore.clone().try_acquire_owned()
    }

    /// Gives back so many permits that were taken and [forgotten](Permit::forget). Those who wait get them
    /// first, in order.
    ///
    /// # Errors
    ///
    /// [`OverRelease`], if fewer were forgotten: then there would be more permits than at first, as soon as all
    /// that are in use are given back. Nothing is given back then.
    #[doc(alias = "add_permits")]
    pub fn release(&self, permits: usize) -> Result<(), OverRelease> {
        let forgotten = &self.semaphore.forgotten;
        // Relaxed, all: a count; pairs with `Semaphore::note_forgotten`, and orders nothing.
        let mut count = forgotten.load(Ordering::Relaxed);
        loop {
            let rest = count.checked_sub(permits).ok_or(OverRelease)?;
            match forgotten.compare_exchange_weak(count, rest, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => count = now,
            }
        }
        self.semaphore.add_permits(permits);
        Ok(())
    }

    /// How many permits there are, free, in use and forgotten.
    pub fn bound(&self) -> usize {
        self.bound
    }

    /// As [`Semaphore::close`].
    pub fn close(&self) {
        self.semaphore.close();
    }

    /// Whether it was [closed](Self::close).
    pub fn is_closed(&self) -> bool {
        self.semaphore.is_closed()
    }

    /// As [`Semaphore::available_permits`].
    #[doc(alias = "value")]
    pub fn available_permits(&self) -> usize {
        self.semaphore.available_permits()
    }

    /// As [`Semaphore::is_exhausted`].
    #[doc(alias = "locked")]
    pub fn is_exhausted(&self) -> bool {
        self.semaphore.is_exhausted()
    }
}
