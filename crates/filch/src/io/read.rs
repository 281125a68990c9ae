//! A source of bytes.

use super::{CHUNK, Chain, Take, retry_interrupted};
use std::future::Future;
use std::io::{Error, ErrorKind, Result};

/// A source of bytes.
///
/// To implement it takes one method. Those that take the whole of something (a line, a buffer's fill)
/// without losing a part of it when they are dropped need a place to keep that part: see
/// [`BufReader`](super::BufReader).
#[doc(alias = "AsyncRead")]
#[doc(alias = "AsyncReadExt")]
#[doc(alias = "StreamReader")]
pub trait Read: Send {
    /// Reads some bytes into `buf` and returns how many; 0 at the end, or if `buf` is empty.
    ///
    /// # Errors
    ///
    /// The source's own.
    ///
    /// # Cancel safety
    ///
    /// filch's own sources lose no byte when this future is dropped: what arrives afterwards goes to
    /// the next read, of whatever size (C1).
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize>> + Send;

    /// Fills `buf`.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](ErrorKind::UnexpectedEof) if the source ends before; the source's own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken some bytes from the source, which stand at the beginning of `buf`; how
    /// many is not known. [`BufReader`](super::BufReader) knows better: dropped there, it has taken none.
    #[doc(alias = "readexactly")]
    fn read_exact(&mut self, mut buf: &mut [u8]) -> impl Future<Output = Result<()>> + Send {
        async move {
            while !buf.is_empty() {
                let read = retry_interrupted!(self.read(buf).await)?;
                if read == 0 {
                    return Err(too_early());
                }
                buf = &mut buf[read..];
            }
            Ok(())
        }
    }

    /// Reads until the end and appends everything to `to`. Returns how many bytes there were.
    ///
    /// # Errors
    ///
    /// The source's own; what was read before stands in `to`.
    ///
    /// # Cancel safety
    ///
    /// Dropped, everything that was read stands in `to`, and nothing else is lost: called again with
    /// the same `to`, it goes on.
    fn read_to_end(&mut self, to: &mut Vec<u8>) -> impl Future<Output = Result<usize>> + Send {
        async move {
            let begin = to.len();
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = retry_interrupted!(self.read(&mut chunk).await)?;
                if read == 0 {
                    return Ok(to.len() - begin);
                }
                to.extend_from_slice(&chunk[..read]);
            }
        }
    }

    /// As [`read_to_end`](Self::read_to_end), into a string.
    ///
    /// # Errors
    ///
    /// The source's own; [`InvalidData`](ErrorKind::InvalidData) if it is not UTF-8, then nothing is
    /// appended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what was read is lost; so it is after an error. Where that matters, use
    /// [`read_to_end`](Self::read_to_end).
    fn read_to_string(&mut self, to: &mut String) -> impl Future<Output = Result<usize>> + Send {
        async move {
            let mut bytes = Vec::new();
            self.read_to_end(&mut bytes).await?;
            let text = String::from_utf8(bytes)
                .map_err(|error| Error::new(ErrorKind::InvalidData, error.utf8_error()))?;
            to.push_str(&text);
            Ok(text.len())
        }
    }

    /// The first `limit` bytes of this, then the end. To go on with the rest, give it `&mut` of the source.
    fn take(self, limit: u64) -> Take<Self>
    where
        Self: Sized,
    {
        Take::new(self, limit)
    }

    /// This to its end, then `next`.
    fn chain<R: Read>(self, next: R) -> Chain<Self, R>
    where
        Self: Sized,
    {
        Chain::new(self, next)
    }
}

pub(super) fn too_early() -> Error {
    Error::new(ErrorKind::UnexpectedEof, "the source ended too early")
}

impl<R: Read + ?Sized> Read for &mut R {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        (**self).read(buf).await
    }

    async fn read_exact(&mut self, buf: &mut [u8]) -> Result<()> {
        (**self).read_exact(buf).await
    }
}

impl<R: Read + ?Sized> Read for Box<R> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        (**self).read(buf).await
    }

    async fn read_exact(&mut self, buf: &mut [u8]) -> Result<()> {
        (**self).read_exact(buf).await
    }
}

/// Bytes in memory are read from their beginning, which moves on.
impl Read for &[u8] {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        std::io::Read::read(self, buf)
    }
}

/// Bytes in memory are read from the cursor, which moves on.
impl<T: AsRef<[u8]> + Send> Read for std::io::Cursor<T> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        std::io::Read::read(self, buf)
    }
}
