//! The seam, filled: a worker of the scheduler sleeps in a ring of the driver.

use crate::time_slice::TimeSlice;
use filch_sched::{InFlight, Leaked, Park, Peer};
use filch_uring::{Driver, Remote};
use std::io;
use std::time::{Duration, Instant};

/// A worker's ring, and the pace of its thread.
#[derive(Debug)]
pub(crate) struct RingPark {
    driver: Driver,
    _slice: Option<TimeSlice>,
}

impl RingPark {
    /// Both are this thread's.
    pub(crate) fn new(driver: Driver, slice: Option<TimeSlice>) -> Self {
        Self { driver, _slice: slice }
    }
}

impl Park for RingPark {
    type Peer = RingPeer;

    fn peer(&self) -> RingPeer {
        RingPeer(self.driver.remote())
    }

    fn turn(&mut self) -> io::Result<usize> {
        self.driver.turn()
    }

    fn park(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        self.driver.park(deadline)
    }

    fn in_flight(&self) -> InFlight {
        match self.driver.in_flight() {
            (0, _) => InFlight::Nothing,
            (_, false) => InFlight::MayCome,
            (_, true) => InFlight::Ends,
        }
    }

    fn shutdown(&mut self, deadline: Option<Instant>) -> Result<(), Leaked> {
        self.driver.shutdown(deadline).map_err(|leaked| Leaked {
            operations: leaked.operations().map(|(_, count)| count).sum(),
            what: leaked.to_string(),
        })
    }
}

/// A worker's ring, as the others see it.
#[derive(Debug, Clone)]
pub(crate) struct RingPeer(Remote);

impl Peer for RingPeer {
    fn unpark(&self) {
        self.0.unpark();
    }

    fn tell_of_mail(&self, tell: Box<dyn Fn() + Send + Sync>) {
        self.0.tell_of_mail(tell);
    }

    fn alarm(&self, after: Option<Duration>) {
        self.0.alarm(after);
    }

    fn rescue(&self) -> io::Result<usize> {
        self.0.rescue()
    }
}
