//! Waiting for a task, and asking it to end.

use super::error::{Failure, JoinError};
use super::header::{Header, release};
use super::report::caught;
use super::state::Snapshot;
use super::{Meta, Name, TaskId};
use filch_atomic::current;
use filch_atomic::scope::is_shielded_here;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{Location, RefUnwindSafe, UnwindSafe, resume_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker, ready};

/// A task's output to come: a future of `Result<T, JoinError>`.
///
/// Dropping it *detaches* the task, which runs on; what becomes of its errors then is told at
/// [`Report`](super::Report). The output is dropped by whoever is last to be able to take it: the
/// worker that ends a detached task, or the handle that goes without having been awaited.
///
/// # Cancel safety
///
/// Awaiting `&mut handle` is cancel safe: the output stays until it is taken.
///
/// # Panics
///
/// Polling it again after it was ready panics.
#[doc(alias = "Task")]
pub struct JoinHandle<T> {
    /// Holds a reference, and JOIN_INTEREST.
    header: NonNull<Header>,
    /// It gives out a `T`, once.
    output: PhantomData<fn() -> T>,
}

// SAFETY: the handle moves the output, which is `Send`, to its own thread; all else it touches is
// atomic or immutable.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: a shared handle gives no access to the output, nor to the join waker.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}
// A panic elsewhere leaves the state word as it is: every step is one operation.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// The task has a reference and JOIN_INTEREST for this handle, and its output is a `T`.
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self { header, output: PhantomData }
    }

    /// Asks the task to end, and gives it the time that it needs for that.
    ///
    /// It is a request, and this returns at once; asking twice is asking once. Each
    /// [`cancellable`](crate::scope::cancellable) future in the task ends with `Err(Cancelled)`, the innermost
    /// first, and the code behind it runs on, until the task waits for something where no boundary is
    /// left around it and nothing [shielded](crate::scope::shielded) is going on. There its future is
    /// dropped. A task without any of these is dropped where it waits, as by [`abort`](Self::abort);
    /// save that one which was never polled is polled once.
    ///
    /// Awaiting the handle then yields an error that [is cancelled](JoinError::is_cancelled), or the task's
    /// output if it came to its end (C2). A blocking closure that has not begun never does; one that
    /// has runs to its end, and may ask [`is_cancelled`](crate::scope::is_cancelled).
    ///
    /// # Panics
    ///
    /// With the panic of a waker that somebody in the task made, when all that is in it has been told.
    #[doc(alias = "abort")]
    pub fn cancel(&self) {
        // SAFETY: by this handle's reference.
        unsafe { cancel(self.header, false) };
    }

    /// Has the task's future dropped, by a worker, at the point where it is suspended.
    ///
    /// It is a request, and this returns at once. A task that is being polled is dropped when that
    /// poll returns. A task that is over, or gets over in that poll, is not affected: its output
    /// stays, and awaiting the handle yields it (C2). Otherwise awaiting yields an error that [is
    /// cancelled](JoinError::is_cancelled), and not before the future has been dropped. A blocking
    /// closure that has begun cannot be stopped.
    ///
    /// No shield and no clean-up holds it up; [`cancel`](Self::cancel) is for that.
    #[doc(alias = "cancel")]
    pub fn abort(&self) {
        // SAFETY: by this handle's reference.
        unsafe { abort(self.header) };
    }

    /// Whoever made the task does not see to its end any more: from now on the end of its runtime asks it, as any
    /// other. Asks it now if that has begun.
    #[doc(hidden)]
    pub fn disown(&self) {
        // SAFETY: by this handle's reference.
        unsafe { (self.header().vtable.disown)(self.header) };
    }

    /// Something that can abort the task without awaiting it.
    pub fn abort_handle(&self) -> AbortHandle {
        self.header().state.retain();
        AbortHandle(self.header)
    }

    /// Whether the task is over: its future is dropped, and awaiting the handle does not wait.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.header().state.load().is_complete()
    }

    /// Ready when the task is over, as [`is_finished`](Self::is_finished) has it. Its output stays, to be awaited.
    ///
    /// As with the handle itself, the waker of the last poll is the one that is woken.
    pub fn poll_finished(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.register(cx.waker()).is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// What the task came to, if it is over.
    ///
    /// # Panics
    ///
    /// If that was taken before.
    #[doc(hidden)]
    pub fn take_if_finished(&mut self) -> Option<Result<T, JoinError>> {
        if !self.header().state.load().is_complete() {
            return None;
        }
        // SAFETY: the task is complete, seen with Acquire.
        Some(unsafe { self.take() })
    }

    /// What the task came to.
    ///
    /// # Safety
    ///
    /// The task is complete, and this thread has seen it so, with Acquire.
    #[inline]
    unsafe fn take(&mut self) -> Result<T, JoinError> {
        let header = self.header();
        let mut output: Option<Result<T, Failure>> = None;
        // SAFETY: by the caller's word; this is its handle, and its output a `T`.
        unsafe { (header.vtable.take_output)(self.header, NonNull::from(&mut output).cast()) };
        let output = output.expect("a JoinHandle was polled after it had been ready");
        output.map_err(|failure| JoinError::new(header.id, header.attached.name(), failure))
    }

    /// Whether the task was ended with its runtime, and the code that asks is about to be cut where it waits, for
    /// the same reason, though it may not have been told: it is not to go on with an error before that.
    #[doc(hidden)]
    #[inline]
    pub fn is_withheld(&self) -> bool {
        let state = self.header().state.load();
        state.is_complete() && self.is_withheld_in(state)
    }

    /// The same of a task that is complete in `state`. If it was ended with its runtime, it was marked before it was
    /// complete: so any such state says so.
    #[inline]
    fn is_withheld_in(&self, state: Snapshot) -> bool {
        state.is_shutdown() && self.is_withheld_here()
    }

    #[cold]
    fn is_withheld_here(&self) -> bool {
        // SAFETY: the task is complete (seen with Acquire), and this is its handle.
        let was_shut_down = unsafe { (self.header().vtable.was_shut_down)(self.header) };
        was_shut_down && super::with_current(Header::is_to_end) == Some(true) && !is_shielded_here()
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.header().id
    }

    /// The task's name, if it was given one.
    #[doc(alias = "get_name")]
    pub fn name(&self) -> Option<&str> {
        self.header().name()
    }

    /// Where in the source the task was spawned.
    pub fn spawn_location(&self) -> &'static Location<'static> {
        self.header().location
    }

    fn header(&self) -> &Header {
        // SAFETY: by this handle's reference.
        unsafe { self.header.as_ref() }
    }

    /// Leaves `waker` to be woken at the end. If that has come, the state says so, and nobody will wake it.
    #[inline]
    fn register(&mut self, waker: &Waker) -> Option<Snapshot> {
        let header = self.header();
        let state = header.state.load();
        if state.is_complete() {
            return Some(state);
        }
        if state.has_join_waker() {
            // SAFETY: only this handle, here by `&mut`, writes the place, and it has put a waker
            // there. The worker that ends the task may take it meanwhile; that only copies it, and
            // comparing looks at nothing behind it.
            let same =
                header.join_waker.with(|old| unsafe { (*old).assume_init_ref() }.will_wake(waker));
            if same {
                return None;
            }
            match self.take_back() {
                Ok(old) => drop(old),
                Err(complete) => return Some(complete),
            }
        }
        let waker = waker.clone();
        let header = self.header();
        header.join_waker.with_mut(|place| {
            // SAFETY: JOIN_WAKER is clear and the task was not complete when it became so, so the
            // place is this handle's and empty.
            unsafe { (*place).write(waker) };
        });
        let state = header.state.offer_join_waker();
        if state.is_complete() {
            // SAFETY: the task was complete before JOIN_WAKER was set: no worker looks, the waker
            // is still ours.
            drop(header.join_waker.with(|place| unsafe { (*place).assume_init_read() }));
            return Some(state);
        }
        None
    }

    /// Takes the join waker, which is there, back out of its place. If the worker that ended the task has it, the
    /// state says so.
    fn take_back(&mut self) -> Result<Waker, Snapshot> {
        let header = self.header();
        let state = header.state.withdraw_join_waker();
        if state.is_complete() {
            return Err(state);
        }
        // SAFETY: JOIN_WAKER was set and the task not complete, so the waker is there, and now this
        // handle's again.
        Ok(header.join_waker.with(|place| unsafe { (*place).assume_init_read() }))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(state) = self.register(cx.waker()) else {
            let header = self.header();
            let (kind, id) = (header.vtable.waited_for, header.id.as_u64() as usize);
            current::note_wait(kind, id, header.location);
            return Poll::Pending;
        };
        if self.is_withheld_in(state) {
            return Poll::Pending;
        }
        // Only now, as only now there is progress to be made.
        ready!(current::poll_proceed(cx));
        // SAFETY: `register` has seen it complete, by an operation that acquires.
        Poll::Ready(unsafe { self.take() })
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let mut join_waker = None;
        let mut state = self.header().state.load();
        loop {
            if state.is_complete() {
                // SAFETY: the task is complete and this its handle, which does not use it any more
                // after this.
                unsafe { (self.header().vtable.let_go)(self.header) };
                break;
            }
            if state.has_join_waker() {
                join_waker = self.take_back().ok();
                state = self.header().state.load();
                continue;
            }
            match self.header().state.detach(state) {
                // The handle's reference is gone, and never the last: a task that is not complete
                // has its life's.
                Ok(()) => break,
                Err(now) => state = now,
            }
        }
        // Last: this is code of the user's, and may panic.
        drop(join_waker);
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// Can abort a task, and see whether it is over, but not await it. Cheap to clone; does not keep
/// the task from being detached.
pub struct AbortHandle(NonNull<Header>);

// SAFETY: all it touches is atomic or immutable; the future is dropped by a worker, never through
// this.
unsafe impl Send for AbortHandle {}
// SAFETY: as above.
unsafe impl Sync for AbortHandle {}

impl AbortHandle {
    /// Of the task that runs this code, if one does.
    pub fn of_current() -> Option<Self> {
        // The pointer as it was entered, which is good for the whole cell.
        let header = NonNull::new(current::task().cast::<Header>().cast_mut())?;
        super::with_current(|task| task.state.retain());
        Some(Self(header))
    }

    /// Whether the task was asked to end, or is ended.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.header().is_cancelled()
    }

    /// As [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        // SAFETY: by this handle's reference.
        unsafe { cancel(self.0, false) };
    }

    /// As [`JoinHandle::abort`].
    pub fn abort(&self) {
        // SAFETY: by this handle's reference.
        unsafe { abort(self.0) };
    }

    /// As [`JoinHandle::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.header().state.load().is_complete()
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.header().id
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<Name> {
        self.header().attached.name()
    }

    /// What its spawner said of it.
    pub fn meta(&self) -> Meta {
        let Header { id, location, .. } = *self.header();
        Meta { id, name: self.name(), location }
    }

    fn header(&self) -> &Header {
        // SAFETY: by this handle's reference.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for AbortHandle {
    fn clone(&self) -> Self {
        self.header().state.retain();
        Self(self.0)
    }
}

impl Drop for AbortHandle {
    fn drop(&mut self) {
        // SAFETY: this handle's reference, used no more.
        unsafe { release(self.0) };
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// Asks the task to end, and has it scheduled if nobody else sees to it. `by_shutdown`: because its runtime
/// ends.
///
/// # Safety
///
/// The caller has a reference.
pub(super) unsafe fn cancel(header: NonNull<Header>, by_shutdown: bool) {
    // SAFETY: by the caller's reference.
    let task = unsafe { header.as_ref() };
    if task.state.load().is_complete() {
        return;
    }
    task.state.ask(by_shutdown);
    // First what is in the task, so that the innermost acts first (`filch_atomic::scope`).
    let told = caught(|| task.scope().cancel());
    if task.state.wake_by_ref() {
        // SAFETY: the step gave us the `Task`; the caller's reference outlasts the call.
        unsafe { (task.vtable.schedule)(header) };
    } else {
        // SAFETY: by the caller's reference.
        unsafe { (task.vtable.asked)(header) };
    }
    if let Err(payload) = told {
        resume_unwind(payload);
    }
}

/// Cancels the task, and has it scheduled if nobody else sees to it.
///
/// # Safety
///
/// The caller has a reference.
unsafe fn abort(header: NonNull<Header>) {
    // SAFETY: by the caller's reference.
    let task = unsafe { header.as_ref() };
    if task.state.cancel(false) {
        // SAFETY: the step gave us the `Task`; the caller's reference outlasts the call.
        unsafe { (task.vtable.schedule)(header) };
    } else {
        // SAFETY: by the caller's reference.
        unsafe { (task.vtable.asked)(header) };
    }
}
