//! The stillness: a virtual clock does not jump while something can run, and no timer is forgotten.
//!
//! The protocol is the scheduler's own (`Stillness`, `Timers`, `ThreadPark`). What is written here is the loop around it,
//! in the steps of the real worker's. A timer that is forgotten is a deadlock, which loom reports.
#![cfg(filch_loom)]

use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use filch_atomic::thread;
use filch_sched::clock::{Clock, ManualClock, TimeSource};
use filch_sched::still::{InFlight, Rest, Scene, Stillness};
use filch_sched::timer::Timers;
use filch_sched::timer::registration::{Registration, Wait};
use filch_sched::wake_flag::WakeFlag;
use filch_sched::{Park, Peer, ThreadPark, ThreadPeer};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

const LATER: Duration = Duration::from_millis(5);

/// What the workers share.
struct Crew {
    still: Stillness,
    peers: Vec<ThreadPeer>,
    /// Of each worker: whether there is something to run, as with the main future.
    flags: Vec<WakeFlag>,
    /// Of worker 0.
    timers: Arc<Timers>,
    hand: std::sync::Arc<ManualClock>,
    is_over: AtomicBool,
}

impl Crew {
    fn unpark(&self, worker: usize) {
        self.still.unparks(worker);
        self.peers[worker].unpark();
    }

    fn wake(&self, worker: usize) {
        if self.flags[worker].raise() {
            self.unpark(worker);
        }
    }
}

impl Scene for Crew {
    fn is_busy(&self) -> bool {
        false
    }

    fn work(&self) -> u64 {
        0
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    fn is_due(&self, worker: usize, now: Instant) -> bool {
        worker == 0 && self.timers.is_due(now)
    }
}

/// What the timer wakes: it ends the model.
struct TheEnd(std::sync::Mutex<Option<Arc<Crew>>>);

impl Wake for TheEnd {
    fn wake(self: std::sync::Arc<Self>) {
        let crew = self.0.lock().unwrap().take().expect("it fires once");
        // Release: pairs with the Acquire in `work`.
        crew.is_over.store(true, Ordering::Release);
        for worker in 0..crew.peers.len() {
            crew.unpark(worker);
        }
    }
}

/// Two workers; the timer of worker 0 ends it all. None has anything to run.
fn crew() -> (Arc<Crew>, [ThreadPark; 2], Registration) {
    let parks = [ThreadPark::new(), ThreadPark::new()];
    let hand = ManualClock::new();
    let timers = Timers::new(Clock::from_source(hand.clone()), || {});
    let flags = vec![WakeFlag::new(), WakeFlag::new()];
    for flag in &flags {
        flag.lower();
    }
    let end = std::sync::Arc::new(TheEnd(std::sync::Mutex::new(None)));
    let waker = Waker::from(end.clone());
    let timer = match Registration::new(&timers, hand.now() + LATER, waker, true) {
        Wait::Pending(registration) => registration,
        other => panic!("it is to come: {other:?}"),
    };
    let crew = Arc::new(Crew {
        still: Stillness::new(2, Some(hand.clone())),
        peers: parks.iter().map(Park::peer).collect(),
        flags,
        timers,
        hand,
        is_over: AtomicBool::new(false),
    });
    *end.0.lock().unwrap() = Some(crew.clone());
    (crew, parks, timer)
}

/// A worker's loop. `run` is what it does when its flag is raised.
fn work(crew: &Crew, worker: usize, mut park: ThreadPark, mut run: impl FnMut()) {
    let mut due = Vec::new();
    // Acquire: pairs with the Release in `TheEnd`.
    while !crew.is_over.load(Ordering::Acquire) {
        if crew.flags[worker].is_raised() {
            crew.flags[worker].lower();
            run();
            continue;
        }
        match crew.still.rest(worker, InFlight::Nothing, Instant::now(), crew) {
            Rest::Look => unreachable!("it has looked"),
            Rest::Again { unpark, .. } => {
                for other in unpark {
                    crew.peers[other].unpark();
                }
            }
            Rest::Park(until) => {
                assert_eq!(until, None, "nothing is in flight");
                park.park(None).unwrap();
                crew.still.rises(worker);
            }
        }
        if worker == 0 {
            crew.timers.expire(crew.hand.now(), &mut due);
        }
    }
}

/// TIME-5, TIME-6: worker 0 has something for worker 1, which has something for worker 0. While one of them can run the
/// clock stands; then it jumps once, and the timer is not forgotten.
#[test]
fn no_jump_while_something_can_run() {
    loom::model(|| {
        let (crew, [first, second], timer) = crew();
        let start = crew.hand.now();
        let other = crew.clone();
        let worker = thread::spawn(move || {
            work(&other, 1, second, || {
                assert_eq!(other.hand.now(), start, "it could run");
                other.wake(0);
            });
        });
        crew.wake(1);
        let mut ran = 0;
        work(&crew, 0, first, || {
            assert_eq!(crew.hand.now(), start, "it could run");
            ran += 1;
        });
        worker.join().unwrap();
        assert_eq!((ran, crew.still.jumps()), (1, 1));
        assert_eq!(crew.hand.now(), start + LATER);
        drop(timer);
    });
}

/// TIME-6: who goes to rest last decides, be it the owner of the timer or not.
#[test]
fn a_timer_is_not_forgotten() {
    loom::model(|| {
        let (crew, [first, second], timer) = crew();
        let other = crew.clone();
        let worker = thread::spawn(move || work(&other, 1, second, || unreachable!()));
        work(&crew, 0, first, || unreachable!());
        worker.join().unwrap();
        assert_eq!(crew.still.jumps(), 1);
        drop(timer);
    });
}
