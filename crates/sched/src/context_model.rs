//! The context of a modelled thread: its timers, if it was given any.

use crate::timer::Timers;
use filch_atomic::sync::Arc;

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

/// No modelled thread is a worker: models hand their timers to what uses them.
pub(crate) fn with_timers<R>(f: impl FnOnce(Option<CurrentTimers<'_>>) -> R) -> R {
    f(None)
}
