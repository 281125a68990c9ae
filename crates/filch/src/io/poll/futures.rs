//! The traits of the `futures` crates.

use super::{PollRead, PollWrite, adapter, for_all, write_through};
use crate::fs::File;
use crate::io::{
    BufRead, BufReader, Duplex, PipeReader, PipeWriter, Read, Seek, Stderr, Stdin, StdinLock,
    Stdout, Write, fill,
};
use crate::net::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::{TcpStream, UnixStream};
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
use std::future::poll_fn;
use std::io::{IoSlice, Result, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

macro_rules! reads {
    ($type:ty, $this:ident => $inner:expr) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<Result<usize>> {
                let $this = &*self;
                PollRead::poll_read($inner, cx, buf.len(), &mut fill(buf))
            }
        }
    };
}

for_all!(reads, poll_close, {});

impl AsyncRead for StdinLock {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize>> {
        Self::poll_read(self.get_mut(), cx, buf.len(), &mut fill(buf))
    }
}

impl AsyncBufRead for StdinLock {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        self.get_mut().poll_ahead(cx)
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        BufRead::consume(self.get_mut(), amount);
    }
}

impl AsyncSeek for File {
    fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, to: SeekFrom) -> Poll<Result<u64>> {
        (*self).poll_seek(cx, to)
    }
}

impl AsyncSeek for &File {
    fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, to: SeekFrom) -> Poll<Result<u64>> {
        (**self).poll_seek(cx, to)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for BufReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize>> {
        if buf.is_empty() || self.bypasses(buf.len()) {
            return Pin::new(self.get_mut().get_mut()).poll_read(cx, buf);
        }
        let ahead = ready!(self.as_mut().poll_fill_buf(cx))?;
        let read = fill(buf)(ahead);
        self.take_ahead(read);
        Poll::Ready(Ok(read))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for BufReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        let this = self.get_mut();
        if this.ahead().is_empty() {
            let (inner, room) = this.inner_and_room();
            let read = ready!(Pin::new(inner).poll_read(cx, room))?;
            this.filled(read);
        }
        Poll::Ready(Ok(this.ahead()))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.take_ahead(amount);
    }
}

write_through!(poll_close, {});

adapter! {
    /// Something that the `futures` crates can read and write, for filch to read and write. A feature:
    /// `futures-io`.
    ///
    /// ```
    /// # filch::run(async {
    /// use filch::io::{FuturesIo, Read};
    ///
    /// let mut source = FuturesIo::new(smol::io::repeat(7));
    /// let mut buf = [0; 3];
    /// source.read_exact(&mut buf).await?;
    /// assert_eq!(buf, [7, 7, 7]);
    /// # Ok::<(), std::io::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// That of what is inside: a future that is dropped here is a poll that is not repeated. By the contract
    /// of the traits a poll that was told to wait has neither read nor written anything.
    FuturesIo, poll_close
}

impl<T: AsyncRead + Unpin + Send> Read for FuturesIo<T> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        poll_fn(|cx| Pin::new(&mut self.0).poll_read(cx, buf)).await
    }
}

impl<T: AsyncSeek + Unpin + Send> Seek for FuturesIo<T> {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        poll_fn(|cx| Pin::new(&mut self.0).poll_seek(cx, to)).await
    }
}
