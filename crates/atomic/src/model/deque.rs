//! The stand-in for crossbeam's FIFO deque, as weak as the real one.
//!
//! The owner pushes at the back; owner and thieves take from the front. Orderings follow
//! `crossbeam-deque` 0.8.8, operation by operation; what is left out (growing, reclaiming buffers) has
//! its own ordering inside the epoch scheme and none that callers may lean on. Capacity is fixed, and
//! small, because a model is.

use crate::sync::Arc;
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};
use std::marker::PhantomData;
use std::{fmt, ptr};

/// As many tasks as a model may queue; a power of two.
const CAPACITY: usize = 8;

struct Inner<T> {
    front: AtomicUsize,
    back: AtomicUsize,
    // Atomic, because a thief reads a slot on speculation, before its exchange on `front` decides
    // whether it got it. Each slot holds a box turned into a pointer.
    slots: [AtomicPtr<T>; CAPACITY],
}

impl<T> Inner<T> {
    fn slot(&self, index: usize) -> &AtomicPtr<T> {
        &self.slots[index % CAPACITY]
    }
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self`.
        let front = self.front.load(Ordering::Relaxed);
        let back = self.back.load(Ordering::Relaxed);
        for index in front..back {
            // SAFETY: indices from front to back hold boxes that nobody took.
            drop(unsafe { Box::from_raw(self.slot(index).load(Ordering::Relaxed)) });
        }
    }
}

/// The owner's side of the deque.
pub struct Worker<T> {
    inner: Arc<Inner<T>>,
    // One thread at a time pushes.
    not_sync: PhantomData<std::cell::Cell<()>>,
}

/// What came of an attempt to steal.
#[derive(Debug, PartialEq, Eq)]
pub enum Steal<T> {
    /// There was nothing.
    Empty,
    /// One item, and perhaps more in the thief's own deque.
    Success(T),
    /// Somebody else was faster; try again.
    Retry,
}

// SAFETY: an item is taken by exactly one side: the exchange on `front` decides.
unsafe impl<T: Send> Send for Worker<T> {}

impl<T> Worker<T> {
    /// An empty deque, first in, first out.
    pub fn new_fifo() -> Self {
        let inner = Arc::new(Inner {
            front: AtomicUsize::new(0),
            back: AtomicUsize::new(0),
            slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        });
        Self { inner, not_sync: PhantomData }
    }

    /// A handle for thieves.
    pub fn stealer(&self) -> Stealer<T> {
        Stealer { inner: self.inner.clone() }
    }

    /// Adds an item at the back.
    pub fn push(&self, item: T) {
        let inner = &*self.inner;
        // Relaxed: only the owner moves `back`.
        let back = inner.back.load(Ordering::Relaxed);
        // Acquire: a slot that a thief left is ours to write again.
        let front = inner.front.load(Ordering::Acquire);
        assert!(back - front < CAPACITY, "a model queues at most {CAPACITY} items");
        inner.slot(back).store(Box::into_raw(Box::new(item)), Ordering::Relaxed);
        // Exactly as weak as the real one: pairs with the Acquire load of `back` in `steal`.
        fence(Ordering::Release);
        inner.back.store(back + 1, Ordering::Relaxed);
    }

    /// Takes the item at the front.
    pub fn pop(&self) -> Option<T> {
        let inner = &*self.inner;
        // Relaxed: only the owner moves `back`; an old `front` only makes the deque look fuller.
        let back = inner.back.load(Ordering::Relaxed);
        let front = inner.front.load(Ordering::Relaxed);
        if back == front {
            return None;
        }
        let front = inner.front.fetch_add(1, Ordering::SeqCst);
        if front >= back {
            // A thief was faster: undo. Relaxed: nobody takes while front is beyond back.
            inner.front.store(front, Ordering::Relaxed);
            return None;
        }
        // SAFETY: the fetch_add made index `front` ours alone.
        Some(*unsafe { Box::from_raw(inner.slot(front).load(Ordering::Relaxed)) })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items there are, as far as the owner can tell.
    pub fn len(&self) -> usize {
        let back = self.inner.back.load(Ordering::Relaxed);
        let front = self.inner.front.load(Ordering::SeqCst);
        back.saturating_sub(front)
    }
}

/// A thief's side of the deque.
pub struct Stealer<T> {
    inner: Arc<Inner<T>>,
}

// SAFETY: as for `Worker`.
unsafe impl<T: Send> Send for Stealer<T> {}
// SAFETY: as for `Worker`.
unsafe impl<T: Send> Sync for Stealer<T> {}

impl<T> Clone for Stealer<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> Stealer<T> {
    /// Takes one item from the front.
    pub fn steal(&self) -> Steal<T> {
        let inner = &*self.inner;
        let front = inner.front.load(Ordering::Acquire);
        // The real one fences here (by pinning its epoch): `front` is read before `back`.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the Release fence of `push`.
        let back = inner.back.load(Ordering::Acquire);
        if front >= back {
            return Steal::Empty;
        }
        let item = inner.slot(front).load(Ordering::Relaxed);
        if inner
            .front
            .compare_exchange(front, front + 1, Ordering::SeqCst, Ordering::Relaxed)
            .is_err()
        {
            return Steal::Retry;
        }
        // SAFETY: the exchange made index `front` ours alone, so what we read before it stands.
        Steal::Success(*unsafe { Box::from_raw(item) })
    }

    /// Takes up to half of the items, at most `limit`, moves all but one into `dest` and returns that.
    pub fn steal_batch_with_limit_and_pop(&self, dest: &Worker<T>, limit: usize) -> Steal<T> {
        let inner = &*self.inner;
        let front = inner.front.load(Ordering::Acquire);
        fence(Ordering::SeqCst);
        let back = inner.back.load(Ordering::Acquire);
        if front >= back {
            return Steal::Empty;
        }
        let count = (back - front).div_ceil(2).min(limit);
        let items: [*mut T; CAPACITY] = std::array::from_fn(|offset| {
            if offset < count {
                inner.slot(front + offset).load(Ordering::Relaxed)
            } else {
                ptr::null_mut()
            }
        });
        if inner
            .front
            .compare_exchange(front, front + count, Ordering::SeqCst, Ordering::Relaxed)
            .is_err()
        {
            return Steal::Retry;
        }
        for &item in &items[1..count] {
            // SAFETY: the exchange made these indices ours alone.
            dest.push(*unsafe { Box::from_raw(item) });
        }
        // SAFETY: as above.
        Steal::Success(*unsafe { Box::from_raw(items[0]) })
    }

    /// Whether there is nothing in it. As the real one, fences between its two loads.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items there seem to be.
    pub fn len(&self) -> usize {
        let front = self.inner.front.load(Ordering::Acquire);
        fence(Ordering::SeqCst);
        let back = self.inner.back.load(Ordering::Acquire);
        back.saturating_sub(front)
    }
}

impl<T> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Worker { .. }")
    }
}

impl<T> fmt::Debug for Stealer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Stealer { .. }")
    }
}
