//! A moment by the clock of the runtime.

use super::sleep::now;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::{self, Duration};

/// A moment by the clock of the runtime: [`std::time::Instant`], but that [`now`](Self::now) follows a virtual clock
/// where the runtime has one.
///
/// The two convert into each other at no cost, and whatever here takes a deadline takes either. What `std`'s own
/// `now` tells is real time, and has nothing to do with timers under a virtual clock.
///
/// ```
/// use filch_sched::timer::Instant;
/// use std::time::Duration;
///
/// let now = Instant::now();
/// assert_eq!((now + Duration::from_secs(3)) - now, Duration::from_secs(3));
/// assert_eq!(Instant::from(now.into_std()), now);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(time::Instant);

impl Instant {
    /// The present moment by the clock of this thread's runtime; by the system's where there is none.
    ///
    /// Costs a reading of that clock.
    #[doc(alias = "time")]
    pub fn now() -> Self {
        Self(now())
    }

    /// As `std`'s.
    pub const fn from_std(moment: time::Instant) -> Self {
        Self(moment)
    }

    /// As `std`'s, for those who know no other.
    pub const fn into_std(self) -> time::Instant {
        self.0
    }

    /// How long ago that was, by the runtime's clock; zero for what is to come.
    pub fn elapsed(&self) -> Duration {
        Self::now().saturating_duration_since(*self)
    }

    /// The time from `earlier` to this moment; zero if that is the later one.
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The time from `earlier` to this moment. `None` if that is the later one.
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.0.checked_duration_since(earlier.0)
    }

    /// The time from `earlier` to this moment; zero if that is the later one.
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The moment that comes so long after. `None` if there is none that can be told.
    pub fn checked_add(&self, wait: Duration) -> Option<Self> {
        self.0.checked_add(wait).map(Self)
    }

    /// The moment that came so long before. `None` if there is none that can be told.
    pub fn checked_sub(&self, wait: Duration) -> Option<Self> {
        self.0.checked_sub(wait).map(Self)
    }
}

impl From<time::Instant> for Instant {
    fn from(moment: time::Instant) -> Self {
        Self(moment)
    }
}

impl From<Instant> for time::Instant {
    fn from(moment: Instant) -> Self {
        moment.0
    }
}

/// For what takes a deadline or none.
impl From<Instant> for Option<time::Instant> {
    fn from(moment: Instant) -> Self {
        Some(moment.0)
    }
}

impl PartialEq<time::Instant> for Instant {
    fn eq(&self, other: &time::Instant) -> bool {
        self.0 == *other
    }
}

impl PartialEq<Instant> for time::Instant {
    fn eq(&self, other: &Instant) -> bool {
        *self == other.0
    }
}

/// Panics where the sum cannot be told, as `std`'s does.
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0 + wait)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, wait: Duration) {
        self.0 += wait;
    }
}

/// Panics where the difference cannot be told, as `std`'s does.
impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, wait: Duration) -> Self {
        Self(self.0 - wait)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, wait: Duration) {
        self.0 -= wait;
    }
}

/// The time between the two; zero if the second is the later one, as with `std`'s.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
