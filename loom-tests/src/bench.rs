//! Tasks without workers.

use filch_atomic::sync::{Arc, Mutex};
use filch_atomic::thread;
use filch_sched::task::{ErrorHook, JoinHandle, Meta, OwnedTasks, Schedule, Task, spawn_task};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicUsize as Count, Ordering};

/// One queue, run by hand.
#[derive(Debug)]
pub struct Queue {
    ready: Mutex<VecDeque<Task>>,
    hook: ErrorHook,
    /// Its list of tasks.
    pub tasks: OwnedTasks,
    /// How many reports there were. `std`'s, which loom neither sees nor orders by.
    pub reports: std::sync::Arc<Count>,
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

/// The model's hold on its queue.
#[derive(Debug, Clone)]
pub struct Bench(Arc<Queue>);

impl std::ops::Deref for Bench {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.0
    }
}

impl Bench {
    /// An empty queue, open.
    #[expect(clippy::new_without_default, reason = "a default says nothing that this does not")]
    pub fn new() -> Self {
        let reports = std::sync::Arc::new(Count::new(0));
        let counted = reports.clone();
        let hook = ErrorHook::new(move |_| _ = counted.fetch_add(1, Ordering::SeqCst));
        let (ready, tasks) = (Mutex::new(VecDeque::new()), OwnedTasks::new());
        Self(Arc::new(Queue { ready, hook, tasks, reports }))
    }

    /// Spawns and queues, if the list is open.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (task, handle) = spawn_task(future, self.0.clone(), Meta::here());
        if let Some(task) = task {
            self.schedule(task);
        }
        handle
    }

    /// Runs what is ready, as a worker does.
    pub fn run(&self) {
        loop {
            let Some(task) = self.ready.lock().pop_front() else { return };
            if let Some(task) = task.run() {
                self.schedule(task);
            }
        }
    }

    /// A thread that runs what is ready.
    pub fn worker(&self) -> thread::JoinHandle<()> {
        let queue = self.clone();
        thread::spawn(move || queue.run())
    }
}
