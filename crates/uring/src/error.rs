//! Errors of the driver itself.

use std::collections::BTreeMap;
use std::{error, fmt, fs, io};

/// A driver could not be set up: which call failed, why, and what to do about it.
#[derive(Debug)]
pub struct SetupError {
    call: &'static str,
    cause: Cause,
    error: io::Error,
}

/// The likely reason why the system refused a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A seccomp filter forbids io_uring: containers commonly run under one.
    Seccomp,
    /// `kernel.io_uring_disabled` forbids it.
    Sysctl,
    /// The limit on locked memory, or memory itself, is used up.
    Memory,
    /// The process or the system has no descriptors left.
    Descriptors,
    /// The kernel has no io_uring, or one without what the driver needs.
    Kernel,
    /// The signal that was asked for cannot be handled ([`Rescue::Signal`](crate::Rescue::Signal)).
    Signal,
    /// None of the above.
    Unknown,
}

impl SetupError {
    pub(crate) fn new(call: &'static str, error: io::Error) -> Self {
        let cause = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) if sysctl_forbids() => Cause::Sysctl,
            Some(libc::EPERM | libc::EACCES) => Cause::Seccomp,
            Some(libc::ENOSYS) if seccomp_is_active() => Cause::Seccomp,
            Some(libc::ENOSYS | libc::EINVAL) => Cause::Kernel,
            Some(libc::ENOMEM) => Cause::Memory,
            Some(libc::EMFILE | libc::ENFILE) => Cause::Descriptors,
            _ => Cause::Unknown,
        };
        Self { call, cause, error }
    }

    /// No handler can be installed.
    pub(crate) fn signal(error: io::Error) -> Self {
        Self { call: "sigaction", cause: Cause::Signal, error }
    }

    /// The kernel took the call but lacks `what`.
    pub(crate) fn lacking(what: &'static str) -> Self {
        let error = io::Error::new(io::ErrorKind::Unsupported, what);
        Self { call: "io_uring_setup", cause: Cause::Kernel, error }
    }

    /// The system call that failed.
    pub fn call(&self) -> &'static str {
        self.call
    }

    /// The likely reason.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The error number, if the kernel gave one.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.error.raw_os_error()
    }

    /// What to do about it, in a sentence.
    pub fn advice(&self) -> &'static str {
        match self.cause {
            Cause::Seccomp => {
                "a seccomp filter most likely forbids io_uring (container runtimes do by default): \
                 allow io_uring_setup, io_uring_enter and io_uring_register in its profile"
            }
            Cause::Sysctl => {
                "the sysctl kernel.io_uring_disabled forbids io_uring: set it to 0, or to 1 with the \
                 process in the group kernel.io_uring_group"
            }
            Cause::Memory => {
                "there is not enough memory, or the limit on locked memory is used up: raise it \
                 (ulimit -l, LimitMEMLOCK=) or use fewer workers"
            }
            Cause::Descriptors => {
                "no descriptors are left: raise the limit (ulimit -n, LimitNOFILE=) or close some"
            }
            Cause::Kernel => {
                "the kernel has no usable io_uring: Linux 5.11 is the least, 6.1 advised"
            }
            Cause::Signal => "the signal for rescues cannot be handled: choose another, or none",
            Cause::Unknown => "this is not a failure known of io_uring: see the error number",
        }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot set up io_uring: {} failed: {}; {}", self.call, self.error, self.advice())
    }
}

impl error::Error for SetupError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<SetupError> for io::Error {
    fn from(error: SetupError) -> Self {
        Self::new(error.error.kind(), error)
    }
}

fn sysctl_forbids() -> bool {
    fs::read_to_string("/proc/sys/kernel/io_uring_disabled").is_ok_and(|value| value.trim() != "0")
}

fn seccomp_is_active() -> bool {
    fs::read_to_string("/proc/thread-self/status").is_ok_and(|status| {
        status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|v| v.trim() != "0"))
    })
}

/// A driver went while the kernel still held operations: their memory and the ring are leaked, because
/// freeing them under the kernel would corrupt memory (D7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaked {
    operations: BTreeMap<&'static str, usize>,
}

impl Leaked {
    pub(crate) fn new(operations: BTreeMap<&'static str, usize>) -> Self {
        Self { operations }
    }

    /// What is leaked: each kind of operation by name, and how many of it.
    pub fn operations(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.operations.iter().map(|(name, count)| (*name, *count))
    }
}

impl fmt::Display for Leaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel did not finish in time; leaked with their ring:")?;
        for (name, count) in self.operations() {
            write!(f, " {count} {name}")?;
        }
        if self.operations.is_empty() {
            f.write_str(" no operation, only the driver's own")?;
        }
        Ok(())
    }
}

impl error::Error for Leaked {}

/// Why an operation has no result of the kernel's. It comes inside an [`io::Error`]:
///
/// ```
/// use filch_uring::{NoDriver, Op, op};
/// use std::future::Future;
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
///
/// // There is no driver on this thread.
/// let nop = pin!(Op::new(op::Nop::new()));
/// let Poll::Ready(Err(error)) = nop.poll(&mut Context::from_waker(Waker::noop())) else {
///     panic!("it cannot succeed")
/// };
/// assert_eq!(NoDriver::of(&error), Some(NoDriver::None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoDriver {
    /// The thread has no driver, and the operation was given no other.
    None,
    /// The driver was shut down before it took the operation.
    Gone,
    /// The driver was shut down, and the kernel was not done with the operation: what it was given
    /// (the buffer, say) is lost to it (D7).
    Lost,
    /// The operation was cancelled before it was given to a driver.
    Cancelled,
}

impl NoDriver {
    /// The reason inside an error, if it is one of these.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

impl fmt::Display for NoDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "this thread has no io_uring driver and the operation was given none",
            Self::Gone => "operation cancelled: its io_uring driver was shut down",
            Self::Lost => {
                "operation lost: its io_uring driver was shut down before the kernel was done with it"
            }
            Self::Cancelled => "operation cancelled before it was submitted",
        })
    }
}

impl error::Error for NoDriver {}

impl From<NoDriver> for io::Error {
    fn from(reason: NoDriver) -> Self {
        Self::other(reason)
    }
}
