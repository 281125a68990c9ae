//! A worker's own part in the protocol.

use super::Idle;

/// One worker, as it takes part: it knows whether it counts as searching, and goes by the rules.
#[derive(Debug)]
pub struct Member {
    worker: usize,
    /// What it has to see to before its next poll: one word, to be looked at once a poll.
    duties: u8,
}

/// It counts as searching.
const SEARCHING: u8 = 1;
/// It got up, or began, and has polled nothing since.
const CAME_UP: u8 = 2;

impl Member {
    /// The worker of this index, which runs.
    pub fn new(worker: usize) -> Self {
        Self { worker, duties: CAME_UP }
    }

    /// Whether this worker may look through the queues of others; false if enough others do. It counts
    /// as searching from now on, until it leaves the search or sleeps.
    pub fn may_search(&mut self, idle: &Idle) -> bool {
        if self.duties & SEARCHING == 0 && idle.start_searching() {
            self.duties |= SEARCHING;
        }
        self.duties & SEARCHING != 0
    }

    /// Whether there is something to see to before the next poll: a [search](Self::leave_search) to be
    /// left, or that it [came up](Self::came_up).
    #[inline]
    pub fn has_duties(&self) -> bool {
        self.duties != 0
    }

    /// Whether it got up since this was last asked.
    pub fn came_up(&mut self) -> bool {
        let came_up = self.duties & CAME_UP != 0;
        self.duties &= !CAME_UP;
        came_up
    }

    /// Leaves the search, if it is in one, with work in hand. The last one to leave looks for those who
    /// relied on it (S2): what it returns is the sleeper that the caller must unpark.
    #[inline]
    pub fn leave_search(&mut self, idle: &Idle, has_work: impl FnOnce() -> bool) -> Option<usize> {
        if self.duties & SEARCHING == 0 {
            return None;
        }
        self.duties &= !SEARCHING;
        if idle.stop_searching() && has_work() { idle.sleeper_to_wake() } else { None }
    }

    /// Sleeps in `park`, unless there is work after all: then `None`.
    pub fn sleep<R>(
        &mut self,
        idle: &Idle,
        has_work: impl FnOnce() -> bool,
        park: impl FnOnce() -> R,
    ) -> Option<R> {
        let must_look = idle.fall_asleep(self.worker, self.duties & SEARCHING != 0);
        let parked = if must_look && has_work() { None } else { Some(park()) };
        self.duties = CAME_UP | if idle.get_up(self.worker) { SEARCHING } else { 0 };
        parked
    }
}
