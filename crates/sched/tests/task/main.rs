//! Tasks, on the simplest of schedulers: one queue, run by hand.
#![cfg(not(any(filch_loom, filch_shuttle)))]
// Waking by value is what is tested.
#![allow(clippy::waker_clone_wake)]

mod abort;
mod current;
mod detached;
mod handle;
mod owned;
mod panics;
mod stress;
mod support;
mod wake;
