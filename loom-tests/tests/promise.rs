//! The promise: a value, or the news that there will be none, reaches whoever waits, and nothing is freed
//! twice, or never.
#![cfg(filch_loom)]

use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::{Abandoned, Promise, Setter, promise};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that a thread can wait for.
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    fn new() -> (std::sync::Arc<Self>, Waker) {
        let bell = std::sync::Arc::new(Self(Mutex::new(false), Condvar::new()));
        (bell.clone(), Waker::from(bell))
    }

    fn wait(&self) {
        let mut rung = self.0.lock();
        while !*rung {
            self.1.wait(&mut rung);
        }
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        *self.0.lock() = true;
        self.1.notify_one();
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Waits on this thread, and checks that no waker stays behind. A wake that is lost is a deadlock, which
/// the model finds.
fn wait<F: Future>(future: F) -> F::Output {
    let (bell, waker) = Bell::new();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.wait(),
        }
    }
}

/// A value that is counted by the model: it fails if one is left over.
fn value() -> Arc<u32> {
    Arc::new(7)
}

type Ends = (Setter<Arc<u32>>, Promise<Arc<u32>>);

#[test]
fn a_value_reaches_who_waits() {
    loom::model(|| {
        let (setter, promise): Ends = promise();
        let other = thread::spawn(move || setter.set(value()).expect("somebody waits"));
        assert_eq!(*wait(promise).expect("it was set"), 7);
        other.join().unwrap();
    });
}

#[test]
fn who_waits_learns_that_there_is_no_value() {
    loom::model(|| {
        let (setter, promise): Ends = promise();
        let other = thread::spawn(move || drop(setter));
        assert!(matches!(wait(promise), Err(Abandoned)));
        other.join().unwrap();
    });
}

/// The value comes back, or it is dropped with the promise; the waker is gone.
#[test]
fn a_promise_is_dropped_as_it_is_fulfilled() {
    loom::model(|| {
        let (setter, mut promise): Ends = promise();
        let (bell, waker) = Bell::new();
        assert!(poll(&mut promise, &waker).is_pending());
        let counted = value();
        let given = counted.clone();
        let other = thread::spawn(move || setter.set(given).is_err());
        drop(promise);
        let came_back = other.join().unwrap();
        let mut counted = counted;
        assert!(Arc::get_mut(&mut counted).is_some(), "came back: {came_back}");
        drop(waker);
        assert_eq!(std::sync::Arc::strong_count(&bell), 1, "no waker stays behind");
    });
}

/// The waker of the last poll is woken, or that poll has the value.
#[test]
fn a_promise_is_polled_with_another_waker_as_it_is_fulfilled() {
    loom::model(|| {
        let (setter, mut promise): Ends = promise();
        let (old, waker) = Bell::new();
        assert!(poll(&mut promise, &waker).is_pending());
        drop(waker);
        let other = thread::spawn(move || setter.set(value()).expect("somebody waits"));
        assert_eq!(*wait(&mut promise).expect("it was set"), 7);
        other.join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&old), 1, "no waker stays behind");
    });
}

/// A value that is taken without waiting for it. The thread of the test is the one that sets: the other only
/// looks, and loom knows of each word only who came last to it, so a load that comes before a load of the
/// thread that then writes is forgotten, and nothing but that one order would be tried.
#[test]
fn whoever_looks_in_between_takes_the_value_once() {
    loom::model(|| {
        let (setter, mut promise): Ends = promise();
        let (_, waker) = Bell::new();
        assert!(poll(&mut promise, &waker).is_pending());
        let other = thread::spawn(move || (promise.try_get(), promise));
        setter.set(value()).expect("somebody waits");
        let (early, mut promise) = other.join().unwrap();
        let late = if early.is_err() { promise.try_get() } else { early };
        assert_eq!(late.map(|value| *value), Ok(7));
    });
}

/// A poll that nobody was woken for, with the waker that is known already, only looks, too.
#[test]
fn a_promise_is_polled_again_as_it_is_fulfilled() {
    loom::model(|| {
        let (setter, mut promise): Ends = promise();
        let (bell, waker) = Bell::new();
        assert!(poll(&mut promise, &waker).is_pending());
        let other = thread::spawn(move || {
            let mut polled = poll(&mut promise, &waker);
            if polled.is_pending() {
                bell.wait();
                polled = poll(&mut promise, &waker);
            }
            assert_eq!(polled.map_ok(|value| *value), Poll::Ready(Ok(7)));
        });
        setter.set(value()).expect("somebody waits");
        other.join().unwrap();
    });
}

#[test]
fn a_setter_that_waits_learns_that_nobody_does() {
    loom::model(|| {
        let (mut setter, promise): Ends = promise();
        let other = thread::spawn(move || drop(promise));
        wait(setter.closed());
        assert!(setter.is_closed());
        assert!(setter.set(value()).is_err());
        other.join().unwrap();
    });
}

/// Both ends wait, and one gives up while the other ends.
#[test]
fn a_setter_gives_up_waiting_as_the_promise_goes() {
    loom::model(|| {
        let (mut setter, mut promise): Ends = promise();
        let (bell, waker) = Bell::new();
        assert!(poll(&mut promise, &waker).is_pending());
        let other = thread::spawn(move || drop(promise));
        let mut closed = setter.closed();
        let _ = poll(&mut closed, &waker);
        drop(closed);
        drop(setter.set(value()));
        other.join().unwrap();
        drop(waker);
        assert_eq!(std::sync::Arc::strong_count(&bell), 1, "no waker stays behind");
    });
}
