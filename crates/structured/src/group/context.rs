//! Which group the code that runs on this thread belongs to.

use super::core::Core;
use filch_atomic::sync::Arc;
use filch_atomic::thread_local;
use std::cell::Cell;
use std::ptr;

thread_local! {
    /// The group whose body or child runs on this thread. Points to what `enter` borrows.
    static CURRENT: Cell<*const Arc<Core>> = const { Cell::new(ptr::null()) };
}

/// Runs `f` as code of the group: one that opens there is inside it.
pub(super) fn enter<R>(core: &Arc<Core>, f: impl FnOnce() -> R) -> R {
    struct Restore(*const Arc<Core>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.with(|current| current.set(self.0));
        }
    }
    let _restore = Restore(CURRENT.with(|current| current.replace(core)));
    f()
}

/// The innermost group whose code runs on this thread.
pub(super) fn current() -> Option<Arc<Core>> {
    let current = CURRENT.with(Cell::get);
    // SAFETY: `enter` borrows what it points to, and puts the former one back before it returns or unwinds,
    // so what stands here is borrowed further up this thread's stack.
    unsafe { current.as_ref() }.cloned()
}
