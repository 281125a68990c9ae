//! Reading and writing a file at its cursor: what of it outlives the future that began it.

use crate::half::Site;
use crate::home::lost_its_ring;
use filch_uring::{Op, Position, SharedFd, op};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};
use std::{fmt, io, mem};

/// As much as one read or write moves: a longer buffer takes several.
const MOST: usize = 256 * 1024;

/// The cursor of a file that has positions, and what is in flight at it.
///
/// The cursor moves when bytes are *delivered*: a read that is dropped has not moved it, and the next
/// one reads the same bytes again (C1). A write that is dropped runs to its end. The next operation at
/// the cursor waits for that, and finds the cursor behind what was written.
pub(super) struct Cursor {
    position: u64,
    /// Every write goes to the end of the file, wherever the cursor is.
    append: bool,
    reading: Option<Op<op::Read<Vec<u8>>>>,
    writing: Option<Op<op::Write<Vec<u8>>>>,
    /// The buffer of the last operation, for its memory.
    buffer: Vec<u8>,
    /// What went wrong with a write that was dropped: the next operation that cares hears of it.
    failed: Option<io::Error>,
    /// How much it has written, until somebody asks or the next one begins.
    unheard: usize,
}

impl Cursor {
    pub(super) fn new(append: bool) -> Self {
        Self {
            position: 0,
            append,
            reading: None,
            writing: None,
            buffer: Vec::new(),
            failed: None,
            unheard: 0,
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// Waits until nothing is in flight that an earlier future left behind.
    pub(super) fn poll_settled(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        if self.writing.is_some() {
            match ready!(self.poll_write(site, cx)) {
                Ok(written) => self.unheard = written,
                Err(error) => self.failed = Some(error),
            }
        }
        // Its bytes can be read again. The kernel keeps the buffer until it is done with it (D1).
        self.reading = None;
        Poll::Ready(())
    }

    /// What went wrong with a write that was dropped, if nobody has heard of it.
    pub(super) fn take_failure(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// How much a write that was dropped has written. Settled before.
    pub(super) fn take_unheard(&mut self) -> usize {
        mem::take(&mut self.unheard)
    }

    /// Reads into `buf`. Settled before; whoever polls has the cursor's turn until this is ready.
    pub(super) fn poll_read(
        &mut self,
        site: Site<'_>,
        buf: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let op = match &mut self.reading {
                Some(op) => op,
                none => {
                    let mut buffer = mem::take(&mut self.buffer);
                    buffer.clear();
                    // The operation fills the capacity, so that should be what was asked for.
                    buffer.shrink_to(buf.len().min(MOST));
                    buffer.reserve_exact(buf.len().min(MOST));
                    let read = op::Read::new(site.fd.clone(), buffer, Position::At(self.position));
                    none.insert(Op::new(read))
                }
            };
            let (read, buffer) = ready!(site.poll(op, cx));
            self.reading = None;
            if read.as_ref().is_err_and(lost_its_ring) {
                self.buffer = buffer;
                continue;
            }
            if let Ok(read) = read {
                // The allocator may have given a little more room than was asked for. What does not fit
                // is read again: the file may change in between.
                let taken = read.min(buf.len());
                buf[..taken].copy_from_slice(&buffer[..taken]);
                self.position += taken as u64;
                self.buffer = buffer;
                return Poll::Ready(Ok(taken));
            }
            self.buffer = buffer;
            return Poll::Ready(read);
        }
    }

    /// Hands the beginning of `buf` to the kernel. Settled before.
    pub(super) fn begin_write(&mut self, site: Site<'_>, buf: &[u8]) {
        self.unheard = 0;
        let mut buffer = mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(&buf[..buf.len().min(MOST)]);
        self.write(site, buffer);
    }

    fn write(&mut self, site: Site<'_>, buffer: Vec<u8>) {
        let write = op::Write::new(site.fd.clone(), buffer, Position::At(self.position));
        self.writing = Some(Op::new(write));
    }

    /// Waits for what [`begin_write`](Self::begin_write) began.
    pub(super) fn poll_write(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let op = self.writing.as_mut().expect("called when it has begun");
            let (written, buffer) = ready!(site.poll(op, cx));
            self.writing = None;
            if written.as_ref().is_err_and(lost_its_ring) {
                // Nothing of it was written.
                self.write(site, buffer);
                continue;
            }
            self.buffer = buffer;
            if let Ok(written) = written {
                self.position += written as u64;
                if self.append {
                    // Wherever the cursor was, the bytes went to the end.
                    self.position = end(site.fd).unwrap_or(self.position);
                }
            }
            return Poll::Ready(written);
        }
    }
}

/// Where the file ends, also for block devices. The file's own position is moved, and used for nothing
/// else.
pub(super) fn end(fd: &SharedFd) -> io::Result<u64> {
    // SAFETY: a call without pointers.
    let position = unsafe { libc::lseek(fd.as_raw_fd(), 0, libc::SEEK_END) };
    u64::try_from(position).map_err(|_| io::Error::last_os_error())
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("position", &self.position)
            .field("reading", &self.reading.is_some())
            .field("writing", &self.writing.is_some())
            .finish_non_exhaustive()
    }
}
