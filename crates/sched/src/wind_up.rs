//! How the workers of a scheduler end together (D7).

use crate::park::Leaked;
use crate::task::{OwnedTasks, Task};
use crate::timer::Timers;
use filch_atomic::panics::{caught, drop_caught};
use filch_atomic::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// So long may a worker take, beyond the deadline, to give up what is in flight in its park.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// Where the workers meet at the end.
///
/// 1. Every task is asked to end, and the workers run on until none is left, or not much of the time.
/// 2. The scheduler closes: every worker leaves its loop after its present poll.
/// 3. Each ends the tasks that are its own, drains its queues and the injector, and waits here for the
///    others: until no task is left, none can hold an operation of a ring that is about to close.
/// 4. Each ends its park, drains once more what that woke, and says so here.
///
/// One deadline bounds all of it. Who is not there by then (a poll that does not return) is left
/// behind, by name.
#[derive(Debug)]
pub struct WindUp {
    progress: Mutex<Progress>,
    changed: Condvar,
    workers: usize,
}

#[derive(Debug, Default)]
struct Progress {
    /// `None` while the scheduler runs.
    deadline: Option<Instant>,
    /// When the workers leave their loops, though their tasks are not over.
    until: Option<Instant>,
    /// The workers leave their loops.
    has_closed: bool,
    /// How many workers are rid of their tasks.
    without_tasks: usize,
    ended: Vec<usize>,
    leaked: Vec<(usize, Leaked)>,
}

/// What was left behind.
#[derive(Debug, Default)]
pub struct LeftBehind {
    /// Workers that did not end in time.
    pub workers: Vec<usize>,
    /// Workers whose operations did not end in time, and those.
    pub leaked: Vec<(usize, Leaked)>,
}

impl WindUp {
    /// For as many workers.
    pub fn new(workers: usize) -> Self {
        Self { progress: Mutex::new(Progress::default()), changed: Condvar::new(), workers }
    }

    /// Sets the deadline. Before the scheduler closes, or its workers would see none. The first one
    /// stands.
    pub fn begin(&self, deadline: Instant) {
        self.progress.lock().deadline.get_or_insert(deadline);
    }

    /// So long may the tasks take, once they are asked to end. Before they are, or workers would see no limit. The
    /// first one stands.
    pub fn lets_tasks_run(&self, until: Instant) {
        self.progress.lock().until.get_or_insert(until);
    }

    /// When the tasks have had their time. For every worker, when it looks at a clock: any of them may be stuck.
    pub fn until(&self) -> Option<Instant> {
        self.progress.lock().until
    }

    /// The scheduler has closed.
    pub fn has_closed(&self) {
        self.progress.lock().has_closed = true;
        self.changed.notify_all();
    }

    /// Waits until the scheduler has closed, because its tasks are over, or for that moment.
    pub fn wait_for_close(&self, until: Instant) {
        let mut progress = self.progress.lock();
        while !progress.has_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.changed.wait_for(&mut progress, left) {
                return;
            }
        }
    }

    /// When everything must be over.
    pub fn deadline(&self) -> Option<Instant> {
        self.progress.lock().deadline
    }

    /// What a worker does once its loop is over, on its own thread: ends the tasks that are its own, those
    /// that `queued` still finds in the queues, waits for the others to be as far, and ends its park. True
    /// for the last worker.
    pub fn end_worker(
        &self,
        worker: usize,
        tasks: &OwnedTasks,
        timers: &Timers,
        mut queued: impl FnMut() -> Option<Task>,
        mut end_park: impl FnMut(Option<Instant>) -> Result<(), Leaked>,
    ) -> bool {
        tasks.shutdown_all();
        // Wakes those who sleep by this worker's timers. Another worker's task may be among them: that
        // worker leaves it to whoever has it queued, so the queues are drained after this.
        // Should the waker of somebody else panic, that has been said, and is no reason to stop.
        let _ = caught(|| timers.close()).map_err(drop_caught);
        // A task's destructor may wake others, which come here too; ending cancels, so this ends.
        std::iter::from_fn(&mut queued).for_each(Task::shutdown);
        // Nobody closes a ring while a task on another worker could still hold one of its operations.
        self.all_tasks_ended();
        // It wakes, too, and disposes of what nobody wants: each panic has used up one of those, so this
        // comes to its end.
        let ended = loop {
            match caught(|| end_park(self.deadline())) {
                Ok(ended) => break ended,
                Err(payload) => drop_caught(payload),
            }
            if self.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                break Err(Leaked { operations: 0, what: "ending it panicked".into() });
            }
        };
        // What the park's end woke: a task of a worker that is late, whose queue this is not. Left here,
        // it would keep the queue alive that keeps it.
        std::iter::from_fn(queued).for_each(Task::shutdown);
        self.park_ended(worker, ended)
    }

    /// A worker's tasks are gone. Waits until those of all workers are, or for the deadline.
    fn all_tasks_ended(&self) {
        let mut progress = self.progress.lock();
        progress.without_tasks += 1;
        self.changed.notify_all();
        self.wait(&mut progress, |progress| progress.without_tasks == self.workers);
    }

    /// A worker's park is gone, or leaked. True for the last.
    fn park_ended(&self, worker: usize, outcome: Result<(), Leaked>) -> bool {
        let mut progress = self.progress.lock();
        progress.ended.push(worker);
        if let Err(leaked) = outcome {
            progress.leaked.push((worker, leaked));
        }
        self.changed.notify_all();
        progress.ended.len() == self.workers
    }

    /// Waits until all workers have ended, or for the deadline, and says what is left.
    pub fn all_ended(&self) -> LeftBehind {
        let mut progress = self.progress.lock();
        self.wait(&mut progress, |progress| progress.ended.len() == self.workers);
        // Those who waited for a worker that is stuck waited for the deadline as well. They are not what
        // is stuck: they end now, without another wait.
        while progress.ended.len() < progress.without_tasks
            && !self.changed.wait_for(&mut progress, LAST_STEPS)
        {}
        LeftBehind {
            workers: (0..self.workers).filter(|worker| !progress.ended.contains(worker)).collect(),
            leaked: progress.leaked.clone(),
        }
    }

    fn wait(
        &self,
        progress: &mut filch_atomic::sync::MutexGuard<'_, Progress>,
        done: impl Fn(&Progress) -> bool,
    ) {
        while !done(progress) {
            let left = progress.deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() || self.changed.wait_for(progress, left) {
                return;
            }
        }
    }
}
