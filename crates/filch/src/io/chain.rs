//! Two sources, one after the other.

use super::Read;
use std::io::Result;

/// One source to its end, then another: what [`Read::chain`] gives.
///
/// ```
/// # filch::run(async {
/// use filch::io::Read;
///
/// let mut all = String::new();
/// (&b"one, "[..]).chain(&b"two"[..]).read_to_string(&mut all).await?;
/// assert_eq!(all, "one, two");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Chain<A, B> {
    first: A,
    next: B,
    first_has_ended: bool,
}

impl<A, B> Chain<A, B> {
    pub(super) fn new(first: A, next: B) -> Self {
        Self { first, next, first_has_ended: false }
    }

    /// The two sources.
    pub fn get_ref(&self) -> (&A, &B) {
        (&self.first, &self.next)
    }

    /// The two sources. Where the chain is does not change by what is read from them here.
    pub fn get_mut(&mut self) -> (&mut A, &mut B) {
        (&mut self.first, &mut self.next)
    }

    /// The two sources, behind what was read.
    pub fn into_inner(self) -> (A, B) {
        (self.first, self.next)
    }
}

impl<A: Read, B: Read> Read for Chain<A, B> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if !self.first_has_ended {
            let read = self.first.read(buf).await?;
            if read > 0 || buf.is_empty() {
                return Ok(read);
            }
            self.first_has_ended = true;
        }
        self.next.read(buf).await
    }
}
