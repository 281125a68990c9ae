//! How many closures of a kind may run at a time.

use super::pool::{NoThread, Refused, Shared};
use crate::task::{ErrorHook, Header, OwnedTasks, Schedule, Task};
use filch_atomic::current::WaitKind;
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use filch_atomic::sync::{Arc, Mutex};
use std::collections::VecDeque;
use std::fmt;
use std::ptr::NonNull;

/// Lets so many closures run at a time, of those that are spawned with it: as many as a database has
/// connections, a disk has arms, a library can bear. The others wait in line and take up no thread.
///
/// Cheap to clone; every clone is the same limiter. It may be shared by several runtimes.
///
/// A closure has its place until it is over, whoever still waits for it: that its task is cancelled or its handle
/// dropped does not stop it. One that is cancelled while it waits in line leaves the line.
#[derive(Clone)]
#[doc(alias = "CapacityLimiter")]
pub struct Limiter(Arc<Mutex<State>>);

struct State {
    limit: usize,
    in_use: usize,
    /// In line, first come, first served.
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    pool: Arc<Shared>,
    task: Task,
    granted: Arc<AtomicBool>,
}

impl Limiter {
    /// So many at a time.
    ///
    /// # Panics
    ///
    /// If it is 0: no closure would ever run.
    #[track_caller]
    pub fn new(limit: usize) -> Self {
        assert!(limit > 0, "a limiter of 0 would never let anything run");
        Self(Arc::new(Mutex::new(State { limit, in_use: 0, waiting: VecDeque::new() })))
    }

    /// How many may run at a time.
    pub fn limit(&self) -> usize {
        self.0.lock().limit
    }

    /// How many closures have a place: they run, or are about to.
    #[doc(alias = "borrowed_tokens")]
    pub fn in_use(&self) -> usize {
        self.0.lock().in_use
    }

    /// How many closures wait in line.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether anybody but the pool that asks knows it: then its line may have somebody in it.
    pub(super) fn is_used_elsewhere(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Gives the task to its pool, now or when it has a place.
    pub(super) fn submit(
        &self,
        pool: &Arc<Shared>,
        task: Task,
        granted: Arc<AtomicBool>,
    ) -> Result<(), NoThread> {
        let mut state = self.0.lock();
        if state.in_use < state.limit {
            state.grant(&granted);
            drop(state);
            // Refused it is dropped, and gives its place back.
            return Shared::submit(pool, task).map_err(|Refused { error, .. }| NoThread { error });
        }
        // The line's lock is held, so a shutdown that takes note of us finds what we put there.
        if !pool.takes_note_of(self) {
            drop(state);
            task.shutdown();
            return Ok(());
        }
        state.waiting.push_back(Waiting { pool: pool.clone(), task, granted });
        Ok(())
    }

    /// A place is free: it goes to the next in line whose pool takes it.
    fn release(&self) {
        loop {
            let mut state = self.0.lock();
            state.in_use -= 1;
            let Some(Waiting { pool, task, granted }) = state.waiting.pop_front() else { return };
            state.grant(&granted);
            drop(state);
            // If not, it has shut down; or no thread is left, and the system has none, and there is nobody to tell
            // but those who wait for it.
            let Err(refused) = Shared::offer(&pool, task) else { return };
            // Its place is given back here, for one after the other, and not by its own end: that would be a call
            // within a call for each in line.
            // Relaxed: as in `grant`.
            granted.store(false, Ordering::Relaxed);
            refused.0.shutdown();
        }
    }

    /// Takes a task out of the line.
    fn take(&self, task: NonNull<Header>) -> Option<Task> {
        let mut state = self.0.lock();
        let place = state.waiting.iter().position(|waiting| waiting.task.is(task))?;
        state.waiting.remove(place).map(|waiting| waiting.task)
    }

    /// Takes the tasks of a pool out of the line, which has shut down.
    pub(super) fn take_all_of(&self, pool: &Shared) -> Vec<Task> {
        let mut state = self.0.lock();
        let (theirs, others) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|waiting| std::ptr::eq(&*waiting.pool, pool));
        state.waiting = others.into();
        theirs.into_iter().map(|waiting| waiting.task).collect()
    }
}

impl State {
    fn grant(&mut self, granted: &AtomicBool) {
        self.in_use += 1;
        // Relaxed: the task is handed on after this, by locks.
        granted.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Limiter")
            .field("limit", &state.limit)
            .field("in_use", &state.in_use)
            .field("waiting", &state.waiting.len())
            .finish()
    }
}

/// What a closure with a limiter holds until it is over, or dropped: its place, once it has one.
pub(super) struct Slot {
    pub(super) limiter: Limiter,
    pub(super) granted: Arc<AtomicBool>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Relaxed: as in `grant`.
        if self.granted.load(Ordering::Relaxed) {
            self.limiter.release();
        }
    }
}

/// Whom a closure with a limiter belongs to.
pub(super) struct Limited {
    pub(super) pool: Arc<Shared>,
    pub(super) limiter: Limiter,
    pub(super) granted: Arc<AtomicBool>,
}

impl Schedule for Limited {
    const WAITED_FOR: WaitKind = Shared::WAITED_FOR;

    fn schedule(&self, task: Task) {
        self.pool.schedule(task);
    }

    fn tasks(&self) -> &OwnedTasks {
        self.pool.tasks()
    }

    fn hook(&self) -> &ErrorHook {
        self.pool.hook()
    }

    fn asked(&self, task: NonNull<Header>) {
        // Relaxed: a hint. One that has a place is not in line, and those in line are many, perhaps.
        let is_in_line = !self.granted.load(Ordering::Relaxed);
        match is_in_line.then(|| self.limiter.take(task)).flatten() {
            Some(task) => self.pool.dispose_of(task),
            None => self.pool.asked(task),
        }
    }
}
