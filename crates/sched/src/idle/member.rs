//! A worker's own part in the protocol.

use super::Idle;

/// One worker, as it takes part: it knows whether it counts as searching, and goes by the rules.
#[derive(Debug)]
pub struct Member {
    worker: usize,
    searching: bool,
}

impl Member {
    /// The worker of this index, which runs.
    pub fn new(worker: usize) -> Self {
        Self { worker, searching: false }
    }

    /// Whether this worker may look through the queues of others; false if enough others do. It counts
    /// as searching from now on, until it leaves the search or sleeps.
    pub fn may_search(&mut self, idle: &Idle) -> bool {
        self.searching = self.searching || idle.start_searching();
        self.searching
    }

    /// Leaves the search, if it is in one, with work in hand. The last one to leave looks for those who
    /// relied on it (S2): what it returns is the sleeper that the caller must unpark.
    #[inline]
    pub fn leave_search(&mut self, idle: &Idle, has_work: impl FnOnce() -> bool) -> Option<usize> {
        if !self.searching {
            return None;
        }
        self.searching = false;
        if idle.stop_searching() && has_work() { idle.sleeper_to_wake() } else { None }
    }

    /// Sleeps in `park`, unless there is work after all: then `None`.
    pub fn sleep<R>(
        &mut self,
        idle: &Idle,
        has_work: impl FnOnce() -> bool,
        park: impl FnOnce() -> R,
    ) -> Option<R> {
        let must_look = idle.fall_asleep(self.worker, self.searching);
        let parked = if must_look && has_work() { None } else { Some(park()) };
        self.searching = idle.get_up(self.worker);
        parked
    }
}
