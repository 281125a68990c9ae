//! Who a task is: its number and, if it was given one, its name.

use super::header::{Header, Meta};
use filch_atomic::current;
use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::Arc;
// Not the switched atomics: a counter orders nothing and decides nothing, and a model needs no more
// of it.
use std::sync::atomic::{AtomicU64, Ordering};

/// How many numbers a thread takes at a time, so that spawning touches no line that all cores
/// share.
const BLOCK: u64 = 256;

/// The number of a task: unique in this process, never used again.
///
/// Numbers say nothing about the order in which tasks were spawned: each thread takes them in
/// blocks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    /// A number nobody has had.
    pub fn next() -> Self {
        static BLOCKS: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            /// The next number of this thread's block; at the end of a block, a multiple of
            /// `BLOCK`.
            static NEXT: Cell<u64> = const { Cell::new(0) };
        }
        NEXT.with(|next| {
            let mut number = next.get();
            if number.is_multiple_of(BLOCK) {
                // Relaxed: only that no two threads get the same block matters.
                number = BLOCKS.fetch_add(1, Ordering::Relaxed) * BLOCK;
            }
            next.set(number + 1);
            // The numbers given out are one more than those counted, so none is 0.
            NonZeroU64::new(number + 1).map(Self).expect("64 bits of numbers do not run out")
        })
    }

    /// The number itself, for logs.
    pub fn as_u64(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}

/// The name of a task, for people. Cheap to clone. Names need not be unique.
///
/// One pointer wide (the text is one step further away): nearly no task has a name, each has the
/// room.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<Box<str>>);

impl Name {
    /// A name.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self(Arc::new(name.into()))
    }
}

impl Name {
    /// As a pointer, for [`from_raw`](Self::from_raw).
    pub(super) fn into_raw(self) -> *const () {
        Arc::into_raw(self.0).cast()
    }

    /// Back from a pointer.
    ///
    /// # Safety
    ///
    /// From [`into_raw`](Self::into_raw), whose share this one has.
    pub(super) unsafe fn from_raw(pointer: *const ()) -> Self {
        // SAFETY: by the caller's word.
        Self(unsafe { Arc::from_raw(pointer.cast()) })
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The number of the task that runs this code.
///
/// # Panics
///
/// Outside a task; [`try_id`] asks.
#[track_caller]
pub fn id() -> TaskId {
    try_id().expect(
        "task::id() is for code that runs inside a task; task::try_id() asks whether it does",
    )
}

/// The number of the task that runs this code, if one does. The destructors of a task's own values
/// count as its code.
pub fn try_id() -> Option<TaskId> {
    with_current(|header| header.id)
}

/// The name of the task that runs this code, if one does and has a name.
pub fn name() -> Option<Name> {
    with_current(|header| header.attached.name()).flatten()
}

/// What the spawner of the task that runs this code said of it, if one does.
pub fn meta() -> Option<Meta> {
    with_current(|task| Meta { id: task.id, name: task.attached.name(), location: task.location })
}

/// Whether somebody may still ask for the output of the task that runs this code: its handle exists. If
/// not, nobody ever will.
pub fn is_awaited() -> bool {
    with_current(|task| task.state.load().has_join_interest()).unwrap_or(false)
}

/// Whether the task that runs this code is being ended because its runtime ends: dropped, or about to be cut
/// where it waits next.
pub fn is_shut_down() -> bool {
    with_current(Header::is_shut_down).unwrap_or(false)
}

/// Lends the header of the task being polled on this thread.
pub(crate) fn with_current<R>(look: impl FnOnce(&Header) -> R) -> Option<R> {
    let header = current::task().cast::<Header>();
    // SAFETY: only this module enters a task that is not null, as a pointer to its header, and only
    // while it holds the task's life, so the header outlives this call, which happens inside that
    // poll.
    unsafe { header.as_ref() }.map(look)
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_are_unique_across_threads_and_blocks() {
        let take = || (0..3 * BLOCK + 7).map(|_| TaskId::next()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(take)).collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn outside_a_task_there_is_no_id() {
        assert_eq!(try_id(), None);
        assert_eq!(name(), None);
        assert!(std::panic::catch_unwind(id).is_err());
    }

    #[test]
    fn a_name_is_one_pointer() {
        assert_eq!(size_of::<Option<Name>>(), size_of::<usize>());
        assert_eq!(Name::new("reader").to_string(), "reader");
    }
}
