//! What can be gathered.

use crate::asking::Asking;
use crate::members::output;
use filch_sched::Keeper;
use filch_sched::task::{JoinError, JoinHandle, Meta, TaskId};
use std::future::Future;
use std::panic::Location;
use std::task::{Context, Poll, ready};

/// Futures that [`gather`](super::gather) makes tasks of: a tuple of up to twelve, an array, or a `Vec`.
///
/// Nobody else implements it.
pub trait Children: Sized {
    /// What all of them yield, in order.
    type Outputs;
    /// The same, with the error in place of what a child did not yield.
    type Results;
    #[doc(hidden)]
    type Tasks: Tasks<Outputs = Self::Outputs, Results = Self::Results>;
    #[doc(hidden)]
    fn spawn(self, location: &'static Location<'static>) -> Self::Tasks;
}

/// Futures of `Result`s with errors of one type, that [`try_gather`](super::try_gather) makes tasks of: a tuple of up
/// to twelve, an array, or a `Vec`.
///
/// Nobody else implements it.
pub trait TryChildren: Children {
    /// What all of them yield, in order, if all succeed.
    type Values;
    /// What one of them yields if it fails.
    type Error;
    #[doc(hidden)]
    fn spawn_to_try(self, location: &'static Location<'static>) -> Self::Tasks;
    #[doc(hidden)]
    fn take_failure(tasks: &mut Self::Tasks) -> Option<Failure<Self::Error>>;
    #[doc(hidden)]
    fn values(tasks: Self::Tasks) -> Self::Values;
}

/// The tasks that children have become. Dropped, they run on.
pub trait Tasks {
    /// See [`Children`].
    type Outputs;
    /// See [`Children`].
    type Results;
    /// Ready when all have ended. May be called again then.
    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    /// Asks those who run to end.
    fn cancel_all(&self, asking: &mut Asking);
    /// Leaves those who run to themselves: nobody asks them but the end of their runtime.
    fn disown_all(&self, asking: &mut Asking);
    /// Takes the error of one that has panicked: of those that have ended, the first.
    fn take_panic(&mut self) -> Option<JoinError>;
    /// Whether one of those that have ended was cancelled.
    fn has_cancelled(&self) -> bool;
    /// Whether one of these was on its own: not with its runtime.
    fn has_aborted(&self) -> bool;
    /// Takes the errors of those that have ended without an output.
    fn each_error(self, each: &mut dyn FnMut(JoinError));
    /// When all have ended with an output.
    fn outputs(self) -> Self::Outputs;
    /// When all have ended.
    fn results(self) -> Self::Results;
}

/// How a child failed.
#[derive(Debug)]
pub enum Failure<E> {
    /// By what it yielded.
    Error(E),
    /// By a panic.
    Panic(JoinError),
}

/// Spawns one child.
pub(super) fn spawn_at<F>(future: F, location: &'static Location<'static>) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    Keeper::here().spawn(future, Meta { id: TaskId::next(), name: None, location })
}

/// One child's task.
#[derive(Debug)]
pub enum Slot<T> {
    /// It has not ended, as far as is known here.
    Running(JoinHandle<T>),
    /// It has.
    Over(Result<T, JoinError>),
    /// What it had to say was taken.
    Taken,
}

impl<T> Slot<T> {
    /// Ready when it has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Running(handle) = self {
            ready!(handle.poll_finished(cx));
            *self = Self::Over(output(handle));
        }
        Poll::Ready(())
    }

    pub(super) fn cancel(&self, asking: &mut Asking) {
        if let Self::Running(handle) = self {
            asking.ask(|| handle.cancel());
        }
    }

    pub(super) fn disown(&self, asking: &mut Asking) {
        if let Self::Running(handle) = self {
            asking.ask(|| handle.disown());
        }
    }

    /// Takes the error of one that has panicked.
    pub(super) fn take_panic(&mut self) -> Option<JoinError> {
        if matches!(self, Self::Over(Err(error)) if error.is_panic()) {
            self.take_error()
        } else {
            None
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        matches!(self, Self::Over(Err(error)) if error.is_cancelled())
    }

    pub(super) fn is_aborted(&self) -> bool {
        matches!(self, Self::Over(Err(error)) if error.is_cancelled() && !error.is_shutdown())
    }

    pub(super) fn take_error(&mut self) -> Option<JoinError> {
        if !matches!(self, Self::Over(Err(_))) {
            return None;
        }
        match std::mem::replace(self, Self::Taken) {
            Self::Over(Err(error)) => Some(error),
            _ => unreachable!("just looked at"),
        }
    }

    /// What it came to, when it has ended.
    pub(super) fn result(self) -> Result<T, JoinError> {
        match self {
            Self::Over(result) => result,
            _ => unreachable!("it has ended, and nothing was taken"),
        }
    }

    /// Its output, when it has ended with one.
    pub(super) fn output(self) -> T {
        self.result().unwrap_or_else(|error| unreachable!("it has an output: {error}"))
    }
}

impl<V, E> Slot<Result<V, E>> {
    /// Takes out how it failed, if it did.
    pub(super) fn take_failure(&mut self) -> Option<Failure<E>> {
        if !matches!(self, Self::Over(Ok(Err(_)))) {
            return self.take_panic().map(Failure::Panic);
        }
        match std::mem::replace(self, Self::Taken) {
            Self::Over(Ok(Err(error))) => Some(Failure::Error(error)),
            _ => unreachable!("just looked at"),
        }
    }

    /// What it yielded, when it has succeeded.
    pub(super) fn value(self) -> V {
        match self.output() {
            Ok(value) => value,
            Err(_) => unreachable!("it has succeeded"),
        }
    }
}
