//! Who asks a task's children to end.

use crate::context;
use crate::shared::Shared;
use crate::task::{AskedBy, JoinHandle, Meta, with_current};
use crate::with_handle;
use filch_atomic::scope;
use std::future::Future;
use std::ptr;
use std::sync::Arc;

/// The code that makes tasks and waits for them, seen from the end of its scheduler.
///
/// Where that code is part of a task, or of the main future, of the same scheduler, the end asks *it*, and it asks
/// its children, when it hears of that or is dropped: at once where it waits, later where it is shielded, and never
/// before. So a child does not end behind the back of whoever waits for it. Elsewhere (a thread that blocks on a
/// future, a task of another scheduler) the end does not come to that code, and asks the children themselves.
#[derive(Debug, Clone, Copy)]
pub struct Keeper {
    asked_by: AskedBy,
    /// The address of the scheduler whose code it is. That lives as long as the code does.
    scheduler: usize,
}

impl Keeper {
    /// The code that runs here.
    ///
    /// It has to ask its children when it is asked, and when it is dropped; or [disown](JoinHandle::disown) them.
    pub fn here() -> Self {
        context::with_local(|local| {
            let task = with_current(|task| task.asked_by());
            // A main future has no task, but a scope.
            let is_code = task.is_some() || scope::with_current(|scope| scope.is_some());
            let Some(local) = local.filter(|_| is_code) else {
                return Self { asked_by: AskedBy::Runtime, scheduler: 0 };
            };
            let asked_by = match task {
                Some(AskedBy::ShieldedParent | AskedBy::Nobody) => AskedBy::ShieldedParent,
                _ if scope::is_shielded_here() => AskedBy::ShieldedParent,
                _ => AskedBy::Parent,
            };
            Self { asked_by, scheduler: address(local.handle.shared()) }
        })
    }

    /// Spawns a child onto the scheduler of this thread.
    ///
    /// # Panics
    ///
    /// On a thread without a scheduler.
    #[track_caller]
    pub fn spawn<F>(self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let spawned =
            with_handle(|handle| handle.map(|handle| handle.spawn_child(future, meta, self)));
        match spawned {
            Some(handle) => handle,
            None => panic!("{}", crate::NO_RUNTIME),
        }
    }

    /// Whether it is it that asks what it [spawns](Self::spawn) here.
    pub fn asks(self) -> bool {
        let asked_by = with_handle(|handle| handle.map(|handle| self.asks_in(handle.shared())));
        asked_by.is_some_and(|asked_by| asked_by != AskedBy::Runtime)
    }

    /// Whether the code that runs here is of the same scheduler: of a task, or the main future, that ends when that does.
    /// It may not be, where what this is kept in has been carried elsewhere.
    pub fn is_here(self) -> bool {
        self.scheduler != 0 && Self::here().scheduler == self.scheduler
    }

    /// Who asks what it spawns onto that scheduler.
    pub(crate) fn asks_in(self, scheduler: &Arc<Shared>) -> AskedBy {
        if self.scheduler == address(scheduler) { self.asked_by } else { AskedBy::Runtime }
    }
}

fn address(scheduler: &Arc<Shared>) -> usize {
    ptr::from_ref::<Shared>(scheduler).addr()
}
