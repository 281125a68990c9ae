//! The event: set x clear x wait x cancel, and nobody waits who need not.
#![cfg(filch_loom)]

mod waiting;

use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicU32, Ordering};
use filch_atomic::thread;
use filch_sync::Event;
use waiting::{Waiting, leaked, wait};

/// EVENT-3, EVENT-6: a set meets a wait at each of its steps, and what came before it is visible.
#[test]
fn a_set_releases_whoever_waits() {
    loom::model(|| {
        let (event, value) = (leaked(Event::new()), Arc::new(AtomicU32::new(0)));
        let waiters = [(); 2].map(|()| {
            let value = value.clone();
            thread::spawn(move || {
                wait(event.wait());
                // Relaxed: the event orders it.
                assert_eq!(value.load(Ordering::Relaxed), 1);
            })
        });
        // Relaxed: as above.
        value.store(1, Ordering::Relaxed);
        event.set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

/// EVENT-4: who waits is released by a set that is cleared at once; one that goes meanwhile is no obstacle.
#[test]
fn who_waited_is_released_though_it_is_cleared() {
    loom::model(|| {
        let event = leaked(Event::new());
        let mut stays = Waiting::new(event.wait());
        let mut goes = Waiting::new(event.wait());
        assert!(goes.poll().is_pending());
        assert!(stays.poll().is_pending());
        let setter = thread::spawn(move || {
            event.set();
            event.clear();
        });
        drop(goes);
        stays.wait();
        setter.join().unwrap();
        assert!(!event.is_set());
    });
}

/// EVENT-5: whoever comes after the clear is not released by the set before it, however long that set takes
/// to tell the others.
#[test]
fn who_comes_after_the_clear_waits() {
    loom::model(|| {
        let event = leaked(Event::new());
        let mut early = Waiting::new(event.wait());
        assert!(early.poll().is_pending());
        let setter = thread::spawn(move || event.set());
        // Until the set has begun to be visible.
        while !event.is_set() {
            thread::yield_now();
        }
        event.clear();
        let mut late = Waiting::new(event.wait());
        assert!(late.poll().is_pending());
        setter.join().unwrap();
        assert!(late.poll().is_pending(), "it was cleared before");
        early.wait();
        event.set();
        late.wait();
    });
}

/// EVENT-7: clear, look, wait. The producer's set may find the event set by somebody else.
#[test]
fn clear_look_wait_misses_nothing() {
    loom::model(|| {
        let (event, work) = (leaked(Event::new()), Arc::new(AtomicU32::new(0)));
        event.set();
        let producer = {
            let work = work.clone();
            thread::spawn(move || {
                // Relaxed: the event orders it.
                work.store(1, Ordering::Relaxed);
                event.set();
            })
        };
        loop {
            event.clear();
            // Relaxed: as above.
            if work.load(Ordering::Relaxed) == 1 {
                break;
            }
            wait(event.wait());
        }
        producer.join().unwrap();
    });
}

/// EVENT-7, with two producers, of whom one may set what the other has just set.
#[test]
fn two_who_set_are_both_seen() {
    loom::model(|| {
        let event = leaked(Event::new());
        let work = [(); 2].map(|()| Arc::new(AtomicU32::new(0)));
        let producers = work.clone().map(|work| {
            thread::spawn(move || {
                // Relaxed: the event orders it.
                work.store(1, Ordering::Relaxed);
                event.set();
            })
        });
        loop {
            event.clear();
            // Relaxed: as above.
            if work.iter().all(|work| work.load(Ordering::Relaxed) == 1) {
                break;
            }
            wait(event.wait());
        }
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

/// EVENT-7, when a third is in the midst of a set, and another set has come and gone meanwhile.
#[test]
fn a_set_between_two_others_is_seen() {
    loom::model(|| {
        let (event, work) = (leaked(Event::new()), Arc::new(AtomicU32::new(0)));
        let slow = thread::spawn(move || event.set());
        let producer = {
            let work = work.clone();
            thread::spawn(move || {
                // Relaxed: the event orders it.
                work.store(1, Ordering::Relaxed);
                event.set();
            })
        };
        event.set();
        loop {
            event.clear();
            // Relaxed: as above.
            if work.load(Ordering::Relaxed) == 1 {
                break;
            }
            wait(event.wait());
        }
        slow.join().unwrap();
        producer.join().unwrap();
    });
}
