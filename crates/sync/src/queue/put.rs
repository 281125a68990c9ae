//! Waiting for room.

use filch_atomic::sync::Arc;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::error::{PutError, PutErrorKind, ShutDown};
use super::shared::{Shared, Turn};
use super::state::{Phase, Side, State};
use crate::wait_list::{Site, Waiter};

pin_project! {
    /// The future of [`Queue::put`](super::Queue::put).
    #[must_use = "nothing is put unless this is awaited"]
    pub struct Put<'a, T> {
        shared: &'a Shared<T>,
        // Until it is put, or given back.
        item: Option<T>,
        site: Site,
        #[pin]
        waiter: Waiter<()>,
    }

    impl<T> PinnedDrop for Put<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave(Side::Put, this.waiter);
        }
    }
}

impl<'a, T> Put<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>, item: T, site: Site) -> Self {
        Self { shared, item: Some(item), site, waiter: Waiter::new() }
    }
}

impl<T> Future for Put<'_, T> {
    type Output = Result<(), PutError<T>>;

    /// # Panics
    ///
    /// If it is polled again after it has ended.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (shared, item) = (*this.shared, this.item);
        assert!(item.is_some(), "a put that has ended is not polled again");
        let turn = Turn { waiter: this.waiter, cx, site: this.site };
        let put = shared.poll_room(turn, |state| {
            if let Some(item) = item.take() {
                shared.push(state, item);
            }
        });
        let put = ready!(put);
        // Who shuts down takes no item.
        Poll::Ready(match item.take() {
            Some(item) if put == Err(ShutDown) => {
                Err(PutError { item, kind: PutErrorKind::ShutDown })
            }
            _ => Ok(()),
        })
    }
}

impl<T> fmt::Debug for Put<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("waiter", &self.waiter).finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Queue::reserve`](super::Queue::reserve).
    #[must_use = "no room is waited for unless this is awaited"]
    pub struct Reserve<'a, T> {
        shared: &'a Arc<Shared<T>>,
        site: Site,
        #[pin]
        waiter: Waiter<()>,
    }

    impl<T> PinnedDrop for Reserve<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave(Side::Put, this.waiter);
        }
    }
}

impl<'a, T> Reserve<'a, T> {
    pub(super) fn new(shared: &'a Arc<Shared<T>>, site: Site) -> Self {
        Self { shared, site, waiter: Waiter::new() }
    }
}

impl<T> Future for Reserve<'_, T> {
    type Output = Result<Slot<T>, ShutDown>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let turn = Turn { waiter: this.waiter, cx, site: this.site };
        let room = this.shared.poll_room(turn, State::keep);
        room.map_ok(|()| Slot::new(this.shared))
    }
}

impl<T> fmt::Debug for Reserve<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").field("waiter", &self.waiter).finish_non_exhaustive()
    }
}

/// Room for one item, kept for whoever has this. Dropped, it goes to the next who waits for room.
///
/// It borrows nothing. Whoever keeps one keeps room from others, and getters of a queue that is draining
/// waiting: for the item that may come.
#[doc(alias = "Permit")]
#[doc(alias = "OwnedPermit")]
#[must_use = "room that is not used goes to others when this is dropped"]
pub struct Slot<T> {
    shared: Arc<Shared<T>>,
    used: bool,
}

impl<T> Slot<T> {
    /// For room that was kept by `State::keep`.
    pub(super) fn new(shared: &Arc<Shared<T>>) -> Self {
        Self { shared: shared.clone(), used: false }
    }

    /// Puts an item there. Neither waits nor fails.
    ///
    /// A queue that was [shut down](super::Queue::shutdown) since then gives it to a getter all the same.
    /// One that was [shut down at once](super::Queue::shutdown_now) has no more use for it: it is dropped,
    /// like the items that were in the queue.
    #[doc(alias = "send")]
    pub fn put(mut self, item: T) {
        self.used = true;
        let mut state = self.shared.lock();
        state.unkeep();
        if state.phase == Phase::Closed {
            drop(state);
            drop(item);
        } else {
            self.shared.push(&mut state, item);
        }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if !self.used {
            let mut state = self.shared.lock();
            state.unkeep();
            state.unpromise(Side::Put);
        }
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}
