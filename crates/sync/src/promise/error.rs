//! What can become of a promise but that it is fulfilled.

use std::error::Error;
use std::fmt;

/// A value that nobody can receive any more, since the promise was dropped (PROMISE-4): [`Setter::set`] and
/// [`SharedSetter::set`] give it back.
///
/// [`Setter::set`]: super::Setter::set
/// [`SharedSetter::set`]: super::SharedSetter::set
///
/// ```
/// let (setter, promise) = filch_sync::promise();
/// drop(promise);
/// let unwanted = setter.set("value").unwrap_err();
/// assert_eq!(unwanted.to_string(), "the promise was dropped: nobody wants its value");
/// assert_eq!(unwanted.into_inner(), "value");
/// ```
#[doc(alias = "SendError")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unwanted<T> {
    pub(super) value: T,
}

impl<T> Unwanted<T> {
    /// The value, as it was given.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> fmt::Debug for Unwanted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unwanted").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Unwanted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the promise was dropped: nobody wants its value")
    }
}

impl<T> Error for Unwanted<T> {}

/// The setter of a promise was dropped without a value.
#[doc(alias = "CancelledError")]
#[doc(alias = "RecvError")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned;

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the promise was abandoned: its setter was dropped without a value")
    }
}

impl Error for Abandoned {}

/// Why there is no value to be had.
#[doc(alias = "InvalidStateError")]
#[doc(alias = "TryRecvError")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryGetError {
    /// It is not there yet.
    Pending,
    /// The setter was dropped without one: see [`Abandoned`].
    Abandoned,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("the promise is not fulfilled yet"),
            Self::Abandoned => Abandoned.fmt(f),
        }
    }
}

impl Error for TryGetError {}
