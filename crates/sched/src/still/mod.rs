#![doc = include_str!("README.md")]

mod block;
#[cfg(not(filch_loom))]
mod calls;
mod outside;
#[cfg(not(filch_loom))]
mod park;
mod settle;

pub use block::block;
#[cfg(not(filch_loom))]
pub use calls::{NotVirtual, advance, settle};
pub use outside::Outside;
#[cfg(not(filch_loom))]
pub(crate) use park::park;
pub use settle::Settled;

use crate::clock::{ManualClock, TimeSource};
use filch_atomic::sync::Mutex;
use settle::Settling;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// So long nothing has to come from a ring with something in flight.
const QUIET: Duration = Duration::from_millis(1);
/// The same, if one of the operations comes to its end by itself.
const QUIET_TO_THE_END: Duration = Duration::from_secs(1);

/// What is in flight in a worker's park.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum InFlight {
    /// Nothing: it ends only if somebody unparks it.
    #[default]
    Nothing,
    /// Something that may come, and may never.
    MayCome,
    /// Something that comes to its end by itself: a write to a file, say.
    Ends,
}

/// Where the workers say that they have nothing to do. See the [essay](self).
#[derive(Debug)]
pub struct Stillness {
    state: Mutex<State>,
    /// What moves the clock, if that is a virtual one.
    hand: Option<Arc<ManualClock>>,
}

#[derive(Debug)]
struct State {
    workers: Box<[Standing]>,
    /// How many threads outside run a future, or were woken to. Never below zero.
    outside: usize,
    settling: Settling,
    quiet: Option<Quiet>,
    jumps: u64,
}

/// While something is in flight and nothing comes of it.
#[derive(Debug, Clone, Copy)]
struct Quiet {
    /// So much work has been done, and no more since.
    work: u64,
    since: Instant,
    /// It has lasted, and every worker was then told to look into its ring.
    is_checked: bool,
}

/// How a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Up,
    Owed,
    Still(InFlight),
}

/// What the decider looks at.
pub trait Scene {
    /// Whether a closure runs, or anything is queued.
    fn is_busy(&self) -> bool;

    /// A number that changes with each poll and each completion.
    fn work(&self) -> u64;

    /// The earliest deadline of all timers.
    fn next_deadline(&self) -> Option<Instant>;

    /// Whether that worker has timers that are due at `now`.
    fn is_due(&self, worker: usize, now: Instant) -> bool;
}

/// The workers whose stillness it is, as other threads know them.
pub trait Workers: fmt::Debug + Send + Sync + 'static {
    /// Where they say that they have nothing to do, if that has to be noticed.
    fn stillness(&self) -> Option<&Arc<Stillness>>;

    /// Says that a worker is about to be unparked ([`Stillness::unparks`]), and unparks it.
    fn unpark(&self, worker: usize);

    /// Whether this thread is one of them.
    fn are_here(&self) -> bool;
}

/// What a worker that has nothing to do is to do.
#[derive(Debug)]
pub enum Rest {
    /// Park, until that moment of real time at the longest.
    Park(Option<Instant>),
    /// Look what is in flight, and rest with that. It is up.
    Look,
    /// Unpark these, wake those, and look again. It is up.
    Again {
        /// Workers that are up from now on.
        unpark: Vec<usize>,
        /// Those who waited for the stillness.
        wake: Vec<Waker>,
    },
}

impl Rest {
    const AGAIN: Self = Self::Again { unpark: Vec::new(), wake: Vec::new() };
}

impl Stillness {
    /// For as many workers, which are up. `hand` is what moves the clock, if it is a virtual one.
    pub fn new(workers: usize, hand: Option<Arc<ManualClock>>) -> Self {
        let state = State {
            workers: vec![Standing::Up; workers].into(),
            outside: 0,
            settling: Settling::default(),
            quiet: None,
            jumps: 0,
        };
        Self { state: Mutex::new(state), hand }
    }

    /// Whether it moves the clock.
    pub fn is_virtual(&self) -> bool {
        self.hand.is_some()
    }

    /// How often the clock has jumped.
    pub fn jumps(&self) -> u64 {
        self.state.lock().jumps
    }

    /// `worker` found nothing to do and is about to park. `now` is real time. In real time one who has not looked what is
    /// in flight may say so: it has to, if anybody waits for the stillness by now. Whoever begins to from then on unparks
    /// worker 0, which is the only one there.
    pub fn rest(
        &self,
        worker: usize,
        flight: impl Into<Option<InFlight>>,
        now: Instant,
        scene: &impl Scene,
    ) -> Rest {
        let flight = flight.into();
        let mut state = self.state.lock();
        let state = &mut *state;
        if std::mem::replace(&mut state.workers[worker], Standing::Up) == Standing::Owed {
            return Rest::AGAIN;
        }
        let is_wanted = state.is_asked() || self.hand.is_some();
        // Under the lock, or somebody who asks just now would be told of a stillness that nobody has looked for.
        let Some(flight) = flight.or((!is_wanted).then_some(InFlight::Nothing)) else {
            return Rest::Look;
        };
        state.workers[worker] = Standing::Still(flight);
        let Some(flight) = state.all_still() else { return Rest::Park(None) };
        // What lies beyond the reach of the clock never comes.
        let jump = self.hand.as_ref().and_then(|hand| {
            Some((hand, scene.next_deadline().filter(|next| hand.reaches(*next))?))
        });
        if !state.is_asked() && jump.is_none() {
            // Nobody wants to know (S4). Whoever does so from now on is up, or unparks somebody.
            return Rest::Park(None);
        }
        // Whoever has timers that are due is not through yet: a clock that is moved by hand, or the real one, has gone on
        // since it looked, or there are more than are fired at a time.
        let present = self.hand.as_ref().map_or(now, |hand| hand.now());
        let unpark = state.raise_the_due(worker, present, scene);
        if state.workers[worker] == Standing::Up || !unpark.is_empty() {
            state.workers[worker] = Standing::Up;
            return Rest::Again { unpark, wake: Vec::new() };
        }
        if scene.is_busy() {
            return Rest::Park(Some(now + QUIET));
        }
        if flight > InFlight::Nothing {
            let long = if flight == InFlight::Ends { QUIET_TO_THE_END } else { QUIET };
            let work = scene.work();
            let is_checked = false;
            let quiet = match &mut state.quiet {
                Some(quiet) if quiet.work == work => quiet,
                other => other.insert(Quiet { work, since: now, is_checked }),
            };
            if now < quiet.since + long {
                return Rest::Park(Some(quiet.since + long));
            }
            if !quiet.is_checked {
                quiet.is_checked = true;
                let others = (0..state.workers.len()).filter(|other| *other != worker).collect();
                // Owed: one that has left its ring, and has not said so yet, has to look into it again.
                state.workers.fill(Standing::Owed);
                state.workers[worker] = Standing::Up;
                return Rest::Again { unpark: others, wake: Vec::new() };
            }
        }
        state.quiet = None;
        if let Some(wake) = state.settling.release() {
            state.workers[worker] = Standing::Up;
            return Rest::Again { unpark: Vec::new(), wake };
        }
        let Some((hand, next)) = jump else { return Rest::Park(None) };
        hand.advance(next.saturating_duration_since(hand.now()));
        state.jumps += 1;
        let unpark = state.raise_the_due(worker, hand.now(), scene);
        state.workers[worker] = Standing::Up;
        Rest::Again { unpark, wake: Vec::new() }
    }

    /// `worker` has left its park.
    pub fn rises(&self, worker: usize) {
        let standing = &mut self.state.lock().workers[worker];
        if let Standing::Still(_) = *standing {
            *standing = Standing::Up;
        }
    }

    /// `worker` is about to be unparked.
    pub fn unparks(&self, worker: usize) {
        let mut state = self.state.lock();
        // What it is for may be new in flight, and has its own time to come.
        state.quiet = None;
        let standing = &mut state.workers[worker];
        *standing = match *standing {
            Standing::Still(_) => Standing::Up,
            Standing::Up | Standing::Owed => Standing::Owed,
        };
    }

    /// Moves a virtual clock on, whatever runs. False if there is none.
    pub fn advance(&self, step: Duration) -> bool {
        // Under the lock: a jump goes to a moment that it has read, and not beyond.
        let _state = self.state.lock();
        self.hand.as_ref().map(|hand| hand.advance(step)).is_some()
    }
}

impl State {
    /// Whether anybody waits for the stillness.
    fn is_asked(&self) -> bool {
        !self.settling.is_empty()
    }

    /// Has everybody up who has timers that are due at `now`. Gives those that are to be unparked for it, which `worker`
    /// is not.
    fn raise_the_due(&mut self, worker: usize, now: Instant, scene: &impl Scene) -> Vec<usize> {
        let mut unpark = Vec::new();
        for other in 0..self.workers.len() {
            if scene.is_due(other, now) {
                self.workers[other] = Standing::Up;
                if other != worker {
                    unpark.push(other);
                }
            }
        }
        unpark
    }

    /// What is in flight, if nobody runs.
    fn all_still(&self) -> Option<InFlight> {
        if self.outside > 0 {
            return None;
        }
        self.workers.iter().try_fold(InFlight::Nothing, |most, standing| match standing {
            Standing::Still(flight) => Some(most.max(*flight)),
            Standing::Up | Standing::Owed => None,
        })
    }
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests;
