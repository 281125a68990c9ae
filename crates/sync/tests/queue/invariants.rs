//! Every small program of polls, drops and grants, for each line of a queue: I1 to I6.

use filch_sync::Queue;
use filch_sync::queue::{Lease, Slot};
use filch_testkit::invariants::{Reach, Rules, Subject, Wait, check};

const ROOM: usize = 16;

#[track_caller]
fn checked<S: Subject>() {
    let summary = check::<S>();
    assert!(summary.programs > 10_000 && summary.finished > 1_000 && summary.dropped > 1_000);
}

/// An item is what getters wait for.
struct Getters(Queue<u32>);

impl Subject for Getters {
    type Got<'a> = Lease<u32>;
    const RULES: Rules = Rules::new(Reach::First).kept();

    fn new() -> Self {
        Self(Queue::unbounded())
    }

    fn wait(&self) -> Wait<'_, Lease<u32>> {
        Box::pin(async { self.0.get().await.expect("it is open") })
    }

    fn grant(&self) {
        self.0.try_put(1).expect("there is room");
    }

    fn at_rest(&self, unclaimed: u32) {
        assert_eq!(self.0.len(), unclaimed as usize);
        assert_eq!(self.0.unfinished(), unclaimed as usize);
        (0..unclaimed).for_each(|_| drop(self.0.try_get().expect("it is nobody's")));
    }
}

#[test]
fn getters_keep_the_invariants() {
    checked::<Getters>();
}

/// Room is what putters wait for.
struct Putters(Queue<u32>);

fn full() -> Queue<u32> {
    let queue = Queue::bounded(ROOM);
    (0..ROOM).for_each(|_| queue.try_put(0).expect("there is room"));
    queue
}

impl Subject for Putters {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::First).kept();

    fn new() -> Self {
        Self(full())
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(async { self.0.put(1).await.expect("it is open") })
    }

    fn grant(&self) {
        self.0.try_get_raw().expect("it was full");
    }

    fn at_rest(&self, unclaimed: u32) {
        assert_eq!(self.0.len(), ROOM - unclaimed as usize);
        (0..unclaimed).for_each(|_| self.0.try_put(1).expect("it is nobody's"));
        assert!(self.0.is_full());
    }
}

#[test]
fn putters_keep_the_invariants() {
    checked::<Putters>();
}

/// Room to keep, which comes back when it is not used.
struct Slots(Queue<u32>);

impl Subject for Slots {
    type Got<'a> = Slot<u32>;
    const RULES: Rules = Rules::new(Reach::First).kept().returned();

    fn new() -> Self {
        Self(full())
    }

    fn wait(&self) -> Wait<'_, Slot<u32>> {
        Box::pin(async { self.0.reserve().await.expect("it is open") })
    }

    fn grant(&self) {
        self.0.try_get_raw().expect("it was full");
    }

    fn at_rest(&self, unclaimed: u32) {
        assert_eq!(self.0.len(), ROOM - unclaimed as usize);
        (0..unclaimed).for_each(|_| self.0.try_put(1).expect("it is nobody's"));
        assert!(self.0.is_full());
    }
}

#[test]
fn those_who_reserve_keep_the_invariants() {
    checked::<Slots>();
}

/// The end of the last work is what joiners wait for.
struct Joiners(Queue<u32>);

impl Subject for Joiners {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::Everyone).kept().grants(1);

    fn new() -> Self {
        let queue = Queue::unbounded();
        queue.try_put(1).expect("there is room");
        Self(queue)
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(self.0.join())
    }

    fn grant(&self) {
        drop(self.0.try_get().expect("there is one"));
    }

    fn at_rest(&self, _unclaimed: u32) {
        assert!(self.0.unfinished() <= 1);
    }
}

#[test]
fn joiners_keep_the_invariants() {
    checked::<Joiners>();
}
