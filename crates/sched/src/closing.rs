//! How far the end of a scheduler is, and who finds out that its tasks are over.

use crate::task::{Marked, OwnedTasks, Task};
use filch_atomic::sync::atomic::{AtomicU8, Ordering};

/// It runs.
const RUNS: u8 = 0;
/// Its tasks were asked to end; its workers run them.
const ASKED: u8 = 1;
/// Its workers leave their loops.
const CLOSING: u8 = 2;

/// How far the end of a scheduler is. Written twice.
///
/// Its tasks are asked to end, and its workers run on until all are over. Nobody counts them. Whoever may come after the
/// end of the last one *looks*, and the one who finds that there is none left closes the scheduler. Three look: the
/// one who has asked; each worker that has no more to do, before it sleeps; and whoever has ended a task that came from
/// outside.
///
/// *Nobody closes too early.* A task is in the list of its shard from its spawn to its end, and may spawn into any other
/// list before it leaves its own. So up to the last end there is one in some list at each moment; but who goes from list to
/// list may find each of them empty. A look holds the locks of all lists at once.
///
/// *Somebody closes.* The last task leaves its list under that list's lock, so of each look it is clear whether it came
/// before or after that. If that of the one who asks came after, it has found nobody. If it came before, then so did the step
/// to `ASKED`, and whoever ended the last task knows that the end has begun: a worker, which looks when it has no more to
/// do, or whoever refuses what comes from outside.
///
/// The model is `closing`.
#[derive(Debug)]
pub struct Closing {
    /// One of the constants above.
    stage: AtomicU8,
}

impl Closing {
    /// Of a scheduler that runs.
    pub fn new() -> Self {
        Self { stage: AtomicU8::new(RUNS) }
    }

    /// Whether the workers are to leave their loops.
    #[inline]
    pub fn is_closing(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.stage.load(Ordering::Acquire) == CLOSING
    }

    /// Whether the end has begun.
    pub fn is_ending(&self) -> bool {
        // Acquire: pairs with the Release in `ask` and `close`.
        self.stage.load(Ordering::Acquire) != RUNS
    }

    /// Asks all tasks in `lists` to end, and from now on each that is spawned there. `before_them` is asked first. True if
    /// none is left: whoever asks has to close then.
    pub fn ask<'a, I>(&self, lists: impl Fn() -> I, before_them: impl FnOnce()) -> bool
    where
        I: Iterator<Item = &'a OwnedTasks>,
    {
        // Before they are: whoever ends one that was asked sees it. Release: pairs with the Acquire in `is_ending`. An
        // exchange: closing is for good.
        let _ = self.stage.compare_exchange(RUNS, ASKED, Ordering::Release, Ordering::Relaxed);
        // All, before the first is told: what becomes of that one others see.
        let marked = OwnedTasks::mark_all(lists());
        before_them();
        marked.into_iter().for_each(Marked::ask);
        self.is_due(lists())
    }

    /// Whether the tasks were asked to end and none is left in `lists`, which are all: whoever finds that has to close.
    pub fn is_due<'a>(&self, lists: impl Iterator<Item = &'a OwnedTasks>) -> bool {
        self.is_ending() && !self.is_closing() && OwnedTasks::are_all_empty(lists)
    }

    /// Ends a task that was spawned from outside when the end had begun, and is in one of `lists`. True as for
    /// [`is_due`](Self::is_due): the others may have looked while it was there, and left it to the caller.
    pub fn refuse<'a>(&self, task: Task, lists: impl Iterator<Item = &'a OwnedTasks>) -> bool {
        task.shutdown();
        self.is_due(lists)
    }

    /// The workers are to leave their loops. True if the tasks were asked to end before, and this is the first closing.
    pub fn close(&self) -> bool {
        // Release: pairs with the Acquire in `is_closing`.
        self.stage.swap(CLOSING, Ordering::Release) == ASKED
    }
}

impl Default for Closing {
    fn default() -> Self {
        Self::new()
    }
}
