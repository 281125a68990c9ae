//! Waking many, outside the lock.

use filch_atomic::panics::{Panics, caught, drop_caught};
use filch_atomic::sync::{Mutex, MutexGuard};
use std::fmt;
use std::mem::{self, MaybeUninit};
use std::task::Waker;

/// How many are released under one hold of the lock: it is held for microseconds then, however many wait.
const ROOM: usize = 32;

/// Wakers that were taken under a lock, to be woken when it is released. Lives on the stack.
pub(crate) struct WakeBatch {
    wakers: [MaybeUninit<Waker>; ROOM],
    /// So many of them, from the first, are there.
    count: usize,
}

impl WakeBatch {
    /// Nobody.
    pub(crate) const fn new() -> Self {
        Self { wakers: [const { MaybeUninit::uninit() }; ROOM], count: 0 }
    }

    /// Whether there is room for no more.
    pub(crate) fn is_full(&self) -> bool {
        self.count == ROOM
    }

    /// Adds one.
    ///
    /// # Panics
    ///
    /// If it is full.
    pub(crate) fn push(&mut self, waker: Waker) {
        self.wakers[self.count].write(waker);
        self.count += 1;
    }

    /// Adds what [`WaitList::pop_front`](super::WaitList::pop_front) gave, if it did.
    ///
    /// # Panics
    ///
    /// If it is full.
    pub(crate) fn extend(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.push(waker);
        }
    }

    /// Wakes all of them, whatever becomes of some.
    fn wake_each(&mut self, panics: &mut Panics) {
        for waker in &self.wakers[..mem::take(&mut self.count)] {
            // SAFETY: `push` wrote it, and with `count` at 0 nobody reads it again.
            let waker = unsafe { waker.assume_init_read() };
            panics.caught(|| waker.wake());
        }
    }
}

/// Wakes one. Not under a lock (D8). Should the waker panic while this thread unwinds, that is the end of it:
/// a second panic would end the process.
#[inline]
pub(crate) fn wake(waker: Waker) {
    if !std::thread::panicking() {
        return waker.wake();
    }
    if let Err(payload) = caught(|| waker.wake()) {
        drop_caught(payload);
    }
}

impl Drop for WakeBatch {
    fn drop(&mut self) {
        // Only a panic in this crate, between taking wakers and waking them, leaves any.
        let mut panics = Panics::default();
        self.wake_each(&mut panics);
        drop_caught(panics);
    }
}

impl fmt::Debug for WakeBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeBatch").field("count", &self.count).finish()
    }
}

/// Lets `release` take wakers under the lock, a batch at a time, and wakes them with the lock released,
/// until it leaves room in a batch. Everybody is woken even if some waker panics; the first panic goes on
/// at the end.
///
/// `release` must be able to go on where it stopped, after others had the lock.
pub(crate) fn wake_batches<S>(
    lock: &Mutex<S>,
    state: MutexGuard<'_, S>,
    mut release: impl FnMut(&mut S, &mut WakeBatch),
) {
    let mut panics = Panics::default();
    let mut batch = WakeBatch::new();
    // Declared after the batch, so that a panic in `release` unlocks before it wakes (D8).
    let mut state = state;
    loop {
        release(&mut state, &mut batch);
        drop(state);
        let is_last = !batch.is_full();
        batch.wake_each(&mut panics);
        if is_last {
            return panics.pass_on();
        }
        state = lock.lock();
    }
}
