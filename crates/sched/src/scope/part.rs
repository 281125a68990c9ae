//! A future in a region: one that can be ended by itself.

use super::{around, is_woken};
use filch_atomic::scope::{Ends, Region};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// A future that whoever holds it can end, as a cancel ends a task: the boundaries in it act, innermost first,
/// their clean-up runs, shields hold it up, and then it is dropped where it waits. One that has neither is
/// dropped at once. What timeouts and races are made of.
///
/// Pinned with the whole that it is a part of. It costs nothing but two stores to a thread-local a poll, until
/// a boundary or the like is first polled in it: that makes its scope, with one allocation.
pub struct Part<F> {
    /// Dropped first: what it holds is in the region.
    future: Option<F>,
    region: Region,
}

impl<F> Part<F> {
    /// One that has not begun.
    pub const fn new(future: F) -> Self {
        Self { future: Some(future), region: Region::new() }
    }

    /// The future, unless it was ended.
    pub const fn get_ref(&self) -> Option<&F> {
        self.future.as_ref()
    }

    /// The future, unless it was ended.
    pub fn into_inner(self) -> Option<F>
    where
        F: Unpin,
    {
        self.future
    }

    /// Whether it is to end: that was said ([`close`](Self::close), [`poll_end`](Self::poll_end)), or
    /// [found](filch_atomic::scope::ends_around) by something inside it.
    #[inline]
    pub fn is_over(self: Pin<&mut Self>) -> bool {
        self.region().is_over()
    }

    /// Whether [`poll_end`](Self::poll_end) was called.
    pub fn is_ended(self: Pin<&mut Self>) -> bool {
        self.region().is_ended()
    }

    /// Nothing begins in it any more; but it is left to what is around it to end it.
    pub fn close(self: Pin<&mut Self>) {
        self.region().close();
    }

    /// Whether a boundary in it was cut.
    pub fn has_cut(self: Pin<&mut Self>) -> bool {
        self.region().scope().is_some_and(|scope| scope.has_cut())
    }

    /// When something in it first [began](filch_atomic::scope::begin_around) to count time.
    pub fn begun(self: Pin<&mut Self>) -> Option<Instant> {
        self.region().begun()
    }

    fn region(self: Pin<&mut Self>) -> &mut Region {
        // SAFETY: the region is not pinned, and the future not moved.
        &mut unsafe { self.get_unchecked_mut() }.region
    }

    /// Polls the future. `limit`: when it is going to be ended.
    ///
    /// # Panics
    ///
    /// If the future is gone.
    #[inline]
    pub fn poll(self: Pin<&mut Self>, limit: &impl Ends, cx: &mut Context<'_>) -> Poll<F::Output>
    where
        F: Future,
    {
        // SAFETY: `future` is pinned when the whole is: it is never moved out of the reference got here, and
        // dropped in place by `drop_in_region`. `into_inner` takes a whole by value, which is not pinned or
        // `Unpin`; there is no `Drop` impl, and the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        let future = this.future.as_mut().expect("it was polled after it had been ready");
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(future) };
        this.region.enter(limit, || future.poll(cx))
    }

    /// Ends it. Ready when the future is gone: with its output, if it came to its end in spite of that (C2), or
    /// with nothing, if it was dropped where it waited.
    ///
    /// To be called again, in place of [`poll`](Self::poll), whenever it wakes. A future that nobody told to end
    /// is not polled for that.
    pub fn poll_end(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>>
    where
        F: Future,
    {
        let region = self.as_mut().region();
        let Some(scope) = region.scope() else {
            region.end();
            self.drop_in_region();
            return Poll::Ready(None);
        };
        // First, as whoever else cancels it may still be at that, and wakes us when it is told.
        scope.register(cx.waker());
        region.end();
        // What is pending in a poll that began after this may be cut (`filch_atomic::scope`).
        let is_due = region.scope().is_some_and(|scope| scope.is_due());
        if let Poll::Ready(output) = self.as_mut().poll(&(), cx) {
            self.region().vacate();
            return Poll::Ready(Some(output));
        }
        let scope = self.as_mut().region().scope().expect("it was made before");
        if !is_due || scope.is_held() {
            return Poll::Pending;
        }
        if is_woken() && scope.has_unheard() {
            // No wait, or somebody's turn was over: it is polled again, and so will they be.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.drop_in_region();
        Poll::Ready(None)
    }

    /// Polls the future of one that is [closed](Self::close), unless it has just been. It may be that this is not in what
    /// ends around it, but only polled there: then it is woken when that is gone.
    pub fn poll_closed(
        mut self: Pin<&mut Self>,
        is_polled: bool,
        limit: &impl Ends,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output>
    where
        F: Future,
    {
        if !is_polled && let Poll::Ready(output) = self.as_mut().poll(limit, cx) {
            self.region().vacate();
            return Poll::Ready(output);
        }
        self.region().wait_outside(around, cx.waker());
        Poll::Pending
    }

    /// Drops the future where it is, inside the region: its destructors see that that has ended.
    fn drop_in_region(self: Pin<&mut Self>) {
        // SAFETY: as in `poll`.
        let Self { future, region } = unsafe { self.get_unchecked_mut() };
        region.enter(&(), || *future = None);
        if let Some(scope) = region.scope() {
            scope.forget_waker();
        }
        region.vacate();
    }
}

impl<F> fmt::Debug for Part<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("gone", &self.future.is_none()).finish_non_exhaustive()
    }
}
