#![doc = include_str!("README.md")]

mod batch;
mod list;
#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests;
mod wait;

pub(crate) use batch::{WakeBatch, wake, wake_batches};
pub(crate) use list::{Left, WaitList, Waiter};
pub(crate) use wait::{Attempt, Site};
