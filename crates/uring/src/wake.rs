//! Waking a thread that sleeps in its ring.

use filch_atomic::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

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

/// The word, and the eventfd that a parked ring has a read armed on.
#[derive(Debug)]
pub(crate) struct Wake {
    word: WakeWord,
    event: Option<OwnedFd>,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { word: WakeWord::new(), event: Some(crate::sys::eventfd()?) })
    }

    #[cfg(filch_loom)]
    pub(crate) fn for_model() -> Self {
        Self { word: WakeWord::new(), event: None }
    }

    pub(crate) fn word(&self) -> &WakeWord {
        &self.word
    }

    /// What the ring reads from.
    pub(crate) fn event(&self) -> RawFd {
        self.event.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Wakes the owner if it sleeps; makes its next park return at once if not. True if it slept.
    pub(crate) fn unpark(&self) -> bool {
        let parked = self.word.notify();
        if parked && let Some(event) = &self.event {
            crate::sys::signal(event);
        }
        parked
    }
}
