//! I1 to I6 of `docs/semantics.md`, for every primitive: each small program of polls, drops and grants.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_sync::{Barrier, BrokenBarrier, Condition, Event, Guard, Lock};
use filch_testkit::invariants::{Reach, Rules, Subject, Wait, check};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The first poll of a future that is dropped then.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl Subject for LockSubject {
    type Got<'a> = Guard<'a, ()>;
    const RULES: Rules =
        Rules::new(Reach::First).kept().returned().at_first(1).grants(0).gives_way();

    fn new() -> Self {
        Self(Lock::new(()))
    }

    fn wait(&self) -> Wait<'_, Guard<'_, ()>> {
        Box::pin(self.0.lock())
    }

    fn grant(&self) {
        unreachable!("a lock has one grant, and that is there at first");
    }

    fn at_rest(&self, unclaimed: u32) {
        assert_eq!(unclaimed, 1);
        assert!(!self.0.is_locked());
        assert!(self.0.try_lock().is_some());
    }
}

struct LockSubject(Lock<()>);

#[test]
fn lock() {
    check::<LockSubject>();
}

/// Set for good: whoever comes later goes on at once.
struct EventSet(Event);

impl Subject for EventSet {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::Everyone).kept();

    fn new() -> Self {
        Self(Event::new())
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(self.0.wait())
    }

    fn grant(&self) {
        self.0.set();
    }

    fn at_rest(&self, _unclaimed: u32) {
        // Nobody is in line: setting it wakes nobody, which the harness would see as a wake too many.
        self.0.clear();
        self.0.set();
    }
}

#[test]
fn event_set() {
    check::<EventSet>();
}

/// Set and cleared in one go: those who wait, and nobody else.
struct EventPulse(std::sync::Arc<Event>);

impl Subject for EventPulse {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::Everyone);

    fn new() -> Self {
        Self(std::sync::Arc::new(Event::new()))
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(self.0.clone().wait_owned())
    }

    fn grant(&self) {
        self.0.set();
        self.0.clear();
    }

    fn at_rest(&self, _unclaimed: u32) {
        assert!(!self.0.is_set());
        assert_eq!(std::sync::Arc::strong_count(&self.0), 1, "no wait is left");
        assert!(poll_once(self.0.wait()).is_pending());
    }
}

#[test]
fn event_set_and_cleared() {
    check::<EventPulse>();
}

/// The harness arrives for those who are missing.
struct BarrierFilled(Barrier);

impl Subject for BarrierFilled {
    type Got<'a> = usize;
    // The next generation cannot form until this one has left, which is not what a grant is like.
    const RULES: Rules = Rules::new(Reach::Everyone).grants(1);

    fn new() -> Self {
        Self(Barrier::new(6))
    }

    fn wait(&self) -> Wait<'_, usize> {
        let wait = self.0.wait();
        Box::pin(async { wait.await.expect("nobody breaks it") })
    }

    fn grant(&self) {
        let mut others = Vec::new();
        while self.0.n_waiting() + 1 < self.0.parties() {
            let mut other = Box::pin(self.0.wait());
            assert!(other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            others.push(other);
        }
        assert_eq!(poll_once(self.0.wait()), Poll::Ready(Ok(5)), "the last does not suspend");
    }

    fn at_rest(&self, _unclaimed: u32) {
        assert_eq!(self.0.n_waiting(), 0);
        self.grant();
    }
}

#[test]
fn barrier_filled() {
    check::<BarrierFilled>();
}

struct BarrierReset(Barrier);

impl Subject for BarrierReset {
    type Got<'a> = BrokenBarrier;
    const RULES: Rules = Rules::new(Reach::Everyone).grants(1);

    fn new() -> Self {
        Self(Barrier::new(6))
    }

    fn wait(&self) -> Wait<'_, BrokenBarrier> {
        let wait = self.0.wait();
        Box::pin(async { wait.await.expect_err("it is reset before it is full") })
    }

    fn grant(&self) {
        self.0.reset();
    }

    fn at_rest(&self, _unclaimed: u32) {
        assert_eq!(self.0.n_waiting(), 0);
        assert!(poll_once(self.0.wait()).is_pending());
    }
}

#[test]
fn barrier_reset() {
    check::<BarrierReset>();
}

struct BarrierAborted(Barrier);

impl Subject for BarrierAborted {
    type Got<'a> = BrokenBarrier;
    const RULES: Rules = Rules::new(Reach::Everyone).kept();

    fn new() -> Self {
        Self(Barrier::new(6))
    }

    fn wait(&self) -> Wait<'_, BrokenBarrier> {
        let wait = self.0.wait();
        Box::pin(async { wait.await.expect_err("it is aborted before it is full") })
    }

    fn grant(&self) {
        self.0.abort();
    }

    fn at_rest(&self, _unclaimed: u32) {
        self.0.reset();
        assert_eq!(self.0.n_waiting(), 0);
        assert!(poll_once(self.0.wait()).is_pending());
        assert_eq!(self.0.n_waiting(), 0);
    }
}

#[test]
fn barrier_aborted() {
    check::<BarrierAborted>();
}

/// A condition and its lock. A wait takes the lock first, which is free whenever the harness polls.
struct ConditionNotified(Condition, Lock<()>);

impl ConditionNotified {
    fn held(&self) -> Guard<'_, ()> {
        self.1.try_lock().expect("nobody keeps it")
    }
}

impl Subject for ConditionNotified {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::First).in_two_places();

    fn new() -> Self {
        Self(Condition::new(), Lock::new(()))
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(async { drop(self.0.wait(self.held()).await) })
    }

    fn grant(&self) {
        self.0.notify(&self.held(), 1);
    }

    fn at_rest(&self, _unclaimed: u32) {
        self.0.notify_all(&self.held());
        // Those of another lock may use it, as nobody of this one is left.
        self.0.notify_all(&Lock::new(()).try_lock().expect("it is new"));
        assert!(poll_once(self.0.wait(Lock::new(()).try_lock().expect("it is new"))).is_pending());
    }
}

#[test]
fn condition_notified() {
    check::<ConditionNotified>();
}

struct ConditionNotifiedAll(ConditionNotified);

impl Subject for ConditionNotifiedAll {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::Everyone).in_two_places();

    fn new() -> Self {
        Self(ConditionNotified::new())
    }

    fn wait(&self) -> Wait<'_, ()> {
        self.0.wait()
    }

    fn grant(&self) {
        self.0.0.notify_all(&self.0.held());
    }

    fn at_rest(&self, unclaimed: u32) {
        self.0.at_rest(unclaimed);
    }
}

#[test]
fn condition_notified_all() {
    check::<ConditionNotifiedAll>();
}
