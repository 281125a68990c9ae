//! A task that is to be run: what queues hold.

use super::header::Header;
use super::{Polled, TaskId};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// The right and the duty to run a task once.
///
/// There is one while the task is notified and nobody runs it; it cannot be cloned. So a task that
/// is in a queue is in that one only (S1), and by one worker at a time polled (S3). One pointer
/// wide, and holds no reference of its own: a task that is to be run is not over, and what is not
/// over is alive.
///
/// Dropping it is [`shutdown`](Self::shutdown): the duty is not forgotten. That runs the future's
/// destructor, so a queue of tasks must not be dropped under a lock.
#[must_use = "dropping it cancels the task"]
pub struct Task(NonNull<Header>);

// SAFETY: a task is spawned with a future and an output that are `Send`, or by `spawn_unchecked`,
// whose caller has promised to keep its `Task` on one thread.
unsafe impl Send for Task {}
// SAFETY: a shared `Task` gives access to what never changes only.
unsafe impl Sync for Task {}

impl Task {
    /// Polls the task once, or drops its future if it was cancelled.
    ///
    /// `Some` if the task was woken during its own poll (S3): it has had its turn, so it belongs at
    /// the back of the queue. `None` if it is over, or waits: then its next wake hands it to
    /// [`Schedule`](super::Schedule).
    ///
    /// The future, its destructor and its output's may panic; that does not unwind from here.
    #[must_use = "a task that was woken during its poll must be queued again"]
    pub fn run(self) -> Option<Self> {
        self.run_shown(&Polled::new())
    }

    /// As [`run`](Self::run); meanwhile `polled` shows the task to those who watch.
    #[must_use = "a task that was woken during its poll must be queued again"]
    #[inline]
    pub fn run_shown(self, polled: &Polled) -> Option<Self> {
        let header = self.into_raw();
        // SAFETY: this `Task` was the caller's, so the task is alive; its table is of its own
        // types.
        let again = unsafe { (header.as_ref().vtable.run)(header, polled) };
        // SAFETY: `true` means that the `Task` is ours again.
        again.then(|| unsafe { Self::from_raw(header) })
    }

    /// Drops the task's future, here, and ends the task as cancelled by the shutdown of its
    /// runtime.
    pub fn shutdown(self) {
        drop(self);
    }

    /// Whether it is that task.
    pub(crate) fn is(&self, task: NonNull<Header>) -> bool {
        self.0 == task
    }

    /// Which task.
    pub fn id(&self) -> TaskId {
        self.header().id
    }

    /// The task as a pointer, for queues made of atomics. [`from_raw`](Self::from_raw) must follow,
    /// or the task is never run.
    pub fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    /// The task from a pointer.
    ///
    /// # Safety
    ///
    /// The pointer is from [`into_raw`](Self::into_raw), and used once.
    pub unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// What every task has.
    pub fn header(&self) -> &Header {
        // SAFETY: the task is not over while there is a `Task` of it, so its life's reference is
        // there.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // It is notified, so this only sets the bits and never asks for it to be scheduled.
        let idle = self.header().state.cancel(true);
        debug_assert!(!idle, "a task in hand is notified");
        // SAFETY: this is the `Task`, which is given up.
        let again = unsafe { (self.header().vtable.run)(self.0, &Polled::new()) };
        debug_assert!(!again, "a cancelled task is over once run");
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(self.header()).finish()
    }
}
