//! The items of a queue, one after the other.

use filch_atomic::sync::Arc;
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::lease::Lease;
use super::shared::{Shared, Turn};
use super::state::Side;
use crate::wait_list::{Site, Waiter};

/// The stream of [`Queue::into_stream`](super::Queue::into_stream): a lease for each item, until the queue
/// is shut down and nothing is left.
///
/// # Cancel safety
///
/// The stream itself stands in the line of getters, from a poll that finds nothing to the poll that finds
/// something. A `next` that is dropped loses nothing, nor its place: the next `next` goes on. Only
/// dropping the stream gives the place up.
///
/// # Deadlocks
///
/// A stream that was woken and is neither polled nor dropped keeps an item from others.
#[must_use = "a stream does nothing unless it is polled"]
pub struct IntoStream<T> {
    shared: Arc<Shared<T>>,
    site: Site,
    /// In a box, so that the stream may be moved between its items.
    waiter: Pin<Box<Waiter<()>>>,
}

impl<T> IntoStream<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, site: Site) -> Self {
        Self { shared, site, waiter: Box::pin(Waiter::new()) }
    }
}

// Nothing in it is pinned but what is in the box.
impl<T> Unpin for IntoStream<T> {}

impl<T> Stream for IntoStream<T> {
    type Item = Lease<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Lease<T>>> {
        let this = &mut *self;
        let got = this.shared.poll_get(Turn { waiter: this.waiter.as_mut(), cx, site: &this.site });
        got.map(|got| got.ok().map(|item| Lease::new(item, &this.shared)))
    }
}

impl<T> Drop for IntoStream<T> {
    fn drop(&mut self) {
        self.shared.leave(Side::Get, self.waiter.as_mut());
    }
}

impl<T> fmt::Debug for IntoStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoStream").field("waiter", &self.waiter).finish_non_exhaustive()
    }
}
