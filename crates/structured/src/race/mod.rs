//! The first of several futures, when the others have ended.

mod arms;

pub use arms::Arms;

use arms::Parts;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Runs several futures at once, in this task, and gives the output of the first that is ready, when the others have
/// ended: a tuple of up to twelve, an array or a `Vec`, all with the same kind of output; [`race_all`] takes an
/// iterator.
///
/// Those that lose are cancelled: the [`cancellable`](filch_sched::scope::cancellable) futures in them end, innermost
/// first, their clean-up runs, what is [shielded](fn@filch_sched::scope::shielded) is waited for, and then they are
/// dropped where they wait. One that has none of these inside is dropped at once. Should it come to its end in
/// spite of that, its output is dropped.
///
/// That goes for what is lent as well (`&mut`): an arm that loses is ended, and asked again it has at best an error to give.
/// `select!` only drops the reference.
///
/// They are polled in order; of two that are ready in the same poll the first wins. A cancel of the task passes
/// through to all of them.
///
/// ```
/// # use filch_sched::{Config, ThreadPark, run, timer::sleep};
/// # use filch_structured::race;
/// # use std::time::Duration;
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let slow = async {
///     sleep(Duration::from_secs(3600)).await;
///     "slow"
/// };
/// let fast = async { "fast" };
/// assert_eq!(race((slow, fast)).await, "fast");
/// # }).unwrap();
/// ```
///
/// # Panics
///
/// If there is nobody to run: of an empty array or `Vec`.
///
/// # Cancel safety
///
/// Dropping it drops all that is in it, as is: it is as cancel safe as that. Clean-up does not run then.
#[doc(alias = "select")]
#[doc(alias = "FIRST_COMPLETED")]
#[doc(alias = "or")]
pub fn race<A: Arms>(arms: A) -> Race<A::Output, A::Parts> {
    Race { parts: arms.into_parts(), won: None, is_over: false }
}

/// As [`race`], of however many futures there are. Each poll asks all of them.
///
/// # Panics
///
/// If there are none.
///
/// # Cancel safety
///
/// As for [`race`].
#[doc(alias = "select_all")]
pub fn race_all<I>(arms: I) -> RaceAll<I::Item>
where
    I: IntoIterator,
    Vec<I::Item>: Arms,
{
    race(arms.into_iter().collect::<Vec<_>>())
}

type RaceAll<F> = Race<<Vec<F> as Arms>::Output, <Vec<F> as Arms>::Parts>;

/// The future that [`race`] and [`race_all`] return.
#[must_use = "it does nothing unless it is awaited"]
// Its parameters are types and no trait's, for the reason that `Gather` gives.
pub struct Race<T, P> {
    /// Pinned with the whole.
    parts: P,
    /// What the winner yielded.
    won: Option<T>,
    is_over: bool,
}

impl<T, P: Parts<Output = T>> Future for Race<T, P> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // SAFETY: `parts` is pinned when the whole is: it is not moved out of the reference got here, there is no
        // `Drop` impl, and the type is not packed. The rest is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let mut parts = unsafe { Pin::new_unchecked(&mut this.parts) };
        assert!(!this.is_over, "a race was polled after it had been ready");
        if this.won.is_none() {
            this.won = Some(ready!(parts.as_mut().poll_first(cx)));
        }
        // A loser that is waited for holds up what is around: nothing cuts us off with the output in hand.
        ready!(parts.poll_end(cx));
        this.is_over = true;
        Poll::Ready(this.won.take().expect("somebody has won"))
    }
}

impl<T, P> fmt::Debug for Race<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race").field("won", &self.won.is_some()).finish_non_exhaustive()
    }
}
