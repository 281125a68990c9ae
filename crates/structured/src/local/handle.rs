//! The output of a child.

use filch_atomic::current::{WaitKind, note_wait, poll_proceed};
use filch_atomic::sync::Mutex;
use filch_sched::scope::Cancelled;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::{fmt, mem};

/// The output to come of a child of a [`local_scope`](super::local_scope()): a future of
/// `Result<T, Cancelled>`. Dropping it ends nothing.
///
/// # Cancel safety
///
/// Awaiting `&mut handle` is cancel safe: the output stays until it is taken.
///
/// # Panics
///
/// Polling it again after it was ready panics.
pub struct LocalHandle<T> {
    output: Arc<Mutex<Output<T>>>,
    location: &'static Location<'static>,
}

enum Output<T> {
    /// Not there yet, and who waits for it.
    Awaited(Option<Waker>),
    There(Result<T, Cancelled>),
    Taken,
}

/// Gives the output to the handle.
pub(super) struct Giver<T>(Arc<Mutex<Output<T>>>);

/// The two ends.
pub(super) fn output<T>(location: &'static Location<'static>) -> (Giver<T>, LocalHandle<T>) {
    let output = Arc::new(Mutex::new(Output::Awaited(None)));
    (Giver(output.clone()), LocalHandle { output, location })
}

impl<T> Giver<T> {
    /// Gives it.
    pub(super) fn give(self, output: Result<T, Cancelled>) {
        self.give_once(output);
    }

    fn give_once(&self, output: Result<T, Cancelled>) {
        let waker = {
            let mut place = self.0.lock();
            match &mut *place {
                Output::Awaited(waker) => {
                    let waker = waker.take();
                    *place = Output::There(output);
                    waker
                }
                _ => return,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Giver<T> {
    /// A child that is dropped, or panics, has none.
    fn drop(&mut self) {
        self.give_once(Err(Cancelled::new()));
    }
}

impl<T> LocalHandle<T> {
    /// Whether the child is over: awaiting the handle does not wait.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        !matches!(*self.output.lock(), Output::Awaited(_))
    }
}

impl<T> Future for LocalHandle<T> {
    type Output = Result<T, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A waker is anybody's code: neither cloned nor dropped under the lock (D8).
        let waker = if self.is_finished() { None } else { Some(cx.waker().clone()) };
        let old;
        if let Output::Awaited(place) = &mut *self.output.lock() {
            old = mem::replace(place, waker);
        } else {
            drop(waker);
            return self.take(cx);
        }
        drop(old);
        note_wait(WaitKind::Join, 0, self.location);
        Poll::Pending
    }
}

impl<T> LocalHandle<T> {
    fn take(&self, cx: &mut Context<'_>) -> Poll<Result<T, Cancelled>> {
        // Only now, as only now there is progress to be made.
        ready!(poll_proceed(cx));
        match mem::replace(&mut *self.output.lock(), Output::Taken) {
            Output::There(output) => Poll::Ready(output),
            _ => panic!("a LocalHandle was polled after it had been ready"),
        }
    }
}

impl<T> fmt::Debug for LocalHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle").field("finished", &self.is_finished()).finish()
    }
}
