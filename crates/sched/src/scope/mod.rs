//! Cancelling with clean-up: boundaries, shields, and asking.
//!
//! A *cancel* asks a task to end ([`JoinHandle::cancel`](crate::task::JoinHandle::cancel)). What that
//! means is decided inside the task, by the innermost boundary around where it waits. The rules have
//! numbers, `CANCEL-1` and so on, in `docs/semantics.md`; the whole picture is in
//! `docs/cancellation.md`.

mod boundary;
mod clean_up;
mod first_asked;
mod held;
mod part;
mod shielded;
mod witness;

pub use boundary::{Cancellable, Never, cancellable};
#[cfg(not(filch_loom))]
pub use clean_up::clean_up;
pub use first_asked::before_first_asked;
pub use part::Part;
pub use shielded::{Shielded, shielded};
pub use witness::Witness;

use crate::task;
use filch_atomic::scope::{self, Scope};
use filch_atomic::sync::Arc;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Instant;

/// Whether the code that runs here was asked to end: it is in a scope that is cancelled, or in a timeout whose
/// time is over, and not shielded from that. False where there is no task.
///
/// For code that computes for long between two waits, and for blocking closures. Code that waits need not
/// ask: it is told, by the wait.
#[doc(alias = "cancelling")]
#[doc(alias = "is_canceled")]
pub fn is_cancelled() -> bool {
    scope::is_cancelled_here().unwrap_or_else(task_is_cancelled)
}

fn task_is_cancelled() -> bool {
    let by_task = || {
        first_asked::asked();
        task::with_current(task::Header::is_cancelled).unwrap_or(false)
    };
    witness::is_cancelled().unwrap_or_else(by_task)
}

/// Whether what is around this code, up to the first shield, was asked to end, or does so by itself at `moment`.
pub(crate) fn ends_around(moment: Instant) -> bool {
    scope::ends_around(moment).unwrap_or_else(task_is_cancelled)
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

impl Cancelled {
    /// For those who tell of a cancel; what was cancelled is theirs to say.
    #[doc(hidden)]
    pub const fn new() -> Self {
        Self(())
    }
}

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

/// The scope that code which runs here is in: the innermost boundary's, shield's or [`Part`]'s, or its task's.
/// `None` where there is no task. What has no scope yet is given one.
pub fn around() -> Option<Arc<Scope>> {
    scope::around(|| {
        first_asked::asked();
        task::with_current(|task| task.scope().clone())
    })
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
