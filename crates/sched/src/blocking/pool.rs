//! The queue, the threads, and who comes for what.

use super::Config;
use super::limiter::{Limited, Limiter, Slot};
use crate::clock::Clock;
use crate::scope::is_cancelled;
use crate::task::{
    ErrorHook, Header, JoinHandle, Meta, OwnedTasks, Schedule, Task, TaskInfo, spawn_task, try_id,
};
use filch_atomic::current::{WaitKind, unconstrained};
use filch_atomic::sync::atomic::AtomicBool;
use filch_atomic::sync::{Arc, Condvar, Mutex, MutexGuard};
use filch_atomic::thread;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::future::pending;
use std::io;
use std::ptr::{self, NonNull};
use std::time::Instant;

/// A pool of threads for closures that block. Cheap to clone; every clone is the same pool.
///
/// It has to be [shut down](Self::shutdown): dropping it leaves what is queued to the threads that there are.
#[derive(Clone)]
pub struct BlockingPool(Arc<Shared>);

pub(super) struct Shared {
    config: Config,
    state: Mutex<State>,
    /// Sleepers wait here.
    work: Condvar,
    /// Shutdown waits here.
    gone: Condvar,
    tasks: OwnedTasks,
}

/// What the lock protects; see the module's documentation for the counts.
#[derive(Default)]
struct State {
    queue: VecDeque<Task>,
    threads: usize,
    idle: usize,
    claimed: usize,
    alive: usize,
    /// How often [`BlockingPool::trim`] was called.
    trims: u64,
    closed: bool,
    /// How often the system refused a thread.
    refused: u64,
    /// The number of the next thread.
    serial: u64,
    /// The threads that are alive, by their number.
    handles: HashMap<u64, thread::JoinHandle<()>>,
    /// In whose lines tasks of this pool may wait.
    limiters: Vec<Limiter>,
}

/// What a pool is doing at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many threads there are.
    pub threads: usize,
    /// How many of them have nothing to do.
    pub idle: usize,
    /// How many closures wait for a thread.
    pub queued: usize,
    /// How often the system refused a thread.
    pub refused: u64,
}

/// How a shutdown went.
#[derive(Debug)]
#[non_exhaustive]
pub struct Shutdown {
    /// How many closures were dropped before they had begun.
    pub cancelled: usize,
    /// The closures that were still running at the deadline. They run on; their handles stay good.
    pub running: Vec<TaskInfo>,
}

/// The system refused a thread, and there is no other one to run the closure, which has been dropped.
#[derive(Debug)]
pub struct NoThread {
    /// What the system said.
    pub error: io::Error,
}

/// As [`NoThread`], with the task given back.
#[derive(Debug)]
pub struct Refused {
    /// What was to be run.
    pub task: Task,
    /// What the system said.
    pub error: io::Error,
}

filch_atomic::thread_local! {
    /// The pool whose thread this is.
    static POOL: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

impl BlockingPool {
    /// A pool without threads; they come with the work.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(Shared {
            config: Config { cap: config.cap.max(1), ..config },
            state: Mutex::new(State::default()),
            work: Condvar::new(),
            gone: Condvar::new(),
            tasks: OwnedTasks::new(),
        }))
    }

    /// Runs `closure` on a thread of the pool.
    ///
    /// The handle yields its output, or its panic. Dropping the handle leaves the closure alone. Aborting
    /// drops a closure that has not begun; one that has cannot be stopped. On a pool that was shut down the
    /// closure is dropped, and the handle yields an error that says so.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread and the pool has none. If it has one the closure waits for that.
    #[track_caller]
    pub fn spawn<F, T>(&self, closure: F) -> Result<JoinHandle<T>, NoThread>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(closure, Meta::here())
    }

    /// As [`spawn`](Self::spawn), for a closure with a name or another place of origin.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
    pub fn spawn_with<F, T>(&self, closure: F, meta: Meta) -> Result<JoinHandle<T>, NoThread>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let run = async move {
            if is_cancelled() {
                // It has not begun, and never does: who waits when it is cancelled is dropped.
                pending::<()>().await;
            }
            unconstrained(closure)
        };
        let (task, handle) = spawn_task(run, self.0.clone(), meta);
        match task.map_or(Ok(()), |task| self.submit(task)) {
            Ok(()) => Ok(handle),
            // Here the task goes, and with it the closure.
            Err(Refused { error, .. }) => Err(NoThread { error }),
        }
    }

    /// As [`spawn_with`](Self::spawn_with), for a closure that has to wait for its place.
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn).
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
        let granted = Arc::new(AtomicBool::new(false));
        let slot = Slot { limiter: limiter.clone(), granted: granted.clone() };
        let run = async move {
            let _slot = slot;
            if is_cancelled() {
                pending::<()>().await;
            }
            unconstrained(closure)
        };
        let (pool, limiter_too) = (self.0.clone(), limiter.clone());
        let limited = Limited { pool, limiter: limiter_too, granted: granted.clone() };
        let (task, handle) = spawn_task(run, limited, meta);
        task.map_or(Ok(()), |task| limiter.submit(&self.0, task, granted))?;
        Ok(handle)
    }

    /// Has a thread of the pool run `task` to its end. After shutdown the task is dropped.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread and the pool has none.
    pub fn submit(&self, task: Task) -> Result<(), Refused> {
        Shared::submit(&self.0, task)
    }

    /// Lets the threads go that have nothing to do.
    pub fn trim(&self) {
        self.0.state.lock().trims += 1;
        self.0.work.notify_all();
    }

    /// What the pool is doing.
    pub fn stats(&self) -> Stats {
        let state = self.0.state.lock();
        Stats {
            threads: state.threads,
            idle: state.idle,
            queued: state.queue.len(),
            refused: state.refused,
        }
    }

    /// Whether no closure runs or waits, and those that ran have woken who waited for them.
    pub fn is_quiet(&self) -> bool {
        // In this order: a closure leaves the list before it wakes, and its thread is idle after that.
        let none_is_left = self.0.tasks.is_empty();
        let Stats { threads, idle, queued, .. } = self.stats();
        none_is_left && threads == idle && queued == 0
    }

    /// Every closure that is not over.
    pub fn tasks(&self) -> &OwnedTasks {
        &self.0.tasks
    }

    /// As [`shutdown`](Self::shutdown) does before all else.
    #[cfg(test)]
    pub(super) fn close_for_tests(&self) {
        self.0.state.lock().closed = true;
    }

    /// Ends the pool: takes no more, drops what has not begun, waits for what has, until `deadline` at the
    /// latest (`None`: for as long as it takes).
    ///
    /// `deadline` is real time, whatever clock the runtime goes by: threads do not keep to a virtual one. On
    /// a thread of this very pool it does not wait for that thread.
    pub fn shutdown(&self, deadline: Option<Instant>) -> Shutdown {
        let shared = &*self.0;
        shared.tasks.close();
        let (queue, limiters) = {
            let mut state = shared.state.lock();
            state.closed = true;
            (std::mem::take(&mut state.queue), std::mem::take(&mut state.limiters))
        };
        shared.work.notify_all();
        let waiting: Vec<_> =
            limiters.iter().flat_map(|limiter| limiter.take_all_of(shared)).collect();
        let cancelled = queue.len() + waiting.len();
        drop((waiting, queue));
        let own = POOL.with(|pool| usize::from(ptr::eq(pool.get(), shared)));
        let mut state = shared.state.lock();
        while state.alive > own {
            match deadline {
                None => shared.gone.wait(&mut state),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Clock::real().now());
                    if left.is_zero() {
                        break;
                    }
                    shared.gone.wait_for(&mut state, left);
                }
            }
        }
        let over = state.alive <= own;
        let handles = std::mem::take(&mut state.handles);
        drop(state);
        if over && own == 0 {
            // They have nothing left to do but to end.
            for handle in handles.into_values() {
                let _ = handle.join();
            }
        }
        let own = if own == 1 { try_id() } else { None };
        let mut running = shared.tasks.snapshot();
        running.retain(|task| !over && Some(task.id) != own);
        Shutdown { cancelled, running }
    }
}

impl Shared {
    /// See [`BlockingPool::submit`].
    pub(super) fn submit(this: &Arc<Self>, task: Task) -> Result<(), Refused> {
        match Self::offer(this, task) {
            Ok(()) => Ok(()),
            Err((task, Some(error))) => Err(Refused { task, error }),
            Err((task, None)) => {
                task.shutdown();
                Ok(())
            }
        }
    }

    /// As [`submit`](Self::submit); after shutdown the task is given back, too.
    pub(super) fn offer(this: &Arc<Self>, task: Task) -> Result<(), (Task, Option<io::Error>)> {
        let mut state = this.state.lock();
        if state.closed {
            return Err((task, None));
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.claimed += 1;
            state.queue.push_back(task);
            drop(state);
            this.work.notify_one();
            return Ok(());
        }
        if state.threads < this.config.cap
            && let Err(error) = Self::add_thread(this, &mut state)
        {
            state.refused += 1;
            if state.threads == 0 {
                drop(state);
                return Err((task, Some(error)));
            }
        }
        // All threads are busy, and there is one.
        debug_assert!(state.threads > 0);
        state.queue.push_back(task);
        Ok(())
    }

    /// Notes that a task of this pool waits in that line. False after shutdown.
    pub(super) fn takes_note_of(&self, limiter: &Limiter) -> bool {
        let mut state = self.state.lock();
        if !state.closed && !state.limiters.iter().any(|known| known.is_same(limiter)) {
            // Those in whose lines nobody is left are forgotten: a program may make many.
            state.limiters.retain(|known| known.is_used_elsewhere());
            state.limiters.push(limiter.clone());
        }
        !state.closed
    }

    /// Has a task dropped whose closure was cancelled before it had begun.
    pub(super) fn dispose_of(&self, task: Task) {
        (self.config.dispose)(task);
    }

    /// Makes a thread, counts it, and leaves it to wait for the lock that is held here.
    fn add_thread(this: &Arc<Self>, state: &mut MutexGuard<'_, State>) -> io::Result<()> {
        let serial = state.serial;
        let shared = this.clone();
        let body = Box::new(move || thread_main(&shared, serial));
        let handle = (this.config.spawn_thread)(&this.config.thread_name, body)?;
        state.handles.insert(serial, handle);
        state.serial += 1;
        state.threads += 1;
        state.alive += 1;
        Ok(())
    }

    /// Runs what is queued until there is nothing to do for too long.
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            while let Some(task) = state.queue.pop_front() {
                drop(state);
                run_to_its_end(task);
                state = self.state.lock();
            }
            if state.closed || !self.sleep(&mut state) {
                break;
            }
        }
        // In the critical section that found nothing to do: from here on nobody counts on this thread.
        state.threads -= 1;
    }

    /// Waits to be claimed. False: it may go, and has ceased to be idle.
    fn sleep(&self, state: &mut MutexGuard<'_, State>) -> bool {
        state.idle += 1;
        let trims = state.trims;
        loop {
            let timed_out = self.work.wait_for(state, self.config.keep_alive);
            // The claim comes first: a spawner counts on it, and does not know that the time is over.
            if state.claimed > 0 {
                state.claimed -= 1;
                return true;
            }
            if timed_out || state.closed || state.trims != trims {
                state.idle -= 1;
                return false;
            }
        }
    }
}

impl Schedule for Shared {
    const WAITED_FOR: WaitKind = WaitKind::Blocking;

    fn schedule(&self, task: Task) {
        // A blocking task is in the queue or runs, from its spawn to its end; it is never idle.
        debug_assert!(false, "a blocking task was woken");
        task.shutdown();
    }

    fn asked(&self, task: NonNull<Header>) {
        let queued = {
            let mut state = self.state.lock();
            let place = state.queue.iter().position(|queued| queued.is(task));
            place.and_then(|place| state.queue.remove(place))
        };
        // If not, it runs, or is about to.
        if let Some(task) = queued {
            self.dispose_of(task);
        }
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.config.hook
    }
}

pub(super) fn run_to_its_end(task: Task) {
    let mut next = Some(task);
    while let Some(task) = next {
        // It does not unwind.
        next = task.run();
    }
}

/// What a thread of the pool does.
fn thread_main(shared: &Arc<Shared>, serial: u64) {
    /// Leaves the pool at the end, also if `around` panics or does not call the body.
    struct Leave<'a> {
        shared: &'a Shared,
        serial: u64,
        /// Whether `run` has returned, and taken the thread out of `threads`.
        has_run: bool,
    }
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            let mut state = self.shared.state.lock();
            let mut orphans = VecDeque::new();
            if !self.has_run {
                state.threads -= 1;
                if state.threads == 0 {
                    orphans = std::mem::take(&mut state.queue);
                }
            }
            state.alive -= 1;
            let handle = if state.closed { None } else { state.handles.remove(&self.serial) };
            drop(state);
            self.shared.gone.notify_all();
            drop(handle);
            drop(orphans);
        }
    }
    POOL.with(|pool| pool.set(&raw const **shared));
    let mut leave = Leave { shared, serial, has_run: false };
    let around = shared.config.around.clone();
    around(&mut || {
        if !leave.has_run {
            leave.shared.run();
            leave.has_run = true;
        }
    });
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPool")
            .field("config", &self.0.config)
            .field("stats", &self.stats())
            .finish()
    }
}

impl fmt::Display for NoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the system refused a thread for the blocking pool, which has none: {} (limits that may be \
             reached: the user's processes, `ulimit -u`; the container's, `pids.max`; memory)",
            self.error
        )
    }
}

impl Error for NoThread {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl From<NoThread> for io::Error {
    fn from(refused: NoThread) -> Self {
        io::Error::new(refused.error.kind(), refused)
    }
}
