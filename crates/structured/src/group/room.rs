//! Children that wait for room in a group with a limit: first come, first served, in the order of the spawns.

use std::collections::VecDeque;
use std::task::Waker;

/// How many may run, and who waits.
pub(super) struct Room {
    limit: usize,
    /// In the order of their numbers. A child that has not been polled yet has no waker.
    waiting: VecDeque<(u64, Option<Waker>)>,
    next: u64,
}

impl Room {
    pub(super) const fn new() -> Self {
        Self { limit: usize::MAX, waiting: VecDeque::new(), next: 0 }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A newcomer, who is among the `running`: its number, if it has to wait.
    pub(super) fn enter(&mut self, running: usize) -> Option<u64> {
        if running <= self.limit && self.waiting.is_empty() {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.waiting.push_back((number, None));
        Some(number)
    }

    /// Whether that one has to wait still; if so, `waker` is woken when it has not.
    pub(super) fn has_to_wait(&mut self, number: u64, waker: &Waker) -> bool {
        let Ok(place) = self.place(number) else { return false };
        match &mut self.waiting[place].1 {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        true
    }

    /// Lets the next one in, if there is room beside the `running`. Gives its waker, if it has one.
    pub(super) fn admit(&mut self, running: usize) -> Option<Option<Waker>> {
        if running >= self.limit {
            return None;
        }
        self.waiting.pop_front().map(|(_, waker)| waker)
    }

    /// That one does not wait any more.
    pub(super) fn leave(&mut self, number: u64) -> Option<Waker> {
        let place = self.place(number).ok()?;
        self.waiting.remove(place)?.1
    }

    /// Nobody waits any more.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.waiting).into_iter().filter_map(|(_, waker)| waker)
    }

    fn place(&self, number: u64) -> Result<usize, usize> {
        self.waiting.binary_search_by_key(&number, |(number, _)| *number)
    }
}

#[cfg(all(test, not(filch_loom)))]
mod tests {
    use super::Room;
    use std::task::Waker;

    #[test]
    fn those_who_wait_are_let_in_in_order() {
        let mut room = Room::new();
        room.set_limit(2);
        assert_eq!((room.enter(1), room.enter(2)), (None, None));
        let [a, b, c] = [3, 3, 3].map(|running| room.enter(running).expect("it is full"));
        assert!(room.has_to_wait(b, Waker::noop()) && room.waiting() == 3);
        assert!(room.admit(2).is_none());
        assert!(room.leave(a).is_none(), "it had left no waker");
        assert!(room.admit(1).expect("there is room").is_some());
        assert!(!room.has_to_wait(b, Waker::noop()), "it is in");
        assert!(room.enter(1).is_some(), "nobody passes who waits");
        assert!(room.has_to_wait(c, Waker::noop()));
        assert_eq!(room.clear().count(), 1);
        assert_eq!(room.waiting(), 0);
    }
}
