//! A completion queue between its owner and a rescuer (`filch_uring::rescue`, S5, D2).
#![cfg(filch_loom)]

use filch_loom_tests::ops::{Probe, SUCCESS};
use filch_uring::cell::{Home, Owner};
use filch_uring::rescue::{Completion, CqLock, OWN, Queue, deliver};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use loom::thread;
use std::collections::VecDeque;
use std::task::Waker;

/// The driver's own: a read that ends the owner's sleep.
const EVENT: u64 = OWN + 1;

/// A queue whose kernel is whoever posts. Entries are numbers; two that drain at once are a race, which
/// loom reports.
struct Ring {
    head: AtomicU32,
    tail: AtomicU32,
    entries: [UnsafeCell<u64>; 4],
}

#[derive(Clone)]
struct Fake(Arc<Ring>);

impl Fake {
    fn new() -> Self {
        let entries = std::array::from_fn(|_| UnsafeCell::new(0));
        Self(Arc::new(Ring { head: AtomicU32::new(0), tail: AtomicU32::new(0), entries }))
    }

    /// The kernel's side, on one thread.
    fn post(&self, user_data: u64) {
        let tail = self.0.tail.load(Ordering::Relaxed);
        // SAFETY: beyond the tail nobody reads, and one thread posts; the model checks it.
        self.0.entries[tail as usize].with_mut(|entry| unsafe { *entry = user_data });
        self.0.tail.store(tail + 1, Ordering::Release);
    }

    /// What the kernel compares with the number it was told to wait for.
    fn there(&self) -> u32 {
        self.0.tail.load(Ordering::Acquire) - self.0.head.load(Ordering::Acquire)
    }
}

impl Queue for Fake {
    fn completions(&self) -> u32 {
        self.there()
    }

    unsafe fn drain(&self, mut each: impl FnMut(Completion)) {
        let mut head = self.0.head.load(Ordering::Relaxed);
        let tail = self.0.tail.load(Ordering::Acquire);
        while head != tail {
            // Written as well as read, so that two readers are a race.
            // SAFETY: the caller holds the queue (who holds its lock); the model checks it.
            let take = |entry: *mut u64| unsafe { std::mem::replace(&mut *entry, u64::MAX) };
            let user_data = self.0.entries[head as usize].with_mut(take);
            each(Completion { user_data, result: SUCCESS, more: false });
            head += 1;
        }
        self.0.head.store(head, Ordering::Release);
    }
}

fn lock() -> (Arc<CqLock<Fake>>, Fake) {
    let (cq, queue) = (Arc::new(CqLock::new()), Fake::new());
    cq.open_with(queue.clone());
    (cq, queue)
}

/// Whatever a rescuer takes and the owner reaps is together what the kernel posted, each once, and each
/// side has it in order.
#[test]
fn each_completion_is_taken_once() {
    loom::model(|| {
        let (cq, queue) = lock();
        queue.post(1);
        queue.post(EVENT);
        let rescuer = thread::spawn({
            let cq = cq.clone();
            move || {
                let mut batch = Vec::new();
                cq.take(&mut batch, |_| ());
                cq.credit(batch.len());
                batch
            }
        });
        let mut reaped = VecDeque::new();
        let mut in_flight = 4 - cq.reap(&mut reaped);
        queue.post(2);
        queue.post(3);
        let rescued = rescuer.join().unwrap();
        in_flight -= cq.reap(&mut reaped);
        let reaped: Vec<_> = reaped.iter().map(|completion| completion.user_data).collect();
        let rescued: Vec<_> = rescued.iter().map(|completion| completion.user_data).collect();
        assert!(!rescued.contains(&EVENT), "the owner's own to see to");
        let operations: Vec<_> = reaped.iter().copied().filter(|which| *which < OWN).collect();
        assert!(operations.is_sorted() && rescued.is_sorted());
        let mut all = [reaped.clone(), rescued].concat();
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, EVENT]);
        assert_eq!(
            in_flight - reaped.len(),
            0,
            "what a rescuer completed is not in flight any more"
        );
    });
}

/// The owner goes to sleep only if the kernel will wake it: its wake-up is in the queue when it enters, or
/// it is told that a rescuer set it aside.
#[test]
fn a_wake_up_that_was_set_aside_is_not_waited_for() {
    loom::model(|| {
        let (cq, queue) = lock();
        queue.post(EVENT);
        let rescuer = thread::spawn({
            let cq = cq.clone();
            move || cq.take(&mut Vec::new(), |_| ()).is_some()
        });
        let there = cq.shut();
        if !there.set_aside {
            // Inside the kernel: it counts what is there, and sleeps for ever if that is nothing.
            assert_eq!(queue.there(), 1, "deaf");
        }
        cq.open();
        rescuer.join().unwrap();
        let mut reaped = VecDeque::new();
        cq.reap(&mut reaped);
        assert_eq!(reaped.len(), 1);
    });
}

/// A number that the owner tells the kernel stays true until the call is over: a turn never sleeps.
#[test]
fn what_the_owner_counted_stays() {
    loom::model(|| {
        let (cq, queue) = lock();
        queue.post(1);
        queue.post(2);
        let rescuer = thread::spawn({
            let cq = cq.clone();
            move || {
                let mut batch = Vec::new();
                let taken = cq.take(&mut batch, |_| ());
                cq.credit(batch.len());
                taken.map_or(0, |(taken, ())| taken)
            }
        });
        let there = cq.shut();
        thread::yield_now();
        assert!(queue.there() >= there.completions, "the kernel would wait");
        cq.open();
        let mut reaped = VecDeque::new();
        let early = cq.reap(&mut reaped);
        let taken = rescuer.join().unwrap();
        assert_eq!(taken + reaped.len(), 2);
        assert_eq!(early + cq.reap(&mut reaped), taken);
    });
}

/// A shutdown that waits until nothing is in flight waits for what a rescuer has in hand. After it the
/// queue is gone, and a late rescuer finds none.
#[test]
fn a_shutdown_waits_for_the_rescuer() {
    loom::model(|| {
        let home = Home::for_model();
        let owner = Owner::new(home.clone());
        let disposed = Arc::new(AtomicUsize::new(0));
        let handle = owner.fill(Probe::new(disposed.clone()), Waker::noop().clone());
        let key = handle.key();
        handle.abandon(Some(&owner));
        let (cq, queue) = lock();
        queue.post(key.user_data());
        let rescuer = thread::spawn({
            let cq = cq.clone();
            move || {
                let mut batch = Vec::new();
                cq.take(&mut batch, |_| ());
                deliver(&home, &cq, batch);
            }
        });
        let mut in_flight = 1;
        let mut batch = VecDeque::new();
        while in_flight > 0 {
            in_flight -= cq.reap(&mut batch);
            if let Some(completion) = batch.pop_front() {
                in_flight -= 1;
                // SAFETY: reaped, and completed once.
                unsafe { owner.complete(key, completion.result) };
            }
            if in_flight > 0 {
                assert!(cq.is_in_hand() || cq.has_left() || disposed.load(Ordering::SeqCst) == 1);
                thread::yield_now();
            }
        }
        assert_eq!(disposed.load(Ordering::SeqCst), 1, "before the ring may go");
        assert!(cq.close().is_some());
        drop(owner);
        assert!(cq.take(&mut Vec::new(), |_| ()).is_none());
        rescuer.join().unwrap();
    });
}
