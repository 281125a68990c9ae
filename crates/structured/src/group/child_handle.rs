//! What whoever spawned a child has of it.

use super::core::Core;
use filch_atomic::sync::Arc;
use filch_sched::task::{AbortHandle, JoinHandle, TaskId};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A child of a group. Awaited, it yields the child's value.
///
/// There is no error to look at: if the child fails, whoever waits in the same group is cancelled. Where the
/// group ends before the child has a value, and in a group where it never began, this is never ready.
/// [`outcome`](Self::outcome) is, with `None`.
///
/// Dropping it changes nothing for the child: it is in its group.
///
/// # Cancel safety
///
/// Awaiting `&mut handle` is cancel safe: the value stays until it is taken.
///
/// # Panics
///
/// Awaiting a child that has no value though its group goes on: it was cancelled on its own, or it failed and
/// its group has a supervisor. That would otherwise wait for ever.
///
/// # Deadlocks
///
/// It is never ready if the group ends before the child has a value: whoever waits is cut then. So nobody should who is not,
/// behind a [shield](fn@filch_sched::scope::shielded), in clean-up, or in a task that is not in the group: there
/// [`outcome`](Self::outcome) is the one to await.
#[doc(alias = "JoinHandle")]
pub struct ChildHandle<T> {
    /// `None`: it was refused.
    child: Option<(JoinHandle<Option<T>>, Arc<Core>)>,
    is_over: bool,
}

impl<T> ChildHandle<T> {
    pub(super) fn new(task: JoinHandle<Option<T>>, core: Arc<Core>) -> Self {
        Self { child: Some((task, core)), is_over: false }
    }

    pub(super) fn refused() -> Self {
        Self { child: None, is_over: false }
    }

    /// Waits for the child's end, whatever that is. `None` if it has no value: it failed, panicked, was cancelled
    /// or never began.
    ///
    /// # Cancel safety
    ///
    /// A value that was not given is lost with this future.
    pub fn outcome(self) -> OutcomeOf<T> {
        OutcomeOf(self)
    }

    /// Asks the child to end, and gives it the time that it needs for that. No failure of the group. See
    /// [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        if let Some(task) = self.task() {
            task.cancel();
        }
    }

    /// Has the child dropped where it waits. No failure of the group. See [`JoinHandle::abort`].
    pub fn abort(&self) {
        if let Some(task) = self.task() {
            task.abort();
        }
    }

    /// Something that can cancel or abort the child without awaiting it. `None` if it never began.
    pub fn abort_handle(&self) -> Option<AbortHandle> {
        self.task().map(JoinHandle::abort_handle)
    }

    /// Whether the child is over, or was refused.
    pub fn is_finished(&self) -> bool {
        self.task().is_none_or(JoinHandle::is_finished)
    }

    /// Whether the group had ended, and so the child never began.
    pub fn is_refused(&self) -> bool {
        self.child.is_none()
    }

    /// The child's number. `None` if it was refused.
    pub fn id(&self) -> Option<TaskId> {
        self.task().map(JoinHandle::id)
    }

    /// The child's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.task()?.name()
    }

    /// Where the child was spawned. `None` if it was refused.
    pub fn spawn_location(&self) -> Option<&'static Location<'static>> {
        self.task().map(JoinHandle::spawn_location)
    }

    /// Its group's. `None` if it was refused.
    pub(super) fn core(&self) -> Option<&Core> {
        self.child.as_ref().map(|(_, core)| &**core)
    }

    fn task(&self) -> Option<&JoinHandle<Option<T>>> {
        self.child.as_ref().map(|(task, _)| task)
    }

    /// Its value, or `None` when it is over without one.
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Some((task, _)) = &mut self.child else { return Poll::Ready(None) };
        if self.is_over {
            return Poll::Ready(None);
        }
        let ended = ready!(Pin::new(task).poll(cx));
        self.is_over = true;
        // An error: it was cancelled. A panic does not get here.
        Poll::Ready(ended.ok().flatten())
    }
}

impl<T> Future for ChildHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(value) = ready!(self.poll_outcome(cx)) {
            return Poll::Ready(value);
        }
        match &self.child {
            // What made it have none was told to the group before.
            Some((task, core)) if !core.is_ending() => panic!(
                "task {} has no value, and its group goes on: it was cancelled on its own, or failed under a \
                 supervisor, or was awaited before; `outcome` asks",
                task.id()
            ),
            _ => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for ChildHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// The future that [`ChildHandle::outcome`] returns.
#[derive(Debug)]
#[must_use = "it does nothing unless it is awaited"]
pub struct OutcomeOf<T>(ChildHandle<T>);

impl<T> Future for OutcomeOf<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_outcome(cx)
    }
}
