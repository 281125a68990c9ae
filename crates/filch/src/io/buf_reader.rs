//! Reading ahead.

use super::read::too_early;
use super::write::by_inner;
use super::{BufRead, Read, Seek, Write, retry_interrupted};
use std::fmt;
use std::io::{Error, ErrorKind, Result, SeekFrom};

/// How much is read ahead at a time where nobody says how much.
const CAPACITY: usize = 8 * 1024;

/// Reads ahead from a source, in large pieces, and gives out small ones.
///
/// Besides saving operations it is the place where the beginning of a line, or of a record, is kept until
/// all of it has come. So [`read_exact`](Read::read_exact), [`read_line`](BufRead::read_line) and their
/// kin have taken nothing when they are dropped.
///
/// ```
/// # filch::run(async {
/// # use filch::io::{BufRead, BufReader, Read, Write, duplex};
/// # use std::time::Duration;
/// let (near, mut far) = duplex(64);
/// let mut reader = BufReader::new(near);
/// far.write_all(b"half of a li").await?;
/// let mut line = String::new();
/// let patience = Duration::from_millis(10);
/// assert!(filch::time::timeout(patience, reader.read_line(&mut line)).await.is_err());
/// far.write_all(b"ne\n").await?;
/// // The beginning was not lost.
/// reader.read_line(&mut line).await?;
/// assert_eq!(line, "half of a line\n");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// What is written goes straight to what is inside.
///
/// # Dropping
///
/// What was read ahead is dropped with it. [`buffer`](BufRead::buffer) shows what that would be.
pub struct BufReader<R> {
    inner: R,
    /// Of the length of its allocation. From `start` to `end` is what was read ahead.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    capacity: usize,
}

impl<R> BufReader<R> {
    /// Reads ahead 8 KiB at a time.
    pub fn new(inner: R) -> Self {
        Self::with_capacity(CAPACITY, inner)
    }

    /// Reads ahead `capacity` bytes at a time, at least 1. It takes more memory only while a longer line,
    /// piece or buffer's fill is being waited for.
    pub fn with_capacity(capacity: usize, inner: R) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, end: 0, capacity: capacity.max(1) }
    }

    /// The source.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The source. What is read from it here comes after what was read ahead.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The source. What was read ahead is lost: look at [`buffer`](BufRead::buffer) before, or use
    /// [`into_parts`](Self::into_parts).
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The source, and what was read ahead from it.
    pub fn into_parts(mut self) -> (R, Vec<u8>) {
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.start);
        (self.inner, self.buffer)
    }

    pub(super) fn ahead(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Makes room behind what was read ahead.
    fn room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            // Not kept for ever because one line was long.
            if self.buffer.len() != self.capacity {
                self.buffer = vec![0; self.capacity];
            }
        } else if self.end == self.buffer.len() {
            // Moved only when that makes at least as much room as it costs, and so some; else it grows,
            // twofold.
            if self.start >= self.end - self.start {
                self.buffer.copy_within(self.start.., 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
    }

    /// The source, and room for more from it.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub(super) fn inner_and_room(&mut self) -> (&mut R, &mut [u8]) {
        self.room();
        (&mut self.inner, &mut self.buffer[self.end..])
    }

    /// Takes note of bytes that were put into [`room`](Self::room).
    pub(super) fn filled(&mut self, amount: usize) {
        self.end += amount;
    }

    pub(super) fn take_ahead(&mut self, amount: usize) {
        assert!(amount <= self.end - self.start, "consumed more than there is");
        self.start += amount;
    }

    /// Whether a read into so much room would gain nothing by reading ahead.
    pub(super) fn bypasses(&self, room: usize) -> bool {
        self.start == self.end && room >= self.capacity
    }
}

impl<R: Read> Read for BufReader<R> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.bypasses(buf.len()) {
            return self.inner.read(buf).await;
        }
        let ahead = self.fill_buf().await?;
        let read = ahead.len().min(buf.len());
        buf[..read].copy_from_slice(&ahead[..read]);
        self.take_ahead(read);
        Ok(read)
    }

    /// Fills `buf` when all of it was read ahead.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](ErrorKind::UnexpectedEof) if the source ends before; the source's own. Nothing is
    /// taken then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is taken.
    async fn read_exact(&mut self, buf: &mut [u8]) -> Result<()> {
        while self.ahead().len() < buf.len() {
            if retry_interrupted!(self.fill_more().await)? == 0 {
                return Err(too_early());
            }
        }
        let len = buf.len();
        buf.copy_from_slice(&self.ahead()[..len]);
        self.take_ahead(len);
        Ok(())
    }
}

impl<R: Read> BufRead for BufReader<R> {
    fn buffer(&self) -> &[u8] {
        self.ahead()
    }

    async fn fill_more(&mut self) -> Result<usize> {
        self.room();
        let read = self.inner.read(&mut self.buffer[self.end..]).await?;
        self.filled(read);
        Ok(read)
    }

    fn consume(&mut self, amount: usize) {
        self.take_ahead(amount);
    }
}

impl<W: Write> Write for BufReader<W> {
    by_inner!(this => this.inner);
}

/// What was read ahead is given up: the cursor is where the reader has been read to.
impl<S: Seek> Seek for BufReader<S> {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let to = match to {
            SeekFrom::Current(by) => {
                let ahead = i64::try_from(self.ahead().len()).ok();
                let by = ahead.and_then(|ahead| by.checked_sub(ahead));
                let text = "a file has no such place";
                SeekFrom::Current(by.ok_or_else(|| Error::new(ErrorKind::InvalidInput, text))?)
            }
            place => place,
        };
        let place = self.inner.seek(to).await?;
        (self.start, self.end) = (0, 0);
        Ok(place)
    }
}

impl<R: fmt::Debug> fmt::Debug for BufReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufReader")
            .field("inner", &self.inner)
            .field("ahead", &self.ahead().len())
            .finish()
    }
}
