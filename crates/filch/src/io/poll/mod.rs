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

// The two families of traits differ in how they read, and in the name of the method that finishes: what
// follows is what they have in common.

/// Has `$reads` implement reading for everything that is read, and implements `AsyncWrite`, whichever that
/// is, for everything that is written. `$finish` is the name of its last method; `$also` is what else it has.
macro_rules! for_all {
    ($reads:ident, $finish:ident, $also:tt) => {
        for_all!($reads, $finish, $also: TcpStream UnixStream File Duplex);
        for_all!($reads, $finish, $also, halves: TcpStream UnixStream);
        for_all!($reads, $finish, $also, one way: PipeReader, PipeWriter);
        $reads!(Stdin, this => this);
        $reads!(&Stdin, this => *this);
        for_all!(of handles: $finish, $also: Stdout Stderr);
    };
    (of handles: $finish:ident, $also:tt: $($type:ty)*) => {
        $(for_all!(of a handle: $type, $finish, $also);)*
    };
    // Not by shared reference: whose bytes were written would not be known.
    (of a handle: $type:ty, $finish:ident, { $($also:tt)* }) => {
        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<Result<usize>> {
                <$type>::poll_write(self.get_mut(), cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<Result<usize>> {
                <$type>::poll_write(self.get_mut(), cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                <$type>::poll_flush(self.get_mut(), cx)
            }

            fn $finish(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                <$type>::poll_flush(self.get_mut(), cx)
            }

            $($also)*
        }
    };
    ($reads:ident, $finish:ident, $also:tt, one way: $reader:ty, $writer:ty) => {
        $reads!($reader, this => this);
        $reads!(&$reader, this => *this);
        for_all!(writes: $writer, this => this, $finish, $also);
        for_all!(writes: &$writer, this => *this, $finish, $also);
    };
    ($reads:ident, $finish:ident, $also:tt: $($type:ty)*) => {
        $(
            $reads!($type, this => this);
            $reads!(&$type, this => *this);
            for_all!(writes: $type, this => this, $finish, $also);
            for_all!(writes: &$type, this => *this, $finish, $also);
        )*
    };
    ($reads:ident, $finish:ident, $also:tt, halves: $($type:ty)*) => {
        $(
            $reads!(ReadHalf<'_, $type>, this => this.as_ref());
            $reads!(OwnedReadHalf<$type>, this => this.as_ref());
            for_all!(writes: WriteHalf<'_, $type>, this => this.as_ref(), $finish, $also);
            for_all!(writes: OwnedWriteHalf<$type>, this => this.as_ref(), $finish, $also);
        )*
    };
    (writes: $type:ty, $this:ident => $inner:expr, $finish:ident, { $($also:tt)* }) => {
        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<Result<usize>> {
                self.poll_write_vectored(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<Result<usize>> {
                let $this = &*self;
                PollWrite::poll_write($inner, cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                let $this = &*self;
                PollWrite::poll_flush($inner, cx)
            }

            fn $finish(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                let $this = &*self;
                PollWrite::poll_finish($inner, cx)
            }

            $($also)*
        }
    };
}

/// What is written to a reader that reads ahead goes straight to what is inside.
macro_rules! write_through {
    ($finish:ident, { $($also:tt)* }) => {
        impl<W: AsyncWrite + Unpin> AsyncWrite for BufReader<W> {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<Result<usize>> {
                Pin::new(self.get_mut().get_mut()).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<Result<usize>> {
                Pin::new(self.get_mut().get_mut()).poll_write_vectored(cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                Pin::new(self.get_mut().get_mut()).poll_flush(cx)
            }

            fn $finish(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                Pin::new(self.get_mut().get_mut()).$finish(cx)
            }

            $($also)*
        }
    };
}

/// A type that makes what has the traits of a family a [`Write`](super::Write).
macro_rules! adapter {
    ($(#[$docs:meta])* $name:ident, $finish:ident) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name<T>(T);

        impl<T> $name<T> {
            /// Wraps it.
            pub fn new(inner: T) -> Self {
                Self(inner)
            }

            /// What is inside.
            pub fn get_ref(&self) -> &T {
                &self.0
            }

            /// What is inside.
            pub fn get_mut(&mut self) -> &mut T {
                &mut self.0
            }

            /// What is inside. Nothing is kept here.
            pub fn into_inner(self) -> T {
                self.0
            }
        }

        impl<T: AsyncWrite + Unpin + Send> Write for $name<T> {
            async fn write(&mut self, buf: &[u8]) -> Result<usize> {
                poll_fn(|cx| Pin::new(&mut self.0).poll_write(cx, buf)).await
            }

            async fn flush(&mut self) -> Result<()> {
                poll_fn(|cx| Pin::new(&mut self.0).poll_flush(cx)).await
            }

            async fn finish(&mut self) -> Result<()> {
                poll_fn(|cx| Pin::new(&mut self.0).$finish(cx)).await
            }
        }
    };
}

use {adapter, for_all, write_through};
