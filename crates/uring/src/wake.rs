//! Waking a thread that sleeps in its ring.
//!
//! # States
//!
//! One word says how the owner is: `AWAKE`, `PARKED` (it sleeps, or is about to) or `NOTIFIED` (somebody
//! wants it awake and it has not noticed yet). The owner goes from `AWAKE` to `PARKED` and from anything
//! to `AWAKE`; others go from anything to `NOTIFIED`.
//!
//! The ring has a read armed on an eventfd. A notifier that finds the owner `PARKED`, and only it, writes
//! the eventfd; the read completes and ends the wait. Any number of notifications of one sleep cost one
//! system call; one of an owner that runs costs an exchange.
//!
//! # Why no wake-up is lost
//!
//! All changes are read-modify-writes of one word, so they have an order. A notification comes either
//! before the owner's `AWAKE -> PARKED`, which then fails: the owner does not sleep, and, having acquired
//! the word, sees what the notifier did before. Or it comes after: then the notifier sees `PARKED` and
//! writes the eventfd. That write is not lost either: the read was armed before the wait or goes to the
//! kernel with it, in the same call, and an eventfd remembers. The owner never waits while entries are
//! left over in user space, so the read cannot be among them.
//!
//! The eventfd may be written after the owner woke for another reason: the next sleep then ends early,
//! for nothing. The descriptor lives as long as anybody who could write to it, and so is never another
//! file's by then.
//!
//! Whoever leaves a message in the inbox notifies after it; the owner looks at the inbox when it is awake.
//! The model is `ring_wake`.
//!
//! # The alarm
//!
//! A timer beside the eventfd, with a read of its own that is armed with the same care: it goes off once
//! per setting, wakes a thread that sleeps then, and is nothing to one that does not, but that its next park
//! ends early. Setting it costs a system call (2 to 5 us on a virtual machine), so it is for what
//! happens now and then. It carries no message: nobody may rely on it for more than the end of a sleep.
//!
//! # Why an eventfd
//!
//! Measured by `examples/wake.rs`, on processors of their own, as the median over seven runs of the median
//! time from wake to answer. Relative to a futex, which cannot wake a thread that waits in a ring: after a
//! sleep of 20 us, a read armed on an eventfd 1.1, a message from another ring (MSG_RING) 1.0; after
//! 500 us, 1.1 and 1.3. That is within what the runs differ among themselves, and the waker's own call
//! costs the same, so what decides is the rest: an eventfd is written by any thread, a ring's message only
//! by one that has a ring and enters it at once. A notification of an owner that runs, which is the common
//! one, costs about a thousandth of that and no system call, whatever the means.

use crate::error::SetupError;
use filch_atomic::sync::atomic::{AtomicU32, Ordering};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

const AWAKE: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// Whether the owner sleeps, and whether somebody wants it awake.
#[derive(Debug)]
pub struct WakeWord(AtomicU32);

impl WakeWord {
    /// The owner is awake.
    pub fn new() -> Self {
        Self(AtomicU32::new(AWAKE))
    }

    /// The owner is about to sleep. False if it was notified: then it must not, and the notification
    /// is used up.
    pub fn prepare(&self) -> bool {
        // Acquire on failure: pairs with the Release in `notify`: what was published before the
        // notification is seen. Release on success: everything the owner did before is seen by the
        // notifier that finds it parked.
        let parked =
            self.0.compare_exchange(AWAKE, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !parked {
            self.finish();
        }
        parked
    }

    /// The owner is awake again, for whatever reason.
    pub fn finish(&self) {
        // Acquire: pairs with the Release in `notify`.
        self.0.swap(AWAKE, Ordering::AcqRel);
    }

    /// Whether the owner sleeps, or is about to: a hint.
    pub fn is_parked(&self) -> bool {
        // Relaxed: nothing is concluded from it.
        self.0.load(Ordering::Relaxed) == PARKED
    }

    /// Wants the owner awake. True if it is parked: then the caller has to wake it.
    pub fn notify(&self) -> bool {
        // Release: pairs with the Acquires in `prepare` and `finish`. A read-modify-write even when
        // it is notified already: a plain look would not publish what we did before.
        self.0.swap(NOTIFIED, Ordering::AcqRel) == PARKED
    }
}

impl Default for WakeWord {
    fn default() -> Self {
        Self::new()
    }
}

/// The word, and what a parked ring has reads armed on: the eventfd, and a timer.
#[derive(Debug)]
pub(crate) struct Wake {
    word: WakeWord,
    /// Eventfd and timer. A model has none.
    descriptors: Option<[OwnedFd; 2]>,
    /// What a model has in their place: woken by each unpark, also of one who does not sleep.
    #[cfg(filch_loom)]
    bell: Option<std::task::Waker>,
}

impl Wake {
    pub(crate) fn new() -> Result<Self, SetupError> {
        let event = crate::sys::eventfd().map_err(|error| SetupError::new("eventfd", error))?;
        let timer =
            crate::sys::timer().map_err(|error| SetupError::new("timerfd_create", error))?;
        let descriptors = [event, timer];
        Ok(Self {
            word: WakeWord::new(),
            descriptors: Some(descriptors),
            #[cfg(filch_loom)]
            bell: None,
        })
    }

    #[cfg(filch_loom)]
    pub(crate) fn for_model(bell: Option<std::task::Waker>) -> Self {
        Self { word: WakeWord::new(), descriptors: None, bell }
    }

    pub(crate) fn word(&self) -> &WakeWord {
        &self.word
    }

    /// What the ring reads from: the eventfd and the timer.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        self.descriptors.as_ref().map_or([-1; 2], |both| both.each_ref().map(AsRawFd::as_raw_fd))
    }

    /// Ends the owner's sleep after so long, or takes that back.
    pub(crate) fn alarm(&self, after: Option<Duration>) {
        if let Some([_, timer]) = &self.descriptors {
            crate::sys::set_timer(timer, after);
        }
    }

    /// How long until the alarm; nothing if there is none.
    #[cfg(all(test, not(filch_loom)))]
    pub(crate) fn time_left(&self) -> Duration {
        let [_, timer] = self.descriptors.as_ref().expect("not a model");
        // SAFETY: all zeroes is a value of it.
        let mut setting = unsafe { std::mem::zeroed::<libc::itimerspec>() };
        // SAFETY: a whole setting to write to.
        assert_eq!(unsafe { libc::timerfd_gettime(timer.as_raw_fd(), &raw mut setting) }, 0);
        Duration::new(setting.it_value.tv_sec as u64, setting.it_value.tv_nsec as u32)
    }

    /// Wakes the owner if it sleeps; makes its next park return at once if not. True if it slept.
    pub(crate) fn unpark(&self) -> bool {
        let parked = self.word.notify();
        if parked && let Some([event, _]) = &self.descriptors {
            crate::sys::signal(event);
        }
        #[cfg(filch_loom)]
        self.bell.iter().for_each(std::task::Waker::wake_by_ref);
        parked
    }
}
