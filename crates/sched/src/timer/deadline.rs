//! A timeout whose end can be looked at and put off while it runs.

use super::instant::Instant as Moment;
use super::sleep::{Sleep, sleep, sleep_until};
use super::timeout::{Elapsed, Time, poll_within};
use crate::scope::Part;
use filch_atomic::WakerCell;
use filch_atomic::scope::Ends;
use filch_atomic::sync::{Arc, Mutex};
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// As [`timeout`](fn@super::timeout), of code that is given the [`Deadline`]: it can look at it, and put it off.
///
/// ```
/// use filch_sched::timer::{Instant, sleep, timeout_scope};
/// use std::time::Duration;
/// # use filch_sched::{Config, ThreadPark, run};
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let mut parts = 0;
/// let done = timeout_scope(Duration::from_millis(500), async |deadline| {
///     for _ in 0..3 {
///         sleep(Duration::from_millis(1)).await;
///         parts += 1;
///         // There is progress: so long for the next part, too.
///         deadline.reschedule(Instant::now() + Duration::from_millis(500));
///     }
///     deadline.reschedule(None);
///     "done, however long it took"
/// });
/// assert_eq!(done.await, Ok("done, however long it took"));
/// # assert_eq!(parts, 3);
/// # }).unwrap();
/// ```
///
/// Here `wait` is counted from now, so that the deadline is known. It costs an allocation more than a `timeout`.
///
/// # Panics
///
/// When it has to wait and is polled on a thread without a runtime.
///
/// # Cancel safety
///
/// As for [`timeout`](fn@super::timeout).
#[track_caller]
#[doc(alias = "CancelScope")]
#[doc(alias = "move_on_after")]
pub fn timeout_scope<B, F>(wait: Duration, body: B) -> TimeoutScope<F>
where
    B: FnOnce(Deadline) -> F,
    F: Future,
{
    TimeoutScope::new(Some(sleep(wait)), Location::caller(), body)
}

/// As [`timeout_scope`], until `deadline` at the latest; with `None` until one is set.
///
/// # Panics
///
/// When it has to wait and is polled on a thread without a runtime.
///
/// # Cancel safety
///
/// As for [`timeout`](fn@super::timeout).
#[track_caller]
#[doc(alias = "move_on_at")]
pub fn timeout_scope_at<B, F>(deadline: impl Into<Option<Instant>>, body: B) -> TimeoutScope<F>
where
    B: FnOnce(Deadline) -> F,
    F: Future,
{
    TimeoutScope::new(deadline.into().map(sleep_until), Location::caller(), body)
}

/// The future that [`timeout_scope`] and [`timeout_scope_at`] return.
#[derive(Debug)]
#[must_use = "a timeout does nothing unless it is awaited"]
pub struct TimeoutScope<F> {
    time: Moving,
    /// Pinned with the whole.
    part: Part<F>,
}

impl<F> TimeoutScope<F> {
    fn new(
        sleep: Option<Sleep>,
        location: &'static Location<'static>,
        body: impl FnOnce(Deadline) -> F,
    ) -> Self {
        let deadline = Deadline::new(sleep.as_ref().map(Sleep::until));
        let part = Part::new(body(deadline.clone()));
        Self { time: Moving { deadline, sleep, is_finished: false, location }, part }
    }
}

impl<F: Future> Future for TimeoutScope<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `part` is pinned when the whole is: it is not moved out of the reference got here, there is no
        // `Drop` impl of the whole, and the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let polled = poll_within(unsafe { Pin::new_unchecked(&mut this.part) }, &mut this.time, cx);
        if polled.is_ready() {
            this.time.finish();
        }
        polled
    }
}

/// When a [`timeout_scope`] ends. Cheap to clone, and good anywhere: whoever sees progress may put the end off.
#[derive(Clone)]
#[doc(alias = "Timeout")]
pub struct Deadline(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Whoever polls the timeout: to be woken when the deadline is another.
    waker: WakerCell,
}

#[derive(Debug, Clone, Copy)]
struct State {
    when: Option<Instant>,
    stage: Stage,
}

/// Only ever from the first to one of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// The time was over, and the scope is ended, or going to be.
    Expired,
    /// The scope came to its end by itself, or was dropped.
    Finished,
}

impl Deadline {
    fn new(when: Option<Instant>) -> Self {
        let state = Mutex::new(State { when, stage: Stage::Running });
        Self(Arc::new(Shared { state, waker: WakerCell::new() }))
    }

    /// When the time is over. `None` if there is no limit.
    pub fn when(&self) -> Option<Moment> {
        self.0.state.lock().when.map(Moment::from)
    }

    /// Whether the time is over and the scope is ended for that: though what is in it still cleans up, and also if
    /// it comes to its end in spite of that, or another timeout around it ends at the same moment.
    pub fn expired(&self) -> bool {
        self.0.state.lock().stage == Stage::Expired
    }

    /// Sets another deadline, earlier or later; `None` for no limit. A deadline that has passed takes effect when
    /// the code inside next waits.
    ///
    /// False if it is too late, and nothing is changed: the time is over already, or the scope is.
    pub fn reschedule(&self, deadline: impl Into<Option<Instant>>) -> bool {
        let when = deadline.into();
        {
            let mut state = self.0.state.lock();
            if state.stage != Stage::Running {
                return false;
            }
            state.when = when;
        }
        // After the change, and under no lock (D8): whoever polls registers first and then looks.
        self.0.waker.wake();
        true
    }

    /// Has it expired, if its moment is not after this one and the scope still runs.
    fn expire_by(&self, moment: Instant) -> bool {
        let mut state = self.0.state.lock();
        if state.stage == Stage::Running && state.when.is_some_and(|when| when <= moment) {
            state.stage = Stage::Expired;
        }
        state.stage == Stage::Expired
    }

    fn finish(&self) {
        let mut state = self.0.state.lock();
        if state.stage == Stage::Running {
            state.stage = Stage::Finished;
        }
        drop(state);
        // Its task need not be kept by whoever keeps this.
        drop(self.0.waker.take());
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { when, stage } = *self.0.state.lock();
        f.debug_struct("Deadline").field("when", &when).field("stage", &stage).finish()
    }
}

/// The time of a [`timeout_scope`]: a sleep that follows the deadline.
#[derive(Debug)]
pub(super) struct Moving {
    deadline: Deadline,
    /// None while there is no limit.
    sleep: Option<Sleep>,
    is_finished: bool,
    location: &'static Location<'static>,
}

impl Moving {
    /// It is not counted any more.
    fn finish(&mut self) {
        if !mem::replace(&mut self.is_finished, true) {
            self.deadline.finish();
        }
    }
}

impl Time for Moving {
    fn poll_over(&mut self, _: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // First, then the look: a change that this look misses wakes.
            self.deadline.0.waker.register(cx.waker());
            let State { when, stage } = *self.deadline.0.state.lock();
            if stage == Stage::Expired {
                return Poll::Ready(());
            }
            let Some(when) = when else {
                self.sleep = None;
                return Poll::Pending;
            };
            let sleep = match &mut self.sleep {
                Some(sleep) if sleep.until() == when => sleep,
                Some(sleep) => {
                    sleep.reset(when);
                    sleep
                }
                none => none.insert(Sleep::of_deadline(when, self.location)),
            };
            ready!(sleep.poll_elapsed(cx));
            // Unless it was put off meanwhile: the one who is first under the lock decides.
            if self.deadline.expire_by(when) {
                return Poll::Ready(());
            }
        }
    }

    fn deadline(&self, _: Option<Instant>) -> Option<Instant> {
        self.deadline.0.state.lock().when
    }

    fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl Ends for Moving {
    fn ends_by(&self, _: Option<Instant>, moment: Instant) -> bool {
        self.deadline.expire_by(moment)
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.finish();
    }
}
