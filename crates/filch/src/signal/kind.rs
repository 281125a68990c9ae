//! Which signal.

use std::fmt;
use std::io::{self, Error, ErrorKind};

/// A kind of signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignalKind(i32);

/// Those that can have no handler, and those whose cause is there again when one returns.
const NOT_TO_BE_HANDLED: [i32; 8] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGSYS,
];

macro_rules! kinds {
    ($($(#[$about:meta])* $name:ident = $number:ident;)*) => {
        impl SignalKind {
            $(
                $(#[$about])*
                #[doc = concat!(" (`", stringify!($number), "`)")]
                pub const fn $name() -> Self {
                    Self(libc::$number)
                }
            )*
        }

        impl fmt::Debug for SignalKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $(libc::$number => f.write_str(stringify!($number)),)*
                    number => write!(f, "signal {number}"),
                }
            }
        }
    };
}

kinds! {
    /// An alarm of the system's clock.
    alarm = SIGALRM;
    /// A child has ended, or stopped. [`Child::wait`](crate::process::Child::wait) does without.
    child = SIGCHLD;
    /// The terminal is gone; for services, as a rule: read the configuration again.
    hangup = SIGHUP;
    /// Ctrl-C.
    interrupt = SIGINT;
    /// A descriptor is ready, where that was asked for.
    io = SIGIO;
    /// Somebody writes to a pipe that nobody reads. Rust programs ignore it, and get an error.
    pipe = SIGPIPE;
    /// Ctrl-\.
    quit = SIGQUIT;
    /// Whoever asks a process to end: `kill`, a service manager.
    terminate = SIGTERM;
    /// Ctrl-Z.
    terminal_stop = SIGTSTP;
    /// The process goes on.
    continued = SIGCONT;
    /// For programs to use.
    user_defined1 = SIGUSR1;
    /// For programs to use.
    user_defined2 = SIGUSR2;
    /// The terminal's size has changed.
    window_change = SIGWINCH;
}

impl SignalKind {
    /// The one with a number.
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// Whether it may be listened for.
    pub(super) fn check(self) -> io::Result<()> {
        let refuse = |why| Err(Error::new(ErrorKind::InvalidInput, format!("{self:?} {why}")));
        if NOT_TO_BE_HANDLED.contains(&self.0) {
            return refuse("cannot be handled, or must not be");
        }
        // Those in between the C library keeps for itself.
        if !(1..32).contains(&self.0) && !(libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&self.0) {
            return refuse("is none");
        }
        if filch_uring::is_rescue_signal(self.0) {
            return refuse("is what the runtime helps stuck workers with");
        }
        Ok(())
    }
}
