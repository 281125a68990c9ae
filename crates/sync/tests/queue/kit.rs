//! What these tests share.

use std::cmp::Ordering;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

/// Counts how often a future is woken, and polls it.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Relaxed, here and below: looked at where it is rung, or after a join.
        self.0.fetch_add(1, Relaxed);
    }
}

impl Bell {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn rung(&self) -> usize {
        self.0.load(Relaxed)
    }

    pub(crate) fn poll<F: Future + ?Sized>(
        self: &Arc<Self>,
        future: &mut Pin<Box<F>>,
    ) -> Poll<F::Output> {
        let waker = Waker::from(self.clone());
        future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// Polls once, with a waker that nobody hears.
pub(crate) fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The output of a future that is ready.
#[track_caller]
pub(crate) fn ready<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> F::Output {
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it suspends"),
    }
}

/// An item that is told of its drop: each one has to be dropped exactly once. Not `Unpin`, and only `Send`.
pub(crate) struct Item {
    pub(crate) number: usize,
    drops: Arc<Drops>,
    _pinned: std::marker::PhantomPinned,
    _not_sync: std::cell::Cell<()>,
}

/// Made and dropped items.
#[derive(Default)]
pub(crate) struct Drops {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

impl Drops {
    pub(crate) fn item(self: &Arc<Self>) -> Item {
        let number = self.made.fetch_add(1, Relaxed);
        let drops = self.clone();
        Item { number, drops, _pinned: std::marker::PhantomPinned, _not_sync: Default::default() }
    }

    /// Items that are somewhere.
    pub(crate) fn alive(&self) -> usize {
        let made = self.made.load(Relaxed);
        made.checked_sub(self.dropped.load(Relaxed)).expect("each is dropped once")
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.drops.dropped.fetch_add(1, Relaxed);
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {}", self.number)
    }
}
