//! One direction of a duplex.

use filch_atomic::current::{self, WaitKind};
use filch_atomic::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::{fmt, ptr};

/// Bytes in memory, with one side that writes and one that reads.
///
/// Bytes move in the poll that says so, and in no other: who is told to wait has moved none (C1).
pub(super) struct Pipe {
    state: Mutex<State>,
    capacity: usize,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Nothing more will be written.
    ended: bool,
    /// Nobody will read any more.
    given_up: bool,
    /// Who waits for bytes, and who waits for room: [`READER`] and [`WRITER`].
    waiting: [Option<Waker>; 2],
}

const READER: usize = 0;
const WRITER: usize = 1;

impl Pipe {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), capacity })
    }

    /// Gives bytes to `put`, which says how many of them it has taken, until it has enough. The caller has
    /// the reader's turn.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        at: &'static Location<'static>,
        put: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Poll<Result<usize>> {
        let is_ready = |state: &State| !state.bytes.is_empty() || state.ended;
        let Poll::Ready(mut state) = self.poll_ready(cx, READER, is_ready) else {
            current::note_wait(WaitKind::Read, ptr::from_ref(self).addr(), at);
            return Poll::Pending;
        };
        let (front, back) = state.bytes.as_slices();
        let mut taken = put(front);
        if taken == front.len() {
            taken += put(back);
        }
        state.bytes.drain(..taken);
        wake(state, WRITER);
        Poll::Ready(Ok(taken))
    }

    /// Takes some of `bufs`, of which one is not empty. The caller has the writer's turn.
    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        at: &'static Location<'static>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let is_ready =
            |state: &State| state.bytes.len() < self.capacity || state.ended || state.given_up;
        let Poll::Ready(mut state) = self.poll_ready(cx, WRITER, is_ready) else {
            current::note_wait(WaitKind::Write, ptr::from_ref(self).addr(), at);
            return Poll::Pending;
        };
        if state.ended || state.given_up {
            return Poll::Ready(Err(Error::new(ErrorKind::BrokenPipe, "the pipe has ended")));
        }
        let before = state.bytes.len();
        for buf in bufs {
            let fits = buf.len().min(self.capacity - state.bytes.len());
            state.bytes.extend(&buf[..fits]);
        }
        let taken = state.bytes.len() - before;
        wake(state, READER);
        Poll::Ready(Ok(taken))
    }

    /// Nothing more will be written.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        wake_all(state);
    }

    /// Nobody will read any more.
    pub(super) fn give_up(&self) {
        let mut state = self.state.lock();
        state.given_up = true;
        state.bytes = VecDeque::new();
        // Of the reader, too, nothing stays: the other end may be there for long.
        wake_all(state);
    }

    /// Waits until `is_ready`, and in the task's budget.
    fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        who: usize,
        is_ready: impl Fn(&State) -> bool,
    ) -> Poll<MutexGuard<'_, State>> {
        // Cloned, and an old one dropped, without the lock: wakers are foreign code (D8).
        let mut waker = None;
        loop {
            let mut state = self.state.lock();
            if is_ready(&state) {
                drop(state);
                // Its own side's doing alone can change what was seen, and that has the turn.
                std::task::ready!(current::poll_proceed(cx));
                return Poll::Ready(self.state.lock());
            }
            if state.waiting[who].as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if let Some(new) = waker.take() {
                let old = state.waiting[who].replace(new);
                drop(state);
                drop(old);
                return Poll::Pending;
            }
            drop(state);
            waker = Some(cx.waker().clone());
        }
    }
}

/// Lets go of the state, and wakes who waits for it.
fn wake(mut state: MutexGuard<'_, State>, who: usize) {
    let waker = state.waiting[who].take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn wake_all(mut state: MutexGuard<'_, State>) {
    let waiting = state.waiting.each_mut().map(Option::take);
    drop(state);
    waiting.into_iter().flatten().for_each(Waker::wake);
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Pipe")
            .field("bytes", &state.bytes.len())
            .field("capacity", &self.capacity)
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}
