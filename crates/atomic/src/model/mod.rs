//! Stand-ins for what a model checker lacks: `parking_lot`'s locks and crossbeam's deque.

pub(crate) mod deque;
pub(crate) mod lock;

#[cfg(filch_loom)]
use loom as checker;
#[cfg(filch_shuttle)]
use shuttle as checker;
