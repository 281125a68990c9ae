//! A queue that is run by hand, and things to put in it.

use filch_sched::task::{
    ErrorHook, JoinError, JoinHandle, Meta, OwnedTasks, Report, Schedule, Task, spawn_task,
};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// One queue; nothing runs unless told. The first one shuts down when dropped, its clones do not.
pub(crate) struct Bench(Arc<Shared>, bool);

pub(crate) struct Shared {
    queue: Mutex<VecDeque<Task>>,
    tasks: OwnedTasks,
    hook: ErrorHook,
    reports: Arc<Mutex<Vec<Report>>>,
    scheduled: AtomicUsize,
}

impl Schedule for Shared {
    fn schedule(&self, task: Task) {
        self.scheduled.fetch_add(1, Ordering::Relaxed);
        self.queue.lock().unwrap().push_back(task);
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.hook
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let hook = ErrorHook::new({
            let reports = reports.clone();
            move |report| reports.lock().unwrap().push(report.clone())
        });
        Self::with_hook(hook, reports)
    }

    pub(crate) fn with_hook(hook: ErrorHook, reports: Arc<Mutex<Vec<Report>>>) -> Self {
        Self(
            Arc::new(Shared {
                queue: Mutex::default(),
                tasks: OwnedTasks::new(),
                hook,
                reports,
                scheduled: AtomicUsize::new(0),
            }),
            true,
        )
    }

    /// Spawns and queues.
    #[track_caller]
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.spawn_with(future, Meta::here())
    }

    pub(crate) fn spawn_with<F>(&self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (task, handle) = self.unqueued(future, meta);
        self.0.queue.lock().unwrap().extend(task);
        handle
    }

    pub(crate) fn unqueued<F>(&self, future: F, meta: Meta) -> (Option<Task>, JoinHandle<F::Output>)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        spawn_task(future, self.0.clone(), meta)
    }

    /// Runs the task at the front once. False if there is none.
    pub(crate) fn step(&self) -> bool {
        let Some(task) = self.pop() else { return false };
        if let Some(task) = task.run() {
            self.0.queue.lock().unwrap().push_back(task);
        }
        true
    }

    /// Runs until the queue is empty; returns how many polls that took.
    pub(crate) fn run(&self) -> usize {
        (0..).take_while(|_| self.step()).count()
    }

    pub(crate) fn pop(&self) -> Option<Task> {
        self.0.queue.lock().unwrap().pop_front()
    }

    pub(crate) fn queued(&self) -> usize {
        self.0.queue.lock().unwrap().len()
    }

    /// How often a task was handed to the scheduler.
    pub(crate) fn scheduled(&self) -> usize {
        self.0.scheduled.load(Ordering::Relaxed)
    }

    pub(crate) fn tasks(&self) -> &OwnedTasks {
        &self.0.tasks
    }

    pub(crate) fn reports(&self) -> Vec<Report> {
        self.0.reports.lock().unwrap().clone()
    }

    /// How many cells (and `Bench`es) hold the scheduler: when no cell is left, 1.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Clone for Bench {
    fn clone(&self) -> Self {
        Self(self.0.clone(), false)
    }
}

impl Drop for Bench {
    /// Ends what a test left waiting.
    fn drop(&mut self) {
        if self.1 && !std::thread::panicking() {
            self.0.tasks.shutdown_all();
            drop(std::mem::take(&mut *self.0.queue.lock().unwrap()));
        }
    }
}

/// Polls once with a waker that does nothing.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of a handle that must be ready.
#[track_caller]
pub(crate) fn result<T>(mut handle: JoinHandle<T>) -> Result<T, JoinError> {
    assert!(handle.is_finished());
    match poll(&mut handle) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the task is over, yet its handle is pending"),
    }
}

/// Counts how often it is dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

pub(crate) struct Counted(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn counted(&self) -> Counted {
        Counted(self.0.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics when dropped, without a word on standard error.
pub(crate) struct PanicOnDrop(pub(crate) &'static str);

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        silent_panic(self.0);
    }
}

/// A panic whose message the default hook does not print.
pub(crate) fn silent_panic(message: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(message))
}

/// Counts how often it was woken.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Bell {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn rung(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Where a task leaves its waker.
pub(crate) type WakerPlace = Arc<Mutex<Option<Waker>>>;

/// Pends for ever, leaving a clone of each poll's waker in the place.
pub(crate) async fn pend(place: WakerPlace) {
    poll_fn(|cx| {
        *place.lock().unwrap() = Some(cx.waker().clone());
        Poll::<()>::Pending
    })
    .await;
}
