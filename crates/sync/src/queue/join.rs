//! Waiting until all work is done.

use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::tally::Tally;
use crate::wait_list::{Site, Waiter};

pin_project! {
    /// The future of [`Queue::join`](super::Queue::join).
    #[must_use = "nothing is waited for unless this is awaited"]
    pub struct Join<'a> {
        tally: &'a Tally,
        site: Site,
        #[pin]
        waiter: Waiter<()>,
    }

    impl PinnedDrop for Join<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.tally.leave(this.waiter);
        }
    }
}

impl<'a> Join<'a> {
    pub(super) fn new(tally: &'a Tally, site: Site) -> Self {
        Self { tally, site, waiter: Waiter::new() }
    }
}

impl Future for Join<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.tally.poll_join(this.waiter, cx, this.site)
    }
}

impl fmt::Debug for Join<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("waiter", &self.waiter).finish_non_exhaustive()
    }
}
