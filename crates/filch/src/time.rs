//! Sleeping, and giving up after a while.
//!
//! Timers have a resolution of a millisecond. A sleep may be late by one, never early. All of them go by the clock of
//! the runtime, as [`Instant`] does: the system's, or a virtual one
//! ([`Builder::virtual_time`](crate::Builder::virtual_time)).
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
    Deadline, Elapsed, Instant, Interval, MissedTick, Sleep, Timeout, TimeoutScope, interval,
    interval_at, sleep, sleep_until, timeout, timeout_at, timeout_scope, timeout_scope_at,
};
#[doc(inline)]
pub use filch_sched::{advance, settle};
pub use std::time::Duration;
