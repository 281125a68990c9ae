//! Which group the code that runs on this thread belongs to.

use super::core::{Core, Place};
use filch_atomic::sync::Arc;
use filch_atomic::thread_local;
use filch_sched::scope::before_first_asked;
use std::cell::Cell;
use std::ptr;

thread_local! {
    /// The group whose body or child runs on this thread. Points to what `enter` borrows.
    static CURRENT: Cell<*const Arc<Core>> = const { Cell::new(ptr::null()) };
    /// The group whose child is polled for the first time on this thread. Points to what `enter_first` borrows.
    static FIRST: Cell<*const Arc<Core>> = const { Cell::new(ptr::null()) };
    /// Its place there, once it has one.
    static PLACE: Cell<Option<Place>> = const { Cell::new(None) };
}

/// Runs `f` as code of the group: one that opens there is inside it.
pub(super) fn enter<R>(core: &Arc<Core>, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(CURRENT.with(|current| current.replace(core)), |former| {
        CURRENT.with(|current| current.set(former));
    });
    f()
}

/// As [`enter`], for the first poll of a child, which is not listed yet. Gives its place, if code in it asked
/// whether it is cancelled, so that it had to be listed.
pub(super) fn enter_first<R>(core: &Arc<Core>, f: impl FnOnce() -> R) -> (R, Option<Place>) {
    let _restore = Restore(FIRST.with(|first| first.replace(core)), |former| {
        FIRST.with(|first| first.set(former));
    });
    let former = PLACE.with(Cell::take);
    let given = before_first_asked(list, || enter(core, f));
    (given, PLACE.with(|place| place.replace(former)))
}

/// The child on this thread is listed.
fn list() {
    let first = FIRST.with(Cell::get);
    // SAFETY: `enter_first` borrows what it points to, and puts the former one back before it returns or
    // unwinds, so what stands here is borrowed further up this thread's stack.
    if let Some(core) = unsafe { first.as_ref() } {
        let place = core.list();
        PLACE.with(|own| own.set(Some(place)));
    }
}

struct Restore(*const Arc<Core>, fn(*const Arc<Core>));

impl Drop for Restore {
    fn drop(&mut self) {
        (self.1)(self.0);
    }
}

/// The innermost group whose code runs on this thread.
pub(super) fn current() -> Option<Arc<Core>> {
    let current = CURRENT.with(Cell::get);
    // SAFETY: `enter` borrows what it points to, and puts the former one back before it returns or unwinds,
    // so what stands here is borrowed further up this thread's stack.
    unsafe { current.as_ref() }.cloned()
}
