//! One worker's timers, shared with everybody who holds a sleep of theirs.
//!
#![doc = include_str!("README.md")]

use super::wheel::{Gone, Key, LAST_TICK, Wheel};
use crate::clock::Clock;
use filch_atomic::panics::Panics;
use filch_atomic::sync::atomic::{AtomicU64, Ordering};
use filch_atomic::sync::{Arc, Mutex, MutexGuard};
use std::fmt;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The precision of a timer: a sleep may be late by this much, and is never early.
pub const TICK: Duration = Duration::from_millis(1);

/// How many entries are touched while the lock is held once: some ten microseconds.
const PORTION: usize = 256;
/// How many portions one call of [`Timers::expire`] takes before its caller looks after others (S6).
const PORTIONS: usize = 16;

/// What [`Timers::next`] holds when nothing waits.
const NEVER: u64 = u64::MAX;

/// The timers of one worker.
pub struct Timers {
    /// The tick at which `expire` has something to do, [`NEVER`] if at no time. May be too early, after a
    /// removal; never too late. Written under the lock.
    next: AtomicU64,
    /// [`Wheel::fired`], readable without the lock. Written under it.
    fired: AtomicU64,
    shelf: Mutex<Shelf>,
    clock: Clock,
    /// Tick 0.
    start: Instant,
    unpark: Box<dyn Fn() + Send + Sync>,
}

/// What the lock protects.
struct Shelf {
    wheel: Wheel,
    closed: bool,
}

/// What [`Timers::expire`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// How many sleeps were woken.
    pub woken: usize,
    /// Whether something that was due has been left for the next call.
    pub more: bool,
}

/// What became of an [`insert`](Timers::insert).
#[derive(Debug)]
pub(crate) enum Insert {
    /// The waker will be woken at `tick`; `unpark_owner` says whether the owner has to be told, because
    /// it may sleep beyond that.
    Waiting { key: Key, tick: u64, unpark_owner: bool },
    /// The deadline has passed.
    Due,
    /// The timers are closed.
    Closed,
}

/// What a look at an entry found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Waiting,
    Fired,
    Closed,
}

impl Timers {
    /// Timers that go by `clock`. `unpark` has to wake the owner if it sleeps, as a token: if the owner
    /// does not sleep, its next attempt to must return at once. It is called under no lock, and only after
    /// another thread made the earliest deadline an earlier one.
    pub fn new(clock: Clock, unpark: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU64::new(NEVER),
            fired: AtomicU64::new(0),
            shelf: Mutex::new(Shelf { wheel: Wheel::new(), closed: false }),
            start: clock.now(),
            clock,
            unpark: Box::new(unpark),
        })
    }

    /// The clock these timers go by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How many sleeps wait.
    pub fn len(&self) -> usize {
        self.shelf.lock().wheel.len()
    }

    /// Whether no sleep waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether [`expire`](Self::expire) has something to do at `now`. One load, no lock, from any thread.
    #[inline]
    pub fn is_due(&self, now: Instant) -> bool {
        // Acquire: pairs with `publish`.
        let next = self.next.load(Ordering::Acquire);
        next != NEVER && next <= self.tick_before(now)
    }

    /// Wakes the sleeps whose deadlines have passed at `now`, in their order, up to a bounded number.
    ///
    /// `scratch` is where wakers stay between being taken under the lock and being woken under none (D8);
    /// it comes and goes empty, and a caller that keeps it saves the allocation. May be called from any
    /// thread. If a waker panics, those after it are woken before the panic goes on; what else is due is
    /// left for the next call.
    pub fn expire(&self, now: Instant, scratch: &mut Vec<Waker>) -> Expired {
        if !self.is_due(now) {
            return Expired::default();
        }
        let now = self.tick_before(now);
        let mut woken = 0;
        for _ in 0..PORTIONS {
            let all = {
                let mut shelf = self.shelf.lock();
                let all = shelf.wheel.expire(now, scratch, PORTION);
                self.publish(&shelf);
                all
            };
            woken += scratch.len();
            wake_all(scratch);
            if all {
                return Expired { woken, more: false };
            }
        }
        Expired { woken, more: true }
    }

    /// Until when the owner may sleep: the earliest deadline, or a moment before it where it would take
    /// long to tell. `None` if nothing waits. A moment in the past if something is due.
    ///
    /// The owner calls this between its last [`expire`](Self::expire) and its going to sleep; an insert
    /// by another thread that it does not see here leaves it an unpark.
    pub fn next_deadline(&self) -> Option<Instant> {
        // Acquire: pairs with `publish`. A later insert by another thread sees that it lowers `next`, and
        // unparks.
        if self.next.load(Ordering::Acquire) == NEVER {
            return None;
        }
        let next = {
            let mut shelf = self.shelf.lock();
            shelf.wheel.trim();
            self.publish(&shelf)
        };
        // Beyond what an `Instant` can say nobody needs to wake.
        (next != NEVER).then(|| self.start.checked_add(Duration::from_millis(next))).flatten()
    }

    /// Ends these timers: whoever sleeps is woken to find that out, and nothing is registered any more.
    pub fn close(&self) {
        let mut scratch = Vec::new();
        {
            let mut shelf = self.shelf.lock();
            shelf.closed = true;
            shelf.wheel.clear(&mut scratch);
            self.publish(&shelf);
        }
        wake_all(&mut scratch);
    }

    /// Registers `waker` for the first tick that is not before `deadline`.
    pub(crate) fn insert(&self, deadline: Instant, waker: Waker, is_owner: bool) -> Insert {
        let tick = self.tick_after(deadline);
        let mut shelf = self.shelf.lock();
        if shelf.closed {
            drop(shelf);
            // Here `waker` goes, under no lock (D8).
            return Insert::Closed;
        }
        if tick <= shelf.wheel.fired() {
            drop(shelf);
            return Insert::Due;
        }
        let key = shelf.wheel.insert(tick, waker);
        let lower = self.lower(&shelf, tick);
        Insert::Waiting { key, tick, unpark_owner: lower && !is_owner }
    }

    /// Whether an entry due at `tick` has certainly been expired. One load.
    #[inline]
    pub(crate) fn has_fired(&self, tick: u64) -> bool {
        // Acquire: pairs with `publish`, which stores it once everything up to it has been taken out.
        tick <= self.fired.load(Ordering::Acquire)
    }

    /// Makes the entry wake the task that `waker` wakes, and says how it stands.
    pub(crate) fn look(&self, key: Key, waker: &Waker) -> Look {
        {
            let shelf = self.shelf.lock();
            match shelf.wheel.wakes(key, waker) {
                Ok(true) => return Look::Waiting,
                Ok(false) => {}
                Err(Gone) => return shelf.what_gone_means(),
            }
        }
        // Cloning and dropping wakers is foreign code: under no lock (D8). The entry may be expired in
        // between, and has woken the former waker then; the second look tells.
        let waker = waker.clone();
        let mut shelf = self.shelf.lock();
        let (look, unneeded) = match shelf.wheel.replace(key, waker) {
            Ok(former) => (Look::Waiting, former),
            Err(waker) => (shelf.what_gone_means(), Some(waker)),
        };
        drop(shelf);
        drop(unneeded);
        look
    }

    /// Moves an entry to the first tick that is not before `deadline`. Returns the tick it is now due at
    /// and whether the owner has to be told, or nothing if the entry has gone.
    pub(crate) fn reschedule(
        &self,
        key: Key,
        deadline: Instant,
        is_owner: bool,
    ) -> Option<(u64, bool)> {
        let tick = self.tick_after(deadline);
        let mut shelf = self.shelf.lock();
        let tick = shelf.wheel.reschedule(key, tick).ok()?;
        Some((tick, self.lower(&shelf, tick) && !is_owner))
    }

    /// Takes an entry out, if it is still there.
    pub(crate) fn remove(&self, key: Key) {
        let waker = self.shelf.lock().wheel.remove(key);
        // Here, under no lock (D8). `next` is left as it is: too early harms little, and the owner puts
        // it right before it sleeps.
        drop(waker);
    }

    /// Wakes the owner if it sleeps.
    pub(crate) fn unpark_owner(&self) {
        (self.unpark)();
    }

    /// Makes what the wheel says visible without the lock. Returns the next tick.
    fn publish(&self, shelf: &MutexGuard<'_, Shelf>) -> u64 {
        let next = shelf.wheel.next_tick().unwrap_or(NEVER);
        // Release: pairs with `is_due` and `next_deadline`.
        self.next.store(next, Ordering::Release);
        // Release: pairs with `has_fired`.
        self.fired.store(shelf.wheel.fired(), Ordering::Release);
        next
    }

    /// Publishes that an entry is due at `tick`, if that is earlier than what is known. Says whether it is.
    fn lower(&self, _lock: &MutexGuard<'_, Shelf>, tick: u64) -> bool {
        // Relaxed: `next` is written under the lock only, and that is held.
        let lower = tick < self.next.load(Ordering::Relaxed);
        if lower {
            // Release: pairs with `is_due` and `next_deadline`.
            self.next.store(tick, Ordering::Release);
        }
        lower
    }

    /// The first tick that is not before `moment`: rounded up, so that nothing fires early.
    fn tick_after(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.start);
        let part = u64::from(since.subsec_nanos()).div_ceil(TICK.as_nanos() as u64);
        since.as_secs().saturating_mul(1_000).saturating_add(part).min(LAST_TICK)
    }

    /// The last tick that is not after `moment`: rounded down.
    fn tick_before(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.start);
        since.as_secs().saturating_mul(1_000).saturating_add(u64::from(since.subsec_millis()))
    }
}

impl Shelf {
    /// What it says of an entry that it is not in the wheel, to one who did not remove it.
    fn what_gone_means(&self) -> Look {
        if self.closed { Look::Closed } else { Look::Fired }
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: for the eye.
        let next = self.next.load(Ordering::Relaxed);
        f.debug_struct("Timers").field("clock", &self.clock).field("next", &next).finish()
    }
}

/// Wakes all of `wakers` and leaves it empty, even if some of them panic.
fn wake_all(wakers: &mut Vec<Waker>) {
    let mut panics = Panics::default();
    for waker in wakers.drain(..) {
        panics.caught(|| waker.wake());
    }
    panics.pass_on();
}
