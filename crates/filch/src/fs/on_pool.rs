//! Calls that a ring has no operation for.

use crate::handle::Handle;
use crate::task::JoinHandle;
use filch_sched::task::Meta;
use std::future::Future;
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs a call on a thread for what blocks, on behalf of the code at `at`. Dropped before it has begun, it never
/// does; begun it runs to its end, and what it gives is dropped.
pub(super) async fn on_pool<T: Send + 'static>(
    at: &'static Location<'static>,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    Job::begin(at, call)?.await?
}

/// A call on a thread for what blocks. Dropped, it does not begin any more.
pub(super) struct Job<T>(Option<JoinHandle<T>>);

impl<T: Send + 'static> Job<T> {
    /// # Errors
    ///
    /// Without a runtime on this thread, or without a thread.
    pub(super) fn begin(
        at: &'static Location<'static>,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let meta = Meta { location: at, ..Meta::here() };
        Ok(Self(Some(Handle::try_current()?.spawn_blocking_as(call, meta, None)?)))
    }
}

/// An error says that the runtime has ended before the call has begun.
impl<T> Future for Job<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let handle = self.0.as_mut().expect("until it is detached");
        Pin::new(handle).poll(cx).map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => io::Error::other(error),
        })
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}
