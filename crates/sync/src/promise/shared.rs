//! A promise for several.

use filch_atomic::cell::UnsafeCell;
use filch_atomic::current::{self, WaitKind};
use filch_atomic::sync::atomic::{AtomicU8, Ordering};
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;

use super::{Abandoned, TryGetError, Unwanted};
use crate::blocking::block_on;
use crate::crowd::Crowd;
use crate::wait_list::Site;

/// Nobody knows yet. Only the setter leaves this.
const PENDING: u8 = 0;
/// The value is there, and stays as it is.
const FULFILLED: u8 = 1;
/// There will be no value.
const ABANDONED: u8 = 2;

/// A promise that any number may await, and the setter that fulfils it. All get the same value, by reference.
///
/// ```
/// # pollster::block_on(async {
/// let (setter, promise) = filch_sync::shared_promise();
/// let another = promise.clone();
/// setter.set("hello".to_owned()).unwrap();
/// assert_eq!(promise.get().await.unwrap(), "hello");
/// assert_eq!(another.get().await.unwrap(), "hello");
/// # });
/// ```
///
/// For one awaiter, who gets the value itself, there is [`promise`](super::promise()).
#[doc(alias = "Shared")]
pub fn shared_promise<T>() -> (SharedSetter<T>, SharedPromise<T>) {
    let shared = Arc::new(Shared {
        outcome: AtomicU8::new(PENDING),
        value: UnsafeCell::new(None),
        promises: Crowd::new(1),
    });
    (SharedSetter { shared: shared.clone() }, SharedPromise { shared })
}

struct Shared<T> {
    outcome: AtomicU8,
    /// The setter's until the outcome is known; then everybody reads it, and nobody writes.
    value: UnsafeCell<Option<T>>,
    /// How many promises there are. Who awaits one waits here; or, when there are none, the setter that wants
    /// to know.
    promises: Crowd<usize>,
}

// SAFETY: the value moves with it.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: the value is put there by one thread (`Send`) and then read by many at once (`Sync`); the outcome
// says when.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn outcome(&self) -> u8 {
        // Acquire: pairs with the Release in `SharedSetter::end`: the value is seen.
        self.outcome.load(Ordering::Acquire)
    }

    /// Waits until the outcome is known.
    async fn known(&self, site: Site) {
        if self.outcome() == PENDING {
            let look = |_: &mut usize| (self.outcome() != PENDING).then_some(());
            self.promises.until(site, look).await;
        } else {
            poll_fn(current::poll_proceed).await;
        }
    }

    fn look(&self) -> Result<&T, TryGetError> {
        match self.outcome() {
            PENDING => Err(TryGetError::Pending),
            ABANDONED => Err(TryGetError::Abandoned),
            _ => {
                // SAFETY: the outcome is known, so nobody writes the value until nobody lends `self`.
                let value = self.value.with(|value| unsafe { (*value).as_ref() });
                Ok(value.expect("a promise that is fulfilled has a value"))
            }
        }
    }
}

/// Fulfils a [`SharedPromise`], once. Made by [`shared_promise`].
///
/// Dropped without a value, it abandons the promise, whose awaiters get [`Abandoned`].
#[doc(alias = "Sender")]
pub struct SharedSetter<T> {
    shared: Arc<Shared<T>>,
}

impl<T> SharedSetter<T> {
    /// Fulfils the promise.
    ///
    /// # Errors
    ///
    /// Gives the value back if nobody has the promise any more.
    #[doc(alias = "send")]
    #[doc(alias = "set_result")]
    pub fn set(self, value: T) -> Result<(), Unwanted<T>> {
        // With the lock held: so nobody drops the last promise in between.
        let promises = self.shared.promises.lock();
        if *promises == 0 {
            drop(promises);
            return Err(Unwanted { value });
        }
        // SAFETY: the outcome is not known, so the value is the setter's; and the slot was empty, so nothing
        // of the user's is dropped here.
        self.shared.value.with_mut(|slot| unsafe { *slot = Some(value) });
        // Release: pairs with the Acquire in `outcome`.
        self.shared.outcome.store(FULFILLED, Ordering::Release);
        promises.wake_all();
        Ok(())
    }

    /// Whether nobody has the promise any more, so that nobody would get a value.
    #[doc(alias = "cancelled")]
    pub fn is_closed(&self) -> bool {
        *self.shared.promises.lock() == 0
    }

    /// Waits until nobody has the promise any more: for work that is of no use then.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = ()> + use<'_, T> {
        let site = Site::here(WaitKind::Other);
        self.shared.promises.until(site, |promises| (*promises == 0).then_some(()))
    }
}

impl<T> Drop for SharedSetter<T> {
    fn drop(&mut self) {
        // Relaxed: only this setter changes it.
        if self.shared.outcome.load(Ordering::Relaxed) == PENDING {
            let promises = self.shared.promises.lock();
            // Release: pairs with the Acquire in `outcome`.
            self.shared.outcome.store(ABANDONED, Ordering::Release);
            promises.wake_all();
        }
    }
}

impl<T> fmt::Debug for SharedSetter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSetter").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// A value that somebody has promised to several. Made by [`shared_promise`].
///
/// # Fairness
///
/// All who wait are woken at once, in the order in which they came.
///
/// # Cost
///
/// Finding the value there is one load. Waiting for it allocates nothing.
#[doc(alias = "asyncio.Future")]
#[doc(alias = "Future")]
#[doc(alias = "Shared")]
pub struct SharedPromise<T> {
    shared: Arc<Shared<T>>,
}

impl<T> SharedPromise<T> {
    /// Waits for the value, which stays in the promise.
    ///
    /// # Errors
    ///
    /// If the setter was dropped without one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing, and disturbs no other awaiter.
    #[doc(alias = "recv")]
    #[track_caller]
    pub fn get(&self) -> impl Future<Output = Result<&T, Abandoned>> + use<'_, T> {
        let site = Site::here(WaitKind::Other);
        async move {
            self.shared.known(site).await;
            self.shared.look().map_err(|_| Abandoned)
        }
    }

    /// The value, if it is there.
    ///
    /// # Errors
    ///
    /// If it is not there yet, or never will be.
    #[doc(alias = "result")]
    pub fn try_get(&self) -> Result<&T, TryGetError> {
        self.shared.look()
    }

    /// Waits on a thread that runs no async code.
    ///
    /// # Errors
    ///
    /// If the setter was dropped without a value.
    ///
    /// # Panics
    ///
    /// In a task of filch.
    #[track_caller]
    pub fn blocking_get(&self) -> Result<&T, Abandoned> {
        block_on(self.get())
    }

    /// Whether the outcome is known: awaiting it would not wait.
    #[doc(alias = "done")]
    pub fn is_done(&self) -> bool {
        self.shared.outcome() != PENDING
    }
}

impl<T> Clone for SharedPromise<T> {
    fn clone(&self) -> Self {
        *self.shared.promises.lock() += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for SharedPromise<T> {
    fn drop(&mut self) {
        let mut promises = self.shared.promises.lock();
        *promises -= 1;
        if *promises == 0 {
            promises.wake_all();
        }
    }
}

impl<T> fmt::Debug for SharedPromise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPromise").field("done", &self.is_done()).finish_non_exhaustive()
    }
}
