//! The watch: the last value reaches whoever waits, and the news that nobody will change it.
#![cfg(filch_loom)]

use filch_atomic::sync::atomic::{AtomicU32, Ordering};
use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::{SendersGone, watch};
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

#[test]
fn a_change_reaches_who_waits_and_then_the_end() {
    loom::model(|| {
        let (sender, mut watch) = watch(0);
        let other = sender.clone();
        let other = thread::spawn(move || other.send(1));
        assert_eq!(wait(watch.changed()), Ok(()));
        assert_eq!(*watch.borrow(), 1);
        other.join().unwrap();
        let other = thread::spawn(move || drop(sender));
        assert_eq!(wait(watch.changed()), Err(SendersGone));
        other.join().unwrap();
    });
}

/// Also what the sender did besides.
#[test]
fn what_was_done_before_a_change_is_seen_after_it() {
    loom::model(|| {
        let (sender, mut watch) = watch(());
        let done = Arc::new(AtomicU32::new(0));
        let mine = done.clone();
        // Relaxed, both: it is the watch that orders them.
        let other = thread::spawn(move || {
            mine.store(1, Ordering::Relaxed);
            sender.send(());
        });
        assert_eq!(wait(watch.changed()), Ok(()));
        assert_eq!(done.load(Ordering::Relaxed), 1);
        other.join().unwrap();
    });
}

/// Of two senders, the value of the one that was last is the last that is seen, and it is seen.
#[test]
fn two_senders_and_nobody_misses_the_last_value() {
    loom::model(|| {
        let (sender, mut watch) = watch(0);
        let senders = [(1, sender.clone()), (2, sender)]
            .map(|(value, sender)| thread::spawn(move || sender.send_modify(|sum| *sum += value)));
        let mut last = 0;
        while wait(watch.changed()).is_ok() {
            let value = *watch.borrow_and_update();
            assert!(value >= last);
            last = value;
        }
        assert_eq!(last, 3);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// A wait is dropped as the value changes: nothing was marked as seen.
#[test]
fn a_wait_that_goes_has_seen_nothing() {
    loom::model(|| {
        let (sender, mut watch) = watch(0);
        let (bell, waker) = Bell::new();
        let other = thread::spawn(move || sender.send(1));
        {
            let mut changed = pin!(watch.changed());
            if changed.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                other.join().unwrap();
                return;
            }
        }
        assert_eq!(wait(watch.changed()), Ok(()));
        other.join().unwrap();
        drop(waker);
        assert_eq!(std::sync::Arc::strong_count(&bell), 1, "no waker stays behind");
    });
}

/// The version that is noted with a value is that of this value.
#[test]
fn a_value_and_its_version_belong_together() {
    loom::model(|| {
        let (sender, mut watch) = watch(0);
        let other = thread::spawn(move || sender.send(1));
        let seen = *watch.borrow_and_update();
        other.join().unwrap();
        assert_eq!(watch.has_changed(), seen == 0);
    });
}

#[test]
fn a_sender_learns_that_nobody_watches() {
    loom::model(|| {
        let (sender, watch) = watch(0);
        let other = thread::spawn(move || drop(watch));
        wait(sender.closed());
        other.join().unwrap();
    });
}
