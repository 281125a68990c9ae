//! The traits of tokio.

use super::{PollRead, PollWrite, adapter, for_all, write_through};
use crate::fs::File;
use crate::io::{
    BufRead, BufReader, Duplex, PipeReader, PipeWriter, Read, Seek, Stderr, Stdin, StdinLock,
    Stdout, Write,
};
use crate::net::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::{TcpStream, UnixStream};
use std::future::poll_fn;
use std::io::{IoSlice, Result, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

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

for_all!(reads, poll_shutdown, {
    fn is_write_vectored(&self) -> bool {
        true
    }
});

impl AsyncRead for StdinLock {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let (this, room) = (self.get_mut(), buf.remaining());
        ready!(Self::poll_read(this, cx, room, &mut |part| put(part, buf)))?;
        Poll::Ready(Ok(()))
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

/// Not by shared reference: a seek is two calls, and of two tasks that seek each might be told of the other's.
impl AsyncSeek for File {
    fn start_seek(self: Pin<&mut Self>, to: SeekFrom) -> Result<()> {
        Self::start_seek(self.get_mut(), to)
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        Self::poll_complete(self.get_mut(), cx)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for BufReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        if buf.remaining() == 0 || self.bypasses(buf.remaining()) {
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

write_through!(poll_shutdown, {
    fn is_write_vectored(&self) -> bool {
        self.get_ref().is_write_vectored()
    }
});

adapter! {
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
    /// of the traits a poll that was told to wait has neither read nor written anything. A seek that has begun goes
    /// on, and the next one waits for it first.
    TokioIo, poll_shutdown
}

impl<T: AsyncRead + Unpin + Send> Read for TokioIo<T> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut buf = ReadBuf::new(buf);
        poll_fn(|cx| Pin::new(&mut self.0).poll_read(cx, &mut buf)).await?;
        Ok(buf.filled().len())
    }
}

impl<T: AsyncSeek + Unpin + Send> Seek for TokioIo<T> {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        // One that was dropped may not be over.
        poll_fn(|cx| Pin::new(&mut self.0).poll_complete(cx)).await?;
        Pin::new(&mut self.0).start_seek(to)?;
        poll_fn(|cx| Pin::new(&mut self.0).poll_complete(cx)).await
    }
}
