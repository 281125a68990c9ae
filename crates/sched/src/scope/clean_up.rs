//! What is done after a cancel: shielded from it, and bounded (C4).

use super::{Shielded, around};
use crate::timer::Sleep;
use filch_atomic::current::{WaitKind, note_wait};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
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
            Some(outer) if outer < own.until() => Sleep::of_deadline(outer, location),
            _ => own,
        };
        Self { future: Some(Shielded::until(future, over.until())), over, grace, location }
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
        ready!(poll_over(&mut this.over, cx));
        this.future = None;
        report(this.grace, this.location);
        Poll::Ready(())
    }
}

/// Runs `future` as clean-up: shielded, for at most the runtime's grace, or what is left of that of the clean-up that
/// this is part of. A report that it was cut names `location`.
#[cfg(not(filch_loom))]
pub async fn clean_up(future: impl Future<Output = ()>, location: &'static Location<'static>) {
    let mut clean_up = std::pin::pin!(CleanUp::new(future, grace(), location));
    std::future::poll_fn(|cx| clean_up.as_mut().poll(cx)).await;
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

/// Waits for the end of a time.
#[cfg(not(filch_loom))]
pub(super) fn poll_over(time: &mut Sleep, cx: &mut Context<'_>) -> Poll<()> {
    time.poll_elapsed(cx)
}

/// A model has no time.
#[cfg(filch_loom)]
pub(super) fn poll_over(_: &mut Sleep, _: &mut Context<'_>) -> Poll<()> {
    Poll::Pending
}

#[cfg(not(filch_loom))]
fn report(grace: Duration, location: &'static Location<'static>) {
    use crate::task::{Report, name, try_id};
    let id = try_id();
    let name = name().map(|name| name.to_string());
    let hook = crate::with_handle(|handle| handle.map(|handle| handle.shared().hook.clone()));
    if let Some(hook) = hook {
        hook.report(&Report::CleanUpCut { id, name, location, grace });
    }
}

#[cfg(filch_loom)]
fn report(_: Duration, _: &'static Location<'static>) {}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::CleanUp;
    use crate::scope::{cancellable, shielded};
    use crate::{Config, ThreadPark, run};
    use filch_atomic::scope::{Inside, Kind, Scope, enter};
    use std::future::{Future, pending, poll_fn};
    use std::panic::Location;
    use std::pin::pin;
    use std::task::Poll;
    use std::time::{Duration, Instant};

    const HOUR: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(5);

    fn here<T>(main: impl Future<Output = T>) -> T {
        run(Config::default(), |_worker| Ok(ThreadPark::new()), main).unwrap()
    }

    /// CANCEL-9. Within other clean-up it has what is left of that, however deep; an hour, were it alone.
    #[test]
    fn clean_up_in_clean_up_has_what_is_left() {
        here(async {
            let inner = async {
                // What is in between does not matter.
                shielded(async {
                    let deep = pin!(CleanUp::new(pending::<()>(), HOUR, Location::caller()));
                    let mut deep = deep;
                    poll_fn(|cx| deep.as_mut().poll(cx)).await;
                })
                .await;
                pending::<()>().await;
            };
            let mut outer = pin!(CleanUp::new(inner, SHORT, Location::caller()));
            poll_fn(|cx| outer.as_mut().poll(cx)).await;
        });
    }

    /// The same of a boundary that is cancelled by a scope of its own, in the midst of clean-up.
    #[test]
    fn a_boundary_in_clean_up_has_what_is_left_for_its_own() {
        here(async {
            let deadline = Instant::now() + SHORT;
            let shield = Inside::new(Kind::Shield, Some(Scope::of_task()), Some(deadline));
            let own = Inside::new(Kind::Boundary, Some(shield.scope().clone()), None);
            let cleaned = std::cell::Cell::new(false);
            let clean_up = async || {
                cleaned.set(true);
                pending::<()>().await;
            };
            let mut cut = pin!(cancellable(pending::<()>()).on_cancel(clean_up).grace(HOUR));
            poll_fn(|cx| {
                let polled = enter(own.scope(), || cut.as_mut().poll(cx));
                // By one that is in the same group, say.
                own.scope().cancel();
                match polled {
                    Poll::Ready(ended) => {
                        assert!(ended.is_err() && cleaned.get());
                        Poll::Ready(())
                    }
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
        });
    }
}
