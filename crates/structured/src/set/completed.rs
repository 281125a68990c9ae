//! Tasks as a stream, in the order of their ends.

use super::TaskSet;
use filch_sched::task::{JoinError, Meta, TaskId};
use filch_sched::timer::{Elapsed, Sleep, sleep, sleep_until};
use futures_core::Stream;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Spawns all `futures`, now, each as a task of its own, and gives what they come to in the order of their ends.
///
/// It is a `Stream`, and has [`next`](AsCompleted::next). With [`timeout`](AsCompleted::timeout) it ends after a while.
/// One may stop asking and go on later.
///
/// Dropping it asks those that are left to end, as dropping a [`TaskSet`] does.
///
/// ```
/// # use filch_sched::{Config, ThreadPark, run};
/// # use filch_structured::as_completed;
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let mut squares = as_completed((1..=3).map(|number| async move { number * number }));
/// let mut sum = 0;
/// while let Some(square) = squares.next().await {
///     sum += square.unwrap();
/// }
/// assert_eq!(sum, 14);
/// # }).unwrap();
/// ```
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub fn as_completed<I, F>(futures: I) -> AsCompleted<F::Output>
where
    I: IntoIterator<Item = F>,
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let location = Location::caller();
    let mut set = TaskSet::new();
    for future in futures {
        set.spawn_as(future, Meta { id: TaskId::next(), name: None, location });
    }
    set.into_stream()
}

/// The stream that [`as_completed`] and [`TaskSet::into_stream`] return.
#[must_use = "what its tasks come to is given to who asks"]
#[doc(alias = "FuturesUnordered")]
pub struct AsCompleted<T> {
    set: TaskSet<T>,
}

impl<T> AsCompleted<T> {
    pub(super) fn new(set: TaskSet<T>) -> Self {
        Self { set }
    }

    /// What the next task comes to. `None` when there are no more.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken nothing.
    pub async fn next(&mut self) -> Option<Result<T, JoinError>> {
        self.set.join_next().await
    }

    /// The same for so long, counted from now: then it gives those that are over by then, [`Elapsed`] once if any are
    /// missing, and ends. Those are not cancelled: [`into_set`](AsCompletedWithin::into_set) has them.
    #[track_caller]
    pub fn timeout(self, wait: Duration) -> AsCompletedWithin<T> {
        AsCompletedWithin { set: self.set, time: sleep(wait), stage: Stage::Running }
    }

    /// As [`timeout`](Self::timeout), until `deadline`.
    #[track_caller]
    pub fn timeout_at(self, deadline: impl Into<Instant>) -> AsCompletedWithin<T> {
        AsCompletedWithin { set: self.set, time: sleep_until(deadline), stage: Stage::Running }
    }

    /// The tasks that are left.
    pub fn into_set(self) -> TaskSet<T> {
        self.set
    }
}

impl<T> Unpin for AsCompleted<T> {}

impl<T> Stream for AsCompleted<T> {
    type Item = Result<T, JoinError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.set.poll_next(cx).map(|next| next.map(|finished| finished.result))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.set.len(), Some(self.set.len()))
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsCompleted").field(&self.set).finish()
    }
}

/// The stream that [`AsCompleted::timeout`] returns.
#[must_use = "what its tasks come to is given to who asks"]
pub struct AsCompletedWithin<T> {
    set: TaskSet<T>,
    time: Sleep,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// The time is over; some may have ended before.
    Late,
    Over,
}

impl<T> AsCompletedWithin<T> {
    /// What the next task comes to; [`Elapsed`] if the time is over and some are missing. `None` when there are no more,
    /// or that was said.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken nothing.
    pub async fn next(&mut self) -> Option<Result<Result<T, JoinError>, Elapsed>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The tasks that are left: those that are missing, too.
    pub fn into_set(self) -> TaskSet<T> {
        self.set
    }
}

impl<T> Unpin for AsCompletedWithin<T> {}

impl<T> Stream for AsCompletedWithin<T> {
    type Item = Result<Result<T, JoinError>, Elapsed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.stage == Stage::Running {
            // Who is ready is first, whatever the time (C2).
            match this.set.poll_next(cx) {
                Poll::Ready(next) => return Poll::Ready(next.map(|finished| Ok(finished.result))),
                Poll::Pending => std::task::ready!(Pin::new(&mut this.time).poll(cx)),
            }
            this.stage = Stage::Late;
        }
        if this.stage == Stage::Over {
            return Poll::Ready(None);
        }
        if let Some(finished) = this.set.next_at_last() {
            return Poll::Ready(Some(Ok(finished.result)));
        }
        this.stage = Stage::Over;
        Poll::Ready((!this.set.is_empty()).then(|| Err(Elapsed::now())))
    }
}

impl<T> fmt::Debug for AsCompletedWithin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompletedWithin")
            .field("set", &self.set)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
