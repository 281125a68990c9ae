#![doc = include_str!("README.md")]

mod member;

pub use member::Member;

use filch_atomic::sync::atomic::{AtomicI32, AtomicU64, Ordering, fence};

/// Who sleeps and who searches.
#[derive(Debug)]
pub struct Idle {
    /// A bit per worker: it sleeps, or is about to and has yet to look once more.
    sleeping: Box<[AtomicU64]>,
    /// How many workers look for work: too few while a waker is about to count the one that it has
    /// claimed, which may have left the search by then, so perhaps less than none; never too many.
    searching: AtomicI32,
    workers: usize,
}

const BITS: usize = u64::BITS as usize;

impl Idle {
    /// All of `workers` run.
    pub fn new(workers: usize) -> Self {
        let words = workers.div_ceil(BITS);
        Self {
            sleeping: (0..words).map(|_| AtomicU64::new(0)).collect(),
            searching: AtomicI32::new(0),
            workers,
        }
    }

    /// After publishing work: the sleeper that the caller must unpark, if any is needed. It is counted
    /// as searching already.
    #[inline]
    pub fn sleeper_to_wake(&self) -> Option<usize> {
        // Pairs with the fences in `fall_asleep` and `stop_searching`.
        fence(Ordering::SeqCst);
        // Relaxed, both looks: ordered by the fence.
        if self.searching.load(Ordering::Relaxed) > 0 {
            return None;
        }
        for (word, sleeping) in self.sleeping.iter().enumerate() {
            let mut bits = sleeping.load(Ordering::Relaxed);
            while bits != 0 {
                let bit = bits & bits.wrapping_neg();
                // AcqRel: one waker per sleep; pairs with `get_up` of the sleeper, and with the next
                // `fall_asleep`, which must not come before it.
                bits = sleeping.fetch_and(!bit, Ordering::AcqRel);
                if bits & bit != 0 {
                    // Relaxed: read after a fence by everybody who decides anything on it. Its owner
                    // may have noticed already, and left the search: then this makes up for it.
                    self.searching.fetch_add(1, Ordering::Relaxed);
                    return Some(word * BITS + bit.trailing_zeros() as usize);
                }
            }
        }
        None
    }

    /// Asks leave to look through the queues of others. With true, the worker counts as searching until
    /// it calls [`stop_searching`](Self::stop_searching) or [`fall_asleep`](Self::fall_asleep).
    fn start_searching(&self) -> bool {
        // Relaxed: a limit, not a lock; one searcher too many does no harm.
        let searching = self.searching.load(Ordering::Relaxed);
        if 2 * usize::try_from(searching).unwrap_or(0) >= self.workers {
            return false;
        }
        self.searching.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Leaves the search with work in hand. With true, the caller was the last one: it must look
    /// through every queue and, with work there, have a sleeper woken.
    #[must_use]
    fn stop_searching(&self) -> bool {
        // Relaxed: the fence that follows orders it, for those who read the count after theirs.
        let last = self.searching.fetch_sub(1, Ordering::Relaxed) <= 1;
        if last {
            // Pairs with the fence in `sleeper_to_wake`.
            fence(Ordering::SeqCst);
        }
        last
    }

    /// Announces that `worker` goes to sleep. With true it must look through every queue before it
    /// parks, and [`get_up`](Self::get_up) if there is work.
    #[must_use]
    pub(crate) fn fall_asleep(&self, worker: usize, searching: bool) -> bool {
        // Relaxed: what follows the fence decides; `sleeper_to_wake` clears it by a read-modify-write.
        self.sleeping[worker / BITS].fetch_or(1 << (worker % BITS), Ordering::Relaxed);
        if searching {
            self.searching.fetch_sub(1, Ordering::Relaxed);
        }
        // Pairs with the fence in `sleeper_to_wake`.
        fence(Ordering::SeqCst);
        self.searching.load(Ordering::Relaxed) <= 0
    }

    /// Ends the sleep of `worker`. True if a waker ended it already: then the worker counts as
    /// searching.
    #[must_use]
    pub(crate) fn get_up(&self, worker: usize) -> bool {
        let bit = 1 << (worker % BITS);
        // AcqRel: pairs with the same in `sleeper_to_wake`: one of the two clears the bit.
        self.sleeping[worker / BITS].fetch_and(!bit, Ordering::AcqRel) & bit == 0
    }

    /// The sleeper that wakers claim last, if anybody sleeps. Ordered by the caller's fences.
    pub(crate) fn last_sleeper(&self) -> Option<usize> {
        self.sleeping.iter().enumerate().rev().find_map(|(word, sleeping)| {
            // Relaxed: pairs with the read-modify-writes in `fall_asleep`, `get_up` and
            // `sleeper_to_wake`, by a fence of the caller's and one of theirs.
            let bits = sleeping.load(Ordering::Relaxed);
            bits.checked_ilog2().map(|bit| word * BITS + bit as usize)
        })
    }

    /// Whether this one sleeps, or is about to. Ordered by the caller's fences.
    pub(crate) fn sleeps(&self, worker: usize) -> bool {
        // Relaxed: as in `last_sleeper`.
        self.sleeping[worker / BITS].load(Ordering::Relaxed) & (1 << (worker % BITS)) != 0
    }

    /// Whether all sleep, or are about to. Ordered by the caller's fences.
    pub(crate) fn all_sleep(&self) -> bool {
        self.sleeping() == self.workers
    }

    /// How many workers sleep, roughly: for people.
    pub fn sleeping(&self) -> usize {
        // Relaxed: a number to look at; in `all_sleep`, ordered by fences as in `last_sleeper`.
        self.sleeping.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }
}

#[cfg(all(test, not(filch_loom)))]
mod tests {
    use super::{Idle, Ordering};

    #[test]
    fn one_waker_per_sleep() {
        let idle = Idle::new(100);
        assert_eq!(idle.sleeper_to_wake(), None, "nobody sleeps");
        assert!(idle.fall_asleep(70, false), "nobody searches, so it must look");
        assert_eq!(idle.sleeping(), 1);
        assert_eq!(idle.sleeper_to_wake(), Some(70));
        assert!(idle.get_up(70), "a waker ended it");
        assert!(!idle.fall_asleep(3, false), "the woken one searches");
        assert_eq!(idle.sleeper_to_wake(), None, "somebody searches");
        assert!(idle.stop_searching(), "it was the last");
        assert_eq!(idle.sleeper_to_wake(), Some(3));
    }

    #[test]
    fn a_claimed_worker_may_leave_before_it_is_counted() {
        let idle = Idle::new(4);
        // Between the two steps of a waker, the worker it claimed has searched and left.
        assert!(idle.stop_searching(), "nobody else searches");
        assert!(idle.fall_asleep(3, false), "so it must look");
        assert!(idle.start_searching());
        assert_eq!(idle.sleeper_to_wake(), Some(3), "the count is too low: one more gets up");
        // The waker's second step.
        idle.searching.fetch_add(1, Ordering::Relaxed);
        assert!(!idle.stop_searching());
        assert!(idle.stop_searching(), "the last");
    }

    #[test]
    fn half_of_the_workers_search() {
        let idle = Idle::new(4);
        assert!(idle.start_searching());
        assert!(idle.start_searching());
        assert!(!idle.start_searching());
        assert!(!idle.stop_searching());
        assert!(idle.start_searching());
        assert!(!Idle::new(0).start_searching());
    }

    #[test]
    fn who_gets_up_alone_is_not_searching() {
        let idle = Idle::new(2);
        assert!(idle.fall_asleep(1, false));
        assert!(!idle.get_up(1));
        assert_eq!(idle.sleeping(), 0);
    }
}
