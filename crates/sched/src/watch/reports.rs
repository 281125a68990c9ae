//! When to say that somebody is stuck.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::nanos_of;

/// At most one line in so long, from the whole scheduler.
const LINES_APART: u64 = 1_000_000_000;

/// Says when a report is due, so that a hook hears of every long poll, but not too often. All of it is
/// advisory, and touched only while somebody is stuck; so plain `std` atomics, all relaxed.
#[derive(Debug)]
pub(crate) struct Reports {
    first_after: Option<u64>,
    /// When the next line may be said.
    next_line: AtomicU64,
    workers: Box<[Stuck]>,
    rescue_failed: AtomicBool,
}

/// The report that is to be made next of one worker.
#[derive(Debug, Default)]
struct Stuck {
    /// So long must it have been stuck.
    due_after: AtomicU64,
    /// It has been due, and refused, before.
    put_off: AtomicBool,
}

/// Whether to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Not,
    Now,
    /// There was another just before. `first`: for the first time.
    PutOff {
        first: bool,
    },
}

impl Reports {
    pub(crate) fn new(workers: usize, first_after: Option<Duration>) -> Self {
        Self {
            first_after: first_after.map(nanos_of),
            next_line: AtomicU64::new(0),
            workers: (0..workers).map(|_| Stuck::default()).collect(),
            rescue_failed: AtomicBool::new(false),
        }
    }

    /// A worker is found to be stuck, in a poll in which it was not before.
    pub(crate) fn begin(&self, worker: usize) {
        let stuck = &self.workers[worker];
        // Relaxed, both: advisory; they pair with the loads in `due`, of any looker.
        stuck.due_after.store(self.first_after.unwrap_or(u64::MAX), Ordering::Relaxed);
        stuck.put_off.store(false, Ordering::Relaxed);
    }

    /// Whether to report it that has been stuck for `so_long`.
    pub(crate) fn due(&self, worker: usize, now: u64, so_long: u64) -> Due {
        let stuck = &self.workers[worker];
        // Relaxed, all that follow: advisory; they pair with one another, of any two lookers.
        if so_long < stuck.due_after.load(Ordering::Relaxed) {
            return Due::Not;
        }
        let next = self.next_line.load(Ordering::Relaxed);
        let may = now >= next
            && (self.next_line)
                .compare_exchange(next, now + LINES_APART, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !may {
            return Due::PutOff { first: !stuck.put_off.swap(true, Ordering::Relaxed) };
        }
        stuck.put_off.store(false, Ordering::Relaxed);
        stuck.due_after.store(so_long.saturating_mul(2), Ordering::Relaxed);
        Due::Now
    }

    /// Whether a rescue that failed is the first.
    pub(crate) fn first_failure(&self) -> bool {
        // Relaxed: pairs with itself; one of several is the first, that is all.
        !self.rescue_failed.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn it_is_said_at_doubling_intervals() {
        let reports = Reports::new(1, Some(Duration::from_millis(2_000)));
        reports.begin(0);
        let said: Vec<_> = (1..=20_000)
            .filter(|ms| reports.due(0, 5_000 * MS + ms * MS, ms * MS) == Due::Now)
            .collect();
        assert_eq!(said, [2_000, 4_000, 8_000, 16_000]);
    }

    #[test]
    fn the_next_line_waits_a_second_and_is_counted_once() {
        let reports = Reports::new(2, Some(Duration::from_millis(10)));
        reports.begin(0);
        reports.begin(1);
        assert_eq!(reports.due(0, 100 * MS, 9 * MS), Due::Not);
        assert_eq!(reports.due(0, 101 * MS, 10 * MS), Due::Now);
        assert_eq!(reports.due(1, 102 * MS, 10 * MS), Due::PutOff { first: true });
        assert_eq!(reports.due(1, 103 * MS, 11 * MS), Due::PutOff { first: false });
        assert_eq!(reports.due(1, 1_101 * MS, 1_009 * MS), Due::Now);
        assert_eq!(reports.due(1, 2_000 * MS, 1_908 * MS), Due::Not);
        // Another poll of the same worker begins at the beginning.
        reports.begin(1);
        assert_eq!(reports.due(1, 3_000 * MS, 10 * MS), Due::Now);
    }

    #[test]
    fn with_no_threshold_nothing_is_said() {
        let reports = Reports::new(1, None);
        reports.begin(0);
        assert_eq!(reports.due(0, 1 << 60, 1 << 60), Due::Not);
        assert!(reports.first_failure());
        assert!(!reports.first_failure());
    }
}
