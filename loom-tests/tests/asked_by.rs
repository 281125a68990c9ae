//! The end of a runtime and the children of a task: which of the two asks a child to end, when it is left behind just
//! then; and what a task hears of another one that the end has come to first.
#![cfg(filch_loom)]

use filch_atomic::sync::{Arc, Mutex};
use filch_atomic::thread;
use filch_sched::task::{
    AskedBy, ErrorHook, JoinHandle, Marked, Meta, OwnedTasks, Schedule, Task, spawn_task_asked_by,
};
use std::collections::VecDeque;
use std::future::{Future, pending};

struct Shard {
    tasks: OwnedTasks,
    queue: Mutex<VecDeque<Task>>,
    hook: ErrorHook,
}

#[derive(Clone)]
struct Scheduler(Arc<Shard>);

impl Scheduler {
    fn new() -> Self {
        Self(Arc::new(Shard {
            tasks: OwnedTasks::new(),
            queue: Mutex::default(),
            hook: ErrorHook::new(|_| {}),
        }))
    }

    fn spawn<F>(&self, future: F, asked_by: AskedBy) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (task, handle) = spawn_task_asked_by(future, self.clone(), Meta::here(), asked_by);
        self.schedule(task.expect("the list is open"));
        handle
    }

    /// Runs what is ready.
    fn run(&self) {
        loop {
            let Some(task) = self.0.queue.lock().pop_front() else { return };
            if let Some(task) = task.run() {
                self.schedule(task);
                // It may wait for another thread, as one does that is just being told.
                thread::yield_now();
            }
        }
    }
}

impl Schedule for Scheduler {
    fn schedule(&self, task: Task) {
        self.0.queue.lock().push_back(task);
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.0.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.0.hook
    }
}

/// Whoever has a child lets go of it, while all are asked: then it is asked like any other.
#[test]
fn disowned_while_all_are_asked() {
    loom::model(|| {
        let scheduler = Scheduler::new();
        let child = scheduler.spawn(pending::<()>(), AskedBy::Parent);
        let shielded = scheduler.spawn(pending::<()>(), AskedBy::ShieldedParent);
        scheduler.run();
        let asks = {
            let scheduler = scheduler.clone();
            thread::spawn(move || scheduler.tasks().ask_all())
        };
        child.disown();
        shielded.disown();
        asks.join().unwrap();
        scheduler.run();
        assert!(child.is_finished() && shielded.is_finished());
        assert!(scheduler.tasks().is_empty());
    });
}

/// A child is nobody's to ask but its parent's.
#[test]
fn a_child_is_not_asked() {
    loom::model(|| {
        let scheduler = Scheduler::new();
        let child = scheduler.spawn(pending::<()>(), AskedBy::Parent);
        scheduler.run();
        let asks = {
            let scheduler = scheduler.clone();
            thread::spawn(move || {
                scheduler.tasks().ask_all();
                drop(scheduler.spawn(pending::<()>(), AskedBy::ShieldedParent));
            })
        };
        scheduler.run();
        asks.join().unwrap();
        scheduler.run();
        assert!(!child.is_finished(), "its parent has not asked it");
        assert_eq!(scheduler.tasks().len(), 2);
        child.cancel();
        scheduler.run();
        assert!(child.is_finished());
        scheduler.tasks().shutdown_all();
    });
}

/// One task waits for another. The end comes to both, on another thread, and they run meanwhile: the one that
/// waits is cut where it waits, and never goes on with what became of the other.
#[test]
fn who_waits_is_cut() {
    loom::model(|| {
        let scheduler = Scheduler::new();
        let other = scheduler.spawn(pending::<()>(), AskedBy::Runtime);
        let waits = scheduler.spawn(
            async move {
                let _ = other.await;
                panic!("it went on");
            },
            AskedBy::Runtime,
        );
        scheduler.run();
        let asks = {
            let scheduler = scheduler.clone();
            thread::spawn(move || scheduler.tasks().ask_all())
        };
        scheduler.run();
        asks.join().unwrap();
        scheduler.run();
        assert!(waits.is_finished());
        let mut waits = waits;
        let ended = waits.take_if_finished().expect("it is over");
        assert!(ended.is_err_and(|error| error.is_shutdown()));
        assert!(scheduler.tasks().is_empty());
    });
}

/// The same of one that is spawned meanwhile, into another list, and told by its spawn.
#[test]
fn who_spawns_is_cut() {
    loom::model(|| {
        let (first, last) = (Scheduler::new(), Scheduler::new());
        let inner = first.clone();
        let mut waits = last.spawn(
            async move {
                let _ = inner.spawn(pending::<()>(), AskedBy::Runtime).await;
                panic!("it went on");
            },
            AskedBy::Runtime,
        );
        let asks = {
            let (first, last) = (first.clone(), last.clone());
            thread::spawn(move || {
                let marked = OwnedTasks::mark_all([first.tasks(), last.tasks()].into_iter());
                marked.into_iter().for_each(Marked::ask);
            })
        };
        let run = || {
            last.run();
            first.run();
            last.run();
        };
        run();
        asks.join().unwrap();
        run();
        let ended = waits.take_if_finished().expect("it is over");
        assert!(ended.is_err_and(|error| error.is_shutdown()));
        // It may have been cut before it has spawned.
        assert!(first.tasks().is_empty() && last.tasks().is_empty());
    });
}
