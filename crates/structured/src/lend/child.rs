//! A child: a task that tells its scope when it is over.

use super::state::Shared;
use filch_sched::scope::Cancelled;
use filch_sched::task::JoinHandle;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pin_project! {
    /// What the task of a child runs. Yields nothing if the child panicked.
    pub(super) struct Child<F, E> {
        // Has a share in what is lent, and is dropped first.
        #[pin]
        running: Option<F>,
        place: Place<E>,
    }

    impl<F, E> PinnedDrop for Child<F, E> {
        /// One that is cut: the panic of a destructor is the scope's, as long as the place is taken.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.place.shared.end(this.running);
        }
    }
}

/// A child's place in its scope. Given up when all of the child is dropped, wherever that happens.
pub(super) struct Place<E> {
    pub(super) shared: Arc<Shared<E>>,
    pub(super) number: usize,
}

impl<E> Drop for Place<E> {
    fn drop(&mut self) {
        self.shared.leave(self.number);
    }
}

impl<F, E> Child<F, E> {
    pub(super) fn new(future: F, place: Place<E>) -> Self {
        Self { running: Some(future), place }
    }
}

impl<F: Future, E> Future for Child<F, E> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.place.shared.poll_part(this.running, cx)
    }
}

/// The output to come of a child of a [`scope_with`](super::scope_with()): a future of `Result<T, Cancelled>`.
/// Dropping it ends nothing.
///
/// There is no output if the child was cancelled. Nor if it panicked; but then the scope is about to panic, and
/// whoever waits in it is cancelled.
///
/// # Cancel safety
///
/// Awaiting `&mut handle` is cancel safe: the output stays until it is taken.
///
/// # Panics
///
/// Polling it again after it was ready panics.
pub struct EnvHandle<T>(State<T>);

enum State<T> {
    Spawned(JoinHandle<Option<T>>),
    /// The scope was over.
    Refused,
    /// It was, and has said so.
    Over,
}

impl<T> EnvHandle<T> {
    /// Of a child; `None` if the scope was over.
    pub(super) fn new(task: Option<JoinHandle<Option<T>>>) -> Self {
        Self(task.map_or(State::Refused, State::Spawned))
    }

    /// Asks the child to end. See [`JoinHandle::cancel`]. Its scope goes on.
    pub fn cancel(&self) {
        if let State::Spawned(task) = &self.0 {
            task.cancel();
        }
    }

    /// Whether the child is over: awaiting the handle does not wait.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            State::Spawned(task) => task.is_finished(),
            State::Refused | State::Over => true,
        }
    }
}

impl<T> Future for EnvHandle<T> {
    type Output = Result<T, Cancelled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Spawned(task) => {
                // A task of this kind does not panic: what does so in it is the scope's.
                let output = ready!(Pin::new(task).poll(cx)).ok().flatten();
                Poll::Ready(output.ok_or_else(Cancelled::new))
            }
            State::Refused => {
                self.0 = State::Over;
                Poll::Ready(Err(Cancelled::new()))
            }
            State::Over => panic!("an EnvHandle was polled after it had been ready"),
        }
    }
}

impl<T> fmt::Debug for EnvHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvHandle").field("finished", &self.is_finished()).finish()
    }
}
