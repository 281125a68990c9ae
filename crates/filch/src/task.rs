//! Tasks: spawning them, waiting for them, ending them.
//!
//! A task is a future that the runtime runs on its own, on whichever worker is free. [`spawn`] makes
//! one and gives its [`JoinHandle`]: awaited, that yields the task's output, or an error if the task
//! panicked, was aborted or was cancelled; dropped, it lets the task go on by itself.
//!
//! [`JoinHandle::cancel`] asks a task to end. [`cancellable`] says where it may, and what to clean up then;
//! [`shielded`] where it may not.
//!
//! ```
//! filch::run(async {
//!     let task = filch::task::Builder::new().name("answer").spawn(async { 42 });
//!     assert_eq!(task.name(), Some("answer"));
//!     assert_eq!(task.await.unwrap(), 42);
//! });
//! ```

use crate::handle::Handle;
use filch_sched::task::Meta;
use std::future::Future;

#[doc(inline)]
pub use filch_atomic::current::WaitKind;
#[doc(inline)]
pub use filch_sched::blocking::Limiter;
#[doc(inline)]
pub use filch_sched::scope::{
    Cancellable, Cancelled, Shielded, cancellable, check_cancelled, is_cancelled, shielded,
};
#[doc(inline)]
pub use filch_sched::task::{
    AbortHandle, AccessError, ContextVar, ErrorHook, JoinError, JoinHandle, LocalKey, Report,
    Scoped, TaskId, TaskLocalFuture, Token, YieldNow, id, name, try_id, yield_now,
};
#[doc(inline)]
pub use filch_structured::{
    All, Arms, AsCompleted, AsCompletedWithin, BoxError, ChildHandle, Children, Condition, Failure,
    First, FirstError, Gather, GatherResults, Group, GroupError, Named, NotReady, OrNone,
    OutcomeOf, Panicked, Race, Ready, Start, TaskGroup, TaskSet, TryChildren, TryGather, Until,
    Wait, Waited, as_completed, gather, gather_all, group, race, race_all, try_gather,
    try_gather_all,
};
pub use filch_structured::{EnvHandle, EnvScope, EnvTask, LocalHandle, LocalScope};

/// Spawns a task onto the runtime of this thread.
///
/// It may run at once, on another worker, or later. If nobody awaits it and it panics, or its output is
/// an `Err` of a common kind, that is reported through the runtime's error hook (see [`Report`]).
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
#[doc(alias = "create_task")]
#[doc(alias = "ensure_future")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    filch_sched::spawn(future, Meta::here())
}

/// Runs `future` as a task of its own, which goes on whatever becomes of the one that waits for it.
///
/// The waiter may be cancelled at once; the task is not. It is then as any task that nobody awaits: a panic,
/// or an error that can be recognised, goes to the error hook (see [`Report`]). To cancel it, keep the handle
/// and ask for that. The end of the runtime waits for it, for as long as its grace. (Not for the tasks that it
/// spawned itself: these are shields too, or are asked to end as any.)
///
/// [`shielded`] does the same in place, without a task: there the cancel has to wait.
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub fn shield<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    filch_sched::spawn_shield(future, Meta::here())
}

/// Runs a closure that blocks (a computation, a call into a library that waits) on a thread made for
/// that, so that no worker is held up. Its context is the runtime's: it may spawn, and block on futures. It has
/// the [`ContextVar`]s of the code that spawns it, and the name of its task.
///
/// Cancelled or aborted before it has begun it never does; once begun it runs to its end, and may ask
/// [`check_cancelled`]. To have not too many of a kind run at a time, spawn them with a
/// [`Limiter`](Builder::limiter).
///
/// # Panics
///
/// If there is no runtime on this thread, or the system has no thread to give and there is none yet.
#[track_caller]
#[doc(alias = "to_thread")]
#[doc(alias = "run_in_executor")]
#[doc(alias = "unblock")]
pub fn spawn_blocking<F, T>(closure: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Handle::current().spawn_blocking(closure)
}

/// Describes a task before it is spawned.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder spawns nothing by itself"]
pub struct Builder {
    task: filch_sched::task::Builder,
    limiter: Option<Limiter>,
}

impl Builder {
    /// Nothing special.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the task: the name is in its errors, its reports, and wherever tasks are shown.
    pub fn name(self, name: impl Into<Box<str>>) -> Self {
        Self { task: self.task.name(name), ..self }
    }

    /// Has a closure wait for its place at this limiter. For [`spawn_blocking`](Self::spawn_blocking).
    pub fn limiter(self, limiter: &Limiter) -> Self {
        Self { limiter: Some(limiter.clone()), ..self }
    }

    /// Spawns the task. See [`spawn`].
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        filch_sched::spawn(future, self.task.meta())
    }

    /// Runs a closure that blocks. See [`spawn_blocking`].
    ///
    /// ```
    /// use filch::task::{Builder, Limiter};
    ///
    /// # filch::run(async {
    /// let connections = Limiter::new(2);
    /// let query = Builder::new().name("query").limiter(&connections).spawn_blocking(|| 42);
    /// assert_eq!(query.await.unwrap(), 42);
    /// # });
    /// ```
    ///
    /// # Panics
    ///
    /// As [`spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F, T>(self, closure: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let spawned =
            Handle::current().spawn_blocking_as(closure, self.task.meta(), self.limiter.as_ref());
        match spawned {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }
}
