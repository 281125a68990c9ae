//! Asking for somebody else whether he was asked to end.

use crate::task::AbortHandle;
use filch_atomic::scope::{self, Scope};
use filch_atomic::sync::Arc;
use filch_atomic::thread_local;
use std::cell::Cell;
use std::ptr;

/// Says, on any thread, whether the code that it was made by was asked to end.
#[derive(Debug)]
pub struct Witness(Whose);

#[derive(Debug)]
enum Whose {
    /// Code in a boundary or a shield.
    Scope(Arc<Scope>),
    /// A task's.
    Task(AbortHandle),
    Nobody,
    /// It was asked when this was made, and that stays.
    Cancelled,
}

thread_local! {
    /// Who answers where there is no boundary. Points to what `Witness::enter` borrows.
    static CURRENT: Cell<*const Witness> = const { Cell::new(ptr::null()) };
}

impl Witness {
    /// For the code that runs here.
    pub fn here() -> Self {
        // Asked for here, as the code itself would: a child of a group is to be told of a cancel from now on, and
        // what is in a timeout whose time is over has no scope to ask.
        if super::is_cancelled() {
            return Self(Whose::Cancelled);
        }
        let in_scope = scope::current().map(Whose::Scope);
        let whose = in_scope.or_else(|| AbortHandle::of_current().map(Whose::Task));
        Self(whose.unwrap_or(Whose::Nobody))
    }

    /// Runs `f`, where [`is_cancelled`](super::is_cancelled) is now as it is for the code that made this.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Restore(*const Witness);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with(|current| current.set(self.0));
            }
        }
        if let Whose::Scope(scope) = &self.0 {
            return scope::enter(scope, f);
        }
        let _restore = Restore(CURRENT.with(|current| current.replace(self)));
        scope::outside(f)
    }
}

/// What the witness says that was entered here. `None` if none was.
pub(super) fn is_cancelled() -> Option<bool> {
    let current = CURRENT.with(Cell::get);
    // SAFETY: `enter` borrows what it points to, and puts the former one back before it returns or unwinds.
    let witness = unsafe { current.as_ref() }?;
    Some(match &witness.0 {
        Whose::Scope(scope) => scope.is_to_end(),
        Whose::Task(task) => task.is_cancelled(),
        Whose::Nobody => false,
        Whose::Cancelled => true,
    })
}
