//! A value that is made once, by the first who needs it.

use filch_atomic::cell::UnsafeCell;
use filch_atomic::current::{self, WaitKind};
use filch_atomic::sync::Mutex;
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::blocking::{self, block_on};
use crate::wait_list::{Attempt, Left, Site, WaitList, Waiter, wake, wake_batches};

/// A place for one value, which is made by whoever needs it first, asynchronously.
///
/// ```
/// # pollster::block_on(async {
/// use filch_sync::OnceCell;
///
/// static CONFIG: OnceCell<String> = OnceCell::new();
///
/// async fn config() -> &'static str {
///     CONFIG.get_or_init(async || "read from a file".to_owned()).await
/// }
/// assert_eq!(config().await, "read from a file");
/// assert_eq!(config().await, CONFIG.get().unwrap());
/// # });
/// ```
///
/// # Fairness
///
/// One initialiser runs at a time, within the task that brought it. If it does not come to its end, the one
/// that has waited longest runs next. Once the value is there, all who wait have it.
///
/// # Cost
///
/// A value that is there costs a load. Waiting allocates nothing.
///
/// # Deadlocks
///
/// An initialiser that is neither polled nor dropped keeps all others waiting; so does one that asks the
/// same cell for its value.
#[doc(alias = "Lazy")]
#[doc(alias = "OnceLock")]
pub struct OnceCell<T> {
    is_set: AtomicBool,
    /// The runner's until `is_set`; then everybody reads it, and nobody writes.
    value: UnsafeCell<Option<T>>,
    line: Mutex<Line>,
}

struct Line {
    /// Somebody runs an initialiser, or is about to; or the value is there.
    taken: bool,
    waiting: WaitList<()>,
}

impl Line {
    fn waiting(&mut self) -> &mut WaitList<()> {
        &mut self.waiting
    }
}

// SAFETY: the value moves with it.
unsafe impl<T: Send> Send for OnceCell<T> {}
// SAFETY: the value is put there by one thread (`Send`) and then read by many at once (`Sync`); `is_set`
// says when.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

impl<T> OnceCell<T> {
    const_unless_modelled! {
        /// An empty cell.
        pub fn new() -> Self {
            Self {
                is_set: AtomicBool::new(false),
                value: UnsafeCell::new(None),
                line: Mutex::new(Line { taken: false, waiting: WaitList::new() }),
            }
        }
    }

    /// The value, if it is there.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.is_set() {
            return None;
        }
        // SAFETY: it is set, so nobody writes the value until nobody lends `self`.
        self.value.with(|value| unsafe { (*value).as_ref() })
    }

    /// The value of a cell that nobody else has.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: `&mut self`. A runner would borrow it, and so would have gone.
        self.value.with_mut(|value| unsafe { (*value).as_mut() })
    }

    /// Takes the value out of a cell that nobody else has.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Whether the value is there.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `Runner::set`: the value is seen.
        self.is_set.load(Ordering::Acquire)
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// Gives it back if there is one already, or somebody is making one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        let mut line = self.line.lock();
        if line.taken {
            drop(line);
            let is_set = self.is_set();
            return Err(SetError { value, is_set });
        }
        line.taken = true;
        drop(line);
        Runner { cell: self }.set(value);
        Ok(())
    }

    /// The value; made by `init`, if it is not there and nobody else makes it.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the line. Dropped while its `init` runs, it drops that, sets nothing,
    /// and the next in line runs its own.
    ///
    /// # Panics
    ///
    /// If `init` does. The next in line runs its own.
    #[track_caller]
    pub fn get_or_init<'a, F, I>(
        &'a self,
        init: F,
    ) -> impl Future<Output = &'a T> + use<'a, T, F, I>
    where
        F: FnOnce() -> I,
        I: Future<Output = T>,
    {
        let init = || async { Ok::<T, Infallible>(init().await) };
        let value = self.get_or_try_init_at(Location::caller(), init);
        async move {
            match value.await {
                Ok(value) => value,
                Err(never) => match never {},
            }
        }
    }

    /// As [`get_or_init`](Self::get_or_init), with an `init` that may fail.
    ///
    /// # Errors
    ///
    /// Those of `init`. The cell is as empty as before, and the next in line runs its own.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_init`](Self::get_or_init).
    #[track_caller]
    pub fn get_or_try_init<'a, E, F, I>(
        &'a self,
        init: F,
    ) -> impl Future<Output = Result<&'a T, E>> + use<'a, T, E, F, I>
    where
        F: FnOnce() -> I,
        I: Future<Output = Result<T, E>>,
    {
        self.get_or_try_init_at(Location::caller(), init)
    }

    fn get_or_try_init_at<'a, E, F, I>(
        &'a self,
        location: &'static Location<'static>,
        init: F,
    ) -> impl Future<Output = Result<&'a T, E>> + use<'a, T, E, F, I>
    where
        F: FnOnce() -> I,
        I: Future<Output = Result<T, E>>,
    {
        let turn =
            Turn { cell: self, waiter: Waiter::new(), site: Site::at(WaitKind::Other, location) };
        async move {
            let Some(runner) = turn.await else {
                return Ok(self.get().expect("nobody runs, so it is set"));
            };
            let value = init().await?;
            Ok(runner.set(value))
        }
    }

    /// [`get_or_init`](Self::get_or_init) on a thread that runs no async code, with an `init` that is none.
    ///
    /// # Panics
    ///
    /// If `init` does; in a task of filch.
    #[track_caller]
    pub fn blocking_get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        blocking::check();
        if let Some(value) = self.get() {
            return value;
        }
        block_on(self.get_or_init(|| async { init() }))
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        assert!(cell.set(value).is_ok(), "the cell is new");
        cell
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceCell").field(&self.get()).finish()
    }
}

/// A value that was not needed: [`OnceCell::set`] gives it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetError<T> {
    value: T,
    is_set: bool,
}

impl<T> SetError<T> {
    /// Whether there was a value already; otherwise somebody is making one.
    pub fn is_set(&self) -> bool {
        self.is_set
    }

    /// What was not needed.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.is_set {
            true => "the cell is set already",
            false => "somebody is making the cell's value",
        })
    }
}

impl<T: fmt::Debug> Error for SetError<T> {}

/// The right to set the value. Dropped without doing so, it goes to the next in line.
struct Runner<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<'a, T> Runner<'a, T> {
    fn set(self, value: T) -> &'a T {
        let cell = self.cell;
        std::mem::forget(self);
        // SAFETY: `Line::taken` makes us the only one to write, and nobody reads before `is_set`. The slot was
        // empty, so nothing of the user's is dropped.
        cell.value.with_mut(|slot| unsafe { *slot = Some(value) });
        // Release: pairs with the Acquire in `is_set`.
        cell.is_set.store(true, Ordering::Release);
        let mut line = cell.line.lock();
        // Still taken: nobody runs any more.
        line.waiting.release_all();
        wake_batches(&cell.line, line, |line, batch| {
            line.waiting.release_leaving(batch, |()| {});
        });
        cell.get().expect("it was just set")
    }
}

impl<T> Drop for Runner<'_, T> {
    fn drop(&mut self) {
        let mut line = self.cell.line.lock();
        let next = line.waiting.pop_front();
        line.taken = next.is_some();
        drop(line);
        if let Some(next) = next {
            wake(next);
        }
    }
}

pin_project! {
    /// Waits for the value or the right to make it: none if it is there.
    struct Turn<'a, T> {
        cell: &'a OnceCell<T>,
        #[pin]
        waiter: Waiter<()>,
        site: Site,
    }

    impl<T> PinnedDrop for Turn<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.waiter.is_idle() {
                return;
            }
            let left = this.cell.line.lock().waiting.remove(this.waiter);
            // Released and not set: it was our turn to run, which goes to the next.
            if let Left::Released(()) = left && !this.cell.is_set() {
                drop(Runner { cell: this.cell });
            }
        }
    }
}

impl<'a, T> Future for Turn<'a, T> {
    type Output = Option<Runner<'a, T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let cell: &'a OnceCell<T> = this.cell;
        if this.waiter.is_idle() && cell.is_set() {
            return current::poll_proceed(cx).map(|()| None);
        }
        let attempt = |line: &mut Line| {
            if line.taken && !cell.is_set() {
                return Attempt::Wait(());
            }
            line.taken = true;
            Attempt::Granted(())
        };
        this.waiter.poll_in(cx, &cell.line, Line::waiting, attempt, || this.site.note(cell)).map(
            |()| {
                // Set before we were released, or never by anybody but us.
                if cell.is_set() { None } else { Some(Runner { cell }) }
            },
        )
    }
}
