//! A waker that does as a test says.

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

type Hook = Box<dyn Fn() + Send + Sync>;

/// What a waker does when it is cloned, woken and dropped, for a test of those who hold it: wakers are
/// anybody's code, and may panic, block, or call back.
///
/// ```
/// use filch_testkit::Hooks;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let clones = Arc::new(AtomicU32::new(0));
/// let counter = clones.clone();
/// let waker = Hooks::new().on_clone(move || drop(counter.fetch_add(1, Ordering::Relaxed))).waker();
/// drop(waker.clone());
/// assert_eq!(clones.load(Ordering::Relaxed), 1);
/// ```
#[derive(Default)]
pub struct Hooks {
    clone: Option<Hook>,
    wake: Option<Hook>,
    drop: Option<Hook>,
}

impl Hooks {
    /// A waker that does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Run before each clone is made.
    #[must_use]
    pub fn on_clone(self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self { clone: Some(Box::new(hook)), ..self }
    }

    /// Run at each wake.
    #[must_use]
    pub fn on_wake(self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self { wake: Some(Box::new(hook)), ..self }
    }

    /// Run when a waker is dropped that was not woken by value: a clone, or the first of them.
    #[must_use]
    pub fn on_drop(self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self { drop: Some(Box::new(hook)), ..self }
    }

    /// The waker.
    pub fn waker(self) -> Waker {
        let data = Arc::into_raw(Arc::new(self)).cast();
        // SAFETY: the table below keeps the contract of `RawWakerVTable`: each waker is one count of the `Arc`,
        // whose hooks are `Send` and `Sync`.
        unsafe { Waker::from_raw(RawWaker::new(data, &TABLE)) }
    }

    /// Takes over the count that a waker is.
    ///
    /// # Safety
    ///
    /// `data` is of a waker made here, and the caller has its count.
    unsafe fn of(data: *const ()) -> Arc<Self> {
        // SAFETY: it came out of an `Arc`, in `waker`.
        unsafe { Arc::from_raw(data.cast()) }
    }
}

fn run(hook: &Option<Hook>) {
    if let Some(hook) = hook {
        hook();
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the waker that is cloned keeps its count.
        let hooks = ManuallyDrop::new(unsafe { Hooks::of(data) });
        run(&hooks.clone);
        RawWaker::new(Arc::into_raw(Arc::clone(&hooks)).cast(), &TABLE)
    },
    // SAFETY: the waker is used up, and its count with it, also when the hook panics.
    |data| run(&unsafe { Hooks::of(data) }.wake),
    // SAFETY: the waker keeps its count.
    |data| run(&ManuallyDrop::new(unsafe { Hooks::of(data) }).wake),
    // SAFETY: as for waking.
    |data| run(&unsafe { Hooks::of(data) }.drop),
);

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}
