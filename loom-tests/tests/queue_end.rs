//! The end of a queue: what was put before it is got or dropped, once, and nobody waits for ever.
#![cfg(filch_loom)]

use filch_atomic::sync::{Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::Queue;
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

/// Everything that comes, until the end.
fn drain(queue: &Queue<u32>) -> Vec<u32> {
    std::iter::from_fn(|| wait(pin!(queue.get())).ok().map(|lease| lease.into_inner())).collect()
}

/// One is there, one waits for room, somebody drains, and the queue is shut down: the second is got, or
/// given back.
#[test]
fn a_shutdown_lets_what_is_there_be_got() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        queue.try_put(1).unwrap();
        let putter = {
            let queue = queue.clone();
            thread::spawn(move || match wait(pin!(queue.put(2))) {
                Ok(()) => vec![1, 2],
                Err(failed) => {
                    assert_eq!(failed.into_inner(), 2);
                    vec![1]
                }
            })
        };
        let getter = {
            let queue = queue.clone();
            thread::spawn(move || drain(&queue))
        };
        queue.shutdown();
        assert_eq!(getter.join().unwrap(), putter.join().unwrap());
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    });
}

/// Two getters wait when the queue is shut down.
#[test]
fn a_shutdown_releases_everybody() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        let getters = [(); 2].map(|()| {
            let queue = queue.clone();
            thread::spawn(move || drain(&queue).len())
        });
        queue.try_put(1).unwrap();
        queue.shutdown();
        let got: usize = getters.map(|getter| getter.join().unwrap()).iter().sum();
        assert_eq!(got, 1);
    });
}

/// Nobody makes room any more.
#[test]
fn a_shutdown_fails_those_who_wait_for_room() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        queue.try_put(1).unwrap();
        let putters = [2, 3].map(|item| {
            let queue = queue.clone();
            thread::spawn(move || {
                let failed = wait(pin!(queue.put(item))).unwrap_err();
                assert_eq!(failed.into_inner(), item);
            })
        });
        queue.shutdown();
        for putter in putters {
            putter.join().unwrap();
        }
    });
}

/// A getter that was promised the last item goes while the queue drains: the one behind has it.
#[test]
fn the_end_has_come_only_when_nothing_is_left() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        let (_, waker) = Bell::new();
        let mut first = Box::pin(queue.get());
        assert!(poll(first.as_mut(), &waker).is_pending());
        queue.try_put(1).unwrap();
        let behind = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(drain(&queue), [1]))
        };
        let ender = {
            let queue = queue.clone();
            thread::spawn(move || queue.shutdown())
        };
        drop(first);
        ender.join().unwrap();
        behind.join().unwrap();
    });
}

/// A slot is used, or dropped, while the queue drains.
#[test]
fn a_slot_holds_the_end_up() {
    for used in [true, false] {
        loom::model(move || {
            let queue = Queue::bounded(1);
            let slot = queue.try_reserve().unwrap();
            let getter = {
                let queue = queue.clone();
                thread::spawn(move || drain(&queue).len())
            };
            let owner = thread::spawn(move || if used { slot.put(1) } else { drop(slot) });
            queue.shutdown();
            assert_eq!(getter.join().unwrap(), usize::from(used));
            owner.join().unwrap();
        });
    }
}

/// A getter, a putter, and a shutdown at once: each item is put and then got or dropped, or given back.
#[test]
fn a_shutdown_at_once_leaves_nothing() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        queue.try_put(1).unwrap();
        let putter = {
            let queue = queue.clone();
            thread::spawn(move || wait(pin!(queue.put(2))).is_ok())
        };
        let getter = {
            let queue = queue.clone();
            thread::spawn(move || drain(&queue))
        };
        queue.shutdown_now();
        wait(pin!(queue.join()));
        let (got, put) = (getter.join().unwrap(), putter.join().unwrap());
        assert!([&[][..], &[1], &[1, 2]].contains(&&got[..]) && (put || got.len() < 2));
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    });
}
