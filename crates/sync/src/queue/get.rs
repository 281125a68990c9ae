//! Waiting for an item.

use filch_atomic::sync::Arc;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::error::ShutDown;
use super::lease::Lease;
use super::shared::{Shared, Turn};
use super::state::Side;
use crate::wait_list::{Site, Waiter};

pin_project! {
    /// The future of [`Queue::get_raw`](super::Queue::get_raw).
    #[must_use = "nothing is got unless this is awaited"]
    pub struct GetRaw<'a, T> {
        shared: &'a Arc<Shared<T>>,
        site: Site,
        #[pin]
        waiter: Waiter<()>,
    }

    impl<T> PinnedDrop for GetRaw<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave(Side::Get, this.waiter);
        }
    }
}

impl<'a, T> GetRaw<'a, T> {
    pub(super) fn new(shared: &'a Arc<Shared<T>>, site: Site) -> Self {
        Self { shared, site, waiter: Waiter::new() }
    }
}

impl<T> Future for GetRaw<'_, T> {
    type Output = Result<T, ShutDown>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.shared.poll_get(Turn { waiter: this.waiter, cx, site: this.site })
    }
}

impl<T> fmt::Debug for GetRaw<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetRaw").field("waiter", &self.waiter).finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Queue::get`](super::Queue::get).
    #[must_use = "nothing is got unless this is awaited"]
    pub struct Get<'a, T> {
        #[pin]
        raw: GetRaw<'a, T>,
    }
}

impl<'a, T> Get<'a, T> {
    pub(super) fn new(shared: &'a Arc<Shared<T>>, site: Site) -> Self {
        Self { raw: GetRaw::new(shared, site) }
    }
}

impl<T> Future for Get<'_, T> {
    type Output = Result<Lease<T>, ShutDown>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let raw = self.project().raw;
        let shared = raw.shared;
        raw.poll(cx).map_ok(|item| Lease::new(item, shared))
    }
}

impl<T> fmt::Debug for Get<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("waiter", &self.raw.waiter).finish_non_exhaustive()
    }
}
