//! Which scope the code on this thread is a part of.

use super::jobs::Work;
use filch_atomic::thread_local;
use filch_sched::{Role, role};
use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

thread_local! {
    static CURRENT: Cell<Frame> = const { Cell::new(Frame { work: ptr::null(), role: Role::NONE }) };
}

/// A body or a job that runs on this thread.
#[derive(Clone, Copy)]
struct Frame {
    /// Points to what `within` borrows.
    work: *const Arc<Work>,
    /// What the thread was when that began. What a runtime has run there since is another matter.
    role: Role,
}

/// Runs `f` as a part of `work`: scopes that it makes are within.
pub(super) fn within<R>(work: &Arc<Work>, f: impl FnOnce() -> R) -> R {
    struct Restore(Frame);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.with(|current| current.set(self.0));
        }
    }
    let frame = Frame { work, role: role() };
    let _restore = Restore(CURRENT.with(|current| current.replace(frame)));
    f()
}

/// The scope that the code on this thread is a part of. A runtime that is run or entered inside of a scope has its own
/// helpers, and what its tasks do is no part of that scope.
pub(super) fn current() -> Option<Arc<Work>> {
    let frame = CURRENT.with(Cell::get);
    // SAFETY: `within` borrows what it points to, and puts the former one back before it returns or unwinds.
    let work = unsafe { frame.work.as_ref() }?;
    (frame.role == role()).then(|| work.clone())
}
