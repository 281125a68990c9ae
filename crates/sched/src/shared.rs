//! What all workers of a scheduler share.

use crate::clock::Clock;
use crate::closing::Closing;
use crate::context;
use crate::idle::Idle;
use crate::injector::Injector;
use crate::metrics::Counters;
use crate::order::Order;
use crate::peer_cell::PeerCell;
use crate::slot::Slot;
use crate::still::{Stillness, Workers};
use crate::task::{ErrorHook, OwnedTasks, Polled, Schedule, Task};
use crate::timer::Timers;
use crate::watch::{Reports, Watch};
use crate::wind_up::WindUp;
use filch_atomic::deque::Stealer;
use filch_atomic::sync::Mutex;
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The parts of a scheduler that any thread may touch.
///
/// Contention, word by word: the remotes are per worker, and written by others only when they steal or
/// wake; `idle` is written once per sleep and per wake; `watch` says so itself; the injector's lock is met by threads that are
/// no workers and, once per batch, by workers; `closing` is written twice.
pub(crate) struct Shared {
    pub(crate) remotes: Box<[Arc<Remote>]>,
    pub(crate) idle: Idle,
    pub(crate) injector: Injector<Task>,
    pub(crate) hook: ErrorHook,
    /// How long clean-up may take.
    pub(crate) grace: Duration,
    pub(crate) clock: Clock,
    pub(crate) wind_up: WindUp,
    pub(crate) watch: Watch,
    pub(crate) reports: Reports,
    pub(crate) order: Order,
    /// Where somebody notices that nothing can run, if it has to be noticed.
    pub(crate) still: Option<Arc<Stillness>>,
    /// How far its end is.
    pub(crate) closing: Closing,
}

/// One worker, as the others see it. On cache lines of its own.
#[repr(align(128))]
pub(crate) struct Remote {
    pub(crate) stealer: Stealer<Task>,
    pub(crate) slot: Slot,
    /// With [`Order::Drawn`], all tasks that can run and were seen. The worker's own, until that is left behind.
    pub(crate) hat: Mutex<Vec<Task>>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) counters: Counters,
    /// The task that it polls.
    pub(crate) polled: Polled,
    /// Its present poll is meant to be long.
    pub(crate) is_deliberate: AtomicBool,
    pub(crate) peer: Arc<PeerCell>,
}

impl Shared {
    pub(crate) fn new(
        remotes: Box<[Arc<Remote>]>,
        hook: ErrorHook,
        clock: Clock,
        wind_up: WindUp,
        stuck_report: Option<Duration>,
        grace: Duration,
        (order, still): (Order, Option<Arc<Stillness>>),
    ) -> Self {
        let idle = Idle::new(remotes.len());
        let watch = Watch::new(remotes.len(), clock.pace());
        let reports = Reports::new(remotes.len(), stuck_report);
        let injector = Injector::new();
        Self {
            remotes,
            idle,
            injector,
            hook,
            grace,
            clock,
            wind_up,
            watch,
            reports,
            order,
            still,
            closing: Closing::new(),
        }
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.remotes.len()
    }

    /// Whether the workers are to leave their loops.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_closing()
    }

    /// Whether its end has begun.
    pub(crate) fn is_ending(&self) -> bool {
        self.closing.is_ending()
    }

    /// Makes every worker leave its loop. What is queued, the workers end; and what somebody else wakes
    /// meanwhile is queued for them, for a future's destructor is not the waker's business. True if the tasks
    /// were asked to end before, and this is the first closing.
    pub(crate) fn close(&self) -> bool {
        let is_first = self.closing.close();
        // After it: a worker that has missed it finds the token in its next park.
        self.unpark_all();
        self.wind_up.has_closed();
        is_first
    }

    /// After the last worker, or when no more is waited for: ends what still comes from outside.
    pub(crate) fn seal(&self) {
        for task in self.injector.close() {
            task.shutdown();
        }
    }

    /// Queues a task from a thread that is no worker of this scheduler (or one that is past work).
    pub(crate) fn inject(&self, task: Task) {
        match self.injector.push(task) {
            Ok(()) => {
                self.wake_sleeper();
            }
            // There are no workers any more. It was woken while they ended, which takes a thread that
            // was held up between two steps of its wake.
            Err(task) => task.shutdown(),
        }
    }

    /// After publishing work: wakes a worker if that is needed (S2). True if it did.
    #[inline]
    pub(crate) fn wake_sleeper(&self) -> bool {
        match self.idle.sleeper_to_wake() {
            Some(worker) => {
                self.unpark(worker);
                true
            }
            None => false,
        }
    }

    /// Has every worker that sleeps look around.
    pub(crate) fn unpark_all(&self) {
        for remote in &self.remotes {
            remote.peer.unpark();
        }
    }

    pub(crate) fn unpark(&self, worker: usize) {
        self.remotes[worker].peer.unpark();
    }

    /// Whether there is work that any worker could take: the look of `idle`'s rules.
    pub(crate) fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.remotes.iter().any(|remote| !remote.stealer.is_empty())
    }
}

impl Workers for Shared {
    fn stillness(&self) -> Option<&Arc<Stillness>> {
        self.still.as_ref()
    }

    fn unpark(&self, worker: usize) {
        Shared::unpark(self, worker);
    }

    fn are_here(&self) -> bool {
        context::with_local(|local| local.is_some_and(|local| ptr::eq(local.shared(), self)))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("workers", &self.workers())
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

/// A worker's share of what belongs to its tasks: each task holds its shard, so that neither the count
/// of references nor the list of tasks is one word that all cores write.
pub(crate) struct Shard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tasks: OwnedTasks,
}

impl Schedule for Shard {
    fn schedule(&self, task: Task) {
        context::with_local(|local| match local {
            Some(local) if local.belongs_to(&self.shared) => local.wake(task),
            _ => self.shared.inject(task),
        });
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.shared.hook
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}
