//! Waiting for a future on a thread that is no worker.

use crate::context;
use crate::handle::Handle;
use crate::still::Outside;
use crate::task::KeepOutside;
use filch_atomic::current::{self, WaitRecord, unconstrained};
use filch_atomic::scope;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

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
        let outside = Outside::begin(self.shared());
        let (thread, woken) = (thread::current(), AtomicBool::new(false));
        let signal = Arc::new(Signal { thread, woken, outside });
        // Also if the future panics.
        let _end = End(&signal);
        // Behind that: dropped by a panic, it goes first, and that is still a part of its run.
        let mut future = pin!(Some(future));
        let waker = Waker::from(signal.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            let mut polled = Poll::Pending;
            apart(&mut || {
                let pinned = future.as_mut().as_pin_mut().expect("it is not over");
                polled = unconstrained(|| pinned.poll(&mut cx));
                if polled.is_ready() {
                    future.set(None);
                }
            });
            if let Poll::Ready(output) = polled {
                return Ok(output);
            }
            signal.outside.rests();
            // Acquire: pairs with the Release in `wake`; what a waker did is seen by the next poll.
            while !signal.woken.swap(false, Ordering::Acquire) {
                thread::park();
            }
        }
    }
}

/// Wakes a thread that blocks on a future. It has a flag of its own, because the token of
/// `thread::park` may be used up by a library that parks inside the poll.
struct Signal {
    thread: Thread,
    woken: AtomicBool,
    outside: Outside,
}

/// Ends its thread's part in the stillness.
struct End<'a>(&'a Signal);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.outside.end(&self.0.woken);
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.outside.raise(&self.woken) {
            self.thread.unpark();
        }
    }
}
