//! What went wrong in a group.

use super::BoxError;
use filch_atomic::sync::Mutex;
use filch_sched::scope::Cancelled;
use filch_sched::task::{Meta, TaskId};
use std::any::Any;
use std::error::Error;
use std::panic::Location;
use std::{fmt, io, mem};

/// What went wrong in a [`group`](super::group()): the error of each child that failed, and of the body, in the
/// order in which they came.
///
/// Displayed, it is a tree, with the name of each task and where it was spawned: the errors of a group in the
/// group are below it.
///
/// ```text
/// 2 errors in the group at src/main.rs:10:5
/// ├─ task 7 "fetch", spawned at src/main.rs:12:11: connection refused
/// └─ task 9, spawned at src/main.rs:13:11: 1 error in the group at src/fetch.rs:40:9
///    └─ the body: not found
/// ```
///
/// Groups in groups may go as deep as they like. From the 33rd level on the tree goes no further to the right, and each
/// line says how deep it is: `(33 deep)`.
///
/// It [is cancelled](Self::is_cancelled), and empty, where nothing went wrong but the body was cut.
#[doc(alias = "ExceptionGroup")]
#[doc(alias = "BaseExceptionGroup")]
pub struct GroupError {
    failures: Vec<Failure>,
    location: &'static Location<'static>,
}

impl GroupError {
    pub(super) fn new(location: &'static Location<'static>, failures: Vec<Failure>) -> Self {
        Self { failures, location }
    }

    /// Whether there is no error, only no output: the group was cancelled before its body had one.
    pub fn is_cancelled(&self) -> bool {
        self.failures.is_empty()
    }

    /// How many failed, a group in the group being one.
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// The same as [`is_cancelled`](Self::is_cancelled).
    pub fn is_empty(&self) -> bool {
        self.is_cancelled()
    }

    /// Where the group was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Those that failed, in order. A group in the group is one of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Failure> {
        self.failures.iter()
    }

    /// Takes out what is directly in it.
    pub(super) fn take(&mut self) -> Vec<Failure> {
        mem::take(&mut self.failures)
    }
}

impl IntoIterator for GroupError {
    type Item = Failure;
    type IntoIter = std::vec::IntoIter<Failure>;

    fn into_iter(mut self) -> Self::IntoIter {
        self.take().into_iter()
    }
}

impl<'a> IntoIterator for &'a GroupError {
    type Item = &'a Failure;
    type IntoIter = std::slice::Iter<'a, Failure>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Its display has all that is known, so it has no `source`.
impl Error for GroupError {}

/// One that failed: a child, or the body.
pub struct Failure {
    /// `None`: the body.
    task: Option<Meta>,
    cause: Cause,
}

impl Failure {
    pub(super) fn of(task: Option<Meta>, cause: impl Into<Cause>) -> Self {
        Self { task, cause: cause.into() }
    }

    pub(super) fn task(&self) -> Option<&Meta> {
        self.task.as_ref()
    }

    /// The child's number. `None` is the body.
    pub fn id(&self) -> Option<TaskId> {
        self.task.as_ref().map(|task| task.id)
    }

    /// The child's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.task.as_ref()?.name.as_deref()
    }

    /// Where the child was spawned. `None` is the body.
    pub fn spawn_location(&self) -> Option<&'static Location<'static>> {
        self.task.as_ref().map(|task| task.location)
    }

    /// The error.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        match &self.cause {
            Cause::Boxed(error) => &**error,
            #[cfg(feature = "anyhow")]
            Cause::Anyhow(error) => error.as_ref(),
        }
    }

    /// The error.
    pub fn into_error(self) -> BoxError {
        self.cause.into_boxed()
    }

    /// Whether the error is an `E`.
    pub fn is<E: Error + Send + Sync + 'static>(&self) -> bool {
        self.downcast_ref::<E>().is_some()
    }

    /// The error, if it is an `E`.
    pub fn downcast_ref<E: Error + Send + Sync + 'static>(&self) -> Option<&E> {
        match &self.cause {
            Cause::Boxed(error) => error.downcast_ref(),
            #[cfg(feature = "anyhow")]
            Cause::Anyhow(error) => error.downcast_ref(),
        }
    }

    /// The error, if it is an `E`.
    ///
    /// # Errors
    ///
    /// All of it, if it is not.
    pub fn downcast<E: Error + Send + Sync + 'static>(self) -> Result<E, Self> {
        let Self { task, cause } = self;
        match cause {
            Cause::Boxed(error) => match error.downcast() {
                Ok(error) => Ok(*error),
                Err(error) => Err(Self { task, cause: Cause::Boxed(error) }),
            },
            #[cfg(feature = "anyhow")]
            Cause::Anyhow(error) => {
                error.downcast().map_err(|error| Self { task, cause: Cause::Anyhow(error) })
            }
        }
    }

    /// The group in the group that this is.
    pub(super) fn into_group(self) -> Result<(Option<Meta>, GroupError), Self> {
        let Self { task, cause } = self;
        match (Self { task: None, cause }).downcast() {
            Ok(group) => Ok((task, group)),
            Err(Self { cause, .. }) => Err(Self { task, cause }),
        }
    }
}

/// An error as it is kept.
pub(super) enum Cause {
    Boxed(BoxError),
    /// Boxed, it could not be asked what it is.
    #[cfg(feature = "anyhow")]
    Anyhow(anyhow::Error),
}

impl Cause {
    /// The cause that a child's error is. `None` if it says no more than that the child was cancelled.
    pub(super) fn of<E: Into<BoxError> + 'static>(error: E) -> Option<Self> {
        Self::sorted(error).ok()
    }

    /// The same. The error if it says no more than that.
    pub(super) fn sorted<E: Into<BoxError> + 'static>(error: E) -> Result<Self, BoxError> {
        #[cfg(feature = "anyhow")]
        let error = {
            let mut error = Some(error);
            let any = (&mut error as &mut dyn Any).downcast_mut::<Option<anyhow::Error>>();
            if let Some(error) = any.and_then(Option::take) {
                return Self::sorted_anyhow(error);
            }
            error.expect("it is of another type, and there")
        };
        Self::sorted_boxed(error.into())
    }

    /// As [`of`](Self::of), of one that is boxed. It is taken as it is.
    pub(super) fn of_boxed(error: BoxError) -> Option<Self> {
        Self::sorted_boxed(error).ok()
    }

    fn sorted_boxed(error: BoxError) -> Result<Self, BoxError> {
        let is_cancelled = error.is::<Cancelled>()
            || error.downcast_ref::<GroupError>().is_some_and(GroupError::is_cancelled)
            || error.downcast_ref::<io::Error>().is_some_and(is_cancelled_io);
        if is_cancelled { Err(error) } else { Ok(Self::Boxed(error)) }
    }

    #[cfg(feature = "anyhow")]
    fn sorted_anyhow(error: anyhow::Error) -> Result<Self, BoxError> {
        let is_cancelled = error.is::<Cancelled>()
            || error.downcast_ref::<GroupError>().is_some_and(GroupError::is_cancelled)
            || error.downcast_ref::<io::Error>().is_some_and(is_cancelled_io);
        if is_cancelled { Err(error.into()) } else { Ok(Self::Anyhow(error)) }
    }

    fn into_boxed(self) -> BoxError {
        match self {
            Self::Boxed(error) => error,
            #[cfg(feature = "anyhow")]
            Self::Anyhow(error) => error.into(),
        }
    }
}

/// `From<Cancelled> for io::Error` makes these.
fn is_cancelled_io(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Cancelled>())
}

impl<E: Error + Send + Sync + 'static> From<E> for Cause {
    fn from(error: E) -> Self {
        Self::Boxed(Box::new(error))
    }
}

/// What a panic in a child is to the supervisor of its group.
pub struct Panicked {
    message: String,
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panicked {
    pub(super) fn new(payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<&'static str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = text.unwrap_or("(a payload that is not text)").to_owned();
        Self { message, payload: Mutex::new(payload) }
    }

    /// What the child panicked with, for [`std::panic::resume_unwind`].
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner()
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panicked({:?})", self.message)
    }
}

impl Error for Panicked {}

#[cfg(all(test, feature = "anyhow", not(filch_loom)))]
mod tests {
    use super::*;

    /// GROUP-4, GROUP-16.
    #[test]
    fn an_anyhow_error_is_asked_what_it_is() {
        assert!(Cause::of(anyhow::Error::new(Cancelled::new())).is_none());
        assert!(Cause::of(anyhow::Error::new(io::Error::from(Cancelled::new()))).is_none());
        let none = GroupError::new(Location::caller(), Vec::new());
        assert!(Cause::of(anyhow::Error::new(none).context("above")).is_none());

        let cause = Cause::of(anyhow::Error::new(io::Error::other("below")).context("above"));
        let failure = Failure::of(None, cause.expect("that is one"));
        assert_eq!(failure.to_string(), "the body: above");
        assert!(!failure.is::<GroupError>());
        let error = failure.downcast::<io::Error>().expect("it was one before");
        assert_eq!(error.to_string(), "below");

        // In another one, it keeps what it had.
        let nested = GroupError::new(Location::caller(), vec![Failure::of(None, error)]);
        let cause = Cause::of(anyhow::Error::new(nested)).expect("that is one");
        let outer = GroupError::new(Location::caller(), vec![Failure::of(None, cause)]);
        assert_eq!(outer.flatten().iter().filter(|failure| failure.is::<io::Error>()).count(), 1);
    }

    /// GROUP-4. Boxed, it cannot be asked: a body has to say so itself.
    #[test]
    fn a_boxed_anyhow_error_is_an_error() {
        let boxed: BoxError = anyhow::Error::new(Cancelled::new()).into();
        assert!(Cause::of(boxed).is_some());
    }
}
