//! How much of what was put is not done yet, and who waits for the rest (QUEUE-9, QUEUE-10).

use filch_atomic::sync::Mutex;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::error::DoneTooOften;
use crate::wait_list::{Attempt, Site, WaitList, Waiter, wake_batches};

/// Somebody is in the line of those who wait for the count to be 0.
const JOINERS: usize = 1;
/// One item, in the bits above.
const ONE: usize = 2;

/// Counts beside the queue's lock, so that declaring work done does not hold up those who put and get.
///
/// The count and the mark for joiners are one word. Without the mark it goes up and down by itself. With
/// the mark it still goes up by itself, but down only under the lock that the line of joiners is under: so
/// whoever takes it to 0 has everybody before him who came while it was not 0, and nobody else.
pub(super) struct Tally {
    count: AtomicUsize,
    joiners: Mutex<WaitList<()>>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { count: AtomicUsize::new(0), joiners: Mutex::new(WaitList::new()) }
    }

    /// How many items are not done.
    pub(super) fn unfinished(&self) -> usize {
        // Acquire: pairs with the Release in `take`: who sees that all is done sees what was done.
        self.count.load(Ordering::Acquire) / ONE
    }

    /// One more.
    #[inline]
    pub(super) fn add(&self) {
        // Relaxed: the item itself is handed over by the queue's lock, and who takes this back has got it
        // from there.
        self.count.fetch_add(ONE, Ordering::Relaxed);
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

    /// Takes one off, if there is one and the mark is as expected. Gives what is left, or what was there
    /// instead.
    #[inline]
    fn take(&self, mark: usize) -> Result<usize, usize> {
        // Relaxed: the exchange looks again.
        let mut now = self.count.load(Ordering::Relaxed);
        while now & JOINERS == mark && now >= ONE {
            let left = now - ONE;
            // AcqRel: Release gives what was done to `unfinished` and `poll_join`, also when others take
            // off theirs in between; Acquire, for whoever takes it to 0 wakes on behalf of them all.
            // Relaxed on failure: as above.
            match self.count.compare_exchange_weak(now, left, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(left),
                Err(other) => now = other,
            }
        }
        Err(now)
    }

    #[cold]
    fn done_with_joiners(&self) -> Result<(), DoneTooOften> {
        let mut joiners = self.joiners.lock();
        // Nobody moves the mark while we have the lock.
        // Relaxed: it was written under this lock.
        let mark = self.count.load(Ordering::Relaxed) & JOINERS;
        let left = self.take(mark).map_err(|_| DoneTooOften)?;
        if left == JOINERS {
            // Relaxed: the lock orders what is said by the mark.
            self.count.fetch_and(!JOINERS, Ordering::Relaxed);
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
            // Acquire: pairs with the Release in `take`. In one step with the mark: from here on nobody
            // takes it to 0 without this lock.
            let before = self.count.fetch_or(JOINERS, Ordering::Acquire);
            if before >= ONE {
                return Attempt::Wait(());
            }
            // Nobody waits for a count that is 0.
            // Relaxed: the lock orders what is said by the mark.
            self.count.fetch_and(!JOINERS, Ordering::Relaxed);
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
            self.count.fetch_and(!JOINERS, Ordering::Relaxed);
        }
        drop(joiners);
        drop(left);
    }
}
