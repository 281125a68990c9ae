//! Why a task has no output.

use super::report::message_of;
use super::{Name, TaskId};
use std::any::Any;
use std::error::Error;
use std::fmt;

/// How a task ended without an output, as its cell keeps it.
pub(super) enum Failure {
    /// Somebody aborted it.
    Cancelled,
    /// Its runtime went away.
    Shutdown,
    /// It panicked, or its future's destructor did.
    Panic(Box<dyn Any + Send>),
}

/// A task ended without an output: it was cancelled, or it panicked.
pub struct JoinError {
    id: TaskId,
    name: Option<Name>,
    failure: Failure,
}

// SAFETY: of what it holds only a panic's payload is not `Sync`. A shared error gives no access to
// it but to look whether it is one of two types that are `Sync` (`message_of`); asking for its type
// runs no code of the payload's.
unsafe impl Sync for JoinError {}

impl JoinError {
    pub(super) fn new(id: TaskId, name: Option<Name>, failure: Failure) -> Self {
        Self { id, name, failure }
    }

    /// The task was cancelled before it had an output: aborted, or dropped with its runtime. Its
    /// future is dropped by the time that anybody gets this error.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.failure, Failure::Cancelled | Failure::Shutdown)
    }

    /// The task was cancelled because its runtime went away, or had done so when it was spawned.
    pub fn is_shutdown(&self) -> bool {
        matches!(self.failure, Failure::Shutdown)
    }

    /// The task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.failure, Failure::Panic(_))
    }

    /// What the task panicked with, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// If the task did not panic; [`is_panic`](Self::is_panic) and
    /// [`try_into_panic`](Self::try_into_panic) tell.
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("this task did not panic: {error}"),
        }
    }

    /// What the task panicked with.
    ///
    /// # Errors
    ///
    /// The error itself, if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.failure {
            Failure::Panic(payload) => Ok(payload),
            _ => Err(self),
        }
    }

    /// Which task.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The name of the task, if it had one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", Label(self.id, self.name.as_deref()))?;
        match &self.failure {
            Failure::Cancelled => f.write_str(" was cancelled"),
            Failure::Shutdown => f.write_str(" was cancelled: its runtime has shut down"),
            Failure::Panic(payload) => write!(f, " panicked: {}", message_of(&**payload)),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {}

/// A task as messages name it: `7`, or `7 "reader"`.
pub(super) struct Label<'a>(pub(super) TaskId, pub(super) Option<&'a str>);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        self.1.map_or(Ok(()), |name| write!(f, " {name:?}"))
    }
}
