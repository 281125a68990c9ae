//! A future that a cancel ends with a value, so that the code behind it runs on.

use super::clean_up::{CleanUp, grace as runtime_grace, poll_over};
use super::held::Held;
use super::{Cancelled, is_unaware, is_woken};
use crate::timer::Sleep;
use filch_atomic::current::poll_proceed;
use filch_atomic::scope::{Inside, Kind, Scope};
use filch_atomic::sync::Arc;
use std::fmt;
use std::future::{Future, IntoFuture, Ready};
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Makes `future` a thing that a cancel ends with `Err(Cancelled)`, in place of the whole task.
///
/// When the task is asked to end ([`JoinHandle::cancel`](crate::task::JoinHandle::cancel)), or the time of a
/// [`timeout`](fn@crate::timer::timeout) around this is over, the future is polled once more: if it is ready by then, its output is `Ok` (C2). Otherwise it is dropped where it
/// waits, once nothing in it is [shielded](fn@super::shielded) and no boundary in it cleans up, and this is
/// ready with the error. The innermost boundary does so first.
///
/// *The cancel stays in force*: a task that goes on all the same and waits again is dropped there, or cut at
/// the next boundary, as soon as that waits.
///
/// Operations of filch's own that wait directly in the future are given the time to end: the kernel is asked
/// to stop them, and what it had done by then is delivered. A read gives the bytes that had come, a write
/// tells how much it wrote. Operations that have not begun do not begin any more.
///
/// ```
/// use filch_sched::scope::cancellable;
/// # use filch_sched::{Config, ThreadPark, run, spawn, task::Meta};
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let task = spawn(
///     async {
///         match cancellable(std::future::pending::<()>()).await {
///             Ok(()) => unreachable!(),
///             Err(cancelled) => cancelled.to_string(),
///         }
///     },
///     Meta::here(),
/// );
/// task.cancel();
/// assert_eq!(task.await.unwrap(), "cancelled");
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// `Cancelled`, as said; and again whenever it is polled after that.
///
/// # Cancel safety
///
/// Dropping it drops the future inside, or the clean-up, there and then: it is as cancel safe as that.
///
/// # Deadlocks
///
/// It is in the scope in which it is first polled. One that is kept and not polled any more is not asked: it
/// is dropped along with what keeps it.
#[track_caller]
#[doc(alias = "CancelledError")]
pub fn cancellable<F: IntoFuture>(future: F) -> Cancellable<F::IntoFuture> {
    Cancellable {
        stage: Stage::Work(Held::new(future.into_future())),
        clean_up: None,
        grace: None,
        patience: None,
        place: None,
        was_put_off: false,
        location: Location::caller(),
    }
}

/// No clean-up.
pub type Never = fn() -> Ready<()>;

/// The future that [`cancellable`] returns.
#[must_use = "it does nothing unless it is awaited"]
pub struct Cancellable<F, C = Never, U = Ready<()>> {
    /// Pinned with the whole.
    stage: Stage<F, U>,
    clean_up: Option<C>,
    grace: Option<Duration>,
    /// How long to wait for operations that were asked to stop.
    patience: Option<Sleep>,
    /// Its place, when what it held is gone: up to its error it has not acted.
    place: Option<Inside>,
    was_put_off: bool,
    location: &'static Location<'static>,
}

enum Stage<F, U> {
    Work(Held<F>),
    CleanUp(CleanUp<U>),
    /// The error is yet to be given.
    Cut,
    /// It was given.
    Told,
    Over,
}

impl<F> Cancellable<F> {
    /// Has `clean_up` run when the future was cancelled and dropped, and before the error is given. It may
    /// wait: it is shielded from this cancel, and what is around waits for it.
    ///
    /// It has the runtime's grace for that, five seconds unless set otherwise, or [its own](Self::grace), or
    /// what is left to the clean-up that it is part of. Then it is dropped where it waits, and reported as
    /// [`CleanUpCut`](crate::task::Report::CleanUpCut) (C4).
    ///
    /// It does not run if the future comes to its end, nor if this is dropped or its task aborted, nor if
    /// something panics, be it a destructor of what is cut.
    ///
    /// # Panics
    ///
    /// When it is to begin on a thread without a runtime: there is no clock for its grace.
    pub fn on_cancel<C, U>(self, clean_up: C) -> Cancellable<F, C, U>
    where
        C: FnOnce() -> U,
        U: Future<Output = ()>,
    {
        let stage = match self.stage {
            Stage::Work(held) => Stage::Work(held),
            Stage::Cut => Stage::Cut,
            Stage::Told => Stage::Told,
            Stage::Over => Stage::Over,
            Stage::CleanUp(_) => unreachable!("there was none"),
        };
        let Self { grace, patience, place, was_put_off, location, .. } = self;
        let clean_up = Some(clean_up);
        Cancellable { stage, clean_up, grace, patience, place, was_put_off, location }
    }
}

impl<F, C, U> Cancellable<F, C, U> {
    /// How long clean-up may take, in place of the runtime's grace; and how long operations that were asked
    /// to stop are waited for.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }
}

impl<F, C, U> Future for Cancellable<F, C, U>
where
    F: Future,
    C: FnOnce() -> U,
    U: Future<Output = ()>,
{
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `stage` is pinned when the whole is: it is not moved out of the reference got here, only
        // overwritten, which drops it in place; `on_cancel` takes a whole by value, which is not pinned or
        // `Unpin`; there is no `Drop` impl, and the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        loop {
            match &mut this.stage {
                Stage::Work(held) => {
                    // SAFETY: as above.
                    let pinned = unsafe { Pin::new_unchecked(&mut *held) };
                    let (mut is_due, mut settled) = (false, None);
                    let before = |scope: &Arc<Scope>| {
                        scope.register(cx.waker());
                        is_due = scope.is_due();
                        settled = scope.settled();
                    };
                    let mut cx = Context::from_waker(cx.waker());
                    let polled = pinned.poll(Kind::Boundary, None, before, &mut cx);
                    if let Poll::Ready(output) = polled {
                        this.stage = Stage::Over;
                        return Poll::Ready(Ok(output));
                    }
                    let inside = held.inside();
                    let scope = inside.scope();
                    if !is_due || scope.is_held() {
                        return Poll::Pending;
                    }
                    match scope.settled() {
                        None => {
                            inside.hold();
                            let (grace, at) = (this.grace, this.location);
                            let patience = this.patience.get_or_insert_with(|| {
                                Sleep::of(grace.unwrap_or_else(runtime_grace), at)
                            });
                            ready!(poll_over(patience, &mut cx));
                        }
                        // An operation has ended in the midst of this poll, perhaps behind the back of whoever
                        // waits for it. Both of us were woken.
                        now if now != settled => return Poll::Pending,
                        // No wait, or somebody's turn was over: it is polled again, and so will they be.
                        _ if is_woken() && scope.has_unheard() => {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        _ => {}
                    }
                    held.inside().scope().note_cut();
                    let place = this.place.insert(held.end().expect("it has begun"));
                    this.stage = Stage::Cut;
                    this.patience = None;
                    place.vacate();
                    if let Some(clean_up) = this.clean_up.take() {
                        let grace = this.grace.unwrap_or_else(runtime_grace);
                        this.stage = Stage::CleanUp(CleanUp::new(clean_up(), grace, this.location));
                    }
                }
                Stage::CleanUp(clean_up) => {
                    // SAFETY: as above.
                    ready!(unsafe { Pin::new_unchecked(clean_up) }.poll(cx));
                    this.stage = Stage::Cut;
                }
                Stage::Cut => {
                    // Else a loop that swallows the error would never suspend, and what is around never act.
                    ready!(poll_proceed(cx));
                    if is_unaware() && !mem::replace(&mut this.was_put_off, true) {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    this.stage = Stage::Told;
                    this.place = None;
                    return Poll::Ready(Err(Cancelled(())));
                }
                Stage::Told => {
                    // Whoever got the error may not have been who asks now: a timeout keeps it.
                    ready!(poll_proceed(cx));
                    return Poll::Ready(Err(Cancelled(())));
                }
                Stage::Over => panic!("a cancellable future was polled after it had been ready"),
            }
        }
    }
}

impl<F, C, U> fmt::Debug for Cancellable<F, C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Work(held) if !held.has_begun() => "new",
            Stage::Work(_) => "working",
            Stage::CleanUp(_) => "cleaning up",
            Stage::Cut | Stage::Told => "cut",
            Stage::Over => "over",
        };
        f.debug_struct("Cancellable").field("stage", &stage).finish_non_exhaustive()
    }
}
