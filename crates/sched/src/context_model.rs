//! The context of a modelled thread: its timers, if it was given any.

use crate::timer::Timers;
use filch_atomic::sync::Arc;
use filch_atomic::thread_local;
use std::cell::RefCell;

thread_local! {
    static TIMERS: RefCell<Option<(Arc<Timers>, bool)>> = const { RefCell::new(None) };
}

/// The timers that a sleep first polled on this thread goes to.
pub(crate) struct CurrentTimers<'a> {
    pub(crate) timers: &'a Arc<Timers>,
    /// This thread is the worker that fires them.
    pub(crate) is_owner: bool,
}

/// No modelled thread is a worker.
pub(crate) fn on_ending_worker() -> bool {
    false
}

/// Gives this thread timers: a model hands its own to what uses them. They are some other thread's.
pub fn set_timers(timers: Option<Arc<Timers>>) {
    set(timers.map(|timers| (timers, false)));
}

/// The same, of a thread that is the worker which fires them.
pub fn set_own_timers(timers: Arc<Timers>) {
    set(Some((timers, true)));
}

fn set(timers: Option<(Arc<Timers>, bool)>) {
    let former = TIMERS.with(|current| current.replace(timers));
    drop(former);
}

/// Lends this thread's timers.
pub(crate) fn with_timers<R>(f: impl FnOnce(Option<CurrentTimers<'_>>) -> R) -> R {
    let timers = TIMERS.with(|current| current.borrow().clone());
    f(timers.as_ref().map(|(timers, is_owner)| CurrentTimers { timers, is_owner: *is_owner }))
}
