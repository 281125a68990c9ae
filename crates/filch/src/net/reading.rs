//! The receiving half of a stream: what of a read outlives the future that began it.

use crate::home::{Home, lost_its_ring};
use filch_uring::{Op, SharedFd, op};
use std::mem;
use std::ops::Range;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

/// As much as one read asks the kernel for: a longer buffer is filled by several.
const MOST: usize = 64 * 1024;

/// One direction of a stream. At most one operation is in flight, and it belongs to the stream: the
/// future of a read only looks at it. So a future that is dropped leaves the operation to the next read,
/// whatever the size of that one's buffer, and bytes that are more than it asked for stay here (C1).
///
/// The kernel writes into a buffer of the stream's own, because a borrowed one may be gone before the
/// kernel is done with it (D1). It is as large as the largest read so far, up to 64 KiB.
pub(crate) enum Reading {
    /// Nothing is in flight. The buffer is kept for its memory.
    Idle(Vec<u8>),
    /// An operation is, whether anybody waits for it or not.
    Pending(Op<op::Recv<Vec<u8>>>),
    /// Bytes have come that nobody has taken yet.
    Left(Vec<u8>, Range<usize>),
}

impl Reading {
    pub(crate) fn new() -> Self {
        Self::Idle(Vec::new())
    }

    /// Reads into `buf`. The caller has the direction's turn.
    pub(crate) fn poll(
        &mut self,
        fd: &SharedFd,
        home: &Home,
        buf: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        while !matches!(self, Self::Left(..)) {
            if let Self::Idle(buffer) = self {
                let mut buffer = mem::take(buffer);
                buffer.clear();
                buffer.reserve_exact(buf.len().min(MOST));
                *self = Self::Pending(Op::new(op::Recv::new(fd.clone(), buffer)));
            }
            let Self::Pending(op) = self else { unreachable!("it has begun") };
            let (received, buffer) = ready!(home.poll(op, cx));
            match received {
                Ok(received) => *self = Self::Left(buffer, 0..received),
                Err(error) => {
                    *self = Self::Idle(buffer);
                    if !lost_its_ring(&error) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
        Poll::Ready(Ok(self.take(buf)))
    }

    /// Hands out bytes that have come; none means that the stream has ended.
    fn take(&mut self, buf: &mut [u8]) -> usize {
        let Self::Left(buffer, left) = self else { unreachable!("called when bytes have come") };
        let taken = left.len().min(buf.len());
        buf[..taken].copy_from_slice(&buffer[left.start..left.start + taken]);
        left.start += taken;
        if left.start == left.end {
            *self = Self::Idle(mem::take(buffer));
        }
        taken
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(_) => f.pad("Idle"),
            Self::Pending(_) => f.pad("Pending"),
            Self::Left(_, left) => write!(f, "Left({} bytes)", left.len()),
        }
    }
}
