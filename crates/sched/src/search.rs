//! Looking for work in the queues of others.

use crate::local::Local;
use crate::rng::Rng;
use crate::slot::Look;
use crate::task::Task;
use filch_atomic::deque::Steal;
use filch_atomic::hint;

/// How often a searcher goes round. Between two rounds it pauses, because a worker that is about to
/// publish something needs less time than one that has to be woken.
const ROUNDS: usize = 4;

/// How long a pause is: some 32 x 40 cycles, well under a microsecond.
const PAUSE_SPINS: usize = 32;

/// A worker's way round the others.
pub(crate) struct Search {
    rng: Rng,
    /// What was in each worker's slot in the first round.
    seen: Box<[Look]>,
}

impl Search {
    pub(crate) fn new(workers: usize, rng: Rng) -> Self {
        Self { rng, seen: vec![Look::EMPTY; workers].into() }
    }

    /// Takes work from another worker's queue or from outside; in the last round, a task that has lain in
    /// a slot since the first one. Moves up to `batch` tasks to the searcher's own queue and returns
    /// one.
    pub(crate) fn run(&mut self, local: &Local, batch: usize) -> Option<Task> {
        for round in 0..ROUNDS {
            if let Some(task) = self.steal_from_queues(local, batch).or_else(|| local.pull()) {
                return Some(task);
            }
            match round {
                0 => self.look_at_slots(local),
                _ if round == ROUNDS - 1 => return self.steal_from_slots(local),
                _ => {}
            }
            (0..PAUSE_SPINS).for_each(|_| hint::spin_loop());
        }
        None
    }

    /// Everybody else, beginning anywhere, so that thieves spread.
    fn victims(&self, local: &Local) -> impl Iterator<Item = usize> + use<> {
        let workers = local.shared().workers();
        let (thief, first) = (local.index, self.rng.below(workers));
        (0..workers)
            .map(move |step| (first + step) % workers)
            .filter(move |&victim| victim != thief)
    }

    fn steal_from_queues(&self, local: &Local, batch: usize) -> Option<Task> {
        for victim in self.victims(local) {
            let stealer = &local.shared().remotes[victim].stealer;
            // A lost race means that somebody got something: worth one more try, not a loop.
            for _ in 0..2 {
                match local.queue.steal(stealer, batch) {
                    Steal::Success(task) => {
                        local.remote().counters.steals.add(1);
                        return Some(task);
                    }
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
        }
        None
    }

    fn look_at_slots(&mut self, local: &Local) {
        for (seen, remote) in self.seen.iter_mut().zip(&local.shared().remotes) {
            *seen = remote.slot.look();
        }
    }

    fn steal_from_slots(&self, local: &Local) -> Option<Task> {
        for victim in self.victims(local) {
            if let Some(task) = local.shared().remotes[victim].slot.steal(self.seen[victim]) {
                local.remote().counters.slot_steals.add(1);
                return Some(task);
            }
        }
        None
    }
}
