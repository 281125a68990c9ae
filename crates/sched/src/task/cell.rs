//! The one allocation of a task, and what is done to it by type.

use super::error::Failure;
use super::header::{Header, Meta, Vtable, free, release};
use super::report::{Report, caught, drop_caught, failure_text, message_of};
use super::state::{Completed, Snapshot};
use super::vars::Context as Values;
use super::{AskedBy, JoinHandle, Polled, Schedule, Task, waker};
use filch_atomic::cell::UnsafeCell;
use filch_atomic::{current, scope};
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

/// What a task is made of. `repr(C)`: the header is first, so its address is the cell's.
#[repr(C)]
struct Cell<F: Future, S> {
    header: Header,
    scheduler: S,
    stage: UnsafeCell<Stage<F>>,
}

/// What becomes of a future. Belongs to whoever holds `RUNNING`; once complete, to the handle.
enum Stage<F: Future> {
    /// It is being polled. Pinned: never moved until dropped.
    Future(F),
    /// It is done.
    Output(Output<F>),
    /// The output is taken or dropped; or the future is gone and the output not yet there.
    Empty,
}

/// As often are values dropped that the destructors of a task's values have set.
const ROUNDS: usize = 8;

type Output<F> = Result<<F as Future>::Output, Failure>;

/// Makes the task, binds it to its owned list, and returns it with its handle; without it if the
/// list is closed, in which case the future is already dropped.
///
/// # Safety
///
/// If the future or its output is not `Send`, then the task is run, shut down and dropped, its
/// handle is used and its owned list shut down on the calling thread only.
pub(super) unsafe fn spawn<F, S>(
    future: F,
    scheduler: S,
    meta: Meta,
    asked_by: AskedBy,
) -> (Option<Task>, JoinHandle<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule,
{
    let mut place = Box::<Cell<F, S>>::new_uninit();
    let cell = place.as_mut_ptr();
    // Field by field: the whole, made on the stack, would be copied from there.
    // SAFETY: there is room for all of them, and nothing there yet.
    let cell = unsafe {
        (&raw mut (*cell).header).write(Header::new(&Cell::<F, S>::VTABLE, meta, asked_by));
        (&raw mut (*cell).scheduler).write(scheduler);
        (&raw mut (*cell).stage).write(UnsafeCell::new(Stage::Future(future)));
        place.assume_init()
    };
    let cell = NonNull::from(Box::leak(cell));
    let header = cell.cast::<Header>();
    // SAFETY: a new task has one `Task` and one handle (its initial state says so); these are they.
    let (task, handle) = unsafe { (Task::from_raw(header), JoinHandle::from_raw(header)) };
    // SAFETY: live, as its `Task` is in hand; all that changes in a cell is in atomics or
    // `UnsafeCell`s.
    let tasks = unsafe { cell.as_ref() }.scheduler.tasks();
    // SAFETY: the task is alive and in no list; it is removed before its life ends (`complete`),
    // from the same list, since a scheduler always names the same one.
    if unsafe { tasks.bind(header) } {
        (Some(task), handle)
    } else {
        task.shutdown();
        (None, handle)
    }
}

impl<F, S> Cell<F, S>
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule,
{
    const VTABLE: Vtable = Vtable {
        waited_for: S::WAITED_FOR,
        run: Self::run,
        schedule: Self::schedule,
        asked: Self::asked,
        take_output: Self::take_output,
        was_shut_down: Self::was_shut_down,
        let_go: Self::let_go,
        disown: Self::disown,
        free: Self::free,
    };

    /// # Safety
    ///
    /// `header` is of a live cell of this type, and stays so for `'a`.
    unsafe fn from_header<'a>(header: NonNull<Header>) -> &'a Self {
        // SAFETY: the header is the cell's first field, and the pointer was made from the whole
        // cell's. All that changes in a cell is in atomics or `UnsafeCell`s.
        unsafe { header.cast::<Self>().as_ref() }
    }

    /// See [`Vtable::run`].
    unsafe fn run(header: NonNull<Header>, polled: &Polled) -> bool {
        // SAFETY: by the caller's `Task` the cell is live until the task is over or idle, and not
        // used after.
        let started = unsafe { Self::from_header(header) }.header.state.start();
        if started.is_to_end() {
            // SAFETY: `start` gave this thread RUNNING.
            unsafe { Self::run_to_end(header, polled, started) }
        } else {
            // SAFETY: as above.
            unsafe { Self::run_started::<false>(header, polled, started) }
        }
    }

    /// As [`run`](Self::run), of a task that is to end: out of the way of the others.
    ///
    /// # Safety
    ///
    /// As for [`run_started`](Self::run_started).
    #[cold]
    #[inline(never)]
    unsafe fn run_to_end(header: NonNull<Header>, polled: &Polled, started: Snapshot) -> bool {
        // SAFETY: by the caller's word.
        unsafe { Self::run_started::<true>(header, polled, started) }
    }

    /// The rest of [`run`](Self::run). `ASKED`: the task is to end. Whoever runs the others has a copy of its
    /// own of this, and of what it calls, without a trace of that: shared, it cost every poll 15 to 24
    /// instructions.
    ///
    /// # Safety
    ///
    /// As for [`run`](Self::run), and the caller has RUNNING.
    #[inline(always)]
    unsafe fn run_started<const ASKED: bool>(
        header: NonNull<Header>,
        polled: &Polled,
        started: Snapshot,
    ) -> bool {
        // SAFETY: as in `run`.
        let cell = unsafe { Self::from_header(header) };
        polled.show(header);
        let poll = || {
            if ASKED {
                // SAFETY: the caller has RUNNING.
                unsafe { cell.end(header, started) }
            } else {
                // SAFETY: as above.
                unsafe { cell.poll::<ASKED>(header) }
            }
        };
        // SAFETY: a header, as `task::id` takes it for, alive while this thread has RUNNING.
        let output = unsafe { current::enter(header.as_ptr().cast(), &cell.header.wait, poll) };
        match output {
            Some(output) => {
                // Before the owned list is left (`Polled`'s rule).
                polled.show_end();
                // SAFETY: this thread still has RUNNING, and the future is gone.
                unsafe { Self::complete::<ASKED>(header, output) };
                polled.hide();
                false
            }
            None => {
                // Before RUNNING is given up (`Polled`'s rule).
                polled.hide();
                let stopped = cell.header.state.stop();
                if stopped.is_notified() && stopped.is_cancelled() {
                    // The abort came during the poll. The `Task` is this thread's again: run it
                    // once more, which drops the future.
                    // SAFETY: `stop` found NOTIFIED, so the `Task` is ours.
                    unsafe { Self::run(header, polled) }
                } else {
                    stopped.is_notified()
                }
            }
        }
    }

    /// Polls the future once. Returns the output if it is done, with the future dropped.
    ///
    /// # Safety
    ///
    /// The caller has RUNNING, and `header` is this cell's.
    unsafe fn poll<const ASKED: bool>(&self, header: NonNull<Header>) -> Option<Output<F>> {
        // SAFETY: the waker borrows the life's reference, which lasts at least as long as this
        // poll; it is never dropped, so it gives up none.
        let waker = ManuallyDrop::new(unsafe { waker::from_header(header) });
        let polled = caught(|| {
            self.stage.with_mut(|stage| {
                // SAFETY: RUNNING gives this thread the stage (S3).
                let Stage::Future(future) = (unsafe { &mut *stage }) else {
                    unreachable!("a task that runs has its future");
                };
                // SAFETY: the future stays where it is until `drop_future` drops it in place.
                let future = unsafe { Pin::new_unchecked(future) };
                future.poll(&mut Context::from_waker(&waker))
            })
        });
        let output = match polled {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(Failure::Panic(payload)),
        };
        // SAFETY: the caller has RUNNING.
        Some(match (unsafe { self.drop_future::<ASKED>() }, output) {
            (Ok(()), output) => output,
            // What its destructor has to say is the more urgent news; what the poll returned is
            // dropped.
            (Err(payload), Ok(output)) => {
                drop_caught(output);
                Err(Failure::Panic(payload))
            }
            // Two panics, one place: the first one is the cause.
            (Err(payload), Err(first)) => {
                drop_caught(payload);
                Err(first)
            }
        })
    }

    /// Drops the future of a task that was cancelled. One that was only asked to end is polled first, in
    /// its scope, so that every boundary in it acts; then it is dropped, if it waits for anything and
    /// nothing in it holds it up. `None` if something does.
    ///
    /// # Safety
    ///
    /// The caller has RUNNING, and `header` is this cell's.
    unsafe fn end(&self, header: NonNull<Header>, state: Snapshot) -> Option<Output<F>> {
        if state.is_cancelled() {
            // Whatever this thread is in the midst of: a task that its list refuses ends where it is spawned.
            // SAFETY: by the caller's word.
            let output = scope::outside(|| unsafe { self.cancel(state) });
            if let Some(scope) = self.header.scope_if_any() {
                scope.forget_waker();
            }
            return Some(output);
        }
        let scope = self.header.scope();
        // SAFETY: as in `poll`. Registered, it gets a reference of its own, which is given up when the
        // task ends: the header has the scope, and so the scope must not keep the header.
        let waker = ManuallyDrop::new(unsafe { waker::from_header(header) });
        scope.register(&waker);
        // If not, the canceller is still at it, and wakes the task again.
        let is_due = scope.is_due();
        let output = scope::enter(scope, || {
            // SAFETY: by the caller's word.
            let output = unsafe { self.poll::<true>(header) };
            // No wait, or somebody's turn was over: it is polled again, and so will they be.
            let is_put_off = || self.header.is_woken() && scope.has_unheard();
            let is_cut = output.is_none() && is_due && !scope.is_held() && !is_put_off();
            // SAFETY: by the caller's word.
            if is_cut { Some(unsafe { self.cancel(state) }) } else { output }
        });
        if output.is_some() {
            scope.forget_waker();
        }
        output
    }

    /// Drops the future unpolled and says how the task ended.
    ///
    /// # Safety
    ///
    /// The caller has RUNNING.
    unsafe fn cancel(&self, state: Snapshot) -> Output<F> {
        // SAFETY: the caller has RUNNING.
        Err(match unsafe { self.drop_future::<true>() } {
            Ok(()) if state.is_shutdown() => Failure::Shutdown,
            Ok(()) => Failure::Cancelled,
            Err(payload) => Failure::Panic(payload),
        })
    }

    /// Drops the future where it is. An error is the payload of its panic.
    ///
    /// # Safety
    ///
    /// The caller has RUNNING.
    unsafe fn drop_future<const ASKED: bool>(&self) -> std::thread::Result<()> {
        self.stage.with_mut(|stage| {
            // SAFETY: RUNNING gives this thread the stage. The future is dropped in place, so it
            // was never moved; the stage is overwritten without being dropped again, whether or not
            // the destructor panicked.
            let dropped = caught(|| unsafe { stage.drop_in_place() });
            // SAFETY: as above.
            unsafe { stage.write(Stage::Empty) };
            dropped
        })
    }

    /// Ends the task: leaves the owned list, publishes the output, wakes the handle, gives up the
    /// life's reference.
    ///
    /// # Safety
    ///
    /// The caller has RUNNING, the future is dropped, and the cell, which `header` is of, is not
    /// used after this call.
    unsafe fn complete<const ASKED: bool>(header: NonNull<Header>, output: Output<F>) {
        // Not a method: a `&self` must be good to the end of the call, and the cell may be gone by
        // then.
        // SAFETY: alive by its life's reference, and not used after that is given up.
        let cell = unsafe { Self::from_header(header) };
        // SAFETY: RUNNING gives this thread the stage, which is empty, so nothing is dropped by
        // writing over it.
        cell.stage.with_mut(|stage| unsafe { stage.write(Stage::Output(output)) });
        // SAFETY: this thread has RUNNING.
        if let Some(context) = unsafe { cell.header.attached.take_context() } {
            // SAFETY: as above.
            unsafe { cell.drop_context(header, context) };
        }
        // SAFETY: the task is in no list but this one.
        unsafe { cell.scheduler.tasks().remove(header) };
        match cell.header.state.complete() {
            Completed::Done => {}
            Completed::WakeJoiner => {
                let join_waker = cell.header.join_waker.with(|waker| {
                    // SAFETY: JOIN_WAKER was set when the task became complete, so the place holds
                    // a waker and it is this thread's: the handle neither takes nor writes it any
                    // more.
                    unsafe { (*waker).assume_init_read() }
                });
                if let Err(payload) = caught(|| join_waker.wake()) {
                    cell.scheduler.hook().report(&Report::WakerPanicked {
                        id: cell.header.id,
                        name: cell.header.name().map(str::to_owned),
                        location: cell.header.location,
                        message: message_of(&*payload),
                    });
                    drop_caught(payload);
                }
                // SAFETY: the life's reference was kept for the waker and is not used any more.
                unsafe { release(header) };
            }
            Completed::Detached => {
                // SAFETY: nobody takes the output, and nobody else may touch it: this thread has
                // RUNNING.
                let discard = || unsafe { cell.discard_output() };
                // SAFETY: as in `run`.
                unsafe { current::enter(header.as_ptr().cast(), &cell.header.wait, discard) };
                // SAFETY: as above.
                if let Some(context) = unsafe { cell.header.attached.take_context() } {
                    // SAFETY: as above.
                    unsafe { cell.drop_context(header, context) };
                }
                if cell.header.state.complete_detached() {
                    // SAFETY: that was the last reference.
                    unsafe { free(header) };
                }
            }
        }
    }

    /// Drops what the task had set, as code of the task: what destructors set themselves is the task's, too.
    ///
    /// # Safety
    ///
    /// The caller has RUNNING, and `header` is this cell's.
    #[cold]
    unsafe fn drop_context(&self, header: NonNull<Header>, context: Values) {
        let mut next = Some(context);
        // Not for ever, whatever they do.
        for _ in 0..ROUNDS {
            let Some(context) = next else { return };
            let drop_it = || drop_caught(context);
            // SAFETY: as in `run_started`.
            unsafe { current::enter(header.as_ptr().cast(), &self.header.wait, drop_it) };
            // SAFETY: by the caller's word.
            next = unsafe { self.header.attached.take_context() };
        }
        mem::forget(next);
    }

    /// Drops the output, if it is still there, and reports what nobody else will hear of.
    ///
    /// # Safety
    ///
    /// The caller has the stage: it has RUNNING, or it is the handle of a complete task.
    unsafe fn discard_output(&self) {
        // SAFETY: the caller has the stage.
        let Some(output) = (unsafe { self.take_stage() }) else { return };
        let panicked = |payload: Box<dyn std::any::Any + Send>| {
            self.scheduler.hook().report(&Report::TaskPanicked {
                id: self.header.id,
                name: self.header.name().map(str::to_owned),
                location: self.header.location,
                message: message_of(&*payload),
            });
            drop_caught(payload);
        };
        match output {
            Ok(output) => {
                // The error displays itself by code of the user's.
                let failure = caught(|| failure_text(&output)).unwrap_or_else(|payload| {
                    drop_caught(payload);
                    Some("(an error that panics when it is displayed)".to_owned())
                });
                if let Some(error) = failure {
                    self.scheduler.hook().report(&Report::TaskFailed {
                        id: self.header.id,
                        name: self.header.name().map(str::to_owned),
                        location: self.header.location,
                        error,
                    });
                }
                if let Err(payload) = caught(|| drop(output)) {
                    panicked(payload);
                }
            }
            Err(Failure::Panic(payload)) => panicked(payload),
            Err(Failure::Cancelled | Failure::Shutdown) => {}
        }
    }

    /// Takes the output out of the stage.
    ///
    /// # Safety
    ///
    /// As for [`discard_output`](Self::discard_output).
    unsafe fn take_stage(&self) -> Option<Output<F>> {
        self.stage.with_mut(|stage| {
            // SAFETY: the caller has the stage, and the future, which must not be moved, is gone.
            let output = match unsafe { &*stage } {
                // SAFETY: nobody else reads it: below, the place is written over without being dropped.
                Stage::Output(output) => unsafe { ptr::read(output) },
                Stage::Empty => return None,
                Stage::Future(_) => unreachable!("the future is dropped before the task completes"),
            };
            // SAFETY: as above. Not by an exchange: the place is as large as the future was.
            unsafe { stage.write(Stage::Empty) };
            Some(output)
        })
    }

    /// See [`Vtable::schedule`].
    unsafe fn schedule(header: NonNull<Header>) {
        // SAFETY: the caller has the `Task`, and a reference that keeps the cell, and so the
        // scheduler in it, alive for the whole of this call, whatever becomes of the task
        // meanwhile.
        let cell = unsafe { Self::from_header(header) };
        // SAFETY: the caller gives its `Task` to us.
        cell.scheduler.schedule(unsafe { Task::from_raw(header) });
    }

    /// See [`Vtable::asked`].
    unsafe fn asked(header: NonNull<Header>) {
        // SAFETY: by the caller's reference.
        unsafe { Self::from_header(header) }.scheduler.asked(header);
    }

    /// See [`Vtable::take_output`].
    unsafe fn take_output(header: NonNull<Header>, place: NonNull<()>) {
        // SAFETY: by the handle's reference.
        let cell = unsafe { Self::from_header(header) };
        // SAFETY: the task is complete, and the caller its handle; the place is of this type.
        unsafe { *place.cast::<Option<Output<F>>>().as_mut() = cell.take_stage() };
    }

    /// See [`Vtable::was_shut_down`].
    unsafe fn was_shut_down(header: NonNull<Header>) -> bool {
        // SAFETY: by the handle's reference.
        let cell = unsafe { Self::from_header(header) };
        cell.stage.with(|stage| {
            // SAFETY: the task is complete, and the caller its handle, which takes nothing meanwhile.
            matches!(unsafe { &*stage }, Stage::Output(Err(Failure::Shutdown)))
        })
    }

    /// See [`Vtable::let_go`].
    unsafe fn let_go(header: NonNull<Header>) {
        // SAFETY: by the handle's reference.
        let cell = unsafe { Self::from_header(header) };
        // SAFETY: the task is complete, and the caller its handle.
        unsafe { cell.discard_output() };
        if cell.header.state.release() {
            // SAFETY: the handle's reference was the last one.
            unsafe { Self::free(header) };
        }
    }

    /// See [`Vtable::disown`].
    unsafe fn disown(header: NonNull<Header>) {
        // SAFETY: by the caller's reference.
        let cell = unsafe { Self::from_header(header) };
        // SAFETY: as above; the task is in no list but this one.
        unsafe { cell.scheduler.tasks().disown(header) };
    }

    /// See [`Vtable::free`].
    unsafe fn free(header: NonNull<Header>) {
        // SAFETY: it came from a `Box` of this type, and nobody can reach it any more.
        let cell = unsafe { Box::from_raw(header.cast::<Self>().as_ptr()) };
        // SAFETY: as above.
        unsafe { cell.header.free_scope() };
        if cfg!(any(filch_loom, debug_assertions)) {
            // SAFETY: the cell is ours. That every use of it came before this is what loom checks
            // here.
            cell.stage.with_mut(|stage| assert!(matches!(unsafe { &*stage }, Stage::Empty)));
            cell.header.join_waker.with_mut(|_| ());
            cell.header.links.with_mut(|_| ());
        }
    }
}
