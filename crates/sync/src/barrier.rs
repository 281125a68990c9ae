//! A place where a number of tasks wait for each other.

use filch_atomic::current::{self, WaitKind};
use filch_atomic::sync::{Mutex, MutexGuard};
use pin_project_lite::pin_project;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::blocking::block_on;
use crate::wait_list::{Left, Site, WaitList, Waiter, WakeBatch, wake_batches};

/// Lets a number of tasks go on together, when all of them have come; again and again.
///
/// Those who pass together are a *generation*. Each of them gets an index of its own, from 0, in the order
/// in which they came, so that one of them can be told to do what only one has to do. The rules are
/// `BARRIER-1` to `BARRIER-9` of `docs/semantics.md`.
///
/// ```
/// use filch_sync::Barrier;
/// use std::thread;
///
/// let barrier = Barrier::new(3);
/// let mut indices: Vec<_> = thread::scope(|scope| {
///     let parties = [(); 3].map(|()| scope.spawn(|| barrier.blocking_wait().unwrap()));
///     parties.into_iter().map(|party| party.join().unwrap()).collect()
/// });
/// indices.sort();
/// assert_eq!(indices, [0, 1, 2]);
/// ```
///
/// # Fairness
///
/// While a generation leaves, newcomers wait outside; they arrive in the order in which they came.
///
/// # Cost
///
/// A short internal lock to arrive and another to leave. The arrival that completes a generation notes
/// each index under the lock and then wakes the others, 32 at a time with the lock released. No
/// allocation.
///
/// # Deadlocks
///
/// A generation has left when each of its waits was polled to its end, or dropped. One that is kept
/// without being polled (in a `select!` arm that was left, say, or leaked) keeps the next generation
/// from forming.
///
/// # How it works
///
/// One list holds those who wait, oldest first. While nobody is `leaving` they have all arrived; while
/// somebody is, they are outside. When a generation is complete, or fails, each of its waits is given its
/// verdict, all of them in one step under the lock, and counts as leaving from then on: what happens later
/// does not change it. Those with a verdict are the oldest in the list, and are released from there.
#[doc(alias = "asyncio.Barrier")]
#[doc(alias = "CyclicBarrier")]
pub struct Barrier {
    parties: usize,
    state: Mutex<State>,
}

struct State {
    /// First those who have their verdict and are about to be released, then those who wait for it.
    line: WaitList<Option<Verdict>>,
    /// How many in the line wait for their verdict.
    waiting: usize,
    /// How many have a verdict and have not picked it up, as far as they are counted.
    leaving: usize,
    broken: bool,
}

/// How a wait ends.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    outcome: Result<usize, BrokenBarrier>,
    /// It is one of those who are leaving.
    counted: bool,
}

/// The outcome of a wait at a [`Barrier`] that was reset or aborted.
#[doc(alias = "BrokenBarrierError")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BrokenBarrier;

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier was reset or aborted")
    }
}

impl Error for BrokenBarrier {}

impl Barrier {
    const_unless_modelled! {
        /// A barrier that `parties` pass together.
        ///
        /// # Panics
        ///
        /// If `parties` is 0.
        pub fn new(parties: usize) -> Self {
            assert!(parties > 0, "a barrier has at least one party");
            let state = State { line: WaitList::new(), waiting: 0, leaving: 0, broken: false };
            Self { parties, state: Mutex::new(state) }
        }
    }

    /// Waits until all parties have come. The last to come does not suspend. The outcome is the index of
    /// this arrival in its generation.
    ///
    /// # Errors
    ///
    /// If the barrier is [`reset`](Self::reset) or [`abort`](Self::abort)ed before all have come, or is
    /// broken already.
    ///
    /// # Cancel safety
    ///
    /// An arrival that is dropped before all have come is un-counted; the barrier is not broken by it, and
    /// waits for another in its place. Dropped later, it has been one of those who passed, and nobody
    /// learns its index.
    #[track_caller]
    pub fn wait(&self) -> BarrierWait<'_> {
        BarrierWait { barrier: self, waiter: Waiter::new(), site: Site::here(WaitKind::Other) }
    }

    /// Waits as [`wait`](Self::wait) does, on a thread that runs no async code.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// In a task of filch, whose worker it would hold up.
    #[track_caller]
    pub fn blocking_wait(&self) -> Result<usize, BrokenBarrier> {
        block_on(self.wait())
    }

    /// Starts anew: fails those who have arrived, and mends a barrier that was broken. Those who wait
    /// outside are not harmed, and arrive when the ones that failed have left. A generation that is
    /// complete has passed.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        state.broken = false;
        if state.leaving == 0 {
            let all = state.waiting;
            state.decide(all, |_| Err(BrokenBarrier));
        }
        self.release(state);
    }

    /// Breaks it: fails everybody who waits, inside or outside, and every wait from now on, until it is
    /// [`reset`](Self::reset). A generation that is complete has passed.
    pub fn abort(&self) {
        let mut state = self.state.lock();
        state.broken = true;
        let all = state.waiting;
        state.decide(all, |_| Err(BrokenBarrier));
        self.release(state);
    }

    /// Whether it is broken: was aborted and not reset since.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        self.state.lock().broken
    }

    /// How many it takes to pass.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many have arrived and wait for the others. None while a generation leaves.
    pub fn n_waiting(&self) -> usize {
        let state = self.state.lock();
        if state.leaving == 0 { state.waiting } else { 0 }
    }

    /// One of those who are leaving has left.
    fn leave(&self) {
        let mut state = self.state.lock();
        state.leaving -= 1;
        if state.leaving == 0 && state.waiting >= self.parties {
            // Enough have come meanwhile.
            state.decide(self.parties, Ok);
        }
        self.release(state);
    }

    /// Releases those who have their verdict.
    fn release(&self, state: MutexGuard<'_, State>) {
        if state.has_released() {
            wake_batches(&self.state, state, State::release);
        }
    }
}

impl State {
    /// Somebody comes, and may find that it need not wait.
    fn arrive(&mut self, parties: usize) -> Option<Verdict> {
        if self.broken {
            return Some(Verdict { outcome: Err(BrokenBarrier), counted: false });
        }
        if self.leaving > 0 || self.waiting + 1 < parties {
            return None;
        }
        self.decide(parties - 1, Ok);
        // One who goes on at once is gone before anybody can come.
        let counted = !current::has_budget();
        self.leaving += usize::from(counted);
        Some(Verdict { outcome: Ok(parties - 1), counted })
    }

    /// Gives the first `count` of those who wait their verdict.
    fn decide(&mut self, count: usize, outcome: impl Fn(usize) -> Result<usize, BrokenBarrier>) {
        let mut decided = 0;
        self.line.for_each_mut(|verdict| {
            if verdict.is_none() && decided < count {
                *verdict = Some(Verdict { outcome: outcome(decided), counted: true });
                decided += 1;
            }
        });
        self.waiting -= decided;
        self.leaving += decided;
    }

    fn has_released(&self) -> bool {
        self.line.front().is_some_and(Option::is_some)
    }

    fn release(&mut self, batch: &mut WakeBatch) {
        while !batch.is_full() && self.has_released() {
            batch.extend(self.line.pop_front());
        }
    }
}

pin_project! {
    /// The future of [`Barrier::wait`].
    #[must_use = "nobody arrives at a barrier unless this is awaited"]
    pub struct BarrierWait<'a> {
        barrier: &'a Barrier,
        #[pin]
        waiter: Waiter<Option<Verdict>>,
        site: Site,
    }

    impl PinnedDrop for BarrierWait<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.waiter.is_idle() {
                return;
            }
            let mut state = this.barrier.state.lock();
            let left = state.line.remove(this.waiter);
            if let Left::Queued(None, _) = left {
                state.waiting -= 1;
            }
            drop(state);
            if let Left::Queued(Some(verdict), _) | Left::Released(Some(verdict)) = left
                && verdict.counted
            {
                this.barrier.leave();
            }
        }
    }
}

impl Future for BarrierWait<'_> {
    type Output = Result<usize, BrokenBarrier>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let barrier = *this.barrier;
        let polled = if this.waiter.is_idle() {
            // Cloned outside the lock (D8), and most likely needed: only one of them all does not wait.
            let waker = cx.waker().clone();
            let mut state = barrier.state.lock();
            let Some(verdict) = state.arrive(barrier.parties) else {
                state.line.push_back(this.waiter, None, waker);
                state.waiting += 1;
                drop(state);
                this.site.note(barrier);
                return Poll::Pending;
            };
            // Asked before the others are woken: that may run anything, and use up the rest.
            let goes_on = current::has_budget() && current::poll_proceed(cx).is_ready();
            // In the waiter already, should one of the wakers panic.
            this.waiter.as_mut().set_released(Some(verdict));
            barrier.release(state);
            match goes_on {
                true => Poll::Ready(this.waiter.take_released().expect("it was just put there")),
                false => this.waiter.poll_released(cx),
            }
        } else {
            let note = || this.site.note(barrier);
            this.waiter.poll_place(cx, &barrier.state, |state| &mut state.line, note)
        };
        let verdict = ready!(polled).expect("who is released has a verdict");
        if verdict.counted {
            barrier.leave();
        }
        Poll::Ready(verdict.outcome)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("n_waiting", &self.n_waiting())
            .field("broken", &self.is_broken())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BarrierWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BarrierWait").field(&self.waiter).finish()
    }
}
