//! A fair lock that may be held across an `await`.

mod guard;
#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests;

pub use guard::{Guard, OwnedGuard};

use crate::blocking::{self, block_on};
use crate::permits::{Acquiring, HasPermits, Permits};
use crate::wait_list::Site;
use filch_atomic::cell::UnsafeCell;
use filch_atomic::current::WaitKind;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A value that one task at a time may use, also across an `await`.
///
/// ```
/// use filch_sync::Lock;
/// use std::sync::Arc;
///
/// # pollster::block_on(async {
/// let counter = Arc::new(Lock::new(0));
/// for _ in 0..10 {
///     let mut count = counter.lock().await;
///     *count += 1;
/// }
/// assert_eq!(*counter.lock().await, 10);
/// # });
/// ```
///
/// A panic while it is held does not poison it: the value is left as it was then.
///
/// # Fairness
///
/// First come, first served. Whoever unlocks hands the lock to the waiter that has waited longest:
/// a newcomer never gets in between, and nobody waits for more than those who came before.
/// A task that has used up its turn and finds the lock free leaves it, and comes again in its next turn; once
/// (I6).
///
/// # Cost
///
/// Uncontended, one atomic exchange to take it and one to give it back. A waiter allocates nothing: its
/// place in the line is in its future. Handing over takes a short internal lock.
///
/// # Deadlocks
///
/// The lock belongs to a waiter from the moment it is handed over, before that waiter runs. A task
/// that keeps a woken [`Acquire`] without polling it (in a `select!` arm it has left, say) and waits
/// for something else meanwhile keeps everybody out; one that is leaked (`mem::forget`) while it waits
/// does so for ever. Drop the future of a wait that is given up: then the lock goes to the next.
///
/// It is not re-entrant: a task that waits for a lock that it holds waits for ever.
#[doc(alias = "asyncio.Lock")]
#[doc(alias = "Mutex")]
pub struct Lock<T: ?Sized> {
    permits: Permits,
    value: UnsafeCell<T>,
}

// SAFETY: the value moves with the lock; nothing else in it is bound to a thread.
unsafe impl<T: ?Sized + Send> Send for Lock<T> {}
// SAFETY: the one permit gives the value to one guard at a time, on whichever thread: that takes
// `T: Send`, and not `T: Sync`, for two threads never have it at once.
unsafe impl<T: ?Sized + Send> Sync for Lock<T> {}

impl<T: ?Sized> HasPermits for Lock<T> {
    #[inline(always)]
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T> Lock<T> {
    const_unless_modelled! {
        /// A lock around `value` that nobody holds.
        pub fn new(value: T) -> Self {
            Self { permits: Permits::new(1), value: UnsafeCell::new(value) }
        }
    }

    /// Takes the value out of a lock that nobody else has.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Waits for the lock.
    ///
    /// # Cancel safety
    ///
    /// Takes its place in the line when it is first polled. Dropped while it waits, it leaves the
    /// line; dropped when the lock was just handed to it, it hands it on.
    ///
    /// # Deadlocks
    ///
    /// See [`Lock`](Self#deadlocks).
    #[doc(alias = "acquire")]
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> Acquire<'_, T> {
        self.lock_at(Location::caller())
    }

    /// As [`lock`](Self::lock), by a library that waits on behalf of the code at `location`: that is where
    /// the wait is on record.
    #[inline]
    pub fn lock_at(&self, location: &'static Location<'static>) -> Acquire<'_, T> {
        Acquire { inner: Acquiring::new(self, 1, Site::at(WaitKind::Lock, location)) }
    }

    /// As [`lock`](Self::lock), with a guard that shares the lock instead of borrowing it. It can go into a
    /// task of its own.
    ///
    /// ```
    /// # use filch_sync::Lock;
    /// # use std::sync::Arc;
    /// # pollster::block_on(async {
    /// let lock = Arc::new(Lock::new(String::new()));
    /// let mut guard = lock.clone().lock_owned().await;
    /// std::thread::spawn(move || guard.push_str("from another thread")).join().unwrap();
    /// assert_eq!(*lock.lock().await, "from another thread");
    /// # });
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As for [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> AcquireOwned<T> {
        AcquireOwned { inner: Acquiring::new(self, 1, Site::here(WaitKind::Lock)) }
    }

    /// Waits for the lock on this thread, which sleeps meanwhile. For threads outside any executor.
    ///
    /// # Panics
    ///
    /// Within a task of filch: it would hold up its worker, and with it, perhaps, the very task that has the
    /// lock. Other executors cannot be recognised, and must not be blocked either.
    #[track_caller]
    pub fn blocking_lock(&self) -> Guard<'_, T> {
        blocking::check();
        match self.try_lock() {
            Some(guard) => guard,
            None => block_on(self.lock()),
        }
    }

    /// As [`blocking_lock`](Self::blocking_lock), with a guard that shares the lock.
    ///
    /// # Panics
    ///
    /// As [`blocking_lock`](Self::blocking_lock).
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedGuard<T> {
        block_on(self.lock_owned())
    }

    /// Takes the lock if nobody has it and nobody waits.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        self.permits.try_acquire(1).ok().map(|()| Guard::new(self))
    }

    /// As [`try_lock`](Self::try_lock), with a guard that shares the lock.
    #[inline]
    pub fn try_lock_owned(self: Arc<Self>) -> Option<OwnedGuard<T>> {
        self.permits.try_acquire(1).ok().map(|()| OwnedGuard::new(self))
    }

    /// Whether somebody has it, or was handed it. Another thread may change that at once.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.permits.is_exhausted()
    }

    /// The value of a lock that nobody else has.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: there is no guard.
        self.value.with_mut(|value| unsafe { &mut *value })
    }
}

pin_project! {
    /// The future of [`Lock::lock`].
    #[must_use = "a lock is not waited for unless this is awaited"]
    pub struct Acquire<'a, T: ?Sized> {
        #[pin]
        inner: Acquiring<&'a Lock<T>>,
    }
}

impl<'a, T: ?Sized> Future for Acquire<'a, T> {
    type Output = Guard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Guard<'a, T>> {
        let polled = self.project().inner.poll(cx);
        polled.map(|lock| Guard::new(lock.expect("a lock is never closed")))
    }
}

pin_project! {
    /// The future of [`Lock::lock_owned`].
    #[must_use = "a lock is not waited for unless this is awaited"]
    pub struct AcquireOwned<T: ?Sized> {
        #[pin]
        inner: Acquiring<Arc<Lock<T>>>,
    }
}

impl<T: ?Sized> Future for AcquireOwned<T> {
    type Output = OwnedGuard<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<OwnedGuard<T>> {
        let polled = self.project().inner.poll(cx);
        polled.map(|lock| OwnedGuard::new(lock.expect("a lock is never closed")))
    }
}

impl<T: ?Sized> fmt::Debug for Acquire<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").finish_non_exhaustive()
    }
}

impl<T: ?Sized> fmt::Debug for AcquireOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireOwned").finish_non_exhaustive()
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Lock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("locked", &self.is_locked()).finish_non_exhaustive()
    }
}
