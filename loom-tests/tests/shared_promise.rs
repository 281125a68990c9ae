//! The shared promise: all who await it get the one value, or the news that there will be none.
#![cfg(filch_loom)]

use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::{Abandoned, SharedPromise, SharedSetter, shared_promise};
use std::future::Future;
use std::pin::pin;
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

/// Waits on this thread. A wake that is lost is a deadlock, which the model finds.
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

type Ends = (SharedSetter<Arc<u32>>, SharedPromise<Arc<u32>>);

#[test]
fn all_who_wait_get_the_value() {
    loom::model(|| {
        let (setter, promise): Ends = shared_promise();
        let another = promise.clone();
        let another =
            thread::spawn(move || assert_eq!(**wait(another.get()).expect("it was set"), 7));
        let setter = thread::spawn(move || assert!(setter.set(value()).is_ok()));
        assert_eq!(**wait(promise.get()).expect("it was set"), 7);
        another.join().unwrap();
        setter.join().unwrap();
    });
}

#[test]
fn all_who_wait_learn_that_there_is_no_value() {
    loom::model(|| {
        let (setter, promise): Ends = shared_promise();
        let setter = thread::spawn(move || drop(setter));
        assert!(matches!(wait(promise.get()), Err(Abandoned)));
        setter.join().unwrap();
    });
}

/// One gives up as the value comes, which does not disturb the other.
#[test]
fn one_gives_up_and_the_other_gets_it() {
    loom::model(|| {
        let (setter, promise): Ends = shared_promise();
        let another = promise.clone();
        let another =
            thread::spawn(move || assert_eq!(**wait(another.get()).expect("it was set"), 7));
        let (bell, waker) = Bell::new();
        {
            let mut given_up = pin!(promise.get());
            assert!(given_up.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            let setter = thread::spawn(move || assert!(setter.set(value()).is_ok()));
            drop(setter);
        }
        another.join().unwrap();
        drop(waker);
        drop(bell);
    });
}

/// The value comes back or is dropped with the promises, and whoever waits for the end learns of it.
#[test]
fn the_last_promise_goes_as_it_is_fulfilled() {
    loom::model(|| {
        let (mut setter, promise): Ends = shared_promise();
        let another = promise.clone();
        let one = thread::spawn(move || drop(promise));
        let other = thread::spawn(move || drop(another));
        wait(setter.closed());
        assert!(setter.set(value()).is_err());
        one.join().unwrap();
        other.join().unwrap();
    });
}
