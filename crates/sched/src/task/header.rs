//! What every task has, whatever its future: reached through one pointer, laid out the same for
//! all.

use super::attached::Attached;
use super::owned::Links;
use super::state::State;
use super::vars::Context;
use super::{AskedBy, Name, Polled, TaskId};
use filch_atomic::cell::UnsafeCell;
use filch_atomic::current::{WaitKind, WaitRecord};
use filch_atomic::scope::Scope;
use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicPtr, Ordering};
use std::mem::MaybeUninit;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::task::Waker;

/// What the spawner knows of a task.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Its number.
    pub id: TaskId,
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// Where in the user's source it was spawned.
    pub location: &'static Location<'static>,
}

impl Meta {
    /// A fresh number, no name, spawned where this is called.
    #[track_caller]
    pub fn here() -> Self {
        Self { id: TaskId::next(), name: None, location: Location::caller() }
    }
}

/// The part of a task that does not depend on its future. First in its cell, so a pointer to it is
/// a pointer to the cell; opaque outside this module.
#[repr(C)]
pub struct Header {
    /// Bits and reference count.
    pub(super) state: State,
    /// How to do what depends on the future and the scheduler.
    pub(super) vtable: &'static Vtable,
    /// Its neighbours in the owned list. Protected by that list's lock.
    pub(super) links: UnsafeCell<Links>,
    /// What the task waits for, as its leaves noted it.
    pub(super) wait: WaitRecord,
    /// The task's cancel scope. Null until there is a first boundary in it, or a cancel: whoever is first
    /// makes it, and it stays.
    scope: AtomicPtr<Arc<Scope>>,
    /// Where it was spawned.
    pub(super) location: &'static Location<'static>,
    /// Its number.
    pub(super) id: TaskId,
    /// Its name and its context.
    pub(super) attached: Attached,
    /// Whom to wake at the end. `JOIN_WAKER` and `COMPLETE` say whose it is.
    pub(super) join_waker: UnsafeCell<MaybeUninit<Waker>>,
}

/// Everything but the pointer to the scheduler and the future. Those added, a task whose future has
/// up to 72 bytes (80 if the compiler finds room in it to tell it from its output) is within 184
/// bytes, which with the allocator's own word makes 192. A wait for an event is such a future.
#[cfg(all(not(any(filch_loom, filch_shuttle)), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Header>() == 96 && align_of::<Header>() == 8);

/// What the future's and the scheduler's types decide.
///
/// Every function takes a pointer to the header of a live cell of the types that the table was made
/// for.
pub(super) struct Vtable {
    /// What its handle is on record as.
    pub(super) waited_for: WaitKind,
    /// Polls or cancels the task whose `Task` the caller had. True if the caller has it again.
    /// While it is polled, it is shown in the place given.
    pub(super) run: unsafe fn(NonNull<Header>, &Polled) -> bool,
    /// Hands the task, whose `Task` the caller has, to its scheduler.
    pub(super) schedule: unsafe fn(NonNull<Header>),
    /// Tells the scheduler that the task was asked to end, and not idle. The caller has a reference.
    pub(super) asked: unsafe fn(NonNull<Header>),
    /// Moves the output of a complete task to the `Option<Result<T, Failure>>` behind the second
    /// pointer; leaves `None` if it was taken before. For the handle only.
    pub(super) take_output: unsafe fn(NonNull<Header>, NonNull<()>),
    /// Whether the output of a complete task is that it was ended with its runtime. For the handle only.
    pub(super) was_shut_down: unsafe fn(NonNull<Header>) -> bool,
    /// Drops the output of a complete task, if it is still there, and reports what it had to tell; and gives up the
    /// reference of its handle. For that only.
    pub(super) let_go: unsafe fn(NonNull<Header>),
    /// From now on the end of the runtime asks the task to end. The caller has a reference.
    pub(super) disown: unsafe fn(NonNull<Header>),
    /// Frees the cell, whose last reference the caller gave up.
    pub(super) free: unsafe fn(NonNull<Header>),
}

impl Header {
    /// Its context is that of the code that runs here: the spawner's.
    pub(super) fn new(vtable: &'static Vtable, meta: Meta, asked_by: AskedBy) -> Self {
        Self {
            state: State::new(asked_by),
            vtable,
            links: UnsafeCell::new(Links::unlinked()),
            wait: WaitRecord::new(),
            scope: AtomicPtr::new(ptr::null_mut()),
            location: meta.location,
            id: meta.id,
            attached: Attached::new(meta.name, Context::here()),
            join_waker: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Whether the task was asked to end, or is ended. The end of the runtime marks a child, too, but it is its parent
    /// that asks it: not before that.
    pub(crate) fn is_cancelled(&self) -> bool {
        let state = self.state.load();
        let is_asked = state.is_to_end() && state.asked_by() != AskedBy::Parent;
        let is_told = || self.scope_if_any().is_some_and(|scope| scope.is_cancelled());
        is_asked || state.is_cancelled() || is_told()
    }

    /// Whether the task is to end, and its next poll knows it.
    pub(crate) fn is_to_end(&self) -> bool {
        self.state.load().is_to_end()
    }

    /// Whether the task was woken since its poll began.
    pub(crate) fn is_woken(&self) -> bool {
        self.state.load().is_notified()
    }

    /// Its name.
    pub(super) fn name(&self) -> Option<&str> {
        self.attached.text()
    }

    /// Whether it keeps its runtime waiting: because nobody has asked it to end, or something in it holds that up.
    pub(super) fn is_held_up(&self) -> bool {
        let scope = self.scope_if_any().filter(|scope| scope.is_due());
        match self.asked_by() {
            AskedBy::Nobody => true,
            AskedBy::Runtime => scope.is_some_and(|scope| scope.is_held()),
            AskedBy::Parent | AskedBy::ShieldedParent => scope.is_none_or(|scope| scope.is_held()),
        }
    }

    /// Who asks it to end when the runtime ends.
    pub(crate) fn asked_by(&self) -> AskedBy {
        self.state.load().asked_by()
    }

    /// Whether it comes to its end, there and then, because its runtime does.
    pub(super) fn is_shut_down(&self) -> bool {
        let state = self.state.load();
        let is_due = || self.scope_if_any().is_some_and(|scope| scope.is_due());
        state.is_shutdown() && (state.is_cancelled() || is_due())
    }

    /// Frees the task's cancel scope. Not a destructor: that would be a call of its own at each end of a task.
    ///
    /// # Safety
    ///
    /// The cell is being freed: nobody can reach the header any more.
    #[inline(always)]
    pub(super) unsafe fn free_scope(&self) {
        // Relaxed: whoever frees the cell has seen every use of it (pairs with `State::release`).
        let scope = self.scope.load(Ordering::Relaxed);
        if !scope.is_null() {
            #[cold]
            #[inline(never)]
            fn free(scope: *mut Arc<Scope>) {
                // SAFETY: from `Box::into_raw` (`scope`), and nobody looks at it again.
                drop(unsafe { Box::from_raw(scope) });
            }
            free(scope);
        }
    }

    /// The task's cancel scope, if it has one by now.
    pub(crate) fn scope_if_any(&self) -> Option<&Arc<Scope>> {
        // Acquire: pairs with the exchange in `scope`.
        let scope = self.scope.load(Ordering::Acquire);
        // SAFETY: from `Box::into_raw` (`scope`), and freed with the cell only (`free_scope`).
        unsafe { scope.as_ref() }
    }

    /// The task's cancel scope.
    pub(crate) fn scope(&self) -> &Arc<Scope> {
        if let Some(scope) = self.scope_if_any() {
            return scope;
        }
        let made = Box::into_raw(Box::new(Scope::of_task()));
        // Release: publishes the scope, pairs with `scope_if_any`. Acquire, on failure: pairs with the Release
        // of whoever was first.
        let set =
            self.scope.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire);
        match set {
            // SAFETY: as in `scope_if_any`.
            Ok(_) => unsafe { &*made },
            Err(theirs) => {
                // SAFETY: just made, and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: as in `scope_if_any`.
                unsafe { &*theirs }
            }
        }
    }
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header")
            .field("id", &self.id)
            .field("name", &self.name())
            .field("location", &self.location)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Gives up one reference to the task at `header`, and frees the cell if it was the last.
///
/// # Safety
///
/// The caller has a reference, and does not use it any more.
pub(super) unsafe fn release(header: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the cell alive up to here.
    let last = unsafe { header.as_ref() }.state.release();
    if last {
        // SAFETY: the last reference is gone, so nobody else can reach the cell.
        unsafe { free(header) };
    }
}

/// Frees the cell at `header`.
///
/// # Safety
///
/// Its last reference is given up.
pub(super) unsafe fn free(header: NonNull<Header>) {
    // SAFETY: nobody else can reach the cell; it is live until the call below ends it.
    let vtable = unsafe { header.as_ref() }.vtable;
    // SAFETY: the table is of this cell's types, and the caller gave up the last reference.
    unsafe { (vtable.free)(header) };
}
