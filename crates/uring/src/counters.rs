//! What a driver did so far.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a driver did since it was made. A consistent picture only while it is idle: each
        /// number is read by itself.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// One writer per counter, any number of readers.
        // `std`'s atomics, not the model's: nothing is decided by these.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// `io_uring_enter` calls.
    enters,
    /// Entries handed to the kernel, cancels and the driver's own included.
    submitted,
    /// Operations completed, by whomever.
    completed,
    /// Parks that may have slept (the token was not there, nothing was ready).
    parks,
    /// Wake-ups by other threads that found the driver parked.
    unparks,
    /// Times the kernel had more completions than the queue had room for.
    overflows,
    /// Entries that had to queue in user space because the submission queue was full.
    backlogged,
    /// Cancels asked for.
    cancels,
    /// Messages from other threads, but for cancels that rescuers took.
    messages,
    /// Times another thread completed operations because this one was stuck.
    rescues,
    /// Operations completed so.
    rescued,
    /// Signals sent for that.
    signals_sent,
    /// Signals that arrived and found the ring.
    signals_handled,
    /// Alarms set or taken back.
    alarms,
    /// Times memory was found changed that the kernel had to leave alone. Nobody looks without a
    /// [`Quarantine`](crate::Quarantine).
    violations,
}

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// For the one writer: a load and a store, no read-modify-write.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // Relaxed: a counter orders nothing.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// As it was a moment ago, on any thread but the writer's.
    pub(crate) fn get(&self) -> u64 {
        // Relaxed: a counter orders nothing.
        self.0.load(Ordering::Relaxed)
    }

    /// For a counter with several writers.
    pub(crate) fn add_shared(&self, n: u64) {
        // Relaxed: a counter orders nothing.
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}
