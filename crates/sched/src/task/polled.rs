//! Which task a worker is polling, for those who watch it.

use super::header::Header;
use super::{Name, OwnedTasks, TaskId};
use filch_atomic::sync::atomic::{AtomicPtr, Ordering};
use std::fmt;
use std::panic::Location;
use std::ptr::{self, NonNull};

/// Shows what a worker is inside of. The worker writes it with plain stores, around each poll; anybody
/// may ask whether there is a poll, and, at some cost, of which task.
///
/// # How a task is named that may end at any moment
///
/// The pointer counts for nothing by itself: when it has been read, the poll may have ended, and the
/// task been finished and freed by another worker. The rule that makes it good:
///
/// *The worker shows a task only while it has `RUNNING`*: from after `start` to before `stop`, or to
/// before the completed task leaves its owned list.
///
/// Whoever names the task first takes the locks of all lists that it may be in, and then reads the
/// pointer. Suppose the task has left its list, or is to leave it, in a section `L` under the list's
/// lock. (Every task that is over went through one, also one that shutdown had taken out before; its
/// life's reference is given up after it, see `OwnedTasks`.) If `L` came before the namer took that
/// lock, then the pointer had been cleared before `L`: by the very thread, or by one that had the task
/// earlier and gave up `RUNNING` after it cleared the pointer, which the next to have it acquired. So
/// the namer, which took the lock after `L`, sees it cleared. If the namer does see the task, `L` is
/// still to come and has to wait for the lock. Until then the task is alive, and what is read of it
/// never changes.
///
/// Should the memory be that of a younger task, which the worker polls now, then the pointer is that
/// task's, by the same reasoning.
pub struct Polled(AtomicPtr<Header>);

/// What a worker is inside of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// No poll: it delivers completions or timers, looks for work, or sleeps.
    Nobody,
    /// The main future.
    Main,
    /// The end of a task: its output's destructor, or the waker of whoever awaited it.
    End,
    /// A task.
    Task {
        /// Its number.
        id: TaskId,
        /// Its name.
        name: Option<Name>,
        /// Where it was spawned.
        location: &'static Location<'static>,
    },
}

/// In a poll of the main future. Never followed.
const MAIN: *mut Header = ptr::without_provenance_mut(1);
/// In the end of a task, which may be gone. Never followed.
const END: *mut Header = ptr::without_provenance_mut(2);

impl Polled {
    /// No poll.
    pub fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The task is polled from now on. For a thread that has `RUNNING`.
    #[inline]
    pub(super) fn show(&self, task: NonNull<Header>) {
        // Relaxed: pairs with the load in `who`; the lists' locks order it (see above).
        self.0.store(task.as_ptr(), Ordering::Relaxed);
    }

    /// The main future is polled from now on.
    #[inline]
    pub fn show_main(&self) {
        // Relaxed: as in `show`.
        self.0.store(MAIN, Ordering::Relaxed);
    }

    /// The task ends. What that wakes is woken in its poll, but it is shown no more.
    #[inline]
    pub(super) fn show_end(&self) {
        // Relaxed: as in `show`.
        self.0.store(END, Ordering::Relaxed);
    }

    /// No poll any more.
    #[inline]
    pub fn hide(&self) {
        // Relaxed: as in `show`.
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Whether there is a poll. For the worker itself; to others, a hint.
    #[inline]
    pub fn is_polling(&self) -> bool {
        // Relaxed: as in `show`; only the worker writes it.
        !self.0.load(Ordering::Relaxed).is_null()
    }

    /// What the worker is inside of. `lists` are all that its tasks may be in. Takes the locks of all
    /// of them, in their order: not for every day.
    pub fn who<'a>(&self, lists: impl Iterator<Item = &'a OwnedTasks>) -> Who {
        let held: Vec<_> = lists.map(OwnedTasks::hold).collect();
        // Relaxed: pairs with the stores above, ordered by the locks that are held (see above).
        let task = self.0.load(Ordering::Relaxed);
        let who = match task {
            MAIN => Who::Main,
            END => Who::End,
            task if task.is_null() => Who::Nobody,
            task => {
                // SAFETY: shown while the locks are held, so it is alive until they are released.
                let header = unsafe { &*task };
                // The links are the locks': by this a model sees that nothing here comes after the end.
                #[cfg(filch_loom)]
                header.links.with(|_| ());
                Who::Task { id: header.id, name: header.attached.name(), location: header.location }
            }
        };
        drop(held);
        who
    }
}

impl Default for Polled {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Polled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: for the eye.
        f.debug_tuple("Polled").field(&self.0.load(Ordering::Relaxed)).finish()
    }
}
