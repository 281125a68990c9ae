//! A future that the test itself polls.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future in a test's hands, polled when the test says so, and a count of how often it was woken.
///
/// ```
/// use filch_testkit::{Probe, exec};
/// use std::task::Poll;
///
/// let mut probe = Probe::new(exec::yield_now());
/// assert_eq!(probe.poll(), Poll::Pending);
/// assert_eq!(probe.wakes(), 1);
/// assert_eq!(probe.poll(), Poll::Ready(()));
/// ```
pub struct Probe<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        // Relaxed, here and below: a count, which orders nothing.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<F: Future> Probe<F> {
    /// Has not polled it yet.
    pub fn new(future: F) -> Self {
        Self { future: Box::pin(future), wakes: Arc::default() }
    }

    /// A future that has been polled once and is pending.
    ///
    /// # Panics
    ///
    /// If it is ready.
    #[track_caller]
    pub fn pending(future: F) -> Self {
        let mut probe = Self::new(future);
        assert!(probe.poll().is_pending(), "it has nothing to wait for");
        probe
    }

    /// Polls it once.
    pub fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// What it gives when polled once.
    ///
    /// # Panics
    ///
    /// If it is pending.
    #[track_caller]
    pub fn ready(mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }

    /// How often it was woken.
    pub fn wakes(&self) -> u32 {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

impl<F> fmt::Debug for Probe<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("wakes", &self.wakes.0).finish_non_exhaustive()
    }
}
