//! Waiting until some of a set's tasks have ended.

use super::TaskSet;
use filch_sched::task::{JoinError, TaskId};
use filch_sched::timer::{Sleep, sleep, sleep_until};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// When a [`TaskSet::wait`] is over.
#[derive(Debug)]
#[doc(alias = "return_when")]
pub struct Until;

#[allow(non_upper_case_globals, reason = "they are used like the variants of an enum")]
impl Until {
    /// When all tasks have ended.
    #[doc(alias = "ALL_COMPLETED")]
    pub const All: All = All;
    /// When one task has.
    #[doc(alias = "FIRST_COMPLETED")]
    pub const First: First = First;
    /// When one has yielded an `Err`, or panicked, or all have ended. Only for tasks that yield a `Result`. That a
    /// task was cancelled is no failure.
    #[doc(alias = "FIRST_EXCEPTION")]
    pub const FirstError: FirstError = FirstError;
}

/// See [`Until::All`].
#[derive(Debug, Clone, Copy)]
pub struct All;
/// See [`Until::First`].
#[derive(Debug, Clone, Copy)]
pub struct First;
/// See [`Until::FirstError`].
#[derive(Debug, Clone, Copy)]
pub struct FirstError;

/// One of those in [`Until`].
pub trait Condition<T> {
    /// Whether the end of such a task ends the wait, though others run.
    fn is_met(&self, result: &Result<T, JoinError>) -> bool;
}

impl<T> Condition<T> for All {
    fn is_met(&self, _: &Result<T, JoinError>) -> bool {
        false
    }
}

impl<T> Condition<T> for First {
    fn is_met(&self, _: &Result<T, JoinError>) -> bool {
        true
    }
}

impl<V, E> Condition<Result<V, E>> for FirstError {
    fn is_met(&self, result: &Result<Result<V, E>, JoinError>) -> bool {
        match result {
            Ok(result) => result.is_err(),
            Err(error) => !error.is_cancelled(),
        }
    }
}

/// What a [`TaskSet::wait`] came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Waited<T> {
    /// The tasks that are over, in the order of their ends as far as that is known, with what they came to. They are
    /// not in the set any more.
    pub done: Vec<(TaskId, Result<T, JoinError>)>,
    /// How many are left in the set.
    pub pending: usize,
}

/// The future that [`TaskSet::wait`] returns.
#[derive(Debug)]
#[must_use = "it does nothing unless it is awaited"]
pub struct Wait<'a, T, C> {
    set: &'a mut TaskSet<T>,
    until: C,
    time: Option<Sleep>,
    /// How many of those that are done were looked at.
    seen: usize,
    is_met: bool,
}

impl<'a, T, C: Condition<T>> Wait<'a, T, C> {
    pub(super) fn new(set: &'a mut TaskSet<T>, until: C) -> Self {
        Self { set, until, time: None, seen: 0, is_met: false }
    }

    /// Gives up after so long, counted from now, and gives what is done by then.
    #[track_caller]
    pub fn timeout(self, wait: Duration) -> Self {
        Self { time: Some(sleep(wait)), ..self }
    }

    /// Gives up at that moment, and gives what is done by then.
    #[track_caller]
    pub fn timeout_at(self, deadline: impl Into<Instant>) -> Self {
        Self { time: Some(sleep_until(deadline)), ..self }
    }
}

impl<T, C: Condition<T>> Wait<'_, T, C> {
    /// Whether one that is done ends the wait.
    fn look(&mut self) -> bool {
        let mut fresh = self.set.done.iter().skip(self.seen);
        self.is_met |= fresh.any(|finished| self.until.is_met(&finished.result));
        self.seen = self.set.done.len();
        self.is_met
    }
}

impl<T, C: Condition<T> + Unpin> Future for Wait<'_, T, C> {
    type Output = Waited<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited<T>> {
        let this = &mut *self;
        let is_over = loop {
            match this.set.members.poll_next_to_give(cx) {
                Poll::Ready(Some(place)) => {
                    let finished = this.set.members.take(place);
                    this.set.done.push_back(finished);
                }
                Poll::Ready(None) => break true,
                Poll::Pending => break false,
            }
        };
        // Out of budget it has woken itself, whatever is decided now.
        let is_over = is_over || this.look() || {
            this.time.as_mut().is_some_and(|time| Pin::new(time).poll(cx).is_ready())
        };
        if !is_over {
            return Poll::Pending;
        }
        // Whoever has ended by now is done, also if nobody was told yet.
        let TaskSet { members, done } = &mut *this.set;
        members.sweep_to_give(|finished| done.push_back(finished));
        this.seen = 0;
        let done = done.drain(..).map(|finished| (finished.id, finished.result)).collect();
        Poll::Ready(Waited { done, pending: members.len() })
    }
}
