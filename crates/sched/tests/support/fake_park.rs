//! A park that records what is asked of it. Its alarms ring when the test says.
#![allow(unreachable_pub)]

use filch_sched::{InFlight, Leaked, Park, Peer};
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The parks of a whole scheduler.
#[derive(Clone)]
pub struct Parks(Arc<Vec<FakePark>>);

#[derive(Clone, Default)]
pub struct FakePark(Arc<(Mutex<Seen>, Condvar)>, Arc<Mutex<Option<AtRescue>>>);

/// What a test does while a rescue goes on.
type AtRescue = Box<dyn FnOnce() + Send>;

/// What happened to one park.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    token: bool,
    /// It is in its park.
    pub parked: bool,
    /// How often it was.
    pub parks: usize,
    /// The alarm that is set.
    pub alarm: Option<Duration>,
    /// How often one was set, or taken back.
    pub alarms: usize,
    /// How often a rescue was asked for.
    pub rescues: usize,
}

impl Parks {
    pub fn new(workers: usize) -> Self {
        Self(Arc::new((0..workers).map(|_| FakePark::default()).collect()))
    }

    pub fn make(&self) -> impl Fn(usize) -> Result<FakePark, filch_sched::ParkError> + use<> {
        let parks = self.clone();
        move |worker| Ok(parks.0[worker].clone())
    }

    pub fn seen(&self, worker: usize) -> Seen {
        *self.0[worker].0.0.lock().unwrap()
    }

    /// Waits until all of these are so, at one moment.
    pub fn until(&self, is_so: impl Fn(usize, Seen) -> bool) {
        loop {
            let all: Vec<_> = self.0.iter().map(|park| park.0.0.lock().unwrap()).collect();
            if all.iter().enumerate().all(|(worker, seen)| is_so(worker, **seen)) {
                return;
            }
            drop(all);
            thread::yield_now();
        }
    }

    /// Does this in the next rescue of `worker`.
    pub fn at_rescue(&self, worker: usize, act: impl FnOnce() + Send + 'static) {
        *self.0[worker].1.lock().unwrap() = Some(Box::new(act));
    }

    /// The alarm of `worker`, which must be set, rings.
    pub fn ring(&self, worker: usize) {
        let (seen, changed) = &*self.0[worker].0;
        let mut seen = seen.lock().unwrap();
        seen.alarm.take().expect("an alarm is set");
        seen.token = true;
        seen.parked = false;
        changed.notify_one();
    }
}

impl Park for FakePark {
    type Peer = Self;

    fn peer(&self) -> Self {
        self.clone()
    }

    fn turn(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    fn park(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        assert!(deadline.is_none(), "it knows no time");
        let (seen, changed) = &*self.0;
        let mut seen = seen.lock().unwrap();
        seen.parks += 1;
        seen.parked = !seen.token;
        while !seen.token {
            seen = changed.wait(seen).unwrap();
        }
        seen.parked = false;
        seen.token = false;
        Ok(0)
    }

    fn in_flight(&self) -> InFlight {
        InFlight::Nothing
    }

    fn shutdown(&mut self, _deadline: Option<Instant>) -> Result<(), Leaked> {
        Ok(())
    }
}

impl Peer for FakePark {
    fn unpark(&self) {
        let (seen, changed) = &*self.0;
        let mut seen = seen.lock().unwrap();
        seen.token = true;
        // From now on it is on its way.
        seen.parked = false;
        changed.notify_one();
    }

    fn alarm(&self, after: Option<Duration>) {
        let mut seen = self.0.0.lock().unwrap();
        seen.alarm = after;
        seen.alarms += 1;
    }

    fn rescue(&self) -> io::Result<usize> {
        self.0.0.lock().unwrap().rescues += 1;
        let act = self.1.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
        Ok(3)
    }
}
