//! Bytes on their way to a sink.

use super::write::takes_no_more;
use super::{Write, retry_interrupted};
use std::io::Result;

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
    last: Last,
}

/// The sink's last write.
#[derive(Debug, Default, Clone, Copy)]
enum Last {
    /// Somebody else's, and no concern of ours.
    #[default]
    Foreign,
    /// Ours, and it may go on although its future is gone.
    Begun,
    /// Ours, and we know how it ended.
    Known,
}

impl Outbox {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Writes all that is left. Dropped, it goes on with the next call.
    pub(super) async fn drain<W: Write + ?Sized>(&mut self, to: &mut W) -> Result<()> {
        if !matches!(self.last, Last::Known) {
            let settled = retry_interrupted!(to.settle().await);
            if let Last::Begun = self.last
                && let Ok(written) = settled
            {
                self.left(written);
            }
            self.last = Last::Known;
            settled?;
        }
        while self.start < self.end {
            self.last = Last::Begun;
            let written = retry_interrupted!(to.write(&self.buffer[self.start..self.end]).await);
            self.last = Last::Known;
            match written? {
                0 => return Err(takes_no_more()),
                written => self.left(written),
            }
        }
        Ok(())
    }

    fn left(&mut self, amount: usize) {
        self.start += amount;
        self.gone += amount as u64;
        assert!(self.start <= self.end, "the sink has written more than it was given");
    }
}
