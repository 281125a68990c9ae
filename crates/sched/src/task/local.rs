//! Values that a future carries along: tokio's task locals.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

/// Declares task locals: `static`s of type [`LocalKey`], each with a value only inside its
/// [`scope`](crate::task::LocalKey::scope).
///
/// ```
/// use filch_sched::task_local;
///
/// task_local! {
///     /// Whose request it is.
///     pub static USER: String;
///     static DEPTH: u32;
/// }
/// let outer = DEPTH.sync_scope(1, || DEPTH.sync_scope(2, || DEPTH.get()) + DEPTH.get());
/// assert_eq!(outer, 3);
/// assert!(USER.try_with(|user| user.len()).is_err());
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::task_local!($(#[$attribute])* $vis static $name: $type);
        $crate::task_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $vis:vis static $name:ident: $type:ty) => {
        $(#[$attribute])*
        $vis static $name: $crate::task::LocalKey<$type> = {
            ::std::thread_local! {
                static PLACE: ::std::cell::RefCell<::std::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }
            $crate::task::LocalKey::of(PLACE)
        };
    };
}

/// A task local, as [`task_local!`](crate::task_local) declares it.
///
/// The value belongs to the future that [`scope`](Self::scope) makes, and is in place while that is polled or
/// dropped, on whichever thread. A task that is spawned in there has none: [`ContextVar`](super::ContextVar)
/// is inherited.
pub struct LocalKey<T: 'static> {
    place: thread::LocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> LocalKey<T> {
    /// For the macro.
    #[doc(hidden)]
    pub const fn of(place: thread::LocalKey<RefCell<Option<T>>>) -> Self {
        Self { place }
    }

    /// Runs `future` with the value in place.
    ///
    /// # Panics
    ///
    /// When polled inside a [`with`](Self::with) of the same key.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture { key: self, value: Some(value), future: Some(future) }
    }

    /// Runs `f` with the value in place.
    ///
    /// # Panics
    ///
    /// Inside a [`with`](Self::with) of the same key, and with the panic of `f`.
    #[track_caller]
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        self.enter(&mut Some(value), f)
    }

    /// Looks at the value.
    ///
    /// # Panics
    ///
    /// Outside a scope of this key: [`try_with`](Self::try_with) asks.
    #[track_caller]
    pub fn with<R>(&'static self, look: impl FnOnce(&T) -> R) -> R {
        match self.try_with(look) {
            Ok(seen) => seen,
            Err(error) => panic!("{error}"),
        }
    }

    /// Looks at the value.
    ///
    /// # Errors
    ///
    /// Outside a scope of this key.
    pub fn try_with<R>(&'static self, look: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let seen = self.place.try_with(|place| place.borrow().as_ref().map(look));
        seen.ok().flatten().ok_or(AccessError(()))
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// Outside a scope of this key.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Runs `f` with what is in `slot` in place, and what was in place in `slot`.
    #[track_caller]
    fn enter<R>(&'static self, slot: &mut Option<T>, f: impl FnOnce() -> R) -> R {
        struct Leave<'a, T: 'static>(&'static LocalKey<T>, &'a mut Option<T>);
        impl<T: 'static> Drop for Leave<'_, T> {
            fn drop(&mut self) {
                self.0.swap(self.1);
            }
        }
        assert!(self.swap(slot), "a task local's value is looked at: its scope cannot be entered");
        let _leave = Leave(self, slot);
        f()
    }

    /// False if somebody looks at the value. (On a thread on its way out there is no place, and none is needed.)
    fn swap(&'static self, slot: &mut Option<T>) -> bool {
        let swap = |place: &RefCell<Option<T>>| match place.try_borrow_mut() {
            Ok(mut value) => {
                mem::swap(&mut *value, slot);
                true
            }
            Err(_) => false,
        };
        self.place.try_with(swap).unwrap_or(true)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("LocalKey { .. }")
    }
}

/// There is no value of a task local here: the code runs outside its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task local has no value here: this is outside its scope")
    }
}

impl Error for AccessError {}

/// The future that [`LocalKey::scope`] returns.
#[must_use = "it does nothing unless it is awaited"]
pub struct TaskLocalFuture<T: 'static, F> {
    key: &'static LocalKey<T>,
    /// The value, while the future is not polled.
    value: Option<T>,
    /// Pinned with the whole. `None` once it is over.
    future: Option<F>,
}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned when the whole is: it is never moved out of the reference got here, and
        // dropped in place, also in `Drop`; the type is not packed.
        let this = unsafe { self.get_unchecked_mut() };
        let future = &mut this.future;
        this.key.enter(&mut this.value, || {
            let running = future.as_mut().expect("it was polled after it had been ready");
            // SAFETY: as above.
            let polled = unsafe { Pin::new_unchecked(running) }.poll(cx);
            if polled.is_ready() {
                *future = None;
            }
            polled
        })
    }
}

/// What it carries does not matter to who moves it: the value is never pinned.
impl<T: 'static, F: Unpin> Unpin for TaskLocalFuture<T, F> {}

impl<T: 'static, F> Drop for TaskLocalFuture<T, F> {
    fn drop(&mut self) {
        let future = &mut self.future;
        if future.is_none() {
            return;
        }
        // Its destructors see the value, but where somebody looks at one: there it just goes.
        if self.key.swap(&mut self.value) {
            struct Leave<'a, T: 'static>(&'static LocalKey<T>, &'a mut Option<T>);
            impl<T: 'static> Drop for Leave<'_, T> {
                fn drop(&mut self) {
                    self.0.swap(self.1);
                }
            }
            let _leave = Leave(self.key, &mut self.value);
            *future = None;
        }
    }
}

impl<T: 'static, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").finish_non_exhaustive()
    }
}
