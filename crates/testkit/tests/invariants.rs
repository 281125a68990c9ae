//! The harness finds out a primitive that breaks a rule, whichever rule it is.

use filch_atomic::current;
use filch_testkit::invariants::{Reach, Rules, Subject, Wait, check};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What is wrong with a [`Permits`].
mod fault {
    pub(super) const NONE: u8 = 0;
    pub(super) const GRANT_DIES_WITH_ITS_WAITER: u8 = 1;
    pub(super) const PLACE_LEFT_BEHIND: u8 = 2;
    pub(super) const PLACE_TAKEN_WHEN_MADE: u8 = 3;
    pub(super) const LAST_COME_FIRST_SERVED: u8 = 4;
    pub(super) const NEWCOMERS_PASS: u8 = 5;
    pub(super) const FIRST_WAKER_KEPT: u8 = 6;
    pub(super) const NOBODY_WOKEN: u8 = 7;
    pub(super) const EVERYBODY_WOKEN: u8 = 8;
    pub(super) const NO_BUDGET_SPENT: u8 = 9;
    pub(super) const TIRED_LOSES_ITS_PLACE: u8 = 10;
    pub(super) const RETURNED_TWICE: u8 = 11;
    pub(super) const WAKER_KEPT_WHEN_DONE: u8 = 12;
    pub(super) const ALL: std::ops::RangeInclusive<u8> =
        GRANT_DIES_WITH_ITS_WAITER..=WAKER_KEPT_WHEN_DONE;
}

/// A semaphore that is as simple as can be, with one fault.
struct Permits<const FAULT: u8>(Mutex<Line>);

#[derive(Default)]
struct Line {
    free: u32,
    next: u64,
    places: VecDeque<Place>,
    /// Wakers that nobody needs.
    litter: Vec<Waker>,
}

struct Place {
    number: u64,
    granted: bool,
    waker: Option<Waker>,
}

struct Acquire<'a, const FAULT: u8> {
    permits: &'a Permits<FAULT>,
    place: Option<u64>,
}

struct Permit<'a, const FAULT: u8>(&'a Permits<FAULT>);

impl Line {
    fn place(&mut self, number: u64) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.number == number)
    }

    fn leave(&mut self, number: u64) -> Option<Place> {
        let at = self.places.iter().position(|place| place.number == number)?;
        self.places.remove(at)
    }

    fn join(&mut self) -> u64 {
        self.next += 1;
        self.places.push_back(Place { number: self.next, granted: false, waker: None });
        self.next
    }
}

impl<const FAULT: u8> Permits<FAULT> {
    /// Not poisoned by a check that fails while somebody holds it.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self) {
        let mut line = self.lock();
        line.free += 1;
        self.serve(&mut line);
    }

    /// Grants what is free. The wakers only count, so the lock may be held.
    fn serve(&self, line: &mut Line) {
        while line.free > 0 {
            let mut waiting = line.places.iter_mut().filter(|place| !place.granted);
            let next = match FAULT {
                fault::LAST_COME_FIRST_SERVED => waiting.next_back(),
                _ => waiting.next(),
            };
            let Some(next) = next else { return };
            next.granted = true;
            line.free -= 1;
            if FAULT != fault::NOBODY_WOKEN {
                next.waker.take().into_iter().for_each(Waker::wake);
            }
        }
        if FAULT == fault::EVERYBODY_WOKEN {
            let wakers = line.places.iter().filter_map(|place| place.waker.as_ref());
            wakers.for_each(Waker::wake_by_ref);
        }
    }
}

impl<'a, const FAULT: u8> Future for Acquire<'a, FAULT> {
    type Output = Permit<'a, FAULT>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let permits = self.permits;
        let mut line = permits.lock();
        if FAULT == fault::NEWCOMERS_PASS
            && self.place.is_none()
            && let Some(granted) = line.places.iter_mut().find(|place| place.granted)
        {
            granted.granted = false;
            return Poll::Ready(Permit(permits));
        }
        let number = *self.place.get_or_insert_with(|| line.join());
        permits.serve(&mut line);
        let place = line.place(number).expect("it has a place");
        if !place.granted {
            match &mut place.waker {
                Some(_) if FAULT == fault::FIRST_WAKER_KEPT => {}
                waker => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        if FAULT != fault::NO_BUDGET_SPENT && current::poll_proceed(cx).is_pending() {
            if FAULT == fault::TIRED_LOSES_ITS_PLACE {
                line.leave(number);
                line.free += 1;
                permits.serve(&mut line);
                self.place = None;
            }
            return Poll::Pending;
        }
        line.leave(number);
        if FAULT == fault::WAKER_KEPT_WHEN_DONE {
            line.litter.push(cx.waker().clone());
        }
        self.place = None;
        Poll::Ready(Permit(permits))
    }
}

impl<const FAULT: u8> Drop for Acquire<'_, FAULT> {
    fn drop(&mut self) {
        let Some(number) = self.place else { return };
        if FAULT == fault::PLACE_LEFT_BEHIND {
            return;
        }
        let mut line = self.permits.lock();
        let place = line.leave(number);
        let granted = place.is_some_and(|place| place.granted);
        if granted && FAULT != fault::GRANT_DIES_WITH_ITS_WAITER {
            line.free += 1;
            self.permits.serve(&mut line);
        }
    }
}

impl<const FAULT: u8> Drop for Permit<'_, FAULT> {
    fn drop(&mut self) {
        self.0.release();
        if FAULT == fault::RETURNED_TWICE {
            self.0.release();
        }
    }
}

impl<const FAULT: u8> Subject for Permits<FAULT> {
    type Got<'a> = Permit<'a, FAULT>;
    const RULES: Rules = Rules::new(Reach::First).kept().returned().grants(3);

    fn new() -> Self {
        Self(Mutex::default())
    }

    fn wait(&self) -> Wait<'_, Permit<'_, FAULT>> {
        let place = (FAULT == fault::PLACE_TAKEN_WHEN_MADE).then(|| self.lock().join());
        Box::pin(Acquire { permits: self, place })
    }

    fn grant(&self) {
        self.release();
    }

    fn at_rest(&self, unclaimed: u32) {
        let line = self.lock();
        assert!(line.places.is_empty(), "somebody has a place");
        assert_eq!(line.free, unclaimed);
    }
}

fn is_found<const FAULT: u8>() -> bool {
    catch_unwind(AssertUnwindSafe(check::<Permits<FAULT>>)).is_err()
}

#[test]
fn what_keeps_the_rules_passes() {
    let summary = check::<Permits<{ fault::NONE }>>();
    assert!(summary.programs > 50_000 && summary.finished > 10_000, "{summary:?}");
}

#[test]
fn each_fault_is_found() {
    let found = [
        is_found::<1>(),
        is_found::<2>(),
        is_found::<3>(),
        is_found::<4>(),
        is_found::<5>(),
        is_found::<6>(),
        is_found::<7>(),
        is_found::<8>(),
        is_found::<9>(),
        is_found::<10>(),
        is_found::<11>(),
        is_found::<12>(),
    ];
    assert_eq!(fault::ALL.count(), found.len(), "every fault is tried");
    for (fault, found) in fault::ALL.zip(found) {
        assert!(found, "fault {fault} was not noticed");
    }
}
