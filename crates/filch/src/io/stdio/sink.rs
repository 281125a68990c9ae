//! What standard output and error are written to.

use super::call::Call;
use super::{Here, Kind, standard};
use crate::half::{self, Site, WriteBuffer, Writing, would_block};
use crate::home::lost_its_ring;
use filch_atomic::scope;
use filch_sync::Lock;
use filch_uring::{Op, SharedFd, op};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::Location;
use std::task::{Context, Poll, ready};

/// As much as one write hands over: a longer buffer takes several.
const MOST: usize = 128 * 1024;

/// Standard output or error. Nothing is kept back. At most one write is in flight, and one whose future is dropped
/// stays here: the next one first waits for its end (C1).
pub(super) struct Sink {
    fd: SharedFd,
    /// By the ring.
    writing: Writing<half::Write>,
    /// By a call. While one of the two is under way the other is settled.
    called: Option<Called>,
    /// What a call has written that nobody was told of.
    unheard: usize,
}

/// A write by calls.
struct Called {
    stage: Stage,
    /// It goes on until all is written, whoever waits for that.
    is_whole: bool,
    /// So much of it is.
    written: usize,
}

enum Stage {
    Due(Vec<u8>),
    /// Until there is room; or, in a scope that is cancelled, for ever: nothing begins there (C2).
    Waiting(Op<op::PollFd>, Vec<u8>),
    /// The bytes, how many of them are written, and whether it ended with an error.
    Writes(Call<(Vec<u8>, usize, io::Result<()>)>),
}

impl Sink {
    pub(super) fn new(number: RawFd) -> Lock<Self> {
        let (fd, writing) = (standard(number), Writing::new());
        Lock::new(Self { fd, writing, called: None, unheard: 0 })
    }

    /// Waits for what an earlier write left behind.
    ///
    /// # Errors
    ///
    /// That write's, if nobody has heard of it.
    fn poll_settled(&mut self, here: &Here, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What has not begun is not begun for somebody who has gone.
        self.called.take_if(|called| called.is_unbegun());
        if self.called.is_some() {
            // Nor is it stopped by the scope of somebody else.
            self.unheard = ready!(scope::outside(|| self.poll_called(here, false, cx)))?;
        }
        let Self { fd, writing, .. } = self;
        writing.poll_settled(site(fd, here), cx)
    }

    /// Begins to write. Settled before.
    fn begin(&mut self, here: &Here, bytes: &[u8], is_whole: bool) -> io::Result<()> {
        let kind = Kind::of(&self.fd)?;
        self.unheard = 0;
        let Self { fd, writing, .. } = self;
        match kind {
            Kind::Stream if is_whole => {
                writing.begin_whole(site(fd, here), WriteBuffer::of(bytes.to_vec()));
            }
            Kind::Stream => writing.begin(site(fd, here), &[IoSlice::new(bytes)], ()),
            Kind::File | Kind::Device => {
                writing.unheard.take();
                let stage = Stage::Due(bytes.to_vec());
                self.called = Some(Called { stage, is_whole, written: 0 });
            }
        }
        Ok(())
    }

    /// Waits for what [`begin`](Self::begin) began.
    fn poll_begun(&mut self, here: &Here, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.called.is_some() {
            return self.poll_called(here, true, cx);
        }
        let Self { fd, writing, .. } = self;
        writing.poll(site(fd, here), cx)
    }

    /// Waits for a write by calls. `is_own` says whether it was begun by this very future.
    fn poll_called(
        &mut self,
        here: &Here,
        is_own: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let called = self.called.as_mut().expect("called when it has begun");
        let ended = ready!(called.poll(&self.fd, here, is_own, cx));
        self.called = None;
        Poll::Ready(ended)
    }
}

impl Called {
    /// Whether nothing was given to the system, nor to a thread.
    fn is_unbegun(&self) -> bool {
        self.written == 0 && !matches!(self.stage, Stage::Writes(_))
    }

    fn poll(
        &mut self,
        fd: &SharedFd,
        here: &Here,
        is_own: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match &mut self.stage {
                Stage::Due(bytes) => {
                    let bytes = mem::take(bytes);
                    if scope::here_is_cancelled() {
                        self.wait(fd, bytes);
                        continue;
                    }
                    let (fd, from, is_whole) = (fd.as_raw_fd(), self.written, self.is_whole);
                    let call = move || write_now(fd, bytes, from, is_whole);
                    self.stage = Stage::Writes(Call::begin(here, call)?);
                }
                Stage::Waiting(op, bytes) => {
                    let ready = ready!(here.home.poll(op, here.at, cx));
                    self.stage = Stage::Due(mem::take(bytes));
                    if let Err(error) = ready
                        && !lost_its_ring(&error)
                    {
                        return Poll::Ready(Err(error));
                    }
                }
                Stage::Writes(call) => {
                    let (bytes, written, ended) = match ready!(call.poll(cx)) {
                        Ok(done) => done,
                        Err(ended) if is_own => return Poll::Ready(Err(io::Error::other(ended))),
                        // That of another runtime, which has ended.
                        Err(_) => return Poll::Ready(Ok(self.written)),
                    };
                    self.written = written;
                    match ended {
                        Err(error) if would_block(&error) => self.wait(fd, bytes),
                        ended => return Poll::Ready(ended.map(|()| written)),
                    }
                }
            }
        }
    }

    fn wait(&mut self, fd: &SharedFd, bytes: Vec<u8>) {
        let op = op::PollFd::new(fd.clone(), libc::POLLOUT);
        self.stage = Stage::Waiting(Op::new(op), bytes);
    }
}

/// Writes what is behind the first `written` bytes: once, or all of it. On a thread that may wait.
fn write_now(
    fd: RawFd,
    bytes: Vec<u8>,
    mut written: usize,
    is_whole: bool,
) -> (Vec<u8>, usize, io::Result<()>) {
    loop {
        let rest = &bytes[written..];
        // SAFETY: so many bytes are there.
        let wrote = unsafe { libc::write(fd, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(wrote) {
            Ok(0) if is_whole => return (bytes, written, Err(io::ErrorKind::WriteZero.into())),
            Ok(wrote) => {
                written += wrote;
                if !is_whole || written == bytes.len() {
                    return (bytes, written, Ok(()));
                }
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return (bytes, written, Err(error));
                }
            }
        }
    }
}

fn site<'a>(fd: &'a SharedFd, here: &'a Here) -> Site<'a> {
    Site { fd, home: &here.home, at: here.at, is_device: false }
}

/// Writes some of `buf`, when it is its turn.
pub(super) async fn write(
    sink: &Lock<Sink>,
    at: &'static Location<'static>,
    buf: &[u8],
) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    let here = Here::at(at)?;
    let mut sink = sink.lock_at(at).await;
    poll_fn(|cx| sink.poll_settled(&here, cx)).await?;
    sink.begin(&here, &buf[..buf.len().min(MOST)], false)?;
    poll_fn(|cx| sink.poll_begun(&here, cx)).await
}

/// Writes all of `buf`, in one turn.
pub(super) async fn write_all(
    sink: &Lock<Sink>,
    at: &'static Location<'static>,
    buf: &[u8],
) -> io::Result<()> {
    if buf.is_empty() {
        return Ok(());
    }
    let here = Here::at(at)?;
    let mut sink = sink.lock_at(at).await;
    for piece in buf.chunks(MOST) {
        poll_fn(|cx| sink.poll_settled(&here, cx)).await?;
        sink.begin(&here, piece, true)?;
        poll_fn(|cx| sink.poll_begun(&here, cx)).await?;
    }
    Ok(())
}

/// Waits for the end of a write that was dropped.
pub(super) async fn flush(sink: &Lock<Sink>, at: &'static Location<'static>) -> io::Result<()> {
    let here = Here::at(at)?;
    let mut sink = sink.lock_at(at).await;
    poll_fn(|cx| sink.poll_settled(&here, cx)).await
}

/// As [`flush`], and tells how much that write has written.
pub(super) async fn settle(sink: &Lock<Sink>, at: &'static Location<'static>) -> io::Result<usize> {
    let here = Here::at(at)?;
    let mut sink = sink.lock_at(at).await;
    poll_fn(|cx| sink.poll_settled(&here, cx)).await?;
    Ok(sink.writing.unheard.take() + mem::take(&mut sink.unheard))
}
