//! The end of a scheduler of several shards: somebody closes it when the last of its tasks is over, and nobody before.
#![cfg(filch_loom)]

use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::sync::{Arc, Mutex};
use filch_atomic::thread;
use filch_loom_tests::check;
use filch_sched::closing::Closing;
use filch_sched::task::{
    AskedBy, ErrorHook, Meta, OwnedTasks, Schedule, Task, spawn_task, spawn_task_asked_by,
};
use std::collections::VecDeque;
use std::future::{Future, pending};

/// A worker's shard, and a queue that stands for all of its worker's.
struct Shard {
    tasks: OwnedTasks,
    queue: Mutex<VecDeque<Task>>,
    hook: ErrorHook,
}

#[derive(Clone)]
struct Scheduler(Arc<Shard>);

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

/// What the workers share.
struct Crew {
    closing: Closing,
    shards: [Scheduler; 2],
    /// How many of its own tasks there are.
    alive: AtomicUsize,
}

/// Counts a task, as long as its future is there.
struct Alive(Arc<Crew>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Crew {
    fn new() -> Arc<Self> {
        let shard = || {
            Scheduler(Arc::new(Shard {
                tasks: OwnedTasks::new(),
                queue: Mutex::default(),
                hook: ErrorHook::new(|_| {}),
            }))
        };
        let (closing, shards) = (Closing::new(), [shard(), shard()]);
        Arc::new(Self { closing, shards, alive: AtomicUsize::new(0) })
    }

    fn lists(&self) -> impl Iterator<Item = &OwnedTasks> {
        self.shards.iter().map(|shard| &shard.0.tasks)
    }

    /// A task of that shard, which comes to its end by itself.
    fn spawn(this: &Arc<Self>, shard: usize, work: impl Future<Output = ()> + Send + 'static) {
        this.alive.fetch_add(1, Ordering::Relaxed);
        let held = Alive(this.clone());
        let work = async move {
            let _held = held;
            work.await;
        };
        let shard = &this.shards[shard];
        let (task, handle) =
            spawn_task_asked_by(work, shard.clone(), Meta::here(), AskedBy::Nobody);
        shard.schedule(task.expect("the list is open"));
        drop(handle);
    }

    /// Runs what is queued there. True if that was anything.
    fn run(&self, shard: usize) -> bool {
        let mut has_run = false;
        loop {
            let Some(task) = self.shards[shard].0.queue.lock().pop_front() else { return has_run };
            assert!(task.run().is_none());
            has_run = true;
        }
    }

    /// What a worker does that has no more to do.
    fn look(&self) {
        if self.closing.is_due(self.lists()) {
            self.close();
        }
    }

    /// What the one does who ends it.
    fn ask(&self) {
        if self.closing.ask(|| self.lists(), || {}) {
            self.close();
        }
    }

    fn close(&self) {
        self.closing.close();
        assert_eq!(self.alive.load(Ordering::Relaxed), 0, "it was closed on a task");
    }
}

/// A worker has taken a task over from another one. It spawns into its new worker's list, and leaves the other, while that
/// one looks.
#[test]
fn one_spawns_into_another_list() {
    loom::model(|| {
        let crew = Crew::new();
        let inner = crew.clone();
        Crew::spawn(&crew, 1, async move { Crew::spawn(&inner, 0, async {}) });
        crew.ask();
        let thief = {
            let crew = crew.clone();
            thread::spawn(move || {
                crew.run(1);
                crew.run(0);
                crew.look();
            })
        };
        crew.look();
        thief.join().unwrap();
        assert!(crew.closing.is_closing());
    });
}

/// Each of two workers comes to the end of its last task while somebody asks.
#[test]
fn the_last_end_while_they_are_asked() {
    check(2, || {
        let crew = Crew::new();
        let workers = [0, 1].map(|worker| {
            Crew::spawn(&crew, worker, async {});
            let crew = crew.clone();
            thread::spawn(move || {
                crew.run(worker);
                crew.look();
            })
        });
        crew.ask();
        for worker in workers {
            worker.join().unwrap();
        }
        assert!(crew.closing.is_closing());
    });
}

/// A task comes from outside when the end begins. It is refused, or asked; the others may have seen it, and wait for no more.
#[test]
fn one_comes_from_outside() {
    check(2, || {
        let crew = Crew::new();
        let outside = {
            let crew = crew.clone();
            thread::spawn(move || {
                let is_refused = crew.closing.is_ending();
                let shard = &crew.shards[1];
                let (task, handle) = spawn_task(pending::<()>(), shard.clone(), Meta::here());
                let task = task.expect("the list is open");
                if !is_refused {
                    shard.schedule(task);
                } else if crew.closing.refuse(task, crew.lists()) {
                    crew.close();
                }
                handle
            })
        };
        crew.ask();
        crew.look();
        let handle = outside.join().unwrap();
        // Whoever is woken for it has no more to do after that.
        if crew.run(1) {
            crew.look();
        }
        assert!(crew.closing.is_closing() && handle.is_finished());
    });
}
