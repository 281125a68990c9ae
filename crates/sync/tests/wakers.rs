//! Wakers that panic, or call back, wherever they are cloned, woken and dropped: what somebody was given is
//! not lost, and no lock is held meanwhile (D8).
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_atomic::current::{self, BUDGET, WaitRecord};
use filch_sync::queue::Lease;
use filch_sync::{Barrier, Condition, Lock, OnceCell, Queue, Semaphore, promise};
use filch_testkit::{Hooks, Probe, limits};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

#[track_caller]
fn panics<R>(action: impl FnOnce() -> R) {
    assert!(catch_unwind(AssertUnwindSafe(action)).is_err(), "the waker was not asked");
}

fn panics_when_woken() -> Waker {
    Hooks::new().on_wake(|| panic!("this waker panics")).waker()
}

/// Runs `first` when it is cloned for the first time, and panics when that clone is dropped.
fn panics_when_dropped(first: impl FnOnce() + Send + 'static) -> Waker {
    let first = Mutex::new(Some(first));
    let clone = move || {
        let first = first.lock().unwrap().take();
        if let Some(first) = first {
            first();
        }
    };
    let drops = AtomicBool::new(true);
    let drop = move || assert!(!drops.swap(false, Ordering::Relaxed), "this waker panics");
    Hooks::new().on_clone(clone).on_drop(drop).waker()
}

/// As a task with its whole budget.
fn as_task<R>(poll: impl FnOnce() -> R) -> R {
    let record = WaitRecord::new();
    // SAFETY: null.
    unsafe { current::enter(std::ptr::null(), &record, poll) }
}

fn use_up_budget() {
    let mut cx = Context::from_waker(Waker::noop());
    while current::has_budget() {
        assert!(current::poll_proceed(&mut cx).is_ready());
    }
}

/// A task that has used up its turn wakes itself: it keeps what it was given if that panics.
#[test]
fn waking_oneself_may_panic() {
    fn tired<F: Future>(future: F) -> Pin<Box<F>> {
        let mut future = Box::pin(future);
        let waker = panics_when_woken();
        as_task(|| {
            use_up_budget();
            panics(|| poll(&mut future, &waker).is_ready());
        });
        future
    }
    let lock = Lock::new(());
    drop(tired(lock.lock()));
    assert!(!lock.is_locked(), "the lock is given back");
    assert!(poll(&mut tired(lock.lock()), Waker::noop()).is_ready(), "the lock is kept");

    let semaphore = Semaphore::new(3);
    drop(tired(semaphore.acquire_many(2)));
    assert_eq!(semaphore.available_permits(), 3);

    let cell = OnceCell::new();
    drop(tired(cell.get_or_init(async || 1)));
    assert_eq!(cell.set(2), Ok(()));

    let barrier = Barrier::new(1);
    drop(tired(barrier.wait()));
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(0));

    let queue = Queue::bounded(1);
    drop(tired(queue.put(1)));
    queue.try_put(2).unwrap();
    drop(tired(queue.get()));
    assert_eq!(queue.try_get().map(Lease::into_inner), Ok(2));
}

/// What was to wait and need not, after all, has a waker to drop, and keeps what it was given if that panics.
#[test]
fn dropping_a_waker_that_is_not_needed_may_panic() {
    static LOCK: Lock<()> = Lock::new(());
    let release = || {
        let held = LOCK.try_lock().unwrap();
        panics_when_dropped(move || drop(held))
    };
    // It comes free while the first poll clones its waker.
    let waker = release();
    let mut future = Box::pin(LOCK.lock());
    panics(|| poll(&mut future, &waker).is_ready());
    drop(future);
    assert!(!LOCK.is_locked());
    // It is handed over while a later poll clones another one.
    let waker = release();
    let mut future = Box::pin(LOCK.lock());
    assert!(poll(&mut future, Waker::noop()).is_pending());
    panics(|| poll(&mut future, &waker).is_ready());
    drop(future);
    assert!(!LOCK.is_locked());

    static CELL: OnceCell<u32> = OnceCell::new();
    let mut runs = Box::pin(CELL.get_or_init(std::future::pending));
    assert!(poll(&mut runs, Waker::noop()).is_pending());
    let waker = panics_when_dropped(move || drop(runs));
    let mut future = Box::pin(CELL.get_or_init(async || 1));
    panics(|| poll(&mut future, &waker).is_ready());
    drop(future);
    assert_eq!(CELL.set(2), Ok(()));

    static BARRIER: Barrier = Barrier::new(2);
    let mut first = Box::pin(BARRIER.wait());
    assert!(poll(&mut first, Waker::noop()).is_pending());
    let waker = panics_when_dropped(|| assert_eq!(BARRIER.blocking_wait(), Ok(1)));
    panics(|| poll(&mut first, &waker).is_ready());
    drop(first);
    let mut next = Probe::pending(BARRIER.wait());
    assert_eq!(Probe::new(BARRIER.wait()).ready(), Ok(1), "the last generation has left");
    assert_eq!(next.poll(), Poll::Ready(Ok(0)));
}

/// The waker of a `get` that need not wait after all is dropped with the lock released, like any (D8).
#[test]
fn a_waker_may_use_the_queue_when_it_is_dropped() {
    let _watchdog = limits::watchdog(60);
    let queue = Queue::unbounded();
    let (put, look) = (queue.clone(), queue.clone());
    let waker = Hooks::new()
        .on_clone(move || put.try_put(1).unwrap())
        .on_drop(move || assert!(look.len() <= 1))
        .waker();
    let mut get = Box::pin(queue.get());
    assert!(matches!(poll(&mut get, &waker), Poll::Ready(Ok(lease)) if *lease == 1));

    let queue = Queue::unbounded();
    let mut get = Box::pin(queue.get());
    assert!(poll(&mut get, Waker::noop()).is_pending());
    let (put, look) = (queue.clone(), queue.clone());
    let waker = Hooks::new()
        .on_clone(move || put.try_put(1).unwrap())
        .on_drop(move || assert!(look.len() <= 1))
        .waker();
    assert!(matches!(poll(&mut get, &waker), Poll::Ready(Ok(lease)) if *lease == 1));
}

/// The room of an item that is got goes to a putter. If waking that panics, the item is lost like one whose
/// consumer panics, and does not keep `join` waiting.
#[test]
fn an_item_that_nobody_gets_because_a_waker_panics_is_done() {
    let queue = Queue::bounded(1);
    for is_awaited in [false, true] {
        queue.try_put(1).unwrap();
        let mut put = Box::pin(queue.put(2));
        assert!(poll(&mut put, &panics_when_woken()).is_pending());
        if is_awaited {
            let mut get = Box::pin(queue.get());
            panics(|| poll(&mut get, Waker::noop()).is_ready());
        } else {
            panics(|| queue.try_get());
        }
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
        assert_eq!(poll(&mut put, Waker::noop()), Poll::Ready(Ok(())), "the room is its own");
        drop(queue.try_get());
        assert!(poll(&mut Box::pin(queue.join()), Waker::noop()).is_ready());
    }
}

/// A waker may run anything at once, also what uses up the budget of the task that wakes.
#[test]
fn a_waker_may_use_up_the_budget_of_who_wakes_it() {
    let waker = Hooks::new().on_wake(use_up_budget).waker();

    let queue = Queue::bounded(1);
    queue.try_put(1).unwrap();
    let mut put = Box::pin(queue.put(2));
    assert!(poll(&mut put, &waker).is_pending());
    let mut get = Box::pin(queue.get());
    let got = as_task(|| poll(&mut get, Waker::noop()));
    assert!(matches!(got, Poll::Ready(Ok(lease)) if *lease == 1));

    // BARRIER-2: the one that completes a generation has budget, so it is not suspended.
    let barrier = Barrier::new(2);
    let mut first = Box::pin(barrier.wait());
    assert!(poll(&mut first, &waker).is_pending());
    let mut last = Box::pin(barrier.wait());
    assert_eq!(as_task(|| poll(&mut last, Waker::noop())), Poll::Ready(Ok(1)));
    assert_eq!(poll(&mut first, Waker::noop()), Poll::Ready(Ok(0)));

    // It is paid for all the same.
    let count = as_task(|| {
        let one = Barrier::new(1);
        (0..).find(|_| Probe::new(one.wait()).poll().is_pending())
    });
    assert_eq!(count, Some(BUDGET.into()));
}

/// What is handed on because a thread panics may meet a waker that panics: the first panic goes on, and the
/// process with it.
#[test]
fn a_waker_may_panic_when_it_is_woken_by_a_panic() {
    fn unwinds(with: impl Send + 'static) {
        let payload = catch_unwind(AssertUnwindSafe(|| {
            let _with = with;
            panic!("the first");
        }));
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"the first"));
    }

    static LOCK: Lock<()> = Lock::new(());
    let mut next = Box::pin(LOCK.lock());
    let held = LOCK.try_lock().unwrap();
    assert!(poll(&mut next, &panics_when_woken()).is_pending());
    unwinds(held);
    assert!(poll(&mut next, Waker::noop()).is_ready());

    let queue = Queue::bounded(1);
    let slot = queue.try_reserve().unwrap();
    let mut put = Box::pin(queue.put(1));
    assert!(poll(&mut put, &panics_when_woken()).is_pending());
    unwinds(slot);
    assert!(poll(&mut put, Waker::noop()).is_ready());

    let (setter, promise) = promise::<u32>();
    let mut promise = Box::pin(promise);
    assert!(poll(&mut promise, &panics_when_woken()).is_pending());
    unwinds(setter);
    assert!(matches!(poll(&mut promise, Waker::noop()), Poll::Ready(Err(_))));

    static CELL: OnceCell<u32> = OnceCell::new();
    let mut runs = Box::pin(CELL.get_or_init(std::future::pending));
    assert!(poll(&mut runs, Waker::noop()).is_pending());
    let mut next = Box::pin(CELL.get_or_init(async || 2));
    assert!(poll(&mut next, &panics_when_woken()).is_pending());
    unwinds(runs);
    assert_eq!(poll(&mut next, Waker::noop()), Poll::Ready(&2));

    static CONDITION: Condition = Condition::new();
    let waits = || {
        let guard = LOCK.try_lock().unwrap();
        Box::pin(CONDITION.wait(guard))
    };
    let (mut first, mut next) = (waits(), None);
    assert!(poll(&mut first, Waker::noop()).is_pending());
    let next = next.insert(waits());
    assert!(poll(next, &panics_when_woken()).is_pending());
    CONDITION.notify(&LOCK.try_lock().unwrap(), 1);
    unwinds(first);
    assert!(poll(next, Waker::noop()).is_ready());
}

/// Each is woken or dropped, once.
#[test]
fn no_waker_stays_behind_when_one_panics() {
    let alive = Arc::new(());
    let (one, another) = (alive.clone(), alive.clone());
    let waker = Hooks::new().on_wake(move || drop(one.clone())).waker();
    let broken = Hooks::new()
        .on_wake(move || {
            drop(another.clone());
            panic!("this waker panics");
        })
        .waker();
    let semaphore = Semaphore::new(0);
    let mut waits = [(); 3].map(|()| Box::pin(semaphore.acquire()));
    for (wait, waker) in waits.iter_mut().zip([&waker, &broken, &waker]) {
        assert!(poll(wait, waker).is_pending());
    }
    panics(|| semaphore.add_permits(3));
    drop((waker, broken));
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(waits.iter_mut().all(|wait| poll(wait, Waker::noop()).is_ready()));
}
