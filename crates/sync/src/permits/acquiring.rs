//! The future under every `lock`, `read`, `write` and `acquire`.

use super::{Closed, Permits, Want};
use crate::wait_list::{Site, Waiter};
use filch_atomic::current;
use pin_project_lite::pin_project;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What has permits: a primitive, or a pointer to one.
pub(crate) trait HasPermits {
    /// Its permits.
    fn permits(&self) -> &Permits;
}

impl<P: HasPermits + ?Sized> HasPermits for &P {
    #[inline(always)]
    fn permits(&self) -> &Permits {
        (**self).permits()
    }
}

impl<P: HasPermits + ?Sized> HasPermits for Arc<P> {
    #[inline(always)]
    fn permits(&self) -> &Permits {
        (**self).permits()
    }
}

pin_project! {
    /// Waits for some permits of `of`, a pointer, and gives that pointer back with them. Dropped, it leaves
    /// its place or hands on what it was given.
    pub(crate) struct Acquiring<P: HasPermits> {
        // Until it is done.
        of: Option<P>,
        permits: usize,
        site: Site,
        // It was polled by a task that had used up its turn, which it does only once without a place in line.
        gave_way: bool,
        #[pin]
        waiter: Waiter<Want>,
    }

    impl<P: HasPermits> PinnedDrop for Acquiring<P> {
        #[inline(always)]
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(of) = this.of {
                of.permits().leave(this.waiter);
            }
        }
    }
}

impl<P: HasPermits> Acquiring<P> {
    /// Will wait for so many permits of `of`, once it is polled.
    #[inline(always)]
    pub(crate) fn new(of: P, permits: usize, site: Site) -> Self {
        Self { of: Some(of), permits, site, gave_way: false, waiter: Waiter::new() }
    }

    /// The pointer, once so many of its permits are the caller's.
    ///
    /// # Panics
    ///
    /// If it was ready before.
    #[inline]
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<P, Closed>> {
        let this = self.project();
        let of = this.of.as_ref().expect("polled after it had been ready");
        let permits = of.permits();
        if this.waiter.is_idle()
            && !current::has_budget()
            && !mem::replace(this.gave_way, true)
            && permits.has_free(*this.permits)
        {
            // Its next turn. To take them now would keep them from others who could use them in this one,
            // and who would all have to wait, one behind the other (README, "Out of budget, closed").
            ready!(current::poll_proceed(cx));
        }
        let outcome = ready!(permits.poll_acquire(this.waiter, cx, *this.permits, *this.site));
        let of = this.of.take().expect("it was there just now");
        Poll::Ready(outcome.map(|()| of))
    }
}

impl<P: HasPermits> fmt::Debug for Acquiring<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquiring")
            .field("permits", &self.permits)
            .field("waiter", &self.waiter)
            .finish()
    }
}
