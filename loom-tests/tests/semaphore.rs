//! The semaphore: permits that are neither lost nor given twice, and a line that nobody passes.
#![cfg(filch_loom)]

use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::Semaphore;
use std::future::Future;
use std::mem;
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

/// A semaphore that permits and waiters of several threads may borrow. Its memory is never freed.
fn leaked(permits: usize) -> &'static Semaphore {
    Box::leak(Box::new(Semaphore::new(permits)))
}

/// Of two permits, one wants both and two want one each: never more than two are inside.
#[test]
fn no_permit_is_given_twice_and_none_is_lost() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let inside = Arc::new(AtomicUsize::new(0));
        let enter = |permits: usize| {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            move || {
                let permit = wait(Box::pin(semaphore.acquire_many(permits))).unwrap();
                // Relaxed: the counts are all that is looked at.
                assert!(inside.fetch_add(permits, Ordering::Relaxed) + permits <= 2);
                inside.fetch_sub(permits, Ordering::Relaxed);
                drop(permit);
            }
        };
        let others = [thread::spawn(enter(1)), thread::spawn(enter(1))];
        enter(2)();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(semaphore.available_permits(), 2);
        assert!(!semaphore.is_exhausted());
    });
}

/// The first in line wants both permits, and is dropped while both are given back one by one: a newcomer that
/// wants one gets it, from whomever.
#[test]
fn a_waiter_that_goes_holds_nobody_up() {
    loom::model(|| {
        let semaphore = leaked(2);
        let mut held = semaphore.try_acquire_many(2).expect("both are free");
        let (_, waker) = Bell::new();
        let mut large = Box::pin(semaphore.acquire_many(2));
        assert!(poll(&mut large, &waker).is_pending());
        let holder = thread::spawn(move || {
            drop(held.split(1));
            drop(held);
        });
        let newcomer = thread::spawn(move || {
            drop(wait(Box::pin(semaphore.acquire())).expect("it is not closed"));
        });
        drop(large);
        holder.join().unwrap();
        newcomer.join().unwrap();
        assert_eq!(semaphore.available_permits(), 2);
        assert!(!semaphore.is_exhausted());
    });
}

/// One permit is kept. The first in line wants both, and goes: the one behind it wants the one that is free.
#[test]
fn those_behind_a_waiter_that_goes_are_served() {
    loom::model(|| {
        let semaphore = leaked(2);
        let kept = semaphore.try_acquire().expect("it is free");
        let (_, waker) = Bell::new();
        let mut large = Box::pin(semaphore.acquire_many(2));
        assert!(poll(&mut large, &waker).is_pending());
        let behind = thread::spawn(move || {
            drop(wait(Box::pin(semaphore.acquire())).expect("it is not closed"));
        });
        drop(large);
        behind.join().unwrap();
        drop(kept);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

/// Two permits are given back at once: both who wait get one, and neither has to end for the other.
#[test]
fn one_release_serves_several() {
    loom::model(|| {
        let semaphore = leaked(2);
        let held = semaphore.try_acquire_many(2).expect("both are free");
        let holder = thread::spawn(move || drop(held));
        let other = thread::spawn(move || wait(Box::pin(semaphore.acquire())).map(mem::forget));
        let mine = wait(Box::pin(semaphore.acquire())).expect("it is not closed");
        other.join().unwrap().expect("it is not closed");
        holder.join().unwrap();
        drop(mine);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// Nobody who comes later gets what the first in line waits for.
#[test]
fn nobody_is_passed() {
    loom::model(|| {
        let semaphore = leaked(2);
        let mut held = semaphore.try_acquire_many(2).expect("both are free");
        let (bell, waker) = Bell::new();
        let mut large = Box::pin(semaphore.acquire_many(2));
        assert!(poll(&mut large, &waker).is_pending());
        let served = Arc::new(AtomicUsize::new(0));
        let newcomer = {
            let served = served.clone();
            thread::spawn(move || {
                if let Ok(permit) = semaphore.try_acquire() {
                    // Relaxed: the permit orders it.
                    assert_eq!(served.load(Ordering::Relaxed), 1, "it passed the one in line");
                    drop(permit);
                }
            })
        };
        let holder = thread::spawn(move || {
            drop(held.split(1));
            drop(held);
        });
        bell.wait();
        let Poll::Ready(permit) = poll(&mut large, &waker) else { panic!("who was woken has it") };
        served.store(1, Ordering::Relaxed);
        drop(permit);
        newcomer.join().unwrap();
        holder.join().unwrap();
        assert_eq!(semaphore.available_permits(), 2);
    });
}

/// Closed while one waits and one gives back: the waiter gets its permit or hears of it.
#[test]
fn closing_reaches_who_waits() {
    loom::model(|| {
        let semaphore = leaked(1);
        let held = semaphore.try_acquire().expect("it is free");
        let waits = thread::spawn(move || wait(Box::pin(semaphore.acquire())).map(drop));
        let holder = thread::spawn(move || drop(held));
        semaphore.close();
        let _ = waits.join().unwrap();
        holder.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
        assert!(semaphore.try_acquire().is_err());
    });
}
