//! The queue for tasks that come from outside the workers.

use filch_atomic::sync::Mutex;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use std::collections::VecDeque;

/// Tasks woken or spawned by threads that are no workers, first in, first out.
///
/// A lock around a queue, and its length beside it, so that a worker that finds it empty takes no lock.
/// The contention argument: a lock is held for one push, or for one batch, of which a worker takes so
/// many (its share) that it comes back rarely. The length is stored under the lock; the worker that
/// reads 0 just before it sleeps relies on the sender's fence (S2, see `idle`).
#[derive(Debug)]
pub struct Injector<T> {
    tasks: Mutex<State<T>>,
    len: AtomicUsize,
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<T>,
    closed: bool,
}

impl<T> Injector<T> {
    /// An empty queue.
    pub fn new() -> Self {
        let state = State { queue: VecDeque::new(), closed: false };
        Self { tasks: Mutex::new(state), len: AtomicUsize::new(0) }
    }

    /// Adds a task. The caller then has a sleeper woken ([`Idle::sleeper_to_wake`]).
    ///
    /// # Errors
    ///
    /// The task, if the queue is closed.
    ///
    /// [`Idle::sleeper_to_wake`]: crate::idle::Idle::sleeper_to_wake
    pub fn push(&self, task: T) -> Result<(), T> {
        let mut state = self.tasks.lock();
        if state.closed {
            return Err(task);
        }
        state.queue.push_back(task);
        // Release: pairs with `is_empty`. (A sleeper is told by the fences of S2, too.)
        self.len.store(state.queue.len(), Ordering::Release);
        Ok(())
    }

    /// Whether it seems empty. One load, and perhaps stale.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Acquire: pairs with the Release in `push` and in `share`: who sees that a batch has left finds
        // it where it was moved to, or taken from there.
        self.len.load(Ordering::Acquire) == 0
    }

    /// Moves a worker's fair share, oldest first: its part of what is there, at most `limit`.
    pub fn share(&self, workers: usize, limit: usize, each: impl FnMut(T)) {
        if self.is_empty() {
            return;
        }
        let mut state = self.tasks.lock();
        let count = (state.queue.len() / workers + 1).min(limit).min(state.queue.len());
        // `each` pushes to the worker's own deque: it runs no user code, so the lock may be held.
        state.queue.drain(..count).for_each(each);
        // Release: pairs with `is_empty`; what was moved is in its new place by now.
        self.len.store(state.queue.len(), Ordering::Release);
    }

    /// As [`share`](Self::share), but the first is returned, the others go to `rest`.
    pub fn take(&self, workers: usize, limit: usize, mut rest: impl FnMut(T)) -> Option<T> {
        let mut first = None;
        self.share(workers, limit, |task| match first {
            None => first = Some(task),
            Some(_) => rest(task),
        });
        first
    }

    /// Refuses tasks from now on, and hands over those that are here.
    pub fn close(&self) -> VecDeque<T> {
        let mut state = self.tasks.lock();
        state.closed = true;
        // Release: pairs with `is_empty`.
        self.len.store(0, Ordering::Release);
        std::mem::take(&mut state.queue)
    }
}

impl<T> Default for Injector<T> {
    fn default() -> Self {
        Self::new()
    }
}
