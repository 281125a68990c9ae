//! Pipes.

use super::by_shared_reference;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
use super::{PollRead, PollWrite};
use crate::half::{self, Reading, Site, Taken, Turn, Want, Writing};
use crate::home::Home;
use filch_atomic::sync::Mutex;
use filch_uring::{IoBuf, IoBufMut, SharedFd};
use std::future::poll_fn;
use std::io::{self, Error, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;
use std::{fmt, mem};

/// Makes a pipe: what is written to one end is read from the other, by this process or by one that is given
/// that end. The pipe keeps some of it, 64 KiB as a rule; then who writes waits.
///
/// (A pipe with a name, a FIFO, is [opened](crate::fs::OpenOptions) as a file.)
///
/// ```
/// # filch::run(async {
/// use filch::io::{Read, Write};
///
/// let (mut from, mut to) = filch::io::pipe()?;
/// to.write_all(b"through the pipe").await?;
/// drop(to);
/// let mut text = String::new();
/// from.read_to_string(&mut text).await?;
/// assert_eq!(text, "through the pipe");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// Without a runtime on this thread; if the process has no descriptor left.
#[doc(alias = "connect_read_pipe")]
#[doc(alias = "connect_write_pipe")]
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let home = Home::current()?;
    let (from, to) = io::pipe()?;
    Ok((PipeReader::new(from.into(), home.clone()), PipeWriter::new(to.into(), home)))
}

/// The end of a pipe from which is read: of [`pipe`], or of a child's output.
///
/// It takes `&self`, and so may be shared; one reads at a time, in the order in which they came.
///
/// Dropped, it is closed: who writes gets `BrokenPipe`.
pub struct PipeReader {
    fd: SharedFd,
    home: Home,
    reading: Turn<Reading<half::Read>>,
}

impl PipeReader {
    pub(crate) fn new(fd: OwnedFd, home: Home) -> Self {
        Self { fd: SharedFd::new(fd), home, reading: Turn::new(Reading::new()) }
    }

    /// Takes over a pipe of the standard library. Whether the descriptor blocks is left as it is.
    ///
    /// # Errors
    ///
    /// Without a runtime on this thread.
    pub fn from_std(pipe: io::PipeReader) -> io::Result<Self> {
        Ok(Self::new(pipe.into(), Home::current()?))
    }

    /// Reads some bytes into `buf`, at most 64 KiB, and returns how many; 0 at the end, when everybody who could
    /// write has closed his end, or if `buf` is empty.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what arrives when nobody reads any more goes to the next read.
    #[track_caller]
    pub fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        let site = self.site(Location::caller());
        half::read(&self.reading, site, buf, half::Want::bytes)
    }

    /// Reads some bytes into a buffer that is handed over, from its beginning, at most its capacity, and gives the
    /// number and the buffer; 0 at the end, or if there is no room. The kernel writes into the buffer itself, unless
    /// bytes are there that an earlier read left.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), with the buffer.
    ///
    /// # Cancel safety
    ///
    /// No byte is lost: what arrives when nobody reads any more goes to the next read, of whatever kind. The
    /// buffer is gone.
    #[track_caller]
    pub fn read_owned<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = (io::Result<usize>, B)> + Send {
        let site = self.site(Location::caller());
        async move {
            let want = Want::bytes(buf.capacity());
            half::read_owned(&self.reading, site, buf, want).await
        }
    }

    /// Everything to the end, without a copy: the kernel writes where it stays.
    pub(crate) async fn read_whole(&self) -> io::Result<Vec<u8>> {
        /// As much as a pipe has at once, as a rule.
        const PIECE: usize = 64 * 1024;
        let mut whole = Vec::new();
        loop {
            let len = whole.len();
            if whole.capacity() - len < PIECE / 4 {
                whole.try_reserve(PIECE)?;
            }
            let end = whole.capacity().min(len + PIECE);
            let (read, part) = self.read_owned(mem::take(&mut whole).slice(len..end)).await;
            whole = part.into_inner();
            match read {
                Ok(0) => return Ok(whole),
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }

    /// The descriptor, for another process, or for the standard library. A read that is in flight is given up.
    ///
    /// # Errors
    ///
    /// [`ResourceBusy`](ErrorKind::ResourceBusy) if bytes have come that nobody has read: they would be lost. If the
    /// process has no descriptor left. The pipe is closed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the pipe is closed.
    #[track_caller]
    pub fn into_fd(self) -> impl Future<Output = io::Result<OwnedFd>> + Send {
        let at = Location::caller();
        async move {
            let mut this = self;
            let site = Site { fd: &this.fd, home: &this.home, at, is_device: false };
            let reading = this.reading.get_mut();
            poll_fn(|cx| reading.poll_recall(site, cx)).await?;
            if reading.has_bytes() {
                let text = "bytes were received that nobody has read";
                return Err(Error::new(ErrorKind::ResourceBusy, text));
            }
            let Self { fd, reading, .. } = this;
            drop(reading);
            unshared(fd)
        }
    }

    fn site(&self, at: &'static Location<'static>) -> Site<'_> {
        Site { fd: &self.fd, home: &self.home, at, is_device: false }
    }
}

/// The end of a pipe to which is written: of [`pipe`], or of a child's input.
///
/// It takes `&self`, and so may be shared; one writes at a time, in the order in which they came. Up to 4 KiB
/// (`PIPE_BUF`) in one [`write`](Self::write) are not mixed with what other processes write.
///
/// Dropped, or [finished](Self::finish), it is closed: who reads comes to the end, when he has read all. A write in
/// flight is given up by the drop.
pub struct PipeWriter {
    /// None when it is finished.
    fd: Mutex<Option<SharedFd>>,
    home: Home,
    writing: Turn<Writing<half::Write>>,
}

impl PipeWriter {
    pub(crate) fn new(fd: OwnedFd, home: Home) -> Self {
        let fd = Mutex::new(Some(SharedFd::new(fd)));
        Self { fd, home, writing: Turn::new(Writing::new()) }
    }

    /// Takes over a pipe of the standard library. Whether the descriptor blocks is left as it is.
    ///
    /// # Errors
    ///
    /// Without a runtime on this thread.
    pub fn from_std(pipe: io::PipeWriter) -> io::Result<Self> {
        Ok(Self::new(pipe.into(), Home::current()?))
    }

    /// Writes some of `buf`, at most 128 KiB, and returns how much.
    ///
    /// # Errors
    ///
    /// The system's: [`BrokenPipe`](ErrorKind::BrokenPipe) if nobody can read any more, or it is finished. If an
    /// earlier write was dropped and failed later, that one's error, once, and nothing is written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, a prefix of `buf` may or may not be written: never twice, and never mixed with the next write,
    /// which waits for this one to end.
    #[track_caller]
    pub fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
        let at = Location::caller();
        async move {
            if buf.is_empty() {
                return Ok(0);
            }
            let (fd, mut writing) = self.settled(at).await?;
            let site = self.site(&fd, at);
            writing.begin(site, &[io::IoSlice::new(buf)], ());
            poll_fn(|cx| writing.poll(site, cx)).await
        }
    }

    /// Writes all of a buffer that is handed over, and gives it back. Nothing is copied.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), with the buffer. A part of it may be written then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its turn has come, it writes nothing. Dropped later, it goes on, by as much as the pipe takes
    /// at once; the rest goes when the pipe is next written to, settled or finished, and is left out if it is
    /// dropped. [`settle`](Self::settle) waits for all of it.
    #[track_caller]
    pub fn write_all_owned<B: IoBuf>(
        &self,
        buf: B,
    ) -> impl Future<Output = (io::Result<()>, B)> + Send {
        let at = Location::caller();
        async move {
            if buf.is_empty() {
                return (Ok(()), buf);
            }
            let (fd, mut writing) = match self.settled(at).await {
                Ok(settled) => settled,
                Err(error) => return (Err(error), buf),
            };
            let site = self.site(&fd, at);
            writing.begin_whole(site, half::WriteBuffer::of(buf));
            let (written, buffer) = poll_fn(|cx| writing.poll_begun(site, cx)).await;
            (written.map(drop), buffer.give_back())
        }
    }

    /// Waits for the end of a write that was dropped, and returns how many bytes it wrote: 0 if there is none, or
    /// that was told before. See [`Write::settle`](super::Write::settle).
    ///
    /// # Errors
    ///
    /// That write's, once.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is lost: ask again.
    #[track_caller]
    pub fn settle(&self) -> impl Future<Output = io::Result<usize>> + Send {
        let at = Location::caller();
        async move {
            let mut writing = self.writing.lock_at(at).await;
            if let Ok(fd) = self.fd() {
                let site = self.site(&fd, at);
                poll_fn(|cx| writing.poll_settled(site, cx)).await?;
            }
            Ok(writing.unheard.take())
        }
    }

    /// Waits for writes in progress, and closes the pipe: who reads comes to the end. To do so again is no error.
    ///
    /// # Errors
    ///
    /// If a write was dropped and failed later, that one's error. The pipe is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the pipe is not closed yet: finish again.
    #[doc(alias = "write_eof")]
    #[track_caller]
    pub fn finish(&self) -> impl Future<Output = io::Result<()>> + Send {
        let at = Location::caller();
        async move {
            let mut writing = self.writing.lock_at(at).await;
            let Ok(fd) = self.fd() else { return Ok(()) };
            let site = self.site(&fd, at);
            let settled = poll_fn(|cx| writing.poll_settled(site, cx)).await;
            self.close();
            settled
        }
    }

    /// The descriptor, for another process, or for the standard library. A write that was dropped is waited for.
    ///
    /// # Errors
    ///
    /// [`BrokenPipe`](ErrorKind::BrokenPipe) if it is finished; the error of a write that was dropped; if the process
    /// has no descriptor left. The pipe is closed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the pipe is closed.
    #[track_caller]
    pub fn into_fd(self) -> impl Future<Output = io::Result<OwnedFd>> + Send {
        let at = Location::caller();
        async move {
            let (fd, _) = self.settled(at).await?;
            self.close();
            drop(self);
            unshared(fd)
        }
    }

    /// The direction, in its turn, when nothing is left of an earlier write.
    async fn settled(
        &self,
        at: &'static Location<'static>,
    ) -> io::Result<(SharedFd, Taken<'_, Writing<half::Write>>)> {
        let mut writing = self.writing.lock_at(at).await;
        let fd = self.fd()?;
        poll_fn(|cx| writing.poll_settled(self.site(&fd, at), cx)).await?;
        Ok((fd, writing))
    }

    fn fd(&self) -> io::Result<SharedFd> {
        let fd = self.fd.lock().clone();
        fd.ok_or_else(|| Error::new(ErrorKind::BrokenPipe, "the pipe is finished"))
    }

    fn close(&self) {
        let fd = self.fd.lock().take();
        drop(fd);
    }

    fn site<'a>(&'a self, fd: &'a SharedFd, at: &'static Location<'static>) -> Site<'a> {
        Site { fd, home: &self.home, at, is_device: false }
    }
}

/// A descriptor that nobody else holds: this one, or a second one, where an operation that was given up still has it.
fn unshared(fd: SharedFd) -> io::Result<OwnedFd> {
    fd.try_unwrap().or_else(|fd| fd.as_fd().try_clone_to_owned())
}

by_shared_reference!(PipeReader: Read);
by_shared_reference!(PipeWriter: Write, pipe => pipe.finish());

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for PipeReader {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeReader").field("fd", &self.fd.as_raw_fd()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fd = self.fd().ok().map(|fd| fd.as_raw_fd());
        f.debug_struct("PipeWriter").field("fd", &fd).finish_non_exhaustive()
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod polled {
    use super::{Location, PipeReader, PipeWriter, PollRead, PollWrite, Want, io};
    use crate::half::Role;
    use std::io::IoSlice;
    use std::task::{Context, Poll};

    impl PollRead for PipeReader {
        fn poll_read(
            &self,
            cx: &mut Context<'_>,
            room: usize,
            put: &mut dyn FnMut(&[u8]) -> usize,
        ) -> Poll<io::Result<usize>> {
            if room == 0 {
                return Poll::Ready(Ok(0));
            }
            let site = self.site(Location::caller());
            self.reading.poll(Role::Reads, cx, |reading, cx| {
                let come = reading.poll(site, Want::bytes(room), cx);
                come.map_ok(|()| reading.take_by(put)).into()
            })
        }
    }

    /// As a file's: by copies, which the next poll compares.
    impl PollWrite for PipeWriter {
        fn poll_write(
            &self,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if bufs.iter().all(|buf| buf.is_empty()) {
                return Poll::Ready(Ok(0));
            }
            let at = Location::caller();
            self.writing.poll(Role::Writes, cx, |writing, cx| match self.fd() {
                Ok(fd) => writing.poll_write(self.site(&fd, at), bufs, cx).into(),
                Err(error) => Poll::Ready(Err(error)).into(),
            })
        }

        fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let at = Location::caller();
            self.writing.poll(Role::Writes, cx, |writing, cx| match self.fd() {
                Ok(fd) => writing.poll_settled(self.site(&fd, at), cx).into(),
                Err(_finished) => Poll::Ready(Ok(())).into(),
            })
        }

        fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let at = Location::caller();
            self.writing.poll(Role::Writes, cx, |writing, cx| {
                let Ok(fd) = self.fd() else { return Poll::Ready(Ok(())).into() };
                let settled = writing.poll_settled(self.site(&fd, at), cx);
                if settled.is_ready() {
                    self.close();
                }
                settled.into()
            })
        }
    }
}
