//! Giving others a turn.

use filch_atomic::current::{self, WaitKind};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Suspends the task once and puts it at the back of its worker's queue, so that others that are
/// ready run first.
///
/// # Cancel safety
///
/// Cancel safe: there is nothing to lose.
#[track_caller]
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false, location: Location::caller() }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
    location: &'static Location<'static>,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        current::note_wait(WaitKind::Yield, 0, self.location);
        // Woken while it runs: the worker gets the task back from this very poll.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
