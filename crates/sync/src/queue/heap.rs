//! A heap that gives the smallest item first, and equals in the order in which they came.

use std::cmp::Ordering;

/// A binary heap in a vector: no entry goes before its parent, which is at `(index - 1) / 2`.
///
/// Not `std`'s, for two reasons. How items compare is kept here once, as a function, so that only making
/// the heap asks for `T: Ord`. And a comparison that panics, being anybody's code, must not cost an item:
/// here entries are only ever swapped, and an item leaves the vector after the last comparison.
pub(super) struct Heap<T> {
    entries: Vec<Entry<T>>,
    /// How many were ever pushed.
    pushed: u64,
    compare: fn(&T, &T) -> Ordering,
}

struct Entry<T> {
    item: T,
    /// How many were pushed before it: what tells equals apart.
    number: u64,
}

impl<T> Heap<T> {
    pub(super) fn new(compare: fn(&T, &T) -> Ordering, room: usize) -> Self {
        Self { entries: Vec::with_capacity(room), pushed: 0, compare }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes `item` in. Should a comparison panic, it is in, but the order is anybody's guess.
    pub(super) fn push(&mut self, item: T) {
        self.entries.push(Entry { item, number: self.pushed });
        self.pushed += 1;
        let mut child = self.entries.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if !self.is_before(child, parent) {
                return;
            }
            self.entries.swap(child, parent);
            child = parent;
        }
    }

    /// Takes the first item out. Should a comparison panic, none is taken.
    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.entries.len().checked_sub(1)?;
        self.entries.swap(0, last);
        let mut parent = 0;
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            if left >= last {
                break;
            }
            let child = if right < last && self.is_before(right, left) { right } else { left };
            if !self.is_before(child, parent) {
                break;
            }
            self.entries.swap(child, parent);
            parent = child;
        }
        self.entries.pop().map(|entry| entry.item)
    }

    /// All items, in no order, and an empty heap like this one in its place.
    pub(super) fn take(&mut self) -> Self {
        Self { entries: std::mem::take(&mut self.entries), ..*self }
    }

    fn is_before(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.entries[one], &self.entries[other]);
        match (self.compare)(&one.item, &other.item) {
            Ordering::Less => true,
            Ordering::Equal => one.number < other.number,
            Ordering::Greater => false,
        }
    }
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::Heap;
    use filch_testkit::Random;
    use std::cell::Cell;
    use std::cmp::Ordering;

    #[test]
    fn the_smallest_comes_first_and_equals_in_their_order() {
        let seed = Random::seed();
        let mut random = Random::new(seed);
        let mut heap = Heap::new(|one: &(usize, u32), other| one.0.cmp(&other.0), 4);
        let mut sorted = Vec::new();
        for number in 0..2_000 {
            let item = (random.below(40), number);
            heap.push(item);
            let place = sorted.partition_point(|&(key, _)| key <= item.0);
            sorted.insert(place, item);
            if random.below(3) == 0 {
                assert_eq!(heap.pop(), Some(sorted.remove(0)), "seed {seed}");
            }
        }
        let rest: Vec<_> = std::iter::from_fn(|| heap.pop()).collect();
        assert_eq!(rest, sorted, "seed {seed}");
    }

    /// Would be missed, or dropped twice.
    struct Item(Box<u32>);

    thread_local! {
        /// Comparisons until one panics.
        static LEFT: Cell<u32> = const { Cell::new(u32::MAX) };
    }

    fn compare(one: &Item, other: &Item) -> Ordering {
        LEFT.set(LEFT.get() - 1);
        assert!(LEFT.get() > 0, "as planned");
        one.0.cmp(&other.0)
    }

    #[test]
    fn a_comparison_that_panics_costs_no_item() {
        for left in 1..8 {
            let mut heap = Heap::new(compare, 0);
            LEFT.set(u32::MAX);
            for item in (0..20).rev() {
                heap.push(Item(Box::new(item)));
            }
            LEFT.set(left);
            let popped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| heap.pop()));
            LEFT.set(u32::MAX);
            let popped = popped.ok().flatten();
            let mut all: Vec<u32> = popped
                .into_iter()
                .chain(std::iter::from_fn(|| heap.pop()))
                .map(|item| *item.0)
                .collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..20), "after {left} comparisons");
        }
    }
}
