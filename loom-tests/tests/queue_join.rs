//! The count of unfinished work: who takes it to nothing releases those who waited for that, and no others.
#![cfg(filch_loom)]

use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::Queue;
use loom::cell::UnsafeCell;
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

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Waits on this thread. A wake that is lost is a deadlock, which the model finds.
fn wait<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let (bell, waker) = Bell::new();
    loop {
        match poll(future.as_mut(), &waker) {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.wait(),
        }
    }
}

/// A cell that one thread writes and another reads, with nothing between them but the join.
struct Work(UnsafeCell<bool>);

// SAFETY: for loom, which finds it out if two threads are at it at once.
unsafe impl Sync for Work {}

/// Two do their work, one waits for both: it sees what they did.
#[test]
fn a_join_sees_all_work_done() {
    loom::model(|| {
        let queue = Queue::unbounded();
        let workers = [(); 2].map(|()| {
            let work = Arc::new(Work(UnsafeCell::new(false)));
            queue.try_put(work.clone()).unwrap();
            let lease = queue.try_get().unwrap();
            let thread = thread::spawn(move || {
                // SAFETY: nobody else looks before the lease is given back.
                lease.0.with_mut(|done| unsafe { *done = true });
                drop(lease);
            });
            (work, thread)
        });
        wait(pin!(queue.join()));
        for (work, thread) in workers {
            // SAFETY: the work is done.
            assert!(work.0.with(|done| unsafe { *done }));
            thread.join().unwrap();
        }
    });
}

/// A joiner goes while another waits and the last work is done.
#[test]
fn a_joiner_that_goes_takes_nobody_along() {
    loom::model(|| {
        let queue = Queue::unbounded();
        queue.try_put(1).unwrap();
        let lease = queue.try_get().unwrap();
        let (_, waker) = Bell::new();
        let mut first = Box::pin(queue.join());
        assert!(poll(first.as_mut(), &waker).is_pending());
        let other = {
            let queue = queue.clone();
            thread::spawn(move || wait(pin!(queue.join())))
        };
        let worker = thread::spawn(move || drop(lease));
        drop(first);
        other.join().unwrap();
        worker.join().unwrap();
        assert_eq!(queue.unfinished(), 0);
    });
}

/// The count may come to nothing just before a second item is put: who joins after that waits for that item
/// all the same.
#[test]
fn who_comes_late_waits_for_the_rest() {
    loom::model(|| {
        let queue = Queue::unbounded();
        queue.try_put(1).unwrap();
        let first = queue.try_get().unwrap();
        let early = {
            let queue = queue.clone();
            thread::spawn(move || wait(pin!(queue.join())))
        };
        let worker = thread::spawn(move || drop(first));
        queue.try_put(2).unwrap();
        let second = queue.try_get().unwrap();
        let (_, waker) = Bell::new();
        let mut join = pin!(queue.join());
        assert!(poll(join.as_mut(), &waker).is_pending());
        worker.join().unwrap();
        assert!(poll(join.as_mut(), &waker).is_pending());
        drop(second);
        wait(join);
        early.join().unwrap();
    });
}

/// What was put and what is done are two counts: whoever looks while both go up sees no more done than put.
#[test]
fn nobody_sees_more_done_than_put() {
    loom::model(|| {
        let queue = Queue::unbounded();
        let looker = {
            let queue = queue.clone();
            thread::spawn(move || assert!(queue.unfinished() <= 2))
        };
        for item in 0..2 {
            queue.try_put(item).unwrap();
            drop(queue.try_get().unwrap());
        }
        looker.join().unwrap();
        assert_eq!(queue.unfinished(), 0);
    });
}
