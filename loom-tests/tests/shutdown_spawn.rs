//! Shutting down: tasks that come in meanwhile are ended by somebody, once; and no worker ends its park
//! before all tasks of all workers are over (D7).
#![cfg(filch_loom)]

use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::sync::{Arc, Mutex};
use filch_atomic::thread;
use filch_sched::clock::Clock;
use filch_sched::injector::Injector;
use filch_sched::task::{ErrorHook, JoinHandle, Meta, OwnedTasks, Schedule, Task, spawn_task};
use filch_sched::timer::Timers;
use filch_sched::timer::registration::{Registration, Wait};
use filch_sched::wind_up::WindUp;
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

/// A worker's shard, and a queue that stands for all queues of the one thread that wakes in these models.
struct Shard {
    tasks: OwnedTasks,
    queue: Mutex<VecDeque<Task>>,
    hook: ErrorHook,
}

#[derive(Clone)]
struct Scheduler(Arc<Shard>);

impl Scheduler {
    fn new() -> Self {
        let hook = ErrorHook::new(|_| {});
        Self(Arc::new(Shard { tasks: OwnedTasks::new(), queue: Mutex::default(), hook }))
    }

    fn spawn<F>(&self, future: F) -> (Option<Task>, JoinHandle<F::Output>)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        spawn_task(future, self.clone(), Meta::here())
    }

    fn pop(&self) -> Option<Task> {
        self.0.queue.lock().pop_front()
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

/// Counts what is alive: stands for an operation that a task holds.
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

/// Each item is handed over by the closing, taken by a worker, or refused to its pusher.
#[test]
fn the_injector_closes() {
    loom::model(|| {
        let injector = Arc::new(Injector::new());
        let pusher = {
            let injector = injector.clone();
            thread::spawn(move || (0..2).filter(|&task| injector.push(task).is_err()).count())
        };
        let worker = {
            let injector = injector.clone();
            thread::spawn(move || injector.take(1, 1, |_| unreachable!("at most one")).is_some())
        };
        let drained = injector.close().len();
        let (refused, taken) = (pusher.join().unwrap(), usize::from(worker.join().unwrap()));
        assert_eq!(refused + drained + taken, 2);
        assert!(injector.is_empty());
        assert!(injector.push(2).is_err());
    });
}

/// A spawn that races the end of its shard is refused, or its task ended: the future is dropped either way,
/// and the handle says why.
#[test]
fn a_task_is_spawned_while_its_shard_ends() {
    loom::model(|| {
        let scheduler = Scheduler::new();
        let alive = Arc::new(AtomicUsize::new(0));
        let spawner = {
            let (scheduler, alive) = (scheduler.clone(), alive.clone());
            thread::spawn(move || {
                let held = Alive::new(&alive);
                let (task, handle) = scheduler.spawn(async move {
                    let _held = held;
                    pending::<()>().await;
                });
                // A worker that has yet to notice the closing still runs it, once: it waits for ever.
                if let Some(task) = task {
                    assert!(task.run().is_none());
                }
                handle
            })
        };
        scheduler.tasks().shutdown_all();
        let handle = spawner.join().unwrap();
        assert!(handle.is_finished());
        assert!(scheduler.tasks().is_empty());
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

/// Two workers end, each with a task of its own; the second one's task sleeps by the first one's timers, so
/// that it is woken there while it is ended here.
#[test]
fn no_park_ends_before_all_tasks_have() {
    loom::model(|| {
        let wind_up = Arc::new(WindUp::new(2));
        let schedulers = [Scheduler::new(), Scheduler::new()];
        let timers = [(); 2].map(|()| Timers::new(Clock::real(), || {}));
        let alive = Arc::new(AtomicUsize::new(0));

        let held = Alive::new(&alive);
        let (task, own) = schedulers[0].spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        assert!(task.expect("it is open").run().is_none());

        let held = Alive::new(&alive);
        let sleeps_by = timers[0].clone();
        let (task, others) = schedulers[1].spawn(async move {
            let _held = held;
            let mut sleep = None;
            poll_fn(move |cx| {
                let deadline = Instant::now() + Duration::from_secs(3600);
                match Registration::new(&sleeps_by, deadline, cx.waker().clone(), true) {
                    Wait::Pending(registration) => drop(sleep.replace(registration)),
                    other => panic!("it is to come: {other:?}"),
                }
                Poll::<()>::Pending
            })
            .await;
        });
        assert!(task.expect("it is open").run().is_none());
        drop((own, others));

        let held = Arc::new(AtomicUsize::new(0));
        let end = |worker: usize| {
            let (wind_up, alive, held) = (wind_up.clone(), alive.clone(), held.clone());
            let (tasks, timers) = (schedulers[worker].clone(), timers[worker].clone());
            // Only the first worker's timers wake anything, so what is woken is in its queue.
            let queue = (worker == 0).then(|| schedulers[1].clone());
            move || {
                wind_up.end_worker(
                    worker,
                    tasks.tasks(),
                    &timers,
                    || queue.as_ref().and_then(Scheduler::pop),
                    |_| {
                        // Not an assertion here: a panic of a park's end is caught, and it is ended again.
                        held.fetch_add(alive.load(Ordering::Relaxed), Ordering::Relaxed);
                        Ok(())
                    },
                );
            }
        };
        let threads = [thread::spawn(end(0)), thread::spawn(end(1))];
        let left = wind_up.all_ended();
        assert!(left.workers.is_empty() && left.leaked.is_empty());
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(
            held.load(Ordering::Relaxed),
            0,
            "a task held an operation of a park that ended"
        );
    });
}
