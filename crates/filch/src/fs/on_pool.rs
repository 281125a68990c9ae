//! Calls that a ring has no operation for.

use crate::handle::Handle;
use crate::task::JoinHandle;
use filch_atomic::current::{WaitKind, note_wait};
use filch_atomic::scope::{self, Leaf};
use filch_sched::task::Meta;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Runs a call on a thread for what blocks, on behalf of the code at `at`. Dropped before it has begun, it never
/// does; begun it runs to its end, and what it gives is dropped.
///
/// As an operation of a ring it does not begin in a scope that is cancelled, and the boundary that it is waited for in
/// is not cut before it has ended (C2).
pub(super) async fn on_pool<T: Send + 'static>(
    at: &'static Location<'static>,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let mut place = Place(None);
    poll_fn(|cx| place.poll_allowed(at, cx)).await;
    let mut job = Job::begin(at, call)?;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut job).poll(cx) {
            return Poll::Ready(ended);
        }
        match place.wait(cx.waker()) {
            Some(ending) => Pin::new(&mut job).poll(&mut Context::from_waker(&ending)),
            None => Poll::Pending,
        }
    })
    .await?
}

/// Its place in the cancel scope that it is waited for in, if there is one.
struct Place(Option<Leaf>);

impl Place {
    /// Waits until it is polled where nothing is cancelled.
    fn poll_allowed(&mut self, at: &'static Location<'static>, cx: &mut Context<'_>) -> Poll<()> {
        if !scope::here_is_cancelled() {
            self.0 = None;
            return Poll::Ready(());
        }
        note_wait(WaitKind::Blocking, 0, at);
        if !self.0.as_ref().is_some_and(Leaf::is_here) {
            // The former one first.
            self.0 = None;
            self.0 = Leaf::refused_here();
        }
        if let Some(leaf) = &self.0 {
            leaf.register(cx.waker());
        }
        if scope::is_refused_in_passing() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// It has begun. If its scope is cancelled, gives what the call is to wake in the end.
    fn wait(&mut self, waker: &Waker) -> Option<Waker> {
        if !self.0.as_ref().is_some_and(Leaf::is_here) {
            // The former one first.
            self.0 = None;
            self.0 = Leaf::here();
        }
        let leaf = self.0.as_mut()?;
        leaf.register(waker);
        leaf.is_cancelled().then(|| leaf.end())
    }
}

/// A call on a thread for what blocks. Dropped, it does not begin any more.
pub(super) struct Job<T>(JoinHandle<T>);

impl<T: Send + 'static> Job<T> {
    /// # Errors
    ///
    /// Without a runtime on this thread, or without a thread.
    pub(super) fn begin(
        at: &'static Location<'static>,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let meta = Meta { location: at, ..Meta::here() };
        Ok(Self(Handle::try_current()?.spawn_blocking_as(call, meta, None)?))
    }
}

/// An error says that the runtime has ended before the call has begun.
impl<T> Future for Job<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        Pin::new(&mut self.0).poll(cx).map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => io::Error::other(error),
        })
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
