//! A worker's own half: its deque, and where a task goes that is woken on its thread.

use crate::handle::Handle;
use crate::order::{Order, Turns};
use crate::queue::Queue;
use crate::rng::Rng;
use crate::shared::{Remote, Shard, Shared};
use crate::task::{Report, Task, caught};
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
    /// There are other workers.
    has_others: bool,
    pub(crate) queue: Queue<Task>,
    /// What the others see of it. In here as well, as it is wanted several times a poll.
    remote: Arc<Remote>,
    slot_runs: Cell<u8>,
    /// In here as well, as it is looked at with each wake and each poll.
    pub(crate) order: Order,
    pub(crate) turns: Turns,
}

impl Local {
    pub(crate) fn new(handle: Handle, index: usize, queue: Queue<Task>, rng: Rng) -> Self {
        let shard = handle.shard(index).clone();
        let (order, turns) = (shard.shared.order, Turns::new(rng));
        let remote = shard.shared.remotes[index].clone();
        let has_others = shard.shared.workers() > 1;
        let slot_runs = Cell::new(0);
        Self { handle, shard, index, has_others, queue, remote, slot_runs, order, turns }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shard.shared
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    pub(crate) fn belongs_to(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.shard.shared, shared)
    }

    /// Takes a task that was woken or spawned on this thread. In a poll, what it wakes may go to the slot.
    /// Else completions and timers are being delivered: what they wake is queued, and a helper is called
    /// once for all of them, before the next poll begins.
    pub(crate) fn wake(&self, task: Task) {
        if !self.remote().polled.is_polling() || self.order != Order::Warm {
            // Completions and timers, or whatever it is where the order counts. The worker calls for help when it has them all.
            self.queue.push(task);
        } else if let Some(displaced) = self.remote().slot.put(task) {
            self.publish(displaced);
        }
    }

    /// Takes a task that was woken in its own poll: it goes to the back (S3, S6).
    pub(crate) fn yielded(&self, task: Task) {
        // Alone, it is run by this worker at once, and nobody need come for it.
        self.queue.push(task);
    }

    /// Adds a task to the back of the queue in the midst of a poll, which may be long yet: so others are
    /// told at once.
    fn publish(&self, task: Task) {
        self.queue.push(task);
        self.announce();
    }

    /// Before a poll, which may never end: calls for help with what was queued and is left in the queue.
    #[inline]
    pub(crate) fn announce(&self) {
        if self.queue.must_announce() && self.has_others {
            self.call_for_help();
        }
    }

    /// Wakes a sleeping worker, if one is needed (S2).
    fn call_for_help(&self) {
        if self.shared().wake_sleeper() {
            self.remote().counters.wakes_sent.add(1);
        }
    }

    /// Runs what wakes: the wakers are anybody's, and one that panics is reported and costs nobody else
    /// anything. `None` if one did.
    pub(crate) fn delivered<R>(&self, run: impl FnOnce() -> R) -> Option<R> {
        caught(run)
            .map_err(|payload| {
                self.shared().hook.report(&Report::foreign_waker(self.index, payload));
            })
            .ok()
    }

    /// In the midst of a poll: what has lasted up to now is not to count.
    pub(crate) fn goes_on(&self) {
        let shared = self.shared();
        if shared.watch.is_on() {
            // Of the next poll nobody is to think that it began now: this one has not ended.
            let begun = self.remote().counters.polls.get().saturating_sub(1);
            shared.watch.beat(self.index, shared.watch.nanos(shared.clock.pace()), begun);
        }
    }

    /// The next task to run: the slot's, a few times in a row at most, then the queue's, then one from
    /// outside. Or else what its order says.
    pub(crate) fn next(&self) -> Option<Task> {
        match self.order {
            Order::Warm => {}
            Order::Woken => return self.next_woken(),
            Order::Drawn => return self.next_drawn(),
        }
        if let Some(task) = self.remote().slot.take() {
            if self.slot_runs.get() < SLOT_RUNS {
                self.slot_runs.set(self.slot_runs.get() + 1);
                return Some(task);
            }
            self.slot_runs.set(0);
            let Some(first) = self.queue.pop() else { return Some(task) };
            self.queue.push(task);
            return Some(first);
        }
        self.slot_runs.set(0);
        self.queue.pop().or_else(|| self.pull())
    }

    /// Queues this worker's share of the tasks from outside, behind its own.
    pub(crate) fn refill(&self) {
        let shared = self.shared();
        if !shared.injector.is_empty() {
            self.queue.refill(&shared.injector, shared.workers(), BATCH);
            self.remote().counters.injector_pulls.add(1);
        }
    }

    /// Takes this worker's share of the tasks from outside, and returns the first.
    pub(crate) fn pull(&self) -> Option<Task> {
        let shared = self.shared();
        let first = self.queue.pull(&shared.injector, shared.workers(), BATCH)?;
        self.remote().counters.injector_pulls.add(1);
        Some(first)
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("index", &self.index).finish_non_exhaustive()
    }
}
