//! How other threads reach a worker's park.

use crate::park::Peer;
use crate::still::Stillness;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The worker's [`Peer`] without its type; empty until the worker's thread has made
/// its [`Park`](crate::park::Park).
pub struct PeerCell {
    peer: OnceLock<Box<dyn AnyPeer>>,
    /// Who has to know of an unpark, and of which worker.
    still: Option<(Arc<Stillness>, usize)>,
}

/// A [`Peer`] without what needs its type.
trait AnyPeer: Send + Sync {
    fn unpark(&self);
    fn alarm(&self, after: Option<Duration>);
    fn rescue(&self) -> io::Result<usize>;
}

impl<P: Peer> AnyPeer for P {
    fn unpark(&self) {
        Peer::unpark(self);
    }

    fn alarm(&self, after: Option<Duration>) {
        Peer::alarm(self, after);
    }

    fn rescue(&self) -> io::Result<usize> {
        Peer::rescue(self)
    }
}

impl PeerCell {
    /// That of `worker`.
    pub fn new(worker: usize, still: Option<Arc<Stillness>>) -> Self {
        Self { peer: OnceLock::new(), still: still.map(|still| (still, worker)) }
    }

    /// Of the park that was made: who leaves mail in it tells the stillness.
    pub fn set(&self, peer: impl Peer) {
        if let Some((still, worker)) = &self.still {
            let (still, worker) = (still.clone(), *worker);
            peer.tell_of_mail(Box::new(move || still.unparks(worker)));
        }
        if self.peer.set(Box::new(peer)).is_err() {
            unreachable!("a worker makes one park");
        }
    }

    /// Wakes the worker, or leaves a token. Before the worker has a park it does not sleep either.
    pub fn unpark(&self) {
        if let Some((still, worker)) = &self.still {
            still.unparks(*worker);
        }
        self.unpark_quietly();
    }

    /// The same, without a lock: for a signal's handler; and where it is said already that the worker is up.
    pub fn unpark_quietly(&self) {
        if let Some(peer) = self.peer.get() {
            peer.unpark();
        }
    }

    /// Sets its alarm, or takes it back. One that has no park does not sleep.
    pub fn alarm(&self, after: Option<Duration>) {
        if let Some(peer) = self.peer.get() {
            peer.alarm(after);
        }
    }

    /// Delivers its completions for it; how many there were.
    pub fn rescue(&self) -> io::Result<usize> {
        self.peer.get().map_or(Ok(0), |peer| peer.rescue())
    }
}

impl fmt::Debug for PeerCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCell")
            .field("is_set", &self.peer.get().is_some())
            .finish_non_exhaustive()
    }
}
