//! A future that is ready at a given moment.

use super::instant::Instant as Moment;
use super::registration::{Registration, Wait};
use crate::clock::{Clock, saturating_add};
use crate::context::{CurrentTimers, on_ending_worker, with_timers};
use filch_atomic::current::{WaitKind, note_wait, poll_proceed};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Waits for `wait` to pass, from now on.
///
/// It may be late by a millisecond, and by as long as its worker is busy; it is never early. A time too
/// long to be told stands for the far future. A zero time is ready at once.
///
/// Made where there is no runtime, it goes by the system's clock.
///
/// # Panics
///
/// When it is *polled* for the first time on a thread without a runtime.
///
/// # Cancel safety
///
/// Dropping it leaves nothing behind: nobody is woken. `&mut Sleep` is a future too, so that one sleep can
/// be waited for in several goes.
#[track_caller]
#[doc(alias = "delay")]
pub fn sleep(wait: Duration) -> Sleep {
    Sleep::from(now(), wait, Location::caller())
}

/// Waits until `deadline`; ready at once if that has passed. See [`sleep`].
///
/// # Panics
///
/// When it is *polled* for the first time on a thread without a runtime.
///
/// # Cancel safety
///
/// As for [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: impl Into<Instant>) -> Sleep {
    Sleep { deadline: deadline.into(), state: State::Fresh, location: Location::caller() }
}

/// The present moment by the clock of this thread's runtime; by the system's where there is none.
pub(super) fn now() -> Instant {
    with_timers(|current| current.map(|current| current.timers.clock().now()))
        .unwrap_or_else(|| Clock::real().now())
}

/// The future that [`sleep`] and [`sleep_until`] return.
///
/// It takes its place among the timers of the worker that first polls it, and keeps that place wherever
/// its task moves.
#[derive(Debug)]
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    deadline: Instant,
    state: State,
    location: &'static Location<'static>,
}

/// With it a task that sleeps has 160 bytes, beside its row in the wheel.
#[cfg(all(not(any(filch_loom, filch_shuttle)), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Sleep>() <= 56, "a million sleepers are common");

#[derive(Debug)]
enum State {
    /// Not polled since it was given its deadline, which may lie in the past.
    Fresh,
    /// Not polled yet, and its deadline was in the future when it was made: the first poll can do without
    /// reading the clock. Should it have passed by then, the owner's next look at its timers tells.
    Timed,
    /// Among some worker's timers.
    Waiting(Registration),
    /// The deadline has passed.
    Elapsed,
}

impl Sleep {
    /// As [`sleep`], made on behalf of the code at `location`.
    pub(crate) fn of(wait: Duration, location: &'static Location<'static>) -> Self {
        Self { location, ..sleep(wait) }
    }

    /// As [`sleep_until`], made on behalf of the code at `location`.
    pub(crate) fn of_deadline(deadline: Instant, location: &'static Location<'static>) -> Self {
        Self { location, ..sleep_until(deadline) }
    }

    /// One of `wait` from `now` on, which it is: as [`sleep`], by one who knows the time.
    pub(super) fn from(now: Instant, wait: Duration, location: &'static Location<'static>) -> Self {
        let state = if wait.is_zero() { State::Elapsed } else { State::Timed };
        Self { deadline: saturating_add(now, wait), state, location }
    }

    /// The moment it waits for.
    pub fn deadline(&self) -> Moment {
        self.deadline.into()
    }

    /// As [`deadline`](Self::deadline), as timers count.
    pub(crate) fn until(&self) -> Instant {
        self.deadline
    }

    /// Whether the deadline has passed. Reads the clock unless that is known.
    pub fn is_elapsed(&self) -> bool {
        match &self.state {
            State::Elapsed => true,
            State::Waiting(registration) => registration.timers().clock().now() >= self.deadline,
            State::Fresh | State::Timed => now() >= self.deadline,
        }
    }

    /// Makes it wait for `deadline` instead. A sleep that waits already goes on waiting and wakes the same
    /// task; one that has elapsed starts anew when it is next polled.
    pub fn reset(&mut self, deadline: impl Into<Instant>) {
        let deadline = deadline.into();
        self.deadline = deadline;
        if let State::Waiting(registration) = &mut self.state {
            let is_owner = with_timers(|current| {
                current.is_some_and(|current| {
                    current.is_owner && std::ptr::eq(&**current.timers, &**registration.timers())
                })
            });
            if registration.reset(deadline, is_owner) {
                return;
            }
        }
        self.state = State::Fresh;
    }

    /// As [`reset`](Self::reset) of a sleep that has elapsed, by one who knows the time.
    pub(super) fn restart(&mut self, deadline: Instant, now: Instant) {
        debug_assert!(matches!(self.state, State::Elapsed), "it is not among any timers");
        self.deadline = deadline;
        self.state = if now < deadline { State::Timed } else { State::Elapsed };
    }

    /// The poll without the cooperative budget and the wait record.
    pub(crate) fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = match &mut self.state {
            State::Elapsed => return Poll::Ready(()),
            State::Waiting(registration) => registration.poll(cx.waker()),
            State::Fresh | State::Timed => match self.register(cx) {
                Wait::Pending(registration) => {
                    self.state = State::Waiting(registration);
                    Wait::Pending(())
                }
                Wait::Elapsed => Wait::Elapsed,
                Wait::Closed => Wait::Closed,
            },
        };
        match wait {
            Wait::Pending(()) => Poll::Pending,
            Wait::Elapsed => {
                self.state = State::Elapsed;
                Poll::Ready(())
            }
            Wait::Closed => self.poll_closed(),
        }
    }

    fn register(&self, cx: &Context<'_>) -> Wait<Registration> {
        with_timers(|current| {
            let Some(CurrentTimers { timers, is_owner }) = current else {
                panic!(
                    "there is no filch runtime on this thread: the sleep made at {} has to be awaited \
                     in `filch::run`, in a task, or on a thread that has entered a runtime",
                    self.location
                );
            };
            // A virtual clock is read for nothing, and may have been moved by hand, which no owner looks at in between.
            let clock = timers.clock();
            let is_unknown = matches!(self.state, State::Fresh) || clock.is_virtual();
            if is_unknown && clock.now() >= self.deadline {
                return Wait::Elapsed;
            }
            Registration::new(timers, self.deadline, cx.waker().clone(), is_owner)
        })
    }

    /// The runtime has ended. A task of its own is about to be dropped, and waits for that in peace;
    /// anybody else would wait for ever.
    fn poll_closed(&self) -> Poll<()> {
        if on_ending_worker() {
            return Poll::Pending;
        }
        panic!("the filch runtime that the sleep made at {} waits on was shut down", self.location);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_elapsed(cx) {
            // Out of budget: it stays elapsed, and says so next time.
            Poll::Ready(()) => poll_proceed(cx),
            Poll::Pending => {
                let resource = match &self.state {
                    State::Waiting(registration) => registration.tick() as usize,
                    _ => 0,
                };
                note_wait(WaitKind::Timer, resource, self.location);
                Poll::Pending
            }
        }
    }
}
