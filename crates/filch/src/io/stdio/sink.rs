//! What standard output and error are written to.

use super::call::Call;
use super::common::{Common, Taken};
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
use super::polled::Owner;
use super::{Here, Kind, What, standard};
use crate::half::{self, Site, WriteBuffer, Writing, would_block};
use crate::home::lost_its_ring;
use filch_atomic::scope;
use filch_uring::{Op, SharedFd, op};
use std::borrow::Cow;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// As much as one write hands over: a longer buffer takes several.
pub(super) const MOST: usize = 128 * 1024;

/// Standard output or error. Nothing is kept back. At most one write is in flight, and one whose future is dropped
/// stays here: the next one first waits for its end (C1).
pub(super) struct Sink {
    fd: SharedFd,
    /// What was there when something was last begun.
    on: Option<What>,
    /// By the ring.
    writing: Writing<half::Write>,
    /// By a call. While one of the two is under way the other is settled.
    called: Option<Called>,
    /// What a write has written that nobody was told of.
    unheard: usize,
    /// What the pieces of a `write_all` before that one have, for whoever settles when it is dropped.
    before: usize,
    /// Who is told of the write that is under way, if a poll has begun it.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub(super) owner: Owner,
}

/// A write by calls.
struct Called {
    stage: Stage,
    /// Not a call's alone: they are not to go with one that never begins.
    bytes: Arc<Vec<u8>>,
    /// It goes on until all is written, whoever waits for that.
    is_whole: bool,
    /// So much of it is.
    written: usize,
}

/// How a write ended, and its bytes.
pub(super) type Ended = (io::Result<usize>, Vec<u8>);

enum Stage {
    Due,
    /// Until there is room; or, in a scope that is cancelled, for ever: nothing begins there (C2).
    Waiting(Op<op::PollFd>),
    /// How many bytes are written, and whether it ended with an error.
    Writes(Call<(usize, io::Result<()>)>),
}

/// A write by calls that is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Begun by this very future, or poll.
    Own,
    /// Left by an earlier one. It goes on.
    Left,
    /// Something else is in the descriptor's place by now: of it goes on what a thread is in.
    GivenUp,
}

impl Sink {
    pub(super) fn new(number: RawFd) -> Common<Self> {
        Common::new(Self {
            fd: standard(number),
            on: None,
            writing: Writing::new(),
            called: None,
            unheard: 0,
            before: 0,
            #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
            owner: Owner::default(),
        })
    }

    /// Waits for what an earlier write left behind.
    ///
    /// # Errors
    ///
    /// That write's, if nobody has heard of it; or its rest is refused here, and still there.
    pub(super) fn poll_settled(
        &mut self,
        here: &Here,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.forget_unbegun();
        let settled = if self.is_left() { ready!(self.poll_left(here, cx)) } else { Ok(()) };
        let Self { fd, writing, .. } = self;
        let settled = settled.and(ready!(writing.poll_settled(site(fd, here), cx)));
        if settled.is_err() && !self.is_refused() {
            self.before = 0;
        }
        Poll::Ready(settled)
    }

    /// Forgets what has not begun: it is not begun for somebody who has gone.
    fn forget_unbegun(&mut self) {
        self.called.take_if(|called| called.is_unbegun());
        self.writing.forget_unbegun();
        #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
        if !self.is_left() {
            self.owner.forget();
        }
    }

    fn is_left(&self) -> bool {
        self.called.is_some() || self.writing.is_pending()
    }

    /// As [`forget_unbegun`](Self::forget_unbegun), for a poll, which may be about to begin something. Whoever polled
    /// for what is forgotten is woken, since its operation wakes nobody any more: not one, either, who went on to wait
    /// for it outside its scope. (After the turn of a future all are.)
    ///
    /// Two whose scopes are both cancelled would take it from each other, and wake each other, for ever. So nobody is
    /// woken for what was refused where what takes its place is refused, too: that wakes them all when its scope ends.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub(super) fn take_away_unbegun(&mut self, begins: bool, cx: &Context<'_>) {
        let was_stopping = matches!(
            &self.called,
            Some(Called { stage: Stage::Waiting(op), .. }) if op.is_stopping()
        );
        let was_waited_for = self.owner.is_there();
        self.forget_unbegun();
        let takes_away = was_waited_for && !self.is_left();
        if takes_away && (was_stopping || !begins || !scope::here_is_cancelled()) {
            cx.waker().wake_by_ref();
        }
    }

    /// Waits for the end of what was begun. It goes on, whoever is cancelled here: it is not theirs. But not to what has
    /// come in the descriptor's place since.
    pub(super) fn poll_left(&mut self, here: &Here, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_same = self.is_same();
        let (written, bytes) = match &self.called {
            Some(_) => {
                let whose = if is_same { Whose::Left } else { Whose::GivenUp };
                ready!(scope::outside(|| self.poll_called(here, whose, cx)))
            }
            None if !is_same => {
                let Self { fd, writing, .. } = self;
                let Some((written, buffer)) = ready!(writing.poll_recall(site(fd, here), cx))
                else {
                    return Poll::Ready(Ok(()));
                };
                (written, buffer.into_vec())
            }
            None if self.writing.is_whole() => ready!(self.poll_whole(here, cx)),
            // Of one that is not whole the half itself takes note.
            None => return Poll::Ready(Ok(())),
        };
        if self.is_refused() {
            // Whose it is will hear of its end.
            return Poll::Ready(written.map(drop));
        }
        #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
        let Some((written, _)) = self.owner.tell((written, bytes)) else {
            if !is_same {
                // What was given up wakes nobody any more.
                cx.waker().wake_by_ref();
            }
            return Poll::Ready(Ok(()));
        };
        #[cfg(not(any(feature = "futures-io", feature = "tokio-io")))]
        drop(bytes);
        self.unheard = written?;
        Poll::Ready(Ok(()))
    }

    /// Whether what was begun was begun on what is there now.
    pub(super) fn is_same(&self) -> bool {
        self.on.is_some_and(|what| what.is_there(&self.fd))
    }

    /// Begins to write. Settled before.
    pub(super) fn begin(
        &mut self,
        here: &Here,
        bytes: Cow<'_, [u8]>,
        is_whole: bool,
    ) -> io::Result<()> {
        let what = What::now(&self.fd)?;
        self.on = Some(what);
        (self.unheard, self.before) = (0, 0);
        self.writing.unheard.take();
        #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
        self.owner.forget();
        let Self { fd, writing, .. } = self;
        match what.kind {
            Kind::Stream if is_whole => {
                writing.begin_whole(site(fd, here), WriteBuffer::of(bytes.into_owned()));
            }
            Kind::Stream => writing.begin(site(fd, here), &[IoSlice::new(&bytes)], ()),
            Kind::File | Kind::Device => {
                let bytes = Arc::new(bytes.into_owned());
                self.called = Some(Called { stage: Stage::Due, bytes, is_whole, written: 0 });
            }
        }
        Ok(())
    }

    /// Waits for what [`begin`](Self::begin) began. `is_own` says whether that was this very future.
    pub(super) fn poll_begun(
        &mut self,
        here: &Here,
        is_own: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        if self.called.is_some() {
            let whose = if is_own { Whose::Own } else { Whose::Left };
            return self.poll_called(here, whose, cx);
        }
        if self.writing.is_whole() {
            return self.poll_whole(here, cx);
        }
        let Self { fd, writing, .. } = self;
        writing.poll(site(fd, here), cx).map(|written| (written, Vec::new()))
    }

    /// Waits for a whole write by the ring. Once it has begun no scope stops it: half of a line would be worse than one
    /// more. Who is cancelled is dropped, and does not wait for it.
    fn poll_whole(&mut self, here: &Here, cx: &mut Context<'_>) -> Poll<Ended> {
        let Self { fd, writing, .. } = self;
        let goes_on = writing.has_begun() || !scope::here_is_cancelled();
        let mut poll = || writing.poll_begun(site(fd, here), cx);
        let polled = if goes_on { scope::outside(poll) } else { poll() };
        polled.map(|(written, buffer)| (written, buffer.into_vec()))
    }

    /// Waits for a write by calls. What is left of a line is not dropped where it is [refused](Self::is_refused).
    fn poll_called(&mut self, here: &Here, whose: Whose, cx: &mut Context<'_>) -> Poll<Ended> {
        let called = self.called.as_mut().expect("called when it has begun");
        let written = ready!(called.poll(&self.fd, here, whose, cx));
        let ended = |called: &mut Called| written.is_ok() || !called.is_due();
        let bytes = self.called.take_if(ended).map(|called| Arc::unwrap_or_clone(called.bytes));
        Poll::Ready((written, bytes.unwrap_or_default()))
    }

    /// Whether what was just ready was no end: the rest of a line got no thread, or no ring. It goes when somebody
    /// asks again, who may have them.
    pub(super) fn is_refused(&self) -> bool {
        self.called.is_some()
    }
}

/// The sink, for a future that writes. What that has begun and nothing is written of does not happen if it is dropped in
/// a scope that is cancelled (C2). What it waits for, that others have left, is not its own: that goes on.
struct Cut<'a> {
    sink: &'a mut Sink,
    has_begun: bool,
}

impl<'a> Cut<'a> {
    fn new(sink: &'a mut Sink) -> Self {
        Self { sink, has_begun: false }
    }

    fn begin(&mut self, here: &Here, bytes: &[u8], is_whole: bool) -> io::Result<()> {
        self.sink.begin(here, Cow::Borrowed(bytes), is_whole)?;
        self.has_begun = true;
        Ok(())
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        let Some(Called { stage, written: 0, .. }) = &self.sink.called else { return };
        if self.has_begun && scope::here_is_cancelled() {
            match stage {
                // If a thread has begun it, it goes on.
                Stage::Writes(call) => call.take_back(),
                Stage::Due | Stage::Waiting(_) => self.sink.called = None,
            }
        }
    }
}

impl Called {
    /// Whether it did not begin, or was to stop before anything was written, as its scope was cancelled.
    fn is_unbegun(&self) -> bool {
        self.written == 0
            && match &self.stage {
                Stage::Due => true,
                Stage::Waiting(op) => !op.is_in_flight() || op.is_stopping(),
                Stage::Writes(_) => false,
            }
    }

    /// Whether a part is written, and nothing sees to the rest.
    fn is_due(&self) -> bool {
        self.written > 0 && matches!(self.stage, Stage::Due)
    }

    /// Once something is written no scope stops it, as in [`Sink::poll_whole`]. But a clean-up is in its own: there it
    /// gets a thread though the runtime ends.
    fn poll(
        &mut self,
        fd: &SharedFd,
        here: &Here,
        whose: Whose,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // Once: a runtime that has ended refuses it again and again.
        let mut has_tried = false;
        loop {
            let leaves = self.written > 0 && scope::here_is_cancelled();
            let mut step = || self.step(fd, here, whose, &mut has_tried, cx);
            if let Some(written) = ready!(if leaves { scope::outside(step) } else { step() }) {
                return Poll::Ready(written);
            }
        }
    }

    /// From one stage to the next, or to the end.
    fn step(
        &mut self,
        fd: &SharedFd,
        here: &Here,
        whose: Whose,
        has_tried: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<usize>>> {
        if whose == Whose::GivenUp {
            match &self.stage {
                Stage::Writes(call) => call.take_back(),
                Stage::Due | Stage::Waiting(_) => return Poll::Ready(Some(Ok(self.written))),
            }
        }
        match &mut self.stage {
            Stage::Due if scope::here_is_cancelled() => self.wait(fd),
            Stage::Due => {
                let (fd, from, is_whole) = (fd.as_raw_fd(), self.written, self.is_whole);
                let bytes = self.bytes.clone();
                let call = Call::begin(here, move || write_now(fd, &bytes, from, is_whole))?;
                self.stage = Stage::Writes(call);
                *has_tried = true;
            }
            Stage::Waiting(op) => {
                let ready = ready!(here.home.poll(op, here.at, cx));
                self.stage = Stage::Due;
                if let Err(error) = ready
                    && !lost_its_ring(&error)
                {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            Stage::Writes(call) => match ready!(call.poll(cx)) {
                Ok((written, ended)) => {
                    self.written = written;
                    match ended {
                        Err(error) if would_block(&error) => self.wait(fd),
                        ended => return Poll::Ready(Some(ended.map(|()| written))),
                    }
                }
                // It was taken back, or its runtime has ended.
                Err(ended) => {
                    self.stage = Stage::Due;
                    let is_refused = *has_tried || (whose == Whose::Own && self.written == 0);
                    if is_refused {
                        return Poll::Ready(Some(Err(io::Error::other(ended))));
                    }
                    if self.written == 0 {
                        return Poll::Ready(Some(Ok(0)));
                    }
                }
            },
        }
        Poll::Ready(None)
    }

    fn wait(&mut self, fd: &SharedFd) {
        let op = op::PollFd::new(fd.clone(), libc::POLLOUT);
        self.stage = Stage::Waiting(Op::new(op));
    }
}

/// Writes what is behind the first `written` bytes: once, or all of it. On a thread that may wait.
fn write_now(
    fd: RawFd,
    bytes: &[u8],
    mut written: usize,
    is_whole: bool,
) -> (usize, io::Result<()>) {
    loop {
        let rest = &bytes[written..];
        // SAFETY: so many bytes are there.
        let wrote = unsafe { libc::write(fd, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(wrote) {
            Ok(0) if is_whole => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(wrote) => {
                written += wrote;
                if !is_whole || written == bytes.len() {
                    return (written, Ok(()));
                }
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return (written, Err(error));
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
    sink: &'static Common<Sink>,
    at: &'static Location<'static>,
    buf: &[u8],
) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    let (here, mut sink) = turn(sink, at).await?;
    let mut cut = Cut::new(&mut sink);
    poll_fn(|cx| cut.sink.poll_settled(&here, cx)).await?;
    cut.begin(&here, &buf[..buf.len().min(MOST)], false)?;
    poll_fn(|cx| cut.sink.poll_begun(&here, true, cx)).await.0
}

/// Writes all of `buf`, in one turn.
pub(super) async fn write_all(
    sink: &'static Common<Sink>,
    at: &'static Location<'static>,
    buf: &[u8],
) -> io::Result<()> {
    if buf.is_empty() {
        return Ok(());
    }
    let (here, mut sink) = turn(sink, at).await?;
    let mut cut = Cut::new(&mut sink);
    let written = write_pieces(&mut cut, &here, buf).await;
    if !cut.sink.is_refused() {
        // That is told.
        cut.sink.before = 0;
    }
    written
}

async fn write_pieces(cut: &mut Cut<'_>, here: &Here, buf: &[u8]) -> io::Result<()> {
    for (number, piece) in buf.chunks(MOST).enumerate() {
        poll_fn(|cx| cut.sink.poll_settled(here, cx)).await?;
        cut.begin(here, piece, true)?;
        // What those before it have written is told to nobody yet.
        cut.sink.before = number * MOST;
        poll_fn(|cx| cut.sink.poll_begun(here, true, cx)).await.0?;
    }
    Ok(())
}

/// Waits for the end of a write that was dropped.
pub(super) async fn flush(
    sink: &'static Common<Sink>,
    at: &'static Location<'static>,
) -> io::Result<()> {
    let (here, mut sink) = turn(sink, at).await?;
    poll_fn(|cx| sink.poll_settled(&here, cx)).await
}

/// As [`flush`], and tells how much that write has written.
pub(super) async fn settle(
    sink: &'static Common<Sink>,
    at: &'static Location<'static>,
) -> io::Result<usize> {
    let (here, mut sink) = turn(sink, at).await?;
    poll_fn(|cx| sink.poll_settled(&here, cx)).await?;
    let last = sink.writing.unheard.take() + mem::take(&mut sink.unheard);
    Ok(mem::take(&mut sink.before) + last)
}

/// The stream, in its turn.
async fn turn(
    sink: &'static Common<Sink>,
    at: &'static Location<'static>,
) -> io::Result<(Here, Taken<Sink>)> {
    let here = Here::at(at)?;
    Ok((here, sink.lock_at(at).await))
}
