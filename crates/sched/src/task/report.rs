//! What becomes of errors that nobody awaits.

use super::error::Label;
use super::{JoinError, Meta, TaskId};
#[cfg(not(filch_loom))]
use super::{TaskInfo, Who};
use filch_atomic::current::WaitKind;
pub(crate) use filch_atomic::panics::{caught, drop_caught};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Something went wrong in a place that has no caller to tell.
///
/// # When a task is reported
///
/// A task's failure is reported when its output is dropped without its
/// [`JoinHandle`](super::JoinHandle) having taken it, and then exactly once. So:
///
/// * detached (its handle dropped before it ended): at its end, on the worker that ran it;
/// * its handle is dropped after it ended, without having been awaited to the end: then, on that
///   thread;
/// * while a handle exists the failure *sleeps* in the task: it may still be taken, so nobody hears
///   of it;
/// * taken through the handle: never, it is the taker's;
/// * its handle is leaked (`mem::forget`): never.
///
/// A panic is always reported. An `Err` is, if it can be recognised: see
/// [`TaskFailed`](Self::TaskFailed). That a task was cancelled is no failure.
///
/// A report is displayed as one line (as many as a message has lines of its own).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Report {
    /// A task panicked, or its output's destructor did.
    #[non_exhaustive]
    TaskPanicked {
        /// The task.
        id: TaskId,
        /// Its name.
        name: Option<String>,
        /// Where it was spawned.
        location: &'static Location<'static>,
        /// What it panicked with, if that was text.
        message: String,
    },
    /// A task's output was an `Err`.
    ///
    /// The output of a task can be of any type, and Rust offers no way to ask any type whether it
    /// is a failure. So these are looked for by name: `Result<(), E>` with `E` one of
    /// [`std::io::Error`], `Box<dyn Error + Send + Sync>`, [`JoinError`] and `String`. A task with
    /// an output of another type tells of its errors itself.
    #[non_exhaustive]
    TaskFailed {
        /// The task.
        id: TaskId,
        /// Its name.
        name: Option<String>,
        /// Where it was spawned.
        location: &'static Location<'static>,
        /// The error, displayed.
        error: String,
    },
    /// A task ended well, but the waker of whoever awaited it panicked; or it was asked to end, and a waker panicked
    /// that something in it had made.
    #[non_exhaustive]
    WakerPanicked {
        /// The task that ended.
        id: TaskId,
        /// Its name.
        name: Option<String>,
        /// Where it was spawned.
        location: &'static Location<'static>,
        /// What the waker panicked with, if that was text.
        message: String,
    },
    /// A waker panicked that a worker woke for an operation or a timer. No task's own waker does.
    #[non_exhaustive]
    ForeignWakerPanicked {
        /// The worker.
        worker: usize,
        /// What the waker panicked with, if that was text.
        message: String,
    },
    /// A task has been in one poll for long, and still is: what else that worker had to do is done by
    /// others meanwhile.
    #[non_exhaustive]
    TaskStuck {
        /// The worker that polls it.
        worker: usize,
        /// The task.
        id: TaskId,
        /// Its name.
        name: Option<String>,
        /// Where it was spawned.
        location: &'static Location<'static>,
        /// For how long, at least.
        for_so_long: Duration,
    },
    /// As [`TaskStuck`](Self::TaskStuck), where it is no task that could be named.
    #[non_exhaustive]
    WorkerStuck {
        /// The worker.
        worker: usize,
        /// Where it is, in words.
        place: &'static str,
        /// For how long, at least.
        for_so_long: Duration,
    },
    /// The completions of a stuck worker could not be delivered for it: they wait for its poll to end.
    /// Said once.
    #[non_exhaustive]
    RescueFailed {
        /// The worker.
        worker: usize,
        /// Why.
        error: String,
    },
    /// Memory was written to that should have been left alone, as a driver found out that was told to watch.
    #[non_exhaustive]
    MemoryWritten {
        /// The worker whose driver it is.
        worker: usize,
        /// What was found, in words.
        what: String,
    },
    /// Clean-up after a cancel took longer than it may, and was dropped where it waited (C4).
    #[non_exhaustive]
    CleanUpCut {
        /// The task. `None` for the main future, or one that a thread blocks on.
        id: Option<TaskId>,
        /// Its name.
        name: Option<String>,
        /// Where what it cleans up after was made cancellable.
        location: &'static Location<'static>,
        /// For how long it may clean up.
        grace: Duration,
    },
    /// A resource could not be closed, where there was another error to give, a panic, or a cancel.
    #[non_exhaustive]
    CloseFailed {
        /// Where it was used.
        location: &'static Location<'static>,
        /// The error, displayed.
        error: String,
    },
    /// A task was asked to end with its runtime, and did not within the grace (D7): it was dropped where it waited,
    /// with the shield or the clean-up that held it up.
    #[non_exhaustive]
    TaskNotStopped {
        /// The task.
        id: TaskId,
        /// Its name.
        name: Option<String>,
        /// Where it was spawned.
        location: &'static Location<'static>,
        /// What it waited for, and where in the source, if that is known.
        waits_for: Option<(WaitKind, &'static Location<'static>)>,
    },
    /// Shutdown could not wait any longer for something (D7).
    #[non_exhaustive]
    ShutdownStuck {
        /// What it is, in words.
        what: String,
    },
}

impl Report {
    /// A [`TaskPanicked`](Self::TaskPanicked), of the payload of its panic.
    pub fn task_panicked(task: &Meta, payload: Box<dyn Any + Send>) -> Self {
        let message = message_of(&*payload);
        drop_caught(payload);
        let name = task.name.as_deref().map(str::to_owned);
        Self::TaskPanicked { id: task.id, name, location: task.location, message }
    }

    /// A [`TaskFailed`](Self::TaskFailed).
    pub fn task_failed(task: &Meta, error: impl Into<String>) -> Self {
        let name = task.name.as_deref().map(str::to_owned);
        Self::TaskFailed { id: task.id, name, location: task.location, error: error.into() }
    }

    /// A [`WakerPanicked`](Self::WakerPanicked), of the payload of its panic.
    pub fn waker_panicked(task: &Meta, payload: Box<dyn Any + Send>) -> Self {
        let message = message_of(&*payload);
        drop_caught(payload);
        let name = task.name.as_deref().map(str::to_owned);
        Self::WakerPanicked { id: task.id, name, location: task.location, message }
    }

    /// A [`ForeignWakerPanicked`](Self::ForeignWakerPanicked), of the payload of its panic.
    pub fn foreign_waker(worker: usize, payload: Box<dyn Any + Send>) -> Self {
        let message = message_of(&*payload);
        drop_caught(payload);
        Self::ForeignWakerPanicked { worker, message }
    }

    /// A [`TaskStuck`](Self::TaskStuck), or a [`WorkerStuck`](Self::WorkerStuck).
    #[cfg(not(filch_loom))]
    pub(crate) fn stuck(worker: usize, who: Who, for_so_long: Duration) -> Self {
        let place = match who {
            Who::Task { id, name, location } => {
                let name = name.as_deref().map(str::to_owned);
                return Self::TaskStuck { worker, id, name, location, for_so_long };
            }
            Who::Main => "one poll of the main future",
            Who::End => "the end of a task (a destructor, or the waker of whoever awaits it)",
            Who::Nobody => "a waker, or in a driver's call",
        };
        Self::WorkerStuck { worker, place, for_so_long }
    }

    /// A [`RescueFailed`](Self::RescueFailed).
    #[cfg(not(filch_loom))]
    pub(crate) fn rescue_failed(worker: usize, error: &io::Error) -> Self {
        Self::RescueFailed { worker, error: error.to_string() }
    }

    /// A [`MemoryWritten`](Self::MemoryWritten).
    pub fn memory_written(worker: usize, what: impl Into<String>) -> Self {
        Self::MemoryWritten { worker, what: what.into() }
    }

    /// A [`CloseFailed`](Self::CloseFailed).
    pub fn close_failed(location: &'static Location<'static>, error: impl Into<String>) -> Self {
        Self::CloseFailed { location, error: error.into() }
    }

    /// A [`TaskNotStopped`](Self::TaskNotStopped).
    #[cfg(not(filch_loom))]
    pub(crate) fn not_stopped(task: &TaskInfo) -> Self {
        let name = task.name.as_deref().map(str::to_owned);
        let waits_for = task.waits_for.map(|(kind, _, at)| (kind, at));
        Self::TaskNotStopped { id: task.id, name, location: task.location, waits_for }
    }

    /// A [`ShutdownStuck`](Self::ShutdownStuck).
    pub fn shutdown_stuck(what: impl Into<String>) -> Self {
        Self::ShutdownStuck { what: what.into() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TaskPanicked { id, name, location, message } => {
                let task = Label(*id, name.as_deref());
                write!(f, "detached task {task}, spawned at {location}, panicked: {message}")
            }
            Self::TaskFailed { id, name, location, error } => {
                let task = Label(*id, name.as_deref());
                write!(f, "detached task {task}, spawned at {location}, failed: {error}")
            }
            Self::WakerPanicked { id, name, location, message } => {
                let task = Label(*id, name.as_deref());
                write!(f, "a waker for task {task}, spawned at {location}, panicked: {message}")
            }
            Self::ForeignWakerPanicked { worker, message } => {
                write!(f, "a waker that worker {worker} woke panicked: {message}")
            }
            Self::TaskStuck { worker, id, name, location, for_so_long } => {
                let task = Label(*id, name.as_deref());
                write!(f, "task {task}, spawned at {location}, has kept worker {worker} ")?;
                write!(f, "in one poll for {} ms so far", for_so_long.as_millis())
            }
            Self::WorkerStuck { worker, place, for_so_long } => {
                let ms = for_so_long.as_millis();
                write!(f, "worker {worker} has been in {place} for {ms} ms so far")
            }
            Self::RescueFailed { worker, error } => {
                write!(f, "the completions of worker {worker} wait for its present poll: {error}")
            }
            Self::MemoryWritten { worker, what } => {
                write!(f, "memory that worker {worker} watches over: {what}")
            }
            Self::CleanUpCut { id, name, location, grace } => {
                match id {
                    Some(id) => write!(f, "task {}", Label(*id, name.as_deref()))?,
                    None => f.write_str("the main future, or one that a thread blocks on,")?,
                }
                write!(f, " cleaned up after {location} for longer than ")?;
                write!(f, "{} ms, and was stopped", grace.as_millis())
            }
            Self::CloseFailed { location, error } => {
                write!(f, "what was used at {location} could not be closed: {error}")
            }
            Self::TaskNotStopped { id, name, location, waits_for } => {
                let task = Label(*id, name.as_deref());
                write!(f, "task {task}, spawned at {location}, did not stop with its runtime")?;
                match waits_for {
                    Some((kind, at)) => write!(f, ": it waited for {kind} at {at}"),
                    None => Ok(()),
                }
            }
            Self::ShutdownStuck { what } => write!(f, "shutdown could not wait for {what}"),
        }
    }
}

/// Where reports go. Cheap to clone.
///
/// The default prints one line to standard error.
#[derive(Clone)]
pub struct ErrorHook(Arc<dyn Fn(&Report) + Send + Sync>);

impl ErrorHook {
    /// Sends reports to `hook`. It is called on whatever thread the failure was found, under no
    /// lock, and should not block. If it panics, that is caught, and the report is lost.
    pub fn new(hook: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    /// Tells the hook.
    pub fn report(&self, report: &Report) {
        if let Err(payload) = caught(|| (self.0)(report)) {
            drop_caught(payload);
        }
    }
}

/// Reports, to the hook of this thread's scheduler, the panic of a task that was awaited and has nobody else to tell.
/// An error that is none is dropped. `location`: where the task was spawned.
#[cfg(not(filch_loom))]
pub fn report_panic(error: JoinError, location: &'static Location<'static>) {
    if !error.is_panic() {
        return;
    }
    let (id, name) = (error.id(), error.name().map(str::to_owned));
    let payload = error.into_panic();
    let message = message_of(&*payload);
    drop_caught(payload);
    report(&Report::TaskPanicked { id, name, location, message });
}

/// Reports to the hook of this thread's scheduler. Without one there is nobody to tell.
#[cfg(not(filch_loom))]
pub fn report(report: &Report) {
    let hook = crate::with_handle(|handle| handle.map(|handle| handle.shared().hook.clone()));
    if let Some(hook) = hook {
        hook.report(report);
    }
}

impl Default for ErrorHook {
    fn default() -> Self {
        Self::new(|report| {
            let line = report.to_string().replace('\n', "\\n");
            // Standard error may be closed. Then there is nobody left to tell.
            let _ = writeln!(io::stderr().lock(), "filch: {line}");
        })
    }
}

impl fmt::Debug for ErrorHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorHook").finish_non_exhaustive()
    }
}

/// The error in a task's output, if it is one of those that [`Report::TaskFailed`] names.
pub(super) fn failure_text<T: 'static>(output: &T) -> Option<String> {
    fn of<E: fmt::Display + 'static>(output: &dyn Any) -> Option<String> {
        output.downcast_ref::<Result<(), E>>()?.as_ref().err().map(E::to_string)
    }
    let output: &dyn Any = output;
    of::<io::Error>(output)
        .or_else(|| of::<Box<dyn Error + Send + Sync>>(output))
        .or_else(|| of::<JoinError>(output))
        .or_else(|| of::<String>(output))
}

/// What a panic said, if it said something.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(a payload that is not text)".to_owned()
    }
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_errors_that_are_named_are_recognised() {
        type Boxed = Box<dyn Error + Send + Sync>;
        assert_eq!(failure_text(&Err::<(), _>(io::Error::other("no"))).as_deref(), Some("no"));
        assert_eq!(failure_text(&Err::<(), Boxed>("boxed".into())).as_deref(), Some("boxed"));
        assert_eq!(failure_text(&Err::<(), _>("text".to_owned())).as_deref(), Some("text"));
        assert_eq!(failure_text(&Ok::<(), String>(())), None);
        assert_eq!(failure_text(&Err::<u8, _>("another type".to_owned())), None);
        assert_eq!(failure_text(&7), None);
    }

    #[test]
    fn a_report_is_one_line_and_a_hook_that_panics_is_survived() {
        let report = Report::shutdown_stuck("a blocking closure");
        assert_eq!(report.to_string(), "shutdown could not wait for a blocking closure");
        ErrorHook::new(|_| std::panic::resume_unwind(Box::new("hook"))).report(&report);
    }
}
