//! Several futures, each a task of its own, and all their outputs.

mod children;
mod list;
mod tuple;

pub use children::{Children, TryChildren};

use crate::asking::Asking;
use crate::place::Place;
use children::{Failure, Tasks};
use filch_atomic::current::{WaitKind, note_wait};
use filch_sched::Keeper;
use filch_sched::scope::is_cancelled;
use filch_sched::task::report_panic;
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{Location, panic_any, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Runs all `children`, each as a task of its own, and gives their outputs in order: a tuple of up to twelve futures, an
/// array or a `Vec`; [`gather_all`] takes an iterator.
///
/// The tasks are spawned by the first poll. If one of them panics, the panic goes on here at once, and the others
/// run on, on their own. [`results`](Gather::results) gives panics as errors in their places, and
/// [`try_gather`] is for children that may fail.
///
/// A cancel of the task, or the end of a timeout, is passed on to all children, and what is around waits until they
/// have ended. If all of them come to their ends nevertheless, their outputs are given (C2).
///
/// ```
/// # use filch_sched::{Config, ThreadPark, run};
/// # use filch_structured::gather;
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let (number, word) = gather((async { 1 + 1 }, async { "two" })).await;
/// assert_eq!((number, word), (2, "two"));
/// # }).unwrap();
/// ```
///
/// # Panics
///
/// When it is polled: with the panic of a child; if there is no runtime on this thread, or it has shut down. When it
/// was lent (`&mut`) to a timeout or a race that has ended it, and is polled afterwards, or was carried out of a task that
/// was cancelled: its children were cancelled, and there are no outputs. ([`results`](Gather::results) are there.) When all children have ended, and one of them has
/// cancelled itself, or was by somebody that it gave its [`AbortHandle`](filch_sched::task::AbortHandle).
///
/// # Cancel safety
///
/// Dropping it asks all children to end, as [`JoinHandle::cancel`](filch_sched::task::JoinHandle::cancel) does, and does
/// not wait for that: they clean up on their own.
///
/// # Deadlocks
///
/// It is in the scope in which it is first polled, wherever it is polled afterwards; there a cancel from outside comes from.
/// Taken out of its task after that, to another thread or a `static`, or leaked, it has children that the end of the
/// runtime leaves to it: that waits for them until its grace is over. Then this panics.
#[track_caller]
#[doc(alias = "join_all")]
#[doc(alias = "zip")]
pub fn gather<C: Children>(children: C) -> Gather<C, C::Tasks> {
    Gather(Work::new(children, C::spawn))
}

/// As [`gather`], of however many children there are.
///
/// # Panics
///
/// As for [`gather`].
///
/// # Cancel safety
///
/// As for [`gather`].
#[track_caller]
#[doc(alias = "join_all")]
pub fn gather_all<I>(children: I) -> Gather<Vec<I::Item>, <Vec<I::Item> as Children>::Tasks>
where
    I: IntoIterator,
    Vec<I::Item>: Children,
{
    gather::<Vec<_>>(children.into_iter().collect())
}

/// Runs all `children`, each as a task of its own, until all have succeeded, or one fails: then the others are
/// cancelled, and when all have ended this gives the error of the one that failed first.
///
/// Takes what [`gather`] takes, of futures that yield a `Result` with the same kind of error, and passes a cancel on as
/// it does. A child that panics counts as failed: the panic goes on here, when the others have ended.
///
/// ```
/// # use filch_sched::{Config, ThreadPark, run};
/// # use filch_structured::try_gather;
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let parse = async |text: &'static str| text.parse::<u8>();
/// let numbers = try_gather((parse("1"), parse("2"))).await;
/// assert_eq!(numbers, Ok((1, 2)));
/// assert!(try_gather([parse("1"), parse("?")]).await.is_err());
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// The first that a child yielded.
///
/// # Panics
///
/// As for [`gather`].
///
/// # Cancel safety
///
/// As for [`gather`].
#[track_caller]
#[doc(alias = "try_join")]
#[doc(alias = "gather")]
pub fn try_gather<C: TryChildren>(children: C) -> TryGather<C, C::Tasks, C::Error> {
    let work = Work::new(children, C::spawn_to_try);
    TryGather { work, failure: None, rest: Rest::Cancelled }
}

/// As [`try_gather`], of however many children there are.
///
/// # Errors
///
/// As for [`try_gather`].
///
/// # Panics
///
/// As for [`gather`].
///
/// # Cancel safety
///
/// As for [`gather`].
#[track_caller]
#[doc(alias = "try_join_all")]
pub fn try_gather_all<I>(children: I) -> TryGatherAll<I::Item>
where
    I: IntoIterator,
    Vec<I::Item>: TryChildren,
{
    try_gather::<Vec<_>>(children.into_iter().collect())
}

type TryGatherAll<F> =
    TryGather<Vec<F>, <Vec<F> as Children>::Tasks, <Vec<F> as TryChildren>::Error>;

// These have the types of the tasks, and not only of the children, as parameters: a type that is named through a trait
// makes the compiler prove that trait's bounds wherever it asks whether a task that awaits this is `Send`, and that is
// where it gives up on references ("not general enough").

/// The future that [`gather`] and [`gather_all`] return.
#[must_use = "it spawns nothing unless it is awaited"]
pub struct Gather<C, T: Tasks>(Work<C, T>);

impl<C, T: Tasks> Gather<C, T> {
    /// Gives the outputs when all children have ended, and for one that panicked the error in its place.
    #[doc(alias = "return_exceptions")]
    #[doc(alias = "allSettled")]
    pub fn results(self) -> GatherResults<C, T> {
        GatherResults(self.0)
    }
}

/// The future that [`Gather::results`] returns.
#[must_use = "it spawns nothing unless it is awaited"]
pub struct GatherResults<C, T: Tasks>(Work<C, T>);

/// The future that [`try_gather`] and [`try_gather_all`] return.
#[must_use = "it spawns nothing unless it is awaited"]
pub struct TryGather<C, T: Tasks, E> {
    work: Work<C, T>,
    failure: Option<Failure<E>>,
    rest: Rest,
}

impl<C, T: Tasks, E> TryGather<C, T, E> {
    /// When one child fails, gives its error at once, and lets the others run on, on their own. What becomes of
    /// them then is told as of any task that nobody awaits.
    #[doc(alias = "gather")]
    pub fn detach_rest(mut self) -> Self {
        self.rest = Rest::Detached;
        self
    }
}

/// What becomes of the others when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Cancelled,
    Detached,
}

/// The children, before they are spawned and after.
struct Work<C, T: Tasks> {
    stage: Stage<C, T>,
    place: Place,
    /// Whether the children were asked to end.
    is_asked: bool,
    /// Who asks them, from when they are spawned, if that is nobody else.
    keeper: Option<Keeper>,
    location: &'static Location<'static>,
}

type Spawn<C, T> = fn(C, &'static Location<'static>) -> T;

enum Stage<C, T> {
    New(C, Spawn<C, T>),
    Running(T),
    /// Joined, and one was cancelled: what is around is to be cut.
    Cut(T),
    Over,
}

impl<C, T: Tasks> Work<C, T> {
    #[track_caller]
    fn new(children: C, spawn: Spawn<C, T>) -> Self {
        let (stage, place) = (Stage::New(children, spawn), Place::default());
        let location = Location::caller();
        Self { stage, place, is_asked: false, keeper: None, location }
    }

    /// Polls all, and hears of a cancel. Ready when all have ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Stage::New(..) = &self.stage
            && let Stage::New(children, spawn) = mem::replace(&mut self.stage, Stage::Over)
        {
            self.keeper = Some(Keeper::here()).filter(|keeper| keeper.asks());
            self.stage = Stage::Running(spawn(children, self.location));
        }
        let tasks = match &mut self.stage {
            Stage::Running(tasks) => tasks,
            Stage::Cut(_) => return Poll::Pending,
            _ => panic!("a gather was polled after it had been ready"),
        };
        let polled = tasks.poll_all(cx);
        let is_open = polled.is_pending() || tasks.has_cancelled();
        if is_open && !self.is_asked && self.place.is_cancelled(cx) {
            self.cancel();
        }
        if polled.is_pending() {
            note_wait(WaitKind::Join, 0, self.location);
        }
        polled
    }

    /// Asks all to end, and has what is around wait for that.
    fn cancel(&mut self) {
        if !mem::replace(&mut self.is_asked, true) {
            self.place.hold();
            let mut asking = Asking::default();
            self.tasks().cancel_all(&mut asking);
            asking.go_on();
        }
    }

    fn tasks(&mut self) -> &mut T {
        match &mut self.stage {
            Stage::Running(tasks) => tasks,
            _ => unreachable!("it has been polled and is not over"),
        }
    }

    /// It is over. Who still runs runs on.
    fn finish(&mut self) -> T {
        self.place.leave();
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Running(tasks) => tasks,
            _ => unreachable!("it has been polled and is not over"),
        }
    }

    /// It is over by the failure of one: what the others have to say is not lost, if it is a panic.
    fn fail(&mut self) {
        let location = self.location;
        // If their runtime ends, that asks them now, and wakers may panic: not in place of that failure.
        let mut asking = Asking::default();
        self.tasks().disown_all(&mut asking);
        asking.report(location);
        self.finish().each_error(&mut |error| report_panic(error, location));
    }

    /// All have ended, and none has failed; but one may have been cancelled.
    fn joined(&mut self) -> Poll<T> {
        if !self.tasks().has_cancelled() {
            return Poll::Ready(self.finish());
        }
        // What is around may be cut now. It does not wait for this any more, nor does anybody else.
        self.stage = Stage::Cut(self.finish());
        Poll::Pending
    }

    /// Why there are no outputs, if nothing will come to end what is around.
    fn why_left(&self) -> Option<&'static str> {
        let Stage::Cut(tasks) = &self.stage else { return None };
        let is_of_their_runtime = self.keeper.is_some_and(Keeper::is_here);
        let (is_left, why) = if self.is_asked {
            // What it was in is not where it is polled, or is gone.
            let why = "a gather has no outputs: it was lent to a timeout or a race that has ended it, or begun in \
                       a task that was cancelled";
            (!is_cancelled(), why)
        } else if tasks.has_aborted() {
            // By itself, or by somebody that it gave its handle.
            let why = "a child of a gather was cancelled, and not by that";
            (!is_cancelled() || !is_of_their_runtime, why)
        } else {
            // With its runtime. If that is the one of the task here, that is ended, too.
            (!is_of_their_runtime, "a child of a gather was cancelled: its runtime has shut down")
        };
        is_left.then_some(why)
    }

    /// The same, and they are taken out.
    fn left(&mut self) -> Option<T> {
        self.why_left()?;
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Cut(tasks) => Some(tasks),
            _ => unreachable!("just looked at"),
        }
    }

    /// Before it is polled, and when what is around is to be cut: that may be where it was, and not here.
    fn assert_not_left(&self) {
        if let Some(why) = self.why_left() {
            panic_any(why);
        }
    }
}

impl<C, T: Tasks> Drop for Work<C, T> {
    fn drop(&mut self) {
        let tasks = match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Running(tasks) => {
                let mut asking = Asking::default();
                tasks.cancel_all(&mut asking);
                asking.report(self.location);
                tasks
            }
            Stage::Cut(tasks) => tasks,
            Stage::New(..) | Stage::Over => return,
        };
        // Their handles report those that are not over yet.
        tasks.each_error(&mut |error| report_panic(error, self.location));
    }
}

// The futures of children are moved into tasks, and never polled here.
impl<C, T: Tasks> Unpin for Work<C, T> {}

impl<C, T: Tasks> Future for Gather<C, T> {
    type Output = T::Outputs;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Outputs> {
        let work = &mut self.0;
        work.assert_not_left();
        let polled = work.poll(cx);
        if work.is_asked {
            ready!(polled);
        }
        if matches!(work.stage, Stage::Running(_))
            && let Some(panicked) = work.tasks().take_panic()
        {
            work.fail();
            resume_unwind(panicked.into_panic());
        }
        ready!(polled);
        let joined = work.joined().map(Tasks::outputs);
        work.assert_not_left();
        joined
    }
}

impl<C, T: Tasks> Future for GatherResults<C, T> {
    type Output = T::Results;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Results> {
        let work = &mut self.0;
        if let Some(tasks) = work.left() {
            return Poll::Ready(tasks.results());
        }
        ready!(work.poll(cx));
        let tasks = match work.is_asked {
            false => Some(work.finish()),
            true => match work.joined() {
                Poll::Ready(tasks) => Some(tasks),
                Poll::Pending => work.left(),
            },
        };
        tasks.map_or(Poll::Pending, |tasks| Poll::Ready(tasks.results()))
    }
}

impl<C: TryChildren> Future for TryGather<C, C::Tasks, C::Error> {
    type Output = Result<C::Values, C::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { work, failure, rest } = &mut *self;
        work.assert_not_left();
        let polled = work.poll(cx);
        if failure.is_none() && matches!(work.stage, Stage::Running(_)) {
            *failure = C::take_failure(work.tasks());
            if failure.is_some() && (*rest == Rest::Cancelled || work.is_asked) {
                work.cancel();
            }
        }
        if failure.is_none() || work.is_asked {
            ready!(polled);
        }
        match failure.take() {
            None => {
                let joined = work.joined().map(|tasks| Ok(C::values(tasks)));
                work.assert_not_left();
                joined
            }
            Some(failure) => {
                work.fail();
                Poll::Ready(Err(match failure {
                    Failure::Error(error) => error,
                    Failure::Panic(panicked) => resume_unwind(panicked.into_panic()),
                }))
            }
        }
    }
}

impl<C, T: Tasks, E> Drop for TryGather<C, T, E> {
    fn drop(&mut self) {
        // Taken, and not given while the others were joined.
        if let Some(Failure::Panic(error)) = self.failure.take() {
            report_panic(error, self.work.location);
        }
    }
}

impl<E> Unpin for Failure<E> {}
impl<C, T: Tasks, E> Unpin for TryGather<C, T, E> {}

impl<C, T: Tasks> fmt::Debug for Work<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::New(..) => "new",
            Stage::Running(_) if self.is_asked => "ending",
            Stage::Running(_) => "running",
            Stage::Cut(_) => "cut",
            Stage::Over => "over",
        };
        f.debug_struct("Gather").field("stage", &stage).finish_non_exhaustive()
    }
}

impl<C, T: Tasks> fmt::Debug for Gather<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<C, T: Tasks> fmt::Debug for GatherResults<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<C, T: Tasks, E> fmt::Debug for TryGather<C, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.work.fmt(f)
    }
}
