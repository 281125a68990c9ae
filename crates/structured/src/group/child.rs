//! A child: the future of its task, around the user's.

use super::BoxError;
use super::context;
use super::core::{Core, Leave, Place};
use super::error::{Cause, Failure};
use filch_atomic::panics::{self, Payload, caught};
use filch_atomic::scope;
use filch_atomic::sync::Arc;
use filch_sched::task;
use pin_project_lite::pin_project;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How the output of a child's future is to be taken.
pub(super) trait Ending<O> {
    type Value;

    /// The value, or why there is none; or, if it was merely cancelled, nothing.
    fn of(output: O) -> Result<Self::Value, Option<Cause>>;
}

/// It is a result.
#[derive(Debug)]
pub(super) struct Fallible;

impl<T, E: Into<BoxError> + 'static> Ending<Result<T, E>> for Fallible {
    type Value = T;

    fn of(output: Result<T, E>) -> Result<T, Option<Cause>> {
        output.map_err(Cause::of)
    }
}

/// It is the value.
#[derive(Debug)]
pub(super) struct Infallible;

impl<T> Ending<T> for Infallible {
    type Value = T;

    fn of(output: T) -> Result<T, Option<Cause>> {
        Ok(output)
    }
}

pin_project! {
    /// Ready with the value; with `None` if there is none.
    pub(super) struct Child<F, K> {
        // In the group until it is dropped.
        #[pin]
        future: Option<F>,
        core: Arc<Core>,
        place: Place,
        ending: PhantomData<fn() -> K>,
    }

    impl<F, K> PinnedDrop for Child<F, K> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !matches!(this.place, Place::Left) {
                cut(this.core, this.future, this.place);
            }
        }
    }
}

impl<F, K> Child<F, K> {
    /// A child that [has entered](Core::enter).
    pub(super) fn new(future: F, core: Arc<Core>, place: Place) -> Self {
        Self { future: Some(future), core, place, ending: PhantomData }
    }
}

impl<F, K> Future for Child<F, K>
where
    F: Future,
    K: Ending<F::Output>,
{
    type Output = Option<K::Value>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Place::Waiting(number) = *this.place {
            match this.core.begin(number, cx.waker()) {
                Leave::Run => *this.place = Place::New,
                Leave::Wait => return Poll::Pending,
                Leave::End => {
                    cut(this.core, this.future, this.place);
                    return Poll::Ready(None);
                }
            }
        }
        let is_new = matches!(this.place, Place::New);
        let is_first = is_new && !this.core.is_ending();
        if is_new && !is_first {
            // ENDING stays: this cancels it.
            *this.place = this.core.list();
            if scope::with_current(|scope| scope.is_none()) {
                // What begins in this poll would be in no scope, and so not know of it (CANCEL-10). There is
                // one more.
                return Poll::Pending;
            }
        }
        let poll = || {
            let future = this.future.as_mut().as_pin_mut();
            let polled = future.expect("a child was polled after it had been ready").poll(cx);
            polled.map(|output| {
                let ended = K::of(panics::ended(output, || this.future.set(None)));
                // Else it would be dropped after the group is over. (If its handle goes just now, it may be.)
                if ended.is_err() || task::is_awaited() { ended.map(Some) } else { Ok(None) }
            })
        };
        let polled = if is_first {
            // Most children come to their end in this poll, and are never listed.
            let (polled, place) = context::enter_first(this.core, || caught(poll));
            match (place, &polled) {
                (Some(place), _) => *this.place = place,
                (None, Ok(Poll::Pending)) => *this.place = this.core.list(),
                (None, _) => {}
            }
            polled
        } else {
            inside(this.core, poll)
        };
        let value = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(value))) => value,
            Ok(Poll::Ready(Err(cause))) => {
                match cause {
                    Some(cause) => this.core.fail(Failure::of(task::meta(), cause)),
                    None => this.core.was_cut(),
                }
                None
            }
            Err(payload) => {
                this.core.panicked(task::meta(), payload);
                end(this.core, this.future);
                None
            }
        };
        this.core.leave(mem::replace(this.place, Place::Left));
        Poll::Ready(value)
    }
}

/// Runs code of the group's.
fn inside<R>(core: &Arc<Core>, run: impl FnOnce() -> R) -> Result<R, Payload> {
    context::enter(core, || caught(run))
}

/// Drops the future.
fn end<F>(core: &Arc<Core>, mut future: Pin<&mut Option<F>>) {
    if let Err(payload) = inside(core, || future.set(None)) {
        core.panicked(task::meta(), payload);
    }
}

/// Ends a child that has not come to its end.
fn cut<F>(core: &Arc<Core>, future: Pin<&mut Option<F>>, place: &mut Place) {
    end(core, future);
    core.was_cut();
    core.leave(mem::replace(place, Place::Left));
}
