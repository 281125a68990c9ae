//! What a driver is made with.

use crate::quarantine::Quarantine;
use std::ffi::c_int;

/// How a [`Driver`](crate::Driver) is set up. [`Config::default`] suits a worker of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Submission queue entries. Rounded up to a power of two, clamped by the kernel, halved where
    /// the system has not enough memory. More operations than this may be staged: they queue in user
    /// space.
    pub entries: u32,
    /// Completion queue entries, or four times `entries` if 0. Halved along with them. More may complete:
    /// the kernel keeps them until there is room.
    pub completions: u32,
    /// How much of what recent kernels offer may be used.
    pub features: Features,
    /// How others help when the driver's thread is stuck in user code
    /// ([`Remote::rescue`](crate::Remote::rescue)).
    pub rescue: Rescue,
    /// Whether to watch over buffers, and whom to tell: a debug mode ([`quarantine`](crate::quarantine)).
    pub quarantine: Option<Quarantine>,
}

impl Default for Config {
    fn default() -> Self {
        // 256: enough for a batch between two turns; more only costs cache. 4096: a completion queue
        // that overflows costs an enter, so it has room for many slow operations at once.
        Self {
            entries: 256,
            completions: 4096,
            features: Features::Best,
            rescue: Rescue::default(),
            quarantine: None,
        }
    }
}

/// Whether and how a thread that is stuck is made to look after its ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rescue {
    /// Not at all: what completes in its ring waits for it.
    Off,
    /// By this signal, of which it gets one when there is something to gain.
    ///
    /// The first driver that names a signal installs a handler for it, once for the process
    /// (`SA_RESTART | SA_ONSTACK | SA_SIGINFO`; without `SA_ONSTACK` if there was one before that does
    /// without), which calls the one that was there before. While they run their thread has all signals
    /// blocked but those that the machine raises. Each driver
    /// lets the signal through on its thread, for as long as it lives. A handler that somebody installs
    /// later should call the one it finds; if it does not, rescues gain little, and nothing else breaks.
    ///
    /// `SA_RESTART` or not, a signal ends `poll`, `epoll_wait`, `nanosleep`, and socket calls with a
    /// time-out, with `EINTR`. The standard library begins them again; code that a stuck thread calls
    /// and that does not is why this can be turned off.
    ///
    /// Not for signals that the machine raises (`SIGSEGV`, `SIGFPE` and the like).
    Signal(c_int),
}

impl Default for Rescue {
    /// By `SIGURG`: ignored unless somebody wants it, and few do.
    fn default() -> Self {
        Self::Signal(libc::SIGURG)
    }
}

/// Which flags to try at set-up. Whatever is asked for, what the kernel refuses is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Features {
    /// Only what Linux 5.11 has.
    Plain,
    /// As on Linux 5.19: completions do not interrupt the thread.
    Cooperative,
    /// As on Linux 6.1: one thread submits, completions wait until it looks.
    Deferred,
    /// Everything the kernel takes.
    #[default]
    Best,
}
