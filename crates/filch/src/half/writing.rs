//! The sending half: what of a write outlives the future that began it.

use super::moving::Emptying;
use super::{Outward, Site, Unheard, WriteBuffer, was_given_up, would_block};
use crate::home::lost_its_ring;
use filch_atomic::scope;
use filch_uring::{Op, op};
use std::io::IoSlice;
use std::mem;
use std::task::{Context, Poll, Waker, ready};
use std::{fmt, io};

/// As much as one write hands to the kernel: a longer buffer takes several.
const MOST: usize = 128 * 1024;

/// One direction of a stream. At most one operation is in flight. A future that is dropped leaves it
/// here, and the next write first waits for its end: so bytes are never sent twice, and those of two
/// writes are never mixed (C1).
///
/// The kernel reads from a copy, because a borrowed buffer may be gone before the kernel is done with
/// it (D1). Or it reads from a buffer that was handed over, which the operation keeps for as long: then all of
/// it is written before anything else is, in one operation if the kernel can, else in one after the other.
///
/// Dropped with the stream, the operation is cancelled: a peer that does not read keeps nothing open
/// (D6).
pub(crate) struct Writing<T: Outward> {
    pending: Option<Pending<T>>,
    /// The buffer of the last write, for its memory.
    buffer: Vec<u8>,
    /// What went wrong with a write that was dropped: the next one hears of it.
    failed: Option<io::Error>,
    /// What a write that was dropped has written.
    pub(crate) unheard: Unheard,
    /// A poll, or a large write, waits until a socket takes more.
    pub(super) room: super::now::Room,
    /// The end of the stream was asked for, and may be sent.
    pub(crate) is_ending: bool,
}

/// A write that was begun.
struct Pending<T: Outward> {
    stage: Stage<T>,
    /// The buffer was handed over, and all of it is to be written.
    whole: bool,
    /// So much of it is written already.
    written: usize,
    /// Of a whole one: whoever began it has dropped it, and it goes on to the end, whoever waits for that.
    goes_on: bool,
}

/// How far it is.
enum Stage<T: Outward> {
    Begun(Emptying<T>),
    /// It would have had to wait: this waits until there is room, and then it is begun anew.
    Waiting(Op<op::PollFd>, WriteBuffer, T::Beside),
}

impl<T: Outward> Writing<T> {
    pub(crate) fn new() -> Self {
        Self {
            pending: None,
            buffer: Vec::new(),
            failed: None,
            unheard: Unheard::default(),
            room: None,
            is_ending: false,
        }
    }

    /// Waits for what an earlier write left behind.
    ///
    /// # Errors
    ///
    /// That write's, if nobody has heard of it.
    pub(crate) fn poll_settled(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.forget_unbegun();
        ready!(self.poll_stopped(site, cx));
        if let Some(pending) = &mut self.pending {
            let whole = pending.whole;
            pending.goes_on |= whole;
            // One that goes on is not stopped by a cancel of whoever waits for that here: it is not theirs.
            let polled = match whole {
                true => scope::outside(|| self.poll_begun(site, cx)),
                false => self.poll_begun(site, cx),
            };
            let (written, buffer) = ready!(polled);
            match written {
                // Nobody compares what was handed over with anything: it goes.
                Ok(written) if whole => self.unheard.note(Vec::new(), written),
                Ok(written) => self.unheard.note(buffer.into_vec(), written),
                Err(error) => self.failed = Some(error),
            }
        }
        Poll::Ready(self.failed.take().map_or(Ok(()), Err))
    }

    /// As [`poll_settled`](Self::poll_settled), for who does not wait: false if that would take a while. Whoever
    /// waits for it as well is woken after this turn, and waits anew.
    pub(crate) fn is_settled_now(&mut self, site: Site<'_>) -> io::Result<bool> {
        match self.poll_settled(site, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(settled) => settled.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// Forgets a write that did not begin, or not go on, as its scope was cancelled: it did not happen (C2), and
    /// must not happen now. What it had written before is to be heard of.
    pub(crate) fn forget_unbegun(&mut self) {
        let cut = self.pending.take_if(|pending| !pending.goes_on && !pending.is_in_flight());
        if let Some(Pending { written: written @ 1.., .. }) = cut {
            self.unheard.note(Vec::new(), written);
        }
    }

    /// Waits for a write that was to stop, as its scope was cancelled, and was dropped before it had. What it has
    /// not written by then is not written now (C2).
    pub(super) fn poll_stopped(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pending) = &mut self.pending else { return Poll::Ready(()) };
        match &mut pending.stage {
            Stage::Begun(op) if op.is_stopping() => {
                op.cancel();
                let (sent, buffer, _) = ready!(op.poll(site, cx));
                let before = pending.written;
                let whole = pending.whole;
                self.pending = None;
                let given_up = |error: &io::Error| was_given_up(error) || would_block(error);
                match sent {
                    Err(error) if !given_up(&error) => self.failed = Some(error),
                    // As in `poll_settled`.
                    sent if whole => self.unheard.note(Vec::new(), before + sent.unwrap_or(0)),
                    Ok(sent) => self.unheard.note(buffer.into_vec(), sent),
                    Err(_) => self.buffer = buffer.into_vec(),
                }
            }
            Stage::Waiting(op, ..) if op.is_stopping() => {
                let before = pending.written;
                self.pending = None;
                self.unheard.note(Vec::new(), before);
            }
            _ => {}
        }
        Poll::Ready(())
    }

    /// Takes note of what a write has written that nobody waits for.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub(super) fn note(&mut self, written: usize) {
        self.unheard.note(mem::take(&mut self.buffer), written);
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.whole)
    }

    /// Whether the kernel has been given something of what is pending.
    pub(crate) fn has_begun(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.written > 0 || pending.is_in_flight())
    }

    /// Hands the beginning of `bufs` to the kernel, and what goes beside it. Settled before.
    pub(crate) fn begin(&mut self, site: Site<'_>, bufs: &[IoSlice<'_>], beside: T::Beside) {
        // Also for the compiler: there is nothing to drop in its place.
        assert!(self.pending.is_none(), "called when it has settled");
        let mut buffer = self.unheard.forget();
        if buffer.capacity() == 0 {
            buffer = mem::take(&mut self.buffer);
        }
        buffer.clear();
        for buf in bufs {
            let fits = buf.len().min(MOST - buffer.len());
            buffer.extend_from_slice(&buf[..fits]);
        }
        self.pending = Some(Pending::begin(site, buffer.into(), beside, false));
    }

    /// Hands all of a buffer to the kernel. Settled before.
    pub(crate) fn begin_whole(&mut self, site: Site<'_>, buffer: WriteBuffer) {
        assert!(self.pending.is_none(), "called when it has settled");
        self.unheard.forget();
        self.pending = Some(Pending::begin(site, buffer, T::Beside::default(), true));
    }

    /// Waits for what [`begin`](Self::begin) began, and keeps the buffer.
    pub(crate) fn poll(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (written, buffer) = ready!(self.poll_begun(site, cx));
        self.buffer = buffer.into_vec();
        Poll::Ready(written)
    }

    /// Waits for what was begun, and gives the buffer back.
    pub(crate) fn poll_begun(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<(io::Result<usize>, WriteBuffer)> {
        loop {
            let pending = self.pending.as_mut().expect("called when it has begun");
            match &mut pending.stage {
                Stage::Begun(op) => {
                    let (sent, mut buffer, beside) = ready!(op.poll(site, cx));
                    match sent {
                        // Nothing of it was sent.
                        Err(error) if would_block(&error) => {
                            let op = Op::new(op::PollFd::new(site.fd.clone(), libc::POLLOUT));
                            pending.stage = Stage::Waiting(op, buffer, beside);
                        }
                        Err(error) if was_given_up(&error) => {
                            pending.begin_anew(site, buffer, beside);
                        }
                        Ok(sent) if pending.whole && 0 < sent && sent < buffer.left() => {
                            buffer.advance(sent);
                            pending.begin_anew(site, buffer, beside);
                        }
                        sent => {
                            let (whole, written) = (pending.whole, pending.written);
                            self.is_over();
                            let sent = match sent {
                                Ok(0) if whole => Err(io::ErrorKind::WriteZero.into()),
                                sent => sent.map(|sent| written + sent),
                            };
                            return Poll::Ready((sent, buffer));
                        }
                    }
                }
                Stage::Waiting(op, ..) => {
                    let ready = ready!(site.poll(op, cx));
                    let Some(Pending {
                        stage: Stage::Waiting(_, buffer, beside),
                        whole,
                        written,
                        goes_on,
                    }) = self.pending.take()
                    else {
                        unreachable!("it waited")
                    };
                    if let Err(error) = ready
                        && !lost_its_ring(&error)
                    {
                        return Poll::Ready((Err(error), buffer));
                    }
                    let stage = Stage::Begun(Emptying::new(site, buffer, beside, whole));
                    self.pending = Some(Pending { stage, whole, written, goes_on });
                }
            }
        }
    }

    /// Gives up what is pending and waits until the kernel has, too. How much it has written, or how it failed before,
    /// and its buffer.
    pub(crate) fn poll_recall(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(io::Result<usize>, WriteBuffer)>> {
        if let Some(Pending { stage: Stage::Begun(op), written, .. }) = &mut self.pending {
            op.cancel();
            let (sent, buffer, _) = ready!(op.poll(site, cx));
            let sent = match sent {
                Err(error) if !was_given_up(&error) && !would_block(&error) => Err(error),
                sent => Ok(*written + sent.unwrap_or(0)),
            };
            self.pending = None;
            return Poll::Ready(Some((sent, buffer)));
        }
        Poll::Ready(match self.pending.take() {
            Some(Pending { stage: Stage::Waiting(_, buffer, _), written, .. }) => {
                Some((Ok(written), buffer))
            }
            _ => None,
        })
    }

    /// Nothing is pending any more. As an assignment, but for its cost: see `Reading::pass_to`.
    #[inline]
    fn is_over(&mut self) {
        match &self.pending {
            Some(Pending { stage: Stage::Begun(Emptying::One(op)), .. }) if op.is_over() => {
                mem::forget(self.pending.take());
            }
            _ => self.pending = None,
        }
    }

    /// Gives up what is in flight and waits until the kernel has, too.
    pub(crate) fn poll_end(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(Pending { stage: Stage::Begun(op), .. }) = &mut self.pending {
            op.cancel();
            let (sent, _, _) = ready!(op.poll(site, cx));
            // Cancelled is what was asked for. Another error was faster, and is news (C2).
            self.failed = sent.err().filter(|error| !was_given_up(error) && !would_block(error));
        }
        self.pending = None;
        Poll::Ready(self.failed.take().map_or(Ok(()), Err))
    }
}

impl<T: Outward> Pending<T> {
    fn begin(site: Site<'_>, buffer: WriteBuffer, beside: T::Beside, whole: bool) -> Self {
        let stage = Stage::Begun(Emptying::new(site, buffer, beside, whole));
        Self { stage, whole, written: 0, goes_on: false }
    }

    /// Once more, with what is left.
    fn begin_anew(&mut self, site: Site<'_>, buffer: WriteBuffer, beside: T::Beside) {
        self.written = buffer.written();
        self.stage = Stage::Begun(Emptying::new(site, buffer, beside, self.whole));
    }

    /// Whether it did begin, in a scope that was not cancelled.
    fn is_in_flight(&self) -> bool {
        match &self.stage {
            Stage::Begun(op) => op.is_in_flight(),
            Stage::Waiting(op, ..) => op.is_in_flight(),
        }
    }
}

impl<T: Outward> Drop for Writing<T> {
    fn drop(&mut self) {
        if let Some(Pending { stage: Stage::Begun(op), .. }) = &mut self.pending {
            // Also where the operation by itself would run to its end, as a write to a file does.
            op.cancel();
        }
    }
}

impl<T: Outward> fmt::Debug for Writing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.pending.is_some() { "Pending" } else { "Idle" })
    }
}
