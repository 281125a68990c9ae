#![doc = include_str!("README.md")]

mod alarms;
#[cfg(not(filch_loom))]
mod help;
mod lookout;
#[cfg(not(filch_loom))]
mod reports;

pub use alarms::Alarms;
#[cfg(not(filch_loom))]
pub(crate) use help::look_at_the_others;
pub use lookout::{Found, Lookout};
#[cfg(not(filch_loom))]
pub(crate) use reports::Reports;

#[cfg(all(test, not(filch_loom)))]
mod tests;

use crate::idle::Idle;
use filch_atomic::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A worker that has not looked at the clock for so long may be stuck, and so often somebody looks, in
/// nanoseconds.
pub const LOOK: u64 = 500_000;

/// A worker is stuck if, besides, it has been seen in the same poll for so long. After so long one
/// looks again at a worker of which that is not known yet.
const SECOND_LOOK: u64 = LOOK / 4;

/// What a worker's last look at the clock is while it is in its park: later than any moment.
const PARKED: u64 = u64::MAX;

/// The part of the watch that all workers share. Moments are in nanoseconds since it was made.
///
/// Contention, word by word: `next_look` is read at each look at the clock and written about twice a
/// millisecond, by one; so is `ring_by`, and read at each change of who sleeps; a beat is written by its
/// worker when it reads the clock, and read twice a millisecond; a mark is written only for workers that
/// seem to be stuck; an alarm is read at each change of who sleeps, and written about once with each look.
#[derive(Debug)]
pub struct Watch {
    start: Instant,
    next_look: AtomicU64,
    /// By when an alarm is to ring, unless there is another look before.
    ring_by: AtomicU64,
    alarms: Alarms,
    workers: Box<[Watched]>,
}

/// What is known of one worker.
#[derive(Debug)]
struct Watched {
    beat: Padded<Beat>,
    mark: Padded<Mark>,
}

/// A word or two on a cache line of their own.
#[derive(Debug)]
#[repr(align(64))]
struct Padded<T>(T);

/// A worker's last look at the clock. Only the worker writes it.
#[derive(Debug)]
struct Beat {
    at: AtomicU64,
    /// How many polls it had begun by then.
    polls: AtomicU64,
}

/// What those who looked at a worker found that was silent.
#[derive(Debug)]
struct Mark {
    /// How many polls it had begun.
    polls: AtomicU64,
    /// Since when it has been in the last of them.
    since: AtomicU64,
    /// The poll that it was last found to be stuck in.
    stuck_in: AtomicU64,
    /// What its last look at the clock was then.
    stuck_since: AtomicU64,
}

/// What a look at a worker finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It looked at the clock not long ago, or sleeps.
    Well {
        /// When it looked. If it sleeps: later than any moment.
        beat: u64,
    },
    /// It is silent, but may be in many short polls.
    Silent,
    /// It has been in the same poll for `so_long`, at least. `first`: nobody found that before.
    Stuck {
        /// In nanoseconds.
        so_long: u64,
        /// How many polls it had begun.
        polls: u64,
        /// Whether this is the first to find it stuck in this poll.
        first: bool,
    },
}

impl Watch {
    /// For as many workers, none of which has begun. `now` is the beginning of time.
    pub fn new(workers: usize, now: Instant) -> Self {
        // A worker that is alone has nobody to watch it.
        let workers = if workers > 1 { workers } else { 0 };
        let watched = |_| Watched {
            beat: Padded(Beat { at: AtomicU64::new(PARKED), polls: AtomicU64::new(0) }),
            mark: Padded(Mark {
                polls: AtomicU64::new(u64::MAX),
                since: AtomicU64::new(0),
                stuck_in: AtomicU64::new(u64::MAX),
                stuck_since: AtomicU64::new(PARKED),
            }),
        };
        Self {
            start: now,
            next_look: AtomicU64::new(0),
            ring_by: AtomicU64::new(0),
            alarms: Alarms::new(workers),
            workers: (0..workers).map(watched).collect(),
        }
    }

    /// Whether there is anybody to watch. If not, nothing else here is to be called.
    #[inline]
    pub fn is_on(&self) -> bool {
        !self.workers.is_empty()
    }

    /// What `moment` is here.
    pub fn nanos(&self, moment: Instant) -> u64 {
        nanos_of(moment.saturating_duration_since(self.start))
    }

    /// The alarms of those who sleep.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// The worker has read the clock, and begun `polls` polls so far.
    #[inline]
    pub fn beat(&self, worker: usize, now: u64, polls: u64) {
        let Beat { at, polls: begun } = &self.workers[worker].beat.0;
        // Relaxed: ordered by the next.
        begun.store(polls, Ordering::Relaxed);
        // Release: pairs with the Acquire in `find`.
        at.store(now, Ordering::Release);
    }

    /// The worker goes to its park, or ends: it is not watched until it beats again.
    pub fn rests(&self, worker: usize) {
        // Release: pairs with the Acquire in `find`.
        self.workers[worker].beat.0.at.store(PARKED, Ordering::Release);
    }

    /// Whether it is time that somebody looks, and the caller is the one.
    #[inline]
    pub fn may_look(&self, now: u64) -> bool {
        // Relaxed: nothing is published by a look; one too many, or a moment late, does no harm.
        let due = self.next_look.load(Ordering::Relaxed);
        now >= due
            && (self.next_look)
                .compare_exchange(due, now + LOOK, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Has somebody look again soon: a worker is silent, and nobody knows yet why.
    pub fn look_again_soon(&self, now: u64) {
        // Relaxed: as in `may_look`.
        self.next_look.fetch_min(now + SECOND_LOOK, Ordering::Relaxed);
    }

    /// Somebody has looked: if nobody does so again, an alarm is to ring at `by`.
    fn ring_by(&self, by: u64) {
        // Relaxed: pairs with the load in `until_the_alarm`; a look or two more or less.
        self.ring_by.store(by, Ordering::Relaxed);
    }

    /// How far from `now` an alarm is to be.
    fn until_the_alarm(&self, now: u64) -> u64 {
        // Relaxed: as in `ring_by`.
        let by = self.ring_by.load(Ordering::Relaxed);
        by.saturating_sub(now).clamp(SECOND_LOOK, 2 * LOOK)
    }

    /// Whether all who run have been found stuck and have not looked at the clock since. For one who goes to
    /// sleep, after its fence: whoever gets up later sees to the alarm.
    fn only_the_stuck_run(&self, idle: &Idle) -> bool {
        self.workers.iter().enumerate().all(|(worker, Watched { beat, mark })| {
            // Relaxed, both: pairs with the stores in `beat` and `find`; if it has just looked at the clock,
            // it has been in one poll for as long as the others until now.
            let (at, since) = (&beat.0.at, &mark.0.stuck_since);
            idle.sleeps(worker) || at.load(Ordering::Relaxed) == since.load(Ordering::Relaxed)
        })
    }

    /// Looks at one worker. `polls` reads how many polls it has begun.
    pub fn find(&self, worker: usize, now: u64, polls: impl FnOnce() -> u64) -> Finding {
        let Watched { beat: Padded(beat), mark: Padded(mark) } = &self.workers[worker];
        // Acquire: pairs with the Release in `beat`; what the worker had begun by then is seen below.
        let at = beat.at.load(Ordering::Acquire);
        if now.saturating_sub(at) < LOOK {
            return Finding::Well { beat: at };
        }
        let polls = polls();
        // Acquire: pairs with the Release below, of another looker: the moment goes with the count.
        if mark.polls.load(Ordering::Acquire) != polls {
            // The first poll after its look at the clock has lasted since then; of a later one nobody
            // knows when it began. Relaxed: a beat that comes just now is as good.
            let first = polls <= beat.polls.load(Ordering::Relaxed) + 1;
            // Relaxed: ordered by the next.
            mark.since.store(if first { at } else { now }, Ordering::Relaxed);
            // Release: pairs with the Acquire above.
            mark.polls.store(polls, Ordering::Release);
        }
        // Relaxed: by the Acquire above. It has looked at the clock since then, if no poll came between.
        let so_long = now.saturating_sub(mark.since.load(Ordering::Relaxed).max(at));
        if so_long < SECOND_LOOK {
            return Finding::Silent;
        }
        // Relaxed: pairs with the load in `only_the_stuck_run`, which is about how soon to look again.
        mark.stuck_since.store(at, Ordering::Relaxed);
        // Relaxed: one of several finders is the first, that is all.
        let first = mark.stuck_in.swap(polls, Ordering::Relaxed) != polls;
        Finding::Stuck { so_long, polls, first }
    }
}

/// As a number; beyond 584 years, the largest.
fn nanos_of(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}
