//! What is in a queue, in one of three orders (QUEUE-3).

use super::heap::Heap;
use std::cmp::Ordering;
use std::collections::VecDeque;

/// A bounded queue has its room allocated beforehand, up to so many bytes.
const MOST_BYTES: usize = 64 * 1024;

/// The items. Which order is asked at run time, at the cost of a branch that always goes the same way; so
/// the three queues share their futures, and whoever works on a queue need not be generic over its order.
pub(super) enum Items<T> {
    Fifo(VecDeque<T>),
    Lifo(Vec<T>),
    Smallest(Heap<T>),
}

/// How many of `capacity` items get their room beforehand.
fn room<T>(capacity: usize) -> usize {
    if capacity == usize::MAX { 0 } else { capacity.min(MOST_BYTES / size_of::<T>().max(1)) }
}

impl<T> Items<T> {
    pub(super) fn fifo(capacity: usize) -> Self {
        Self::Fifo(VecDeque::with_capacity(room::<T>(capacity)))
    }

    pub(super) fn lifo(capacity: usize) -> Self {
        Self::Lifo(Vec::with_capacity(room::<T>(capacity)))
    }

    pub(super) fn smallest(compare: fn(&T, &T) -> Ordering, capacity: usize) -> Self {
        Self::Smallest(Heap::new(compare, room::<T>(capacity)))
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Fifo(items) => items.len(),
            Self::Lifo(items) => items.len(),
            Self::Smallest(items) => items.len(),
        }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, item: T) {
        match self {
            Self::Fifo(items) => items.push_back(item),
            Self::Lifo(_) | Self::Smallest(_) => self.push_in_order(item),
        }
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<T> {
        match self {
            Self::Fifo(items) => items.pop_front(),
            Self::Lifo(_) | Self::Smallest(_) => self.pop_in_order(),
        }
    }

    // Apart, to keep the most common order's code small where it is inlined.
    #[inline(never)]
    fn push_in_order(&mut self, item: T) {
        match self {
            Self::Fifo(items) => items.push_back(item),
            Self::Lifo(items) => items.push(item),
            Self::Smallest(items) => items.push(item),
        }
    }

    #[inline(never)]
    fn pop_in_order(&mut self) -> Option<T> {
        match self {
            Self::Fifo(items) => items.pop_front(),
            Self::Lifo(items) => items.pop(),
            Self::Smallest(items) => items.pop(),
        }
    }

    /// All of them, to be dropped elsewhere.
    pub(super) fn take(&mut self) -> Self {
        match self {
            Self::Fifo(items) => Self::Fifo(std::mem::take(items)),
            Self::Lifo(items) => Self::Lifo(std::mem::take(items)),
            Self::Smallest(items) => Self::Smallest(items.take()),
        }
    }
}
