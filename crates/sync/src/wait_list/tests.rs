//! The engine, alone.

use super::*;
use crate::testing::forget;
use filch_atomic::current::{self, BUDGET, WaitKind, WaitRecord};
use filch_atomic::sync::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts its wakes, and panics at each if told to.
#[derive(Default)]
struct Count {
    wakes: AtomicUsize,
    panics: bool,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics, "this waker panics");
    }
}

fn count() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

fn wakes(count: &Count) -> usize {
    count.wakes.load(Ordering::Relaxed)
}

type Boxed = Pin<Box<Waiter<u32>>>;

fn queued(list: &mut WaitList<u32>, values: std::ops::Range<u32>, waker: &Waker) -> Vec<Boxed> {
    values
        .map(|value| {
            let mut waiter = Box::pin(Waiter::new());
            list.push_back(waiter.as_mut(), value, waker.clone());
            waiter
        })
        .collect()
}

fn values(list: &WaitList<u32>) -> Vec<u32> {
    list.iter().copied().collect()
}

#[test]
fn first_in_first_out_and_the_value_is_the_grant() {
    let (count, waker) = count();
    let mut list = WaitList::new();
    let mut waiters = queued(&mut list, 0..3, &waker);
    assert_eq!(list.front(), Some(&0));
    *list.front_mut().unwrap() = 70;
    list.pop_front().unwrap().wake();
    assert_eq!(wakes(&count), 1);
    assert_eq!(waiters[0].as_mut().take_released(), Some(70));
    assert!(waiters[0].is_idle());
    assert_eq!(waiters[1].as_mut().take_released(), None);
    assert_eq!(values(&list), [1, 2]);
    list.for_each_mut(|value| *value += 10);
    assert!(list.pop_front().is_some());
    assert!(list.pop_front().is_some());
    assert!(list.is_empty() && list.pop_front().is_none());
    assert_eq!(waiters[2].as_mut().take_released(), Some(12));
    // A place can be taken again.
    list.push_back(waiters[0].as_mut(), 5, waker);
    assert!(matches!(list.remove(waiters[0].as_mut()), Left::Queued(5, _)));
}

#[test]
fn any_place_can_be_left_and_leaves_no_trace() {
    for gone in 0..4 {
        for also_gone in 0..4 {
            let (count, waker) = count();
            let mut list = WaitList::new();
            let mut waiters = queued(&mut list, 0..4, &waker);
            let mut expected = vec![0, 1, 2, 3];
            for gone in [gone, also_gone] {
                let left = list.remove(waiters[gone as usize].as_mut());
                assert_eq!(matches!(left, Left::Queued(..)), expected.contains(&gone));
                expected.retain(|value| *value != gone);
                assert_eq!(values(&list), expected);
            }
            for value in expected {
                assert_eq!(list.front(), Some(&value));
                drop(list.pop_front());
            }
            assert!(list.is_empty());
            drop(waker);
            assert_eq!(Arc::strong_count(&count), 1, "no waker stayed behind");
        }
    }
}

#[test]
fn a_value_that_was_not_picked_up_is_left_to_whoever_removes_the_waiter() {
    let (_, waker) = count();
    let mut list = WaitList::new();
    let mut waiters = queued(&mut list, 0..1, &waker);
    drop(list.pop_front());
    assert!(matches!(list.remove(waiters[0].as_mut()), Left::Released(0)));
    assert!(matches!(list.remove(waiters[0].as_mut()), Left::Nothing));
}

#[test]
fn who_is_let_go_leaves_in_order_and_nobody_who_comes_later_is_among_them() {
    let (count, waker) = count();
    let mut list = WaitList::new();
    let mut first = queued(&mut list, 0..40, &waker);
    list.release_all();
    assert!(list.is_empty(), "nobody waits");
    let mut later = queued(&mut list, 40..42, &waker);
    // Those who leave can still go by themselves: the first, the last, and one in between.
    for gone in [0, 39, 20] {
        assert!(matches!(list.remove(first[gone].as_mut()), Left::Queued(..)));
    }
    list.release_all();
    let last = queued(&mut list, 42..43, &waker);
    let mut told = Vec::new();
    let mut batches = 0;
    loop {
        let mut batch = WakeBatch::new();
        list.release_leaving(&mut batch, |value| told.push(*value));
        let more = batch.is_full();
        drop(batch);
        batches += 1;
        if !more {
            break;
        }
    }
    let expected: Vec<u32> = (1..42).filter(|value| ![20, 39].contains(value)).collect();
    assert_eq!(told, expected);
    assert_eq!(batches, 2);
    assert_eq!(wakes(&count), expected.len());
    assert_eq!(first[1].as_mut().take_released(), Some(1));
    assert_eq!(later[1].as_mut().take_released(), Some(41));
    assert_eq!(values(&list), [42]);
    list.release_all();
    for mut waiter in last {
        assert!(matches!(list.remove(waiter.as_mut()), Left::Queued(42, _)));
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_being_woken() {
    let (count, waker) = count();
    let broken = Waker::from(Arc::new(Count { panics: true, ..Count::default() }));
    let lock = Mutex::new(WaitList::new());
    let mut waiters = Vec::new();
    for number in 0..100 {
        let waker = if number % 7 == 0 { &broken } else { &waker };
        waiters.extend(queued(&mut lock.lock(), number..number + 1, waker));
    }
    lock.lock().release_all();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        wake_batches(&lock, lock.lock(), |list, batch| list.release_leaving(batch, |_| {}));
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"this waker panics"));
    assert_eq!(wakes(&count), 85);
    assert!(waiters.iter_mut().all(|waiter| waiter.as_mut().take_released().is_some()));
}

#[test]
fn a_forgotten_waiter_stays_in_line_and_stays_valid() {
    let (count, waker) = count();
    let mut list = WaitList::new();
    let mut waiters = queued(&mut list, 0..3, &waker);
    forget(waiters.remove(1));
    // The list moves, as with a primitive that nothing borrows any more.
    let mut list = { list };
    drop(list.pop_front());
    assert_eq!(list.front(), Some(&1));
    list.pop_front().unwrap().wake();
    assert_eq!(wakes(&count), 1);
    drop(list.pop_front());
    assert_eq!(waiters[1].as_mut().take_released(), Some(2));
}

fn poll(waiter: &mut Boxed, lock: &Mutex<WaitList<u32>>, free: bool, waker: &Waker) -> Poll<u32> {
    let mut cx = Context::from_waker(waker);
    let attempt = |_: &mut WaitList<u32>| if free { Attempt::Granted(1) } else { Attempt::Wait(2) };
    waiter.as_mut().poll_in(&mut cx, lock, |list| list, attempt, || {})
}

#[test]
fn a_poll_takes_it_or_takes_a_place_and_the_last_waker_counts() {
    let lock = Mutex::new(WaitList::new());
    let ((old_count, old), (new_count, new)) = (count(), count());
    let mut waiter = Box::pin(Waiter::new());
    assert_eq!(poll(&mut waiter, &lock, true, &old), Poll::Ready(1));
    assert_eq!(poll(&mut waiter, &lock, false, &old), Poll::Pending);
    assert_eq!(poll(&mut waiter, &lock, true, &new), Poll::Pending, "it has its place");
    drop(old);
    assert_eq!(Arc::strong_count(&old_count), 1, "the old waker is gone");
    let woken = lock.lock().pop_front();
    woken.unwrap().wake();
    assert_eq!((wakes(&old_count), wakes(&new_count)), (0, 1));
    assert_eq!(poll(&mut waiter, &lock, false, &new), Poll::Ready(2));
}

#[test]
fn a_task_out_of_budget_keeps_what_it_came_for() {
    let lock = Mutex::new(WaitList::new());
    let (count, waker) = count();
    let (mut granted, mut waits) = (Box::pin(Waiter::new()), Box::pin(Waiter::new()));
    let record = WaitRecord::new();
    let turn = || {
        let mut cx = Context::from_waker(&waker);
        for _ in 0..BUDGET {
            assert!(current::poll_proceed(&mut cx).is_ready());
        }
        assert!(poll(&mut granted, &lock, true, &waker).is_pending());
        assert_eq!(wakes(&count), 1, "its next turn is on its way");
        assert!(poll(&mut waits, &lock, false, &waker).is_pending());
        assert_eq!(lock.lock().iter().count(), 1, "the place is taken all the same");
        drop(lock.lock().pop_front());
        assert!(poll(&mut waits, &lock, false, &waker).is_pending());
    };
    // SAFETY: null.
    unsafe { current::enter(std::ptr::null(), &record, turn) };
    assert_eq!(poll(&mut granted, &lock, false, &waker), Poll::Ready(1));
    assert_eq!(poll(&mut waits, &lock, false, &waker), Poll::Ready(2));
}

#[test]
fn a_wait_is_on_record_where_it_was_begun() {
    let site = Site::here(WaitKind::Queue);
    let line = line!() - 1;
    let record = WaitRecord::new();
    let resource = 7;
    // SAFETY: null.
    unsafe { current::enter(std::ptr::null(), &record, || site.note(&resource)) };
    let (kind, address, location) = record.get().unwrap();
    assert_eq!(kind, WaitKind::Queue);
    // All but the highest 8 bits, where there may be something on 32 bits, or a tag.
    assert_eq!(address, (std::ptr::from_ref(&resource) as usize) << 8 >> 8);
    assert_eq!((location.file(), location.line()), (file!(), line));
}

#[test]
fn a_waiter_cannot_be_taken_out_of_a_list_that_it_is_not_in() {
    let (_, waker) = count();
    let (mut list, mut other) = (WaitList::new(), WaitList::new());
    let mut waiters = queued(&mut list, 0..1, &waker);
    let wrong = catch_unwind(AssertUnwindSafe(|| other.remove(waiters[0].as_mut())));
    assert_eq!(wrong.unwrap_err().downcast_ref(), Some(&"a waiter that is in another list"));
    assert!(matches!(list.remove(waiters[0].as_mut()), Left::Queued(0, _)));
}
