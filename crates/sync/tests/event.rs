//! The rules `EVENT-1` to `EVENT-7` of `docs/semantics.md`.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_sync::Event;
use filch_testkit::{Probe, exec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

#[test]
fn event_1_set_and_clear_are_idempotent() {
    let event = Event::default();
    assert!(!event.is_set());
    event.clear();
    assert!(!event.is_set());
    event.set();
    event.set();
    assert!(event.is_set());
    event.clear();
    assert!(!event.is_set());
    static CONST: Event = Event::new();
    assert!(!CONST.is_set());
}

#[test]
fn event_2_and_3_a_set_releases_all_and_a_set_event_does_not_suspend() {
    let event = Event::new();
    // More than are woken in one go.
    let waiting: Vec<_> = (0..100).map(|_| Probe::pending(event.wait())).collect();
    event.set();
    for waiter in waiting {
        assert_eq!(waiter.wakes(), 1);
        waiter.ready();
    }
    Probe::new(event.wait()).ready();
    assert!(event.is_set(), "waiting for it does not use it up");
}

#[test]
fn event_4_set_then_clear_releases_who_waited() {
    let event = Event::new();
    let waiting: Vec<_> = (0..100).map(|_| Probe::pending(event.wait())).collect();
    event.set();
    event.clear();
    let late = Probe::pending(event.wait());
    waiting.into_iter().for_each(Probe::ready);
    assert_eq!(late.wakes(), 0);
}

#[test]
fn event_5_a_wait_that_was_not_polled_was_not_waiting() {
    let event = Event::new();
    let mut early = Probe::new(event.wait());
    event.set();
    event.clear();
    assert!(early.poll().is_pending());
    event.set();
    early.ready();
}

#[test]
fn an_owned_wait_goes_where_it_likes() {
    let event = Arc::new(Event::new());
    let mut wait = Probe::pending(event.clone().wait_owned());
    let waiter = thread::spawn(move || {
        assert!(wait.poll().is_pending());
        wait
    });
    let wait = waiter.join().unwrap();
    event.set();
    assert_eq!(wait.wakes(), 1);
    wait.ready();
}

/// One thread makes work and sets; another clears, looks, and waits. Neither knows when the other does.
#[test]
fn event_6_and_7_no_work_is_missed() {
    const ROUNDS: u32 = 20_000;
    let (made, event) = (AtomicU32::new(0), Event::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                // Relaxed: the event is to carry it over.
                made.store(made.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                event.set();
            }
        });
        scope.spawn(|| {
            loop {
                event.clear();
                // Relaxed: as above.
                if made.load(Ordering::Relaxed) == ROUNDS {
                    break;
                }
                exec::block_on(event.wait());
            }
        });
    });
}

#[test]
fn blocking_waits_are_waiters_like_others() {
    let (event, there) = (Event::new(), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Relaxed: a count.
                there.fetch_add(1, Ordering::Relaxed);
                event.blocking_wait();
            });
        }
        while there.load(Ordering::Relaxed) < 4 {
            thread::yield_now();
        }
        event.set();
    });
}

#[test]
fn waits_go_where_the_values_may_go() {
    fn goes<T: Send>(_: &T) {}
    let (event, barrier) = (Arc::new(Event::new()), filch_sync::Barrier::new(2));
    let (condition, lock) = (filch_sync::Condition::new(), filch_sync::Lock::new(0));
    goes(&event.wait());
    goes(&event.clone().wait_owned());
    goes(&barrier.wait());
    goes(&condition.wait(lock.try_lock().unwrap()));
    goes(&condition.wait_while(lock.try_lock().unwrap(), |_| true));
    goes(&condition.wait_for(lock.try_lock().unwrap(), |_| true));
}
