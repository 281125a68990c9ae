//! Reading and writing a file at its cursor: what of it outlives the future that began it.

use super::file::{Known, known};
use crate::half::{Site, Unheard, was_given_up};
use crate::home::lost_its_ring;
use filch_atomic::scope;
use filch_uring::{Op, Operation, Position, SharedFd, op};
use std::io::{IoSlice, SeekFrom};
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
    /// The file is being made longer or shorter.
    resizing: Option<Op<op::Truncate>>,
    /// The buffer of the last operation, for its memory.
    buffer: Vec<u8>,
    /// What went wrong with a write that was dropped: the next operation that cares hears of it.
    failed: Option<io::Error>,
    /// What it has written.
    pub(super) unheard: Unheard,
    /// Where it is to go before whatever comes next.
    #[cfg(feature = "tokio-io")]
    asked: Option<SeekFrom>,
}

impl Cursor {
    pub(super) fn new(append: bool) -> Self {
        Self {
            position: 0,
            append,
            reading: None,
            writing: None,
            resizing: None,
            buffer: Vec::new(),
            failed: None,
            unheard: Unheard::default(),
            #[cfg(feature = "tokio-io")]
            asked: None,
        }
    }

    /// Another one, at the same place.
    pub(super) fn beginning_at(other: &Self) -> Self {
        Self { position: other.position, ..Self::new(other.append) }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// Waits until nothing is in flight that an earlier future left behind.
    pub(super) fn poll_settled(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_written(site, cx));
        // Its bytes can be read again. The kernel keeps the buffer until it is done with it (D1).
        self.reading = None;
        Poll::Ready(())
    }

    /// As [`poll_settled`](Self::poll_settled), and leaves a read alone, unless a seek was asked for since.
    pub(super) fn poll_written(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_still(site, cx));
        // Who asked for it has not come for the answer, and what comes now comes after it all the same.
        #[cfg(feature = "tokio-io")]
        drop(self.seek_as_asked(site.fd));
        Poll::Ready(())
    }

    /// Waits until nothing is written, and the file is made neither longer nor shorter.
    fn poll_still(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_unwritten(site, cx));
        if self.writing.is_some() {
            // Begun, it goes on: a cancel of who waits for that here is not for it.
            match ready!(scope::outside(|| self.poll_write(site, cx))) {
                Ok(written) => self.unheard.note(mem::take(&mut self.buffer), written),
                Err(error) => self.failed = Some(error),
            }
        }
        Poll::Ready(())
    }

    /// Forgets a write that did not begin, as its scope was cancelled; and waits for one that was to stop, and was
    /// dropped before it had. What they did not write is not written now (C2).
    fn poll_unwritten(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_resized(site, cx));
        self.writing.take_if(|op| !op.is_in_flight());
        if let Some(op) = self.writing.as_mut().filter(|op| op.is_stopping()) {
            op.cancel();
            let (written, buffer) = ready!(site.poll(op, cx));
            self.writing = None;
            match self.wrote(site, written, buffer) {
                Ok(written) => self.unheard.note(mem::take(&mut self.buffer), written),
                Err(error) if was_given_up(&error) => {}
                Err(error) => self.failed = Some(error),
            }
        }
        Poll::Ready(())
    }

    /// As above, of a change of length. One that is in flight is waited for.
    fn poll_resized(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        self.resizing.take_if(|op| !op.is_in_flight());
        let Some(op) = &mut self.resizing else { return Poll::Ready(()) };
        let resized = ready!(poll_left(op, site, cx));
        self.resizing = None;
        if let Err(error) = resized
            && !was_given_up(&error)
            && !is_unknown(site.fd, &error)
        {
            self.failed = Some(error);
        }
        Poll::Ready(())
    }

    /// Makes the file `len` bytes long. Settled before.
    pub(super) fn poll_resize(
        &mut self,
        site: Site<'_>,
        len: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let op = self
                .resizing
                .get_or_insert_with(|| Op::new(op::Truncate::new(site.fd.clone(), len)));
            let resized = ready!(site.poll(op, cx));
            self.resizing = None;
            if !resized.as_ref().is_err_and(lost_its_ring) {
                return Poll::Ready(resized);
            }
        }
    }

    /// Moves to another place. Settled before.
    pub(super) fn seek(&mut self, fd: &SharedFd, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(place) => (place, 0),
            SeekFrom::Current(by) => (self.position, by),
            SeekFrom::End(by) => (end(fd)?, by),
        };
        let place = from.checked_add_signed(by).filter(|&place| i64::try_from(place).is_ok());
        let Some(place) = place else {
            let text = "a file has no such place";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        self.position = place;
        // The same bytes, offered again, are to be written here.
        self.unheard.forget();
        Ok(place)
    }

    /// What went wrong with a write that was dropped, if nobody has heard of it.
    pub(super) fn take_failure(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Gives what it has read to `put`, which has `room` for so much, and says how much it took. Nothing is
    /// being written. A read that is in flight is taken over.
    pub(super) fn poll_read(
        &mut self,
        site: Site<'_>,
        room: usize,
        put: impl FnOnce(&[u8]) -> usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let op = match &mut self.reading {
                Some(op) => op,
                none => {
                    let mut buffer = mem::take(&mut self.buffer);
                    buffer.clear();
                    // The operation fills the capacity, so that should be what was asked for.
                    buffer.shrink_to(room.min(MOST));
                    buffer.reserve_exact(room.min(MOST));
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
                let taken = put(&buffer[..read]);
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
        self.begin_write_of(site, &[IoSlice::new(buf)]);
    }

    fn begin_write_of(&mut self, site: Site<'_>, bufs: &[IoSlice<'_>]) {
        let mut buffer = self.unheard.forget();
        if buffer.capacity() == 0 {
            buffer = mem::take(&mut self.buffer);
        }
        buffer.clear();
        for buf in bufs {
            let fits = buf.len().min(MOST - buffer.len());
            buffer.extend_from_slice(&buf[..fits]);
        }
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
            return Poll::Ready(self.wrote(site, written, buffer));
        }
    }

    /// Takes note of how a write ended.
    fn wrote(
        &mut self,
        site: Site<'_>,
        written: io::Result<usize>,
        buffer: Vec<u8>,
    ) -> io::Result<usize> {
        self.buffer = buffer;
        let written = written?;
        self.position += written as u64;
        if self.append {
            // Wherever the cursor was, the bytes went to the end. No server is asked where that is by now (S5).
            match known(site.fd) {
                Ok(Known { kind: libc::S_IFREG, len, .. }) => self.position = len,
                _ => self.position = end(site.fd).unwrap_or(self.position),
            }
        }
        Ok(written)
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
impl Cursor {
    /// Whether a write is in flight.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Gives up a read that is in flight, if there is one: its bytes can be read again.
    pub(super) fn give_up_reading(&mut self) -> bool {
        self.reading.take().is_some()
    }

    /// Writes by an operation, which has a copy of the bytes, and reports when it is done. Nothing is being
    /// read. See [`Unheard::tell`] for who comes again with other bytes.
    pub(super) fn poll_write_by_copy(
        &mut self,
        site: Site<'_>,
        bufs: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        #[cfg(feature = "tokio-io")]
        if self.asked.is_some() {
            ready!(self.poll_written(site, cx));
        }
        ready!(self.poll_unwritten(site, cx));
        loop {
            if self.writing.is_some() {
                match ready!(self.poll_write(site, cx))? {
                    0 => return Poll::Ready(Ok(0)),
                    written => self.unheard.note(mem::take(&mut self.buffer), written),
                }
            }
            self.take_failure()?;
            if let Some(told) = self.unheard.tell(bufs) {
                return Poll::Ready(Ok(told));
            }
            self.begin_write_of(site, bufs);
        }
    }
}

/// A seek in two calls: one asks for it, the other waits for it.
#[cfg(feature = "tokio-io")]
impl Cursor {
    pub(super) fn ask_for_seek(&mut self, to: SeekFrom) -> io::Result<()> {
        if self.is_asked_for_seek() {
            return Err(io::Error::other("another seek has to be waited for first"));
        }
        self.asked = Some(to);
        Ok(())
    }

    pub(super) fn is_asked_for_seek(&self) -> bool {
        self.asked.is_some()
    }

    /// Makes the seek that was asked for, when it can be made.
    pub(super) fn poll_seek_as_asked(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<u64>> {
        ready!(self.poll_still(site, cx));
        Poll::Ready(self.seek_as_asked(site.fd).expect("it was asked for"))
    }

    /// Nothing is being written.
    fn seek_as_asked(&mut self, fd: &SharedFd) -> Option<io::Result<u64>> {
        let to = self.asked.take()?;
        // A read that is in flight is one from where the cursor was.
        self.reading = None;
        Some(self.seek(fd, to))
    }
}

/// Waits for an operation that somebody else has left. It goes on, whoever is cancelled here; one that was to stop
/// does not begin anew.
pub(super) fn poll_left<T: Operation>(
    op: &mut Op<T>,
    site: Site<'_>,
    cx: &mut Context<'_>,
) -> Poll<T::Output> {
    if op.is_stopping() {
        op.cancel();
    }
    scope::outside(|| site.poll(op, cx))
}

/// Whether a change of length was refused by a ring that does not know it: nothing was tried. The system has the same
/// word for what is no regular file, for one that is not open for writing, and for a length that cannot be (of huge
/// pages a file has whole ones): where rings do not know it, the last of these is taken for the former.
fn is_unknown(fd: &SharedFd, error: &io::Error) -> bool {
    if !is_refused_unknown(error) {
        return false;
    }
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    let may_write = flags & libc::O_ACCMODE != libc::O_RDONLY;
    may_write && known(fd).is_ok_and(|known| known.kind == libc::S_IFREG)
}

/// Whether a ring that does not know how to change lengths may have said this.
pub(super) fn is_refused_unknown(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINVAL) && !op::Truncate::is_known()
}

/// Where the file ends, also for block devices. The file's own position is moved, and used for nothing
/// else.
fn end(fd: &SharedFd) -> io::Result<u64> {
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
