//! Asking a future to end at every poll, in place of dropping it.

use crate::drops::Outcome;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The future under test. It keeps its output for the scenario.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a runtime asks a future to end: it puts the future into something that can be cancelled, and [that](Point::around)
/// to the point at which it is.
pub type Asking = fn(Work, Point) -> Work;

/// Where one run asks the future under test to end.
pub struct Point {
    /// Even: before poll `point / 2`. Odd: after that poll, if it returned `Pending`.
    point: u32,
    outcome: Arc<Outcome>,
}

impl Point {
    pub(crate) fn new(point: u32, outcome: Arc<Outcome>) -> Self {
        Self { point, outcome }
    }

    /// Polls `future` to its end, and calls `ask` at this point: then the future is to end soon, and is woken for that.
    pub async fn around<F: Future>(self, future: F, ask: impl FnOnce()) -> F::Output {
        let (mut future, mut ask, mut place) = (pin!(future), Some(ask), 0);
        let output = poll_fn(|cx| {
            let mut ask_at = |place: u32| {
                if place == self.point
                    && let Some(ask) = ask.take()
                {
                    self.outcome.dropped_after(place.div_ceil(2));
                    ask();
                }
            };
            ask_at(place);
            // Relaxed, here and below: they are read when the scenario is over.
            self.outcome.polls.fetch_add(1, Ordering::Relaxed);
            let polled = future.as_mut().poll(cx);
            if polled.is_pending() {
                ask_at(place + 1);
            }
            place += 2;
            polled
        })
        .await;
        self.outcome.completed.store(ask.is_some(), Ordering::Relaxed);
        output
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Point").field("point", &self.point).finish_non_exhaustive()
    }
}
