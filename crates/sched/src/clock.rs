//! Where the scheduler reads the time: here, and nowhere else.
//!
//! A [`Clock`] is handed down from whoever builds the runtime. The real one is the system's monotonic
//! clock at the price of one branch; a [`TimeSource`] puts anything else in its place, and whatever
//! waits for a point in time then waits for that source to say so: [`ManualClock`] in tests. A
//! [virtual](Clock::virtual_time) one is moved by the scheduler itself, which goes on measuring its own work by the real
//! one: how long a poll takes is not a matter of what the program calls time.

use filch_atomic::sync::atomic::{AtomicU64, Ordering};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A clock that never goes backwards. Cheap to clone; every clone tells the same time.
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    Real,
    Given(Arc<dyn TimeSource>),
    Virtual(Arc<ManualClock>),
}

/// Something that tells the time in place of the system's monotonic clock.
pub trait TimeSource: Send + Sync + 'static {
    /// The present moment; never earlier than what any thread was told before.
    fn now(&self) -> Instant;
}

impl Clock {
    /// The system's monotonic clock.
    pub const fn real() -> Self {
        Self(Source::Real)
    }

    /// The clock that `source` drives.
    pub fn from_source(source: Arc<dyn TimeSource>) -> Self {
        Self(Source::Given(source))
    }

    /// A clock that stands, until the scheduler that it is given to has nothing to do: then it jumps to the next
    /// timer. For one scheduler alone.
    pub fn virtual_time() -> Self {
        Self(Source::Virtual(ManualClock::new()))
    }

    /// The present moment.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Real => Instant::now(),
            Source::Given(source) => source.now(),
            Source::Virtual(hand) => hand.now(),
        }
    }

    /// Whether it is a virtual one: a look at it is one load.
    #[inline]
    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self.0, Source::Virtual(_))
    }

    /// The present moment, as work is measured that takes real time, whatever the timers go by.
    #[inline]
    #[cfg(not(filch_loom))]
    pub(crate) fn pace(&self) -> Instant {
        match &self.0 {
            Source::Virtual(_) => Instant::now(),
            _ => self.now(),
        }
    }

    /// What the timers go by at `now`, a moment of [`pace`](Self::pace).
    #[inline]
    #[cfg(not(filch_loom))]
    pub(crate) fn of_timers(&self, now: Instant) -> Instant {
        match &self.0 {
            Source::Virtual(hand) => hand.now(),
            _ => now,
        }
    }

    /// What moves it, if it is a virtual one.
    #[cfg(not(filch_loom))]
    pub(crate) fn hand(&self) -> Option<&Arc<ManualClock>> {
        match &self.0 {
            Source::Virtual(hand) => Some(hand),
            _ => None,
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::Real => "Clock::Real",
            Source::Given(_) => "Clock::Given",
            Source::Virtual(_) => "Clock::Virtual",
        })
    }
}

/// A clock that stands still until it is told to move.
///
/// ```
/// use filch_sched::clock::ManualClock;
/// use std::time::Duration;
///
/// let hand = ManualClock::new();
/// let clock = hand.clock();
/// let before = clock.now();
/// hand.advance(Duration::from_millis(5));
/// assert_eq!(clock.now() - before, Duration::from_millis(5));
/// ```
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    passed_ns: AtomicU64,
}

impl ManualClock {
    /// A clock that shows the moment of its making.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), passed_ns: AtomicU64::new(0) })
    }

    /// Moves the time on by `step`, to the nanosecond; in all by at most 584 years, where it stays.
    pub fn advance(&self, step: Duration) {
        let step = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
        let on = |passed: u64| Some(passed.saturating_add(step));
        // AcqRel, Acquire: pairs with `now`: what was done before the hand moved is seen by who sees it moved.
        let _ = self.passed_ns.fetch_update(Ordering::AcqRel, Ordering::Acquire, on);
    }

    /// Whether it can ever show `moment`.
    pub(crate) fn reaches(&self, moment: Instant) -> bool {
        u64::try_from(moment.saturating_duration_since(self.start).as_nanos()).is_ok()
    }

    /// A [`Clock`] that shows this one's time.
    pub fn clock(self: &Arc<Self>) -> Clock {
        Clock::from_source(self.clone())
    }
}

impl TimeSource for ManualClock {
    fn now(&self) -> Instant {
        // Acquire: pairs with `advance`.
        self.start + Duration::from_nanos(self.passed_ns.load(Ordering::Acquire))
    }
}

/// The moment `wait` after `from`; where the sum is beyond what an `Instant` can say, a moment so far
/// off (thirty years) that nobody will be there to see it missed.
pub(crate) fn saturating_add(from: Instant, wait: Duration) -> Instant {
    const FAR_FUTURE: Duration = Duration::from_secs(30 * 365 * 86_400);
    from.checked_add(wait).unwrap_or_else(|| from + FAR_FUTURE)
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_real_clock_does_not_go_backwards() {
        let clock = Clock::real();
        let (first, second) = (clock.now(), clock.clone().now());
        assert!(first <= second);
    }

    #[test]
    fn every_clone_shows_the_hand_moved() {
        let hand = ManualClock::new();
        let (one, other) = (hand.clock(), hand.clock());
        let start = one.now();
        assert_eq!(other.now(), start, "it stands still");
        hand.advance(Duration::from_nanos(3));
        assert_eq!(one.now(), start + Duration::from_nanos(3));
        assert_eq!(other.now(), one.now());
    }

    #[test]
    fn a_hand_stays_where_it_can_go_no_farther() {
        let hand = ManualClock::new();
        let mut before = hand.now();
        for step in [Duration::from_secs(1), Duration::MAX, Duration::MAX, Duration::from_secs(1)] {
            hand.advance(step);
            assert!(hand.now() >= before, "it never goes back");
            before = hand.now();
        }
        assert!(hand.reaches(before) && !hand.reaches(before + Duration::from_nanos(1)));
    }

    #[test]
    fn a_sum_beyond_all_instants_is_the_far_future() {
        let now = Instant::now();
        assert!(saturating_add(now, Duration::MAX) > now + Duration::from_secs(86_400 * 365));
        assert_eq!(saturating_add(now, Duration::from_secs(1)), now + Duration::from_secs(1));
    }
}
