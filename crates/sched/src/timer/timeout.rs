//! A bound on how long a future may take.

use super::sleep::{Sleep, sleep, sleep_until};
use filch_atomic::current::{WaitKind, has_budget, note_wait, poll_proceed};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Runs `future` for at most `wait`, counted from now: its output, or [`Elapsed`].
///
/// The future is asked first, whatever the time: if it is ready in the poll that finds the time over, its
/// output wins (C2), and even a zero `wait` polls it once. A future that is ready at once costs one look
/// at the clock. When the time is over the future is not polled any more; it is dropped with the
/// `Timeout`.
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
pub fn timeout<F: IntoFuture>(wait: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { sleep: sleep(wait), future: future.into_future() }
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
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { sleep: sleep_until(deadline), future: future.into_future() }
}

/// The future that [`timeout`] and [`timeout_at`] return.
#[derive(Debug)]
#[must_use = "a timeout does nothing unless it is awaited"]
pub struct Timeout<F> {
    sleep: Sleep,
    /// Pinned with the whole.
    future: F,
}

impl<F> Timeout<F> {
    /// The moment at which the time is over.
    pub fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    /// The future inside.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future inside, given up its time limit.
    pub fn into_inner(self) -> F
    where
        F: Unpin,
    {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is pinned when the whole is: it is not moved out of the reference got here, no
        // method moves it out of a pinned `Timeout` (`into_inner` takes one by value, and asks for
        // `Unpin`), there is no `Drop` impl, and the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        // The future inside notes what it waits for over this, if it is one of ours.
        note_wait(WaitKind::Timer, 0, this.sleep.location());
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        ready!(this.sleep.poll_elapsed(cx));
        // Budget is asked for only while there is some: a future that always uses up its task's would
        // else keep its timeout from ever firing. And if it did, the task ends its turn all the same,
        // for the next one that asks has none.
        if has_budget() {
            ready!(poll_proceed(cx));
        }
        Poll::Ready(Err(Elapsed(())))
    }
}

/// The time was over before the future was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "TimeoutError")]
pub struct Elapsed(());

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
