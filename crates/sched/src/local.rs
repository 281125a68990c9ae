//! A worker's own half: its deque, and where a task goes that is woken on its thread.

use crate::handle::Handle;
use crate::shared::{Remote, Shard, Shared};
use crate::task::Task;
use filch_atomic::deque;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

/// How many tasks in a row may come from the slot before the queue has its turn (S6): a pair of tasks
/// that wake each other would else keep the worker for themselves.
const SLOT_RUNS: u8 = 3;

/// As many tasks as a worker takes at a time from the injector or another worker's queue.
pub(crate) const BATCH: usize = 64;

/// What a worker's thread reaches of its worker, through the thread-local context, while tasks run.
pub(crate) struct Local {
    pub(crate) handle: Handle,
    pub(crate) shard: Arc<Shard>,
    pub(crate) index: usize,
    pub(crate) deque: deque::Worker<Task>,
    /// A task is being polled: what it wakes may go to the slot. Else completions and timers are being
    /// delivered: what they wake is queued, and a helper is called once for all of them.
    polling: Cell<bool>,
    slot_runs: Cell<u8>,
}

impl Local {
    pub(crate) fn new(handle: Handle, index: usize, deque: deque::Worker<Task>) -> Self {
        let shard = handle.shard(index).clone();
        Self { handle, shard, index, deque, polling: Cell::new(false), slot_runs: Cell::new(0) }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shard.shared
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.shared().remotes[self.index]
    }

    pub(crate) fn belongs_to(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shard.shared, shared)
    }

    pub(crate) fn set_polling(&self, polling: bool) {
        self.polling.set(polling);
    }

    /// Takes a task that was woken or spawned on this thread.
    pub(crate) fn wake(&self, task: Task) {
        if !self.polling.get() {
            // Completions and timers: in order, and the worker calls for help when it has them all.
            self.deque.push(task);
        } else if let Some(displaced) = self.remote().slot.put(task) {
            self.publish(displaced);
        }
    }

    /// Takes a task that was woken in its own poll: it goes to the back (S3, S6).
    pub(crate) fn yielded(&self, task: Task) {
        let others = !self.deque.is_empty();
        self.deque.push(task);
        // Alone, it is run by this worker at once: nobody need come for it.
        if others {
            self.call_for_help();
        }
    }

    /// Adds a task to the back of the queue, where others may steal it, and sees to it that one does.
    fn publish(&self, task: Task) {
        self.deque.push(task);
        self.call_for_help();
    }

    /// Wakes a sleeping worker, if there are others and one is needed (S2).
    pub(crate) fn call_for_help(&self) {
        let shared = self.shared();
        if shared.workers() > 1 && shared.wake_sleeper() {
            self.remote().counters.wakes_sent.add(1);
        }
    }

    /// The next task to run: the slot's, a few times in a row at most, then the queue's, then one from
    /// outside.
    pub(crate) fn next(&self) -> Option<Task> {
        if let Some(task) = self.remote().slot.take() {
            if self.slot_runs.get() < SLOT_RUNS {
                self.slot_runs.set(self.slot_runs.get() + 1);
                return Some(task);
            }
            self.slot_runs.set(0);
            let Some(first) = self.deque.pop() else { return Some(task) };
            self.publish(task);
            return Some(first);
        }
        self.slot_runs.set(0);
        self.deque.pop().or_else(|| self.pull())
    }

    /// Takes this worker's share of the tasks from outside, and returns the first.
    pub(crate) fn pull(&self) -> Option<Task> {
        let shared = self.shared();
        let first = shared.injector.take(shared.workers(), BATCH, |task| self.deque.push(task))?;
        self.remote().counters.injector_pulls.add(1);
        Some(first)
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("index", &self.index).finish_non_exhaustive()
    }
}
