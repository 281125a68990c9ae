//! Tasks that are waited for together, in the order in which they end.

mod completed;
mod wait;

pub use completed::{AsCompleted, AsCompletedWithin, as_completed};
pub use wait::{All, Condition, First, FirstError, Until, Wait, Waited};

use crate::asking::Asking;
use crate::members::{Ending, Finished, Members};
use filch_sched::task::{AbortHandle, JoinError, JoinHandle, Meta, TaskId, report_panic};
use pin_project_lite::pin_project;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Tasks with one kind of output, waited for one by one as they end ([`join_next`](Self::join_next)), or until some
/// have ([`wait`](Self::wait)).
///
/// What one of them costs does not grow with their number. A task is in one set at most, and once: its
/// [`JoinHandle`] is what is put in.
///
/// A set is a value and no scope: a cancel of the task that waits for it cancels that wait, and the tasks only when the
/// set is dropped. Then each is asked to end, as by [`cancel_all`](Self::cancel_all), and cleans up on its own;
/// nobody waits for that. [`shutdown`](Self::shutdown) waits. [`detach_all`](Self::detach_all) lets them run on.
///
/// ```
/// # use filch_sched::{Config, ThreadPark, run};
/// # use filch_structured::{TaskSet, Until};
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let mut set = TaskSet::new();
/// for number in 1..=3 {
///     set.spawn(async move { number * number });
/// }
/// let first = set.wait(Until::First).await;
/// assert_eq!(first.done.len() + first.pending, 3);
/// let mut sum: i32 = first.done.into_iter().map(|(_, square)| square.unwrap()).sum();
/// while let Some(square) = set.join_next().await {
///     sum += square.unwrap();
/// }
/// assert_eq!(sum, 14);
/// # }).unwrap();
/// ```
#[doc(alias = "JoinSet")]
#[doc(alias = "FuturesUnordered")]
pub struct TaskSet<T> {
    members: Members<T>,
    /// What a wait has taken out of the tasks, and given to nobody yet.
    done: VecDeque<Finished<T>>,
}

impl<T> TaskSet<T> {
    /// One with no tasks.
    #[track_caller]
    pub fn new() -> Self {
        Self { members: Members::new(), done: VecDeque::new() }
    }

    /// Spawns a task into the set. See `filch::spawn`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_as(future, Meta::here())
    }

    fn spawn_as<F>(&mut self, future: F, meta: Meta) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let mut own = None;
        self.members.insert_announced(|ending| {
            let task = filch_sched::spawn(Announced { future, ending }, meta);
            own = Some(task.abort_handle());
            task
        });
        own.expect("it was spawned")
    }

    /// Takes a task in that was spawned before. Each [`wait`](Self::wait) and [`try_join_next`](Self::try_join_next)
    /// looks at each of those; of those that the set has [spawned](Self::spawn) only at those that have ended.
    pub fn add(&mut self, task: JoinHandle<T>) -> AbortHandle {
        let handle = task.abort_handle();
        self.members.insert(task);
        handle
    }

    /// How many tasks are in it: those that run, and those that are over and were not yet given out.
    pub fn len(&self) -> usize {
        self.members.len() + self.done.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of the tasks in it, in no order.
    pub fn ids(&self) -> impl Iterator<Item = TaskId> {
        self.done.iter().map(|finished| finished.id).chain(self.members.iter().map(JoinHandle::id))
    }

    /// Waits for the next task to end, and takes it out: its output, or why it has none. `None` if the set is empty.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken nothing.
    #[doc(alias = "next")]
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        Some(self.join_next_with_id().await?.1)
    }

    /// As [`join_next`](Self::join_next), with the number of the task.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken nothing.
    pub async fn join_next_with_id(&mut self) -> Option<(TaskId, Result<T, JoinError>)> {
        let Finished { id, result, .. } = poll_fn(|cx| self.poll_next(cx)).await?;
        Some((id, result))
    }

    /// As [`join_next`](Self::join_next), if there is one that is over now.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        if self.done.is_empty() {
            let Self { members, done } = self;
            members.sweep(|finished| done.push_back(finished));
        }
        Some(self.done.pop_front()?.result)
    }

    /// Waits until `Until::All` tasks have ended, the `Until::First`, or, where they yield a `Result`, the
    /// `Until::FirstError`: one that failed or panicked, or all. Gives those that are over then, and how many are
    /// left, which stay in the set. With [`Wait::timeout`] it gives up after a while; that cancels nobody.
    ///
    /// Of an empty set it is ready at once.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken nothing: who is over is given out by the next.
    #[track_caller]
    pub fn wait<C: Condition<T>>(&mut self, until: C) -> Wait<'_, T, C> {
        Wait::new(self, until)
    }

    /// Asks all tasks to end, and waits until they have. What they yield is dropped; a panic is reported.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has asked all of them, and the set has those that are left.
    pub async fn shutdown(&mut self) {
        self.cancel_all();
        self.forget_done();
        while let Some(place) = poll_fn(|cx| self.members.poll_next_to_give(cx)).await {
            // Its handle reports what it has to tell.
            drop(self.members.remove(place));
        }
    }

    /// Asks all tasks to end, as [`JoinHandle::cancel`] does. They stay in the set.
    ///
    /// # Panics
    ///
    /// As that does, when all were asked.
    pub fn cancel_all(&self) {
        self.ask_all().go_on();
    }

    fn ask_all(&self) -> Asking {
        let mut asking = Asking::default();
        for task in self.members.iter() {
            asking.ask(|| task.cancel());
        }
        asking
    }

    /// Has all tasks dropped where they wait, as [`JoinHandle::abort`] does. They stay in the set.
    pub fn abort_all(&self) {
        self.members.iter().for_each(JoinHandle::abort);
    }

    /// Takes all tasks out, and lets them run on.
    pub fn detach_all(&mut self) {
        self.members.drain().for_each(drop);
        self.forget_done();
    }

    /// The tasks as a stream, in the order of their ends.
    pub fn into_stream(self) -> AsCompleted<T> {
        AsCompleted::new(self)
    }

    /// One that is over now, for who has waited until some moment.
    fn next_at_last(&mut self) -> Option<Finished<T>> {
        if self.done.is_empty() {
            let Self { members, done } = self;
            members.sweep_to_give(|finished| done.push_back(finished));
        }
        self.done.pop_front()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Finished<T>>> {
        match self.done.pop_front() {
            Some(finished) => Poll::Ready(Some(finished)),
            None => {
                let next = std::task::ready!(self.members.poll_next_to_give(cx));
                Poll::Ready(next.map(|place| self.members.take(place)))
            }
        }
    }

    /// Drops what a wait has taken and given to nobody.
    fn forget_done(&mut self) {
        for finished in self.done.drain(..) {
            if let Err(error) = finished.result {
                report_panic(error, finished.location);
            }
        }
    }
}

impl<T> Default for TaskSet<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Extend<JoinHandle<T>> for TaskSet<T> {
    fn extend<I: IntoIterator<Item = JoinHandle<T>>>(&mut self, tasks: I) {
        for task in tasks {
            self.members.insert(task);
        }
    }
}

impl<T> FromIterator<JoinHandle<T>> for TaskSet<T> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = JoinHandle<T>>>(tasks: I) -> Self {
        let mut set = Self::new();
        set.extend(tasks);
        set
    }
}

impl<T> Drop for TaskSet<T> {
    fn drop(&mut self) {
        self.ask_all().report(self.members.location());
        self.forget_done();
    }
}

pin_project! {
    /// The future of a task that the set has spawned.
    struct Announced<F> {
        #[pin]
        future: F,
        // Dropped last.
        ending: Ending,
    }
}

impl<F: Future> Future for Announced<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<T> fmt::Debug for TaskSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSet")
            .field("running", &self.members)
            .field("done", &self.done.len())
            .finish()
    }
}
