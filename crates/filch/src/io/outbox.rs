//! Bytes on their way to a sink.

use super::write::takes_no_more;
use super::{Write, retry_interrupted};
use std::io::Result;
use std::mem;

/// Bytes on their way to a sink. A byte leaves only when it is known to be written: a write that is
/// dropped is asked after ([`Write::settle`]) before the next one, so nothing is doubled and nothing is
/// lost (C1).
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// From `start` to `end` is what is not known to be written.
    pub(super) buffer: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// How many bytes have left.
    pub(super) gone: u64,
    /// The last write was not waited for to its end, and may go on although its future is gone.
    begun: bool,
}

impl Outbox {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Writes all that is left. Dropped, it goes on with the next call.
    pub(super) async fn drain<W: Write + ?Sized>(&mut self, to: &mut W) -> Result<()> {
        if self.start == self.end {
            return Ok(());
        }
        // Also where none of ours has begun: somebody else may have dropped a write, and if the next one of
        // ours is dropped while it waits for that, the sink would tell how much *that* wrote.
        let settled = retry_interrupted!(to.settle().await);
        if mem::take(&mut self.begun)
            && let Ok(written) = settled
        {
            self.left(written);
        }
        settled?;
        while self.start < self.end {
            self.begun = true;
            let written = retry_interrupted!(to.write(&self.buffer[self.start..self.end]).await);
            self.begun = false;
            match written? {
                0 => return Err(takes_no_more()),
                written => self.left(written),
            }
        }
        Ok(())
    }

    fn left(&mut self, amount: usize) {
        assert!(amount <= self.end - self.start, "the sink has written more than it was given");
        self.start += amount;
        self.gone += amount as u64;
    }
}
