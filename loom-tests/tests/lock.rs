//! The async lock: one holder at a time, and a grant that reaches somebody whatever becomes of the waiter.
#![cfg(filch_loom)]

use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::Lock;
use std::future::Future;
use std::pin::Pin;
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

fn poll<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

/// Waits on this thread. A wake that is lost is a deadlock, which the model finds.
fn wait<F: Future>(mut future: Pin<Box<F>>) -> F::Output {
    let (bell, waker) = Bell::new();
    loop {
        match poll(&mut future, &waker) {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.wait(),
        }
    }
}

fn add_one(lock: &Lock<u32>) {
    *wait(Box::pin(lock.lock())) += 1;
}

/// The value is no atomic: loom sees two threads that touch it at once.
#[test]
fn three_threads_exclude_each_other() {
    loom::model(|| {
        let lock = Arc::new(Lock::new(0));
        let others = [(); 2].map(|()| {
            let lock = lock.clone();
            thread::spawn(move || add_one(&lock))
        });
        add_one(&lock);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(*lock.try_lock().expect("nobody has it"), 3);
    });
}

/// A lock that guards and waiters of several threads may borrow. Its memory is never freed.
fn leaked() -> &'static Lock<u32> {
    Box::leak(Box::new(Lock::new(0)))
}

/// A waiter is dropped just as the lock is handed to it: it goes to the one behind.
#[test]
fn a_grant_to_a_waiter_that_goes_is_handed_on() {
    loom::model(|| {
        let lock = leaked();
        let mut held = lock.try_lock().expect("nobody has it");
        let (_, waker) = Bell::new();
        let mut first = Box::pin(lock.lock());
        assert!(poll(&mut first, &waker).is_pending());
        let holder = thread::spawn(move || {
            *held += 1;
            drop(held);
        });
        let behind = thread::spawn(move || add_one(lock));
        drop(first);
        holder.join().unwrap();
        behind.join().unwrap();
        assert_eq!(*lock.try_lock().expect("nobody has it"), 2);
    });
}

/// The only waiter is dropped, while the lock is held and a newcomer comes: nobody is left that would serve the
/// line, and nobody needs it.
#[test]
fn a_line_that_empties_leaves_the_lock_to_newcomers() {
    loom::model(|| {
        let lock = leaked();
        let mut held = lock.try_lock().expect("nobody has it");
        let (_, waker) = Bell::new();
        let mut first = Box::pin(lock.lock());
        assert!(poll(&mut first, &waker).is_pending());
        let newcomer = thread::spawn(move || add_one(lock));
        drop(first);
        *held += 1;
        drop(held);
        newcomer.join().unwrap();
        assert_eq!(*lock.try_lock().expect("nobody has it"), 2);
    });
}

/// A waiter is polled with another waker just as it is granted the lock: that waker is woken, or that poll
/// has it.
#[test]
fn the_waker_of_the_last_poll_is_woken() {
    loom::model(|| {
        let lock = leaked();
        let mut held = lock.try_lock().expect("nobody has it");
        let (_, old) = Bell::new();
        let mut acquire = Box::pin(lock.lock());
        assert!(poll(&mut acquire, &old).is_pending());
        let holder = thread::spawn(move || {
            *held += 1;
            drop(held);
        });
        *wait(acquire) += 1;
        holder.join().unwrap();
        assert_eq!(*lock.try_lock().expect("nobody has it"), 2);
    });
}

/// Whoever comes gets the lock only when nobody has it or was granted it.
#[test]
fn nobody_gets_in_between() {
    loom::model(|| {
        let lock = leaked();
        let mut held = lock.try_lock().expect("nobody has it");
        let (bell, waker) = Bell::new();
        let mut first = Box::pin(lock.lock());
        assert!(poll(&mut first, &waker).is_pending());
        let intruder = thread::spawn(move || {
            if let Some(mut value) = lock.try_lock() {
                assert_eq!(*value, 2, "it got in before the one that waited");
                *value += 1;
            }
        });
        let holder = thread::spawn(move || {
            *held += 1;
            drop(held);
        });
        bell.wait();
        match poll(&mut first, &waker) {
            Poll::Ready(mut value) => *value += 1,
            Poll::Pending => panic!("who was woken has it"),
        }
        holder.join().unwrap();
        intruder.join().unwrap();
        assert!(lock.try_lock().is_some());
    });
}
