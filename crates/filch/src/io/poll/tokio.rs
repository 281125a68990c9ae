//! The traits of tokio.

use super::{PollRead, PollWrite, for_all};
use crate::fs::File;
use crate::io::{BufReader, Duplex, Read, Write};
use crate::net::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::{TcpStream, UnixStream};
use std::future::poll_fn;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// Puts bytes into a buffer, as many as it has room for.
fn put(part: &[u8], buf: &mut ReadBuf<'_>) -> usize {
    let fits = part.len().min(buf.remaining());
    buf.put_slice(&part[..fits]);
    fits
}

macro_rules! reads {
    ($type:ty, $this:ident => $inner:expr) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<Result<()>> {
                let $this = &*self;
                let room = buf.remaining();
                ready!(PollRead::poll_read($inner, cx, room, &mut |part| put(part, buf)))?;
                Poll::Ready(Ok(()))
            }
        }
    };
}

macro_rules! writes {
    ($type:ty, $this:ident => $inner:expr) => {
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

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                let $this = &*self;
                PollWrite::poll_flush($inner, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                let $this = &*self;
                PollWrite::poll_finish($inner, cx)
            }
        }
    };
}

for_all!(reads, writes);

impl<R: AsyncRead + Unpin> AsyncRead for BufReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        if self.bypasses(buf.remaining()) {
            return Pin::new(self.get_mut().get_mut()).poll_read(cx, buf);
        }
        let read = put(ready!(self.as_mut().poll_fill_buf(cx))?, buf);
        self.take_ahead(read);
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for BufReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        let this = self.get_mut();
        if this.ahead().is_empty() {
            let (inner, room) = this.inner_and_room();
            let mut buf = ReadBuf::new(room);
            ready!(Pin::new(inner).poll_read(cx, &mut buf))?;
            let read = buf.filled().len();
            this.filled(read);
        }
        Poll::Ready(Ok(this.ahead()))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.take_ahead(amount);
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for BufReader<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(self.get_mut().get_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(self.get_mut().get_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(self.get_mut().get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(self.get_mut().get_mut()).poll_shutdown(cx)
    }
}

/// Something that tokio can read and write, for filch to read and write. A feature: `tokio-io`.
///
/// ```
/// # filch::run(async {
/// use filch::io::{Read, TokioIo, Write};
///
/// let (near, far) = tokio::io::duplex(64);
/// let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
/// near.write_all(b"ping").await?;
/// near.finish().await?;
/// let mut all = String::new();
/// far.read_to_string(&mut all).await?;
/// assert_eq!(all, "ping");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// # Cancel safety
///
/// That of what is inside: a future that is dropped here is a poll that is not repeated. By the contract
/// of the traits a poll that was told to wait has neither read nor written anything.
#[derive(Debug, Clone, Copy)]
pub struct TokioIo<T>(T);

impl<T> TokioIo<T> {
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

impl<T: AsyncRead + Unpin + Send> Read for TokioIo<T> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut buf = ReadBuf::new(buf);
        poll_fn(|cx| Pin::new(&mut self.0).poll_read(cx, &mut buf)).await?;
        Ok(buf.filled().len())
    }
}

impl<T: AsyncWrite + Unpin + Send> Write for TokioIo<T> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize> {
        poll_fn(|cx| Pin::new(&mut self.0).poll_write(cx, buf)).await
    }

    async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| Pin::new(&mut self.0).poll_flush(cx)).await
    }

    async fn finish(&mut self) -> Result<()> {
        poll_fn(|cx| Pin::new(&mut self.0).poll_shutdown(cx)).await
    }
}
