//! Waiting for a future on a thread that is no worker.

use crate::context;
use crate::handle::Handle;
use crate::still::block;
use crate::task::KeepOutside;
use filch_atomic::current::{self, WaitRecord};
use filch_atomic::scope;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ptr;

/// A thread that is a worker was asked to block on a future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockOnWorker(());

impl BlockOnWorker {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for BlockOnWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "cannot block on a future here: this thread is a worker, and the tasks that the future \
             may wait for could not run (await it, or move the blocking call to `spawn_blocking`)",
        )
    }
}

impl Error for BlockOnWorker {}

impl Handle {
    /// Runs `future` on this thread, which sleeps while it waits, inside this scheduler's context.
    ///
    /// # Errors
    ///
    /// On a worker's thread, of whichever scheduler.
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, BlockOnWorker> {
        if context::is_worker() {
            return Err(BlockOnWorker::new());
        }
        let _enter = self.enter();
        let _kept = KeepOutside::new();
        let record = WaitRecord::new();
        // Whatever this thread is in the midst of, a blocking closure say, the future is no part of it.
        let apart = |run: &mut dyn FnMut()| {
            // SAFETY: null.
            scope::outside(|| unsafe { current::enter(ptr::null(), &record, run) });
        };
        Ok(block(self.shared(), apart, future))
    }
}
