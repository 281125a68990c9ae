#![doc = include_str!("README.md")]

mod cancel;
mod here;
mod leaf;
#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests;

pub use here::{
    Ends, Region, around, begin_around, current, ends_around, enter, here_is_cancelled, is_bounded,
    is_cancelled_here, is_refused_in_passing, is_shielded_here, outside, with_current,
};
pub use leaf::Leaf;

use crate::WakerCell;
use crate::panics::Panics;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Instant;
use std::{fmt, mem, ptr};

/// Nobody has cancelled it.
const LIVE: u8 = 0;
/// It is being cancelled: what begins in it is cancelled from the start, what is in it is being told.
const ASKED: u8 = 1;
/// All in it were told: it may be cut.
const CANCELLED: u8 = 2;
/// The same, of what began in a scope that was cancelled by then. Nobody has told it: it has seen for itself.
const BORN: u8 = 3;

/// How often a scope is polled once more because something in it was told, and nobody in it has acted since the last
/// time. More often than that only where somebody keeps a future that he does not poll, and wakes himself for ever.
const TURNS: usize = 1_000;

/// What a scope is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A task: the outermost scope of what it runs.
    Task,
    /// A boundary: a future that ends in place of what it holds when that is cancelled.
    Boundary,
    /// Members of a task, each in a boundary of its own, which somebody cancels together.
    Members,
    /// A shield: a cancel from outside stops here.
    Shield,
    /// A region: a part of what a task does that is ended by itself, a timeout's say.
    Region,
    /// A leaf: an operation that is waited for.
    Leaf,
}

/// One cancel scope.
pub struct Scope {
    state: AtomicU8,
    kind: Kind,
    /// How many in it, however deep but behind no other shield, hold it up.
    holds: AtomicUsize,
    /// How many leaves directly in it wait for the end of what was cancelled (the lower half), and how many
    /// began to, ever (the upper).
    ending: AtomicU64,
    /// Of a leaf that was told: it was polled since. One that was refused has nothing to do.
    has_acted: AtomicBool,
    /// Of a leaf: it is counted in `ending` of the scope that it is in.
    is_ending: AtomicBool,
    /// Of one that is cancelled: among the leaves in it may be some that were refused.
    has_refused: AtomicBool,
    /// Of a region: its owner ends it, and answers for what comes out of it.
    is_ended: AtomicBool,
    /// Of a region: a boundary in it was cut.
    has_cut: AtomicBool,
    /// Of a region: it is gone, and stays in its parent's list for what is in it. Under the lock of `children`.
    is_left: AtomicBool,
    /// Of members: some that can run have had no turn in this poll.
    has_more: AtomicBool,
    /// Of a task's: it will be cancelled as soon as whoever polls it comes to that.
    is_announced: AtomicBool,
    /// How often it was polled once more, and nobody has acted.
    turns: AtomicUsize,
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
            ending: AtomicU64::new(0),
            has_acted: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            has_refused: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            has_cut: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            has_more: AtomicBool::new(false),
            is_announced: AtomicBool::new(false),
            turns: AtomicUsize::new(0),
            waker: WakerCell::new(),
            deadline: deadline.or_else(|| parent.as_ref()?.deadline),
            parent,
            place: AtomicUsize::new(0),
            children: Mutex::new(Vec::new()),
        }
    }

    /// Whether it is cancelled, or about to be.
    pub fn is_cancelled(&self) -> bool {
        // Acquire: pairs with the Release in `ask`: what the canceller did before is visible.
        self.state.load(Ordering::Acquire) != LIVE
    }

    /// Says that it will be [cancelled](Self::cancel), for those who [ask](is_cancelled_here) meanwhile, and wakes
    /// nobody. Fit for a signal's handler: one store.
    pub fn announce(&self) {
        // Release: pairs with the Acquire in `is_announced`.
        self.is_announced.store(true, Ordering::Release);
    }

    /// Whether a cancel was announced of what is around it, to the first shield.
    fn is_announced(&self) -> bool {
        let mut scope = self;
        while scope.kind != Kind::Shield {
            let Some(parent) = &scope.parent else {
                // Acquire: pairs with `announce`.
                return scope.is_announced.load(Ordering::Acquire);
            };
            scope = parent;
        }
        false
    }

    /// Whether code in it that asks is to end: it is cancelled, or that was [announced](Self::announce).
    pub fn is_to_end(&self) -> bool {
        self.is_cancelled() || self.is_announced()
    }

    /// Whether it is cancelled, and all in it were told. For whoever polls it, after
    /// [`register`](Self::register) and *before* the poll of what it holds: only what it finds pending in a
    /// poll that began after that may be cut.
    pub fn is_due(&self) -> bool {
        // Acquire: pairs with the Release of CANCELLED in `tell`.
        self.state.load(Ordering::Acquire) >= CANCELLED
    }

    /// Whether shields or clean-up in it hold it up. Looked at after that poll.
    pub fn is_held(&self) -> bool {
        // Acquire: pairs with `let_go`.
        self.holds.load(Ordering::Acquire) != 0
    }

    /// `None` if leaves directly in it wait for the end of what was cancelled. Else something that stays the
    /// same as long as none begins to. Looked at before that poll *and* after it: what came to its end in
    /// between may not have been told to whoever waits for it.
    pub fn settled(&self) -> Option<u32> {
        // Acquire: pairs with `Leaf::over`.
        let ending = self.ending.load(Ordering::Acquire);
        (ending as u32 == 0).then_some((ending >> 32) as u32)
    }

    /// Whether something directly in it was told that it is cancelled, and has not acted upon it: a boundary has
    /// not given its error, a leaf was not polled. For whoever polls the scope, if that poll was cut short, by a
    /// combinator that takes turns or at the end of the task's budget: then it comes with the next one. Not more
    /// often than is good for anything: as long as some of them act, and a limited number of times more.
    pub fn has_unheard(&self) -> bool {
        // Relaxed: a count.
        self.holds_unheard() && self.turns.fetch_add(1, Ordering::Relaxed) < TURNS
    }

    /// Whoever polls the members of this scope says whether the end of its turn has kept some of them from theirs: they
    /// have not been heard then, though none of them may be a boundary.
    pub fn has_more(&self, has_more: bool) {
        // Relaxed: see `holds_unheard`.
        self.has_more.store(has_more, Ordering::Relaxed);
    }

    fn holds_unheard(&self) -> bool {
        let unheard = |child: &Arc<Self>| match child.kind {
            // Acquire: pairs with the Release in `tell`; all were told before this is asked.
            _ if child.state.load(Ordering::Acquire) != CANCELLED => false,
            // Relaxed: whoever polls it, polls the leaf.
            Kind::Leaf => !child.has_acted.load(Ordering::Relaxed),
            // Relaxed: whoever polls it, polls the members.
            Kind::Members if child.has_more.load(Ordering::Relaxed) => true,
            // It does nothing by itself, and stays: those in it count. Locked from the outside in.
            Kind::Region | Kind::Members => child.holds_unheard(),
            Kind::Task | Kind::Boundary | Kind::Shield => true,
        };
        self.children.lock().iter().any(unheard)
    }

    /// One in it that was told has acted: those around it, to the first shield, have not been polled for nothing. They are
    /// finite: what begins now was told by nobody.
    fn has_progress(&self) {
        let mut next = Some(self);
        while let Some(scope) = next {
            // Relaxed: a count.
            scope.turns.store(0, Ordering::Relaxed);
            next = if scope.kind == Kind::Shield { None } else { scope.parent.as_deref() };
        }
    }

    /// Tells the regions around this boundary that are cancelled that it is cut: what they come to now may not be what
    /// they were begun for. To the first shield, and to the first region that its own owner ends: he gives no output that
    /// came of it to those around him.
    pub fn note_cut(&self) {
        self.set_cut(true);
    }

    /// Takes that back: what they come to now is to be heard, whatever was cut.
    pub fn forget_cut(&self) {
        self.set_cut(false);
    }

    fn set_cut(&self, is_cut: bool) {
        let mut next = &self.parent;
        while let Some(scope) = next {
            // One that is live is not why something in it was cut.
            if scope.kind == Kind::Region && (!is_cut || scope.is_cancelled()) {
                // Release: pairs with `has_cut`, should it be polled elsewhere.
                scope.has_cut.store(is_cut, Ordering::Release);
                // Acquire: pairs with the Release in `Region::end`, which comes before what is cut for that.
                if is_cut && scope.is_ended.load(Ordering::Acquire) {
                    return;
                }
            }
            next = if scope.kind == Kind::Shield { &None } else { &scope.parent };
        }
    }

    /// Whether a boundary in this region was cut.
    pub fn has_cut(&self) -> bool {
        // Acquire: pairs with `note_cut`.
        self.has_cut.load(Ordering::Acquire)
    }

    /// Has `waker` woken when it is cancelled, or not held up any more. By one task at a time, which looks
    /// whether that is so *after* this.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Wakes whoever polls it, for a reason of the caller's. After that has come about: whoever
    /// [registers](Self::register) and then looks for it misses neither.
    pub fn wake(&self) {
        self.waker.wake();
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

    /// Ends what [`hold_those_around`](Self::hold_those_around) began, all of it, whatever wakers do.
    fn let_go(&self, panics: &mut Panics) {
        let mut next = &self.parent;
        while let Some(scope) = next {
            // Release: pairs with `is_held`: what was done under the hold comes before the cut.
            if scope.holds.fetch_sub(1, Ordering::AcqRel) == 1 {
                panics.caught(|| scope.look_again());
            }
            next = if scope.kind == Kind::Shield { &None } else { &scope.parent };
        }
    }

    /// Leaves its parent: no cancel comes here any more. A region with something in it stays, so that cancels from around
    /// come to that, and goes with the last of those: also with those around it that stayed for nothing else.
    fn leave(&self) {
        let mut scope = self;
        while let Some(parent) = &scope.parent
            && scope.kind != Kind::Shield
        {
            let mut siblings = parent.children.lock();
            if scope.kind == Kind::Region {
                // Locked from the outside in.
                let inside = scope.children.lock();
                if !inside.is_empty() {
                    // Relaxed, all of `is_left`: under this lock.
                    return scope.is_left.store(true, Ordering::Relaxed);
                }
            }
            // Relaxed, all of `place`: under the parent's lock.
            let place = scope.place.load(Ordering::Relaxed);
            let left = siblings.swap_remove(place);
            debug_assert!(ptr::eq(&raw const *left, scope), "each knows its place");
            if let Some(moved) = siblings.get(place) {
                moved.place.store(place, Ordering::Relaxed);
            }
            let is_last = siblings.is_empty() && parent.is_left.load(Ordering::Relaxed);
            if is_last {
                parent.is_left.store(false, Ordering::Relaxed);
            }
            drop(siblings);
            drop(left);
            // Relaxed: for those who poll it.
            if scope.kind != Kind::Region && scope.state.load(Ordering::Relaxed) == CANCELLED {
                parent.has_progress();
            }
            if !is_last {
                return;
            }
            scope = parent;
        }
    }

    /// Wakes it if it waits to be cut.
    fn look_again(&self) {
        // A read-modify-write, so that it has a place in the order of steps of this word: before one in
        // `tell`, which then sees what was done before (Release), and wakes; or after both.
        if self.state.fetch_or(0, Ordering::AcqRel) >= CANCELLED {
            self.waker.wake();
        }
    }
}

impl Drop for Scope {
    /// Those around it that are left to nobody else, one after the other: not by recursion, for how deep it goes is
    /// not for us to say.
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(scope) = next {
            next = Arc::try_unwrap(scope).ok().and_then(|mut scope| scope.parent.take());
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
                scope.state.store(BORN, Ordering::Relaxed);
            }
            scope.place.store(children.len(), Ordering::Relaxed);
            children.push(scope.clone());
        }
        let mut this = Self { scope, is_holding: false };
        if kind == Kind::Shield {
            this.hold();
            this.scope.welcome_refused();
        }
        this
    }

    /// The scope.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// What was in it is gone; it stays where it is. Leaves that were refused in it may begin elsewhere now, and
    /// are told.
    ///
    /// # Panics
    ///
    /// With the panic of a waker, when all is done.
    pub fn vacate(&self) {
        let mut panics = Panics::default();
        self.scope.wake_refused(&mut panics);
        panics.pass_on();
    }

    /// Holds up all around it, to the first shield, until this is dropped: none of them is cut before. A
    /// shield does so from the start.
    pub fn hold(&mut self) {
        if !mem::replace(&mut self.is_holding, true) {
            self.scope.hold_those_around();
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut panics = Panics::default();
        self.scope.leave();
        panics.caught(|| self.scope.forget_waker());
        if self.is_holding {
            self.scope.let_go(&mut panics);
        }
        self.scope.wake_refused(&mut panics);
        panics.pass_on();
    }
}
