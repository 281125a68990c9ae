//! Waiting for a future on a thread that is no worker: the thread itself polls it, and sleeps meanwhile.

use super::{Outside, Workers};
use filch_atomic::current::unconstrained;
use filch_atomic::panics::poll_and_end;
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use filch_atomic::thread::{self, Thread};
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Runs `future` on this thread, which counts as [outside](Outside) the workers. `apart` runs what it is given, and has
/// this thread be what it has to be for the future: each poll, and the end of it.
pub fn block<W: Workers, F: Future>(
    workers: &Arc<W>,
    apart: impl Fn(&mut dyn FnMut()),
    future: F,
) -> F::Output {
    let outside = Outside::begin(workers);
    let (thread, woken) = (thread::current(), AtomicBool::new(false));
    let signal = Arc::new(Signal { thread, woken, outside });
    // Also if the future panics.
    let _end = End(&signal);
    let mut future = pin!(Some(future));
    let waker = Waker::from(signal.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        let mut polled = Ok(Poll::Pending);
        apart(&mut || {
            let poll = |future: Pin<&mut F>| unconstrained(|| future.poll(&mut cx));
            polled = poll_and_end(future.as_mut(), poll);
        });
        match polled {
            Ok(Poll::Ready(output)) => return output,
            Ok(Poll::Pending) => {}
            Err(payload) => resume_unwind(payload),
        }
        signal.outside.rests();
        // Acquire: pairs with the AcqRel in `Outside::raise`; what a waker did is seen by the next poll.
        while !signal.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

/// Wakes a thread that blocks on a future. It has a flag of its own, because the token of
/// `thread::park` may be used up by a library that parks inside the poll.
struct Signal<W> {
    thread: Thread,
    woken: AtomicBool,
    outside: Outside<W>,
}

/// Ends its thread's part in the stillness.
struct End<'a, W: Workers>(&'a Signal<W>);

impl<W: Workers> Drop for End<'_, W> {
    fn drop(&mut self) {
        self.0.outside.end(&self.0.woken);
    }
}

impl<W: Workers> Wake for Signal<W> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.outside.raise(&self.woken) {
            self.thread.unpark();
        }
    }
}
