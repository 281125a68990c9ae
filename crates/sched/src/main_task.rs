//! The main future: the one that worker 0 polls beside its tasks.

use crate::context;
use crate::shared::Shared;
use crate::wake_flag::WakeFlag;
use filch_atomic::current::{self, WaitRecord};
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A future that needs neither `Send` nor `'static`: it stays where it is, on the stack of the thread
/// that is worker 0, and only that thread polls it (S1's exception).
pub(crate) struct MainTask<'a> {
    /// Polls it; true when it is done. Its output stays with the closure.
    poll: &'a mut dyn FnMut(&mut Context<'_>) -> bool,
    woken: Arc<Woken>,
    waker: Waker,
    record: WaitRecord,
}

/// The main future's waker.
struct Woken {
    flag: WakeFlag,
    shared: Arc<Shared>,
}

impl<'a> MainTask<'a> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        poll: &'a mut dyn FnMut(&mut Context<'_>) -> bool,
    ) -> Self {
        let woken = Arc::new(Woken { flag: WakeFlag::new(), shared });
        let waker = Waker::from(woken.clone());
        Self { poll, woken, waker, record: WaitRecord::new() }
    }

    /// Whether somebody woke it since its last poll began.
    #[inline]
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.flag.is_raised()
    }

    /// Polls it once. True when it is done.
    pub(crate) fn poll(&mut self) -> bool {
        self.woken.flag.lower();
        // It has a budget and a record, but is no task: it has no header to point to.
        let poll = || (self.poll)(&mut Context::from_waker(&self.waker));
        // SAFETY: null.
        unsafe { current::enter(ptr::null(), &self.record, poll) }
    }
}

/// Turns a future into what [`MainTask`] polls, and keeps its output.
pub(crate) fn poll_into<'a, F: Future>(
    mut future: Pin<&'a mut F>,
    output: &'a mut Option<F::Output>,
) -> impl FnMut(&mut Context<'_>) -> bool + 'a {
    move |cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => {
            *output = Some(value);
            true
        }
        Poll::Pending => false,
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let raised = self.flag.raise();
        let here = || {
            context::with_local(|local| {
                local.is_some_and(|local| local.index == 0 && local.belongs_to(&self.shared))
            })
        };
        // Worker 0 looks at the flag before it parks; anybody else leaves it a token.
        if raised && !here() {
            self.shared.remotes[0].peer.unpark();
        }
    }
}
