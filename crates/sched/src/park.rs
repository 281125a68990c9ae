//! The seam: how a worker waits, without knowing what for.

use crate::still::InFlight;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// Where a worker submits what is staged, finds what is done, and sleeps. One per worker, made on the
/// worker's own thread and never moved from it.
///
/// Both calls may wake tasks: from inside themselves, on the calling thread, under no lock (D8).
pub trait Park {
    /// What other threads hold of it.
    type Peer: Peer;

    /// A handle for other threads.
    fn peer(&self) -> Self::Peer;

    /// Submits what is staged and reaps what is done; never sleeps. Returns how many completions there
    /// were.
    ///
    /// # Errors
    ///
    /// Only what cannot be recovered from: the worker that gets one ends the process.
    fn turn(&mut self) -> io::Result<usize>;

    /// As [`turn`](Self::turn), but sleeps while there is nothing: until a completion, an
    /// [`unpark`](Peer::unpark), or `deadline`. May return early for no reason.
    ///
    /// # Errors
    ///
    /// As [`turn`](Self::turn).
    fn park(&mut self, deadline: Option<Instant>) -> io::Result<usize>;

    /// What is in flight in it. Asked before a park, and only where a clock may have to stand for it.
    fn in_flight(&self) -> InFlight;

    /// Ends it (D7): cancels what is in flight and waits for it until `deadline`. What is still there
    /// then is leaked, never freed under the kernel's hands.
    ///
    /// # Errors
    ///
    /// What had to be leaked.
    fn shutdown(&mut self, deadline: Option<Instant>) -> Result<(), Leaked>;
}

/// A worker's [`Park`], as other threads see it.
pub trait Peer: Clone + Send + Sync + 'static {
    /// Wakes the worker if it sleeps. If it does not, its next [`park`](Park::park) returns at once: an
    /// unpark is a token that waits to be used. Cheap when the worker is awake.
    fn unpark(&self);

    /// Has `tell` called whenever somebody has left something to do in the worker's park, before the park is woken for it
    /// by itself. Called once, before the worker looks for work. Nothing to do where nothing can be left there.
    ///
    /// What is left and not seen yet counts as [in flight](Park::in_flight).
    fn tell_of_mail(&self, tell: Box<dyn Fn() + Send + Sync>) {
        drop(tell);
    }

    /// Wakes the worker after `after`, if it sleeps then; if it does not, its next
    /// [`park`](Park::park) returns at once, once. Replaces an alarm set before; `None` takes it back.
    /// Does not wake the worker now. Calls of several threads come one after another: the later one sees
    /// what the earlier one's thread did before its call.
    fn alarm(&self, after: Option<Duration>);

    /// For a worker that is stuck in a poll: makes its completions visible and delivers them; the
    /// wakers run on the caller's thread, under no lock (D8). Returns how many operations were
    /// completed. Cheap when there is nothing to gain. May be called by several threads at once, and
    /// for a worker that is not stuck after all, or whose park has ended.
    ///
    /// # Errors
    ///
    /// If that cannot be done here; nothing is lost by it, the worker delivers them itself, later.
    fn rescue(&self) -> io::Result<usize>;
}

/// What a [`Park`] could not end in time.
#[derive(Debug, Clone)]
pub struct Leaked {
    /// How many operations were still in flight.
    pub operations: usize,
    /// What they are, for a person.
    pub what: String,
}

impl fmt::Display for Leaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operations still in flight: {}", self.operations, self.what)
    }
}

impl Error for Leaked {}
