//! A future that a cancel from outside does not reach.

use super::held::Held;
use filch_atomic::scope::Kind;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// Runs `future` to its end, though the scopes around it are cancelled meanwhile: they wait for it.
///
/// In place, in this task: it may borrow. A boundary *inside* it is not told of the cancel either, and
/// [`is_cancelled`](super::is_cancelled) is false there. Behind it the cancel is in force again.
///
/// The end of a [`timeout`](fn@crate::timer::timeout) around it is such a cancel. Nothing else is kept off: dropping this
/// future drops the one inside, and so do [`abort`](crate::task::JoinHandle::abort) and the end of the runtime. To go on all the same, [`shield`] is a task of its own.
///
/// [`shield`]: https://docs.rs/filch/latest/filch/fn.shield.html
///
/// # Cancel safety
///
/// As cancel safe as the future inside.
///
/// # Deadlocks
///
/// From its first poll to its end or drop it holds up every cancel around it. One that is kept and not
/// polled any more does so for as long as it is kept; `abort` ends it.
#[doc(alias = "CancelScope")]
#[doc(alias = "uncancellable")]
pub fn shielded<F: IntoFuture>(future: F) -> Shielded<F::IntoFuture> {
    Shielded { held: Held::new(future.into_future()), deadline: None }
}

/// The future that [`shielded`] returns.
#[must_use = "it does nothing unless it is awaited"]
pub struct Shielded<F> {
    /// Pinned with the whole.
    held: Held<F>,
    /// When clean-up inside has to be over.
    deadline: Option<Instant>,
}

impl<F> Shielded<F> {
    /// As [`shielded`], for clean-up that has to be over by then.
    pub(super) fn until(future: F, deadline: Instant) -> Self {
        Self { held: Held::new(future), deadline: Some(deadline) }
    }
}

impl<F: Future> Future for Shielded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let deadline = self.deadline;
        // SAFETY: `held` is pinned when the whole is: it is never moved out of a pinned `Shielded`, there is
        // no `Drop` impl, and the type is not packed.
        let held = unsafe { self.map_unchecked_mut(|this| &mut this.held) };
        held.poll(Kind::Shield, deadline, |_| (), cx)
    }
}

impl<F> fmt::Debug for Shielded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shielded").field("begun", &self.held.has_begun()).finish_non_exhaustive()
    }
}
