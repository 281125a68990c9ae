//! The reader-writer lock: readers together, writers alone, in order, whoever goes.
#![cfg(filch_loom)]

use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::{RwLock, WriteGuard};
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

fn read(lock: &RwLock<u32>) -> u32 {
    *wait(Box::pin(lock.read()))
}

fn add_one(lock: &RwLock<u32>) {
    *wait(Box::pin(lock.write())) += 1;
}

/// The value is no atomic: loom sees a writer beside anybody else.
#[test]
fn writers_are_alone() {
    loom::model(|| {
        let lock = Arc::new(RwLock::new(0));
        let writer = {
            let lock = lock.clone();
            thread::spawn(move || add_one(&lock))
        };
        let reader = {
            let lock = lock.clone();
            thread::spawn(move || read(&lock))
        };
        add_one(&lock);
        writer.join().unwrap();
        assert!(reader.join().unwrap() <= 2);
        assert_eq!(*lock.try_write().expect("nobody has it"), 2);
    });
}

/// A lock that guards and waiters of several threads may borrow. Its memory is never freed.
fn leaked() -> &'static RwLock<u32> {
    Box::leak(Box::new(RwLock::new(0)))
}

/// A writer that waits for a reader goes, just as the reader ends: another reader and a writer get in.
#[test]
fn a_writer_that_goes_holds_nobody_up() {
    loom::model(|| {
        let lock = leaked();
        let held = lock.try_read().expect("nobody has it");
        let (_, waker) = Bell::new();
        let mut first = Box::pin(lock.write());
        assert!(poll(&mut first, &waker).is_pending());
        let behind = thread::spawn(move || read(lock));
        let holder = thread::spawn(move || drop(held));
        drop(first);
        add_one(lock);
        assert!(behind.join().unwrap() <= 1);
        holder.join().unwrap();
        assert!(lock.try_write().is_some());
    });
}

/// While one reads on, a writer that waits goes, and so the reader behind it gets in.
#[test]
fn readers_behind_a_writer_that_goes_get_in() {
    loom::model(|| {
        let lock = leaked();
        let held = lock.try_read().expect("nobody has it");
        let (_, waker) = Bell::new();
        let mut first = Box::pin(lock.write());
        assert!(poll(&mut first, &waker).is_pending());
        let behind = thread::spawn(move || read(lock));
        drop(first);
        behind.join().unwrap();
        drop(held);
        assert!(lock.try_write().is_some());
    });
}

/// A writer lets readers in beside it: they read what it wrote, and no writer gets in before it ends. One of
/// those who wait goes meanwhile.
#[test]
fn a_downgrade_lets_in_readers_and_no_writer() {
    loom::model(|| {
        let lock = leaked();
        let mut writing = lock.try_write().expect("nobody has it");
        let (_, waker) = Bell::new();
        let mut goes = Box::pin(lock.read());
        assert!(poll(&mut goes, &waker).is_pending());
        let holder = thread::spawn(move || {
            *writing += 1;
            let reading = WriteGuard::downgrade(writing);
            assert_eq!(*reading, 1);
            drop(reading);
        });
        let writer = thread::spawn(move || add_one(lock));
        drop(goes);
        assert!(read(lock) >= 1);
        holder.join().unwrap();
        writer.join().unwrap();
        assert_eq!(*lock.try_write().expect("nobody has it"), 2);
    });
}

/// A writer ends, which serves the reader that waits. Another, that comes then and has to wait for nobody, sees
/// what was written.
#[test]
fn a_newcomer_sees_what_was_written_before_the_line_was_served() {
    loom::model(|| {
        let lock = leaked();
        let mut writing = lock.try_write().expect("nobody has it");
        let (_, waker) = Bell::new();
        let mut waits = Box::pin(lock.read());
        assert!(poll(&mut waits, &waker).is_pending());
        let newcomer = thread::spawn(move || {
            if let Some(value) = lock.try_read() {
                assert_eq!(*value, 1);
            }
        });
        *writing += 1;
        drop(writing);
        newcomer.join().unwrap();
    });
}

/// A reader ends while a writer waits, which then goes. Who writes next, and has to wait for nobody, does so after
/// that reader.
#[test]
fn a_newcomer_writes_after_those_who_read_before_the_line_emptied() {
    loom::model(|| {
        let lock = leaked();
        let (one, other) = (lock.try_read(), lock.try_read());
        let (_, waker) = Bell::new();
        let mut waits = Box::pin(lock.write());
        assert!(poll(&mut waits, &waker).is_pending());
        let reader = thread::spawn(move || assert_eq!(*one.expect("nobody writes"), 0));
        let leaver = thread::spawn(move || drop(waits));
        let newcomer = thread::spawn(move || {
            if let Some(mut value) = lock.try_write() {
                *value += 1;
            }
        });
        assert_eq!(*other.expect("nobody writes"), 0);
        for other in [reader, leaver, newcomer] {
            other.join().unwrap();
        }
        assert!(lock.try_write().is_some());
    });
}
