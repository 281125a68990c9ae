//! For tests: somebody who polls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

/// Somebody who polls, and is woken.
pub(crate) struct Poller(Arc<Count>, Waker);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        // Relaxed: one thread.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Poller {
    pub(crate) fn new() -> Self {
        let count = Arc::new(Count::default());
        Self(count.clone(), Waker::from(count))
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.1)
    }

    /// How often it was woken since it was last asked.
    pub(crate) fn woken(&self) -> usize {
        // Relaxed: one thread.
        self.0.0.swap(0, Ordering::Relaxed)
    }

    /// How many have its waker, itself counted twice.
    pub(crate) fn copies(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}
