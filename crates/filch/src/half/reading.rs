//! The receiving half: what of a read outlives the future that began it.

use super::{Site, Transfer};
use crate::home::lost_its_ring;
use filch_uring::Op;
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
///
/// Dropped with the stream, the operation is cancelled (D6).
pub(crate) enum Reading<T: Transfer> {
    /// Nothing is in flight. The buffer is kept for its memory.
    Idle(Vec<u8>),
    /// An operation is, whether anybody waits for it or not.
    Pending(Op<T>),
    /// Bytes have come that nobody has taken yet.
    Left(Vec<u8>, Range<usize>),
}

impl<T: Transfer> Reading<T> {
    pub(crate) fn new() -> Self {
        Self::Idle(Vec::new())
    }

    /// Reads into `buf`, which is not empty. The caller has the direction's turn.
    pub(crate) fn poll(
        &mut self,
        site: Site<'_>,
        buf: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        while !matches!(self, Self::Left(..)) {
            if let Self::Idle(buffer) = self {
                let mut buffer = mem::take(buffer);
                buffer.clear();
                buffer.reserve_exact(buf.len().min(MOST));
                *self = Self::Pending(Op::new(T::new(site, buffer)));
            }
            let Self::Pending(op) = self else { unreachable!("it has begun") };
            let (received, buffer) = ready!(site.poll(op, cx));
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
        let taken = (left.end - left.start).min(buf.len());
        buf[..taken].copy_from_slice(&buffer[left.start..left.start + taken]);
        left.start += taken;
        if left.start == left.end {
            *self = Self::Idle(mem::take(buffer));
        }
        taken
    }

    /// Gives up what is in flight and waits until the kernel has, too.
    pub(crate) fn poll_end(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Pending(op) = self {
            op.cancel();
            let (_, buffer) = ready!(site.poll(op, cx));
            *self = Self::Idle(buffer);
        }
        Poll::Ready(())
    }
}

impl<T: Transfer> fmt::Debug for Reading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(_) => f.pad("Idle"),
            Self::Pending(_) => f.pad("Pending"),
            Self::Left(_, left) => write!(f, "Left({} bytes)", left.end - left.start),
        }
    }
}
