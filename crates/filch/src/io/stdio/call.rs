//! Calls on a thread for what blocks.

use super::Here;
use crate::task::{JoinError, JoinHandle};
use filch_sched::task::Meta;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A call on a thread for what blocks, kept by a stream: whoever polls next has its result.
pub(super) struct Call<T>(JoinHandle<T>);

impl<T: Send + 'static> Call<T> {
    /// # Errors
    ///
    /// Without a thread.
    pub(super) fn begin(
        here: &Here,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let meta = Meta { location: here.at, ..Meta::here() };
        Ok(Self(here.handle.spawn_blocking_as(call, meta, None)?))
    }

    /// If it has not begun it never does.
    pub(super) fn take_back(&self) {
        self.0.abort();
    }

    /// An error says that it was taken back, or that its runtime has ended, before it had begun: nothing has happened.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        Pin::new(&mut self.0).poll(cx)
    }
}
