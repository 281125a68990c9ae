//! An operation's place in the scope that it is waited for in.

use super::{Inside, Kind, Scope};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use std::task::Waker;

/// What a leaf future has while it waits inside a boundary. It is woken by a cancel in its own right, not
/// only with its task: whatever combinator is in between will poll it.
///
/// A cancelled leaf may [ask for time](Self::end): until this is dropped the boundary waits (C2).
#[derive(Debug)]
pub struct Leaf {
    inside: Inside,
    is_ending: bool,
}

impl Leaf {
    /// A leaf that waits in the scope of this thread. `None` if there is no boundary directly around it: by
    /// a task that is cancelled it is dropped, and what is shielded hears of no cancel.
    pub fn here() -> Option<Self> {
        super::with_current(|scope| match scope {
            Some(scope) if scope.kind == Kind::Boundary => {
                let inside = Inside::new(Kind::Leaf, Some(scope.clone()), None);
                Some(Self { inside, is_ending: false })
            }
            _ => None,
        })
    }

    /// Whether it waits in the scope of this thread.
    pub fn is_here(&self) -> bool {
        super::with_current(|scope| scope.is_some_and(|scope| Arc::ptr_eq(scope, self.parent())))
    }

    /// Has `waker` woken when it is cancelled. Asked for *before* [`is_cancelled`](Self::is_cancelled).
    pub fn register(&self, waker: &Waker) {
        self.inside.scope().register(waker);
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.inside.scope().is_cancelled()
    }

    /// It waits for the end of what was cancelled: its boundary is not cut before this is dropped, but for
    /// the end of its patience.
    pub fn end(&mut self) {
        if !std::mem::replace(&mut self.is_ending, true) {
            // Relaxed: as for a hold, the boundary's look follows in the same poll.
            self.parent().ending.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether it [waits for the end](Self::end).
    pub fn is_ending(&self) -> bool {
        self.is_ending
    }

    fn parent(&self) -> &Arc<Scope> {
        self.inside.scope().parent.as_ref().expect("a leaf is in a boundary")
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        if self.is_ending {
            let parent = self.parent();
            // Release: pairs with the Acquire in `is_ending`.
            if parent.ending.fetch_sub(1, Ordering::AcqRel) == 1 {
                parent.look_again();
            }
        }
    }
}
