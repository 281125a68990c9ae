//! A bound on how long a future may take.

use super::instant::Instant as Moment;
use super::sleep::{Sleep, now, sleep_until};
use crate::clock::saturating_add;
use crate::scope::{Part, ends_around};
use filch_atomic::current::{WaitKind, has_budget, note_outer_wait, poll_proceed};
use filch_atomic::scope::{Ends, begin_around};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Runs `future` for at most `wait`: its output, or [`Elapsed`].
///
/// The time is counted from its first poll, or to be exact from where that has to wait. So a future that is ready at
/// once costs no look at the clock. [`timeout_at`] has a deadline from the start.
///
/// The future is asked first, whatever the time: if it is ready in the poll that finds the time over, its
/// output wins (C2), and even a zero `wait` polls it once.
///
/// When the time is over, what is inside is cancelled, as a task is by
/// [`JoinHandle::cancel`](crate::task::JoinHandle::cancel): each [`cancellable`](crate::scope::cancellable)
/// future ends with its error, the innermost first, its clean-up runs, and what is
/// [shielded](fn@crate::scope::shielded) is waited for. Then the future is dropped where it waits, and that is
/// `Elapsed`. If there is none of these inside, it is dropped at once. So are filch's own operations that wait
/// there, in no boundary: what they had in flight is not lost (C1).
///
/// A future that comes to its end in spite of all that yields its output, late as it is, unless a boundary in it
/// was cut for it and no group has given its errors since: then what it yields is taken for the error that it passes on, and
/// dropped for `Elapsed`. What is to be
/// kept of work that was cut goes to a variable outside.
///
/// Only its own time makes a timeout yield `Elapsed`. A cancel from outside passes through it to what is inside, and
/// the outermost of several timeouts that end at the same moment is the one that says so. One that has begun to end goes on
/// with that, whatever ends around it meanwhile.
///
/// [`timeout_scope`](super::timeout_scope) is a timeout whose end can be put off.
///
/// # Panics
///
/// When it has to wait and is polled on a thread without a runtime.
///
/// # Cancel safety
///
/// Dropping it drops the future inside and takes its timer out: it is as cancel safe as that future.
#[track_caller]
#[doc(alias = "wait_for")]
#[doc(alias = "fail_after")]
#[doc(alias = "move_on_after")]
pub fn timeout<F: IntoFuture>(wait: Duration, future: F) -> Timeout<F::IntoFuture> {
    let time = Span::new(Limit::Wait(wait), Location::caller());
    Timeout { time, part: Part::new(future.into_future()) }
}

/// Runs `future` until `deadline` at the latest. See [`timeout`].
///
/// # Panics
///
/// When it has to wait and is polled on a thread without a runtime.
///
/// # Cancel safety
///
/// As for [`timeout`].
#[track_caller]
#[doc(alias = "fail_at")]
#[doc(alias = "move_on_at")]
pub fn timeout_at<F: IntoFuture>(
    deadline: impl Into<Instant>,
    future: F,
) -> Timeout<F::IntoFuture> {
    let time = Span::new(Limit::Until(sleep_until(deadline)), Location::caller());
    Timeout { time, part: Part::new(future.into_future()) }
}

/// The future that [`timeout`] and [`timeout_at`] return.
#[derive(Debug)]
#[must_use = "a timeout does nothing unless it is awaited"]
pub struct Timeout<F> {
    time: Span,
    /// Pinned with the whole.
    part: Part<F>,
}

impl<F> Timeout<F> {
    /// The moment at which the time is over. `None` while it is not counted yet: also if one inside has found that it
    /// is over, and this one has not looked since.
    #[doc(alias = "when")]
    pub fn deadline(&self) -> Option<Moment> {
        match &self.time.limit {
            Limit::Wait(_) => None,
            Limit::Until(sleep) => Some(sleep.deadline()),
        }
    }

    /// The future inside. `None` if it was dropped because the time was over.
    pub fn get_ref(&self) -> Option<&F> {
        self.part.get_ref()
    }

    /// The future inside, given up its time limit. `None` if it was dropped because the time was over.
    ///
    /// Boundaries and the like that have begun in it are then in what is around the timeout.
    pub fn into_inner(self) -> Option<F>
    where
        F: Unpin,
    {
        self.part.into_inner()
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `part` is pinned when the whole is: it is not moved out of the reference got here, no
        // method moves it out of a pinned `Timeout` (`into_inner` takes one by value, and asks for
        // `Unpin`), there is no `Drop` impl, and the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        poll_within(unsafe { Pin::new_unchecked(&mut this.part) }, &mut this.time, cx)
    }
}

/// Whoever keeps a timeout's time.
pub(super) trait Time: Ends {
    /// Ready when it is over. `begun`: since when it is counted, if that is known.
    fn poll_over(&mut self, begun: Option<Instant>, cx: &mut Context<'_>) -> Poll<()>;

    /// When it is over. `begun` as above.
    fn deadline(&self, begun: Option<Instant>) -> Option<Instant>;

    /// Where the timeout was made.
    fn location(&self) -> &'static Location<'static>;
}

/// The time of a [`timeout`].
#[derive(Debug)]
struct Span {
    limit: Limit,
    location: &'static Location<'static>,
}

#[derive(Debug)]
enum Limit {
    /// So much, not counted yet.
    Wait(Duration),
    Until(Sleep),
}

impl Span {
    const fn new(limit: Limit, location: &'static Location<'static>) -> Self {
        Self { limit, location }
    }
}

impl Time for Span {
    fn poll_over(&mut self, begun: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if let Limit::Wait(wait) = self.limit {
            let begun = begun.unwrap_or_else(|| {
                let now = now();
                // Who is around this began before, if not by much: so its time is over before, or as soon.
                begin_around(now);
                now
            });
            self.limit = Limit::Until(Sleep::from(begun, wait, self.location));
        }
        match &mut self.limit {
            Limit::Until(sleep) => sleep.poll_elapsed(cx),
            Limit::Wait(_) => unreachable!("it is counted"),
        }
    }

    fn deadline(&self, begun: Option<Instant>) -> Option<Instant> {
        match &self.limit {
            Limit::Wait(wait) => begun.map(|begun| saturating_add(begun, *wait)),
            Limit::Until(sleep) => Some(sleep.until()),
        }
    }

    fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl Ends for Span {
    fn ends_by(&self, begun: Option<Instant>, moment: Instant) -> bool {
        self.deadline(begun).is_some_and(|deadline| deadline <= moment)
    }
}

/// Polls a future that has so much time.
#[inline]
pub(super) fn poll_within<F: Future>(
    mut part: Pin<&mut Part<F>>,
    time: &mut impl Time,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, Elapsed>> {
    if part.as_mut().is_over() {
        return poll_late(part, time, false, cx);
    }
    if let Poll::Ready(output) = part.as_mut().poll(time, cx) {
        return Poll::Ready(Ok(output));
    }
    // Something inside, which ends at the same moment or later, may have found that this is over.
    if !part.as_mut().is_over() {
        // The future inside has noted what it waits for, if it is one of ours.
        note_outer_wait(WaitKind::Timer, 0, time.location());
        let begun = part.as_mut().begun();
        ready!(time.poll_over(begun, cx));
    }
    // Budget is asked for only while there is some: a future that always uses up its task's would
    // else keep its timeout from ever firing. And if it did, the task ends its turn all the same,
    // for the next one that asks has none.
    if has_budget() {
        ready!(poll_proceed(cx));
    }
    poll_late(part, time, true, cx)
}

/// As [`poll_within`], when the time is over. `is_polled`: the future has just been polled.
#[cold]
fn poll_late<F: Future>(
    mut part: Pin<&mut Part<F>>,
    time: &mut impl Time,
    is_polled: bool,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, Elapsed>> {
    let begun = part.as_mut().begun();
    // What has begun to end comes to its end, whatever ends around it meanwhile.
    if !part.as_mut().is_ended() && time.deadline(begun).is_some_and(ends_around) {
        // That is under way, comes to what is inside, and then drops this: it is not for us to give a result, and
        // go on, where all is to end.
        part.as_mut().close();
        note_outer_wait(WaitKind::Timer, 0, time.location());
        return part.poll_closed(is_polled, time, cx).map(Ok);
    }
    Poll::Ready(match ready!(part.as_mut().poll_end(cx)) {
        Some(output) if !part.has_cut() => Ok(output),
        _ => Err(Elapsed(())),
    })
}

/// The time was over before the future was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "TimeoutError")]
pub struct Elapsed(());

impl Elapsed {
    /// For those who keep time by other means than a timeout.
    #[doc(hidden)]
    pub const fn now() -> Self {
        Self(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over before the operation was done")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
