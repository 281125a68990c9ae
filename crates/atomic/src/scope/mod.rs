#![doc = include_str!("README.md")]

mod leaf;

pub use leaf::Leaf;

use crate::WakerCell;
use crate::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};
use crate::thread_local;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;
use std::time::Instant;
use std::{fmt, mem, ptr};

/// Nobody has cancelled it.
const LIVE: u8 = 0;
/// It is being cancelled: what begins in it is cancelled from the start, what is in it is being told.
const ASKED: u8 = 1;
/// All in it were told: it may be cut.
const CANCELLED: u8 = 2;

/// What a scope is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A task: the outermost scope of what it runs.
    Task,
    /// A boundary: a future that ends in place of what it holds when that is cancelled.
    Boundary,
    /// A shield: a cancel from outside stops here.
    Shield,
    /// A leaf: an operation that is waited for.
    Leaf,
}

/// One cancel scope.
pub struct Scope {
    state: AtomicU8,
    kind: Kind,
    /// How many in it, however deep but behind no other shield, hold it up.
    holds: AtomicUsize,
    /// How many leaves directly in it wait for the end of what was cancelled.
    ending: AtomicUsize,
    /// Whoever polls it: to be woken when it is cancelled, and when it is not held up any more.
    waker: WakerCell,
    parent: Option<Arc<Scope>>,
    /// Where it stands among its parent's. Protected by that one's lock.
    place: AtomicUsize,
    /// What a cancel goes on to.
    children: Mutex<Vec<Arc<Scope>>>,
    /// When clean-up that begins in it has to be over.
    deadline: Option<Instant>,
}

impl Scope {
    /// A task's.
    pub fn of_task() -> Arc<Self> {
        Arc::new(Self::new(Kind::Task, None, None))
    }

    fn new(kind: Kind, parent: Option<Arc<Scope>>, deadline: Option<Instant>) -> Self {
        Self {
            state: AtomicU8::new(LIVE),
            kind,
            holds: AtomicUsize::new(0),
            ending: AtomicUsize::new(0),
            waker: WakerCell::new(),
            deadline: deadline.or_else(|| parent.as_ref()?.deadline),
            parent,
            place: AtomicUsize::new(0),
            children: Mutex::new(Vec::new()),
        }
    }

    /// Cancels all that is in it, innermost first, but for what is shielded, and then itself; wakes each
    /// where it waits. Once: a second call does nothing, though the first may still be at it.
    ///
    /// # Panics
    ///
    /// With the panic of a waker, when all is done.
    pub fn cancel(&self) {
        let mut panic = None;
        self.cancel_within(&mut panic);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    fn cancel_within(&self, panic: &mut Option<Box<dyn Any + Send>>) {
        let children = {
            let children = self.children.lock();
            // Relaxed: the lock orders it among those who cancel and those who are born.
            if self.state.load(Ordering::Relaxed) != LIVE {
                return;
            }
            // Release: pairs with the Acquire in `is_cancelled`. Acquire, and no mere store: pairs with
            // `look_again`, as the step to CANCELLED does, which finds only what this left.
            self.state.swap(ASKED, Ordering::AcqRel);
            children.clone()
        };
        for child in &children {
            child.cancel_within(panic);
        }
        // Release: pairs with the Acquire in `is_due`; all inside were told before. Acquire: pairs with
        // `let_go`, whose decrement whoever we wake has to see.
        self.state.swap(CANCELLED, Ordering::AcqRel);
        // Under no lock (D8).
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.waker.wake())) {
            panic.get_or_insert(payload);
        }
    }

    /// Whether it is cancelled, or about to be.
    pub fn is_cancelled(&self) -> bool {
        // Acquire: pairs with the Release in `cancel`: what the canceller did before is visible.
        self.state.load(Ordering::Acquire) != LIVE
    }

    /// Whether it is cancelled, and all in it were told. For whoever polls it, after
    /// [`register`](Self::register) and *before* the poll of what it holds: only what it finds pending in a
    /// poll that began after that may be cut.
    pub fn is_due(&self) -> bool {
        // Acquire: pairs with the Release of CANCELLED in `cancel`.
        self.state.load(Ordering::Acquire) == CANCELLED
    }

    /// Whether shields or clean-up in it hold it up. Looked at after that poll.
    pub fn is_held(&self) -> bool {
        // Acquire: pairs with `let_go`.
        self.holds.load(Ordering::Acquire) != 0
    }

    /// Whether leaves directly in it wait for the end of what was cancelled.
    pub fn is_ending(&self) -> bool {
        // Acquire: pairs with the end of a `Leaf`.
        self.ending.load(Ordering::Acquire) != 0
    }

    /// Has `waker` woken when it is cancelled, or not held up any more. By one task at a time, which looks
    /// whether that is so *after* this.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Forgets the waker that was [registered](Self::register).
    pub fn forget_waker(&self) {
        drop(self.waker.take());
    }

    /// When clean-up that begins in it has to be over, if it begins in other clean-up.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Holds up all around it, to the first shield.
    fn hold_those_around(&self) {
        let mut next = &self.parent;
        while let Some(scope) = next {
            // Relaxed: whoever polls that scope made, or follows, the poll in which this happens.
            scope.holds.fetch_add(1, Ordering::Relaxed);
            next = if scope.kind == Kind::Shield { &None } else { &scope.parent };
        }
    }

    /// Ends what [`hold_those_around`](Self::hold_those_around) began.
    fn let_go(&self) {
        let mut next = &self.parent;
        while let Some(scope) = next {
            // Release: pairs with `is_held`: what was done under the hold comes before the cut.
            if scope.holds.fetch_sub(1, Ordering::AcqRel) == 1 {
                scope.look_again();
            }
            next = if scope.kind == Kind::Shield { &None } else { &scope.parent };
        }
    }

    /// Wakes it if it waits to be cut.
    fn look_again(&self) {
        // A read-modify-write, so that it has a place in the order of steps of this word: before one in
        // `cancel`, which then sees what was done before (Release), and wakes; or after both.
        if self.state.fetch_or(0, Ordering::AcqRel) == CANCELLED {
            self.waker.wake();
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("kind", &self.kind)
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// A scope that is in another one, until this is dropped.
#[derive(Debug)]
pub struct Inside {
    scope: Arc<Scope>,
    is_holding: bool,
}

impl Inside {
    /// A boundary, a shield or a leaf in `parent`. In one that is cancelled it is so from the start, unless
    /// it is a shield. `deadline` is for clean-up.
    pub fn new(kind: Kind, parent: Option<Arc<Scope>>, deadline: Option<Instant>) -> Self {
        let scope = Arc::new(Scope::new(kind, parent, deadline));
        if let Some(parent) = &scope.parent
            && kind != Kind::Shield
        {
            let mut children = parent.children.lock();
            // Relaxed: under the lock, as is the store of ASKED: either that came before, or the canceller
            // finds us in the list.
            if parent.state.load(Ordering::Relaxed) != LIVE {
                // Relaxed: nobody else has it yet, and the lock gives it to others.
                scope.state.store(CANCELLED, Ordering::Relaxed);
            }
            scope.place.store(children.len(), Ordering::Relaxed);
            children.push(scope.clone());
        }
        let mut this = Self { scope, is_holding: false };
        if kind == Kind::Shield {
            this.hold();
        }
        this
    }

    /// The scope.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// Holds up all around it, to the first shield, until this is dropped: none of them is cut before. A
    /// shield does so from the start.
    pub fn hold(&mut self) {
        if !mem::replace(&mut self.is_holding, true) {
            self.scope.hold_those_around();
        }
    }
}

impl Inside {
    /// Leaves its parent: no cancel comes here any more.
    fn leave(&self) {
        let Some(parent) = &self.scope.parent else { return };
        if self.scope.kind == Kind::Shield {
            return;
        }
        let mut children = parent.children.lock();
        // Relaxed, all of `place`: under the parent's lock.
        let place = self.scope.place.load(Ordering::Relaxed);
        let left = children.swap_remove(place);
        debug_assert!(Arc::ptr_eq(&left, &self.scope), "each knows its place");
        if let Some(moved) = children.get(place) {
            moved.place.store(place, Ordering::Relaxed);
        }
        drop(children);
        drop(left);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.leave();
        self.scope.forget_waker();
        if self.is_holding {
            self.scope.let_go();
        }
    }
}

thread_local! {
    /// The scope whose code runs on this thread. Points to what `enter` borrows.
    static CURRENT: Cell<*const Arc<Scope>> = const { Cell::new(ptr::null()) };
}

/// Runs `f` inside a scope: then that is this thread's [`current`].
pub fn enter<R>(scope: &Arc<Scope>, f: impl FnOnce() -> R) -> R {
    struct Restore(*const Arc<Scope>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.with(|current| current.set(self.0));
        }
    }
    let _restore = Restore(CURRENT.with(|current| current.replace(scope)));
    f()
}

/// Lends the scope whose code runs on this thread. `None` where there is no boundary or shield, though
/// there may be a task.
#[inline]
pub fn with_current<R>(f: impl FnOnce(Option<&Arc<Scope>>) -> R) -> R {
    let current = CURRENT.with(Cell::get);
    // SAFETY: `enter` borrows what it points to, and puts the former one back before it returns or unwinds,
    // so what stands here is borrowed further up this thread's stack.
    f(unsafe { current.as_ref() })
}

/// The scope whose code runs on this thread.
pub fn current() -> Option<Arc<Scope>> {
    with_current(|current| current.cloned())
}

/// Whether there is a boundary directly around the code that runs on this thread.
#[inline]
pub fn is_bounded() -> bool {
    with_current(|current| current.is_some_and(|scope| scope.kind == Kind::Boundary))
}

/// Whether the code that runs on this thread is in a scope that is cancelled. A task that has no boundaries
/// and was not asked to end has none.
#[inline]
pub fn here_is_cancelled() -> bool {
    with_current(|current| current.is_some_and(|scope| scope.is_cancelled()))
}
