//! The state word: bits, reference count, and every step it can take.
//!
//! One word, so that each step is atomic as a whole. What the steps mean to the rest of the module,
//! and why they suffice, is in the module's essay; here is only what happens to the bits. All
//! read-modify-writes are on this one word, hence totally ordered, and each continues the release
//! sequence of those before it.

use super::AskedBy;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use std::fmt;

/// A worker is inside the future. Whoever set it owns the future and the output until it clears it.
const RUNNING: usize = 1 << 0;
/// The task is to be polled. While `RUNNING` is clear and the task is not complete, exactly one
/// [`Task`](super::Task) exists; while `RUNNING` is set, it means that the running worker owes one
/// more poll (S3).
const NOTIFIED: usize = 1 << 1;
/// The future is gone and the output is decided. Never cleared.
const COMPLETE: usize = 1 << 2;
/// Whoever runs the task next drops its future instead of polling it. Never cleared.
const CANCELLED: usize = 1 << 3;
/// The cancellation came from a runtime that goes away. Only ever set together with `CANCELLED` or `ASKED`.
const SHUTDOWN: usize = 1 << 4;
/// There is a `JoinHandle`. Cleared by it alone, and only while the task is not complete: so once
/// complete, the bit says for good whose the output is (set: the handle's; clear: nobody's, the
/// worker drops it).
const JOIN_INTEREST: usize = 1 << 5;
/// The join waker's place holds a waker. Set and cleared by the handle alone.
const JOIN_WAKER: usize = 1 << 6;
/// Somebody asked the task to end: if a poll returns `Pending` from now on, and nothing in the task holds it
/// up, its future is dropped. Never cleared.
const ASKED: usize = 1 << 7;
/// Whoever made the task asks it to end when the runtime ends; the runtime does not. Cleared under the lock of the
/// list that the task is in. Alone: see [`AskedBy::Parent`]; with the next one: [`AskedBy::ShieldedParent`].
const KEPT: usize = 1 << 8;
/// The end of the runtime does not come to it, as long as it does not come to an end. Cleared with `KEPT`.
/// Alone: [`AskedBy::Nobody`].
const SHIELDED: usize = 1 << 9;
/// One reference. The count takes all bits above.
const REFERENCE: usize = 1 << 10;

/// A new task: to be polled, held by its own life (one reference until it completes) and by its
/// handle.
const INITIAL: usize = NOTIFIED | JOIN_INTEREST | (2 * REFERENCE);

/// More references than any program has: the count is about to overflow (leaked clones of a waker,
/// say).
const REFERENCES_MAX: usize = usize::MAX / 2;

/// The state word of one task.
pub(super) struct State(AtomicUsize);

/// The state word as it was at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot(usize);

/// What a waker that was consumed has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Hand the task to its scheduler, then release the waker's reference.
    Schedule,
    /// Nothing: the reference is released, somebody else sees to the poll.
    Done,
    /// Free the cell: that was the last reference.
    Free,
}

/// What the worker that completes a task has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Completed {
    /// Nothing: the task is complete and its life's reference released. The cell may be gone.
    Done,
    /// The task is complete; take the join waker, wake it, then release the life's reference.
    WakeJoiner,
    /// *Not yet complete*: nobody takes the output. Drop it, then call
    /// [`State::complete_detached`].
    Detached,
}

impl State {
    /// The state of a new task.
    pub(super) fn new(asked_by: AskedBy) -> Self {
        let bits = match asked_by {
            AskedBy::Runtime => 0,
            AskedBy::Parent => KEPT,
            AskedBy::ShieldedParent => KEPT | SHIELDED,
            AskedBy::Nobody => SHIELDED,
        };
        Self(AtomicUsize::new(INITIAL | bits))
    }

    /// From now on it is the runtime that asks the task to end. Under the lock of the list that it is in.
    pub(super) fn disown(&self) {
        // Relaxed: whoever looks has the lock.
        self.0.fetch_and(!(KEPT | SHIELDED), Ordering::Relaxed);
    }

    /// The present state, with everything that came before it visible.
    pub(super) fn load(&self) -> Snapshot {
        // Acquire: pairs with `complete`, so whoever sees COMPLETE sees the output.
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// The holder of the `Task` begins to run it: `NOTIFIED` becomes `RUNNING`. Returns the state
    /// before.
    ///
    /// From here on a wake sets `NOTIFIED` again.
    pub(super) fn start(&self) -> Snapshot {
        // One subtraction does both, as the holder of the `Task` knows both bits.
        // Acquire: pairs with every wake so far (their data is visible to this poll, also of wakes
        // that found the task already notified) and, through them, with `stop` of the poll before
        // this one.
        let before = Snapshot(self.0.fetch_sub(NOTIFIED - RUNNING, Ordering::Acquire));
        debug_assert!(before.is_notified() && !before.is_running() && !before.is_complete());
        before
    }

    /// The poll returned `Pending`: `RUNNING` is cleared. Returns the state before.
    ///
    /// If that was notified, the caller has a `Task` again. If not, it has nothing: the task is
    /// idle, may at once be woken, run and freed elsewhere, and must not be touched any more.
    pub(super) fn stop(&self) -> Snapshot {
        // Release: pairs with the next `start`, which reads it through the wake in between.
        let before = Snapshot(self.0.fetch_sub(RUNNING, Ordering::Release));
        debug_assert!(before.is_running() && !before.is_complete());
        before
    }

    /// Notes that the task is to be polled. True if the caller must hand it to its scheduler.
    pub(super) fn wake_by_ref(&self) -> bool {
        // A read-modify-write even if the task is already notified: what the caller wrote before
        // the wake must be released into the word that the next `start` acquires. A mere load would
        // lose it. Release: pairs with `start`.
        Snapshot(self.0.fetch_or(NOTIFIED, Ordering::Release)).is_idle()
    }

    /// As [`wake_by_ref`](Self::wake_by_ref), and gives up the waker's reference in the same step
    /// unless it is still needed to reach the scheduler.
    pub(super) fn wake(&self) -> Woken {
        // Relaxed: only a guess, which the exchange checks.
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            let before = Snapshot(current);
            let (next, woken) = before.after_wake();
            // Release: pairs with `start`. Acquire: whoever frees the cell has seen every other use
            // of it.
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            match self.0.compare_exchange_weak(current, next.0, success, failure) {
                Ok(_) => return woken,
                Err(now) => current = now,
            }
        }
    }

    /// Asks that the future be dropped. True if the caller must hand the task to its scheduler.
    ///
    /// Without effect on a complete task. On a running one it takes effect when the poll returns
    /// `Pending`.
    pub(super) fn cancel(&self, by_shutdown: bool) -> bool {
        let bits = NOTIFIED | CANCELLED | if by_shutdown { SHUTDOWN } else { 0 };
        // Release: pairs with `start`, like any wake.
        Snapshot(self.0.fetch_or(bits, Ordering::Release)).is_idle()
    }

    /// Asks that the task end when it can. To be told to what is in it next, and then it is to be woken: so
    /// that whoever was told, and wakes the task, is run by a poll that knows.
    ///
    /// Without effect on a complete task.
    pub(super) fn ask(&self, by_shutdown: bool) {
        let bits = ASKED | if by_shutdown { SHUTDOWN } else { 0 };
        // Release: as any step; whoever is told later wakes by this word, and the `start` after that sees ASKED.
        self.0.fetch_or(bits, Ordering::Release);
    }

    /// The output is in its place: declares the task complete, unless nobody wants the output.
    pub(super) fn complete(&self) -> Completed {
        // Relaxed: only a guess, which the exchange checks; and a clear JOIN_INTEREST is final.
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            let before = Snapshot(current);
            debug_assert!(before.is_running() && !before.is_complete());
            let (next, completed) = before.after_completion();
            if completed == Completed::Detached {
                return completed;
            }
            // Release: pairs with `load` of the handle, which takes the output, and with `release`.
            // Acquire: pairs with `offer_join_waker`.
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            match self.0.compare_exchange_weak(current, next.0, success, failure) {
                Ok(_) => return completed,
                Err(now) => current = now,
            }
        }
    }

    /// Declares a task complete whose output nobody takes and is already dropped, and releases the
    /// life's reference. True if that was the last one: the caller frees the cell.
    pub(super) fn complete_detached(&self) -> bool {
        // One subtraction: COMPLETE is set, RUNNING cleared, one reference gone.
        // AcqRel: pairs with `release`: whoever frees the cell has seen every other use of it.
        let step = REFERENCE + RUNNING - COMPLETE;
        let before = Snapshot(self.0.fetch_sub(step, Ordering::AcqRel));
        debug_assert!(before.is_running() && !before.is_complete() && !before.has_join_interest());
        before.references() == 1
    }

    /// The handle has put a waker in its place and offers it to the worker that will complete the
    /// task. Returns the state before: if that was complete, nobody will look, and the waker is
    /// still the handle's.
    pub(super) fn offer_join_waker(&self) -> Snapshot {
        // Release: pairs with `complete`, which then reads the waker.
        // Acquire: pairs with `complete` if that came first.
        Snapshot(self.0.fetch_or(JOIN_WAKER, Ordering::AcqRel))
    }

    /// The handle wants its waker back. Returns the state before: if that was complete, the worker
    /// has taken the waker; if not, it is the handle's again.
    pub(super) fn withdraw_join_waker(&self) -> Snapshot {
        // Acquire: pairs with `complete` if that came first.
        let before = Snapshot(self.0.fetch_and(!JOIN_WAKER, Ordering::Acquire));
        debug_assert!(before.has_join_waker());
        before
    }

    /// The handle goes while the task is `current`ly not complete: gives up the output and the
    /// handle's reference. Fails with the present state if that has changed.
    pub(super) fn detach(&self, current: Snapshot) -> Result<(), Snapshot> {
        debug_assert!(!current.is_complete() && !current.has_join_waker());
        let next = current.0 - JOIN_INTEREST - REFERENCE;
        // Release: whoever frees the cell has seen the handle's use of it (pairs with `release`).
        // Acquire, on failure: pairs with `complete`, so the handle may take the output.
        let (success, failure) = (Ordering::Release, Ordering::Acquire);
        match self.0.compare_exchange(current.0, next, success, failure) {
            Ok(_) => Ok(()),
            Err(now) => Err(Snapshot(now)),
        }
    }

    /// One more reference, made from one that the caller has (or that cannot go away meanwhile).
    pub(super) fn retain(&self) {
        // Relaxed: a reference is made from a reference; whatever passes it on orders the rest.
        let before = self.0.fetch_add(REFERENCE, Ordering::Relaxed);
        if before > REFERENCES_MAX {
            // Going on would wrap the count and free a cell in use. As `Arc` does.
            std::process::abort();
        }
    }

    /// One reference less. True if it was the last: the caller frees the cell.
    pub(super) fn release(&self) -> bool {
        // Release: this holder's use of the cell comes before its end; Acquire: the freeing thread
        // sees every other holder's. Pairs with itself and with every other step that gives up a
        // reference.
        let before = Snapshot(self.0.fetch_sub(REFERENCE, Ordering::AcqRel));
        debug_assert!(before.references() > 0);
        before.references() == 1
    }
}

impl Snapshot {
    /// What a consumed waker makes of this state. Pure.
    fn after_wake(self) -> (Snapshot, Woken) {
        let notified = self.0 | NOTIFIED;
        if self.is_idle() {
            return (Snapshot(notified), Woken::Schedule);
        }
        let next = Snapshot(notified - REFERENCE);
        // Only a complete task can be down to its wakers: an incomplete one holds its life's
        // reference.
        (next, if next.references() == 0 { Woken::Free } else { Woken::Done })
    }

    /// What the end of a task makes of this state. Pure.
    fn after_completion(self) -> (Snapshot, Completed) {
        let complete = self.0 - RUNNING + COMPLETE;
        if !self.has_join_interest() {
            (self, Completed::Detached)
        } else if self.has_join_waker() {
            (Snapshot(complete), Completed::WakeJoiner)
        } else {
            // The handle keeps its own reference, so this one cannot be the last.
            (Snapshot(complete - REFERENCE), Completed::Done)
        }
    }

    /// Nobody runs it, nobody is about to, and it is not over: a wake must schedule it.
    pub(super) fn is_idle(self) -> bool {
        self.0 & (RUNNING | NOTIFIED | COMPLETE) == 0
    }

    /// A worker is inside the future.
    pub(super) fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }

    /// A poll is owed.
    pub(super) fn is_notified(self) -> bool {
        self.0 & NOTIFIED != 0
    }

    /// The output is decided.
    pub(super) fn is_complete(self) -> bool {
        self.0 & COMPLETE != 0
    }

    /// The future is to be dropped instead of polled.
    pub(super) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }

    /// The future is to be dropped: now, or as soon as it can be.
    pub(super) fn is_to_end(self) -> bool {
        self.0 & (CANCELLED | ASKED) != 0
    }

    /// The cancellation came from a runtime that goes away.
    pub(super) fn is_shutdown(self) -> bool {
        self.0 & SHUTDOWN != 0
    }

    /// Who asks it to end when the runtime ends.
    pub(super) fn asked_by(self) -> AskedBy {
        match (self.0 & KEPT != 0, self.0 & SHIELDED != 0) {
            (false, false) => AskedBy::Runtime,
            (true, false) => AskedBy::Parent,
            (true, true) => AskedBy::ShieldedParent,
            (false, true) => AskedBy::Nobody,
        }
    }

    /// There is a handle that may take the output.
    pub(super) fn has_join_interest(self) -> bool {
        self.0 & JOIN_INTEREST != 0
    }

    /// The join waker's place was filled.
    pub(super) fn has_join_waker(self) -> bool {
        self.0 & JOIN_WAKER != 0
    }

    /// How many references there are.
    pub(super) fn references(self) -> usize {
        self.0 / REFERENCE
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("running", &self.is_running())
            .field("notified", &self.is_notified())
            .field("complete", &self.is_complete())
            .field("cancelled", &self.is_cancelled())
            .field("asked", &(self.0 & ASKED != 0))
            .field("shutdown", &self.is_shutdown())
            .field("asked_by", &self.asked_by())
            .field("join_interest", &self.has_join_interest())
            .field("join_waker", &self.has_join_waker())
            .field("references", &self.references())
            .finish()
    }
}
