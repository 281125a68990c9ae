//! Reading and writing bytes.
//!
//! [`Read`] and [`Write`] are to async code what the traits of `std::io` are to blocking code: one
//! method to implement each, and everything else on top. Sockets and files implement them for
//! themselves *and for shared references*, because their methods take `&self`: two tasks may use one
//! stream, one to read and one to write, without splitting it.

/// Buffers that the kernel may use directly, because it is given them: for
/// [`File::read_at`](crate::fs::File::read_at) and its kin.
#[doc(inline)]
pub use filch_uring::{IoBuf, IoBufMut, Slice};

use std::fmt;
use std::future::Future;
use std::io::{Error, ErrorKind, Result};

/// Evaluates an expression again while it gives `Interrupted`.
macro_rules! retry_interrupted {
    ($call:expr) => {
        loop {
            match $call {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        }
    };
}

/// How much [`Read::read_to_end`] and [`copy`] ask for at a time.
const CHUNK: usize = 64 * 1024;

/// A source of bytes.
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
    /// many is not known.
    fn read_exact(&mut self, mut buf: &mut [u8]) -> impl Future<Output = Result<()>> + Send {
        async move {
            while !buf.is_empty() {
                let read = retry_interrupted!(self.read(buf).await)?;
                if read == 0 {
                    return Err(Error::new(ErrorKind::UnexpectedEof, "the source ended too early"));
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
    /// Dropped, everything that was read stands in `to`, and nothing else is lost.
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
    /// Dropped, what was read is lost; so it is after an error.
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
}

/// A sink of bytes.
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
    /// write, which waits for this one to end.
    fn write(&mut self, buf: &[u8]) -> impl Future<Output = Result<usize>> + Send;

    /// Writes all of `buf`.
    ///
    /// # Errors
    ///
    /// [`WriteZero`](ErrorKind::WriteZero) if the sink takes no more; the sink's own.
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    fn write_all(&mut self, mut buf: &[u8]) -> impl Future<Output = Result<()>> + Send {
        async move {
            while !buf.is_empty() {
                let written = retry_interrupted!(self.write(buf).await)?;
                if written == 0 {
                    return Err(Error::new(ErrorKind::WriteZero, "the sink takes no more"));
                }
                buf = &buf[written..];
            }
            Ok(())
        }
    }
}

impl<R: Read + ?Sized> Read for &mut R {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        (**self).read(buf).await
    }
}

impl<R: Read + ?Sized> Read for Box<R> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        (**self).read(buf).await
    }
}

/// Bytes in memory are read from their beginning, which moves on.
impl Read for &[u8] {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        std::io::Read::read(self, buf)
    }
}

impl<W: Write + ?Sized> Write for &mut W {
    async fn write(&mut self, buf: &[u8]) -> Result<usize> {
        (**self).write(buf).await
    }
}

impl<W: Write + ?Sized> Write for Box<W> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize> {
        (**self).write(buf).await
    }
}

/// Bytes are appended.
impl Write for Vec<u8> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.extend_from_slice(buf);
        Ok(buf.len())
    }
}

/// Reads everything from `from` and writes it to `to`. Returns how many bytes there were.
///
/// # Errors
///
/// Those of either side.
///
/// # Cancel safety
///
/// Dropped, up to 64 KiB that were read may not be written, or be written a little later.
pub async fn copy<R, W>(from: &mut R, to: &mut W) -> Result<u64>
where
    R: Read + ?Sized,
    W: Write + ?Sized,
{
    let mut chunk = vec![0; CHUNK];
    let mut copied = 0;
    loop {
        let read = retry_interrupted!(from.read(&mut chunk).await)?;
        if read == 0 {
            return Ok(copied);
        }
        to.write_all(&chunk[..read]).await?;
        copied += read as u64;
    }
}

/// An error of the system, with what was tried: found inside a [`std::io::Error`] by its `get_ref` and
/// `downcast_ref`. The outer error has the same kind.
///
/// ```
/// # filch::run(async {
/// let error = filch::fs::read("/no/such/file").await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// assert!(error.to_string().starts_with("cannot open /no/such/file: "));
/// let failed = error.get_ref().unwrap().downcast_ref::<filch::io::Failed>().unwrap();
/// assert!(failed.system().raw_os_error().is_some());
/// # });
/// ```
#[derive(Debug)]
pub struct Failed {
    tried: String,
    system: Error,
}

impl Failed {
    /// What was tried: a verb, and what it was tried on.
    pub fn tried(&self) -> &str {
        &self.tried
    }

    /// The system's own error, with its number.
    pub fn system(&self) -> &Error {
        &self.system
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.tried, self.system)
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.system)
    }
}

/// Says what was tried. An error that says so already stays as it is.
pub(crate) fn failed(verb: &str, what: impl fmt::Display, system: Error) -> Error {
    if system.get_ref().is_some_and(|inner| inner.is::<Failed>()) {
        return system;
    }
    Error::new(system.kind(), Failed { tried: format!("{verb} {what}"), system })
}

/// Implements a trait of this module for a type and for shared references to it, by its inherent method
/// of the same name, which takes `&self`.
macro_rules! by_shared_reference {
    ($type:ty: Read) => {
        impl crate::io::Read for $type {
            async fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                <$type>::read(self, buf).await
            }
        }
        impl crate::io::Read for &$type {
            async fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                <$type>::read(self, buf).await
            }
        }
    };
    ($type:ty: Write) => {
        impl crate::io::Write for $type {
            async fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                <$type>::write(self, buf).await
            }
        }
        impl crate::io::Write for &$type {
            async fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                <$type>::write(self, buf).await
            }
        }
    };
}
pub(crate) use by_shared_reference;
