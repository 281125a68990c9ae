//! Sleeps, timeouts and intervals, and the wheels they wait on.
//!
//! Each worker has [`Timers`]: a hierarchical [`wheel`] behind a lock of its own, with the next deadline
//! published beside it. A [`Sleep`] takes its place there when it is first polled and leaves it when it
//! fires or is dropped, whichever thread that happens on. The worker looks at its timers when it looks at
//! the clock, and sleeps until the next deadline at the longest; the kernel is never asked for a timer.

mod deadline;
mod instant;
mod interval;
pub mod registration;
mod sleep;
mod timeout;
mod timers;
pub mod wheel;

pub use deadline::{Deadline, TimeoutScope, timeout_scope, timeout_scope_at};
pub use instant::Instant;
pub use interval::{Interval, MissedTick, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};
pub use timers::{Expired, TICK, Timers};

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests;
