//! The drop-at-every-poll harness.

use crate::asking::{Asking, Point, Work};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

/// After so many runs in which the future ended by itself there is no poll left to drop it at. More than
/// one, because the number of polls differs from run to run.
const COMPLETE_RUNS: u32 = 3;

/// A future that is polled more often than this is not waiting but spinning.
const MOST_POLLS: u32 = 10_000;

/// A poll that is to be made somewhere else.
pub type Job = Box<dyn FnOnce() + Send>;

type Mover = Arc<dyn Fn(Job) + Send + Sync>;

/// Runs a scenario once for every point at which a future can be dropped.
///
/// The scenario is a closure: it sets the scene, runs the future under test through [`Cut::run`], and then
/// checks that nothing is lost. The `Cut` differs from run to run:
///
/// * run 0: the future is dropped without having been polled;
/// * then: it is dropped as soon as its first poll has returned `Pending`, when what it began has just
///   begun;
/// * then: it is dropped when it has been woken for its second poll, in place of that poll, when what it
///   waited for is there and nobody has taken it;
/// * and so on, until it has ended by itself a few times.
///
/// ```
/// use filch_testkit::{DropAtEveryPoll, exec};
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// /// Counts two items, yielding in between.
/// async fn count(items: Rc<Cell<u32>>) {
///     for _ in 0..2 {
///         exec::yield_now().await;
///         items.set(items.get() + 1);
///     }
/// }
///
/// let summary = exec::block_on(DropAtEveryPoll::new().run(|cut| async move {
///     let items = Rc::new(Cell::new(0));
///     let done = cut.run_here(count(items.clone())).await.is_some();
///     // What was counted is never lost, wherever the future was dropped.
///     assert_eq!(done, items.get() == 2);
/// }));
/// // Before and after each of its three polls, save that the last does not return `Pending`.
/// assert_eq!((summary.dropped, summary.begun), (5, 4));
/// ```
#[derive(Default)]
pub struct DropAtEveryPoll {
    mover: Option<Mover>,
    asking: Option<Asking>,
}

/// What a [`DropAtEveryPoll::run`] did, so that a test can say that it was not nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Runs in which the future was dropped, or asked to end.
    pub dropped: u32,
    /// Of these, those in which it had been polled before.
    pub begun: u32,
    /// Runs in which it ended by itself.
    pub completed: u32,
    /// How often it was polled, in all runs.
    pub polls: u32,
}

impl DropAtEveryPoll {
    /// Polls the future where the scenario runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has each poll made by `mover`: on another thread, or by another worker. It has to return when the
    /// job is done. The future is still *dropped* where the scenario runs.
    pub fn polled_by(mover: impl Fn(Job) + Send + Sync + 'static) -> Self {
        Self { mover: Some(Arc::new(mover)), asking: None }
    }

    /// Has the future not dropped but *asked* to end at each of these points, and then polled to that end. Whether it
    /// was cut there, or came to its output all the same, is not for the harness to say.
    ///
    /// ```
    /// use filch_testkit::{DropAtEveryPoll, Point, Work, exec};
    /// use std::future::poll_fn;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::task::Poll;
    ///
    /// /// What is asked is polled once more, and cut if it waits.
    /// fn asked(mut work: Work, point: Point) -> Work {
    ///     let is_asked = Arc::new(AtomicBool::new(false));
    ///     let flag = is_asked.clone();
    ///     let boundary = poll_fn(move |cx| {
    ///         let polled = work.as_mut().poll(cx);
    ///         if flag.load(Ordering::Relaxed) { Poll::Ready(()) } else { polled }
    ///     });
    ///     Box::pin(point.around(boundary, move || is_asked.store(true, Ordering::Relaxed)))
    /// }
    ///
    /// let summary = exec::block_on(DropAtEveryPoll::new().asking(asked).run(|cut| async move {
    ///     let is_asked = cut.is_asking();
    ///     cut.run(exec::yield_now()).await;
    ///     assert!(is_asked);
    /// }));
    /// // Before and after its first poll, and before the second, in which it comes to its end.
    /// assert_eq!(summary.dropped, 3);
    /// ```
    pub fn asking(self, asking: Asking) -> Self {
        Self { asking: Some(asking), ..self }
    }

    /// Runs `scenario` with every [`Cut`].
    ///
    /// # Panics
    ///
    /// If the scenario does, naming the cut on standard error; if it does not run a future through its cut.
    pub async fn run<S, F>(&self, mut scenario: S) -> Summary
    where
        S: FnMut(Cut) -> F,
        F: Future<Output = ()>,
    {
        let mut summary = Summary { dropped: 0, begun: 0, completed: 0, polls: 0 };
        for point in 0..2 * MOST_POLLS {
            let outcome = Arc::new(Outcome::default());
            let (mover, asking) = (self.mover.clone(), self.asking);
            let cut = Cut { point, outcome: outcome.clone(), mover, asking };
            let tell = Tell(cut.to_string());
            scenario(cut).await;
            drop(tell);
            // Relaxed, all: the scenario is over.
            summary.polls += outcome.polls.load(Ordering::Relaxed);
            summary.begun += u32::from(outcome.begun.load(Ordering::Relaxed));
            let dropped = outcome.dropped.load(Ordering::Relaxed);
            let completed = outcome.completed.load(Ordering::Relaxed);
            assert!(dropped != completed, "the scenario ran its future to neither end");
            summary.dropped += u32::from(dropped);
            summary.completed += u32::from(completed);
            if summary.completed == COMPLETE_RUNS {
                return summary;
            }
        }
        panic!("the future never ended within {MOST_POLLS} polls");
    }
}

impl fmt::Debug for DropAtEveryPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("DropAtEveryPoll");
        shown.field("moved", &self.mover.is_some()).field("asking", &self.asking.is_some()).finish()
    }
}

/// Says which cut it was if the scenario panics.
struct Tell(String);

impl Drop for Tell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("drop-at-every-poll: the scenario failed with a future {}", self.0);
        }
    }
}

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) polls: AtomicU32,
    dropped: AtomicBool,
    begun: AtomicBool,
    pub(crate) completed: AtomicBool,
}

impl Outcome {
    /// It was dropped, or asked to end, after so many polls.
    pub(crate) fn dropped_after(&self, polls: u32) {
        // Relaxed: it is read when the scenario is over.
        self.dropped.store(true, Ordering::Relaxed);
        self.begun.store(polls > 0, Ordering::Relaxed);
    }
}

/// Where one run drops the future under test, or asks it to end.
pub struct Cut {
    /// Even: before poll `point / 2`. Odd: after that poll, if it returned `Pending`.
    point: u32,
    outcome: Arc<Outcome>,
    mover: Option<Mover>,
    asking: Option<Asking>,
}

impl Cut {
    /// Whether the future is [asked](DropAtEveryPoll::asking) to end rather than dropped: then more can be said of
    /// what it has done.
    pub fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Runs `future` to its output, or to the point of this cut, where it is dropped, or asked to end, and then cut:
    /// then gives `None`. Polled wherever the harness was told to.
    pub async fn run<F>(self, future: F) -> Option<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mover = self.mover.clone();
        if let Some(asking) = self.asking {
            return self.ask(asking, future).await;
        }
        let poll =
            move |future: Pin<Box<F>>, cx: &mut Context<'_>| poll_at(mover.as_ref(), future, cx);
        Cutting { future: Some(Box::pin(future)), cut: self, polls: 0, poll }.await
    }

    async fn ask<F>(self, asking: Asking, future: F) -> Option<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let output = Arc::new(Mutex::new(None));
        let place = output.clone();
        let work: Work = Box::pin(async move {
            let output = future.await;
            *place.lock().expect("nobody panics with it") = Some(output);
        });
        let mut asked = Some(asking(work, Point::new(self.point, self.outcome)));
        poll_fn(|cx| {
            let future = asked.take().expect("polled after it had been ready");
            let (future, polled) = poll_at(self.mover.as_ref(), future, cx);
            asked = Some(future);
            polled
        })
        .await;
        // What it had goes with it, before the scene is looked at.
        drop(asked);
        output.lock().expect("nobody panics with it").take()
    }

    /// As [`run`](Self::run), for a future that must stay on this thread.
    ///
    /// # Panics
    ///
    /// If futures are to be [asked](DropAtEveryPoll::asking) to end: that may have to happen anywhere.
    pub async fn run_here<F: Future>(self, future: F) -> Option<F::Output> {
        assert!(!self.is_asking(), "a future that stays on its thread is only dropped");
        Cutting { future: Some(Box::pin(future)), cut: self, polls: 0, poll: poll_here }.await
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.is_asking(), self.point.is_multiple_of(2)) {
            (false, true) => "dropped in place of",
            (true, true) => "asked to end before",
            (false, false) => "dropped after",
            (true, false) => "asked to end after",
        };
        write!(f, "{what} its poll {}", self.point / 2 + 1)
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Cutting<F, P> {
    future: Option<Pin<Box<F>>>,
    cut: Cut,
    polls: u32,
    poll: P,
}

// The future itself is pinned in its box.
impl<F, P> Unpin for Cutting<F, P> {}

impl<F, P> Future for Cutting<F, P>
where
    F: Future,
    P: FnMut(Pin<Box<F>>, &mut Context<'_>) -> (Pin<Box<F>>, Poll<F::Output>),
{
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.future.take().expect("polled after it had been ready");
        let outcome = self.cut.outcome.clone();
        if self.cut.point == 2 * self.polls {
            drop(future);
            outcome.dropped_after(self.polls);
            return Poll::Ready(None);
        }
        self.polls += 1;
        outcome.polls.fetch_add(1, Ordering::Relaxed);
        let (future, polled) = (self.poll)(future, cx);
        match polled {
            Poll::Ready(output) => {
                drop(future);
                outcome.completed.store(true, Ordering::Relaxed);
                Poll::Ready(Some(output))
            }
            Poll::Pending if self.cut.point + 1 == 2 * self.polls => {
                drop(future);
                outcome.dropped_after(self.polls);
                Poll::Ready(None)
            }
            Poll::Pending => {
                self.future = Some(future);
                Poll::Pending
            }
        }
    }
}

fn poll_at<F>(
    mover: Option<&Mover>,
    future: Pin<Box<F>>,
    cx: &mut Context<'_>,
) -> (Pin<Box<F>>, Poll<F::Output>)
where
    F: Future + Send + ?Sized + 'static,
    F::Output: Send + 'static,
{
    match mover {
        Some(mover) => poll_by(&**mover, future, cx.waker().clone()),
        None => poll_here(future, cx),
    }
}

fn poll_here<F: Future + ?Sized>(
    mut future: Pin<Box<F>>,
    cx: &mut Context<'_>,
) -> (Pin<Box<F>>, Poll<F::Output>) {
    let polled = future.as_mut().poll(cx);
    (future, polled)
}

/// Sends the future away to be polled once, and waits until it is back.
fn poll_by<F>(
    mover: &(dyn Fn(Job) + Send + Sync),
    mut future: Pin<Box<F>>,
    waker: Waker,
) -> (Pin<Box<F>>, Poll<F::Output>)
where
    F: Future + Send + ?Sized + 'static,
    F::Output: Send + 'static,
{
    let back = Arc::new(Mutex::new(None));
    let there = back.clone();
    mover(Box::new(move || {
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        *there.lock().expect("nobody panics with it") = Some((future, polled));
    }));
    let came = back.lock().expect("nobody panics with it").take();
    came.expect("the mover makes the poll before it returns")
}
