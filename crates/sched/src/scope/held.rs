//! A future and the scope that its code runs in.

use super::around;
use filch_atomic::scope::{Inside, Kind, Scope, enter};
use filch_atomic::sync::Arc;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// A future that is polled, and dropped, in a scope of its own, made at the first poll. Pinned with the
/// whole that it is a part of.
pub(super) struct Held<F> {
    future: Option<F>,
    inside: Option<Inside>,
}

impl<F> Held<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future: Some(future), inside: None }
    }

    /// Whether it was polled and is not over.
    pub(super) fn has_begun(&self) -> bool {
        self.inside.is_some()
    }

    /// The place of its scope.
    ///
    /// # Panics
    ///
    /// Unless it [has begun](Self::has_begun).
    pub(super) fn inside(&mut self) -> &mut Inside {
        self.inside.as_mut().expect("it has begun")
    }

    /// Drops the future, in its scope, and gives the place of that. `None` unless it [has
    /// begun](Self::has_begun).
    pub(super) fn end(&mut self) -> Option<Inside> {
        let inside = self.inside.take();
        let future = &mut self.future;
        match &inside {
            Some(inside) => enter(inside.scope(), || *future = None),
            None => *future = None,
        }
        inside
    }

    /// Polls the future in its scope, which is of that kind. `before` comes first.
    pub(super) fn poll(
        self: Pin<&mut Self>,
        kind: Kind,
        deadline: Option<Instant>,
        before: impl FnOnce(&Arc<Scope>),
        cx: &mut Context<'_>,
    ) -> Poll<F::Output>
    where
        F: Future,
    {
        // SAFETY: `future` is pinned when the whole is: it is not moved out of the reference got here, and
        // dropped in place by `end`, also in `Drop`; the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        let future = this.future.as_mut().expect("it was polled after it had been ready");
        let inside = this.inside.get_or_insert_with(|| Inside::new(kind, around(), deadline));
        before(inside.scope());
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(future) };
        let polled = enter(inside.scope(), || future.poll(cx));
        if polled.is_ready() {
            drop(this.end());
        }
        polled
    }
}

impl<F> Drop for Held<F> {
    fn drop(&mut self) {
        drop(self.end());
    }
}
