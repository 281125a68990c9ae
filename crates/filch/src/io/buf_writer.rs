//! Writing small pieces as large ones.

use super::outbox::Outbox;
use super::{Read, Seek, Write};
use std::io::{self, Result, SeekFrom};
use std::{error, fmt};

/// How many bytes are kept back where nobody says how many.
const CAPACITY: usize = 8 * 1024;

/// Gathers small writes, and hands them on as large ones: when it is full, and when it is
/// [flushed](Write::flush).
///
/// ```
/// # filch::run(async {
/// use filch::io::{BufWriter, Read, Write, duplex};
///
/// let (near, mut far) = duplex(1024);
/// let mut writer = BufWriter::new(near);
/// for word in ["many ", "small ", "writes"] {
///     writer.write_all(word.as_bytes()).await?;
/// }
/// writer.finish().await?;
/// let mut all = String::new();
/// far.read_to_string(&mut all).await?;
/// assert_eq!(all, "many small writes");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// What is read comes straight from what is inside.
///
/// # Dropping
///
/// Bytes that are still kept back when it is dropped are **not written**: writing them would have to be
/// waited for, which a drop cannot do. Flush it, or [`finish`](Write::finish) it, or take it apart with
/// [`into_inner`](Self::into_inner).
///
/// # Cancel safety
///
/// A write that is dropped has taken nothing. A flush that is dropped has handed on a part, and the next
/// one goes on behind that: no byte is written twice, and none is lost (C1). That also holds when the part
/// was still on its way, as long as nobody else writes to the sink in between.
pub struct BufWriter<W> {
    inner: W,
    kept: Outbox,
    capacity: usize,
}

impl<W> BufWriter<W> {
    /// Keeps back up to 8 KiB.
    pub fn new(inner: W) -> Self {
        Self::with_capacity(CAPACITY, inner)
    }

    /// Keeps back up to `capacity` bytes, at least 1.
    pub fn with_capacity(capacity: usize, inner: W) -> Self {
        Self { inner, kept: Outbox::default(), capacity: capacity.max(1) }
    }

    /// What is kept back. Some of it may be on its way, if a flush was dropped.
    pub fn buffer(&self) -> &[u8] {
        self.kept.bytes()
    }

    /// The sink.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The sink. What is written to it here comes before what is kept back.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The sink, and what was kept back from it. Some of that may be on its way, if a flush was dropped:
    /// [`settle`](Write::settle) the sink to learn how much.
    pub fn into_parts(mut self) -> (W, Vec<u8>) {
        self.kept.buffer.drain(..self.kept.start);
        (self.inner, self.kept.buffer)
    }
}

impl<W: Write> BufWriter<W> {
    /// Flushes, and gives the sink.
    ///
    /// # Errors
    ///
    /// The sink's own, with this writer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what is not written yet is lost with the writer. [Flush](Write::flush) it before where
    /// that matters.
    pub async fn into_inner(mut self) -> std::result::Result<W, IntoInnerError<W>> {
        match self.flush().await {
            Ok(()) => Ok(self.inner),
            Err(error) => Err(IntoInnerError { error, writer: self }),
        }
    }

    /// Hands on what is kept back, to the sink, which may keep it back in turn.
    async fn drain(&mut self) -> Result<()> {
        self.kept.drain(&mut self.inner).await?;
        self.kept.buffer.clear();
        (self.kept.start, self.kept.end) = (0, 0);
        Ok(())
    }
}

impl<W: Write> Write for BufWriter<W> {
    /// Keeps back as much of `buf` as there is room for. If there is none, hands on what is kept back
    /// first.
    ///
    /// # Errors
    ///
    /// The sink's own. Nothing of `buf` is taken then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing of `buf` is taken.
    async fn write(&mut self, buf: &[u8]) -> Result<usize> {
        if self.kept.buffer.len() == self.capacity && !buf.is_empty() {
            self.drain().await?;
        }
        let taken = buf.len().min(self.capacity - self.kept.buffer.len());
        if self.kept.buffer.capacity() == 0 {
            self.kept.buffer.reserve_exact(self.capacity);
        }
        self.kept.buffer.extend_from_slice(&buf[..taken]);
        self.kept.end += taken;
        Ok(taken)
    }

    async fn flush(&mut self) -> Result<()> {
        self.drain().await?;
        self.inner.flush().await
    }

    async fn finish(&mut self) -> Result<()> {
        self.drain().await?;
        self.inner.finish().await
    }
}

/// Flushes, and closes what is written to, also if that went wrong.
impl<W: Write + crate::Close<Error = std::io::Error>> crate::Close for BufWriter<W> {
    type Error = std::io::Error;

    async fn close(mut self) -> Result<()> {
        let flushed = self.flush().await;
        flushed.and(self.inner.close().await)
    }
}

impl<R: Read> Read for BufWriter<R> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.inner.read(buf).await
    }

    async fn read_exact(&mut self, buf: &mut [u8]) -> Result<()> {
        self.inner.read_exact(buf).await
    }
}

/// What is kept back is handed on first.
impl<S: Seek + Write> Seek for BufWriter<S> {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.drain().await?;
        self.inner.seek(to).await
    }
}

impl<W: fmt::Debug> fmt::Debug for BufWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufWriter")
            .field("inner", &self.inner)
            .field("kept", &self.buffer().len())
            .finish()
    }
}

/// A [`BufWriter`] that could not be flushed. It is in here, with what it keeps back.
pub struct IntoInnerError<W> {
    error: io::Error,
    writer: BufWriter<W>,
}

impl<W> IntoInnerError<W> {
    /// Why it could not be flushed.
    pub fn error(&self) -> &io::Error {
        &self.error
    }

    /// The writer.
    pub fn into_writer(self) -> BufWriter<W> {
        self.writer
    }
}

impl<W> From<IntoInnerError<W>> for io::Error {
    fn from(refused: IntoInnerError<W>) -> Self {
        refused.error
    }
}

impl<W> fmt::Debug for IntoInnerError<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoInnerError").field(&self.error).finish()
    }
}

impl<W> fmt::Display for IntoInnerError<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write what was kept back: {}", self.error)
    }
}

impl<W> error::Error for IntoInnerError<W> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}
