//! Ticks at a steady pace.

use super::instant::Instant as Moment;
use super::sleep::{Sleep, now, sleep_until};
use crate::clock::saturating_add;
use futures_core::Stream;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// By how much a tick may be late before [`MissedTick::Delay`] moves the later ones: what a timer's own
/// precision and a busy worker explain.
const TOLERANCE: Duration = Duration::from_millis(5);

/// Ticks now, and then every `period`.
///
/// The times are counted from the start, not from when somebody asked: a steady pace, however long the work between
/// two ticks takes, as long as it is less than a period. [`Interval::set_missed_tick`] says what is done when it is
/// more. The first tick is there at once.
///
/// ```
/// use filch_sched::timer::interval;
/// use std::time::Duration;
/// # use filch_sched::{Config, ThreadPark, run};
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let mut pace = interval(Duration::from_millis(2));
/// let first = pace.tick().await;
/// assert_eq!(pace.tick().await - first, Duration::from_millis(2));
/// # }).unwrap();
/// ```
///
/// # Panics
///
/// If `period` is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(now(), period)
}

/// Ticks at `start`, and then every `period`. See [`interval`].
///
/// # Panics
///
/// If `period` is zero.
#[track_caller]
pub fn interval_at(start: impl Into<Instant>, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
    Interval { sleep: sleep_until(start), period, missed: MissedTick::default() }
}

/// What [`interval`] and [`interval_at`] return.
///
/// It is a `Stream`, too, of the moments at which its ticks were due, that never ends.
///
/// # Cancel safety
///
/// A wait for a tick, by [`tick`](Self::tick) or as of a stream, that is dropped loses none: the next one gets it.
#[derive(Debug)]
#[must_use = "nobody is told of a tick that is not asked for"]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTick,
}

/// What an [`Interval`] does when nobody asked for a tick in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[doc(alias = "MissedTickBehavior")]
pub enum MissedTick {
    /// Makes up for the missed ticks, one after the other without a pause, then keeps to the original
    /// times.
    #[default]
    Burst,
    /// Starts anew: the next tick comes a period after the late one was taken. A tick that is late by no
    /// more than five milliseconds counts as in time.
    Delay,
    /// Leaves the missed ticks out: the next one comes at the first of the original times that is still
    /// to come.
    Skip,
}

impl MissedTick {
    /// When the tick after the one that was due at `due` and taken at `now` is due.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        let late = now.saturating_duration_since(due);
        match self {
            Self::Delay if late > TOLERANCE => saturating_add(now, period),
            Self::Skip if late >= period => {
                // The part of a period since the last of the original times, in u128 throughout: a
                // nanosecond's period over years is more than 64 bits of them.
                let into = late.as_nanos() % period.as_nanos();
                let left = period.as_nanos() - into;
                let left =
                    Duration::new((left / 1_000_000_000) as u64, (left % 1_000_000_000) as u32);
                saturating_add(now, left)
            }
            _ => saturating_add(due, period),
        }
    }
}

impl Interval {
    /// Waits for the next tick and returns the moment it was due at.
    ///
    /// # Panics
    ///
    /// When it is polled on a thread without a runtime.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped loses no tick: the next call gets it.
    pub async fn tick(&mut self) -> Moment {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// As [`tick`](Self::tick), for futures and streams written by hand.
    ///
    /// # Panics
    ///
    /// When it is called on a thread without a runtime.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Moment> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.until();
        let now = now();
        self.sleep.restart(self.missed.next(due, now, self.period), now);
        Poll::Ready(due.into())
    }

    /// The time from tick to tick.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What it does about ticks that nobody asked for in time.
    pub fn missed_tick(&self) -> MissedTick {
        self.missed
    }

    /// Says what it shall do about ticks that nobody asked for in time.
    pub fn set_missed_tick(&mut self, missed: MissedTick) {
        self.missed = missed;
    }

    /// Makes the next tick come a period from now.
    pub fn reset(&mut self) {
        self.reset_at(saturating_add(now(), self.period));
    }

    /// Makes the next tick come at `next`.
    pub fn reset_at(&mut self, next: impl Into<Instant>) {
        self.sleep.reset(next);
    }
}

impl Stream for Interval {
    type Item = Moment;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Moment>> {
        self.poll_tick(cx).map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
