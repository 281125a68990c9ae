//! Telling all that is in a scope.

use super::{ASKED, BORN, CANCELLED, Kind, LIVE, Scope};
use crate::panics::Panics;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use std::mem;

impl Scope {
    /// Cancels all that is in it, innermost first, but for what is shielded, and then itself; wakes each
    /// where it waits. A second call does nothing, or the same at the same time, if the first is still at it: who
    /// has called it may be sure that all were told.
    ///
    /// # Panics
    ///
    /// With the panic of a waker, when all is done.
    pub fn cancel(&self) {
        let Some(children) = self.ask() else { return };
        let mut panics = Panics::default();
        // Not by recursion: how deep it goes, and how much stack there is left, is not for us to say.
        let mut around = Vec::new();
        let mut children = children.into_iter();
        loop {
            if let Some(child) = children.next() {
                if let Some(inner) = child.ask() {
                    around.push((child, mem::replace(&mut children, inner.into_iter())));
                }
            } else if let Some((scope, rest)) = around.pop() {
                scope.tell(&mut panics);
                children = rest;
            } else {
                break;
            }
        }
        self.tell(&mut panics);
        panics.pass_on();
    }

    /// The first step: from here on, what begins in it is cancelled from the start. Gives all that began before;
    /// nothing if they were told.
    fn ask(&self) -> Option<Vec<Arc<Self>>> {
        let children = self.children.lock();
        // Acquire: pairs with the Release in `tell`, if that was somebody else's: what is around may be cut when
        // we are through, and he has told what is inside.
        match self.state.load(Ordering::Acquire) {
            // Release: pairs with the Acquire in `is_cancelled`. Acquire, and no mere store: pairs with
            // `look_again`, as the step to CANCELLED does, which finds only what this left.
            LIVE => drop(self.state.swap(ASKED, Ordering::AcqRel)),
            // Somebody is at it, and may be held up. We may have come from further out, and what is there must
            // not be cut before all in here were told: so we do his work, too.
            ASKED => {}
            CANCELLED | BORN => return None,
            _ => unreachable!("there are no other states"),
        }
        Some(children.clone())
    }

    /// The last step: all inside were told.
    fn tell(&self, panics: &mut Panics) {
        // Release: pairs with the Acquire in `is_due`; all inside were told before. Acquire: pairs with
        // `look_again`: whoever we wake has to see what was let go before.
        self.state.swap(CANCELLED, Ordering::AcqRel);
        // Under no lock (D8).
        panics.caught(|| self.waker.wake());
    }

    /// Tells the scopes around a shield that is new that leaves which were refused there may begin in it: those
    /// that somebody polls only when they were woken (C2).
    pub(super) fn welcome_refused(&self) {
        let mut panics = Panics::default();
        let mut next = &self.parent;
        while let Some(scope) = next {
            scope.wake_refused(&mut panics);
            next = if scope.kind == Kind::Shield { &None } else { &scope.parent };
        }
        panics.pass_on();
    }

    /// It is to be woken with those that were [refused](Self::wake_refused) in what is around it.
    pub(super) fn was_refused(&self) {
        if let Some(parent) = &self.parent {
            // Relaxed: see `wake_refused`.
            parent.has_refused.store(true, Ordering::Relaxed);
        }
    }

    /// Whether something from here outwards, to the first shield, is cancelled. `None` if that is for the task to say.
    pub(super) fn is_cancelled_or_shielded(&self) -> Option<bool> {
        let mut next = Some(self);
        while let Some(scope) = next {
            if scope.is_cancelled() {
                return Some(true);
            }
            if scope.kind == Kind::Shield {
                return Some(false);
            }
            next = scope.parent.as_deref();
        }
        None
    }

    /// Wakes the leaves directly in it that were refused, and the regions whose owner waits for the end of this one. They
    /// will be where they may go on, or be refused again.
    pub(super) fn wake_refused(&self, panics: &mut Panics) {
        // Relaxed: whoever was refused said so in a poll of the same task; one that was moved to another is
        // woken too early at worst, and polled where it is then.
        if !self.has_refused.load(Ordering::Relaxed) {
            return;
        }
        self.has_refused.store(false, Ordering::Relaxed);
        let mut leaves = self.children.lock().clone();
        leaves.retain(|child| matches!(child.kind, Kind::Leaf | Kind::Region));
        // Under no lock (D8).
        for leaf in leaves {
            panics.caught(|| leaf.waker.wake());
        }
    }
}
