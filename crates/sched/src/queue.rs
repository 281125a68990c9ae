//! A worker's own queue, and what of it has yet to be announced.

use crate::injector::Injector;
use filch_atomic::deque::{self, Steal, Stealer};
use std::cell::Cell;

/// The deque that its owner pushes to and takes from, and others steal from.
///
/// What is pushed to it is work on offer: by the rules of [`idle`](crate::idle), a call for help has to
/// follow. Most pushes come in batches (the completions of one turn, the tasks stolen at one go), or will
/// be taken back by the owner at once, so the queue only notes that there was one. Before the owner does
/// anything that may take long, it asks [`must_announce`](Self::must_announce), and calls once for all.
#[derive(Debug)]
pub struct Queue<T> {
    deque: deque::Worker<T>,
    /// Something was pushed since the last call.
    unannounced: Cell<bool>,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self { deque: deque::Worker::new_fifo(), unannounced: Cell::new(false) }
    }

    /// For thieves.
    pub fn stealer(&self) -> Stealer<T> {
        self.deque.stealer()
    }

    /// Adds a task at the back.
    #[inline]
    pub fn push(&self, task: T) {
        self.deque.push(task);
        self.unannounced.set(true);
    }

    /// Takes the task at the front.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.deque.pop()
    }

    /// How many tasks are in it.
    pub fn len(&self) -> usize {
        self.deque.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.deque.is_empty()
    }

    /// Whether the owner must call for help now: tasks are here that nobody was told of. The caller does
    /// so at once; it is not said a second time.
    #[inline]
    pub fn must_announce(&self) -> bool {
        self.unannounced.replace(false) && !self.deque.is_empty()
    }

    /// Takes a share of what came from outside, at most `limit`; returns the first of it.
    pub fn pull(&self, injector: &Injector<T>, workers: usize, limit: usize) -> Option<T> {
        injector.take(workers, limit, |task| self.push(task))
    }

    /// Queues a share of what came from outside, at most `limit`, behind what is here.
    pub fn refill(&self, injector: &Injector<T>, workers: usize, limit: usize) {
        injector.share(workers, limit, |task| self.push(task));
    }

    /// Takes up to half of another's tasks, at most `limit`; returns the first.
    pub fn steal(&self, victim: &Stealer<T>, limit: usize) -> Steal<T> {
        let stolen = victim.steal_batch_with_limit_and_pop(&self.deque, limit);
        if let Steal::Success(_) = stolen {
            self.unannounced.set(true);
        }
        stolen
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(filch_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_announced_once() {
        let queue = Queue::new();
        assert!(!queue.must_announce());
        queue.push(1);
        assert_eq!(queue.pop(), Some(1));
        assert!(!queue.must_announce(), "the owner took it back");
        queue.push(2);
        assert!(queue.must_announce());
        assert!(!queue.must_announce());
    }

    #[test]
    fn what_came_with_the_first_is_announced() {
        let queue = Queue::new();
        let injector = Injector::new();
        for task in 0..6 {
            injector.push(task).unwrap();
        }
        assert_eq!(queue.pull(&injector, 12, 64), Some(0));
        assert_eq!(queue.pull(&injector, 12, 64), Some(1));
        assert!(!queue.must_announce(), "one at a time");
        assert_eq!(queue.pull(&injector, 1, 64), Some(2));
        assert!(queue.must_announce(), "the other three");
        let thief = Queue::new();
        assert_eq!(thief.steal(&queue.stealer(), 64), Steal::Success(3));
        assert!(thief.must_announce());
        assert_eq!(thief.steal(&queue.stealer(), 64), Steal::Success(5));
        assert_eq!(thief.pop(), Some(4));
        assert!(!thief.must_announce());
    }
}
