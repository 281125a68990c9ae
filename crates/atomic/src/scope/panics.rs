//! Panics of wakers, which must not keep anybody from what is his.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{mem, thread};

/// The first panic of several calls.
#[derive(Default)]
pub(super) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    /// Runs `f`, and keeps its panic.
    pub(super) fn caught(&mut self, f: impl FnOnce()) {
        let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { return };
        if self.0.is_none() {
            self.0 = Some(payload);
        } else {
            // Its destructor may panic in its turn.
            mem::forget(payload);
        }
    }

    /// Goes on with the panic, if there was one, when all is done. Not where the thread unwinds already: a second
    /// panic would end the process.
    pub(super) fn pass_on(mut self) {
        match self.0.take() {
            Some(payload) if thread::panicking() => mem::forget(payload),
            Some(payload) => resume_unwind(payload),
            None => {}
        }
    }
}
