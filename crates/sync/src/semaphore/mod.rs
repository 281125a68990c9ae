//! So many at a time.

mod bounded;
mod permit;
#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests;

pub use bounded::{BoundedSemaphore, OverRelease};
pub use permit::{OwnedPermit, Permit};

use crate::blocking::block_on;
use crate::permits::{self, Acquiring, Closed, HasPermits, Permits, TryAcquireError};
use crate::wait_list::Site;
use filch_atomic::current::WaitKind;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Permits that are taken and given back: so many at a time.
///
/// ```
/// use filch_sync::Semaphore;
///
/// # pollster::block_on(async {
/// let downloads = Semaphore::new(5);
/// {
///     let _permit = downloads.acquire().await?;
///     assert_eq!(downloads.available_permits(), 4);
///     // At most five get here at a time.
/// }
/// assert_eq!(downloads.available_permits(), 5);
/// # Ok::<_, filch_sync::Closed>(())
/// # }).unwrap();
/// ```
///
/// # Fairness
///
/// First come, first served, whatever each wants: who wants many is not passed by those who want few, also
/// while there are enough for them. So nobody starves. Permits that are free while the first in line waits
/// for more stay where they are, and [`available_permits`](Self::available_permits) counts them, but nobody
/// gets them before it.
///
/// # Cost
///
/// With nobody waiting, one atomic exchange to take permits and one to give them back. A waiter allocates
/// nothing.
///
/// # Deadlocks
///
/// A permit belongs to a waiter from the moment it is handed over, before that waiter runs. A future that
/// was woken and is neither polled nor dropped keeps it; one that is leaked (`mem::forget`) while it waits
/// keeps its place, and so everybody behind it, for ever.
///
/// Waiting for permits one after the other, while others do the same, can deadlock as with any set of locks:
/// take them at once with [`acquire_many`](Self::acquire_many).
#[doc(alias = "asyncio.Semaphore")]
pub struct Semaphore {
    permits: Permits,
    /// Permits that went without being given back. Only a [`BoundedSemaphore`] asks.
    forgotten: AtomicUsize,
}

impl HasPermits for Semaphore {
    #[inline(always)]
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl Semaphore {
    /// So many permits a semaphore can have.
    pub const MAX_PERMITS: usize = permits::MOST;

    const_unless_modelled! {
        /// A semaphore with so many permits, all free.
        ///
        /// # Panics
        ///
        /// If these are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        pub fn new(permits: usize) -> Self {
            Self { permits: Permits::new(permits), forgotten: AtomicUsize::new(0) }
        }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// [`Closed`], if the semaphore is closed, or is while this waits.
    ///
    /// # Cancel safety
    ///
    /// Takes its place in the line when it is first polled. Dropped while it waits, it leaves the
    /// line; dropped when a permit was just handed to it, it hands that on.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> AcquirePermits<'_> {
        self.acquire_many(1)
    }

    /// Waits for so many permits, and takes them at once. No permits at all are waited for like any: behind
    /// those who came before.
    ///
    /// ```
    /// # use filch_sync::Semaphore;
    /// # pollster::block_on(async {
    /// let memory = Semaphore::new(1024);
    /// let mut large = memory.acquire_many(1000).await?;
    /// assert!(memory.try_acquire_many(100).is_err());
    /// // Half of it is enough after all.
    /// drop(large.split(500));
    /// assert!(memory.try_acquire_many(100).is_ok());
    /// # Ok::<_, filch_sync::Closed>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// If these are more than [`MAX_PERMITS`](Self::MAX_PERMITS). More than the semaphore has are waited for,
    /// for some may be added.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, permits: usize) -> AcquirePermits<'_> {
        check(permits);
        let inner = Acquiring::new(self, permits, Site::here(WaitKind::Lock));
        AcquirePermits { permits, inner }
    }

    /// As [`acquire`](Self::acquire), with a permit that shares the semaphore instead of borrowing it. It can
    /// go into a task of its own.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> AcquirePermitsOwned {
        self.acquire_many_owned(1)
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
    /// As for [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn acquire_many_owned(self: Arc<Self>, permits: usize) -> AcquirePermitsOwned {
        check(permits);
        let inner = Acquiring::new(self, permits, Site::here(WaitKind::Lock));
        AcquirePermitsOwned { permits, inner }
    }

    /// Waits for a permit on this thread, which sleeps meanwhile. For threads outside any executor.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// Within a task of filch: it would hold up its worker. Other executors cannot be recognised, and must not
    /// be blocked either.
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<Permit<'_>, Closed> {
        block_on(self.acquire())
    }

    /// As [`acquire_many`](Self::acquire_many), on this thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire_many`](Self::acquire_many) and [`blocking_acquire`](Self::blocking_acquire).
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
        self.try_acquire_many(1)
    }

    /// Takes so many permits, if they are free and nobody waits.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many(&self, permits: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.permits.try_acquire(permits).map(|()| Permit::new(self, permits))
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that shares the semaphore.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedPermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), with permits that share the semaphore.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        permits: usize,
    ) -> Result<OwnedPermit, TryAcquireError> {
        self.permits.try_acquire(permits).map(|()| OwnedPermit::new(self, permits))
    }

    /// Adds permits: new ones, or such as were [forgotten](Permit::forget). Those who wait get them first, in
    /// order.
    ///
    /// # Panics
    ///
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS) free ones.
    #[doc(alias = "release")]
    #[inline]
    pub fn add_permits(&self, permits: usize) {
        self.permits.release(permits);
    }

    /// Takes up to so many of the free permits away for good. Returns how many.
    pub fn forget_permits(&self, permits: usize) -> usize {
        let gone = self.permits.forget(permits);
        self.note_forgotten(gone);
        gone
    }

    /// Permits have gone that were not given back.
    fn note_forgotten(&self, permits: usize) {
        // Relaxed: a count; pairs with `BoundedSemaphore::release`. What was done with the permits is ordered
        // by the word that they go back to.
        self.forgotten.fetch_add(permits, Ordering::Relaxed);
    }

    /// Gives no more permits: those who wait, and those who come, get an error. Permits that were given, also
    /// such as were handed to a waiter that has not run since, are good until they are dropped.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether it was [closed](Self::close).
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// How many permits are free. Another thread may change that at once, and while others wait, a newcomer
    /// gets none of them.
    #[doc(alias = "value")]
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Whether a newcomer has to wait: no permit is free, or others wait. Another thread may change that at
    /// once.
    #[doc(alias = "locked")]
    pub fn is_exhausted(&self) -> bool {
        self.permits.is_exhausted()
    }
}

#[inline(always)]
#[track_caller]
fn check(permits: usize) {
    assert!(permits <= Semaphore::MAX_PERMITS, "no semaphore has so many permits");
}

pin_project! {
    /// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
    #[must_use = "permits are not waited for unless this is awaited"]
    pub struct AcquirePermits<'a> {
        permits: usize,
        #[pin]
        inner: Acquiring<&'a Semaphore>,
    }
}

impl<'a> Future for AcquirePermits<'a> {
    type Output = Result<Permit<'a>, Closed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let permits = *this.permits;
        this.inner.poll(cx).map(|got| got.map(|semaphore| Permit::new(semaphore, permits)))
    }
}

pin_project! {
    /// The future of [`Semaphore::acquire_owned`] and [`Semaphore::acquire_many_owned`].
    #[must_use = "permits are not waited for unless this is awaited"]
    pub struct AcquirePermitsOwned {
        permits: usize,
        #[pin]
        inner: Acquiring<Arc<Semaphore>>,
    }
}

impl Future for AcquirePermitsOwned {
    type Output = Result<OwnedPermit, Closed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let permits = *this.permits;
        this.inner.poll(cx).map(|got| got.map(|semaphore| OwnedPermit::new(semaphore, permits)))
    }
}

impl fmt::Debug for AcquirePermits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquirePermits").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl fmt::Debug for AcquirePermitsOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquirePermitsOwned")
            .field("permits", &self.permits)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
