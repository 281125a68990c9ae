//! The poll-based traits of other runtimes, and what they are implemented by.

#[cfg(feature = "futures-io")]
mod futures;
#[cfg(feature = "tokio-io")]
mod tokio;

#[cfg(feature = "futures-io")]
pub use futures::FuturesIo;
#[cfg(feature = "tokio-io")]
pub use tokio::TokioIo;

use std::io::{IoSlice, Result};
use std::task::{Context, Poll};

/// Reading by polls.
pub(crate) trait PollRead {
    /// Gives bytes that have come to `put`, which has `room` for so many, and says how many it took. A
    /// read that is pending already is taken over (C1).
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        put: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Poll<Result<usize>>;
}

/// Writing by polls. Ready means that the system has it: nothing is kept back here.
pub(crate) trait PollWrite {
    /// Writes some of `bufs`.
    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<Result<usize>>;

    /// Waits for what an earlier write has left in flight.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Waits as [`poll_flush`](Self::poll_flush), then sends the end where there is one to be sent.
    fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<Result<()>>;
}

/// Has `$reads` and `$writes` implement traits for everything that is read, and that is written.
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
macro_rules! for_all {
    ($reads:ident, $writes:ident) => {
        for_all!($reads, $writes: TcpStream UnixStream File Duplex);
        for_all!($reads, $writes, halves: TcpStream UnixStream);
    };
    ($reads:ident, $writes:ident: $($type:ty)*) => {
        $(
            $reads!($type, this => this);
            $reads!(&$type, this => *this);
            $writes!($type, this => this);
            $writes!(&$type, this => *this);
        )*
    };
    ($reads:ident, $writes:ident, halves: $($type:ty)*) => {
        $(
            $reads!(ReadHalf<'_, $type>, this => this.as_ref());
            $reads!(OwnedReadHalf<$type>, this => this.as_ref());
            $writes!(WriteHalf<'_, $type>, this => this.as_ref());
            $writes!(OwnedWriteHalf<$type>, this => this.as_ref());
        )*
    };
}
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
use for_all;
