//! The group as a future: its body, then the end of its children.

use super::BoxError;
use super::context;
use super::core::{Core, Supervisor};
use super::error::{Cause, Failure, GroupError};
use super::handle::TaskGroup;
use filch_atomic::current::{WaitKind, note_wait};
use filch_atomic::panics::{Payload, caught};
use filch_atomic::scope::{self, Inside, Kind, Scope};
use filch_atomic::sync::Arc;
use filch_sched::scope::{Cancellable, around, cancellable, is_cancelled};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Runs `body`, and returns when it and every task that was spawned in it are over.
///
/// The body gets a [`TaskGroup`] to spawn in. The first of its children that fails (or the body, if it gives an
/// error) has all others cancelled, and the body where it waits. They may clean up; the group waits for them,
/// and then gives all their errors. So nothing of the group runs any more behind the `await`, on any path (C3);
/// but for the values of a child's context variables, which its task drops.
///
/// ```
/// use filch_structured::group;
/// # filch_sched::run(filch_sched::Config::default(), |_| Ok(filch_sched::ThreadPark::new()), async {
/// let sum = group(async |g| {
///     let one = g.spawn(async { "1".parse::<i32>() });
///     let two = g.spawn(async { "2".parse::<i32>() });
///     Ok(one.await + two.await)
/// });
/// assert_eq!(sum.await.unwrap(), 3);
///
/// let failed = group(async |g| {
///     g.spawn(async { "one".parse::<i32>() });
///     g.spawn(std::future::pending::<Result<(), String>>());
///     Ok(())
/// });
/// let error = failed.await.unwrap_err();
/// assert_eq!(error.len(), 1, "the other one was cancelled");
/// assert!(error.iter().next().unwrap().is::<std::num::ParseIntError>());
/// # }).unwrap();
/// ```
///
/// * *A cancel is no failure*: a child that is cancelled on its own ends, and the others go on.
/// * *A panic*, in a child or in the body, cancels the group like an error, and goes on from here when all are
///   over. Of several the first does; the others, and errors, go to the error hook.
/// * *Cancelled from outside*, the group cuts its body, cancels its children and waits for them, which holds up
///   what is around it. Then that is cut, or dropped, here. If there are errors, the group gives them in place of
///   that; the cancel stays in force.
/// * *A group in a group* gives its errors to that one, as one error.
///
/// The body runs in the task that awaits the group: it may borrow, and need not be `Send`. The children
/// are tasks of their own.
///
/// # Errors
///
/// [`GroupError`], with the errors of all that failed. It is empty if there are none and the body was cut, by
/// [`TaskGroup::cancel`], before it had an output.
///
/// # Panics
///
/// With the panic of a child or of the body. When first polled, if there is no runtime on this thread. When polled again
/// after it was ready.
///
/// # Cancel safety
///
/// A cancel is waited for, as said. *Dropped* in the midst (by `select!`, an abort), it cannot wait:
/// its children are cancelled, and the nearest group around it, where its first poll was, does not end before
/// them. Without one they end on their own. What goes wrong with them goes to the error hook.
///
/// # Deadlocks
///
/// It is in the scope in which it is first polled; there a cancel from outside comes from, and there it takes
/// effect. Taken out of its task after that, to another thread or a `static`, or leaked, it has children that the end of
/// the runtime leaves to it: that waits for them until its grace is over. Lent to a timeout or a race (`&mut`) that ended it, it has no output any more: awaited again, it gives an error
/// that [is cancelled](GroupError::is_cancelled).
#[track_caller]
#[doc(alias = "TaskGroup")]
#[doc(alias = "JoinSet")]
#[doc(alias = "open_nursery")]
#[doc(alias = "coroutineScope")]
pub fn group<T, B, F>(body: B) -> Group<B, F, T>
where
    B: FnOnce(TaskGroup) -> F,
    F: Future<Output = Result<T, BoxError>>,
{
    Group {
        make: Some(body),
        body: None,
        open: None,
        output: None,
        was_cut: false,
        supervisor: None,
        location: Location::caller(),
    }
}

pin_project! {
    /// The future that [`group`] returns.
    #[must_use = "it does nothing unless it is awaited"]
    pub struct Group<B, F, T> {
        // Before the first poll.
        make: Option<B>,
        // In the group, until it is over.
        #[pin]
        body: Option<Cancellable<F>>,
        // From the first poll to the end.
        open: Option<Open>,
        output: Option<T>,
        // A cancel from outside has ended it, and what is around is to be cut.
        was_cut: bool,
        supervisor: Option<Supervisor>,
        location: &'static Location<'static>,
    }

    impl<B, F, T> PinnedDrop for Group<B, F, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(open) = this.open.take() {
                open.end(this.body);
                open.core.orphan();
            }
        }
    }
}

impl<B, F, T> Group<B, F, T> {
    /// A group that goes on when a child fails: `on_failure` is told, in the child's task, and the others are
    /// left alone. That goes for panics too ([`Panicked`](super::Panicked)). An error or a panic of the *body* ends the
    /// group as ever.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    /// # use filch_structured::group;
    /// # filch_sched::run(filch_sched::Config::default(), |_| Ok(filch_sched::ThreadPark::new()), async {
    /// static FAILED: AtomicUsize = AtomicUsize::new(0);
    /// let supervised = group(async |g| {
    ///     g.spawn(async { Err::<(), _>("refused") });
    ///     Ok(g.spawn_ok(async { 7 }).await)
    /// })
    /// .supervisor(|failure| {
    ///     eprintln!("{failure}");
    ///     FAILED.fetch_add(1, SeqCst);
    /// });
    /// assert_eq!(supervised.await.unwrap(), 7);
    /// assert_eq!(FAILED.load(SeqCst), 1);
    /// # }).unwrap();
    /// ```
    #[doc(alias = "supervisorScope")]
    pub fn supervisor(mut self, on_failure: impl Fn(Failure) + Send + Sync + 'static) -> Self {
        self.supervisor = Some(std::sync::Arc::new(on_failure));
        self
    }

    /// The same, where being cancelled is no error: it gives `None` if the body was cut before it had an output.
    pub fn or_none(self) -> OrNone<B, F, T> {
        OrNone { group: self }
    }
}

impl<B, F, T> Future for Group<B, F, T>
where
    B: FnOnce(TaskGroup) -> F,
    F: Future<Output = Result<T, BoxError>>,
{
    type Output = Result<T, GroupError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(make) = this.make.take() {
            let open = this.open.insert(Open::new(this.supervisor.take(), this.location));
            let group = TaskGroup::new(open.core.clone());
            match open.run(|| make(group)) {
                Ok(body) => this.body.set(Some(cancellable(body))),
                Err(payload) => open.core.panicked(None, payload),
            }
        }
        let Some(open) = this.open else {
            assert!(*this.was_cut, "a group was polled after it had been ready");
            if is_cancelled() {
                // What is around will not wait for more than this.
                return Poll::Pending;
            }
            // It was lent to what was cancelled, and here nobody is.
            *this.was_cut = false;
            return Poll::Ready(Err(GroupError::new(this.location, Vec::new())));
        };
        // Before all looks at what somebody else does.
        open.inside.scope().register(cx.waker());
        open.notice();
        if let Some(body) = this.body.as_mut().as_pin_mut() {
            match open.run(|| body.poll(cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(Ok(value)))) => *this.output = Some(value),
                Ok(Poll::Ready(Ok(Err(error)))) => match Cause::of_boxed(error) {
                    Some(cause) => open.core.fail(Failure::of(None, cause)),
                    None => open.cut(),
                },
                Ok(Poll::Ready(Err(_cancelled))) => open.cut(),
                Err(payload) => open.core.panicked(None, payload),
            }
            open.end(this.body.as_mut());
        }
        if !open.core.is_joined() {
            open.inside.hold();
            note_wait(WaitKind::Join, open.core.len(), this.location);
            return Poll::Pending;
        }
        let open = this.open.take().expect("it was there just now");
        let outcome = open.core.outcome();
        let output = this.output.take();
        if let Some(payload) = outcome.panic {
            // Not while the thread unwinds: it may panic in its turn.
            open.core.discard(output);
            outcome.failures.into_iter().for_each(|failure| open.core.report(failure));
            drop(open);
            resume_unwind(payload);
        }
        if !outcome.failures.is_empty() {
            // They came about by themselves: a timeout around must not take them for its own doing.
            open.inside.scope().forget_cut();
            open.core.discard(output);
            return Poll::Ready(Err(GroupError::new(this.location, outcome.failures)));
        }
        match output {
            Some(value) if !outcome.is_cut_from_outside => Poll::Ready(Ok(value)),
            // What is around is not held up any more, looks again, and acts; unless it was lent to that, and is polled
            // elsewhere now.
            _ if open.is_cancelled_from_outside() && is_cancelled() => {
                *this.was_cut = true;
                Poll::Pending
            }
            _ => Poll::Ready(Err(GroupError::new(this.location, Vec::new()))),
        }
    }
}

/// A group whose future was polled.
struct Open {
    core: Arc<Core>,
    /// The group's scope.
    inside: Inside,
    /// The one that it is in.
    around: Option<Arc<Scope>>,
}

impl Open {
    fn new(supervisor: Option<Supervisor>, location: &'static Location<'static>) -> Self {
        let around = around();
        let inside = Inside::new(Kind::Boundary, around.clone(), None);
        let core = Core::new(inside.scope().clone(), context::current(), supervisor, location);
        Self { core, inside, around }
    }

    /// Runs code of the body's.
    fn run<R>(&self, run: impl FnOnce() -> R) -> Result<R, Payload> {
        scope::enter(self.inside.scope(), || context::enter(&self.core, || caught(run)))
    }

    /// Drops the body.
    fn end<F>(&self, mut body: Pin<&mut Option<Cancellable<F>>>) {
        if let Err(payload) = self.run(|| body.set(None)) {
            self.core.panicked(None, payload);
        }
    }

    /// A cancel from outside ends the group, and waits for it from now on.
    fn notice(&mut self) {
        if self.core.notice() {
            self.inside.hold();
        }
    }

    /// The body was cancelled: so are the children.
    fn cut(&mut self) {
        self.notice();
        self.core.end(false);
    }

    fn is_cancelled_from_outside(&self) -> bool {
        self.around.as_ref().is_some_and(|scope| scope.is_cancelled())
    }
}

impl<B, F, T> fmt::Debug for Group<B, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match (&self.make, &self.open, &self.body) {
            (Some(_), ..) => "new",
            (None, Some(_), Some(_)) => "in its body",
            (None, Some(_), None) => "waiting for its children",
            (None, None, _) => "over",
        };
        f.debug_struct("Group")
            .field("stage", &stage)
            .field("location", &format_args!("{}", self.location))
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future that [`Group::or_none`] returns.
    #[must_use = "it does nothing unless it is awaited"]
    pub struct OrNone<B, F, T> {
        #[pin]
        group: Group<B, F, T>,
    }
}

impl<B, F, T> Future for OrNone<B, F, T>
where
    B: FnOnce(TaskGroup) -> F,
    F: Future<Output = Result<T, BoxError>>,
{
    type Output = Result<Option<T>, GroupError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.project().group.poll(cx)) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_cancelled() => Ok(None),
            Err(error) => Err(error),
        })
    }
}

impl<B, F, T> fmt::Debug for OrNone<B, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.group.fmt(f)
    }
}
