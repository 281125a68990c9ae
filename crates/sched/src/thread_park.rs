//! Waiting on a condition variable: for tests, and for programs that only compute.

use crate::clock::saturating_add;
use crate::park::{Leaked, Park, Peer};
use crate::still::InFlight;
use filch_atomic::sync::{Arc, Condvar, Mutex};
use std::io;
use std::time::{Duration, Instant};

/// A [`Park`] that knows no I/O. It sleeps on a condition variable, by the system's clock.
#[derive(Debug, Default)]
pub struct ThreadPark {
    token: Arc<Token>,
}

/// What may end the sleep of a [`ThreadPark`].
#[derive(Debug, Default)]
struct Token {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// An unpark that waits to be used.
    set: bool,
    /// When to wake, if at all. Used up by the park that it ends.
    alarm: Option<Instant>,
    /// Until when the present wait may last, if there is one.
    waits: Option<Until>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    For(Instant),
    Ever,
}

impl ThreadPark {
    /// A park nobody has unparked.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Park for ThreadPark {
    type Peer = ThreadPeer;

    fn peer(&self) -> ThreadPeer {
        ThreadPeer { token: self.token.clone() }
    }

    fn turn(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    fn park(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        let mut state = self.token.state.lock();
        while !state.set {
            // Anew each time: the alarm may have been moved.
            let until = deadline.into_iter().chain(state.alarm).min();
            let Some(until) = until else {
                state.waits = Some(Until::Ever);
                self.token.changed.wait(&mut state);
                continue;
            };
            let now = Instant::now();
            if until <= now {
                state.alarm = state.alarm.filter(|&alarm| alarm > now);
                break;
            }
            state.waits = Some(Until::For(until));
            self.token.changed.wait_for(&mut state, until - now);
        }
        state.waits = None;
        state.set = false;
        Ok(0)
    }

    /// There is no I/O.
    fn in_flight(&self) -> InFlight {
        InFlight::Nothing
    }

    fn shutdown(&mut self, _deadline: Option<Instant>) -> Result<(), Leaked> {
        Ok(())
    }
}

/// The [`Peer`] of a [`ThreadPark`].
#[derive(Debug, Clone)]
pub struct ThreadPeer {
    token: Arc<Token>,
}

impl Peer for ThreadPeer {
    fn unpark(&self) {
        let mut state = self.token.state.lock();
        if !state.set {
            state.set = true;
            self.token.changed.notify_one();
        }
    }

    fn alarm(&self, after: Option<Duration>) {
        let alarm = after.map(|after| saturating_add(Instant::now(), after));
        let mut state = self.token.state.lock();
        state.alarm = alarm;
        // One that comes later than what it waits for need not be told: it looks when that comes.
        let too_long = match (alarm, state.waits) {
            (Some(alarm), Some(Until::For(until))) => alarm < until,
            (Some(_), Some(Until::Ever)) => true,
            _ => false,
        };
        if too_long {
            self.token.changed.notify_one();
        }
    }

    /// There is nothing to complete.
    fn rescue(&self) -> io::Result<usize> {
        Ok(0)
    }
}

#[cfg(all(test, not(filch_loom)))]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn an_unpark_waits_for_its_park_and_counts_once() {
        let mut park = ThreadPark::new();
        park.peer().unpark();
        park.peer().unpark();
        park.park(None).unwrap();
        // The token is used up: only the deadline, already past, ends this one.
        park.park(Some(Instant::now())).unwrap();
        assert!(!park.token.state.lock().set);
    }

    #[test]
    fn an_alarm_ends_one_park() {
        let mut park = ThreadPark::new();
        let peer = park.peer();
        peer.alarm(Some(Duration::ZERO));
        park.park(None).unwrap();
        assert_eq!(park.token.state.lock().alarm, None, "it is used up");
        peer.alarm(Some(Duration::from_millis(1)));
        park.park(None).unwrap();
        peer.alarm(Some(Duration::from_millis(1)));
        peer.alarm(None);
        assert_eq!(park.token.state.lock().alarm, None, "it is taken back");
    }

    #[test]
    fn an_alarm_reaches_one_who_sleeps_for_ever() {
        let mut park = ThreadPark::new();
        let peer = park.peer();
        let token = park.token.clone();
        let sleeper = thread::spawn(move || park.park(None));
        while token.state.lock().waits != Some(Until::Ever) {
            thread::yield_now();
        }
        peer.alarm(Some(Duration::from_millis(1)));
        sleeper.join().unwrap().unwrap();
    }

    #[test]
    fn a_deadline_leaves_the_alarm_that_comes_later() {
        let mut park = ThreadPark::new();
        park.peer().alarm(Some(Duration::from_secs(3_600)));
        park.park(Some(Instant::now())).unwrap();
        assert!(park.token.state.lock().alarm.is_some());
    }
}
