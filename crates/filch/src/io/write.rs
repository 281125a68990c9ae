//! A sink of bytes.

use super::retry_interrupted;
use std::future::Future;
use std::io::{Error, ErrorKind, Result};

/// A sink of bytes.
///
/// To implement it takes one method. A sink that keeps bytes back also has a [`flush`](Self::flush); one
/// whose other side can be told that no more will come, a [`finish`](Self::finish); and one on which a
/// write goes on when its future is dropped, a [`settle`](Self::settle).
#[doc(alias = "AsyncWrite")]
#[doc(alias = "AsyncWriteExt")]
#[doc(alias = "StreamWriter")]
pub trait Write: Send {
    /// Writes some of `buf` and returns how much.
    ///
    /// # Errors
    ///
    /// The sink's own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, a prefix of `buf` may or may not be written: never twice, and never mixed with the next
    /// write, which waits for this one to end. [`settle`](Self::settle) tells how long that prefix is.
    fn write(&mut self, buf: &[u8]) -> impl Future<Output = Result<usize>> + Send;

    /// Writes all of `buf`.
    ///
    /// # Errors
    ///
    /// [`WriteZero`](ErrorKind::WriteZero) if the sink takes no more; the sink's own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, a prefix of `buf` is written, never twice and never mixed with the next write; how long
    /// it is is not known. [`BufWriter`](super::BufWriter) and [`Pump`](super::Pump) keep what is left.
    fn write_all(&mut self, mut buf: &[u8]) -> impl Future<Output = Result<()>> + Send {
        async move {
            while !buf.is_empty() {
                let written = retry_interrupted!(self.write(buf).await)?;
                if written == 0 {
                    return Err(takes_no_more());
                }
                buf = &buf[written..];
            }
            Ok(())
        }
    }

    /// Hands on what the sink keeps back. Sockets and files keep nothing back, and neither does a sink that
    /// does not say otherwise.
    ///
    /// # Errors
    ///
    /// The sink's own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, part of it may be handed on; the rest is still there for the next flush.
    #[doc(alias = "drain")]
    fn flush(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Flushes, and tells the other side that no more will come, where there is one to be told: a socket
    /// sends the end of the stream and can still be read.
    ///
    /// # Errors
    ///
    /// The sink's own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the end may or may not be sent; finish again to be sure.
    #[doc(alias = "shutdown")]
    #[doc(alias = "close")]
    #[doc(alias = "write_eof")]
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send {
        async move { self.flush().await }
    }

    /// Waits for the end of a write that was dropped, and returns how many bytes it wrote: 0 if there is
    /// none, if it wrote nothing, or if that was told before. It is about the last write that *began*;
    /// when the next one begins nobody can be told any more.
    ///
    /// With this a caller that keeps its bytes until it knows can go on after any drop, with no byte
    /// lost or doubled. A sink whose dropped writes have written nothing needs no such method.
    ///
    /// # Errors
    ///
    /// That write's, once; then it wrote nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is lost: ask again.
    fn settle(&mut self) -> impl Future<Output = Result<usize>> + Send {
        async { Ok(0) }
    }
}

pub(super) fn takes_no_more() -> Error {
    Error::new(ErrorKind::WriteZero, "the sink takes no more")
}

/// Implements a sink by the one inside.
macro_rules! by_inner {
    ($this:ident => $inner:expr) => {
        async fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            let $this = self;
            $inner.write(buf).await
        }

        async fn flush(&mut self) -> std::io::Result<()> {
            let $this = self;
            $inner.flush().await
        }

        async fn finish(&mut self) -> std::io::Result<()> {
            let $this = self;
            $inner.finish().await
        }

        async fn settle(&mut self) -> std::io::Result<usize> {
            let $this = self;
            $inner.settle().await
        }
    };
}
pub(super) use by_inner;

impl<W: Write + ?Sized> Write for &mut W {
    by_inner!(this => (**this));
}

impl<W: Write + ?Sized> Write for Box<W> {
    by_inner!(this => (**this));
}

/// Bytes are appended.
impl Write for Vec<u8> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.extend_from_slice(buf);
        Ok(buf.len())
    }
}
