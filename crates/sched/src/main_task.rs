//! The main future: the one that worker 0 polls beside its tasks.

use crate::context;
use crate::order::Order;
use crate::shared::Shared;
use crate::task::{Report, caught};
use crate::wake_flag::WakeFlag;
use filch_atomic::current::{self, WaitRecord};
use filch_atomic::scope::{self, Scope};
use std::fmt;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future that needs neither `Send` nor `'static`: it stays where it is, on the stack of the thread
/// that is worker 0, and only that thread polls it (S1's exception).
///
/// It is in a scope of its own, as a task is, and can be asked to end as one: by an [`Interrupter`].
pub(crate) struct MainTask<'a> {
    future: &'a mut dyn MainFuture,
    woken: Arc<Woken>,
    waker: Waker,
    record: WaitRecord,
    scope: Arc<Scope>,
}

/// The main future, whatever its type.
pub(crate) trait MainFuture {
    /// Polls it; true when it is done. Its output stays here.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool;

    /// Drops it where it is.
    fn cut(&mut self);
}

/// A pinned future, and where its output goes.
pub(crate) struct Main<'a, F: Future> {
    pub(crate) future: Pin<&'a mut Option<F>>,
    pub(crate) output: &'a mut Option<F::Output>,
}

impl<F: Future> MainFuture for Main<'_, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let future = self.future.as_mut().as_pin_mut().expect("it is polled until it is over");
        match future.poll(cx) {
            Poll::Ready(value) => {
                *self.output = Some(value);
                true
            }
            Poll::Pending => false,
        }
    }

    fn cut(&mut self) {
        self.future.set(None);
    }
}

/// The main future's waker.
struct Woken {
    flag: WakeFlag,
    /// It is to be asked to end.
    is_interrupted: AtomicBool,
    shared: Arc<Shared>,
}

/// Asks the main future to end, from a signal's handler if need be.
pub struct Interrupter {
    woken: Arc<Woken>,
    // Not in there: it has the waker.
    scope: Arc<Scope>,
}

impl Interrupter {
    /// Has the main future asked to end, by the worker that polls it.
    ///
    /// It takes no lock, allocates nothing and does not panic; and so it is as fit for a signal's handler as the
    /// [`unpark`](crate::Peer::unpark) of the scheduler's parks is.
    pub fn interrupt(&self) {
        // First for those who ask in the midst of a poll.
        self.scope.announce();
        // Release: pairs with the Acquire in `MainTask::poll`.
        self.woken.is_interrupted.store(true, Ordering::Release);
        let _ = self.woken.flag.raise();
        // Whatever the flag was: a handler may run on the worker's own thread, between its look and its sleep.
        self.woken.shared.remotes[0].peer.unpark_quietly();
    }
}

impl fmt::Debug for Interrupter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Interrupter { .. }")
    }
}

impl<'a> MainTask<'a> {
    pub(crate) fn new(shared: Arc<Shared>, future: &'a mut dyn MainFuture) -> Self {
        let (flag, is_interrupted) = (WakeFlag::new(), AtomicBool::new(false));
        let woken = Arc::new(Woken { flag, is_interrupted, shared });
        let waker = Waker::from(woken.clone());
        let scope = Scope::of_task();
        scope.register(&waker);
        Self { future, woken, waker, record: WaitRecord::new(), scope }
    }

    /// What asks it to end.
    pub(crate) fn interrupter(&self) -> Interrupter {
        Interrupter { woken: self.woken.clone(), scope: self.scope.clone() }
    }

    /// Whether somebody woke it since its last poll began.
    #[inline]
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.flag.is_raised()
    }

    /// Polls it once. True when it is over: done, or asked to end and dropped where it waited.
    pub(crate) fn poll(&mut self) -> bool {
        self.woken.flag.lower();
        // Acquire: pairs with the Release in `interrupt`.
        if self.woken.is_interrupted.load(Ordering::Acquire) {
            // Again and again: a cancel uses it up, and a shield that ends elsewhere wakes by it, too.
            self.scope.register(&self.waker);
            // What panics is a waker, and none of the main future's doing.
            if let Err(payload) = caught(|| self.scope.cancel()) {
                self.woken.shared.hook.report(&Report::foreign_waker(0, payload));
            }
        }
        let is_due = self.scope.is_due();
        let Self { future, waker, record, scope, woken } = self;
        let poll = || {
            scope::enter(scope, || {
                let done = future.poll(&mut Context::from_waker(waker));
                // No wait, or somebody's turn was over: it is polled again, and so will they be.
                let is_put_off = || woken.flag.is_raised() && scope.has_unheard();
                let is_cut = !done && is_due && !scope.is_held() && !is_put_off();
                if is_cut {
                    future.cut();
                }
                done || is_cut
            })
        };
        // It has a budget and a record, but is no task: it has no header to point to.
        // SAFETY: null.
        unsafe { current::enter(ptr::null(), record, poll) }
    }
}

impl Woken {
    fn is_here(&self) -> bool {
        context::with_local(|local| {
            local.is_some_and(|local| local.index == 0 && local.belongs_to(&self.shared))
        })
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Worker 0 looks at the flag before it parks; anybody else leaves it a token.
        if !self.flag.raise() {
            return;
        }
        if !self.is_here() {
            self.shared.remotes[0].peer.unpark();
        } else if self.shared.order != Order::Warm {
            context::with_local(|local| {
                if let Some(local) = local {
                    local.main_is_woken();
                }
            });
        }
    }
}
