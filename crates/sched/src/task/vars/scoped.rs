//! A future with a value of its own for a variable.

use super::context::{Context, Value};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// The future that [`ContextVar::scope`](super::ContextVar::scope) returns.
#[must_use = "it does nothing unless it is awaited"]
pub struct Scoped<F> {
    /// Pinned with the whole. `None` once it is over.
    future: Option<F>,
    inside: Inside,
}

/// The value in there, and the context that is made of it and what is around.
struct Inside {
    variable: usize,
    value: Option<Value>,
    /// The context around at the last poll, and that with the value: mostly it is the same again.
    made: Option<(Option<Context>, Option<Context>)>,
}

impl<F> Scoped<F> {
    pub(super) fn new(variable: usize, value: Value, future: F) -> Self {
        Self { future: Some(future), inside: Inside { variable, value: Some(value), made: None } }
    }
}

impl Inside {
    /// Runs `f` with the value in place.
    fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a mut Inside);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.leave();
            }
        }
        let around = Context::here();
        match &self.made {
            Some((before, _)) if Context::is_same(before.as_ref(), around.as_ref()) => {}
            _ => {
                let inside = Context::with(around.as_ref(), self.variable, self.value.clone());
                self.made = Some((around, inside));
            }
        }
        let inside = self.made.as_ref().and_then(|(_, inside)| inside.clone());
        drop(Context::exchange(inside));
        let _leave = Leave(self);
        f()
    }

    /// Puts what is around back in its place, with what was set in there but for the variable.
    fn leave(&mut self) {
        let Some((around, inside)) = &self.made else { unreachable!("it was made to enter") };
        let now = Context::here();
        if Context::is_same(now.as_ref(), inside.as_ref()) {
            drop(Context::exchange(around.clone()));
            return;
        }
        let get = |context: Option<&Context>| {
            context.and_then(|context| context.get(self.variable).cloned())
        };
        let next = Context::with(now.as_ref(), self.variable, get(around.as_ref()));
        let value = get(now.as_ref());
        drop(Context::exchange(next));
        // The values that go here are the user's, and their destructors may ask for any variable.
        let former = (self.made.take(), std::mem::replace(&mut self.value, value));
        drop((now, former));
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned when the whole is: it is never moved out of the reference got here, and
        // dropped in place, also in `Drop`; the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        let future = &mut this.future;
        this.inside.enter(|| {
            let running = future.as_mut().expect("it was polled after it had been ready");
            // SAFETY: as above.
            let polled = unsafe { Pin::new_unchecked(running) }.poll(cx);
            if polled.is_ready() {
                *future = None;
            }
            polled
        })
    }
}

impl<F> Drop for Scoped<F> {
    fn drop(&mut self) {
        let future = &mut self.future;
        if future.is_some() {
            // Its destructors see the value.
            self.inside.enter(|| *future = None);
        }
    }
}

impl<F> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").finish_non_exhaustive()
    }
}
