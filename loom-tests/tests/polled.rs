//! Naming the task that a worker polls, while it may end at any moment: what is named is alive.
#![cfg(filch_loom)]

use filch_atomic::sync::{Arc, Mutex};
use filch_atomic::thread;
use filch_sched::task::{
    ErrorHook, Meta, OwnedTasks, Polled, Schedule, Task, TaskId, Who, spawn_task,
};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// The scheduler of one task.
struct Shared {
    tasks: OwnedTasks,
    hook: ErrorHook,
    /// The task, while it is to be run.
    queue: Mutex<Option<Task>>,
    /// Its waker, once it has one.
    waker: Mutex<Option<Waker>>,
    /// What the worker polls.
    polled: Polled,
}

/// Its own type, as the `Arc` is the model's.
struct Scheduler(Arc<Shared>);

impl Schedule for Scheduler {
    fn schedule(&self, task: Task) {
        assert!(self.0.queue.lock().replace(task).is_none());
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.0.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.0.hook
    }
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            tasks: OwnedTasks::new(),
            hook: ErrorHook::new(|_| {}),
            queue: Mutex::new(None),
            waker: Mutex::new(None),
            polled: Polled::new(),
        })
    }

    /// What one who watches does.
    fn look(&self, id: TaskId) {
        match self.polled.who([&self.tasks].into_iter()) {
            Who::Nobody | Who::End => {}
            Who::Task { id: named, .. } => assert_eq!(named, id),
            Who::Main => panic!("there is no main future"),
        }
    }
}

/// A task that ends in its first poll, detached: nobody else keeps its memory.
#[test]
fn naming_and_ending() {
    loom::model(|| {
        let shared = Shared::new();
        let meta = Meta::here();
        let id = meta.id;
        let (task, handle) = spawn_task(async {}, Scheduler(shared.clone()), meta);
        drop(handle);
        let watching = {
            let shared = shared.clone();
            thread::spawn(move || shared.look(id))
        };
        assert!(task.unwrap().run_shown(&shared.polled).is_none());
        watching.join().unwrap();
        assert_eq!(shared.polled.who([&shared.tasks].into_iter()), Who::Nobody);
    });
}

/// A task that waits, and is woken and ended by another worker.
#[test]
fn naming_and_ending_elsewhere() {
    loom::model(|| {
        let shared = Shared::new();
        let meta = Meta::here();
        let id = meta.id;
        let mut first = true;
        let leave_waker = shared.clone();
        let future = poll_fn(move |cx| {
            if std::mem::take(&mut first) {
                *leave_waker.waker.lock() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        });
        let (task, handle) = spawn_task(future, Scheduler(shared.clone()), meta);
        drop(handle);
        let watching = {
            let shared = shared.clone();
            thread::spawn(move || shared.look(id))
        };
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                let waker = shared.waker.lock().take();
                waker.into_iter().for_each(Waker::wake);
                let task = shared.queue.lock().take();
                task.into_iter().for_each(|task| assert!(task.run().is_none()));
            })
        };
        if let Some(task) = task.unwrap().run_shown(&shared.polled) {
            assert!(task.run_shown(&shared.polled).is_none());
        }
        watching.join().unwrap();
        other.join().unwrap();
        // The other one came too early.
        let waker = shared.waker.lock().take();
        waker.into_iter().for_each(Waker::wake);
        let task = shared.queue.lock().take();
        task.into_iter().for_each(|task| assert!(task.run().is_none()));
        assert!(shared.tasks.is_empty());
    });
}
