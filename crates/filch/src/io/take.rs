//! The beginning of a source.

use super::{BufRead, Read};
use std::io::Result;

/// The first bytes of a source, then the end: what [`Read::take`] gives.
///
/// ```
/// # filch::run(async {
/// use filch::io::Read;
///
/// let mut source = &b"header and body"[..];
/// let mut header = String::new();
/// (&mut source).take(6).read_to_string(&mut header).await?;
/// assert_eq!((header.as_str(), source), ("header", &b" and body"[..]));
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Take<R> {
    inner: R,
    limit: u64,
}

impl<R> Take<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self { inner, limit }
    }

    /// How many bytes are still allowed. The source may have fewer.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Allows so many bytes from now on.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The source.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The source. What is read from it here does not count.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The source, behind what was taken.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// `len`, or the limit if that is less.
    fn at_most(&self, len: usize) -> usize {
        usize::try_from(self.limit).map_or(len, |limit| limit.min(len))
    }
}

impl<R: Read> Read for Take<R> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let room = self.at_most(buf.len());
        if room == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buf[..room]).await?;
        // A limit that went below zero would be none.
        assert!(read <= room, "the source has read more than there was room for");
        self.limit -= read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Take<R> {
    fn buffer(&self) -> &[u8] {
        let buffer = self.inner.buffer();
        &buffer[..self.at_most(buffer.len())]
    }

    async fn fill_more(&mut self) -> Result<usize> {
        let before = self.buffer().len();
        if before as u64 == self.limit {
            return Ok(0);
        }
        self.inner.fill_more().await?;
        Ok(self.buffer().len() - before)
    }

    fn consume(&mut self, amount: usize) {
        assert!(amount <= self.buffer().len(), "consumed more than there is");
        self.inner.consume(amount);
        self.limit -= amount as u64;
    }
}
