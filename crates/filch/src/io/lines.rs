//! Lines, and other pieces that have an end.

use super::BufRead;
use std::io::Result;

/// The lines of a source: what [`BufRead::lines`] gives.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
}

impl<R> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source }
    }

    /// The source.
    pub fn get_ref(&self) -> &R {
        &self.source
    }

    /// The source.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// The source, behind the last line that was given out: nothing else was taken from it.
    pub fn into_inner(self) -> R {
        self.source
    }
}

impl<R: BufRead> Lines<R> {
    /// The next line, without its end (`\n` or `\r\n`); `None` when there is none. What stands behind the
    /// last end is a line, too, if it is not empty.
    ///
    /// # Errors
    ///
    /// As [`BufRead::read_line`]. After [`InvalidData`](std::io::ErrorKind::InvalidData) the lines go on
    /// with the next.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is taken: the beginning of a line stays in the source.
    #[doc(alias = "next")]
    pub async fn next_line(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        if self.source.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.ends_with('\n') {
            line.pop();
            if line.ends_with('\r') {
                line.pop();
            }
        }
        Ok(Some(line))
    }
}

/// The pieces of a source between bytes of one kind: what [`BufRead::split`] gives.
#[derive(Debug)]
pub struct Split<R> {
    source: R,
    end: u8,
}

impl<R> Split<R> {
    pub(super) fn new(source: R, end: u8) -> Self {
        Self { source, end }
    }

    /// The source.
    pub fn get_ref(&self) -> &R {
        &self.source
    }

    /// The source.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// The source, behind the last piece that was given out: nothing else was taken from it.
    pub fn into_inner(self) -> R {
        self.source
    }
}

impl<R: BufRead> Split<R> {
    /// The next piece, without its end; `None` when there is none. What stands behind the last end is a
    /// piece, too, if it is not empty.
    ///
    /// # Errors
    ///
    /// As [`BufRead::read_until`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is taken: the beginning of a piece stays in the source.
    #[doc(alias = "next")]
    pub async fn next_segment(&mut self) -> Result<Option<Vec<u8>>> {
        let mut piece = Vec::new();
        if self.source.read_until(self.end, &mut piece).await? == 0 {
            return Ok(None);
        }
        if piece.last() == Some(&self.end) {
            piece.pop();
        }
        Ok(Some(piece))
    }
}
