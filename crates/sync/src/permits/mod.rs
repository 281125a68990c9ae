#![doc = include_str!("README.md")]

mod acquiring;

pub(crate) use acquiring::{Acquiring, HasPermits};

use crate::wait_list::{Left, Site, WaitList, Waiter, WakeBatch, wake_batches};
use filch_atomic::current;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::sync::{Mutex, MutexGuard};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Somebody is in the line. While this is set, the word belongs to whoever holds the line's lock.
const QUEUED: usize = 0b01;
/// No more permits are given.
const CLOSED: usize = 0b10;
/// One permit.
const ONE: usize = 0b100;

/// So many permits there can be.
pub(crate) const MOST: usize = usize::MAX / ONE / 2;

/// Permits that are taken and given back, and the line of those who wait for them.
pub(crate) struct Permits {
    /// Permits that are free, and the two flags.
    word: AtomicUsize,
    line: Mutex<WaitList<Want>>,
}

/// What a waiter carries.
#[derive(Debug)]
pub(crate) struct Want {
    permits: usize,
    /// It was released because no more are given.
    closed: bool,
}

/// The semaphore was closed: it gives no more permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl Error for Closed {}

/// Why no permits were given at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryAcquireError {
    /// There are too few, or others wait for them.
    NoPermits,
    /// The semaphore was closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPermits => f.write_str("no permits are free for a newcomer"),
            Self::Closed => Closed.fmt(f),
        }
    }
}

impl Error for TryAcquireError {}

/// There will be none. This too is an outcome that a task can have only in its turn (S6, I6): one that
/// tries again and again must not keep the others from theirs.
fn poll_closed(cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
    ready!(current::poll_proceed(cx));
    Poll::Ready(Err(Closed))
}

/// The permits that a word says are free.
const fn free(word: usize) -> usize {
    word / ONE
}

impl Permits {
    const_unless_modelled! {
        /// So many permits, all free.
        pub(crate) fn new(permits: usize) -> Self {
            assert!(permits <= MOST, "so many permits cannot be counted");
            Self { word: AtomicUsize::new(permits * ONE), line: Mutex::new(WaitList::new()) }
        }
    }

    /// How many are free, also while the first in line waits for more than that.
    pub(crate) fn available(&self) -> usize {
        // Relaxed: a hint.
        free(self.word.load(Ordering::Relaxed))
    }

    /// Whether a newcomer would have to wait for one.
    pub(crate) fn is_exhausted(&self) -> bool {
        // Relaxed: a hint.
        let word = self.word.load(Ordering::Relaxed);
        word & QUEUED != 0 || free(word) == 0
    }

    /// Whether a newcomer who wants so many would get them at once.
    pub(crate) fn has_free(&self, permits: usize) -> bool {
        // Relaxed: a hint.
        let word = self.word.load(Ordering::Relaxed);
        word & (QUEUED | CLOSED) == 0 && free(word) >= permits
    }

    /// Whether no more are given.
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the RMW in `close`: who sees it sees what its caller did before.
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Takes some if they are free and nobody waits.
    #[inline]
    pub(crate) fn try_acquire(&self, permits: usize) -> Result<(), TryAcquireError> {
        // Relaxed: what is decided on is what the exchange finds.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & CLOSED != 0 {
                return Err(TryAcquireError::Closed);
            }
            if word & QUEUED != 0 || free(word) < permits {
                return Err(TryAcquireError::NoPermits);
            }
            // Acquire: pairs with the Release in `release`, `serve` and `leave`: what was done with these
            // permits is over.
            match self.word.compare_exchange_weak(
                word,
                word - permits * ONE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Gives some back, or adds new ones, and lets in as many of those who wait as fit.
    ///
    /// # Panics
    ///
    /// If there would be more than [`MOST`].
    #[inline]
    pub(crate) fn release(&self, permits: usize) {
        // Relaxed: what is decided on is what the exchange finds.
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUEUED == 0 {
            assert!(permits <= MOST - free(word), "so many permits cannot be counted");
            // Release: pairs with the Acquire of whoever takes these permits.
            match self.word.compare_exchange_weak(
                word,
                word + permits * ONE,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        self.release_to_line(permits);
    }

    #[cold]
    fn release_to_line(&self, permits: usize) {
        let line = self.line.lock();
        if line.is_empty() {
            // They have all left. Nobody can come while we have the line, so this does not come back.
            return self.release(permits);
        }
        // Relaxed: with the line's lock and QUEUED set, nobody else writes.
        let word = self.word.load(Ordering::Relaxed);
        assert!(permits <= MOST - free(word), "so many permits cannot be counted");
        // Relaxed: `serve` publishes it, on this thread.
        self.word.store(word + permits * ONE, Ordering::Relaxed);
        self.serve(line);
    }

    /// Lets in as many as fit, oldest first, and unlocks.
    fn serve(&self, line: MutexGuard<'_, WaitList<Want>>) {
        wake_batches(&self.line, line, |line, batch| self.serve_batch(line, batch));
    }

    fn serve_batch(&self, line: &mut WaitList<Want>, batch: &mut WakeBatch) {
        if line.is_empty() {
            return;
        }
        // Relaxed: somebody is in the line, so with its lock nobody else writes.
        let mut word = self.word.load(Ordering::Relaxed);
        while !batch.is_full()
            && let Some(want) = line.front()
            && want.permits <= free(word)
        {
            word -= want.permits * ONE;
            batch.extend(line.pop_front());
        }
        if line.is_empty() {
            word &= !QUEUED;
        }
        // Release: pairs with the Acquire in `try_acquire`: the permits that are left may go that way.
        self.word.store(word, Ordering::Release);
    }

    /// Takes up to so many that are free out of the world. Gives how many.
    pub(crate) fn forget(&self, permits: usize) -> usize {
        // While we have the line, QUEUED does not change, and if it is set nothing else does.
        let _line = self.line.lock();
        // Relaxed: what is decided on is what the exchange finds.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let gone = permits.min(free(word));
            // Acquire: pairs with the Release in `release`, as if they had been taken.
            match self.word.compare_exchange_weak(
                word,
                word - gone * ONE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return gone,
                Err(now) => word = now,
            }
        }
    }

    /// Gives no more permits, and sends away all who wait.
    pub(crate) fn close(&self) {
        let mut line = self.line.lock();
        // AcqRel: Release pairs with the Acquire in `is_closed`. And both keep the chain from the releases
        // of permits to those who take them; nobody takes any more, so this is for order's sake.
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
        line.release_all();
        // Release: nobody waits, so the word is anybody's again; pairs with the Acquire in `try_acquire`.
        self.word.fetch_and(!QUEUED, Ordering::Release);
        wake_batches(&self.line, line, |line, batch| {
            line.release_leaving(batch, |want| want.closed = true);
        });
    }

    /// One poll of a wait for so many permits.
    #[inline]
    pub(crate) fn poll_acquire(
        &self,
        mut waiter: Pin<&mut Waiter<Want>>,
        cx: &mut Context<'_>,
        permits: usize,
        site: Site,
    ) -> Poll<Result<(), Closed>> {
        if waiter.is_idle() {
            match self.try_acquire(permits) {
                Ok(()) => {
                    let granted = Want { permits, closed: false };
                    return waiter.as_mut().poll_granted(cx, granted).map(|_| Ok(()));
                }
                Err(TryAcquireError::Closed) => return poll_closed(cx),
                Err(TryAcquireError::NoPermits) => {}
            }
        }
        self.poll_line(waiter, cx, permits, site)
    }

    #[inline(never)]
    fn poll_line(
        &self,
        waiter: Pin<&mut Waiter<Want>>,
        cx: &mut Context<'_>,
        permits: usize,
        site: Site,
    ) -> Poll<Result<(), Closed>> {
        if waiter.is_idle() {
            return self.enter_line(waiter, cx, permits, site);
        }
        let polled = waiter.poll_place(cx, &self.line, |line| line, || site.note(self));
        polled.map(|want| if want.closed { Err(Closed) } else { Ok(()) })
    }

    /// Looks once more, and takes a place in the line if it has to.
    fn enter_line(
        &self,
        mut waiter: Pin<&mut Waiter<Want>>,
        cx: &mut Context<'_>,
        permits: usize,
        site: Site,
    ) -> Poll<Result<(), Closed>> {
        // Cloned outside the lock: wakers are foreign code (D8).
        let waker = cx.waker().clone();
        let mut line = self.line.lock();
        // Relaxed: what is decided on is what the exchange finds; with QUEUED set nobody else writes.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & CLOSED != 0 {
                drop(line);
                return poll_closed(cx);
            }
            if word & QUEUED != 0 {
                break;
            }
            let is_free = free(word) >= permits;
            let wanted = if is_free { word - permits * ONE } else { word | QUEUED };
            // Acquire: pairs with the Release in `release`: for the permits, as in `try_acquire`. For the
            // mark, because from here on the word is written by plain stores, and these pass on what came
            // before them only if the one who stores has seen it.
            match self.word.compare_exchange_weak(
                word,
                wanted,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) if is_free => {
                    drop(line);
                    // Kept while the waker is dropped, which may panic.
                    waiter.as_mut().set_released(Want { permits, closed: false });
                    drop(waker);
                    return waiter.poll_released(cx).map(|_| Ok(()));
                }
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        line.push_back(waiter, Want { permits, closed: false }, waker);
        drop(line);
        site.note(self);
        Poll::Pending
    }

    /// Gives up a wait: its place goes, and what it was given and did not take goes to those behind it.
    #[inline]
    pub(crate) fn leave(&self, waiter: Pin<&mut Waiter<Want>>) {
        if !waiter.is_idle() {
            self.leave_line(waiter);
        }
    }

    #[cold]
    fn leave_line(&self, mut waiter: Pin<&mut Waiter<Want>>) {
        if let Some(want) = waiter.as_mut().take_released() {
            return self.give_back(&want);
        }
        let mut line = self.line.lock();
        match line.remove(waiter) {
            Left::Nothing => {}
            Left::Released(want) => {
                drop(line);
                self.give_back(&want);
            }
            Left::Queued(_, waker) => {
                // Relaxed: with the line's lock and QUEUED set, nobody else writes.
                let word = self.word.load(Ordering::Relaxed);
                if line.is_empty() && word & QUEUED != 0 {
                    // Release: pairs with the Acquire in `try_acquire`: the word is anybody's again.
                    self.word.store(word & !QUEUED, Ordering::Release);
                }
                // Those behind it may want less.
                self.serve(line);
                drop(waker);
            }
        }
    }

    fn give_back(&self, want: &Want) {
        if !want.closed {
            self.release(want.permits);
        }
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: a hint.
        let word = self.word.load(Ordering::Relaxed);
        f.debug_struct("Permits")
            .field("available", &free(word))
            .field("queued", &(word & QUEUED != 0))
            .field("closed", &(word & CLOSED != 0))
            .finish()
    }
}
