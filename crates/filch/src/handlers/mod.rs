//! What signals' handlers read, and how it is changed: who listens for a signal, and whose main future Ctrl-C asks.
//!
#![doc = include_str!("README.md")]

mod listeners;
mod posted;

pub(crate) use listeners::{Slot, System, Who};
pub(crate) use posted::Posted;

use filch_atomic::sync::{Mutex, MutexGuard};

/// The right to change what handlers read, and what is installed. One has it at a time.
pub(crate) struct Changes<'a>(#[expect(dead_code, reason = "it is held")] MutexGuard<'a, ()>);

impl<'a> Changes<'a> {
    /// Waits for it.
    pub(crate) fn of(lock: &'a Mutex<()>) -> Self {
        Self(lock.lock())
    }
}

/// The right to change them in this process.
#[cfg(not(filch_loom))]
pub(crate) fn changes() -> Changes<'static> {
    static CHANGES: Mutex<()> = Mutex::new(());
    Changes::of(&CHANGES)
}
