//! The dead man's switch: while somebody runs and somebody sleeps, a sleeper has an alarm set.

use super::Padded;
use crate::idle::Idle;
use filch_atomic::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// When each worker's alarm rings, as far as is known. The rules are in the [essay](super).
#[derive(Debug)]
pub struct Alarms(Box<[Padded<AtomicU64>]>);

/// No alarm: it rang at the beginning of time.
const NONE: u64 = 0;

impl Alarms {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Padded(AtomicU64::new(NONE))).collect())
    }

    /// Makes sure that, if anybody sleeps, one of them wakes at about `now + ahead`, or somewhat
    /// earlier. The caller runs, or has changed who sleeps just before. `set` sets the alarm of a worker.
    /// `put_off`: one that comes much earlier is put off.
    ///
    /// It is the sleeper with the highest number: wakers claim the lowest, so that one sleeps longest,
    /// and its alarm need not be handed on at every sleep and wake of the others.
    pub fn keep(
        &self,
        idle: &Idle,
        now: u64,
        ahead: u64,
        put_off: bool,
        set: impl FnMut(usize, Option<Duration>),
    ) {
        // Pairs with itself in others who have changed the mask: one of two sees the other's change. And
        // with those in `take_back`.
        fence(Ordering::SeqCst);
        let Some(sleeper) = idle.last_sleeper() else { return };
        // So much must be left that the next look, which sets it anew, comes before it.
        let least = if put_off { ahead / 8 * 5 } else { 1 };
        // Relaxed: ordered by the fences. A stale value costs one system call more, or is made good by
        // whoever wrote the newer one.
        let noted = &self.0[sleeper].0;
        let mut at = noted.load(Ordering::Relaxed);
        while !(now + least..=now + ahead).contains(&at) {
            // Relaxed: pairs with the loads here and in `take_back`, by the fences. An exchange, for what
            // somebody else notes just now may be the more urgent.
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            match noted.compare_exchange(at, now + ahead, success, failure) {
                Ok(_) => return self.set(sleeper, now, now + ahead, set),
                Err(latest) => at = latest,
            }
        }
    }

    /// All sleep, it seems, and are to sleep on: takes every alarm back. For one who has just said that
    /// it sleeps. Should somebody run after all, an alarm is set for `now + ahead`.
    pub fn take_back(
        &self,
        idle: &Idle,
        now: u64,
        ahead: u64,
        mut set: impl FnMut(usize, Option<Duration>),
    ) {
        loop {
            let mut taken = false;
            for (worker, at) in self.0.iter().enumerate() {
                // Relaxed, both: who gets up meanwhile is seen below, or sees this, by the fences.
                if at.0.load(Ordering::Relaxed) > now {
                    at.0.store(NONE, Ordering::Relaxed);
                    self.set(worker, now, NONE, &mut set);
                    taken = true;
                }
            }
            if !taken {
                return;
            }
            // Pairs with the fence in `keep` of one who gets up: it sees that there is no alarm, or is
            // seen.
            fence(Ordering::SeqCst);
            if idle.all_sleep() {
                return;
            }
            self.keep(idle, now, ahead, true, &mut set);
            // Pairs with the same fence in one who goes to sleep: it sees this alarm, or is seen.
            fence(Ordering::SeqCst);
            if !idle.all_sleep() {
                return;
            }
        }
    }

    /// Sets an alarm to what the caller has noted. Two may do so at once; it would then be set by the one and
    /// noted by the other, and could ring unnoticed, or never. So who has set it looks at the note again:
    /// the last to set it sets it to what is noted last.
    fn set(
        &self,
        worker: usize,
        now: u64,
        mut at: u64,
        mut set: impl FnMut(usize, Option<Duration>),
    ) {
        loop {
            set(worker, (at != NONE).then(|| Duration::from_nanos(at.saturating_sub(now))));
            // Relaxed: what was noted before the alarm was set by somebody else is seen by who sets it
            // after that; the alarm's own lock, or the kernel's, orders the two.
            let latest = self.0[worker].0.load(Ordering::Relaxed);
            if latest == at {
                return;
            }
            at = latest;
        }
    }
}
