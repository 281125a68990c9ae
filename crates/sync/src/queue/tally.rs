//! How much of what was put is not done yet, and who waits for the rest (QUEUE-9, QUEUE-10).

use filch_atomic::sync::Mutex;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::error::DoneTooOften;
use crate::wait_list::{Attempt, Site, WaitList, Waiter, wake_batches};

/// Somebody is in the line of those who wait for all to be done.
const JOINERS: usize = 1;
/// One item, in the bits above.
const ONE: usize = 2;

/// Counts beside the queue's lock, so that declaring work done does not hold up those who put and get.
///
/// Two counts, which only go up: what was put, and what of that is done. The first is written under the queue's
/// lock, and never lags behind the second, as what is done was put before. So putting costs a store, and declaring
/// work done one exchange.
///
/// The second shares its word with a mark for joiners. With the mark it goes up only under the lock that the line
/// of joiners is under: so whoever finds that all is done has everybody before him who came while it was not, and
/// nobody else.
pub(super) struct Tally {
    put: AtomicUsize,
    done: AtomicUsize,
    joiners: Mutex<WaitList<()>>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            put: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            joiners: Mutex::new(WaitList::new()),
        }
    }

    /// How many items are not done, if `done` are.
    #[inline]
    fn left(&self, done: usize) -> usize {
        // Relaxed: whoever counted something as done had seen it put, in the queue, and whoever has `done` has
        // it by an Acquire from him; so this is no older. And no newer put has to be seen but by those who know
        // of it by other means, which order this, too.
        self.put.load(Ordering::Relaxed).wrapping_sub(done & !JOINERS) / ONE
    }

    /// How many items are not done.
    pub(super) fn unfinished(&self) -> usize {
        // Acquire: pairs with the Release in `take`: who sees that all is done sees what was done.
        self.left(self.done.load(Ordering::Acquire))
    }

    /// One more. The caller has the queue's lock.
    #[inline]
    pub(super) fn add(&self) {
        // Relaxed, both: only who has the queue's lock writes it, and whoever counts the item as done has got it
        // by that lock.
        self.put.store(self.put.load(Ordering::Relaxed).wrapping_add(ONE), Ordering::Relaxed);
    }

    /// One is done.
    #[inline]
    pub(super) fn done(&self) -> Result<(), DoneTooOften> {
        match self.take(0) {
            Err(now) if now & JOINERS != 0 => self.done_with_joiners(),
            Err(_) => Err(DoneTooOften),
            Ok(_) => Ok(()),
        }
    }

    /// Counts one as done, if there is one and the mark is as expected. Gives how much is left, or what was in the
    /// word instead.
    #[inline]
    fn take(&self, mark: usize) -> Result<usize, usize> {
        // Acquire: pairs with the Release below, for `left`.
        let mut now = self.done.load(Ordering::Acquire);
        loop {
            if now & JOINERS != mark || self.left(now) == 0 {
                return Err(now);
            }
            // AcqRel: Release gives what was done to `unfinished` and `poll_join`, also when others count
            // theirs in between; Acquire, for whoever counts the last wakes on behalf of them all.
            // Acquire on failure: as above.
            match self.done.compare_exchange_weak(
                now,
                now.wrapping_add(ONE),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(self.left(now) - 1),
                Err(other) => now = other,
            }
        }
    }

    #[cold]
    fn done_with_joiners(&self) -> Result<(), DoneTooOften> {
        let mut joiners = self.joiners.lock();
        // Nobody moves the mark while we have the lock.
        // Relaxed: it was written under this lock.
        let mark = self.done.load(Ordering::Relaxed) & JOINERS;
        let left = self.take(mark).map_err(|_| DoneTooOften)?;
        if left == 0 && mark != 0 {
            // Relaxed: the lock orders what is said by the mark.
            self.done.fetch_and(!JOINERS, Ordering::Relaxed);
            joiners.release_all();
            wake_batches(&self.joiners, joiners, |joiners, batch| {
                joiners.release_leaving(batch, |()| ());
            });
        }
        Ok(())
    }

    /// Waits until nothing is unfinished.
    pub(super) fn poll_join(
        &self,
        waiter: Pin<&mut Waiter<()>>,
        cx: &mut Context<'_>,
        site: &Site,
    ) -> Poll<()> {
        let attempt = |_: &mut WaitList<()>| {
            // Acquire: pairs with the Release in `take`. First the mark: from here on nobody counts without
            // this lock.
            let done = self.done.fetch_or(JOINERS, Ordering::Acquire);
            if self.left(done) > 0 {
                return Attempt::Wait(());
            }
            // Nobody waits for what is all done.
            // Relaxed: the lock orders what is said by the mark.
            self.done.fetch_and(!JOINERS, Ordering::Relaxed);
            Attempt::Granted(())
        };
        waiter.poll_in(cx, &self.joiners, |joiners| joiners, attempt, || site.note(self))
    }

    /// Ends a wait.
    pub(super) fn leave(&self, waiter: Pin<&mut Waiter<()>>) {
        if waiter.is_idle() {
            return;
        }
        let mut joiners = self.joiners.lock();
        let left = joiners.remove(waiter);
        if joiners.is_empty() {
            // Relaxed: the lock orders what is said by the mark.
            self.done.fetch_and(!JOINERS, Ordering::Relaxed);
        }
        drop(joiners);
        drop(left);
    }
}
