//! The waker cell: a task that registers and then looks, against threads that announce and then
//! wake. No wake is lost, and the waker is never touched by two threads at once.
#![cfg(filch_loom)]

use std::sync::Arc as StdArc;
use std::sync::atomic::AtomicUsize as StdAtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Wake, Waker};

use filch_atomic::WakerCell;
use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use filch_atomic::thread;

/// Counts its wakes outside the model: the count is no part of the protocol.
#[derive(Default)]
struct Wakes(StdAtomicUsize);

impl Wake for Wakes {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Wakes {
    fn waker() -> (StdArc<Self>, Waker) {
        let wakes = StdArc::new(Self::default());
        (wakes.clone(), Waker::from(wakes))
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

#[derive(Default)]
struct Shared {
    cell: WakerCell,
    happened: AtomicBool,
}

impl Shared {
    /// Relaxed: what makes it visible to the task is the cell, which is what is tried here.
    fn announce_and_wake(&self) {
        self.happened.store(true, Ordering::Relaxed);
        self.cell.wake();
    }

    /// One poll: register, then look.
    fn poll(&self, waker: &Waker) -> bool {
        self.cell.register(waker);
        self.happened.load(Ordering::Relaxed)
    }
}

#[test]
fn register_then_look_misses_no_wake() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let other = shared.clone();
        let thread = thread::spawn(move || other.announce_and_wake());

        let (wakes, waker) = Wakes::waker();
        let seen = shared.poll(&waker);
        thread.join().unwrap();
        assert!(seen || wakes.count() == 1, "the task neither saw it nor was woken");
    });
}

#[test]
fn the_newest_waker_is_woken() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let (_, old) = Wakes::waker();
        shared.cell.register(&old);
        let other = shared.clone();
        let thread = thread::spawn(move || other.announce_and_wake());

        let (wakes, waker) = Wakes::waker();
        let seen = shared.poll(&waker);
        thread.join().unwrap();
        assert!(seen || wakes.count() == 1, "the old waker was woken for the new one");
    });
}

#[test]
fn two_wakes_at_once_wake_the_task() {
    loom::model(|| {
        let shared = Arc::new(Shared::default());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let other = shared.clone();
                thread::spawn(move || other.announce_and_wake())
            })
            .collect();

        let (wakes, waker) = Wakes::waker();
        let seen = shared.poll(&waker);
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(seen || wakes.count() > 0, "the task neither saw it nor was woken");
    });
}
