//! Variables whose values go with the work: from a task to those that it spawns.

mod context;
mod scoped;

pub(crate) use context::Context;
#[cfg(not(filch_loom))]
pub(crate) use context::KeepOutside;
pub use scoped::Scoped;

use context::Value;
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

/// A variable that each task has its own value of, which the tasks that it spawns begin with.
///
/// It is for what goes with a piece of work, however many tasks do it, and is not worth an argument of every
/// function on the way: the number of the request, whose it is, how much to log.
///
/// ```
/// use filch_sched::task::ContextVar;
/// # use filch_sched::{Config, ThreadPark, run, spawn, task::Meta};
///
/// static REQUEST: ContextVar<u32> = ContextVar::new("request");
///
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let serve = async {
///     // In whatever is called, and in what that spawns.
///     let part = spawn(async { REQUEST.get() }, Meta::here());
///     part.await.unwrap()
/// };
/// assert_eq!(REQUEST.scope(7, serve).await, 7);
/// assert_eq!(REQUEST.try_get(), None);
/// # }).unwrap();
/// ```
///
/// A task, a blocking closure, a `shield`, a child of a group: each *inherits the values of the code that spawns
/// it*, as they are then. What it sets itself is its own: neither the spawner nor those spawned before see it.
/// (A `task_local!` is not inherited.) The main future and threads that run no task have values of their
/// own too; a future that a thread blocks on begins with the thread's, and leaves them as they were.
///
/// Declare it as a `static`, never as a `const`: the variable is known by its address.
///
/// # Cost
///
/// A spawn takes a share of the spawner's values: one step of a counter. While no variable was ever set in the
/// process it looks at one word. Setting copies the map of those that are set, which are meant to be few;
/// a future in a [`scope`](Self::scope) exchanges a pointer before and after each poll.
#[doc(alias = "contextvars")]
#[doc(alias = "task_local")]
pub struct ContextVar<T> {
    name: &'static str,
    default: Option<fn() -> T>,
    value: PhantomData<fn() -> T>,
}

/// What a [`ContextVar`] was before it was set: for [`ContextVar::reset`].
pub struct Token<T> {
    variable: usize,
    former: Option<Value>,
    value: PhantomData<fn() -> T>,
}

impl<T> ContextVar<T> {
    /// A variable that is not set. The name is for people.
    pub const fn new(name: &'static str) -> Self {
        Self { name, default: None, value: PhantomData }
    }

    /// A variable that is what `default` gives where it is not set.
    pub const fn with_default(name: &'static str, default: fn() -> T) -> Self {
        Self { name, default: Some(default), value: PhantomData }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    fn key(&'static self) -> usize {
        ptr::from_ref(self).addr()
    }
}

impl<T: Send + Sync + 'static> ContextVar<T> {
    /// Its value here.
    ///
    /// # Panics
    ///
    /// If it is not set and has no default: [`try_get`](Self::try_get) asks.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Its value here, or its default; `None` if it is not set and has none.
    pub fn try_get(&'static self) -> Option<T>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }

    /// As [`get`](Self::get), for a look at the value where it is.
    ///
    /// # Panics
    ///
    /// As for [`get`](Self::get).
    #[track_caller]
    pub fn with<R>(&'static self, look: impl FnOnce(&T) -> R) -> R {
        match self.try_with(look) {
            Some(seen) => seen,
            None => panic!("the context variable `{}` is not set here", self.name),
        }
    }

    /// As [`try_get`](Self::try_get), for a look at the value where it is.
    pub fn try_with<R>(&'static self, look: impl FnOnce(&T) -> R) -> Option<R> {
        // A share of the value: `look` may set it.
        let value = Context::here().and_then(|context| context.get(self.key()).cloned());
        match value {
            Some(value) => Some(look(of_type(&*value))),
            None => self.default.map(|default| look(&default())),
        }
    }

    /// Sets it from here on: to the end of the task, of the [scope](Self::scope) around, or until it is set again.
    /// Tasks that were spawned before do not see it.
    pub fn set(&'static self, value: T) -> Token<T> {
        Token { variable: self.key(), former: self.put(Some(Arc::new(value))), value: PhantomData }
    }

    /// Makes it what it was before the `set` that gave the token.
    ///
    /// *Here*, that is: by another task than that of the `set` it sets the variable in that task.
    ///
    /// # Panics
    ///
    /// If the token is another variable's.
    #[track_caller]
    pub fn reset(&'static self, token: Token<T>) {
        assert!(token.variable == self.key(), "the token is another variable's");
        drop(self.put(token.former));
    }

    /// Runs `future` with the variable set to `value`. Around it, it is what it was.
    ///
    /// What the future sets it to holds in there only. Other variables that it sets stay set.
    pub fn scope<F>(&'static self, value: T, future: F) -> Scoped<F>
    where
        F: Future,
    {
        Scoped::new(self.key(), Arc::new(value), future)
    }

    /// Runs `f` with the variable set to `value`, and makes it what it was, also if that panics.
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        struct Restore<T: Send + Sync + 'static>(&'static ContextVar<T>, Option<Value>);
        impl<T: Send + Sync + 'static> Drop for Restore<T> {
            fn drop(&mut self) {
                drop(self.0.put(self.1.take()));
            }
        }
        let _restore = Restore(self, self.put(Some(Arc::new(value))));
        f()
    }

    /// Sets it to this, or unsets it. Returns what it was.
    fn put(&'static self, value: Option<Value>) -> Option<Value> {
        let context = Context::here();
        let former = context.as_ref().and_then(|context| context.get(self.key()).cloned());
        let next = Context::with(context.as_ref(), self.key(), value);
        drop(Context::exchange(next));
        former
    }
}

fn of_type<T: 'static>(value: &(dyn Any + Send + Sync)) -> &T {
    value.downcast_ref().expect("a variable's address is its own, and its values are of its type")
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("was_set", &self.former.is_some()).finish_non_exhaustive()
    }
}
