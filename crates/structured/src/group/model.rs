//! What stands in for the runtime in a model: one queue of tasks, which the model runs by hand.

use filch_atomic::sync::{Arc, Mutex};
use filch_atomic::thread_local;
use filch_sched::task::{ErrorHook, JoinHandle, Meta, OwnedTasks, Schedule, Task, spawn_task};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;

thread_local! {
    /// The queue that this thread runs.
    static HERE: RefCell<Option<Spawner>> = RefCell::new(None);
}

struct Queue {
    ready: Mutex<VecDeque<Task>>,
    tasks: OwnedTasks,
    hook: ErrorHook,
}

impl Schedule for Queue {
    fn schedule(&self, task: Task) {
        self.ready.lock().push_back(task);
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.hook
    }
}

/// A queue of tasks that are ready.
#[derive(Clone)]
pub struct Spawner(Arc<Queue>);

impl Default for Spawner {
    fn default() -> Self {
        Self::new()
    }
}

impl Spawner {
    /// Nothing is ready.
    pub fn new() -> Self {
        let (ready, hook) = (Mutex::new(VecDeque::new()), ErrorHook::new(|_| ()));
        Self(Arc::new(Queue { ready, tasks: OwnedTasks::new(), hook }))
    }

    /// Makes a task, and puts it into the queue.
    pub fn spawn_task<F>(&self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (task, handle) = spawn_task(future, self.0.clone(), meta);
        self.0.schedule(task.expect("the list is open"));
        handle
    }

    /// Runs what is ready, as a worker does. Groups that open there spawn here.
    pub fn run(&self) {
        while self.step() {}
    }

    /// Runs one task, if one is ready.
    pub fn step(&self) -> bool {
        let Some(task) = self.0.ready.lock().pop_front() else { return false };
        HERE.with(|here| *here.borrow_mut() = Some(self.clone()));
        if let Some(task) = task.run() {
            self.0.schedule(task);
            // It may wait for another thread, as one does that is just being woken.
            filch_atomic::thread::yield_now();
        }
        HERE.with(|here| *here.borrow_mut() = None);
        true
    }

    pub(super) fn here() -> Self {
        HERE.with(|here| here.borrow().clone()).expect("the model runs the queue on this thread")
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").finish_non_exhaustive()
    }
}
