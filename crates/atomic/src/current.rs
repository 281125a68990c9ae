//! What is known of the task that is being polled on this thread.
//!
//! The scheduler says so around each poll ([`enter`]); leaf futures in any crate above ask and tell.
//! On another executor nobody says anything: then the budget is endless and wait records go nowhere.
//!
//! * The *budget* makes a task yield that always finds its resources ready: each leaf that is about to
//!   make progress calls [`poll_proceed`], which after [`BUDGET`] of them wakes the task and suspends it
//!   (S6). It counts operations, so no clock is read.
//! * The *wait record* says what a suspended task waits for and where in the user's source: one store
//!   per `Pending`, read by anybody who looks into a running process.

use crate::thread_local;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// How many times a task may make progress in one poll before it has to yield.
pub const BUDGET: u8 = 128;

/// What is left to a task outside any poll: no limit.
const UNLIMITED: u8 = u8::MAX;

thread_local! {
    static CURRENT: Current = const { Current {
        task: Cell::new(ptr::null()),
        record: Cell::new(ptr::null()),
        budget: Cell::new(UNLIMITED),
    } };
}

/// This thread's present task, if any.
struct Current {
    task: Cell<*const ()>,
    record: Cell<*const WaitRecord>,
    budget: Cell<u8>,
}

/// Runs `poll` as a poll of the task at `task`, whose wait record is `record`, with a fresh budget.
/// Nests: a poll inside a poll has its own.
///
/// A closure and no guard, because a guard can be forgotten, or dropped out of order, and would then
/// leave a record on the thread that is gone.
///
/// # Safety
///
/// `task` is null, or what those who ask for [`task`] take it for, and stays so during the call.
pub unsafe fn enter<R>(task: *const (), record: &WaitRecord, poll: impl FnOnce() -> R) -> R {
    struct Restore {
        task: *const (),
        record: *const WaitRecord,
        budget: u8,
    }
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.with(|current| {
                current.task.set(self.task);
                current.record.set(self.record);
                current.budget.set(self.budget);
            });
        }
    }
    // Relaxed: pairs with the loads in `WaitRecord::get`, and orders nothing: the record is advisory.
    record.what.store(WaitKind::None as usize, Ordering::Relaxed);
    let _restore = CURRENT.with(|current| Restore {
        task: current.task.replace(task),
        record: current.record.replace(record),
        budget: current.budget.replace(BUDGET),
    });
    poll()
}

/// The task being polled on this thread as the scheduler named it; null where there is none.
pub fn task() -> *const () {
    CURRENT.with(|current| current.task.get())
}

/// Asks leave to make progress. `Ready` takes one unit of the task's budget; with none left the task is
/// woken and must return `Pending`, which sends it to the back of the queue.
///
/// A leaf calls this once a poll, *after* it has taken its place in whatever line it stands in, so that
/// a task out of budget does not lose its turn.
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    CURRENT.with(|current| match current.budget.get() {
        UNLIMITED => Poll::Ready(()),
        0 => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        left => {
            current.budget.set(left - 1);
            Poll::Ready(())
        }
    })
}

/// As [`poll_proceed`], for who goes another way when it may not: false, and nobody is woken.
#[inline]
pub fn try_proceed() -> bool {
    CURRENT.with(|current| match current.budget.get() {
        UNLIMITED => true,
        0 => false,
        left => {
            current.budget.set(left - 1);
            true
        }
    })
}

/// Whether the task being polled may still make progress in this poll.
#[inline]
pub fn has_budget() -> bool {
    CURRENT.with(|current| current.budget.get() > 0)
}

/// Runs `poll` with no limit on what it may do, and its task's budget untouched.
pub fn unconstrained<R>(poll: impl FnOnce() -> R) -> R {
    struct Restore(u8);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.with(|current| current.budget.set(self.0));
        }
    }
    let _restore = Restore(CURRENT.with(|current| current.budget.replace(UNLIMITED)));
    poll()
}

/// Tells what the current task waits for, just before a leaf returns `Pending`.
///
/// `resource` tells instances of a kind apart: an address or a descriptor, 0 for none. The highest 8 bits of the word are
/// not kept: on 64 bits addresses of programs have none there, but for tags; on 32 two may look the same.
#[inline]
pub fn note_wait(kind: WaitKind, resource: usize, location: &'static Location<'static>) {
    CURRENT.with(|current| {
        let record = current.record.get();
        if !record.is_null() {
            // SAFETY: `enter` borrows the record, and puts the former one back before it returns or
            // unwinds, so what stands here is borrowed further up this thread's stack.
            let record = unsafe { &*record };
            record.set(kind, resource, location);
        }
    });
}

/// As [`note_wait`], unless something was noted in this poll already: for what waits around a leaf, after that.
#[inline]
pub fn note_outer_wait(kind: WaitKind, resource: usize, location: &'static Location<'static>) {
    CURRENT.with(|current| {
        let record = current.record.get();
        if !record.is_null() {
            // SAFETY: as in `note_wait`.
            let record = unsafe { &*record };
            if record.kind() == WaitKind::None {
                record.set(kind, resource, location);
            }
        }
    });
}

/// What a task waits for. Written by its leaves while it is polled, read by anybody at any time: two
/// words that may be of different waits when read in between, which for a look at a running process is
/// accurate enough.
#[derive(Debug)]
pub struct WaitRecord {
    location: AtomicPtr<Location<'static>>,
    /// The kind in the lowest [`KIND_BITS`], the resource above: every task has one of these, so it counts.
    what: AtomicUsize,
}

/// As many bits of a word are for the kind.
const KIND_BITS: u32 = u8::BITS;

impl WaitRecord {
    /// A record of no wait.
    pub const fn new() -> Self {
        Self {
            location: AtomicPtr::new(ptr::null_mut()),
            what: AtomicUsize::new(WaitKind::None as usize),
        }
    }

    // Relaxed, both; read in `get`: nothing is decided by what a reader sees.
    #[inline]
    fn set(&self, kind: WaitKind, resource: usize, location: &'static Location<'static>) {
        self.location.store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
        self.what.store(resource << KIND_BITS | kind as usize, Ordering::Relaxed);
    }

    #[inline]
    fn kind(&self) -> WaitKind {
        // Relaxed: as in `get`.
        WaitKind::from_u8(self.what.load(Ordering::Relaxed) as u8)
    }

    /// What the task waited for when it was last suspended: the kind, which one, and where in the
    /// source. `None` while it runs or before its first wait.
    pub fn get(&self) -> Option<(WaitKind, usize, &'static Location<'static>)> {
        // Relaxed, both: pair with the stores in `set` and order nothing; `set` may be half done.
        let what = self.what.load(Ordering::Relaxed);
        let kind = WaitKind::from_u8(what as u8);
        if kind == WaitKind::None {
            return None;
        }
        let location = self.location.load(Ordering::Relaxed);
        // SAFETY: only `set` writes the pointer, from a `&'static Location`.
        let location = unsafe { location.as_ref() }?;
        Some((kind, what >> KIND_BITS, location))
    }
}

impl fmt::Display for WaitKind {
    /// In words, to follow "it waits for".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "nothing",
            Self::Timer => "a point in time",
            Self::Join => "the end of a task",
            Self::Read => "bytes",
            Self::Write => "the end of a write",
            Self::Accept => "a connection to come in",
            Self::Connect => "a connection to be made",
            Self::File => "a file operation",
            Self::Lock => "a lock or a permit",
            Self::Queue => "a queue",
            Self::Yield => "its next turn",
            Self::Blocking => "a blocking closure",
            Self::Other => "something",
        })
    }
}

impl Default for WaitRecord {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! wait_kinds {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// The kinds of things a task waits for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum WaitKind {
            $($(#[$doc])* $name = $value,)*
        }

        impl WaitKind {
            /// The kind stored as `value`.
            fn from_u8(value: u8) -> Self {
                match value {
                    $($value => Self::$name,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

wait_kinds! {
    /// Nothing: it runs, or has not waited yet.
    None = 0,
    /// A point in time.
    Timer = 1,
    /// The end of a task.
    Join = 2,
    /// Bytes from a stream.
    Read = 3,
    /// Room in a stream, or the end of a write.
    Write = 4,
    /// A connection to come in.
    Accept = 5,
    /// A connection to be made.
    Connect = 6,
    /// A file operation.
    File = 7,
    /// A lock, a permit, a baton.
    Lock = 8,
    /// Room or an item in a queue.
    Queue = 9,
    /// Its next turn.
    Yield = 10,
    /// A closure on the blocking pool.
    Blocking = 11,
    /// Something else.
    Other = 12,
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn outside_a_task_there_is_no_limit_and_no_record() {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1_000 {
            assert!(poll_proceed(&mut cx).is_ready() && try_proceed());
        }
        note_wait(WaitKind::Timer, 1, Location::caller());
        assert!(task().is_null());
    }

    #[test]
    fn the_budget_ends_and_nests() {
        let mut cx = Context::from_waker(Waker::noop());
        let (outer, inner) = (WaitRecord::new(), WaitRecord::new());
        let mut nested = || {
            for _ in 0..BUDGET {
                assert!(poll_proceed(&mut cx).is_ready());
            }
            assert!(poll_proceed(&mut cx).is_pending());
            assert!(!has_budget() && !try_proceed());
            let poll = || {
                for _ in 1..BUDGET {
                    assert!(try_proceed(), "it is a unit each");
                }
                assert!(has_budget() && try_proceed() && !has_budget());
                note_wait(WaitKind::Join, 7, Location::caller());
            };
            // SAFETY: nobody asks for the task here but this test, which only compares.
            unsafe { enter(ptr::from_ref(&inner).cast(), &inner, poll) };
            assert!(!has_budget());
            assert!(unconstrained(|| poll_proceed(&mut cx)).is_ready());
            assert_eq!(task(), ptr::from_ref(&outer).cast());
        };
        // SAFETY: as above.
        unsafe { enter(ptr::from_ref(&outer).cast(), &outer, &mut nested) };
        assert!(has_budget());
        let (kind, resource, location) = inner.get().expect("it was noted");
        assert_eq!((kind, resource, location.file()), (WaitKind::Join, 7, file!()));
        assert!(outer.get().is_none(), "the inner poll's wait is not the outer's");
    }
}
