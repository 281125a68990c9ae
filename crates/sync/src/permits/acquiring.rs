//! The future under every `lock`, `read`, `write` and `acquire`.

use super::{Closed, Permits, Want};
use crate::wait_list::{Site, Waiter};
use pin_project_lite::pin_project;
use std::fmt;
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
        Self { of: Some(of), permits, site, waiter: Waiter::new() }
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
        let outcome = ready!(of.permits().poll_acquire(this.waiter, cx, *this.permits, *this.site));
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
