//! Where code runs: the scopes around it, those that are made and those that can be.

use super::{Inside, Kind, Scope};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::thread_local;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::iter;
use std::ptr;
use std::task::Waker;
use std::time::Instant;

thread_local! {
    /// The innermost frame of this thread. Points to a local of `run`.
    static CURRENT: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// One scope, or one place for a scope, that code runs in. On the stack, while it does.
struct Frame {
    outer: *const Frame,
    place: Place,
}

enum Place {
    /// Of a task, a boundary or a shield.
    Scope(*const Arc<Scope>),
    Region(*const Region, RawLimit),
}

impl Frame {
    fn outer(&self) -> Option<&Frame> {
        // SAFETY: who made this frame is further down the stack than who made that one (`run`).
        unsafe { self.outer.as_ref() }
    }

    /// The scope. `Err` with the region and its limit if it is one.
    fn scope(&self) -> Result<&Arc<Scope>, (&Region, &RawLimit)> {
        match &self.place {
            // SAFETY: borrowed by `enter`, which is further up the stack while the frame can be found.
            Place::Scope(scope) => Ok(unsafe { &**scope }),
            // SAFETY: borrowed by `Region::enter`, as above. That has it by `&mut`, and lends it through
            // nothing but frames meanwhile, which are shared references all.
            Place::Region(region, limit) => Err((unsafe { &**region }, limit)),
        }
    }

    /// The scope, of a region if it has one.
    fn made(&self) -> Option<&Arc<Scope>> {
        match self.scope() {
            Ok(scope) => Some(scope),
            Err((region, _)) => region.inside.get().map(Inside::scope),
        }
    }
}

/// Puts the frame that was current back, whatever happens meanwhile.
struct Restore(*const Frame);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.0));
    }
}

/// Runs `f` with `place` around it.
#[inline]
fn run<R>(place: Place, f: impl FnOnce() -> R) -> R {
    let frame = Frame { outer: CURRENT.with(Cell::get), place };
    let _restore = Restore(frame.outer);
    CURRENT.with(|current| current.set(&raw const frame));
    f()
}

/// Runs `f` inside a scope: then that is this thread's [`current`].
#[inline]
pub fn enter<R>(scope: &Arc<Scope>, f: impl FnOnce() -> R) -> R {
    run(Place::Scope(scope), f)
}

/// Runs `f` outside of all scopes: what a thread does for others in the midst of code that is in one.
pub fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore(CURRENT.with(|current| current.replace(ptr::null())));
    f()
}

/// Lends the innermost frame.
#[inline]
fn with_frame<R>(f: impl FnOnce(Option<&Frame>) -> R) -> R {
    let current = CURRENT.with(Cell::get);
    // SAFETY: `run` puts the former one back before it returns or unwinds, so what stands here is a local
    // of a `run` further up this thread's stack.
    f(unsafe { current.as_ref() })
}

/// Lends the scope whose code runs on this thread, regions not counted: they are nobody's who waits. `None`
/// where there is no boundary or shield, though there may be a task.
#[inline]
pub fn with_current<R>(f: impl FnOnce(Option<&Arc<Scope>>) -> R) -> R {
    with_frame(|mut frame| {
        while let Some(here) = frame {
            if let Ok(scope) = here.scope() {
                return f(Some(scope));
            }
            frame = here.outer();
        }
        f(None)
    })
}

/// The scope whose code runs on this thread, regions not counted.
pub fn current() -> Option<Arc<Scope>> {
    with_current(|current| current.cloned())
}

/// Lends the scope that keeps what runs on this thread from beginning anything: that of the innermost region that is
/// over, or else the one that [`with_current`] lends.
pub(super) fn with_refusing<R>(f: impl FnOnce(Option<&Arc<Scope>>) -> R) -> R {
    with_frame(|mut frame| {
        while let Some(here) = frame {
            match here.scope() {
                Ok(scope) => return f(Some(scope)),
                Err((region, _)) => {
                    if let (true, Some(inside)) = (region.is_over.get(), region.inside.get()) {
                        return f(Some(inside.scope()));
                    }
                    frame = here.outer();
                }
            }
        }
        f(None)
    })
}

/// Whether what keeps it from that is a region without a scope: found to be over in the midst of this poll, and
/// dropped at the end of it, or given a scope. So who is refused is to be polled again at once.
pub fn is_refused_in_passing() -> bool {
    with_frame(|mut frame| {
        while let Some(here) = frame {
            match here.scope() {
                Ok(_) => return false,
                // One that is closed goes down with what is around it, and has no end of its own.
                Err((region, _)) if region.is_over.get() && !region.is_closed.get() => {
                    return region.inside.get().is_none();
                }
                Err(_) => frame = here.outer(),
            }
        }
        false
    })
}

/// The scope whose code runs on this thread, regions counted: one that has no scope yet is given one. `root` is
/// asked for what is around all of them, the task's.
pub fn around(root: impl FnOnce() -> Option<Arc<Scope>>) -> Option<Arc<Scope>> {
    fn of(
        frame: Option<&Frame>,
        root: &mut dyn FnMut() -> Option<Arc<Scope>>,
    ) -> Option<Arc<Scope>> {
        let Some(here) = frame else { return root() };
        match here.scope() {
            Ok(scope) => Some(scope.clone()),
            Err((region, _)) => Some(region.make(|| of(here.outer(), root)).clone()),
        }
    }
    let mut root = Some(root);
    with_frame(|frame| of(frame, &mut || root.take().and_then(|root| root())))
}

/// Whether there is a boundary directly around the code that runs on this thread.
#[inline]
pub fn is_bounded() -> bool {
    with_current(|current| current.is_some_and(|scope| scope.kind == Kind::Boundary))
}

/// Whether the code that runs on this thread is to end: it is in a scope that is cancelled or for which that was
/// [announced](Scope::announce), or in a region that is over. `None` if nothing around it says so, and only its task
/// can tell.
#[inline]
pub fn is_cancelled_here() -> Option<bool> {
    asks_here(Scope::is_to_end)
}

/// Whether the code that runs on this thread is in a scope that is cancelled, or in a region that is over. A task
/// that has no boundaries and was not asked to end has none.
#[inline]
pub fn here_is_cancelled() -> bool {
    asks_here(Scope::is_cancelled).unwrap_or(false)
}

#[inline]
fn asks_here(ask: impl Fn(&Scope) -> bool) -> Option<bool> {
    with_frame(|mut frame| {
        while let Some(here) = frame {
            match here.scope() {
                Ok(scope) => return Some(ask(scope)),
                Err((region, _)) if region.is_over.get() => return Some(true),
                Err(_) => frame = here.outer(),
            }
        }
        None
    })
}

/// Whether a cancel from outside does not reach the code that runs on this thread: there is a shield around it.
pub fn is_shielded_here() -> bool {
    with_current(|current| {
        let mut next = current;
        while let Some(scope) = next {
            if scope.kind == Kind::Shield {
                return true;
            }
            next = scope.parent.as_ref();
        }
        false
    })
}

/// Whether something that the code which runs here is in, up to the first shield, ends at `moment` or has been
/// cancelled before: something whose end comes here. A boundary that was begun elsewhere is not in what it is polled in
/// now. A region of which that is found to be so is over from now on. `None` if only the task can tell.
pub fn ends_around(moment: Instant) -> Option<bool> {
    with_frame(|mut frame| {
        while let Some(here) = frame {
            match here.scope() {
                Ok(scope) if scope.is_cancelled() => return Some(true),
                Ok(scope) if !matches!(scope.kind, Kind::Boundary | Kind::Members) => {
                    return Some(false);
                }
                Ok(scope) => {
                    let Some(parent) = &scope.parent else { return None };
                    let is_parent =
                        |place: &&Frame| place.made().is_some_and(|made| Arc::ptr_eq(made, parent));
                    frame = iter::successors(here.outer(), |here| here.outer()).find(is_parent);
                    if frame.is_none() {
                        return parent.is_cancelled_or_shielded();
                    }
                    continue;
                }
                Err((region, limit)) => {
                    // SAFETY: borrowed by `Region::enter`, further up the stack.
                    let ends = || unsafe { (limit.ends_by)(limit.of, region.begun.get(), moment) };
                    if region.is_over.get() || ends() {
                        region.is_over.set(true);
                        return Some(true);
                    }
                }
            }
            frame = here.outer();
        }
        None
    })
}

/// Tells the regions around this code, however far out, that it is now `now`. For one who has looked at the clock to
/// begin to count: who is around it and has not begun to, began no later.
pub fn begin_around(now: Instant) {
    with_frame(|mut frame| {
        while let Some(here) = frame {
            if let Err((region, _)) = here.scope()
                && region.begun.get().is_none()
            {
                region.begun.set(Some(now));
            }
            frame = here.outer();
        }
    });
}

/// What bounds a [`Region`] in time.
pub trait Ends {
    /// Whether it ends at `moment` at the latest, having [begun](Region::begun) when that says. Then it cannot be put
    /// off any more.
    fn ends_by(&self, begun: Option<Instant>, moment: Instant) -> bool;
}

/// No bound.
impl Ends for () {
    fn ends_by(&self, _: Option<Instant>, _: Instant) -> bool {
        false
    }
}

/// How to ask an [`Ends`] of any type.
struct RawLimit {
    of: *const (),
    /// With a pointer to what it was made for, alive.
    ends_by: unsafe fn(*const (), Option<Instant>, Instant) -> bool,
}

impl RawLimit {
    fn new<T: Ends>(of: &T) -> Self {
        unsafe fn ends_by<T: Ends>(of: *const (), begun: Option<Instant>, moment: Instant) -> bool {
            // SAFETY: the caller's word: made of a `&T` in `new`, and that is still good.
            unsafe { &*of.cast::<T>() }.ends_by(begun, moment)
        }
        Self { of: ptr::from_ref(of).cast(), ends_by: ends_by::<T> }
    }
}

/// A part of what a task does that can be ended by itself: a timeout's, an arm of a race. It is a place for a
/// scope, which is made when a boundary or a shield inside, or whatever else has to know, asks for what is
/// [`around`] it; most never are.
///
/// Who waits in it is in the scope around it: when the region ends, that is dropped.
pub struct Region {
    inside: OnceCell<Inside>,
    is_over: Cell<bool>,
    /// Its end is left to those around it.
    is_closed: Cell<bool>,
    /// Its owner has begun to end it.
    is_ended: Cell<bool>,
    /// When something inside first began to count time.
    begun: Cell<Option<Instant>>,
}

// SAFETY: of a shared region nothing can be asked. Its cells are reached through `&mut`, and through the frames
// of `enter`, which has that and stays on its thread.
unsafe impl Sync for Region {}

impl Region {
    /// One without a scope.
    pub const fn new() -> Self {
        Self {
            inside: OnceCell::new(),
            is_over: Cell::new(false),
            is_closed: Cell::new(false),
            is_ended: Cell::new(false),
            begun: Cell::new(None),
        }
    }

    /// Runs `f` inside it. `limit`: when it ends.
    #[inline]
    pub fn enter<R>(&mut self, limit: &impl Ends, f: impl FnOnce() -> R) -> R {
        run(Place::Region(self, RawLimit::new(limit)), f)
    }

    /// It is over, but nobody is told: that is left to whoever ends what is around it. An operation does not begin in
    /// it any more, and a scope that is made for it now is cancelled from the start.
    pub fn close(&mut self) {
        self.is_over.set(true);
        self.is_closed.set(true);
    }

    /// Ends it: what is in it is told, innermost first, and whatever begins in it begins cancelled. Once.
    ///
    /// # Panics
    ///
    /// With the panic of a waker, when all is done.
    pub fn end(&mut self) {
        self.is_over.set(true);
        self.is_ended.set(true);
        if let Some(scope) = self.scope() {
            // Release: pairs with the Acquire in `set_cut`.
            scope.is_ended.store(true, Ordering::Release);
            scope.cancel();
        }
    }

    /// Has `waker` woken when what is around it is cancelled, and as an operation that was refused there: when there is a
    /// shield inside that, or it is gone. For one that is [closed](Self::close), outside of it. `around`: the scope
    /// that it is in.
    pub fn wait_outside(&mut self, around: impl FnOnce() -> Option<Arc<Scope>>, waker: &Waker) {
        if is_refused_in_passing() {
            return waker.wake_by_ref();
        }
        let scope = self.make(around);
        scope.register(waker);
        scope.was_refused();
    }

    /// What was in it is gone. Operations that were refused in it may begin elsewhere now, and are told.
    ///
    /// # Panics
    ///
    /// With the panic of a waker, when all is done.
    pub fn vacate(&mut self) {
        if let Some(inside) = self.inside.get() {
            inside.vacate();
        }
    }

    /// Whether it is [closed](Self::close) or has ended, or was found to be at its end by one inside it ([`ends_around`]).
    pub fn is_over(&mut self) -> bool {
        self.is_over.get()
    }

    /// Whether its owner has begun to [end](Self::end) it.
    pub fn is_ended(&mut self) -> bool {
        self.is_ended.get()
    }

    /// When something inside first [began](begin_around) to count time: it had begun by then.
    pub fn begun(&mut self) -> Option<Instant> {
        self.begun.get()
    }

    /// Its scope, if it was asked for.
    pub fn scope(&mut self) -> Option<&Arc<Scope>> {
        self.inside.get().map(Inside::scope)
    }

    fn make(&self, parent: impl FnOnce() -> Option<Arc<Scope>>) -> &Arc<Scope> {
        let made = self.inside.get_or_init(|| {
            let inside = Inside::new(Kind::Region, parent(), None);
            if self.is_over.get() {
                inside.scope().cancel();
            }
            inside
        });
        made.scope()
    }
}

impl Default for Region {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Region { .. }")
    }
}
