//! Threads for closures that block, so that they do not hold up a worker.
//!
//! A closure becomes a task of one poll, with the handle, the panics, the abort and the reports of any
//! other task; the pool is a queue of such tasks, and threads that are made when they are needed and go
//! when they have had nothing to do for a while.
//!
#![doc = include_str!("README.md")]

mod config;
mod limiter;
mod pool;

pub use config::{Config, DEFAULT_CAP, DEFAULT_KEEP_ALIVE, SpawnThread};
pub use limiter::Limiter;
pub use pool::{BlockingPool, NoThread, Refused, Shutdown, Stats};

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests;
