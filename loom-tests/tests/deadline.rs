//! A timeout whose deadline is moved: timer fire x reschedule x poll x drop (`crates/sched/src/timer/deadline.rs`).
//!
//! Time stands still in a model: the expirer is told a time at which the deadline has passed, or has not.
#![cfg(filch_loom)]

use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::sync::{Arc, Mutex};
use filch_atomic::thread;
use filch_loom_tests::check;
use filch_sched::clock::Clock;
use filch_sched::set_timers;
use filch_sched::timer::{Deadline, TimeoutScope, Timers, timeout_scope_at};
use std::future::{Future, Pending, pending};
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Far from where the clock stands, whatever that is.
const HOUR: Duration = Duration::from_secs(3600);

/// A waker that counts, with an atomic of the model; the `Arc` is std's, as a `Waker` wants it.
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A task in the hands of its model.
struct Desk {
    timers: Arc<Timers>,
    base: Instant,
    woken: std::sync::Arc<Count>,
    seen: usize,
}

type Scope = Pin<Box<TimeoutScope<Pending<()>>>>;

impl Desk {
    fn new() -> Self {
        let timers = Timers::new(Clock::real(), || {});
        set_timers(Some(timers.clone()));
        let woken = std::sync::Arc::new(Count(AtomicUsize::new(0)));
        Self { timers, base: Instant::now(), woken, seen: 0 }
    }

    /// A scope with that deadline, and the handle.
    fn scope(&self, when: Option<Instant>) -> (Scope, Deadline) {
        let kept = Arc::new(Mutex::new(None));
        let given = kept.clone();
        let scope = Box::pin(timeout_scope_at(when, |deadline| {
            *given.lock() = Some(deadline);
            pending::<()>()
        }));
        let deadline = kept.lock().take().unwrap();
        (scope, deadline)
    }

    fn poll<F: Future>(&self, scope: &mut Pin<Box<F>>) -> Poll<F::Output> {
        scope.as_mut().poll(&mut Context::from_waker(&Waker::from(self.woken.clone())))
    }

    /// Polls it as often as it was woken: as an executor does.
    fn run<F: Future>(&mut self, scope: &mut Pin<Box<F>>) -> Poll<F::Output> {
        loop {
            let woken = self.woken.0.load(Ordering::SeqCst);
            if woken == self.seen {
                return Poll::Pending;
            }
            self.seen = woken;
            if let Poll::Ready(result) = self.poll(scope) {
                return Poll::Ready(result);
            }
            // A poll that meets a wake in progress wakes itself, until that is through.
            thread::yield_now();
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        set_timers(None);
    }
}

fn expire(timers: &Timers, now: Instant) {
    let mut scratch = Vec::new();
    while timers.expire(now, &mut scratch).more {}
}

/// Who puts the deadline off in time is believed, and nobody else.
#[test]
fn fire_and_put_off() {
    check(2, || {
        let mut desk = Desk::new();
        let base = desk.base;
        let (mut scope, deadline) = desk.scope(Some(base + HOUR));
        assert!(desk.poll(&mut scope).is_pending());
        let expirer = thread::spawn({
            let timers = desk.timers.clone();
            move || expire(&timers, base + 2 * HOUR)
        });
        let mover = thread::spawn({
            let deadline = deadline.clone();
            move || deadline.reschedule(base + 3 * HOUR)
        });
        let mut polled = desk.run(&mut scope);
        expirer.join().unwrap();
        let moved = mover.join().unwrap();
        if polled.is_pending() {
            polled = desk.run(&mut scope);
        }
        assert_eq!(deadline.expired(), !moved);
        if !moved {
            assert!(matches!(polled, Poll::Ready(Err(_))));
            return;
        }
        assert!(polled.is_pending(), "it was put off");
        expire(&desk.timers, base + 4 * HOUR);
        assert!(matches!(desk.run(&mut scope), Poll::Ready(Err(_))), "but not for ever");
    });
}

/// A deadline that is set, or drawn nearer, while the scope goes to sleep is kept.
#[test]
fn set_while_it_goes_to_sleep() {
    check(2, || {
        let mut desk = Desk::new();
        let base = desk.base;
        let (mut scope, deadline) = desk.scope(None);
        let mover = thread::spawn(move || assert!(deadline.reschedule(base + HOUR)));
        assert!(desk.poll(&mut scope).is_pending());
        mover.join().unwrap();
        assert!(desk.run(&mut scope).is_pending());
        expire(&desk.timers, base + 2 * HOUR);
        assert!(matches!(desk.run(&mut scope), Poll::Ready(Err(_))));
    });
}

/// A scope that is dropped leaves no timer behind, and cannot be put off.
#[test]
fn dropped_meanwhile() {
    check(2, || {
        let desk = Desk::new();
        let base = desk.base;
        let (mut scope, deadline) = desk.scope(Some(base + HOUR));
        assert!(desk.poll(&mut scope).is_pending());
        let expirer = thread::spawn({
            let timers = desk.timers.clone();
            move || expire(&timers, base + 2 * HOUR)
        });
        let mover = thread::spawn({
            let deadline = deadline.clone();
            move || deadline.reschedule(base + 3 * HOUR)
        });
        drop(scope);
        assert!(!deadline.reschedule(None), "it is over");
        expirer.join().unwrap();
        mover.join().unwrap();
        assert!(!deadline.expired(), "nobody has found it so");
        assert!(desk.timers.is_empty());
        assert_eq!(std::sync::Arc::strong_count(&desk.woken), 1, "its task is not kept");
    });
}

/// Of two in one another that end at the same moment the outer one says so, unless it was put off in time: then the
/// inner one does. Never neither.
#[test]
fn of_two_the_outer_one_is_put_off() {
    check(2, || {
        let mut desk = Desk::new();
        let base = desk.base;
        let kept = Arc::new(Mutex::new(None));
        let given = kept.clone();
        let mut outer = Box::pin(timeout_scope_at(base + HOUR, |deadline| {
            *given.lock() = Some(deadline);
            timeout_scope_at(base + HOUR, |_| pending::<()>())
        }));
        let deadline = kept.lock().take().unwrap();
        assert!(desk.poll(&mut outer).is_pending());
        let mover = thread::spawn({
            let deadline = deadline.clone();
            move || deadline.reschedule(base + 3 * HOUR)
        });
        expire(&desk.timers, base + 2 * HOUR);
        let mut polled = desk.run(&mut outer);
        let moved = mover.join().unwrap();
        if polled.is_pending() {
            polled = desk.run(&mut outer);
        }
        assert_eq!(deadline.expired(), !moved);
        match polled {
            Poll::Ready(Ok(inner)) => assert!(moved && inner.is_err(), "the inner one, by itself"),
            Poll::Ready(Err(_)) => assert!(!moved, "the outer one"),
            Poll::Pending => panic!("nobody ends"),
        }
    });
}
