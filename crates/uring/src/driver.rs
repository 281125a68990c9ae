//! The driver: one ring, one thread.

use crate::cell::Home;
use crate::config::{Config, Features};
use crate::counters::Counts;
use crate::error::{Leaked, SetupError};
use crate::local::Local;
use crate::rescue;
use filch_atomic::sync::Arc;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a driver that is dropped without a shutdown waits for the kernel.
const DROP_GRACE: Duration = Duration::from_secs(5);

/// A ring, and everything in flight in it. Made on the thread that uses it, and bound to that thread.
///
/// Until it is shut down, it is its thread's *current* driver: operations first polled on the thread are
/// staged in it. (One that is made while the thread has another is never current, not even when the other
/// is gone: only other threads reach it, by its [`Remote`].) Staged operations reach the kernel with the
/// next [`turn`](Self::turn) or [`park`](Self::park), in one system call for all of them; the same calls
/// deliver results and run wakers.
///
/// Dropping a driver shuts it down, waiting at most five seconds.
///
/// It is not for a child after `fork(2)`: the ring's memory is not there, and touching the driver, were it
/// only to drop it, ends the child with SIGSEGV. A child that goes on with `exec` is fine.
#[derive(Debug)]
pub struct Driver {
    local: Rc<Local>,
}

impl Driver {
    /// Sets up a ring for this thread.
    ///
    /// # Errors
    ///
    /// If the system refuses one. Flags that an older kernel does not know are no reason: they are
    /// left out.
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        Ok(Self { local: Local::new(config)? })
    }

    /// What other threads hold of this driver.
    pub fn remote(&self) -> Remote {
        Remote { home: self.local.home().clone() }
    }

    /// Submits what is staged and delivers what is done. Never sleeps; makes no system call if nothing
    /// is staged and the kernel has no work waiting for this thread. Returns how many operations
    /// completed.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to be entered, which on a working ring it does not.
    ///
    /// # Panics
    ///
    /// If the driver was shut down, or if a waker panics; no completion is lost then.
    pub fn turn(&mut self) -> io::Result<usize> {
        self.local.turn()
    }

    /// As [`turn`](Self::turn), and sleeps until an operation completes, somebody calls
    /// [`Remote::unpark`], or the deadline passes. May return for no reason. Submits and sleeps in one
    /// system call.
    ///
    /// An unpark that comes before makes it return at once, as does a completion that is there already.
    ///
    /// # Errors
    ///
    /// As for [`turn`](Self::turn).
    ///
    /// # Panics
    ///
    /// As for [`turn`](Self::turn).
    pub fn park(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        self.local.park(deadline)
    }

    /// Cancels what is in flight, waits until the kernel is done with it, and closes the ring (D7). From
    /// now on this driver takes no operations; those it had have results. Does nothing the second time.
    ///
    /// Operations that run to their end whatever becomes of their futures
    /// ([`CANCEL_ON_DROP`](crate::Operation::CANCEL_ON_DROP) is false: writes to files and the like) do so
    /// here too, and are cancelled only just before the deadline. Without one, a write to a pipe that
    /// nobody reads holds up the shutdown for ever, unless it is [cancelled](crate::Op::cancel).
    ///
    /// # Errors
    ///
    /// If the kernel is not done by the deadline: then ring, buffers and descriptors of what is left
    /// are leaked, not freed under the kernel, and the operations' futures report
    /// [`NoDriver::Lost`](crate::NoDriver::Lost). Without a deadline it waits for as long as it takes.
    ///
    /// # Panics
    ///
    /// If a waker or a destructor panics; what is in flight is leaked then.
    pub fn shutdown(&mut self, deadline: Option<Instant>) -> Result<(), Leaked> {
        self.local.shutdown(deadline)
    }

    /// How many operations of this ring are in flight or staged, the cancels of others among them; and whether one of
    /// them runs to its end whatever becomes of its future
    /// ([`CANCEL_ON_DROP`](crate::Operation::CANCEL_ON_DROP) is false). What other threads have left for this one counts as
    /// one more that does.
    ///
    /// Goes through all of them, so it is not for the hot path.
    pub fn in_flight(&self) -> (usize, bool) {
        self.local.in_flight()
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.local.home().counts()
    }

    /// What the kernel let it use.
    pub fn features(&self) -> Features {
        self.local.features()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Nobody to tell: `shutdown` is there for who wants to know.
        let _ = self.local.shutdown(Some(Instant::now() + DROP_GRACE));
    }
}

/// What other threads hold of a [`Driver`]. Outlives it, harmlessly.
#[derive(Debug, Clone)]
pub struct Remote {
    home: Arc<Home>,
}

impl Remote {
    /// Of a driver that a model plays.
    #[cfg(filch_loom)]
    pub fn for_model(home: Arc<Home>) -> Self {
        Self { home }
    }

    /// Wakes the driver's thread if it is parked; if not, makes its next park return at once.
    pub fn unpark(&self) {
        unpark(&self.home);
    }

    /// Has `tell` called whenever another thread has left the driver's own something to do, be it an operation or a
    /// cancel, before it wakes it for that. For whoever has to know whether that thread has anything to do.
    ///
    /// `tell` is called on any thread, under locks of the driver: it calls nothing of the driver's, and is short. Only
    /// the first one that is given stays.
    pub fn tell_of_mail(&self, tell: Box<dyn Fn() + Send + Sync>) {
        let _ = self.home.postman.set(tell);
    }

    /// Its thread is stuck in user code: makes completions visible, delivers them here, and returns how
    /// many operations completed. What it has staged is submitted, and what others want cancelled is
    /// cancelled. Wakers, and destructors of what nobody waits for, run on this thread, under no lock.
    ///
    /// Cheap when there is nothing to gain: a few looks at memory, and no system call. Else its thread
    /// gets a signal ([`Rescue::Signal`](crate::Rescue::Signal)), and is given some microseconds to
    /// answer. Should that be too little, the next call finds what came of it. After a signal that gained
    /// nothing the next calls send none for the same: 1, 2, 4 and so on up to 64 of them, until something is
    /// gained.
    /// Meant to be called about every millisecond while the thread is stuck; harmless at any time, from
    /// any number of threads.
    ///
    /// What stays with the stuck thread: operations that are not in its ring yet, because the submission
    /// queue was full, or because a thread without a driver sent them there and nowhere else
    /// ([`Op::with_remote`](crate::Op::with_remote)); results that it has reaped
    /// and not yet delivered, when it is a waker or destructor of one of those that holds it up; and
    /// everything, while it is in a system call that no signal interrupts.
    ///
    /// Does nothing if the driver has been shut down. With [`Rescue::Off`](crate::Rescue::Off), only what
    /// was sent there and can be begun elsewhere goes back.
    ///
    /// # Errors
    ///
    /// If the system refuses to send the signal. What was visible without it was delivered.
    ///
    /// # Panics
    ///
    /// If a waker or destructor panics; all others have run by then.
    pub fn rescue(&self) -> io::Result<usize> {
        rescue::rescue(&self.home)
    }

    /// Wakes the driver's thread after `after`, if it sleeps then; it does not wake it now. Replaces an
    /// alarm that was set before; None takes that back. It goes off once.
    ///
    /// Any thread may set it, the driver's own included. One system call, for the caller alone: the
    /// parked thread has been waiting for the timer all along, and a park costs no more for it.
    #[doc(alias = "call_later")]
    pub fn alarm(&self, after: Option<Duration>) {
        self.home.counters.alarms.add_shared(1);
        self.home.wake.alarm(after);
    }

    /// What the driver did so far.
    pub fn counts(&self) -> Counts {
        self.home.counts()
    }

    /// Where the buffers are that are in quarantine, and how long. For tests of it: whoever writes there
    /// plays a kernel that writes late.
    #[doc(hidden)]
    pub fn quarantined(&self) -> Vec<(*mut u8, usize)> {
        self.home.ward.as_ref().map(|ward| ward.kept()).unwrap_or_default()
    }

    /// How many operations are in flight or staged, from any thread; one that ends just now may count or not.
    pub fn operations(&self) -> usize {
        self.home.running()
    }

    /// Whether the driver's thread sleeps in its ring at this moment, and so would take an operation from
    /// elsewhere at once. A hint.
    pub fn is_parked(&self) -> bool {
        self.home.wake.word().is_parked()
    }

    /// Whether the driver was shut down: it takes no more operations.
    pub fn is_closed(&self) -> bool {
        self.home.is_closed()
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }
}

/// After something was left for the driver's thread.
pub(crate) fn unpark_for_mail(home: &Home) {
    if let Some(tell) = home.postman.get() {
        tell();
    }
    unpark(home);
}

pub(crate) fn unpark(home: &Home) {
    if home.wake.unpark() {
        home.counters.unparks.add_shared(1);
    }
}
