//! The work-stealing deque: `crossbeam-deque`, or a stand-in for a model.
//!
//! Only the FIFO flavour and the calls that the scheduler makes. crossbeam's deque cannot be checked
//! by loom, so a model gets the same algorithm (Chase and Lev, with the orderings of Le, Pop, Cohen
//! and Nardelli) over modelled atomics, *with the same orderings*: a push publishes with a Release
//! fence and a Relaxed store, nothing stronger. A stand-in behind a lock would hide the very bugs that
//! the models are for (a push that a worker going to sleep does not see, S2).

#[cfg(any(filch_loom, filch_shuttle))]
pub use crate::model::deque::{Steal, Stealer, Worker};
#[cfg(not(any(filch_loom, filch_shuttle)))]
pub use crossbeam_deque::{Steal, Stealer, Worker};
