//! Workers that a model plays, around the scheduler's own stillness, timers and parks.
//!
//! What is written here is the loop around these, in the steps of the real worker's.

use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use filch_atomic::thread;
use filch_sched::Park;
use filch_sched::clock::{Clock, ManualClock, TimeSource};
use filch_sched::peer_cell::PeerCell;
use filch_sched::still::{Rest, Scene, Stillness, Workers};
use filch_sched::timer::Timers;
use filch_sched::timer::registration::{Registration, Wait};
use filch_sched::wake_flag::WakeFlag;
use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// After so long the timer of worker 0 is due.
pub(crate) const LATER: Duration = Duration::from_millis(5);

filch_atomic::thread_local! {
    /// Whether this thread is a worker.
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// What the workers share.
#[derive(Debug)]
pub(crate) struct Team {
    still: Arc<Stillness>,
    pub(crate) peers: Vec<PeerCell>,
    /// Whether worker 0 has something to run.
    pub(crate) flag: WakeFlag,
    /// Of worker 0.
    timers: filch_atomic::sync::Arc<Timers>,
    hand: Arc<ManualClock>,
    /// When it all began, in real time, and what has passed since. Not the model's: it is one for all, as a clock is.
    begun: Instant,
    passed_ns: AtomicU64,
    /// Whether a closure runs.
    pub(crate) is_busy: AtomicBool,
    is_over: AtomicBool,
}

impl Team {
    /// As many, by a virtual clock or in real time.
    pub(crate) fn new(workers: usize, is_virtual: bool) -> Arc<Self> {
        let hand = ManualClock::new();
        let still = Arc::new(Stillness::new(workers, is_virtual.then(|| hand.clone())));
        let peers = (0..workers).map(|worker| PeerCell::new(worker, Some(still.clone())));
        let flag = WakeFlag::new();
        flag.lower();
        Arc::new(Self {
            peers: peers.collect(),
            still,
            flag,
            timers: Timers::new(Clock::from_source(hand.clone()), || {}),
            hand,
            begun: Instant::now(),
            passed_ns: AtomicU64::new(0),
            is_busy: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        })
    }

    /// The only worker, and its park.
    pub(crate) fn of_one<P: Park>(park: &P, is_virtual: bool) -> Arc<Self> {
        let team = Self::new(1, is_virtual);
        team.peers[0].set(park.peer());
        team
    }

    /// Has worker 0 set a timer that ends it all. One that is forgotten is a deadlock, which loom reports.
    pub(crate) fn ends_later(self: &Arc<Self>) -> Registration {
        let waker = Waker::from(Arc::new(TheEnd(Mutex::new(Some(self.clone())))));
        match Registration::new(&self.timers, self.hand.now() + LATER, waker, true) {
            Wait::Pending(registration) => registration,
            other => panic!("it is to come: {other:?}"),
        }
    }

    /// What the virtual clock shows.
    pub(crate) fn now(&self) -> Instant {
        self.hand.now()
    }

    /// How often that has jumped.
    pub(crate) fn jumps(&self) -> u64 {
        self.still.jumps()
    }

    /// Gives worker 0 something to run.
    pub(crate) fn wake(&self) {
        if self.flag.raise() {
            self.unpark(0);
        }
    }

    /// Has the workers leave their loops.
    pub(crate) fn end(&self) {
        // Release: pairs with the Acquire in `work`.
        self.is_over.store(true, Ordering::Release);
        for worker in 0..self.peers.len() {
            self.unpark(worker);
        }
    }

    /// So much real time has passed: what somebody has parked for.
    pub(crate) fn passed(&self) -> Duration {
        Duration::from_nanos(self.passed_ns.load(Ordering::Relaxed))
    }

    fn real_now(&self) -> Instant {
        self.begun + self.passed()
    }

    fn pass_until(&self, moment: Instant) {
        let passed = moment.saturating_duration_since(self.begun).as_nanos() as u64;
        self.passed_ns.fetch_max(passed, Ordering::Relaxed);
    }

    /// A worker's loop. `run` is what worker 0 does when its flag is raised.
    pub(crate) fn work<P: Park>(&self, worker: usize, park: &mut P, mut run: impl FnMut()) {
        IS_WORKER.with(|is_worker| is_worker.set(true));
        let mut due = Vec::new();
        // Acquire: pairs with the Release in `end`.
        while !self.is_over.load(Ordering::Acquire) {
            if worker == 0 && self.flag.is_raised() {
                self.flag.lower();
                run();
                continue;
            }
            let mut flight = self.still.is_virtual().then(|| park.in_flight());
            let mut rest = self.still.rest(worker, flight, self.real_now(), self);
            if let Rest::Look = rest {
                flight = Some(park.in_flight());
                rest = self.still.rest(worker, flight, self.real_now(), self);
            }
            match rest {
                Rest::Look => unreachable!("it has looked"),
                Rest::Again { unpark, wake } => {
                    for other in unpark {
                        self.peers[other].unpark_quietly();
                    }
                    wake.into_iter().for_each(Waker::wake);
                    // Whoever is woken may run before anything else is done.
                    thread::yield_now();
                    park.turn().unwrap();
                }
                Rest::Park(until) => {
                    match until {
                        Some(until) => {
                            park.turn().unwrap();
                            thread::yield_now();
                            self.pass_until(until);
                        }
                        None => drop(park.park(None).unwrap()),
                    }
                    self.still.rises(worker);
                }
            }
            if worker == 0 {
                self.timers.expire(self.hand.now(), &mut due);
            }
        }
    }
}

impl Workers for Team {
    fn stillness(&self) -> Option<&Arc<Stillness>> {
        Some(&self.still)
    }

    fn unpark(&self, worker: usize) {
        self.peers[worker].unpark();
    }

    fn are_here(&self) -> bool {
        IS_WORKER.with(Cell::get)
    }
}

impl Scene for Team {
    fn is_busy(&self) -> bool {
        // Acquire: pairs with the Release of the closure that is over.
        self.is_busy.load(Ordering::Acquire)
    }

    fn work(&self) -> u64 {
        0
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    fn is_due(&self, worker: usize, now: Instant) -> bool {
        self.still.is_virtual() && worker == 0 && self.timers.is_due(now)
    }
}

/// What the timer wakes.
struct TheEnd(Mutex<Option<Arc<Team>>>);

impl Wake for TheEnd {
    fn wake(self: Arc<Self>) {
        let team = self.0.lock().unwrap().take().expect("it fires once");
        team.end();
    }
}
