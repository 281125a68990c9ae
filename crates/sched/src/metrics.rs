//! What each worker counts, always.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One worker's counters. Only the worker writes them (a load and a store, no read-modify-write);
/// anybody may read them at any time.
///
/// They are plain `std` atomics in every build: nothing is decided on them, so a model need not see them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) polls: Counter,
    pub(crate) steals: Counter,
    pub(crate) slot_steals: Counter,
    pub(crate) parks: Counter,
    pub(crate) wakes_sent: Counter,
    pub(crate) injector_pulls: Counter,
    pub(crate) turns: Counter,
    pub(crate) completions: Counter,
    pub(crate) timers_fired: Counter,
    pub(crate) alarms_set: Counter,
    pub(crate) looks: Counter,
    pub(crate) stuck_found: Counter,
    pub(crate) stuck_unreported: Counter,
    pub(crate) timers_rescued: Counter,
    pub(crate) rescues: Counter,
    pub(crate) rescued: Counter,
    pub(crate) busy_ns: Counter,
}

/// A number with one writer.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. For its one writer.
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        // Relaxed, both: one writer, and readers who only look.
        self.0.store(self.0.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
    }

    /// Its value, for anybody.
    pub(crate) fn get(&self) -> u64 {
        // Relaxed: a number to look at.
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Counts the time from `since` to `now` as busy.
    pub(crate) fn count_busy(&self, since: Instant, now: Instant) {
        self.busy_ns.add(now.saturating_duration_since(since).as_nanos() as u64);
    }

    pub(crate) fn snapshot(&self) -> WorkerMetrics {
        WorkerMetrics {
            polls: self.polls.get(),
            steals: self.steals.get(),
            slot_steals: self.slot_steals.get(),
            parks: self.parks.get(),
            wakes_sent: self.wakes_sent.get(),
            injector_pulls: self.injector_pulls.get(),
            turns: self.turns.get(),
            completions: self.completions.get(),
            timers_fired: self.timers_fired.get(),
            alarms_set: self.alarms_set.get(),
            looks: self.looks.get(),
            stuck_found: self.stuck_found.get(),
            stuck_unreported: self.stuck_unreported.get(),
            timers_rescued: self.timers_rescued.get(),
            rescues: self.rescues.get(),
            rescued: self.rescued.get(),
            busy: Duration::from_nanos(self.busy_ns.get()),
        }
    }
}

/// What one worker has done since it started. The numbers are read one by one while it runs, so they
/// need not fit together exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Polls of tasks, the main future's among them.
    pub polls: u64,
    /// Times it took tasks from another worker's queue (each time up to half of it).
    pub steals: u64,
    /// Times it took the task from another worker's slot.
    pub slot_steals: u64,
    /// Times it went to sleep, or would have, had there been nothing to reap.
    pub parks: u64,
    /// Times it woke a sleeping worker because there was more work than it could do at once.
    pub wakes_sent: u64,
    /// Times it took its share of the tasks that came from outside the workers.
    pub injector_pulls: u64,
    /// Times it submitted and reaped without sleeping, in the middle of work.
    pub turns: u64,
    /// Completions that it reaped.
    pub completions: u64,
    /// Timers of its own that it fired.
    pub timers_fired: u64,
    /// Times it set a sleeper's alarm, or took it back: a system call each.
    pub alarms_set: u64,
    /// Times it looked whether another worker is stuck.
    pub looks: u64,
    /// Polls of others that it was the first to find stuck.
    pub stuck_found: u64,
    /// Reports of a stuck task that were due and were not made at once, because there had been another
    /// within a second.
    pub stuck_unreported: u64,
    /// Timers that it fired for workers that were stuck.
    pub timers_rescued: u64,
    /// Times it had the completions of a stuck worker made visible, if there were any.
    pub rescues: u64,
    /// Completions that it delivered for workers that were stuck.
    pub rescued: u64,
    /// Time spent outside [`parks`](Self::parks). Brought up to date at each park, and at least every
    /// 32 polls.
    pub busy: Duration,
}
