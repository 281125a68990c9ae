//! A runtime, as anybody may hold it.

use crate::error::NoRuntime;
use crate::home::Rings;
use crate::task::JoinHandle;
use filch_sched::blocking::{Limiter, NoThread};
use filch_sched::task::Meta;
use filch_sched::{BlockOnWorker, Enter, Submitted, WorkerMetrics};
use std::future::Future;
use std::sync::Arc;

/// Spawns onto a runtime from anywhere. Cheap to clone; does not keep the runtime running.
///
/// Once the runtime is gone, what is spawned ends at once: its handle yields an error that
/// [`is_shutdown`](crate::JoinError::is_shutdown).
#[derive(Debug, Clone)]
pub struct Handle(filch_sched::Handle);

impl Handle {
    pub(crate) fn new(handle: filch_sched::Handle) -> Self {
        Self(handle)
    }

    /// The runtime of this thread: its worker's, or the one that it has entered.
    ///
    /// # Panics
    ///
    /// If there is none: [`try_current`](Self::try_current) returns the error instead.
    #[track_caller]
    pub fn current() -> Self {
        match Self::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// The runtime of this thread: its worker's, or the one that it has entered.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn try_current() -> Result<Self, NoRuntime> {
        filch_sched::Handle::try_current().map(Self).ok_or(NoRuntime(()))
    }

    /// Spawns a task. See [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(future, Meta::here())
    }

    /// Spawns a task for a thread that runs no async code and wants to wait for it.
    ///
    /// ```
    /// let runtime = filch::Runtime::new()?;
    /// let handle = runtime.handle().clone();
    /// let from_elsewhere = std::thread::spawn(move || handle.submit(async { 42 }).wait());
    /// assert_eq!(from_elsewhere.join().unwrap().unwrap(), 42);
    /// # Ok::<(), filch::BuildError>(())
    /// ```
    #[track_caller]
    #[doc(alias = "run_coroutine_threadsafe")]
    pub fn submit<F>(&self, future: F) -> Submitted<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Submitted::new(self.spawn(future))
    }

    /// Runs a closure that blocks on a thread made for that. See
    /// [`spawn_blocking`](crate::spawn_blocking).
    ///
    /// # Panics
    ///
    /// If the system has no thread to give and there is none yet.
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, closure: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.try_spawn_blocking(closure) {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`spawn_blocking`](Self::spawn_blocking), for callers that have somebody to tell.
    #[track_caller]
    pub(crate) fn try_spawn_blocking<F, T>(&self, closure: F) -> Result<JoinHandle<T>, NoThread>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.0.spawn_blocking(closure, Meta::here())
    }

    /// As [`try_spawn_blocking`](Self::try_spawn_blocking), as the builder has it.
    pub(crate) fn spawn_blocking_as<F, T>(
        &self,
        closure: F,
        meta: Meta,
        limiter: Option<&Limiter>,
    ) -> Result<JoinHandle<T>, NoThread>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match limiter {
            Some(limiter) => self.0.spawn_limited(closure, meta, limiter),
            None => self.0.spawn_blocking(closure, meta),
        }
    }

    /// Runs `future` on this thread, which sleeps while it waits.
    ///
    /// # Panics
    ///
    /// On a worker's thread, of whichever runtime.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.try_block_on(future) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`block_on`](Self::block_on).
    ///
    /// # Errors
    ///
    /// On a worker's thread, of whichever runtime.
    pub fn try_block_on<F: Future>(&self, future: F) -> Result<F::Output, BlockOnWorker> {
        self.0.block_on(future)
    }

    /// Makes this the runtime of the current thread until the guard goes.
    pub fn enter(&self) -> Enter {
        self.0.enter()
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.0.workers()
    }

    /// Whether the runtime is shut down, or about to be: its tasks were asked to end.
    pub fn is_shut_down(&self) -> bool {
        self.0.is_shut_down()
    }

    /// As the scheduler knows it.
    pub(crate) fn inner(&self) -> &filch_sched::Handle {
        &self.0
    }

    /// How many operations are in flight in its rings, roughly.
    pub(crate) fn operations(&self) -> usize {
        let rings: Option<Arc<Rings>> = self.0.extension().clone().downcast().ok();
        let each = rings.iter().flat_map(|rings| rings.iter().flatten());
        each.map(filch_uring::Remote::operations).sum()
    }

    /// Whether it has no timers any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    /// Its rings.
    #[cfg(test)]
    pub(crate) fn extension(&self) -> Arc<dyn std::any::Any + Send + Sync> {
        self.0.extension().clone()
    }

    /// What the runtime has done so far. Reading it costs the workers nothing.
    pub fn metrics(&self) -> Metrics {
        let rings: Option<Arc<Rings>> = self.0.extension().clone().downcast().ok();
        let ring = |remote: Option<&filch_uring::Remote>| {
            remote.map(filch_uring::Remote::counts).unwrap_or_default()
        };
        Metrics {
            tasks: self.0.tasks(),
            workers: self.0.metrics(),
            rings: rings.iter().flat_map(|rings| rings.iter().map(ring)).collect(),
        }
    }
}

/// What a runtime has done since it started.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Metrics {
    /// Tasks that have not ended.
    pub tasks: usize,
    /// What each worker has done.
    pub workers: Vec<WorkerMetrics>,
    /// What each worker's ring has done.
    pub rings: Vec<RingMetrics>,
}

#[doc(inline)]
pub use filch_uring::Counts as RingMetrics;
