//! An operation's place in the scope that it is waited for in.

use super::here::with_refusing;
use super::{BORN, Inside, Kind, Scope};
use crate::panics::Panics;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use std::fmt;
use std::task::{Wake, Waker};

/// One that ends, in both halves of `Scope::ending`.
const BEGUN: u64 = 1 << 32 | 1;

/// What a leaf future has while it waits inside a boundary. It is woken by a cancel in its own right, not
/// only with its task: whatever combinator is in between will poll it.
///
/// A cancelled leaf may [ask for time](Self::end): until the last completion, or until this is dropped, the
/// boundary waits (C2).
#[derive(Debug)]
pub struct Leaf {
    inside: Inside,
    ending: Option<std::sync::Arc<Ending>>,
    was_refused: bool,
}

/// The time that a leaf asked for, as what its operation wakes.
struct Ending(Arc<Scope>);

impl Leaf {
    /// A leaf that waits in the scope of this thread. `None` if there is no boundary directly around it: by
    /// a task that is cancelled it is dropped, and what is shielded hears of no cancel.
    pub fn here() -> Option<Self> {
        super::with_current(|scope| match scope {
            Some(scope) if scope.kind == Kind::Boundary => Some(Self::new(scope, false)),
            _ => None,
        })
    }

    /// A leaf that may not begin where this thread is, since that is cancelled, or a region that is over. It is woken
    /// when there is a shield inside that, or it is gone: for it may be polled there, and may begin. `None` if
    /// there is no scope; then it may be that it was [refused in passing](super::is_refused_in_passing).
    pub fn refused_here() -> Option<Self> {
        with_refusing(|scope| scope.map(|scope| Self::new(scope, true)))
    }

    fn new(scope: &Arc<Scope>, was_refused: bool) -> Self {
        let inside = Inside::new(Kind::Leaf, Some(scope.clone()), None);
        // Relaxed: for those who poll it. A cancel changes nothing for one that was refused.
        inside.scope().has_acted.store(was_refused, Ordering::Relaxed);
        Self { inside, ending: None, was_refused }
    }

    /// Whether it waits in the scope of this thread, or is refused there.
    pub fn is_here(&self) -> bool {
        let is_ours =
            |scope: Option<&Arc<Scope>>| scope.is_some_and(|it| Arc::ptr_eq(it, self.parent()));
        if self.was_refused { with_refusing(is_ours) } else { super::with_current(is_ours) }
    }

    /// Whether it [may not begin](Self::refused_here).
    pub fn was_refused(&self) -> bool {
        self.was_refused
    }

    /// Has `waker` woken when it is cancelled. Asked for *before* [`is_cancelled`](Self::is_cancelled).
    pub fn register(&self, waker: &Waker) {
        self.inside.scope().register(waker);
        if self.was_refused {
            self.inside.scope().was_refused();
        }
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.inside.scope().is_cancelled()
    }

    /// It waits for the end of what was cancelled: its boundary is not cut before, but for the end of its
    /// patience. To be called in each poll that finds that it has not ended yet, or cannot say so.
    ///
    /// The operation is to wake what this gives in place of its future, which [has registered](Self::register):
    /// that future may be gone by then, or kept and not polled, and the boundary must not wait for it. Woken
    /// without need, it is called for again in the poll that follows.
    pub fn end(&mut self) -> Waker {
        let leaf = self.inside.scope();
        // Relaxed: whoever polls the boundary, polls the leaf.
        let is_first = !leaf.has_acted.swap(true, Ordering::Relaxed);
        // Relaxed: as in `leave`. Those that were told are finite.
        if is_first && leaf.state.load(Ordering::Relaxed) != BORN {
            leaf.around().has_progress();
        }
        leaf.begin_to_end();
        let ending = self.ending.get_or_insert_with(|| std::sync::Arc::new(Ending(leaf.clone())));
        Waker::from(ending.clone())
    }

    /// Whether it waits for the end.
    pub fn is_ending(&self) -> bool {
        // Relaxed: to look at.
        self.inside.scope().is_ending.load(Ordering::Relaxed)
    }

    fn parent(&self) -> &Arc<Scope> {
        self.inside.scope().around()
    }
}

impl Scope {
    /// The scope that a leaf is in.
    fn around(&self) -> &Arc<Scope> {
        self.parent.as_ref().expect("a leaf is in a scope")
    }

    fn begin_to_end(&self) {
        // Acquire: pairs with `over`: what that has taken away is added after it. By one poll at a time.
        if !self.is_ending.load(Ordering::Acquire) {
            // Relaxed: the boundary's look follows in the same poll.
            self.around().ending.fetch_add(BEGUN, Ordering::Relaxed);
            // Release: pairs with `over`, which takes away what was added before.
            self.is_ending.store(true, Ordering::Release);
        }
    }

    fn over(&self) {
        // AcqRel: pairs with both in `begin_to_end`.
        if !self.is_ending.swap(false, Ordering::AcqRel) {
            return;
        }
        let boundary = self.around();
        // Release: pairs with the Acquire in `settled`. Acquire: for the last of several.
        if boundary.ending.fetch_sub(1, Ordering::AcqRel) as u32 == 1 {
            boundary.look_again();
        }
    }
}

impl Wake for Ending {
    fn wake(self: std::sync::Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        let mut panics = Panics::default();
        // First who waits for it: when the boundary looks, that one is to be polled.
        panics.caught(|| self.0.waker.wake());
        panics.caught(|| self.0.over());
        panics.pass_on();
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        if self.ending.is_some() {
            let mut panics = Panics::default();
            panics.caught(|| self.inside.scope().over());
            panics.pass_on();
        }
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").finish_non_exhaustive()
    }
}
