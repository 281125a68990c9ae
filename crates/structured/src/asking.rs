//! Asking several tasks to end.

use filch_sched::Handle;
use filch_sched::task::{Meta, Report, TaskId};
use std::any::Any;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::{mem, thread};

/// Asks each of several tasks, also if a waker that somebody made panics.
#[derive(Debug, Default)]
pub struct Asking(Option<Box<dyn Any + Send>>);

impl Asking {
    /// Calls `ask`. A panic waits.
    pub(crate) fn ask(&mut self, ask: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(ask)) {
            match &self.0 {
                None => self.0 = Some(payload),
                // Its destructor may panic in its turn.
                Some(_) => mem::forget(payload),
            }
        }
    }

    /// All were asked: goes on with the first panic.
    pub(crate) fn go_on(self) {
        if let Some(payload) = self.0 {
            resume_unwind(payload);
        }
    }

    /// The same in a destructor, which must not panic: it is reported, for the code that runs here or at `location`.
    pub(crate) fn report(self, location: &'static Location<'static>) {
        let Some(payload) = self.0 else { return };
        let here = || Meta { id: TaskId::next(), name: None, location };
        let task = filch_sched::task::meta().unwrap_or_else(here);
        match Handle::try_current() {
            Some(handle) => handle.report(&Report::task_panicked(&task, payload)),
            None if thread::panicking() => mem::forget(payload),
            None => drop(payload),
        }
    }
}
