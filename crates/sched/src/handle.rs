//! A scheduler, as anybody may hold it.

use crate::blocking::{BlockingPool, Limiter, NoThread};
use crate::context::{self, Enter};
use crate::keeper::Keeper;
use crate::metrics::WorkerMetrics;
use crate::shared::{Shard, Shared};
use crate::task::{self, AskedBy, JoinHandle, Meta, OwnedTasks, Report, Who, spawn_task_asked_by};
use crate::timer::Timers;
use filch_atomic::deque::Steal;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many tasks that did not stop are named.
const NAMED: usize = 20;

/// Spawns tasks onto a scheduler from anywhere. Cheap to clone. Does not keep the scheduler running:
/// once it is shut down, what is spawned ends at once as cancelled.
#[derive(Clone)]
pub struct Handle(Arc<Inner>);

struct Inner {
    shards: Box<[Arc<Shard>]>,
    blocking: OnceLock<BlockingPool>,
    extension: Arc<dyn Any + Send + Sync>,
    /// Spreads the tasks that come from outside over the shards.
    next_shard: AtomicUsize,
}

impl Handle {
    pub(crate) fn new(shared: &Arc<Shared>, extension: Arc<dyn Any + Send + Sync>) -> Self {
        let shard = |_| Arc::new(Shard { shared: shared.clone(), tasks: OwnedTasks::new() });
        Self(Arc::new(Inner {
            shards: (0..shared.workers()).map(shard).collect(),
            blocking: OnceLock::new(),
            extension,
            next_shard: AtomicUsize::new(0),
        }))
    }

    /// The handle of the scheduler that this thread works for or has entered.
    pub fn try_current() -> Option<Self> {
        context::with_handle(|handle| handle.cloned())
    }

    /// Spawns a task. Woken later by a worker's own thread it stays there until another steals it.
    pub fn spawn<F>(&self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_in(future, meta, AskedBy::Runtime)
    }

    /// As [`spawn`](Self::spawn), a task that the end of the scheduler waits for, as long as its grace, and does
    /// not ask to end.
    pub fn spawn_shield<F>(&self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_in(future, meta, AskedBy::Nobody)
    }

    /// As [`spawn`](Self::spawn), a child: if `keeper` is code of this scheduler, the end of the scheduler leaves it
    /// to that to ask the task to end.
    pub fn spawn_child<F>(&self, future: F, meta: Meta, keeper: Keeper) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_in(future, meta, keeper.asks_in(self.shared()))
    }

    #[inline]
    fn spawn_in<F>(&self, future: F, meta: Meta, asked_by: AskedBy) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        context::with_local(|local| match local {
            Some(local) if local.belongs_to(self.shared()) => {
                let shard = local.shard.clone();
                let (task, handle) = spawn_task_asked_by(future, shard, meta, asked_by);
                if let Some(task) = task {
                    local.wake(task);
                }
                handle
            }
            _ => self.spawn_outside(future, meta, asked_by),
        })
    }

    /// Spawns a task for whichever worker is free first. Not when the scheduler ends: only what is to end may still
    /// need tasks, and what others want would never come to an end.
    fn spawn_outside<F>(&self, future: F, meta: Meta, asked_by: AskedBy) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // Relaxed: any shard will do.
        let next = self.0.next_shard.fetch_add(1, Ordering::Relaxed);
        let shard = &self.0.shards[next % self.0.shards.len()];
        let is_refused = self.shared().is_ending();
        let (task, handle) = spawn_task_asked_by(future, shard.clone(), meta, asked_by);
        match task {
            Some(task) if is_refused => {
                let is_due = self.shared().closing.refuse(task, self.lists());
                if is_due {
                    self.shared().close();
                }
            }
            Some(task) => self.shared().inject(task),
            None => {}
        }
        handle
    }

    /// As [`spawn`](Self::spawn), for whichever worker is free first: also on a worker's thread the task is
    /// offered to all. For a poll that goes on for long and wants help: when the scheduler ends there is none, as each
    /// such task may want others.
    pub fn spawn_for_others<F>(&self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_outside(future, meta, AskedBy::Runtime)
    }

    /// Runs a closure that blocks on a thread made for that.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give and there is none yet.
    pub fn spawn_blocking<F, T>(&self, closure: F, meta: Meta) -> Result<JoinHandle<T>, NoThread>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.blocking().spawn_with(closure, named(meta))
    }

    /// As [`spawn_blocking`](Self::spawn_blocking), for a closure that has to wait for its place.
    ///
    /// # Errors
    ///
    /// As for [`spawn_blocking`](Self::spawn_blocking).
    pub fn spawn_limited<F, T>(
        &self,
        closure: F,
        meta: Meta,
        limiter: &Limiter,
    ) -> Result<JoinHandle<T>, NoThread>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.blocking().spawn_limited(closure, named(meta), limiter)
    }

    /// Makes this the scheduler of the current thread until the guard goes: what looks for one there
    /// (a spawn, a sleep) finds it.
    pub fn enter(&self) -> Enter {
        context::enter(self.clone())
    }

    /// Tells the error hook.
    pub fn report(&self, report: &Report) {
        self.shared().hook.report(report);
    }

    /// The pool for closures that block.
    pub fn blocking(&self) -> &BlockingPool {
        self.0.blocking.get().expect("the pool is set before the handle leaves the crate")
    }

    /// What the builder attached: the crate above keeps there what belongs to this scheduler.
    pub fn extension(&self) -> &Arc<dyn Any + Send + Sync> {
        &self.0.extension
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.shards.len()
    }

    /// Whether this thread is one of them.
    pub fn has_this_worker(&self) -> bool {
        context::with_local(|local| local.is_some_and(|local| local.belongs_to(self.shared())))
    }

    /// How many tasks have not ended.
    pub fn tasks(&self) -> usize {
        self.lists().map(OwnedTasks::len).sum()
    }

    /// What each worker has done so far.
    pub fn metrics(&self) -> Vec<WorkerMetrics> {
        self.shared().remotes.iter().map(|remote| remote.counters.snapshot()).collect()
    }

    /// Whether the scheduler is shut down, or about to be: its tasks were asked to end.
    pub fn is_shut_down(&self) -> bool {
        self.shared().is_ending()
    }

    /// Whether its workers have left their loops, or are about to: from then on there are no timers.
    pub fn is_closing(&self) -> bool {
        self.shared().is_closing()
    }

    /// Asks every task to end, and those that they spawn. When the last one has, the scheduler closes.
    pub(crate) fn ask_all(&self) {
        let shared = self.shared();
        // First, and not those that come yet: they are what clean-up needs.
        let closures = || self.blocking().tasks().ask_those_here();
        if shared.closing.ask(|| self.lists(), closures) {
            shared.close();
        }
        // Those who sleep have not heard how long that may take.
        shared.unpark_all();
    }

    /// Ends the tasks of a worker that does not: but for the one that it is in the midst of.
    pub(crate) fn end_tasks_of(&self, worker: usize) {
        let remote = &self.shared().remotes[worker];
        self.shard(worker).tasks.shutdown_all();
        // Those are left to whoever has the queue; and nobody puts any there, but from within that poll.
        // Under no lock: their destructors are anybody's (D8).
        let seen = std::mem::take(&mut *remote.hat.lock());
        seen.into_iter().for_each(|task| task.shutdown());
        loop {
            match remote.stealer.steal() {
                Steal::Success(task) => task.shutdown(),
                Steal::Retry => {}
                Steal::Empty => match remote.slot.steal(remote.slot.look()) {
                    Some(task) => task.shutdown(),
                    None => return,
                },
            }
        }
    }

    /// Closes the scheduler, once its tasks were asked to end and are over. For a worker that has no more to do
    /// ([`Closing`](crate::closing::Closing)).
    pub(crate) fn close_if_no_tasks(&self) {
        let shared = self.shared();
        if shared.closing.is_due(self.lists()) {
            shared.close();
        }
    }

    /// Closes the scheduler, and names the tasks that were asked to end and did not.
    pub(crate) fn close(&self) {
        let shared = self.shared();
        // Before anybody ends them.
        let held_up: Vec<_> = self.lists().flat_map(OwnedTasks::held_up).collect();
        if !shared.close() {
            return;
        }
        for task in held_up.iter().take(NAMED) {
            shared.hook.report(&Report::not_stopped(task));
        }
        if let Some(more @ 1..) = held_up.len().checked_sub(NAMED) {
            shared.hook.report(&Report::shutdown_stuck(format!("{more} more such tasks")));
        }
    }

    /// What a worker is inside of.
    pub(crate) fn who(&self, worker: usize) -> Who {
        self.shared().remotes[worker].polled.who(self.lists())
    }

    pub(crate) fn set_blocking(&self, pool: BlockingPool) {
        if self.0.blocking.set(pool).is_err() {
            unreachable!("a scheduler has one pool");
        }
    }

    /// The lists of all tasks that are not over, but for blocking closures.
    fn lists(&self) -> impl Iterator<Item = &OwnedTasks> {
        self.0.shards.iter().map(|shard| &shard.tasks)
    }

    pub(crate) fn shard(&self, worker: usize) -> &Arc<Shard> {
        &self.0.shards[worker]
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shards[0].shared
    }

    /// The timers for a thread that is no worker.
    pub(crate) fn timers(&self) -> &Arc<Timers> {
        &self.shared().remotes[0].timers
    }

    pub(crate) fn downgrade(&self) -> WeakHandle {
        WeakHandle(Arc::downgrade(&self.0))
    }
}

/// With the name of the task that runs here, if it has none of its own.
fn named(meta: Meta) -> Meta {
    Meta { name: meta.name.or_else(task::name), ..meta }
}

/// A handle that keeps nothing alive.
#[derive(Clone)]
pub(crate) struct WeakHandle(std::sync::Weak<Inner>);

impl WeakHandle {
    pub(crate) fn upgrade(&self) -> Option<Handle> {
        self.0.upgrade().map(Handle)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("workers", &self.workers())
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}
