//! What can go wrong with a runtime as a whole.

use filch_sched::{NO_RUNTIME, StartError};
use std::error::Error;
use std::{fmt, io};

/// A runtime could not be built. Says which call failed, the likely cause, and what to do.
#[derive(Debug)]
pub struct BuildError(StartError);

impl BuildError {
    /// Whether the system refused io_uring (and not, say, a thread).
    pub fn is_io_uring_refused(&self) -> bool {
        matches!(&self.0, StartError::Park { .. })
    }

    /// Whether the thread is a worker of a runtime already: await the future there.
    pub fn is_on_worker(&self) -> bool {
        matches!(&self.0, StartError::OnWorker(_))
    }
}

impl From<StartError> for BuildError {
    fn from(error: StartError) -> Self {
        Self(error)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot build a filch runtime: {}", self.0)
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A runtime has not run its main future to the end.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// It could not be built.
    Build(BuildError),
    /// It was interrupted: the main future was asked to end, and has, without an output.
    Interrupted,
}

impl RunError {
    /// Whether the main future was asked to end by SIGINT.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted)
    }

    /// As [`BuildError::is_io_uring_refused`].
    pub fn is_io_uring_refused(&self) -> bool {
        matches!(self, Self::Build(error) if error.is_io_uring_refused())
    }

    /// As [`BuildError::is_on_worker`].
    pub fn is_on_worker(&self) -> bool {
        matches!(self, Self::Build(error) if error.is_on_worker())
    }
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        Self::Build(error.into())
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => error.fmt(f),
            Self::Interrupted => f.write_str("the main future was interrupted"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Build(error) => error.source(),
            Self::Interrupted => None,
        }
    }
}

impl From<RunError> for io::Error {
    fn from(error: RunError) -> Self {
        io::Error::other(error)
    }
}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        io::Error::other(error)
    }
}

/// There is no runtime on this thread, and what was called needs one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRuntime(pub(crate) ());

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NO_RUNTIME)
    }
}

impl Error for NoRuntime {}

impl From<NoRuntime> for io::Error {
    fn from(error: NoRuntime) -> Self {
        io::Error::other(error)
    }
}
