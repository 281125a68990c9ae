//! A source that reads ahead.

use super::{Lines, Read, Split, retry_interrupted};
use std::future::Future;
use std::io::{Error, ErrorKind, Result};

/// A source that reads ahead, so that it can give out whole lines and pieces, and look before it takes.
///
/// # Cancel safety
///
/// What takes a whole piece looks for its end in what was read ahead, and only then takes it, all at once.
/// So a future of any of these methods that is dropped has taken *nothing*: the beginning of the piece
/// stays in the source, for the next call, of whatever kind and with whatever buffer (C1). The price is
/// memory: what is read ahead grows until a whole piece is there. From a peer that is not trusted, read
/// through [`take`](Read::take).
#[doc(alias = "AsyncBufRead")]
#[doc(alias = "AsyncBufReadExt")]
pub trait BufRead: Read {
    /// What was read ahead and nobody has taken.
    fn buffer(&self) -> &[u8];

    /// Reads some more ahead, behind what is there. Returns how many bytes that is; 0 at the end.
    ///
    /// # Errors
    ///
    /// The source's own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is lost.
    fn fill_more(&mut self) -> impl Future<Output = Result<usize>> + Send;

    /// Takes so many bytes from the front of [`buffer`](Self::buffer).
    ///
    /// # Panics
    ///
    /// If there are fewer.
    fn consume(&mut self, amount: usize);

    /// What was read ahead; if that is nothing, waits for something. Empty at the end.
    ///
    /// # Errors
    ///
    /// The source's own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is lost.
    fn fill_buf(&mut self) -> impl Future<Output = Result<&[u8]>> + Send {
        async move {
            if self.buffer().is_empty() {
                retry_interrupted!(self.fill_more().await)?;
            }
            // By name: a mutable reference has such a method, too, and lends what it has for less long.
            Ok(Self::buffer(self))
        }
    }

    /// Takes everything up to the next `end`, with it, and appends that to `to`; or everything up to the
    /// end of the source. Returns how many bytes that is, 0 at the end.
    ///
    /// # Errors
    ///
    /// The source's own; nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is taken: see [the trait](BufRead#cancel-safety).
    #[doc(alias = "readuntil")]
    fn read_until(
        &mut self,
        end: u8,
        to: &mut Vec<u8>,
    ) -> impl Future<Output = Result<usize>> + Send {
        async move {
            let len = piece(self, end).await?;
            to.extend_from_slice(&self.buffer()[..len]);
            self.consume(len);
            Ok(len)
        }
    }

    /// Takes the next line, with its end (`\n`, and `\r` before it), and appends it to `to`; or what is
    /// left at the end of the source. Returns how many bytes that is, 0 at the end.
    ///
    /// # Errors
    ///
    /// The source's own; nothing is taken then. [`InvalidData`](ErrorKind::InvalidData) if the line is not
    /// UTF-8: it is taken, and not appended. For lines that may be anything, use
    /// [`read_until`](Self::read_until).
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is taken: see [the trait](BufRead#cancel-safety).
    #[doc(alias = "readline")]
    fn read_line(&mut self, to: &mut String) -> impl Future<Output = Result<usize>> + Send {
        async move {
            let len = piece(self, b'\n').await?;
            let line = str::from_utf8(&self.buffer()[..len]);
            let line = line.map(|line| to.push_str(line));
            self.consume(len);
            line.map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            Ok(len)
        }
    }

    /// The lines, one after the other, without their ends.
    fn lines(self) -> Lines<Self>
    where
        Self: Sized,
    {
        Lines::new(self)
    }

    /// The pieces between the bytes `end`, one after the other.
    fn split(self, end: u8) -> Split<Self>
    where
        Self: Sized,
    {
        Split::new(self, end)
    }
}

/// Waits until a whole piece was read ahead, and returns its length with its `end`; 0 at the end.
async fn piece<R: BufRead + ?Sized>(from: &mut R, end: u8) -> Result<usize> {
    let mut searched = 0;
    loop {
        let ahead = &from.buffer()[searched..];
        if let Some(place) = ahead.iter().position(|&byte| byte == end) {
            return Ok(searched + place + 1);
        }
        searched += ahead.len();
        if retry_interrupted!(from.fill_more().await)? == 0 {
            return Ok(searched);
        }
    }
}

/// Implements reading ahead by the source inside.
macro_rules! by_inner {
    () => {
        fn buffer(&self) -> &[u8] {
            (**self).buffer()
        }

        async fn fill_more(&mut self) -> Result<usize> {
            (**self).fill_more().await
        }

        fn consume(&mut self, amount: usize) {
            (**self).consume(amount);
        }
    };
}

impl<R: BufRead + ?Sized> BufRead for &mut R {
    by_inner!();
}

impl<R: BufRead + ?Sized> BufRead for Box<R> {
    by_inner!();
}

impl BufRead for &[u8] {
    fn buffer(&self) -> &[u8] {
        self
    }

    async fn fill_more(&mut self) -> Result<usize> {
        Ok(0)
    }

    fn consume(&mut self, amount: usize) {
        *self = &self[amount..];
    }
}
