//! What is left in a worker's ring by a thread that is no worker, and a clock that must not jump over it
//! (`crates/sched/src/still/README.md`).
//!
//! The operation, its cell, the inbox, how its coming is told, and when the worker is woken for it, are the driver's and the
//! scheduler's own. The ring is the model's: whatever it has begun is done when its worker parks. As the real one it reads
//! its mail at the beginning of a park, and not when that ends.
//!
//! Not here: a cancel, be it in the inbox or in a rescuer's hands. What it is of is in flight, or was left there before it;
//! so the clock waits, and then all look into their rings, whether anybody has told of the cancel or not.
#![cfg(filch_loom)]

#[allow(dead_code, reason = "each model uses its part")]
mod kernel;
#[allow(dead_code, reason = "each model uses its part")]
mod team;

use filch_atomic::sync::atomic::Ordering;
use filch_atomic::thread;
use filch_loom_tests::ops::Nothing;
use filch_sched::still::block;
use filch_sched::{InFlight, Leaked, Park, Peer, ThreadPark, ThreadPeer};
use filch_uring::{Op, Remote};
use kernel::{Kernel, modelled};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};
use team::{LATER, Team};

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// A worker's ring.
struct Ring {
    kernel: Kernel,
    sleep: ThreadPark,
    /// Called when something is done.
    done: Box<dyn Fn()>,
}

/// A ring as others see it.
#[derive(Clone)]
struct RingPeer {
    remote: Remote,
    sleeper: ThreadPeer,
}

/// What the driver does to wake it.
struct Unparks(ThreadPeer);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Ring {
    fn new() -> Self {
        let sleep = ThreadPark::new();
        let bell = Waker::from(Arc::new(Unparks(sleep.peer())));
        Self { kernel: Kernel::of_a_sleeper(bell), sleep, done: Box::new(|| {}) }
    }

    fn complete(&mut self) -> bool {
        let done = &self.done;
        self.kernel.complete(|| {
            done();
            0
        })
    }
}

impl Park for Ring {
    type Peer = RingPeer;

    fn peer(&self) -> RingPeer {
        RingPeer { remote: self.kernel.remote(), sleeper: self.sleep.peer() }
    }

    /// What was begun before is done by now.
    fn turn(&mut self) -> io::Result<usize> {
        let is_done = self.complete();
        self.kernel.look();
        Ok(usize::from(is_done))
    }

    fn park(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        self.kernel.look();
        if self.complete() { Ok(1) } else { self.sleep.park(deadline) }
    }

    /// As the driver counts it.
    fn in_flight(&self) -> InFlight {
        match (self.kernel.has_mail(), self.kernel.has_begun()) {
            (true, _) => InFlight::Ends,
            (false, true) => InFlight::MayCome,
            (false, false) => InFlight::Nothing,
        }
    }

    fn shutdown(&mut self, _: Option<Instant>) -> Result<(), Leaked> {
        Ok(())
    }
}

impl Peer for RingPeer {
    fn unpark(&self) {
        self.sleeper.unpark();
    }

    fn tell_of_mail(&self, tell: Box<dyn Fn() + Send + Sync>) {
        self.remote.tell_of_mail(tell);
    }

    fn alarm(&self, _: Option<Duration>) {}

    fn rescue(&self) -> io::Result<usize> {
        Ok(0)
    }
}

/// Whom an operation wakes, if it is to wake anybody: the waker that it is given itself is never freed.
#[derive(Default)]
struct Waits(Mutex<Option<Waker>>);

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        let waker = self.0.lock().unwrap().clone();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// TIME-7, TIME-8: a closure begins something in a ring, and is over.
#[test]
fn what_a_closure_has_left_is_done_before_a_jump() {
    check(|| {
        let mut ring = Ring::new();
        let team = Team::of_one(&ring, true);
        let (timer, start) = (team.ends_later(), team.now());
        let here = team.clone();
        ring.done = Box::new(move || assert_eq!(here.now(), start, "it was in flight"));
        team.is_busy.store(true, Ordering::SeqCst);
        let closure = thread::spawn({
            let (team, peer) = (team.clone(), ring.peer());
            move || {
                let mut op = Box::pin(modelled(Op::with_remote(Nothing, peer.remote.clone())));
                let waker = Waker::from(Arc::new(Waits::default()));
                assert!(op.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                // Release: pairs with the Acquire of the scene.
                team.is_busy.store(false, Ordering::Release);
                (op, waker)
            }
        });
        team.work(0, &mut ring, || unreachable!("nobody wakes it"));
        let (mut op, waker) = closure.join().unwrap();
        assert!(op.as_mut().poll(&mut Context::from_waker(&waker)).is_ready(), "it is done");
        drop(op);
        assert_eq!((team.jumps(), team.now()), (1, start + LATER));
        ring.done = Box::new(|| {});
        ring.kernel.end();
        drop(timer);
    });
}

/// TIME-5, TIME-8: a thread in `block_on` begins something in the ring of a worker, of which the one that it wakes when it
/// rests knows nothing.
#[test]
fn what_a_thread_outside_has_begun_comes_before_a_jump() {
    check(|| {
        let (mut ring, mut park) = (Ring::new(), ThreadPark::new());
        let team = Team::new(2, true);
        team.peers[0].set(park.peer());
        team.peers[1].set(ring.peer());
        let (timer, start) = (team.ends_later(), team.now());
        // Until that thread counts.
        team.is_busy.store(true, Ordering::SeqCst);
        let outside = thread::spawn({
            let (team, peer) = (team.clone(), ring.peer());
            move || {
                let mut op = pin!(modelled(Op::with_remote(Nothing, peer.remote.clone())));
                let waits = Arc::new(Waits::default());
                let waker = Waker::from(waits.clone());
                let polls = poll_fn(|cx| {
                    *waits.0.lock().unwrap() = Some(cx.waker().clone());
                    // Release: pairs with the Acquire of the scene.
                    team.is_busy.store(false, Ordering::Release);
                    let polled = op.as_mut().poll(&mut Context::from_waker(&waker));
                    assert_eq!(team.now(), start);
                    polled
                });
                block(&team, |run| run(), polls);
                waits.0.lock().unwrap().take();
            }
        });
        let other = thread::spawn({
            let team = team.clone();
            move || team.work(0, &mut park, || unreachable!("nobody wakes it"))
        });
        team.work(1, &mut ring, || unreachable!("it is for worker 0"));
        outside.join().unwrap();
        other.join().unwrap();
        assert_eq!((team.jumps(), team.now()), (1, start + LATER));
        ring.kernel.end();
        drop(timer);
    });
}
