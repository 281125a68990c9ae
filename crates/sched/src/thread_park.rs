//! Waiting on a condition variable: for tests, and for programs that only compute.

use crate::park::{Leaked, Park, Peer};
use filch_atomic::sync::{Arc, Condvar, Mutex};
use std::io;
use std::time::Instant;

/// A [`Park`] that knows no I/O. It sleeps on a condition variable.
#[derive(Debug, Default)]
pub struct ThreadPark {
    token: Arc<Token>,
}

/// The token of a [`ThreadPark`]: an unpark that waits to be used.
#[derive(Debug, Default)]
struct Token {
    set: Mutex<bool>,
    changed: Condvar,
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
        let mut set = self.token.set.lock();
        while !*set {
            match deadline {
                None => self.token.changed.wait(&mut set),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() || self.token.changed.wait_for(&mut set, left) {
                        break;
                    }
                }
            }
        }
        *set = false;
        Ok(0)
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
        let mut set = self.token.set.lock();
        if !*set {
            *set = true;
            self.token.changed.notify_one();
        }
    }
}

#[cfg(all(test, not(filch_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_unpark_waits_for_its_park_and_counts_once() {
        let mut park = ThreadPark::new();
        park.peer().unpark();
        park.peer().unpark();
        park.park(None).unwrap();
        // The token is used up: only the deadline, already past, ends this one.
        park.park(Some(Instant::now())).unwrap();
        assert!(!*park.token.set.lock());
    }
}
