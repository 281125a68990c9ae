//! What waits for tasks of its own, and its place in the scope that it waits in.

use filch_atomic::scope::{Inside, Kind};
use filch_sched::scope::around;
use std::task::Context;

/// A place in a scope: a cancel from outside is heard there, and may be held up until the tasks are joined.
#[derive(Debug, Default)]
pub(crate) struct Place {
    inside: Option<Inside>,
    /// Whether it was looked for: where no task is there is none.
    is_taken: bool,
}

impl Place {
    /// Whether what is around was cancelled. From the first call on the waker of the last one is woken by that.
    pub(crate) fn is_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_taken {
            self.is_taken = true;
            self.inside = around().map(|parent| Inside::new(Kind::Boundary, Some(parent), None));
        }
        self.inside.as_ref().is_some_and(|inside| {
            // First, then the look.
            inside.scope().register(cx.waker());
            inside.scope().is_cancelled()
        })
    }

    /// What is around is not cut before this is [left](Self::leave).
    pub(crate) fn hold(&mut self) {
        if let Some(inside) = &mut self.inside {
            inside.hold();
        }
    }

    /// Lets go, and hears of no cancel any more.
    pub(crate) fn leave(&mut self) {
        self.inside = None;
    }
}
