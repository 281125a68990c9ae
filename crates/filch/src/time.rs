//! Sleeping, and giving up after a while.
//!
//! Timers have a resolution of a millisecond. A sleep may be late by one, never early.
//!
//! ```
//! use std::time::Duration;
//!
//! filch::run(async {
//!     let slow = filch::time::sleep(Duration::from_secs(3600));
//!     assert!(filch::time::timeout(Duration::from_millis(10), slow).await.is_err());
//! });
//! ```

#[doc(inline)]
pub use filch_sched::timer::{
    Deadline, Elapsed, Interval, MissedTick, Sleep, Timeout, TimeoutScope, interval, interval_at,
    sleep, sleep_until, timeout, timeout_at, timeout_scope, timeout_scope_at,
};
pub use std::time::{Duration, Instant};
