//! Which worker's timers this thread uses.

use crate::timer::Timers;
use filch_atomic::sync::Arc;
use std::cell::RefCell;

filch_atomic::thread_local! {
    static TIMERS: RefCell<Option<(Arc<Timers>, bool)>> = const { RefCell::new(None) };
}

/// The timers that belong to this thread.
pub(crate) struct CurrentTimers<'a> {
    /// Where a sleep that is first polled here is registered.
    pub(crate) timers: &'a Arc<Timers>,
    /// Whether this thread is the worker that owns them, and so looks at them by itself before it sleeps.
    pub(crate) is_owner: bool,
}

/// Hands the timers of this thread's runtime to `f`: a worker's own, some worker's on a thread that has
/// merely entered a runtime, none elsewhere.
pub(crate) fn with_timers<R>(f: impl FnOnce(Option<CurrentTimers<'_>>) -> R) -> R {
    TIMERS.with(|current| match &*current.borrow() {
        Some((timers, is_owner)) => f(Some(CurrentTimers { timers, is_owner: *is_owner })),
        None => f(None),
    })
}

/// Gives this thread timers, as its owner or as a guest, or takes them away.
#[cfg_attr(not(test), allow(dead_code, reason = "the worker loop is to call it"))]
pub(crate) fn set_current_timers(timers: Option<(Arc<Timers>, bool)>) {
    TIMERS.with(|current| *current.borrow_mut() = timers);
}
