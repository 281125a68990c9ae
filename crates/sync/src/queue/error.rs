//! What can go wrong with a queue.

use std::error::Error;
use std::fmt;

/// A `put` that did not happen, and the item that was not put (QUEUE-7).
#[doc(alias = "SendError")]
#[doc(alias = "TrySendError")]
#[derive(Clone, PartialEq, Eq)]
pub struct PutError<T> {
    /// The item, as it was given.
    pub item: T,
    /// Why it was not put.
    pub kind: PutErrorKind,
}

impl<T> PutError<T> {
    /// The item that was not put.
    pub fn into_inner(self) -> T {
        self.item
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<T> Error for PutError<T> {}

/// Why something was not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutErrorKind {
    /// There is no room now, or the room is for those who already wait. Only of what does not wait itself.
    #[doc(alias = "QueueFull")]
    Full,
    /// The queue was shut down, and takes nothing any more.
    #[doc(alias = "QueueShutDown")]
    #[doc(alias = "Closed")]
    ShutDown,
}

impl fmt::Display for PutErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the queue is full"),
            Self::ShutDown => ShutDown.fmt(f),
        }
    }
}

impl Error for PutErrorKind {}

/// Why nothing could be had without waiting.
#[doc(alias = "TryRecvError")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryGetError {
    /// There is no item now, or those that are there are for getters that already waited.
    #[doc(alias = "QueueEmpty")]
    Empty,
    /// The queue was shut down, and nothing is left in it.
    #[doc(alias = "QueueShutDown")]
    #[doc(alias = "Closed")]
    ShutDown,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue is empty"),
            Self::ShutDown => ShutDown.fmt(f),
        }
    }
}

impl Error for TryGetError {}

/// The queue was shut down: it takes nothing any more, or has nothing left to give.
#[doc(alias = "QueueShutDown")]
#[doc(alias = "RecvError")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutDown;

impl fmt::Display for ShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue was shut down")
    }
}

impl Error for ShutDown {}

/// More work was declared done than there were items (QUEUE-10).
#[doc(alias = "ValueError")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoneTooOften;

impl fmt::Display for DoneTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than there were items")
    }
}

impl Error for DoneTooOften {}
