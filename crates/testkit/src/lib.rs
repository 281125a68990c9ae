//! What the tests of several crates share. Not published.
//!
//! * [`DropAtEveryPoll`] runs a scenario again and again, and drops the future under test at another of
//!   its polls each time: that nothing is lost then (C1) is the promise that all of filch keeps. Or asks it to end
//!   there, and polls it until it has: then what was done is delivered (C2).
//! * [`invariants`] runs a primitive through every small program of polls, drops and grants.
//! * [`limits`] keeps a test from hanging for ever, and from running beside others where it counts what
//!   the whole process has.
//! * [`leaks`] counts what that is: descriptors and threads.
//! * [`child`] runs a test of the same binary in a process of its own, for what cannot be undone: a lowered
//!   limit, a filter of system calls.
//! * [`exec`] is an executor that is none of ours: one thread and a waker.
//! * [`Probe`] is a future that the test itself polls.
//! * [`Hooks`] make a waker that panics, or calls back.
//! * [`Random`] makes test data that a seed makes again.
//! * [`skip()`] says that a test cannot do what it is for on this machine, or fails it.

#[cfg(not(target_os = "linux"))]
compile_error!("filch runs on Linux only");

mod asking;
pub mod child;
mod drops;
pub mod exec;
mod hooks;
pub mod invariants;
pub mod leaks;
pub mod limits;
mod probe;
mod random;
mod skip;

pub use asking::{Asking, Point, Work};
pub use drops::{Cut, DropAtEveryPoll, Job, Summary};
pub use hooks::Hooks;
pub use probe::Probe;
pub use random::Random;
pub use skip::{pass_on_skips, skip};
