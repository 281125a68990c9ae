//! The harness, where who is woken is not yet served.

use filch_atomic::current;
use filch_testkit::invariants::{Reach, Rules, Subject, Wait, check};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

const NO_FAULT: u8 = 0;
const WAKE_DIES_WITH_ITS_WAITER: u8 = 1;
const PUT_WAKES_NOBODY: u8 = 2;
const LOSER_IS_NOT_IN_LINE: u8 = 3;
const ITEM_DIES_WITH_ITS_WAITER: u8 = 4;

/// Items that whoever comes first may have. Waiters are woken in order, one for an item.
struct Items<const FAULT: u8>(Mutex<Line>);

#[derive(Default)]
struct Line {
    items: u32,
    next: u64,
    /// Without a waker: it was woken, and has not looked.
    places: Vec<(u64, Option<Waker>)>,
}

struct Get<'a, const FAULT: u8>(&'a Items<FAULT>, Option<u64>);

impl Line {
    /// As many are on their way as there are items.
    fn wake(&mut self) {
        let on_their_way = self.places.iter().filter(|place| place.1.is_none()).count();
        let asleep = self.places.iter_mut().filter_map(|place| place.1.take());
        asleep.take((self.items as usize).saturating_sub(on_their_way)).for_each(Waker::wake);
    }
}

impl<const FAULT: u8> Items<FAULT> {
    /// Not poisoned by a check that fails while somebody holds it.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<const FAULT: u8> Future for Get<'_, FAULT> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut line = self.0.lock();
        if line.items > 0 && current::poll_proceed(cx).is_ready() {
            line.items -= 1;
            line.places.retain(|place| Some(place.0) != self.1);
            self.1 = None;
            return Poll::Ready(());
        }
        let number = *self.1.get_or_insert_with(|| {
            line.next += 1;
            line.next
        });
        let waker = (FAULT != LOSER_IS_NOT_IN_LINE || line.items > 0).then(|| cx.waker().clone());
        match line.places.iter_mut().find(|place| place.0 == number) {
            Some(place) if place.1.is_some() => place.1 = Some(cx.waker().clone()),
            Some(place) => place.1 = waker,
            None => line.places.push((number, Some(cx.waker().clone()))),
        }
        line.wake();
        Poll::Pending
    }
}

impl<const FAULT: u8> Drop for Get<'_, FAULT> {
    fn drop(&mut self) {
        let mut line = self.0.lock();
        let Some(at) = line.places.iter().position(|place| Some(place.0) == self.1) else { return };
        let (_, waker) = line.places.remove(at);
        if FAULT == ITEM_DIES_WITH_ITS_WAITER && waker.is_none() {
            line.items = line.items.saturating_sub(1);
        }
        if FAULT != WAKE_DIES_WITH_ITS_WAITER {
            line.wake();
        }
    }
}

impl<const FAULT: u8> Subject for Items<FAULT> {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::First).kept().loose();

    fn new() -> Self {
        Self(Mutex::default())
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(Get(self, None))
    }

    fn grant(&self) {
        let mut line = self.lock();
        line.items += 1;
        if FAULT != PUT_WAKES_NOBODY {
            line.wake();
        }
    }

    fn at_rest(&self, unclaimed: u32) {
        let line = self.lock();
        assert!(line.places.is_empty(), "somebody has a place");
        assert_eq!(line.items, unclaimed);
    }
}

fn is_found<const FAULT: u8>() -> bool {
    catch_unwind(AssertUnwindSafe(check::<Items<FAULT>>)).is_err()
}

#[test]
fn what_keeps_the_rules_passes() {
    let summary = check::<Items<NO_FAULT>>();
    assert!(summary.programs > 50_000 && summary.finished > 10_000, "{summary:?}");
}

#[test]
fn each_fault_is_found() {
    assert!(is_found::<WAKE_DIES_WITH_ITS_WAITER>());
    assert!(is_found::<PUT_WAKES_NOBODY>());
    assert!(is_found::<LOSER_IS_NOT_IN_LINE>());
    assert!(is_found::<ITEM_DIES_WITH_ITS_WAITER>());
}
