//! Which worker, or which scheduler, the current thread belongs to.

use crate::handle::Handle;
use crate::local::Local;
use crate::timer::Timers;
use filch_atomic::sync::Arc;
use filch_atomic::thread_local;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::Ordering;

thread_local! {
    /// The worker whose loop runs on this thread.
    static LOCAL: Cell<*const Local> = const { Cell::new(ptr::null()) };
    /// The schedulers that this thread has entered, the last one counts. Each with its guard's number.
    static ENTERED: RefCell<Vec<(u64, Handle)>> = const { RefCell::new(Vec::new()) };
    /// How many there are: so that a worker, which has mostly entered none, need not look.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// How many of them were entered before this thread became a worker: on a worker they do not count.
    static BEFORE: Cell<usize> = const { Cell::new(0) };
    /// The number of the next guard.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Declares, until the guard goes, that `local`'s worker runs on this thread.
pub(crate) fn set_local(local: Rc<Local>) -> LocalGuard {
    LOCAL.with(|current| {
        assert!(current.get().is_null(), "a thread runs one worker at a time");
        current.set(Rc::as_ptr(&local));
    });
    BEFORE.with(|before| before.set(DEPTH.with(Cell::get)));
    LocalGuard { _local: local }
}

/// Ends what [`set_local`] began.
pub(crate) struct LocalGuard {
    // What the thread-local points to lives as long as the guard.
    _local: Rc<Local>,
}

impl Drop for LocalGuard {
    fn drop(&mut self) {
        LOCAL.with(|current| current.set(ptr::null()));
        BEFORE.with(|before| before.set(0));
    }
}

/// Lends the worker of this thread, if it is one.
#[inline]
pub(crate) fn with_local<R>(f: impl FnOnce(Option<&Local>) -> R) -> R {
    let local = LOCAL.with(Cell::get);
    // SAFETY: the address stands here only while its `LocalGuard`, which has a share in the `Local`,
    // exists on this thread; an `Rc` lends its contents through `&` only.
    f(unsafe { local.as_ref() })
}

/// Whether this thread is a worker, of whichever scheduler.
pub(crate) fn is_worker() -> bool {
    !LOCAL.with(Cell::get).is_null()
}

/// What a thread is to schedulers: the same as long as it neither becomes a worker nor ceases to be one, and has entered
/// as many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    worker: *const Local,
    entered: usize,
}

impl Role {
    /// Of a thread that has to do with none.
    pub const NONE: Self = Self { worker: ptr::null(), entered: 0 };
}

/// What this thread is just now.
#[inline]
pub fn role() -> Role {
    Role { worker: LOCAL.with(Cell::get), entered: DEPTH.with(Cell::get) }
}

/// The index of the worker that this thread is, if it is one.
pub fn worker_index() -> Option<usize> {
    with_local(|local| local.map(|local| local.index))
}

/// Whether a scheduler was entered since this thread became what it is.
#[inline]
fn has_entered() -> bool {
    DEPTH.with(Cell::get) > BEFORE.with(Cell::get)
}

/// Lends the handle of this thread's scheduler: the one that was entered last, be it as a worker of its
/// own.
pub fn with_handle<R>(f: impl FnOnce(Option<&Handle>) -> R) -> R {
    if has_entered() {
        // Cloned, so that `f` may enter another. A thread on its way out has entered nothing.
        let last = |entered: &RefCell<Vec<(u64, Handle)>>| {
            entered.borrow().last().map(|(_, handle)| handle.clone())
        };
        let handle = ENTERED.try_with(last).ok().flatten();
        return f(handle.as_ref());
    }
    with_local(|local| f(local.map(|local| &local.handle)))
}

/// Makes `handle` the scheduler of this thread until the guard goes.
pub(crate) fn enter(handle: Handle) -> Enter {
    let number = NEXT.with(|next| next.replace(next.get() + 1));
    // On a thread on its way out it stays without effect.
    if ENTERED.try_with(|entered| entered.borrow_mut().push((number, handle))).is_ok() {
        DEPTH.with(|depth| depth.set(depth.get() + 1));
    }
    Enter { number, not_send: PhantomData }
}

/// Ends what [`Handle::enter`] began. Guards may go in any order: the one entered last, of those that
/// are left, counts.
#[must_use = "the scheduler is left when the guard is dropped"]
pub struct Enter {
    number: u64,
    // It belongs to its thread.
    not_send: PhantomData<*const ()>,
}

impl Drop for Enter {
    fn drop(&mut self) {
        let leave = |entered: &RefCell<Vec<(u64, Handle)>>| {
            let mut entered = entered.borrow_mut();
            let place = entered.iter().rposition(|(number, _)| *number == self.number)?;
            Some((place, entered.remove(place)))
        };
        // The handle that goes may be the last one: not while the list is borrowed.
        if let Ok(Some((place, left))) = ENTERED.try_with(leave) {
            DEPTH.with(|depth| depth.set(depth.get() - 1));
            BEFORE.with(|before| before.set(before.get() - usize::from(place < before.get())));
            drop(left);
        }
    }
}

impl fmt::Debug for Enter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Enter { .. }")
    }
}

/// Runs `f`, which may take long, and is meant to: if this thread is a worker, its present poll is not reported
/// as stuck meanwhile. Its neighbours are helped all the same (S5).
pub fn deliberately<R>(f: impl FnOnce() -> R) -> R {
    struct End<'a>(&'a Local);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.goes_on();
            // Release: pairs with the Acquire in `look_at_the_others`, which then sees that it goes on.
            self.0.remote().is_deliberate.store(false, Ordering::Release);
        }
    }
    with_local(|local| {
        // Relaxed: only this thread writes it. A look that misses it is of what was before.
        let begins = |local: &&Local| !local.remote().is_deliberate.swap(true, Ordering::Relaxed);
        let _end = local.filter(begins).map(End);
        f()
    })
}

/// The timers that a sleep first polled on this thread goes to.
pub(crate) struct CurrentTimers<'a> {
    pub(crate) timers: &'a Arc<Timers>,
    /// This thread is the worker that fires them.
    pub(crate) is_owner: bool,
}

/// Lends this thread's timers: its worker's; where another scheduler was entered, its worker 0's.
pub(crate) fn with_timers<R>(f: impl FnOnce(Option<CurrentTimers<'_>>) -> R) -> R {
    #[cfg(test)]
    if let Some((timers, is_owner)) = TEST_TIMERS.with(|timers| timers.borrow().clone()) {
        return f(Some(CurrentTimers { timers: &timers, is_owner }));
    }
    with_local(|local| match local {
        Some(local) if !has_entered() => {
            f(Some(CurrentTimers { timers: &local.remote().timers, is_owner: true }))
        }
        _ => with_handle(|handle| {
            f(handle.map(|handle| CurrentTimers { timers: handle.timers(), is_owner: false }))
        }),
    })
}

/// Whether this thread is a worker whose scheduler is ending, so that its tasks are about to be dropped.
pub(crate) fn on_ending_worker() -> bool {
    #[cfg(test)]
    if let Some((_, is_owner)) = TEST_TIMERS.with(|timers| timers.borrow().clone()) {
        return is_owner;
    }
    with_local(|local| local.is_some_and(|local| local.shared().is_closing()))
}

#[cfg(test)]
thread_local! {
    static TEST_TIMERS: RefCell<Option<(Arc<Timers>, bool)>> = const { RefCell::new(None) };
}

/// Gives this thread timers of its own, as their owner or as a guest, or takes them away: for the tests
/// of the timers, which need no scheduler.
#[cfg(test)]
pub(crate) fn set_current_timers(timers: Option<(Arc<Timers>, bool)>) {
    TEST_TIMERS.with(|current| *current.borrow_mut() = timers);
}

/// What is said where there is no scheduler.
pub const NO_RUNTIME: &str = "there is no filch runtime on this thread: run this inside \
    `filch::run`, `#[filch::main]` or `Runtime::block_on`, or enter a runtime first (`Runtime::enter`)";
