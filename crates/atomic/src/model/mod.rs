//! Stand-ins for what a model checker lacks: `parking_lot`'s locks, crossbeam's deque, and a park.

pub(crate) mod deque;
pub(crate) mod lock;
#[cfg(filch_loom)]
pub(crate) mod parking;

#[cfg(filch_loom)]
use loom as checker;
#[cfg(filch_shuttle)]
use shuttle as checker;
