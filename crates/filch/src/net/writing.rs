//! The sending half of a stream: what of a write outlives the future that began it.

use crate::home::{Home, lost_its_ring};
use filch_uring::{Op, SharedFd, op};
use std::mem;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

/// As much as one write hands to the kernel: a longer buffer takes several.
const MOST: usize = 128 * 1024;

/// One direction of a stream. At most one operation is in flight. A future that is dropped leaves it
/// here, and the next write first waits for its end: so bytes are never sent twice, and those of two
/// writes are never mixed (C1).
///
/// The kernel reads from a copy, because a borrowed buffer may be gone before the kernel is done with
/// it (D1).
pub(crate) enum Writing {
    /// Nothing is in flight. The buffer is kept for its memory.
    Idle(Vec<u8>),
    /// An operation is, whether anybody waits for it or not.
    Pending(Op<op::Send<Vec<u8>>>),
}

impl Writing {
    pub(crate) fn new() -> Self {
        Self::Idle(Vec::new())
    }

    /// Waits for what an earlier write left behind. Its result is nobody's: what went wrong shows
    /// again at the next write.
    pub(crate) fn poll_settled(&mut self, home: &Home, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Pending(op) = self {
            let (_sent, buffer) = ready!(home.poll(op, cx));
            *self = Self::Idle(buffer);
        }
        Poll::Ready(())
    }

    /// Hands the beginning of `buf` to the kernel. Nothing may be in flight.
    pub(crate) fn begin(&mut self, fd: &SharedFd, buf: &[u8]) {
        let Self::Idle(buffer) = self else { unreachable!("called when it has settled") };
        let mut buffer = mem::take(buffer);
        buffer.clear();
        buffer.extend_from_slice(&buf[..buf.len().min(MOST)]);
        *self = Self::Pending(Op::new(op::Send::new(fd.clone(), buffer)));
    }

    /// Waits for what [`begin`](Self::begin) began.
    pub(crate) fn poll(
        &mut self,
        fd: &SharedFd,
        home: &Home,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Self::Pending(op) = self else { unreachable!("called when it has begun") };
            let (sent, buffer) = ready!(home.poll(op, cx));
            debug_assert!(sent.as_ref().is_ok_and(|&sent| sent <= buffer.len()) || sent.is_err());
            if sent.as_ref().is_err_and(lost_its_ring) {
                // Nothing of it was sent.
                *self = Self::Pending(Op::new(op::Send::new(fd.clone(), buffer)));
            } else {
                *self = Self::Idle(buffer);
                return Poll::Ready(sent);
            }
        }
    }
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(_) => f.pad("Idle"),
            Self::Pending(_) => f.pad("Pending"),
        }
    }
}
