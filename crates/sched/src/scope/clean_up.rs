//! What is done after a cancel: shielded from it, and bounded (C4).

use super::{Shielded, around};
use crate::timer::Sleep;
use filch_atomic::current::{WaitKind, note_wait};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Runs `future` shielded, for at most its grace.
pub(super) struct CleanUp<F> {
    /// Pinned with the whole. Dropped before the time is told to be over.
    future: Option<Shielded<F>>,
    over: Sleep,
    grace: Duration,
    location: &'static Location<'static>,
}

impl<F> CleanUp<F> {
    /// Clean-up of what was made cancellable at `location`. It may take so long, but not longer than the
    /// clean-up that it is part of.
    pub(super) fn new(future: F, grace: Duration, location: &'static Location<'static>) -> Self {
        let own = Sleep::of(grace, location);
        let outer = around().and_then(|scope| scope.deadline());
        let over = match outer {
            Some(outer) if outer < own.deadline() => Sleep::of_deadline(outer, location),
            _ => own,
        };
        Self { future: Some(Shielded::until(future, over.deadline())), over, grace, location }
    }

    /// Ready when it is over, one way or the other. Pinned like a future.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>
    where
        F: Future<Output = ()>,
    {
        // SAFETY: `future` is pinned when the whole is: it is dropped in place and never moved, there is no
        // `Drop` impl, and the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        let Some(future) = &mut this.future else { return Poll::Ready(()) };
        note_wait(WaitKind::Timer, 0, this.location);
        // SAFETY: as above.
        if unsafe { Pin::new_unchecked(future) }.poll(cx).is_ready() {
            this.future = None;
            return Poll::Ready(());
        }
        if this.over.poll_elapsed(cx).is_pending() {
            return Poll::Pending;
        }
        this.future = None;
        report(this.grace, this.location);
        Poll::Ready(())
    }
}

/// How long clean-up may take in this thread's runtime.
#[cfg(not(filch_loom))]
pub(super) fn grace() -> Duration {
    let here = crate::with_handle(|handle| handle.map(|handle| handle.shared().grace));
    here.unwrap_or(Duration::from_secs(5))
}

/// A model has no time.
#[cfg(filch_loom)]
pub(super) fn grace() -> Duration {
    Duration::MAX
}

#[cfg(not(filch_loom))]
fn report(grace: Duration, location: &'static Location<'static>) {
    use crate::task::{Report, name, try_id};
    let Some(id) = try_id() else { return };
    let name = name().map(|name| name.to_string());
    let hook = crate::with_handle(|handle| handle.map(|handle| handle.shared().hook.clone()));
    if let Some(hook) = hook {
        hook.report(&Report::CleanUpCut { id, name, location, grace });
    }
}

#[cfg(filch_loom)]
fn report(_: Duration, _: &'static Location<'static>) {}
