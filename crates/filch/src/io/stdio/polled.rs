//! Reading and writing standard streams by polls.

use super::Here;
use super::common::Common;
use super::sink::{Ended, MOST, Sink};
use super::source::Source;
use crate::half::Unheard;
use crate::io::BufReader;
use filch_atomic::sync::Mutex;
use std::borrow::Cow;
use std::io::{self, IoSlice};
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

/// Reads ahead, if there is nothing left of that. As a read of its own.
pub(super) fn poll_ahead<'a>(
    input: &'a mut BufReader<Source>,
    at: &'static Location<'static>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<&'a [u8]>> {
    if input.ahead().is_empty() {
        let (source, room) = input.inner_and_room();
        source.at = at;
        let read = ready!(source.poll_once(room, cx))?;
        input.filled(read);
    }
    Poll::Ready(Ok(input.ahead()))
}

/// Gives `put` what was read ahead, and takes as much as that says.
pub(super) fn poll_read(
    input: &mut BufReader<Source>,
    at: &'static Location<'static>,
    room: usize,
    put: &mut dyn FnMut(&[u8]) -> usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if room == 0 {
        return Poll::Ready(Ok(0));
    }
    let taken = put(ready!(poll_ahead(input, at, cx))?);
    input.take_ahead(taken);
    Poll::Ready(Ok(taken))
}

/// How a write that a poll has begun ended: whoever sees to it to its end leaves that here, for who has begun it.
type Letter = Mutex<Option<Ended>>;

/// Who hears of the write that is under way. Nobody, if the handle is gone: then it is a write that was dropped.
#[derive(Default)]
pub(super) struct Owner(Option<Weak<Letter>>);

impl Owner {
    /// Nothing of a poll's is under way any more.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// Whether there is somebody to hear of what is under way.
    pub(super) fn is_there(&self) -> bool {
        self.0.as_ref().is_some_and(|letter| letter.strong_count() > 0)
    }

    /// Tells it how the write ended. Gives that back if there is nobody.
    pub(super) fn tell(&mut self, ended: Ended) -> Option<Ended> {
        let Some(letter) = self.0.take().and_then(|letter| letter.upgrade()) else {
            return Some(ended);
        };
        let before = letter.lock().replace(ended);
        debug_assert!(before.is_none(), "told once");
        None
    }

    fn is(&self, letter: &Arc<Letter>) -> bool {
        self.0.as_ref().is_some_and(|own| own.as_ptr() == Arc::as_ptr(letter))
    }
}

/// What a handle knows of the writes that it was polled for.
#[derive(Default)]
pub(super) struct Polls {
    /// Of the one that it has begun.
    letter: Option<Arc<Letter>>,
    /// What is written, and not told.
    unheard: Unheard,
}

impl Polls {
    /// Writes some of `bufs`, by a copy, and reports when that is done: to the same handle, whoever else writes
    /// meanwhile. See [`Unheard::tell`] for who comes again with other bytes.
    pub(super) fn poll_write(
        &mut self,
        sink: &Common<Sink>,
        at: &'static Location<'static>,
        bufs: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let here = Here::at(at)?;
        sink.poll(cx, |sink, cx| {
            let mut is_own = false;
            loop {
                ready!(self.poll_ended(sink, &here, is_own, cx))?;
                if let Some(told) = self.unheard.tell(bufs) {
                    return Poll::Ready(Ok(told));
                }
                sink.take_away_unbegun(true, cx);
                ready!(sink.poll_settled(&here, cx))?;
                let mut bytes = self.unheard.forget();
                bytes.clear();
                for buf in bufs {
                    let fits = buf.len().min(MOST - bytes.len());
                    bytes.extend_from_slice(&buf[..fits]);
                }
                sink.begin(&here, Cow::Owned(bytes), true)?;
                let letter = Arc::<Letter>::default();
                sink.owner = Owner(Some(Arc::downgrade(&letter)));
                self.letter = Some(letter);
                is_own = true;
            }
        })
    }

    /// Waits for what is under way. How much this handle's was is told to who offers it again.
    pub(super) fn poll_flush(
        &mut self,
        sink: &Common<Sink>,
        at: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let here = Here::at(at)?;
        sink.poll(cx, |sink, cx| {
            ready!(self.poll_ended(sink, &here, false, cx))?;
            sink.take_away_unbegun(false, cx);
            sink.poll_settled(&here, cx)
        })
    }

    /// Waits for the write that this handle has begun, if there is one. `is_own` says whether that was in this very
    /// poll.
    fn poll_ended(
        &mut self,
        sink: &mut Sink,
        here: &Here,
        is_own: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(letter) = &self.letter else { return Poll::Ready(Ok(())) };
        // What was just begun is looked for no more.
        let ended = if sink.owner.is(letter) && (is_own || sink.is_same()) {
            let ended = ready!(sink.poll_begun(here, is_own, cx));
            if sink.is_refused() {
                return Poll::Ready(ended.0.map(drop));
            }
            sink.owner.forget();
            Some(ended)
        } else {
            if sink.owner.is(letter) {
                ready!(sink.poll_left(here, cx))?;
            }
            letter.lock().take()
        };
        self.letter = None;
        match ended {
            Some((Ok(written), bytes)) => {
                self.unheard.note(bytes, written);
                Poll::Ready(Ok(()))
            }
            Some((Err(error), _)) => Poll::Ready(Err(error)),
            // It never began.
            None => Poll::Ready(Ok(())),
        }
    }
}
