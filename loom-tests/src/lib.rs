//! One loom model per protocol: the models are in `tests/`. Here is what several of them need.
#![cfg(filch_loom)]

mod bench;
pub mod ops;

pub use bench::Bench;

use filch_sched::task::{JoinError, JoinHandle};
use loom::model::Builder;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::{mem, panic};

/// Explores a model to so many preemptions, or as many as the environment says if that is fewer.
pub fn check(most: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.max_branches = 10_000;
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(most).min(most));
    builder.check(model);
}

/// The result of a task that must be over. Its panics, loom's own among them, go on from here.
pub fn result<T>(mut handle: JoinHandle<T>) -> Result<T, JoinError> {
    match Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the task is not over and nobody is left to run it"),
    }
}

/// What a model hands around: `std`'s, which loom neither sees nor orders by.
pub type Handed<T> = Arc<Mutex<Option<T>>>;

/// Takes what was handed there.
pub fn take<T>(place: &Handed<T>) -> Option<T> {
    place.lock().unwrap().take()
}

/// Suspends until the waker that it leaves is woken for the first time.
pub async fn until_woken(place: Handed<Waker>) {
    let mut is_first = true;
    poll_fn(move |cx| {
        if !mem::replace(&mut is_first, false) {
            return Poll::Ready(());
        }
        *place.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}
