//! Many readers, or one writer.

mod futures;
mod guard;
#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests;

pub use futures::{AcquireRead, AcquireReadOwned, AcquireWrite, AcquireWriteOwned};
pub use guard::{OwnedReadGuard, OwnedWriteGuard, ReadGuard, WriteGuard};

use crate::blocking::block_on;
use crate::permits::{self, HasPermits, Permits};
use filch_atomic::cell::UnsafeCell;
use std::fmt;
use std::sync::Arc;

/// What a writer takes: all permits there are. A reader takes one.
const ALL: usize = permits::MOST;

/// A value that many tasks may read at a time, or one may change, also across an `await`.
///
/// ```
/// use filch_sync::{RwLock, WriteGuard};
///
/// # pollster::block_on(async {
/// let config = RwLock::new(vec!["a"]);
/// {
///     let one = config.read().await;
///     let another = config.read().await;
///     assert_eq!(one[0], another[0]);
/// }
/// let mut writing = config.write().await;
/// writing.push("b");
/// // Let others read what was written, and nobody write in between.
/// let reading = WriteGuard::downgrade(writing);
/// assert_eq!(config.read().await.len(), reading.len());
/// # });
/// ```
///
/// A panic while a writer has it does not poison it.
///
/// # Fairness
///
/// First come, first served. Readers that wait side by side get in together. A writer that waits keeps out
/// the readers that come after it, so a stream of readers does not keep writers out; those who came
/// before it get in before it.
///
/// # Cost
///
/// With nobody waiting, one atomic exchange to take it and one to give it back, for readers too. A waiter
/// allocates nothing. Readers on several cores write to the same word, so for short reads a
/// [`Lock`](crate::Lock) is as good.
///
/// # Deadlocks
///
/// A task that reads and wants to read once more waits for ever, if a writer came to wait in between.
///
/// The lock belongs to a waiter from the moment it is handed over, before that waiter runs. A future that
/// was woken and is neither polled nor dropped keeps it; one that is leaked (`mem::forget`) while it waits
/// does so for ever.
#[doc(alias = "RWLock")]
pub struct RwLock<T: ?Sized> {
    permits: Permits,
    value: UnsafeCell<T>,
}

// SAFETY: the value moves with the lock; nothing else in it is bound to a thread.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: the permits give the value to readers on many threads, which takes `T: Sync`, or to one writer, which
// takes `T: Send`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T: ?Sized> HasPermits for RwLock<T> {
    #[inline(always)]
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T> RwLock<T> {
    const_unless_modelled! {
        /// A lock around `value` that nobody holds.
        pub fn new(value: T) -> Self {
            Self { permits: Permits::new(ALL), value: UnsafeCell::new(value) }
        }
    }

    /// Takes the value out of a lock that nobody else has.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits to read.
    ///
    /// # Cancel safety
    ///
    /// Takes its place in the line when it is first polled. Dropped while it waits, it leaves the
    /// line; dropped when the lock was just handed to it, it hands it on.
    #[doc(alias = "read_lock")]
    #[inline]
    #[track_caller]
    pub fn read(&self) -> AcquireRead<'_, T> {
        AcquireRead::new(self)
    }

    /// Waits to change the value.
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](Self::read). When a writer leaves the line, the readers behind it may get in.
    #[doc(alias = "write_lock")]
    #[inline]
    #[track_caller]
    pub fn write(&self) -> AcquireWrite<'_, T> {
        AcquireWrite::new(self)
    }

    /// As [`read`](Self::read), with a guard that shares the lock instead of borrowing it.
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> AcquireReadOwned<T> {
        AcquireReadOwned::new(self)
    }

    /// As [`write`](Self::write), with a guard that shares the lock instead of borrowing it.
    ///
    /// # Cancel safety
    ///
    /// As for [`write`](Self::write).
    #[inline]
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> AcquireWriteOwned<T> {
        AcquireWriteOwned::new(self)
    }

    /// Waits to read, on this thread, which sleeps meanwhile. For threads outside any executor.
    ///
    /// # Panics
    ///
    /// Within a task of filch: it would hold up its worker, and with it, perhaps, the very task that has the
    /// lock. Other executors cannot be recognised, and must not be blocked either.
    #[track_caller]
    pub fn blocking_read(&self) -> ReadGuard<'_, T> {
        block_on(self.read())
    }

    /// Waits to change the value, on this thread, which sleeps meanwhile. For threads outside any executor.
    ///
    /// # Panics
    ///
    /// As [`blocking_read`](Self::blocking_read).
    #[track_caller]
    pub fn blocking_write(&self) -> WriteGuard<'_, T> {
        block_on(self.write())
    }

    /// Reads, if nobody has it to write and nobody waits.
    #[inline]
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.permits.try_acquire(1).ok().map(|()| ReadGuard::new(self))
    }

    /// Changes the value, if nobody has it and nobody waits.
    #[inline]
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.permits.try_acquire(ALL).ok().map(|()| WriteGuard::new(self))
    }

    /// As [`try_read`](Self::try_read), with a guard that shares the lock.
    #[inline]
    pub fn try_read_owned(self: Arc<Self>) -> Option<OwnedReadGuard<T>> {
        self.permits.try_acquire(1).ok().map(|()| OwnedReadGuard::new(self))
    }

    /// As [`try_write`](Self::try_write), with a guard that shares the lock.
    #[inline]
    pub fn try_write_owned(self: Arc<Self>) -> Option<OwnedWriteGuard<T>> {
        self.permits.try_acquire(ALL).ok().map(|()| OwnedWriteGuard::new(self))
    }

    /// The value of a lock that nobody else has.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: there is no guard.
        self.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.permits.available();
        f.debug_struct("RwLock").field("is_held", &(free < ALL)).finish_non_exhaustive()
    }
}
