//! Who holds the completion queue: its owner, or a thread that rescues the owner.
//!
//! Generic over the queue, so that the model runs the same code over a queue without a kernel.

use crate::ring::Completion;
use filch_atomic::sync::Mutex;
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use std::collections::VecDeque;

/// Set in the `user_data` of the driver's own entries: no cell's index has it.
pub const OWN: u64 = 1 << 31;

/// Whether an entry is the driver's own.
pub const fn is_own(user_data: u64) -> bool {
    user_data & OWN != 0
}

/// A completion queue, as its holder sees it.
pub trait Queue {
    /// How many completions are there now.
    fn completions(&self) -> u32;

    /// Takes them out, oldest first.
    ///
    /// # Safety
    ///
    /// The caller holds the lock that the queue is behind.
    unsafe fn drain(&self, each: impl FnMut(Completion));
}

/// A completion queue behind a lock. The owner takes it for each reap, a rescuer tries to.
#[derive(Debug)]
pub struct CqLock<Q> {
    held: Mutex<Held<Q>>,
    /// The owner is about to be in the kernel and relies on what it saw here: rescuers keep off. Raised
    /// under the lock, lowered without.
    shut: AtomicBool,
    /// The owner finds something here that is not in the queue. Raised and lowered under the lock, looked
    /// at by the owner without it.
    left: AtomicBool,
}

#[derive(Debug)]
struct Held<Q> {
    /// None once the ring is closed or leaked.
    queue: Option<Q>,
    /// Completions of the driver's own entries that a rescuer met: what they mean is the owner's to know.
    set_aside: VecDeque<Completion>,
    /// Operations that rescuers completed and the owner counts as in flight still.
    credit: usize,
    /// Operations that rescuers have taken out and not completed yet.
    in_hand: usize,
}

/// What the owner is told when it [shuts](CqLock::shut) rescuers out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct There {
    /// Completions in the queue. Only the kernel changes that, by adding, until the lock is opened.
    pub completions: u32,
    /// Whether a rescuer set something aside, which will end no wait.
    pub set_aside: bool,
}

impl<Q: Queue> CqLock<Q> {
    /// A lock without a queue.
    pub fn new() -> Self {
        Self {
            held: Mutex::new(Held {
                queue: None,
                set_aside: VecDeque::new(),
                credit: 0,
                in_hand: 0,
            }),
            shut: AtomicBool::new(false),
            left: AtomicBool::new(false),
        }
    }

    /// The ring is up.
    pub fn open_with(&self, queue: Q) {
        self.held.lock().queue = Some(queue);
    }

    /// The ring is about to go: nobody takes anything out any more. What rescuers have in hand they still
    /// complete. The owner alone.
    pub fn close(&self) -> Option<Q> {
        self.held.lock().queue.take()
    }

    /// For the owner: takes out all that is there, first what was set aside, and gives the number of
    /// operations that rescuers completed since.
    pub fn reap(&self, batch: &mut VecDeque<Completion>) -> usize {
        let mut held = self.held.lock();
        batch.append(&mut held.set_aside);
        if let Some(queue) = &held.queue {
            // SAFETY: we hold the lock.
            unsafe { queue.drain(|completion| batch.push_back(completion)) };
        }
        // Relaxed: under the lock.
        self.left.store(false, Ordering::Relaxed);
        std::mem::take(&mut held.credit)
    }

    /// For the owner: whether a rescuer left something here that the queue does not show. May be missed
    /// for a moment; what a wait rests on is what [`shut`](Self::shut) says.
    pub fn has_left(&self) -> bool {
        // Relaxed: a hint. The lock brings the rest.
        self.left.load(Ordering::Relaxed)
    }

    /// For the owner, before it tells the kernel a number of completions to wait for: keeps rescuers off
    /// until [`open`](Self::open), and says what is there. One that took something out before this will
    /// not be waited for in vain: the owner sees here what is left.
    pub fn shut(&self) -> There {
        let held = self.held.lock();
        // Relaxed: under the lock, where rescuers look at it.
        self.shut.store(true, Ordering::Relaxed);
        There {
            completions: held.queue.as_ref().map_or(0, Queue::completions),
            set_aside: !held.set_aside.is_empty(),
        }
    }

    /// The owner is back from the kernel.
    pub fn open(&self) {
        // Release: pairs with the Acquire in `take`: a rescuer comes after the owner's call.
        self.shut.store(false, Ordering::Release);
    }

    /// For a rescuer: moves the operations that completed to `batch`, and sets the driver's own entries
    /// aside. None if the owner or another rescuer is at it, or the owner is in the kernel, or the ring is
    /// gone; else how many completions there were, the driver's own included, and what `look` says of the
    /// queue then.
    ///
    /// The rescuer completes what it took, under no lock (D8), and then gives [`credit`](Self::credit).
    pub fn take<R>(
        &self,
        batch: &mut Vec<Completion>,
        look: impl FnOnce(&Q) -> R,
    ) -> Option<(usize, R)> {
        let mut held = self.held.try_lock()?;
        // Acquire: pairs with the Release in `open`.
        if self.shut.load(Ordering::Acquire) {
            return None;
        }
        let Held { queue, set_aside, in_hand, .. } = &mut *held;
        let queue = queue.as_ref()?;
        let (before, aside) = (batch.len(), set_aside.len());
        // SAFETY: we hold the lock.
        unsafe {
            queue.drain(|completion| {
                if is_own(completion.user_data) {
                    set_aside.push_back(completion);
                } else {
                    batch.push(completion);
                }
            });
        }
        let taken = batch.len() - before;
        *in_hand += taken;
        let own = set_aside.len() - aside;
        if own > 0 {
            // Relaxed: under the lock, and a hint elsewhere.
            self.left.store(true, Ordering::Relaxed);
        }
        Some((taken + own, look(queue)))
    }

    /// A rescuer has completed so many operations of those it took.
    pub fn credit(&self, completed: usize) {
        let mut held = self.held.lock();
        held.in_hand -= completed;
        held.credit += completed;
        // Relaxed: under the lock, and a hint elsewhere.
        self.left.store(true, Ordering::Relaxed);
    }

    /// Whether rescuers have taken out operations that they have not completed yet.
    pub fn is_in_hand(&self) -> bool {
        self.held.lock().in_hand > 0
    }
}

impl<Q: Queue> Default for CqLock<Q> {
    fn default() -> Self {
        Self::new()
    }
}
