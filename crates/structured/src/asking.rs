//! Asking several tasks to end.

use filch_atomic::panics::{Panics, drop_caught};
use filch_sched::Handle;
use filch_sched::task::{Meta, Report, TaskId};
use std::panic::Location;

/// Asks each of several tasks, also if a waker that somebody made panics.
#[derive(Debug, Default)]
pub struct Asking(Panics);

impl Asking {
    /// Calls `ask`. A panic waits.
    pub(crate) fn ask(&mut self, ask: impl FnOnce()) {
        self.0.caught(ask);
    }

    /// All were asked: goes on with the first panic.
    pub(crate) fn go_on(self) {
        self.0.pass_on();
    }

    /// The same in a destructor, which must not panic: it is reported, for the code that runs here or at `location`.
    pub(crate) fn report(self, location: &'static Location<'static>) {
        let Some(payload) = self.0.first() else { return };
        let here = || Meta { id: TaskId::next(), name: None, location };
        let task = filch_sched::task::meta().unwrap_or_else(here);
        match Handle::try_current() {
            Some(handle) => handle.report(&Report::task_panicked(&task, payload)),
            None => drop_caught(payload),
        }
    }
}
