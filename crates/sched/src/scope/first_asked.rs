//! A call just before code of a task can learn whether it is cancelled, for the first time.

use filch_atomic::current;
use filch_atomic::thread_local;
use std::cell::Cell;

/// Whom to call, and for which task: another one may run in the midst of its poll.
type Before = (fn(), *const ());

thread_local! {
    static BEFORE: Cell<Option<Before>> = const { Cell::new(None) };
}

/// Runs `poll`, of a whole task. Should the code in it ask whether it is cancelled, or begin something in the
/// task's scope, `before` is called first, once. So whoever is to see to it that the task is told of a cancel
/// can put that off, to the end of this poll at the latest; most tasks have only one.
#[inline]
pub fn before_first_asked<R>(before: fn(), poll: impl FnOnce() -> R) -> R {
    struct Restore(Option<Before>);
    impl Drop for Restore {
        fn drop(&mut self) {
            BEFORE.with(|place| place.set(self.0));
        }
    }
    let before = Some((before, current::task()));
    let _restore = Restore(BEFORE.with(|place| place.replace(before)));
    poll()
}

/// It is asked.
#[inline]
pub(super) fn asked() {
    if let Some((before, task)) = BEFORE.with(Cell::get)
        && task == current::task()
    {
        BEFORE.with(|place| place.set(None));
        before();
    }
}
