//! The values of context variables: a map that is shared, and replaced as a whole.

use super::super::id::with_current;
use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;
// Not the switched atomics: it decides nothing but whether to look.
use std::sync::atomic::{AtomicBool, Ordering};

/// A value, of whichever type its variable has.
pub(super) type Value = Arc<dyn Any + Send + Sync>;

/// What variables are set, and to what. A clone costs one step of a counter.
#[derive(Clone)]
pub(crate) struct Context(Arc<Map>);

/// In no order: there are few. Never empty.
struct Map(Vec<(usize, Value)>);

/// Whether any variable was ever set in this process. Until then no spawn looks further.
static IN_USE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The context of code that is in no task: a thread's own, and the main future's.
    static OUTSIDE: RefCell<Option<Context>> = const { RefCell::new(None) };
}

impl Context {
    /// The context of the code that runs here.
    #[inline]
    pub(in crate::task) fn here() -> Option<Self> {
        // Relaxed: a thread that has set one, or was given a task by one that had, sees it.
        if IN_USE.load(Ordering::Relaxed) { Self::here_if_any() } else { None }
    }

    #[cold]
    fn here_if_any() -> Option<Self> {
        // SAFETY: this code runs in that task.
        with_current(|task| unsafe { task.attached.context() })
            .unwrap_or_else(|| OUTSIDE.try_with(|outside| outside.borrow().clone()).ok().flatten())
    }

    /// Makes another one the context of the code that runs here. Returns the former.
    pub(super) fn exchange(context: Option<Self>) -> Option<Self> {
        if context.is_some() {
            // Relaxed: as in `here`.
            IN_USE.store(true, Ordering::Relaxed);
        }
        let mut context = Some(context);
        let mut new = || context.take().expect("it is asked for once");
        // SAFETY: as in `here_if_any`.
        with_current(|task| unsafe { task.attached.exchange(new()) }).unwrap_or_else(|| {
            // On a thread on its way out there is none, and none stays.
            OUTSIDE.try_with(|outside| outside.replace(new())).ok().flatten()
        })
    }

    /// What the variable is set to.
    pub(super) fn get(&self, variable: usize) -> Option<&Value> {
        self.0.0.iter().find(|(key, _)| *key == variable).map(|(_, value)| value)
    }

    /// `context` with the variable set to `value`, or not set.
    pub(super) fn with(
        context: Option<&Self>,
        variable: usize,
        value: Option<Value>,
    ) -> Option<Self> {
        let others = context.into_iter().flat_map(|context| &context.0.0);
        let others = others.filter(|(key, _)| *key != variable).cloned();
        let map: Vec<_> = others.chain(value.map(|value| (variable, value))).collect();
        (!map.is_empty()).then(|| Self(Arc::new(Map(map))))
    }

    /// Whether they are one and the same.
    pub(super) fn is_same(one: Option<&Self>, other: Option<&Self>) -> bool {
        match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(&one.0, &other.0),
            _ => false,
        }
    }

    #[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
    pub(in crate::task) fn of_one(variable: usize, value: Value) -> Self {
        Self(Arc::new(Map(vec![(variable, value)])))
    }

    /// As a pointer, for [`from_raw`](Self::from_raw).
    pub(in crate::task) fn into_raw(self) -> *const () {
        Arc::into_raw(self.0).cast()
    }

    /// Back from a pointer.
    ///
    /// # Safety
    ///
    /// From [`into_raw`](Self::into_raw), whose share this one has.
    pub(in crate::task) unsafe fn from_raw(pointer: *const ()) -> Self {
        // SAFETY: by the caller's word.
        Self(unsafe { Arc::from_raw(pointer.cast()) })
    }
}

/// Gives this thread, where it runs no task, the context of the code that runs here, in a task or not; and the one
/// it had when this is dropped. For a future that a thread runs to its end, as no part of what it is in the midst
/// of.
#[cfg(not(filch_loom))]
pub(crate) struct KeepOutside(Option<Context>);

#[cfg(not(filch_loom))]
impl KeepOutside {
    pub(crate) fn new() -> Self {
        let here = Context::here();
        Self(OUTSIDE.try_with(|outside| outside.replace(here)).ok().flatten())
    }
}

#[cfg(not(filch_loom))]
impl Drop for KeepOutside {
    fn drop(&mut self) {
        let kept = self.0.take();
        // Dropped outside of the place: that is code of the user's.
        drop(OUTSIDE.try_with(|outside| outside.replace(kept)));
    }
}
