//! Waiting for a task on a thread that runs no async code.

use crate::task::{JoinError, JoinHandle, TaskId};
use filch_atomic::sync::{Condvar, Mutex};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A task that was begun from outside, for a thread that wants to wait for it: what `Handle::submit` gives.
///
/// It is a future as well, for those who can await it. Dropping it lets the task go on by itself.
///
/// A runtime that ends never leaves a waiter behind: it gets what the task yields when it is asked to end, or an
/// error that [is by shutdown](JoinError::is_shutdown).
///
/// # Cancel safety
///
/// Awaiting `&mut` of it is cancel safe, as with a [`JoinHandle`].
#[must_use = "dropped, the task goes on and nobody hears of its output"]
#[doc(alias = "run_coroutine_threadsafe")]
pub struct Submitted<T>(JoinHandle<T>);

impl<T> Submitted<T> {
    /// To wait for the task of `handle`.
    pub fn new(handle: JoinHandle<T>) -> Self {
        Self(handle)
    }

    /// Waits for the task. The thread sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// As awaiting a [`JoinHandle`]: the task panicked, was cancelled, or its runtime has shut down.
    ///
    /// # Panics
    ///
    /// On a worker's thread, with the message of `BlockOnWorker`: the task may need that very worker. Await it
    /// there.
    #[track_caller]
    pub fn wait(mut self) -> Result<T, JoinError> {
        refuse_on_worker();
        match self.poll_until(None) {
            Some(output) => output,
            None => unreachable!("there is no limit"),
        }
    }

    /// As [`wait`](Self::wait), for so long (of real time) at most.
    ///
    /// # Errors
    ///
    /// Itself, if the task is not over by then. It goes on: to end it, [`cancel`](Self::cancel).
    ///
    /// # Panics
    ///
    /// As for [`wait`](Self::wait).
    #[track_caller]
    #[doc(alias = "result")]
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<Result<T, JoinError>, Self> {
        refuse_on_worker();
        // Beyond what the clock can tell there is no limit.
        let limit = Instant::now().checked_add(timeout);
        self.poll_until(limit).ok_or(self)
    }

    /// Asks the task to end: see [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Has the task dropped where it waits: see [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Whether the task is over: then waiting takes no time.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.0.id()
    }

    /// The handle of the task, for all that it can do besides.
    pub fn into_handle(self) -> JoinHandle<T> {
        self.0
    }

    fn poll_until(&mut self, limit: Option<Instant>) -> Option<Result<T, JoinError>> {
        let sleeper = Arc::new(Sleeper::default());
        let waker = Waker::from(sleeper.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            // Whatever this thread is in the midst of: this is no part of it.
            let polled =
                filch_atomic::current::unconstrained(|| Pin::new(&mut self.0).poll(&mut cx));
            if let Poll::Ready(output) = polled {
                return Some(output);
            }
            if !sleeper.sleep(limit) {
                // The last look: completion wins (C2).
                return self.0.is_finished().then(|| self.poll_until(None)).flatten();
            }
        }
    }
}

/// A thread that waits.
#[derive(Default)]
struct Sleeper {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Sleeper {
    /// Sleeps until it is woken. False if the time ran out before.
    fn sleep(&self, limit: Option<Instant>) -> bool {
        let mut is_woken = self.is_woken.lock();
        while !std::mem::take(&mut *is_woken) {
            let Some(limit) = limit else {
                self.woken.wait(&mut is_woken);
                continue;
            };
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.woken.wait_for(&mut is_woken, left);
        }
        true
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.is_woken.lock() = true;
        self.woken.notify_one();
    }
}

#[track_caller]
#[cfg(not(filch_loom))]
fn refuse_on_worker() {
    if crate::context::is_worker() {
        panic!("{}", crate::BlockOnWorker::new());
    }
}

/// No modelled thread is a worker.
#[cfg(filch_loom)]
fn refuse_on_worker() {}

impl<T> Future for Submitted<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> fmt::Debug for Submitted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Submitted").field(&self.0).finish()
    }
}
