//! Handing a socket on to the standard library, without losing what has come for it.

use filch_uring::SharedFd;
use std::os::fd::{AsFd, OwnedFd};
use std::{error, fmt, io};

/// A socket that could not be handed on as one of the standard library: it comes back, with the reason.
///
/// Bytes, a datagram or a connection may have come that nobody has taken: they would be lost (C1). Then the
/// kind of the error is [`ResourceBusy`](io::ErrorKind::ResourceBusy); take what is there and try again.
///
/// As an [`io::Error`] (by `?`, say) it is the reason alone, and the socket is closed.
pub struct IntoStdError<S>(Refused<S>);

impl<S> IntoStdError<S> {
    /// The socket.
    pub fn into_inner(self) -> S {
        self.0.object
    }

    /// Why it could not be handed on.
    pub fn error(&self) -> &io::Error {
        &self.0.error
    }
}

impl<S> fmt::Debug for IntoStdError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoStdError").field(&self.0.error).finish()
    }
}

impl<S> fmt::Display for IntoStdError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot hand on a socket: {}", self.0.error)
    }
}

impl<S> error::Error for IntoStdError<S> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0.error)
    }
}

impl<S> From<IntoStdError<S>> for io::Error {
    fn from(refused: IntoStdError<S>) -> Self {
        refused.0.error
    }
}

/// The part of a socket that would not go, and why.
pub(super) struct Refused<C> {
    object: C,
    error: io::Error,
}

impl<C> Refused<C> {
    pub(super) fn new(object: C, error: io::Error) -> Self {
        Self { object, error }
    }

    /// With the whole around the part.
    pub(super) fn of<S>(self, whole: impl FnOnce(C) -> S) -> IntoStdError<S> {
        IntoStdError(Refused { object: whole(self.object), error: self.error })
    }
}

/// Something has come, and nobody has taken it.
pub(super) fn unread(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, what)
}

/// A descriptor for the standard library. A second one: an operation may still hold the first (a shutdown,
/// say, whose future was dropped), which is closed when that is over.
pub(super) fn duplicate(fd: &SharedFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

/// Implements `into_std` for a type of one field, by that one's `into_fd`.
macro_rules! into_std {
    ($type:ident, $std:ty, $(#[$about:meta])*) => {
        impl $type {
            $(#[$about])*
            ///
            /// The socket blocks, as those of the standard library do at first; but for a listener that was taken
            /// over and did not.
            ///
            /// # Errors
            ///
            /// Gives the socket back if something has come for it that nobody has taken, if an earlier
            /// operation was dropped and failed later, or if the process has no descriptor left: for a moment there
            /// are two.
            ///
            /// # Cancel safety
            ///
            /// Dropped, the socket is closed.
            #[track_caller]
            pub fn into_std(
                self,
            ) -> impl Future<Output = Result<$std, crate::net::IntoStdError<Self>>> + Send {
                let at = std::panic::Location::caller();
                async move {
                    match self.0.into_fd(at).await {
                        Ok(fd) => Ok(<$std>::from(fd)),
                        Err(refused) => Err(refused.of(Self)),
                    }
                }
            }
        }
    };
}
pub(super) use into_std;
