//! The sending half: what of a write outlives the future that began it.

use super::{Outward, Site, Unheard, was_given_up, would_block};
use crate::home::lost_its_ring;
use filch_uring::{Op, op};
use std::io::IoSlice;
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
    pub(super) unheard: Unheard,
    /// A poll waits until a socket takes more.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub(super) room: super::now::Room,
    /// The end of the stream was asked for, and may be sent.
    pub(crate) is_ending: bool,
}

/// How far a write is.
enum Pending<T: Outward> {
    Begun(Op<T>),
    /// It would have had to wait: this waits until there is room, and then it is begun anew.
    Waiting(Op<op::PollFd>, Vec<u8>, T::Beside),
}

impl<T: Outward> Writing<T> {
    pub(crate) fn new() -> Self {
        Self {
            pending: None,
            buffer: Vec::new(),
            failed: None,
            unheard: Unheard::default(),
            #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
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
        if self.pending.is_some() {
            match ready!(self.poll(site, cx)) {
                Ok(written) => self.note(written),
                Err(error) => self.failed = Some(error),
            }
        }
        Poll::Ready(self.failed.take().map_or(Ok(()), Err))
    }

    /// Forgets a write that did not begin, as its scope was cancelled: it did not happen (C2), and must not
    /// happen now.
    pub(super) fn forget_unbegun(&mut self) {
        self.pending.take_if(|pending| !pending.is_in_flight());
    }

    /// Takes note of what a write has written that nobody waits for.
    pub(super) fn note(&mut self, written: usize) {
        self.unheard.note(mem::take(&mut self.buffer), written);
    }

    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Hands the beginning of `bufs` to the kernel, and what goes beside it. Settled before.
    pub(crate) fn begin(&mut self, site: Site<'_>, bufs: &[IoSlice<'_>], beside: T::Beside) {
        debug_assert!(self.pending.is_none(), "called when it has settled");
        let mut buffer = self.unheard.forget();
        if buffer.capacity() == 0 {
            buffer = mem::take(&mut self.buffer);
        }
        buffer.clear();
        for buf in bufs {
            let fits = buf.len().min(MOST - buffer.len());
            buffer.extend_from_slice(&buf[..fits]);
        }
        self.pending = Some(Pending::begin(site, buffer, beside));
    }

    /// Waits for what [`begin`](Self::begin) began.
    pub(crate) fn poll(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            match self.pending.as_mut().expect("called when it has begun") {
                Pending::Begun(op) => {
                    let (sent, buffer, beside) = T::end(ready!(site.poll(op, cx)));
                    self.pending = match &sent {
                        // Nothing of it was sent.
                        Err(error) if would_block(error) => {
                            let room = op::PollFd::new(site.fd.clone(), libc::POLLOUT);
                            Some(Pending::Waiting(Op::new(room), buffer, beside))
                        }
                        Err(error) if was_given_up(error) => {
                            Some(Pending::begin(site, buffer, beside))
                        }
                        _ => {
                            self.buffer = buffer;
                            None
                        }
                    };
                    if self.pending.is_none() {
                        return Poll::Ready(sent);
                    }
                }
                Pending::Waiting(op, buffer, beside) => {
                    let ready = ready!(site.poll(op, cx));
                    let (buffer, beside) = (mem::take(buffer), mem::take(beside));
                    if let Err(error) = ready
                        && !lost_its_ring(&error)
                    {
                        (self.pending, self.buffer) = (None, buffer);
                        return Poll::Ready(Err(error));
                    }
                    self.pending = Some(Pending::begin(site, buffer, beside));
                }
            }
        }
    }

    /// Gives up what is in flight and waits until the kernel has, too.
    pub(crate) fn poll_end(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(Pending::Begun(op)) = &mut self.pending {
            op.cancel();
            let (sent, buffer, _) = T::end(ready!(site.poll(op, cx)));
            self.buffer = buffer;
            // Cancelled is what was asked for. Another error was faster, and is news (C2).
            self.failed = sent.err().filter(|error| !was_given_up(error) && !would_block(error));
        }
        self.pending = None;
        Poll::Ready(self.failed.take().map_or(Ok(()), Err))
    }
}

impl<T: Outward> Pending<T> {
    fn begin(site: Site<'_>, buffer: Vec<u8>, beside: T::Beside) -> Self {
        Self::Begun(Op::new(T::new(site, buffer, beside)))
    }

    /// Whether it did begin, in a scope that was not cancelled.
    fn is_in_flight(&self) -> bool {
        match self {
            Self::Begun(op) => op.is_in_flight(),
            Self::Waiting(..) => true,
        }
    }
}

impl<T: Outward> Drop for Writing<T> {
    fn drop(&mut self) {
        if let Some(Pending::Begun(op)) = &mut self.pending {
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
