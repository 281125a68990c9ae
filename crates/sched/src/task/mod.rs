#![doc = include_str!("README.md")]

mod attached;
mod builder;
mod cell;
mod error;
mod header;
mod id;
mod join;
mod local;
mod owned;
mod polled;
mod report;
mod runnable;
mod state;
mod vars;
mod waker;
mod yield_now;

pub use builder::Builder;
pub use error::JoinError;
pub use header::{Header, Meta};
pub(crate) use id::with_current;
pub use id::{Name, TaskId, id, is_awaited, is_shut_down, meta, name, try_id};
pub use join::{AbortHandle, JoinHandle};
pub use local::{AccessError, LocalKey, TaskLocalFuture};
pub use owned::{Marked, OwnedTasks, TaskInfo};
pub use polled::{Polled, Who};
pub use report::{ErrorHook, Report};
#[cfg(not(filch_loom))]
pub(crate) use report::{caught, drop_caught, message_of};
#[cfg(not(filch_loom))]
pub use report::{report, report_panic};
pub use runnable::Task;
#[cfg(not(filch_loom))]
pub(crate) use vars::KeepOutside;
pub use vars::{ContextVar, Scoped, Token};
pub use yield_now::{YieldNow, yield_now};

use filch_atomic::current::WaitKind;
use filch_atomic::sync::Arc;
use std::future::Future;
use std::ptr::NonNull;

/// Whom a task belongs to. Each task holds one, and drops it when its memory is freed.
///
/// Worth being small and cheap to clone: an [`Arc`] of a worker's shared part.
pub trait Schedule: Send + Sync + 'static {
    /// What whoever awaits one of its tasks is on record as waiting for.
    const WAITED_FOR: WaitKind = WaitKind::Join;

    /// Takes a task that was woken, or aborted, while it was idle. Called on the waking thread,
    /// which may be any, also from inside the poll of another task. Must neither run the task nor
    /// lose it.
    fn schedule(&self, task: Task);

    /// One of its tasks was asked to end, or aborted, and was not idle: it runs, or lies in a queue. There it may
    /// stay, as whoever runs it will end it. A queue that is not served soon had better let it go now.
    fn asked(&self, _task: NonNull<Header>) {}

    /// The owned list that tasks of this scheduler are in: the same one at every call.
    fn tasks(&self) -> &OwnedTasks;

    /// Where errors go that nobody awaits.
    fn hook(&self) -> &ErrorHook;
}

impl<S: Schedule> Schedule for Arc<S> {
    const WAITED_FOR: WaitKind = S::WAITED_FOR;

    fn schedule(&self, task: Task) {
        (**self).schedule(task);
    }

    fn asked(&self, task: NonNull<Header>) {
        (**self).asked(task);
    }

    fn tasks(&self) -> &OwnedTasks {
        (**self).tasks()
    }

    fn hook(&self) -> &ErrorHook {
        (**self).hook()
    }
}

/// Who asks a task to end when its runtime ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// The runtime, as most.
    Runtime,
    /// Whoever made it and waits for it, and who is asked: it is a child.
    Parent,
    /// The same, where that one is shielded, so that the end comes to neither before it comes to its own.
    ShieldedParent,
    /// Nobody: it is waited for.
    Nobody,
}

/// Makes a task of a future, with one allocation.
///
/// The task is in its scheduler's owned list, and *not* scheduled: that is the caller's, with the
/// [`Task`] it gets. If the list is closed, there is none: the future is already dropped, and the
/// handle yields an error that [is by shutdown](JoinError::is_shutdown).
pub fn spawn_task<F, S>(
    future: F,
    scheduler: S,
    meta: Meta,
) -> (Option<Task>, JoinHandle<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    spawn_task_asked_by(future, scheduler, meta, AskedBy::Runtime)
}

/// As [`spawn_task`], a task that is asked to end by somebody else when its runtime ends.
pub fn spawn_task_asked_by<F, S>(
    future: F,
    scheduler: S,
    meta: Meta,
    asked_by: AskedBy,
) -> (Option<Task>, JoinHandle<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    // SAFETY: both are `Send`.
    unsafe { cell::spawn(future, scheduler, meta, asked_by) }
}

/// As [`spawn_task`], for a future or an output that is not `Send`.
///
/// # Safety
///
/// The calling thread alone runs, shuts down and drops the task, polls and drops its handle, and
/// shuts down its owned list. (Wakers and abort handles may go anywhere.)
pub unsafe fn spawn_unchecked<F, S>(
    future: F,
    scheduler: S,
    meta: Meta,
) -> (Option<Task>, JoinHandle<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule,
{
    // SAFETY: the caller's word.
    unsafe { cell::spawn(future, scheduler, meta, AskedBy::Runtime) }
}
