//! What a group's body and children hold of it: spawning, limiting, cancelling.

use super::BoxError;
use super::child::{Child, Ending, Fallible, Infallible};
use super::child_handle::ChildHandle;
use super::core::Core;
use super::start::{Ready, Start};
use filch_atomic::sync::Arc;
use filch_sched::task::{Builder, Meta};
use std::fmt;
use std::future::Future;

/// A group of tasks that are over when the group is. See [`group`](super::group()), which makes it.
///
/// A handle: its clones are the same group. Children that have one may spawn, also while the body is over and
/// the group waits for its children. In a group that is cancelled, has failed, or is over, nothing begins: what
/// is spawned there is dropped, and its handle is never ready.
#[derive(Clone)]
#[doc(alias = "nursery")]
#[doc(alias = "JoinSet")]
#[doc(alias = "CoroutineScope")]
pub struct TaskGroup(Arc<Core>);

impl TaskGroup {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self(core)
    }

    /// Spawns a child. If it gives an error, or panics, the group has failed: all others are cancelled.
    ///
    /// An error may be of any type that can be boxed. That the child was cancelled ([`Cancelled`], also boxed or
    /// in an [`std::io::Error`]) is no failure.
    ///
    /// [`Cancelled`]: filch_sched::scope::Cancelled
    ///
    /// # Cancel safety
    ///
    /// A child is cancelled gracefully, as by [`JoinHandle::cancel`](filch_sched::task::JoinHandle::cancel): it
    /// is polled at least once. Only a child that waits for room ([`limit`](Self::limit)) never begins.
    #[track_caller]
    #[doc(alias = "create_task")]
    #[doc(alias = "start_soon")]
    pub fn spawn<T, E, F>(&self, future: F) -> ChildHandle<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.spawn_as::<Fallible, F>(future, Meta::here())
    }

    /// Spawns a child that cannot fail, but by a panic.
    #[track_caller]
    pub fn spawn_ok<F>(&self, future: F) -> ChildHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.spawn_as::<Infallible, F>(future, Meta::here())
    }

    /// Spawns a child that tells when it is ready, and waits for that.
    ///
    /// `make` gets a [`Ready`], and gives the child's future. What the child [sets](Ready::set) there is what
    /// awaiting this gives. Then it goes on as any other child.
    ///
    /// ```
    /// # use filch_structured::group;
    /// # filch_sched::run(filch_sched::Config::default(), |_| Ok(filch_sched::ThreadPark::new()), async {
    /// let served = group(async |g| {
    ///     let port = g.start(|ready| async move {
    ///         ready.set(8080);
    ///         // .. and serves.
    ///         Ok::<_, std::io::Error>(())
    ///     });
    ///     Ok(port.await?)
    /// });
    /// assert_eq!(served.await.unwrap(), 8080);
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// That of the child, if it ends before; [`NotReady`](super::NotReady) if it ends without one;
    /// [`Cancelled`](filch_sched::scope::Cancelled) if it was cancelled. The error is the caller's: the group has
    /// not failed. A panic is a failure of the group (under a supervisor, this gives `Cancelled` then). An error that came
    /// before this was dropped, and that nobody was given, is the group's.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the child is ready, this cancels the child. In a group where nothing begins any more it is
    /// never ready.
    ///
    /// # Deadlocks
    ///
    /// As for [`ChildHandle`]: where nothing begins any more, who waits behind a shield waits for ever.
    #[track_caller]
    pub fn start<V, T, E, M, F>(&self, make: M) -> Start<V>
    where
        M: FnOnce(Ready<V>) -> F,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<BoxError> + 'static,
        V: Send + 'static,
    {
        Start::new(self, make, Meta::here())
    }

    /// The same group, to spawn a child there that has a name: the name is in its errors, and wherever tasks are
    /// shown.
    ///
    /// ```
    /// # use filch_structured::group;
    /// # filch_sched::run(filch_sched::Config::default(), |_| Ok(filch_sched::ThreadPark::new()), async {
    /// let failed = group(async |g| {
    ///     g.named("fetch").spawn(async { Err::<(), _>("refused") });
    ///     Ok(())
    /// });
    /// let error = failed.await.unwrap_err();
    /// assert_eq!(error.iter().next().unwrap().name(), Some("fetch"));
    /// # }).unwrap();
    /// ```
    pub fn named(&self, name: impl Into<Box<str>>) -> Named<'_> {
        Named { group: self, name: Builder::new().name(name) }
    }

    /// Cancels the group: its children and its body, gracefully. Once; when it is over, this does nothing.
    ///
    /// That is no failure. The group waits for its children and then gives the body's output; if the body was
    /// cut before it had one, an error that [is cancelled](super::GroupError::is_cancelled), or `None`
    /// ([`Group::or_none`](super::Group::or_none)).
    pub fn cancel(&self) {
        self.0.end(false);
    }

    /// Whether the group is cancelled or has failed, so that nothing begins in it.
    #[doc(alias = "is_cancelled")]
    pub fn is_ending(&self) -> bool {
        self.0.is_ending()
    }

    /// Has at most `limit` children run at a time from now on. Those that are spawned beyond that begin as
    /// others end, in the order in which they were spawned; those that run already are not stopped.
    ///
    /// Spawning never waits: it is no different from before, and code that is not async can do it. Whoever makes
    /// children without end has to see for himself that they do not pile up, with a
    /// semaphore around the spawn, say.
    ///
    /// # Panics
    ///
    /// If it is 0.
    ///
    /// # Deadlocks
    ///
    /// A child that waits for another one of the same group keeps its place meanwhile. With all places taken by
    /// such children nothing goes on.
    #[doc(alias = "CapacityLimiter")]
    #[doc(alias = "buffer_unordered")]
    pub fn limit(&self, limit: usize) {
        assert!(limit > 0, "a limit of 0 children lets none run");
        self.0.limit(limit);
    }

    /// How many children are not over, those that wait for room among them. A group that was dropped in this one, and
    /// whose children are not over, counts as one.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all children are over, also those of groups that were dropped in this one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.0
    }

    pub(super) fn spawn_as<K, F>(&self, future: F, meta: Meta) -> ChildHandle<K::Value>
    where
        K: Ending<F::Output, Value: Send + 'static> + 'static,
        F: Future + Send + 'static,
    {
        let Some(place) = self.0.enter() else { return ChildHandle::refused() };
        let child = Child::<F, K>::new(future, self.0.clone(), place);
        ChildHandle::new(self.0.spawner.spawn(child, meta), self.0.clone())
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("location", &format_args!("{}", self.0.location))
            .field("children", &self.len())
            .field("ending", &self.is_ending())
            .finish()
    }
}

/// A [`TaskGroup`] in which a child with a name is spawned.
#[derive(Debug)]
#[must_use = "a name alone spawns nothing"]
pub struct Named<'a> {
    group: &'a TaskGroup,
    name: Builder,
}

impl Named<'_> {
    /// As [`TaskGroup::spawn`].
    #[track_caller]
    pub fn spawn<T, E, F>(self, future: F) -> ChildHandle<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.group.spawn_as::<Fallible, F>(future, self.name.meta())
    }

    /// As [`TaskGroup::spawn_ok`].
    #[track_caller]
    pub fn spawn_ok<F>(self, future: F) -> ChildHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.group.spawn_as::<Infallible, F>(future, self.name.meta())
    }

    /// As [`TaskGroup::start`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn start<V, T, E, M, F>(self, make: M) -> Start<V>
    where
        M: FnOnce(Ready<V>) -> F,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<BoxError> + 'static,
        V: Send + 'static,
    {
        Start::new(self.group, make, self.name.meta())
    }
}
