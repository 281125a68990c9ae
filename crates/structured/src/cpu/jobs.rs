//! Jobs, who runs them, and who waits for them.

use super::queue::{InQueue, Queue};
pub use filch_atomic::panics::Payload;
use filch_atomic::panics::{caught, drop_caught};
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::sync::{Condvar, Mutex};
use std::fmt;
use std::mem;
use std::sync::Arc;

/// A closure that somebody runs once.
pub type Job = Box<dyn FnOnce() + Send>;

/// All who run the jobs of an outermost scope, and of those within: whoever waits for one of these, and helpers.
pub struct Crew {
    state: Mutex<State>,
    most_helpers: usize,
    call: Call,
}

/// Has a new helper begin, on another thread. Called under no lock.
type Call = Box<dyn Fn(Helper) + Send + Sync>;

struct State {
    jobs: Queue,
    helpers: usize,
    /// What those wait for who sleep, and were not woken since.
    awaited: Vec<Arc<Work>>,
}

/// The jobs of one scope.
pub struct Work {
    crew: Arc<Crew>,
    /// The scope whose job it was made in.
    pub(super) outer: Option<Arc<Work>>,
    /// Where its jobs are.
    pub(super) in_queue: InQueue,
    /// How many are not over.
    pending: AtomicUsize,
    /// The first.
    panic: Mutex<Option<Payload>>,
    /// Told, under the crew's lock, when all are over, or when there is one to run.
    changed: Condvar,
}

/// A job in hand, to be run.
#[must_use = "a job that is not run is waited for"]
pub struct Begun {
    pub(super) job: Job,
    pub(super) work: Arc<Work>,
}

/// A place among the helpers, until this is dropped.
pub struct Helper {
    crew: Arc<Crew>,
    is_retired: bool,
}

impl Crew {
    /// Of whoever waits, and so many helpers at most, each of which `call` has begin.
    pub fn new(most_helpers: usize, call: impl Fn(Helper) + Send + Sync + 'static) -> Arc<Self> {
        let state = Mutex::new(State { jobs: Queue::new(), helpers: 0, awaited: Vec::new() });
        Arc::new(Self { state, most_helpers, call: Box::new(call) })
    }
}

impl Work {
    /// No jobs yet. Whoever waits for `outer` may run them as well.
    pub fn new(crew: Arc<Crew>, outer: Option<Arc<Work>>) -> Arc<Self> {
        let (pending, panic, changed) = (AtomicUsize::new(0), Mutex::new(None), Condvar::new());
        Arc::new(Self { crew, outer, in_queue: InQueue::new(), pending, panic, changed })
    }

    /// The crew that it is for.
    pub fn crew(&self) -> &Arc<Crew> {
        &self.crew
    }

    /// Adds a job, and calls a helper for it if there may be one more.
    pub fn push(self: &Arc<Self>, job: Job) {
        // Relaxed: whoever waits for it follows this in its own thread, or in that of a job which is counted
        // until later.
        self.pending.fetch_add(1, Ordering::Relaxed);
        let mut state = self.crew.state.lock();
        state.jobs.push(Begun { job, work: self.clone() });
        if !state.awaited.is_empty() {
            state.wake_one_for(self);
        }
        if state.helpers < self.crew.most_helpers {
            state.helpers += 1;
            drop(state);
            (self.crew.call)(Helper { crew: self.crew.clone(), is_retired: false });
        }
    }

    /// Runs jobs of this scope, and of scopes in them, its own and the youngest first, and returns when all are over.
    /// For the one who made it.
    pub fn wait(self: &Arc<Self>) {
        // Acquire: pairs with the Release in `Begun::run`: what the jobs did is visible, and they are gone.
        while self.pending.load(Ordering::Acquire) != 0 {
            let mut state = self.crew.state.lock();
            // Whether a job is ours is decided by where it was made, never by who is free: see the essay.
            if let Some(job) = state.jobs.youngest_of(self) {
                drop(state);
                job.run();
                continue;
            }
            // Acquire: as above. Under the lock, so that the last job either is seen or sees us sleep.
            if self.pending.load(Ordering::Acquire) != 0 {
                state.awaited.push(self.clone());
                self.changed.wait(&mut state);
                state.awaited.retain(|awaited| !Arc::ptr_eq(awaited, self));
            }
        }
    }

    /// What the first job that panicked did so with. For when all are over.
    pub fn take_panic(&self) -> Option<Payload> {
        self.panic.lock().take()
    }
}

impl State {
    /// Wakes one of those who may run a job of this scope and sleep, if there is one: the innermost. It stays until
    /// that job is over, so it looks whether anybody else has taken it.
    fn wake_one_for(&mut self, work: &Arc<Work>) {
        let mut next = Some(work);
        while let Some(work) = next {
            if let Some(place) = self.awaited.iter().position(|other| Arc::ptr_eq(other, work)) {
                // No more: the next job wakes another.
                self.awaited.swap_remove(place).changed.notify_one();
                return;
            }
            next = work.outer.as_ref();
        }
    }
}

impl Begun {
    /// Runs the job. It does not unwind from here.
    pub fn run(self) {
        let Self { job, work } = self;
        // From here to the count nothing may unwind, or somebody waits for ever.
        let abort = AbortOnUnwind;
        // Called by value: whatever it captured is dropped when this returns.
        if let Err(payload) = caught(|| super::within(&work, job)) {
            let other = {
                let mut first = work.panic.lock();
                if first.is_none() { first.replace(payload) } else { Some(payload) }
            };
            // Its destructor is anybody's code.
            drop_caught(other);
        }
        // Release: pairs with the Acquire in `wait`: the job, and what it borrowed, is used no more.
        if work.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            let state = work.crew.state.lock();
            if state.awaited.iter().any(|awaited| Arc::ptr_eq(awaited, &work)) {
                work.changed.notify_one();
            }
        }
        mem::forget(abort);
    }
}

impl Helper {
    /// The oldest job of an outermost scope. With none the helper is one no more.
    pub fn take(&mut self) -> Option<Begun> {
        let mut state = self.crew.state.lock();
        let job = state.jobs.oldest();
        // In the same section: who adds a job after this finds one helper less.
        if job.is_none() && !mem::replace(&mut self.is_retired, true) {
            state.helpers -= 1;
        }
        job
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if !self.is_retired {
            self.crew.state.lock().helpers -= 1;
        }
    }
}

/// Ends the process when it is dropped: in an unwind that must not be.
pub(super) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        eprintln!("filch: a panic where what jobs have borrowed would be lost; the process ends");
        std::process::abort();
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("most_helpers", &self.most_helpers).finish_non_exhaustive()
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: for the eye.
        let pending = self.pending.load(Ordering::Relaxed);
        f.debug_struct("Work").field("pending", &pending).finish_non_exhaustive()
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

impl fmt::Debug for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Helper").field("retired", &self.is_retired).finish()
    }
}
