//! One ring: set up with the best flags the kernel takes, entered through our own wrapper.

mod view;

pub(crate) use view::{View, has_deferred_work};

use crate::config::{Config, Features};
use crate::error::SetupError;
use crate::op::Truncate;
use crate::sys::{self, Wait};
use io_uring::{IoUring, squeue};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::{fmt, io};

/// Both queues are halved until neither is larger than this; then the set-up is given up.
const ENTRIES_LEAST: u32 = 8;

/// A ring and its owner's view of it. Used by one thread. The crate's own queue is for staging only:
/// completions are behind a lock ([`CqLock`](crate::rescue::CqLock)), and the crate's queue writes their
/// head back whenever it is looked at.
pub(crate) struct Ring {
    view: Arc<View>,
    ring: IoUring,
    no_iowait: bool,
    features: Features,
}

/// One completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// What the entry was staged with.
    pub user_data: u64,
    /// The kernel's result.
    pub result: i32,
    /// Whether more completions of the same entry follow.
    pub more: bool,
}

impl Ring {
    /// Sets a ring up for this thread: flags the kernel refuses are dropped, and the size is halved
    /// where memory is short.
    pub(crate) fn new(config: &Config) -> Result<Self, SetupError> {
        let mut entries = config.entries.clamp(1, 1 << 15);
        let mut completions = match config.completions {
            0 => entries.saturating_mul(4),
            completions => completions,
        };
        let mut features = config.features;
        loop {
            // The kernel wants no fewer completions than submissions.
            let error = match build(entries, completions.max(entries), features) {
                Ok(ring) => return Self::check(ring, features),
                Err(error) => error,
            };
            match error.raw_os_error() {
                Some(libc::EINVAL) if features > Features::Plain => {
                    features = match features {
                        Features::Best => Features::Deferred,
                        Features::Deferred => Features::Cooperative,
                        _ => Features::Plain,
                    };
                }
                Some(libc::ENOMEM) if entries.max(completions) > ENTRIES_LEAST => {
                    entries = halved(entries);
                    completions = halved(completions);
                }
                _ => return Err(SetupError::new("io_uring_setup", error)),
            }
        }
    }

    fn check(ring: IoUring, features: Features) -> Result<Self, SetupError> {
        let parameters = ring.params();
        if !parameters.is_feature_nodrop() {
            return Err(SetupError::lacking("completions may be dropped (no FEAT_NODROP)"));
        }
        if !parameters.is_feature_ext_arg() {
            return Err(SetupError::lacking("waits cannot time out (no FEAT_EXT_ARG)"));
        }
        let no_iowait = parameters.is_feature_no_iowait();
        Truncate::learn(&ring.submitter());
        let view = View::new(&ring).map_err(|error| SetupError::new("mmap", error))?;
        Ok(Self { view: Arc::new(view), ring, no_iowait, features })
    }

    /// What a rescuer sees of it.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// What the kernel let us have.
    pub(crate) fn features(&self) -> Features {
        self.features
    }

    pub(crate) fn entries(&self) -> u32 {
        self.ring.params().sq_entries()
    }

    /// Stages an entry and publishes the tail. False if the queue is full.
    ///
    /// # Safety
    ///
    /// What the entry points to lives until its final completion (D1).
    pub(crate) unsafe fn push(&mut self, entry: &squeue::Entry) -> bool {
        // Dropping the queue stores the tail with Release, so every staging is published.
        // SAFETY: the caller's promise.
        unsafe { self.ring.submission().push(entry).is_ok() }
    }

    /// How many entries are staged and not yet taken by the kernel.
    pub(crate) fn staged(&mut self) -> u32 {
        self.ring.submission().len() as u32
    }

    /// Whether the kernel has work that appears only when it is entered: deferred completions, or ones
    /// that did not fit.
    pub(crate) fn must_enter(&self) -> bool {
        self.view.must_enter()
    }

    /// Whether completions are waiting in the kernel for room.
    pub(crate) fn overflown(&self) -> bool {
        self.view.overflown()
    }

    pub(crate) fn has_completions(&self) -> bool {
        self.view.completions() > 0
    }

    /// Submits what is staged, lets deferred work run, and waits as told; `there` says how many completions
    /// there are that nobody takes out before the call is over.
    ///
    /// A signal's handler may have submitted what we counted a moment ago; then the kernel takes fewer,
    /// or none, and does not wait: a spurious return.
    pub(crate) fn enter(&mut self, wait: Wait, there: u32) -> io::Result<u32> {
        let staged = self.staged();
        let at_least = match wait {
            // As many as there are already: that is no wait, and lets the kernel run as many pieces of
            // deferred work, where it would otherwise run 20 (since Linux 6.13).
            Wait::No => there,
            Wait::Forever | Wait::For(_) => 1,
        };
        sys::enter(self.ring.as_raw_fd(), staged, at_least, wait, self.no_iowait)
    }
}

fn halved(entries: u32) -> u32 {
    if entries > ENTRIES_LEAST { entries / 2 } else { entries }
}

fn build(entries: u32, completions: u32, features: Features) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(completions).setup_clamp().dontfork();
    if features >= Features::Cooperative {
        builder.setup_submit_all().setup_taskrun_flag();
    }
    if features == Features::Cooperative {
        builder.setup_coop_taskrun();
    }
    if features >= Features::Deferred {
        builder.setup_single_issuer().setup_defer_taskrun();
    }
    if features >= Features::Best {
        builder.setup_no_sqarray();
    }
    builder.build(entries)
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("fd", &self.ring.as_raw_fd())
            .field("entries", &self.entries())
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}
