//! What was got from a queue and is being worked on.

use filch_atomic::sync::Arc;
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::shared::Shared;

/// An item from a queue. Dropping it declares the work on it done (QUEUE-8): so also a consumer that
/// panics, or is cancelled, lets [`join`](super::Queue::join) end.
///
/// It borrows nothing, and can be sent wherever the item can. It keeps the queue in memory, and does not
/// keep it from being shut down.
///
/// ```
/// use filch_sync::Queue;
///
/// let queue = Queue::unbounded();
/// queue.try_put(String::from("a")).unwrap();
/// let mut lease = queue.try_get().unwrap();
/// lease.push('b');
/// assert_eq!(*lease, "ab");
/// assert_eq!(queue.unfinished(), 1);
/// drop(lease);
/// assert_eq!(queue.unfinished(), 0);
/// ```
#[must_use = "dropping a lease declares the work done"]
pub struct Lease<T> {
    item: T,
    // After the item: its destructor is part of the work.
    duty: Duty<T>,
}

impl<T> Lease<T> {
    pub(super) fn new(item: T, shared: &Arc<Shared<T>>) -> Self {
        Self { item, duty: Duty { shared: shared.clone() } }
    }

    /// The item, declared done at once: from here on it is the caller's own.
    ///
    /// To keep `join` waiting while the item is worked on by value, use [`split`](Self::split).
    pub fn into_inner(self) -> T {
        self.item
    }

    /// The item, and apart from it what declares the work on it done when dropped.
    ///
    /// ```
    /// use filch_sync::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.try_put(vec![1, 2]).unwrap();
    /// let (item, duty) = queue.try_get().unwrap().split();
    /// let sum: i32 = item.into_iter().sum();
    /// assert_eq!((sum, queue.unfinished()), (3, 1));
    /// drop(duty);
    /// assert_eq!(queue.unfinished(), 0);
    /// ```
    pub fn split(self) -> (T, Duty<T>) {
        (self.item, self.duty)
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.item.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.item.fmt(f)
    }
}

/// Work that is not done yet, apart from its item: see [`Lease::split`]. Dropping this declares it done.
#[must_use = "dropping this declares the work done"]
pub struct Duty<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Drop for Duty<T> {
    fn drop(&mut self) {
        // It fails only when somebody declared done, by `task_done`, what was not his.
        let _ = self.shared.tally.done();
    }
}

impl<T> fmt::Debug for Duty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duty").finish_non_exhaustive()
    }
}
