//! Reading and writing a file at its cursor: what of it outlives the future that began it.

use crate::home::{Home, lost_its_ring};
use filch_uring::{Op, Position, SharedFd, op};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};
use std::{fmt, io, mem};

/// As much as one read or write moves: a longer buffer takes several.
const MOST: usize = 256 * 1024;

/// A file's cursor, and what is in flight at it.
///
/// The cursor moves when bytes are *delivered*: a read that is dropped has not moved it, and the next
/// one reads the same bytes again. That is for files that have positions. A pipe or a terminal has none;
/// what was read from it is gone from it, so there the operation, and then the bytes, wait here for the
/// next read (C1).
///
/// A write that is dropped runs to its end. The next operation at the cursor waits for that, and finds
/// the cursor behind what was written.
pub(super) struct Cursor {
    position: u64,
    has_positions: bool,
    /// Every write goes to the end of the file, wherever the cursor is.
    append: bool,
    reading: Reading,
    writing: Option<Op<op::Write<Vec<u8>>>>,
    /// The buffer of the last write, for its memory.
    written: Vec<u8>,
}

enum Reading {
    /// Nothing is in flight. The buffer is kept for its memory.
    Idle(Vec<u8>),
    Pending(Op<op::Read<Vec<u8>>>),
    /// Bytes that nobody has taken yet.
    Left(Vec<u8>, Range<usize>),
}

impl Cursor {
    pub(super) fn new(fd: &SharedFd, append: bool) -> Self {
        Self {
            position: 0,
            has_positions: seek(fd, libc::SEEK_CUR).is_ok(),
            append,
            reading: Reading::Idle(Vec::new()),
            writing: None,
            written: Vec::new(),
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    pub(super) fn has_positions(&self) -> bool {
        self.has_positions
    }

    /// Waits until nothing is in flight that an earlier future left behind, except what a read of a
    /// file without positions may still bring.
    pub(super) fn poll_settled(
        &mut self,
        fd: &SharedFd,
        home: &Home,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.writing.is_some() {
            // Its result is nobody's: what went wrong shows again at the next write or sync.
            let _ = ready!(self.poll_write(fd, home, cx));
        }
        if self.has_positions && matches!(self.reading, Reading::Pending(_)) {
            // Its bytes can be read again. The kernel keeps the buffer until it is done with it (D1).
            self.reading = Reading::Idle(Vec::new());
        }
        Poll::Ready(())
    }

    /// Reads into `buf`. Settled before; whoever polls has the cursor's turn until this is ready.
    pub(super) fn poll_read(
        &mut self,
        fd: &SharedFd,
        home: &Home,
        buf: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let place = self.place();
        while !matches!(self.reading, Reading::Left(..)) {
            if let Reading::Idle(buffer) = &mut self.reading {
                let mut buffer = mem::take(buffer);
                buffer.clear();
                // The operation fills the capacity, so that should be what was asked for.
                buffer.shrink_to(buf.len().min(MOST));
                buffer.reserve_exact(buf.len().min(MOST));
                self.reading = Reading::Pending(Op::new(op::Read::new(fd.clone(), buffer, place)));
            }
            let Reading::Pending(op) = &mut self.reading else { unreachable!("it has begun") };
            let (read, buffer) = ready!(home.poll(op, cx));
            match read {
                Ok(read) => self.reading = Reading::Left(buffer, 0..read),
                Err(error) => {
                    self.reading = Reading::Idle(buffer);
                    if !lost_its_ring(&error) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
        let Reading::Left(buffer, left) = &mut self.reading else {
            unreachable!("what was pending is done")
        };
        let taken = (left.end - left.start).min(buf.len());
        buf[..taken].copy_from_slice(&buffer[left.start..left.start + taken]);
        left.start += taken;
        self.position += taken as u64;
        // With positions, what does not fit is read again: the file may change in between.
        if left.start == left.end || self.has_positions {
            self.reading = Reading::Idle(mem::take(buffer));
        }
        Poll::Ready(Ok(taken))
    }

    /// Hands the beginning of `buf` to the kernel. Settled before.
    pub(super) fn begin_write(&mut self, fd: &SharedFd, buf: &[u8]) {
        let mut buffer = mem::take(&mut self.written);
        buffer.clear();
        buffer.extend_from_slice(&buf[..buf.len().min(MOST)]);
        self.writing = Some(Op::new(op::Write::new(fd.clone(), buffer, self.place())));
    }

    /// Waits for what [`begin_write`](Self::begin_write) began.
    pub(super) fn poll_write(
        &mut self,
        fd: &SharedFd,
        home: &Home,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let written = loop {
            let op = self.writing.as_mut().expect("called when it has begun");
            let (written, buffer) = ready!(home.poll(op, cx));
            if written.as_ref().is_err_and(lost_its_ring) {
                // Nothing of it was written.
                self.writing = Some(Op::new(op::Write::new(fd.clone(), buffer, self.place())));
                continue;
            }
            self.writing = None;
            self.written = buffer;
            break written;
        };
        if let Ok(written) = written {
            self.position += written as u64;
            if self.append {
                // Wherever the cursor was, the bytes went to the end.
                self.position = seek(fd, libc::SEEK_END).unwrap_or(self.position);
            }
        }
        Poll::Ready(written)
    }

    fn place(&self) -> Position {
        if self.has_positions { Position::At(self.position) } else { Position::Current }
    }
}

/// Where a file's own position is, or its end. Fails on what has no positions. The file's own position
/// is not used for anything else.
fn seek(fd: &SharedFd, whence: libc::c_int) -> io::Result<u64> {
    // SAFETY: a call without pointers.
    let position = unsafe { libc::lseek(fd.as_raw_fd(), 0, whence) };
    u64::try_from(position).map_err(|_| io::Error::last_os_error())
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("position", &self.position)
            .field("reading", &matches!(self.reading, Reading::Pending(_)))
            .field("writing", &self.writing.is_some())
            .finish_non_exhaustive()
    }
}
