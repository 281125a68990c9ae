//! Cancelling with clean-up: boundaries, shields, and asking.
//!
//! A *cancel* asks a task to end ([`JoinHandle::cancel`](crate::task::JoinHandle::cancel)). What that
//! means is decided inside the task, by the innermost boundary around where it waits. The rules have
//! numbers, `CANCEL-1` and so on, in `docs/semantics.md`; the whole picture is in
//! `docs/cancellation.md`.

mod boundary;
mod clean_up;
mod held;
mod shielded;

pub use boundary::{Cancellable, Never, cancellable};
pub use shielded::{Shielded, shielded};

use crate::task;
use filch_atomic::scope::{self, Scope};
use filch_atomic::sync::Arc;
use std::error::Error;
use std::fmt;
use std::io;

/// Whether the code that runs here was asked to end: it is in a scope that is cancelled, and not shielded
/// from that. False where there is no task.
///
/// For code that computes for long between two waits, and for blocking closures. Code that waits need not
/// ask: it is told, by the wait.
#[doc(alias = "cancelling")]
#[doc(alias = "is_canceled")]
pub fn is_cancelled() -> bool {
    scope::with_current(|scope| match scope {
        Some(scope) => scope.is_cancelled(),
        None => task::with_current(task::Header::is_cancelled).unwrap_or(false),
    })
}

/// As [`is_cancelled`], for use with `?`.
///
/// # Errors
///
/// [`Cancelled`], if it is.
pub fn check_cancelled() -> Result<(), Cancelled> {
    if is_cancelled() { Err(Cancelled(())) } else { Ok(()) }
}

/// What was to be done was cancelled before it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "CancelledError")]
pub struct Cancelled(());

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl Error for Cancelled {}

impl From<Cancelled> for io::Error {
    /// Of kind `Other`: `Interrupted` would be taken for a call to be made again.
    fn from(cancelled: Cancelled) -> Self {
        io::Error::other(cancelled)
    }
}

/// The scope that code which runs here is in: the innermost boundary's or shield's, or its task's. `None`
/// where there is no task.
fn around() -> Option<Arc<Scope>> {
    scope::current().or_else(|| task::with_current(|task| task.scope().clone()))
}

/// Whether the task that runs here was woken since its poll began: it is polled once more, whatever this poll
/// comes to. True where nobody can tell.
fn is_woken() -> bool {
    task::with_current(task::Header::is_woken).unwrap_or(true)
}

/// Whether the task that runs here is to end, and this poll of it began before it was told: what it runs is in
/// no scope, and operations behind a boundary would begin (CANCEL-10).
fn is_unaware() -> bool {
    scope::with_current(|scope| scope.is_none())
        && task::with_current(task::Header::is_to_end).unwrap_or(false)
}
