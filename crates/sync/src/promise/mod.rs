#![doc = include_str!("README.md")]

mod cell;
mod error;
mod shared;

use cell::{CLOSED, Cell, DONE, End, VALUE};
use filch_atomic::current::{self, WaitKind};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, ready};

use crate::blocking::block_on;

pub use error::{Abandoned, TryGetError, Unwanted};
pub use shared::{SharedPromise, SharedSetter, shared_promise};

/// A promise, and the setter that fulfils it: a value that is given once, by one task or thread, and awaited
/// by another.
///
/// ```
/// use filch_sync::promise;
///
/// let (setter, promise) = promise();
/// std::thread::spawn(move || setter.set("hello"));
/// assert_eq!(promise.blocking_get(), Ok("hello"));
/// ```
///
/// For several that await the same value there is [`shared_promise`].
#[doc(alias = "oneshot")]
#[doc(alias = "channel")]
#[track_caller]
pub fn promise<T>() -> (Setter<T>, Promise<T>) {
    let cell = Cell::allocate(Location::caller());
    (Setter { cell, _owns: PhantomData }, Promise { cell: Some(cell), _owns: PhantomData })
}

/// Fulfils a [`Promise`], once. Made by [`promise`].
///
/// Dropped without a value, it abandons the promise, whose awaiter gets [`Abandoned`].
///
/// # Cost
///
/// Fulfilling takes no lock, allocates nothing, and is one or two atomic operations and a wake.
#[doc(alias = "Sender")]
#[doc(alias = "Future")]
pub struct Setter<T> {
    cell: NonNull<Cell<T>>,
    _owns: PhantomData<T>,
}

// SAFETY: the value goes from one thread to the other through the cell (README), and so do wakers.
unsafe impl<T: Send> Send for Setter<T> {}
// SAFETY: `&Setter` shows the state word only.
unsafe impl<T: Send> Sync for Setter<T> {}

impl<T> Setter<T> {
    /// Fulfils the promise.
    ///
    /// # Errors
    ///
    /// Gives the value back if the promise was dropped. If this is `Ok`, it may still be dropped before the
    /// value is taken; the value is dropped with it.
    #[doc(alias = "send")]
    #[doc(alias = "set_result")]
    #[doc(alias = "fulfil")]
    pub fn set(self, value: T) -> Result<(), Unwanted<T>> {
        let cell = self.cell;
        mem::forget(self);
        // SAFETY: the setter is used up, and has not ended before. It does not touch the cell after `end`
        // was true; where that is false, the value was written and is nobody else's.
        unsafe {
            cell.as_ref().write(value);
            if cell::end(cell, End::Setter, VALUE, CLOSED) {
                return Ok(());
            }
            let value = cell.as_ref().read();
            cell::end(cell, End::Setter, 0, 0);
            Err(Unwanted { value })
        }
    }

    /// Whether the promise was dropped, so that nobody would get a value.
    #[doc(alias = "cancelled")]
    pub fn is_closed(&self) -> bool {
        // SAFETY: the cell is there until both ends have left.
        unsafe { self.cell.as_ref() }.state() & CLOSED != 0
    }

    /// Waits until the promise is dropped: for work that is of no use then.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let (mut setter, promise) = filch_sync::promise::<u32>();
    /// drop(promise);
    /// setter.closed().await;
    /// assert_eq!(setter.set(1).unwrap_err().into_inner(), 1);
    /// # });
    /// ```
    #[doc(alias = "cancellation")]
    #[track_caller]
    pub fn closed(&mut self) -> PromiseDropped<'_, T> {
        PromiseDropped { location: Location::caller(), setter: self, waits: false }
    }
}

impl<T> Drop for Setter<T> {
    fn drop(&mut self) {
        // SAFETY: it has not ended, or it would have been forgotten.
        unsafe { cell::end(self.cell, End::Setter, 0, 0) };
    }
}

impl<T> fmt::Debug for Setter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setter")
            .field("closed", &self.is_closed())
            // SAFETY: the cell is there until both ends have left.
            .field("made", &format_args!("{}", unsafe { self.cell.as_ref() }.made))
            .finish_non_exhaustive()
    }
}

/// The future of [`Setter::closed`].
#[must_use = "nothing is waited for unless this is awaited"]
pub struct PromiseDropped<'a, T> {
    setter: &'a mut Setter<T>,
    location: &'static Location<'static>,
    /// It was polled, and so may have its waker in the cell.
    waits: bool,
}

impl<T> Future for PromiseDropped<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let cell = self.setter.cell;
        self.waits = true;
        // SAFETY: the setter is borrowed, and so has not ended.
        if unsafe { cell.as_ref().poll_end(End::Setter, cx) }.is_pending() {
            current::note_wait(WaitKind::Other, cell.as_ptr().addr(), self.location);
            return Poll::Pending;
        }
        current::poll_proceed(cx)
    }
}

impl<T> Drop for PromiseDropped<'_, T> {
    fn drop(&mut self) {
        if self.waits {
            // SAFETY: the setter is borrowed, and so has not ended.
            drop(unsafe { self.setter.cell.as_ref().withdraw(End::Setter) });
        }
    }
}

impl<T> fmt::Debug for PromiseDropped<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromiseDropped").field("setter", &self.setter).finish()
    }
}

/// A value that somebody has promised. Awaiting it gives the value, or [`Abandoned`]. Made by [`promise`].
///
/// # Cancel safety
///
/// `(&mut promise).await` may be dropped at any time: the value is there for the next. Dropping the promise
/// itself says that nobody wants the value.
///
/// # Fairness
///
/// There is one awaiter, so nobody to be fair to.
///
/// # Cost
///
/// One allocation for both ends. Waiting takes no lock; a value that is there is taken by a load.
///
/// # Panics
///
/// Polled again after it gave its outcome.
///
/// ```
/// # pollster::block_on(async {
/// use filch_sync::{Abandoned, promise};
///
/// let (setter, promise) = promise();
/// setter.set(7).unwrap();
/// assert_eq!(promise.await, Ok(7));
///
/// let (setter, promise) = filch_sync::promise::<u32>();
/// drop(setter);
/// assert_eq!(promise.await, Err(Abandoned));
/// # });
/// ```
#[doc(alias = "Receiver")]
#[doc(alias = "asyncio.Future")]
#[doc(alias = "oneshot")]
#[doc(alias = "Future")]
#[must_use = "dropping a promise says that nobody wants the value"]
pub struct Promise<T> {
    /// None when its outcome was taken.
    cell: Option<NonNull<Cell<T>>>,
    _owns: PhantomData<T>,
}

// SAFETY: as for `Setter`.
unsafe impl<T: Send> Send for Promise<T> {}
// SAFETY: as for `Setter`.
unsafe impl<T: Send> Sync for Promise<T> {}
// Nothing in it is pinned.
impl<T> Unpin for Promise<T> {}

impl<T> Promise<T> {
    /// The value, if it is there.
    ///
    /// # Errors
    ///
    /// If it is not there yet, or never will be.
    ///
    /// # Panics
    ///
    /// If the outcome was taken already.
    #[doc(alias = "try_recv")]
    #[doc(alias = "result")]
    pub fn try_get(&mut self) -> Result<T, TryGetError> {
        // SAFETY: the cell is there until both ends have left.
        let state = unsafe { self.cell().as_ref() }.state();
        if state & DONE == 0 {
            return Err(TryGetError::Pending);
        }
        self.take(state).map_err(|Abandoned| TryGetError::Abandoned)
    }

    /// Waits on a thread that runs no async code.
    ///
    /// # Errors
    ///
    /// If the setter was dropped.
    ///
    /// # Panics
    ///
    /// If the outcome was taken already; in a task of filch.
    #[doc(alias = "blocking_recv")]
    #[track_caller]
    pub fn blocking_get(self) -> Result<T, Abandoned> {
        block_on(self)
    }

    /// Whether the outcome is known: awaiting it would not wait.
    #[doc(alias = "done")]
    pub fn is_done(&self) -> bool {
        // SAFETY: the cell is there until both ends have left.
        self.cell.is_none_or(|cell| unsafe { cell.as_ref() }.state() & DONE != 0)
    }

    #[track_caller]
    fn cell(&self) -> NonNull<Cell<T>> {
        self.cell.expect("the outcome of a promise is taken once")
    }

    /// Takes the outcome. The state says that there is one.
    fn take(&mut self, state: u8) -> Result<T, Abandoned> {
        let cell = self.cell();
        self.cell = None;
        // SAFETY: `cell` was there, so we have not ended; now it is not.
        unsafe { cell::take(cell, state) }.ok_or(Abandoned)
    }
}

impl<T> Future for Promise<T> {
    type Output = Result<T, Abandoned>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let cell = self.cell();
        // SAFETY: we have not ended, or there would be no cell; it stays until we do.
        let Poll::Ready(state) = (unsafe { cell.as_ref().poll_end(End::Promise, cx) }) else {
            // SAFETY: as above.
            let made = unsafe { cell.as_ref() }.made;
            current::note_wait(WaitKind::Other, cell.as_ptr().addr(), made);
            return Poll::Pending;
        };
        // What is there stays there until the task has its next turn (S6).
        ready!(current::poll_proceed(cx));
        Poll::Ready(self.take(state))
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell {
            // SAFETY: it has not ended, or there would be no cell.
            unsafe { cell::end(cell, End::Promise, 0, 0) };
        }
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Promise");
        debug.field("done", &self.is_done());
        if let Some(cell) = self.cell {
            // SAFETY: we have not ended, or there would be no cell.
            debug.field("made", &format_args!("{}", unsafe { cell.as_ref() }.made));
        }
        debug.finish_non_exhaustive()
    }
}
