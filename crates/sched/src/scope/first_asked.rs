//! A call just before code of a task can learn whether it is cancelled, for the first time.

use filch_atomic::thread_local;
use std::cell::Cell;

thread_local! {
    /// Whom to call.
    static BEFORE: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Runs `poll`, of a whole task. Should the code in it ask whether it is cancelled, or begin something in the
/// task's scope, `before` is called first, once. So whoever is to see to it that the task is told of a cancel
/// can put that off, to the end of this poll at the latest; most tasks have only one.
#[inline]
pub fn before_first_asked<R>(before: fn(), poll: impl FnOnce() -> R) -> R {
    struct Restore(Option<fn()>);
    impl Drop for Restore {
        fn drop(&mut self) {
            BEFORE.with(|place| place.set(self.0));
        }
    }
    let _restore = Restore(BEFORE.with(|place| place.replace(Some(before))));
    poll()
}

/// It is asked.
#[inline]
pub(super) fn asked() {
    if let Some(before) = BEFORE.with(Cell::take) {
        before();
    }
}
