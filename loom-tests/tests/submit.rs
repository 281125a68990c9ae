//! A thread waits for a task that it submits while the runtime ends: it hears of its end, whatever that is, and
//! the future is dropped before.
#![cfg(filch_loom)]

use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sched::Submitted;
use filch_sched::task::{ErrorHook, Meta, OwnedTasks, Schedule, Task, spawn_task};
use std::collections::VecDeque;
use std::future::{Future, pending};

/// A worker's shard, and a queue that stands for all of its worker's.
struct Shard {
    tasks: OwnedTasks,
    queue: Mutex<Queue>,
    pushed: Condvar,
    hook: ErrorHook,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    closed: bool,
}

#[derive(Clone)]
struct Scheduler(Arc<Shard>);

impl Scheduler {
    fn new() -> Self {
        Self(Arc::new(Shard {
            tasks: OwnedTasks::new(),
            queue: Mutex::default(),
            pushed: Condvar::new(),
            hook: ErrorHook::new(|_| {}),
        }))
    }

    fn submit<F>(&self, future: F) -> Submitted<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (task, handle) = spawn_task(future, self.clone(), Meta::here());
        if let Some(task) = task {
            self.schedule(task);
        }
        Submitted::new(handle)
    }

    /// The next task, for a worker that has nothing else to do but wait for it.
    fn wait(&self) -> Task {
        let mut queue = self.0.queue.lock();
        loop {
            if let Some(task) = queue.tasks.pop_front() {
                return task;
            }
            self.0.pushed.wait(&mut queue);
        }
    }

    fn next(&self) -> Option<Task> {
        self.0.queue.lock().tasks.pop_front()
    }

    /// What the last worker does that ends.
    fn end(&self) {
        self.0.tasks.shutdown_all();
        let left = {
            let mut queue = self.0.queue.lock();
            queue.closed = true;
            std::mem::take(&mut queue.tasks)
        };
        left.into_iter().for_each(Task::shutdown);
    }
}

impl Schedule for Scheduler {
    fn schedule(&self, task: Task) {
        let mut queue = self.0.queue.lock();
        if queue.closed {
            drop(queue);
            return task.shutdown();
        }
        queue.tasks.push_back(task);
        self.0.pushed.notify_one();
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.0.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.0.hook
    }
}

/// Counts what is alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The worker runs what there is, and ends, while another thread submits and waits.
#[test]
fn submit_while_it_shuts_down() {
    loom::model(|| {
        let scheduler = Scheduler::new();
        let alive = Arc::new(AtomicUsize::new(0));
        let waiter = {
            let (scheduler, alive) = (scheduler.clone(), alive.clone());
            thread::spawn(move || {
                let held = Alive::new(&alive);
                let submitted = scheduler.submit(async move {
                    let _held = held;
                    7
                });
                match submitted.wait() {
                    Ok(seven) => assert_eq!(seven, 7),
                    Err(error) => assert!(error.is_shutdown()),
                }
                assert_eq!(alive.load(Ordering::Relaxed), 0, "dropped before that is heard");
            })
        };
        if let Some(task) = scheduler.next() {
            assert!(task.run().is_none());
        }
        scheduler.end();
        waiter.join().unwrap();
        assert!(scheduler.tasks().is_empty());
    });
}

/// What would wait for ever is asked to end: by the one who asks all, or from the start.
#[test]
fn submit_while_all_are_asked() {
    loom::model(|| {
        let scheduler = Scheduler::new();
        let waiter = {
            let scheduler = scheduler.clone();
            thread::spawn(move || {
                let submitted = scheduler.submit(pending::<()>());
                assert!(submitted.wait().unwrap_err().is_shutdown());
            })
        };
        scheduler.tasks().ask_all();
        // Its worker runs on until there is no task. Nobody ends it: asking has to do.
        loop {
            assert!(scheduler.wait().run().is_none());
            if scheduler.tasks().is_empty() {
                break;
            }
        }
        waiter.join().unwrap();
    });
}

/// A task that another one spawns on the way to its end is asked as well, and the end of both is seen by whoever
/// looks when he has no more to do.
#[test]
fn spawned_while_all_are_asked() {
    loom::model(|| {
        let scheduler = Scheduler::new();
        let spawner = {
            let scheduler = scheduler.clone();
            thread::spawn(move || {
                drop(scheduler.submit(pending::<()>()));
            })
        };
        scheduler.tasks().ask_all();
        spawner.join().unwrap();
        while let Some(task) = scheduler.next() {
            assert!(task.run().is_none());
        }
        assert!(OwnedTasks::are_all_empty([scheduler.tasks()].into_iter()));
    });
}
