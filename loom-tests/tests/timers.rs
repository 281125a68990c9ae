//! The timers' protocol: an expiry, a poll with another waker, a drop and a reset meet; and a
//! registration from elsewhere meets an owner that goes to sleep.
//!
//! Time stands still in a model: the expirer is told a time at which the sleep is due.
#![cfg(filch_loom)]

use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::thread;
use filch_sched::clock::Clock;
use filch_sched::timer::Timers;
use filch_sched::timer::registration::{Registration, Wait};
use filch_sched::{Park, Peer, ThreadPark};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// A waker that counts. The count is an atomic of the model, so that what the woken side sees is what
/// the protocol alone makes visible; the `Arc` is std's, as a `Waker` wants it.
struct Count(AtomicUsize);

impl Count {
    fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(AtomicUsize::new(0)))
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn register(timers: &Arc<Timers>, deadline: Instant, waker: Waker) -> Registration {
    match Registration::new(timers, deadline, waker, true) {
        Wait::Pending(registration) => registration,
        other => panic!("the deadline is to come: {other:?}"),
    }
}

fn expire(timers: &Timers, now: Instant) {
    let mut scratch = Vec::new();
    while timers.expire(now, &mut scratch).more {}
}

/// Another thread does.
fn expires_elsewhere(timers: &Arc<Timers>, now: Instant) -> thread::JoinHandle<()> {
    let timers = timers.clone();
    thread::spawn(move || expire(&timers, now))
}

fn timers() -> (Arc<Timers>, Instant) {
    let timers = Timers::new(Clock::real(), || {});
    // Later than the timers' beginning by less than a tick, or by a few, for all that matters.
    let base = Instant::now();
    (timers, base)
}

/// The poll that returned `Pending` has left a waker that is woken.
#[test]
fn fire_and_poll_with_another_waker() {
    loom::model(|| {
        let (timers, base) = timers();
        let (first, second) = (Count::new(), Count::new());
        let mut held = register(&timers, base + 5 * MS, Waker::from(first.clone()));
        let expirer = expires_elsewhere(&timers, base + 50 * MS);
        let pending = matches!(held.poll(&Waker::from(second.clone())), Wait::Pending(()));
        expirer.join().unwrap();
        assert_eq!(first.get() + second.get(), 1, "somebody is woken, once");
        if pending {
            assert_eq!(second.get(), 1, "and it is the one who was told to wait last");
        }
        assert!(matches!(held.poll(&Waker::from(second)), Wait::Elapsed));
        drop(held);
        assert!(timers.is_empty());
    });
}

/// An entry is taken out once, by the expirer or by the drop; another's is left alone.
#[test]
fn fire_and_drop() {
    loom::model(|| {
        let (timers, base) = timers();
        let (count, other) = (Count::new(), Count::new());
        let held = register(&timers, base + 5 * MS, Waker::from(count.clone()));
        let expirer = {
            let timers = timers.clone();
            thread::spawn(move || {
                expire(&timers, base + 50 * MS);
                // It may get the row that the expired entry had.
                register(&timers, base + 90 * MS, Waker::from(other))
            })
        };
        drop(held);
        let kept = expirer.join().unwrap();
        assert!(count.get() <= 1);
        assert_eq!(
            timers.len(),
            1,
            "no entry outlives its sleep, and none is removed by another's"
        );
        drop(kept);
        assert!(timers.is_empty());
    });
}

/// A reset either moves the entry, which then fires at the new time only, or finds that it has fired.
#[test]
fn fire_and_reset() {
    loom::model(|| {
        let (timers, base) = timers();
        let count = Count::new();
        let mut held = register(&timers, base + 5 * MS, Waker::from(count.clone()));
        let expirer = expires_elsewhere(&timers, base + 50 * MS);
        let moved = held.reset(base + 90 * MS, true);
        expirer.join().unwrap();
        assert_eq!(
            count.get(),
            usize::from(!moved),
            "it fires for the old time or waits for the new"
        );
        if moved {
            assert!(timers.is_due(base + 100 * MS));
            expire(&timers, base + 100 * MS);
            assert_eq!(count.get(), 1);
        }
        drop(held);
        assert!(timers.is_empty());
    });
}

/// A sleep that a poll finds elapsed without the lock is one whose waker has been taken.
#[test]
fn what_is_said_to_have_fired_is_gone() {
    loom::model(|| {
        let (timers, base) = timers();
        let count = Count::new();
        let mut held = register(&timers, base + 5 * MS, Waker::from(count.clone()));
        let expirer = expires_elsewhere(&timers, base + 50 * MS);
        if matches!(held.poll(&Waker::from(count.clone())), Wait::Elapsed) {
            drop(held);
            assert!(timers.is_empty());
            expirer.join().unwrap();
        } else {
            expirer.join().unwrap();
            drop(held);
        }
        assert_eq!(count.get(), 1);
        assert!(timers.is_empty());
    });
}

/// Closing wakes who has registered and refuses who has not.
#[test]
fn close_and_register() {
    loom::model(|| {
        let (timers, base) = timers();
        let count = Count::new();
        let closer = {
            let timers = timers.clone();
            thread::spawn(move || timers.close())
        };
        let waker = Waker::from(count.clone());
        match Registration::new(&timers, base + 5 * MS, waker.clone(), true) {
            Wait::Pending(mut held) => {
                closer.join().unwrap();
                assert_eq!(count.get(), 1);
                assert!(matches!(held.poll(&waker), Wait::Closed));
            }
            Wait::Closed => closer.join().unwrap(),
            Wait::Elapsed => panic!("it has not been due"),
        }
        assert!(timers.is_empty());
    });
}

/// Another worker fires the timers of an owner that seems to be stuck, and is not; and the sleep goes.
#[test]
fn fire_and_steal_and_drop() {
    loom::model(|| {
        let (timers, base) = timers();
        let (gone, kept) = (Count::new(), Count::new());
        let dropped = register(&timers, base + 5 * MS, Waker::from(gone.clone()));
        let mut held = register(&timers, base + 6 * MS, Waker::from(kept.clone()));
        let thief = expires_elsewhere(&timers, base + 50 * MS);
        let holder = thread::spawn(move || drop(dropped));
        expire(&timers, base + 50 * MS);
        // What is due is not fired twice, nor left by both.
        thief.join().unwrap();
        holder.join().unwrap();
        assert!(gone.get() <= 1);
        assert_eq!(kept.get(), 1);
        assert!(matches!(held.poll(Waker::noop()), Wait::Elapsed));
        drop(held);
        assert!(timers.is_empty());
    });
}

/// A thief publishes what is left; what is registered meanwhile is not hidden by that.
#[test]
fn steal_and_register() {
    loom::model(|| {
        let (timers, base) = timers();
        let (first, second) = (Count::new(), Count::new());
        let held = register(&timers, base + 5 * MS, Waker::from(first.clone()));
        let thief = expires_elsewhere(&timers, base + 50 * MS);
        let later = register(&timers, base + 90 * MS, Waker::from(second.clone()));
        thief.join().unwrap();
        assert_eq!((first.get(), second.get()), (1, 0));
        assert!(timers.is_due(base + 100 * MS));
        expire(&timers, base + 100 * MS);
        assert_eq!(second.get(), 1);
        drop((held, later));
        assert!(timers.is_empty());
    });
}

/// An owner that goes to sleep while another thread registers learns of the deadline.
#[test]
fn register_and_park() {
    loom::model(|| {
        let mut park = ThreadPark::new();
        let peer = park.peer();
        let timers = Timers::new(Clock::real(), move || peer.unpark());
        let base = Instant::now();
        let count = Count::new();
        // Something far off is there already, which the owner may sleep until: for ever, in here.
        let far = register(&timers, base + 9_000 * MS, Waker::from(Count::new()));
        let other = {
            let (timers, waker) = (timers.clone(), Waker::from(count.clone()));
            thread::spawn(move || Registration::new(&timers, base + 5 * MS, waker, false))
        };
        let soon = base + 50 * MS;
        while count.get() == 0 {
            expire(&timers, soon);
            if timers.next_deadline().is_none_or(|next| next > soon) && count.get() == 0 {
                // Without a deadline: what nobody unparks sleeps for ever, and the model finds that.
                park.park(None).unwrap();
            }
        }
        assert!(matches!(other.join().unwrap(), Wait::Pending(_)));
        drop(far);
        assert!(timers.is_empty());
    });
}
