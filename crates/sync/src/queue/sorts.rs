//! The queues with other orders.

use std::fmt;
use std::ops::Deref;

use super::{IntoStream, Queue};

/// A [`Queue`] that gives the newest item first: a stack.
///
/// ```
/// use filch_sync::LifoQueue;
///
/// let queue = LifoQueue::bounded(10);
/// queue.try_put(1).unwrap();
/// queue.try_put(2).unwrap();
/// assert_eq!(*queue.try_get().unwrap(), 2);
/// ```
#[doc(alias = "asyncio.LifoQueue")]
pub struct LifoQueue<T> {
    queue: Queue<T>,
}

impl<T> LifoQueue<T> {
    /// A queue for at most `capacity` items at a time.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> Self {
        Self { queue: Queue::lifo(Some(capacity)) }
    }

    /// A queue for any number of items: see [`Queue::unbounded`].
    pub fn unbounded() -> Self {
        Self { queue: Queue::lifo(None) }
    }
}

/// A [`Queue`] that gives the smallest item first, and equals in the order in which they were put.
///
/// For the largest first, put [`Reverse`](std::cmp::Reverse) items; for what has a priority beside it,
/// tuples.
///
/// ```
/// use filch_sync::PriorityQueue;
///
/// let queue = PriorityQueue::bounded(10);
/// for job in [(2, "wash"), (1, "fetch"), (3, "dry")] {
///     queue.try_put(job).unwrap();
/// }
/// assert_eq!(*queue.try_get().unwrap(), (1, "fetch"));
/// ```
///
/// # Panics
///
/// Items are compared in `put` and `get`, under the queue's internal lock. If that panics in a `put`, the
/// item is in the queue; in a `get`, none is taken. The queue goes on, but after a panic its order is
/// anybody's guess.
///
/// # Deadlocks
///
/// For the same reason a comparison must not use the queue.
#[doc(alias = "asyncio.PriorityQueue")]
#[doc(alias = "heapq")]
pub struct PriorityQueue<T> {
    queue: Queue<T>,
}

impl<T: Ord> PriorityQueue<T> {
    /// A queue for at most `capacity` items at a time.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> Self {
        Self { queue: Queue::smallest(T::cmp, Some(capacity)) }
    }

    /// A queue for any number of items: see [`Queue::unbounded`].
    pub fn unbounded() -> Self {
        Self { queue: Queue::smallest(T::cmp, None) }
    }
}

macro_rules! is_a_queue {
    ($($name:ident)*) => { $(
        impl<T> $name<T> {
            /// The items as a stream of leases: see [`Queue::into_stream`].
            #[track_caller]
            pub fn into_stream(self) -> IntoStream<T> {
                self.queue.into_stream()
            }
        }

        impl<T> Deref for $name<T> {
            type Target = Queue<T>;

            fn deref(&self) -> &Queue<T> {
                &self.queue
            }
        }

        impl<T> From<$name<T>> for Queue<T> {
            /// The same queue, its order unchanged, as a handle of the common type.
            fn from(queue: $name<T>) -> Self {
                queue.queue
            }
        }

        impl<T> Clone for $name<T> {
            /// Another handle to the same queue.
            fn clone(&self) -> Self {
                Self { queue: self.queue.clone() }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.queue).finish()
            }
        }
    )* };
}

is_a_queue! { LifoQueue PriorityQueue }
