//! The slot: its owner fills and empties it while a thief looks and steals. Each task comes out once, with
//! what was written before it was put in.
#![cfg(filch_loom)]

use filch_atomic::cell::UnsafeCell;
use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::thread;
use filch_sched::slot::Slot;
use filch_sched::task::{ErrorHook, JoinHandle, Meta, OwnedTasks, Schedule, Task, spawn_task};

/// The scheduler of tasks that are never woken.
struct Nobody {
    tasks: OwnedTasks,
    hook: ErrorHook,
}

impl Nobody {
    fn new() -> Arc<Self> {
        Arc::new(Self { tasks: OwnedTasks::new(), hook: ErrorHook::new(|_| {}) })
    }
}

/// Its own type, as the `Arc` is the model's.
struct Scheduler(Arc<Nobody>);

impl Schedule for Scheduler {
    fn schedule(&self, task: Task) {
        panic!("nothing wakes {task:?}");
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.0.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.0.hook
    }
}

/// What a task's owner wrote before it put the task in the slot, without any atomics.
struct Note(UnsafeCell<usize>);

// SAFETY: it is written before it is shared; loom checks that the slot makes it so.
unsafe impl Sync for Note {}
// SAFETY: as above.
unsafe impl Send for Note {}

/// A task, kept alive, and whether it came out.
type Seen = (JoinHandle<()>, bool);

/// What happened in one execution.
#[derive(Clone)]
struct Runs {
    scheduler: Arc<Nobody>,
    /// One digit for each task: how often it ran.
    ran: Arc<AtomicUsize>,
    /// Each task, and whether it came out: outside the model, and so that a task that comes out twice is
    /// noticed before it is touched.
    tasks: std::sync::Arc<std::sync::Mutex<Vec<Seen>>>,
}

impl Runs {
    fn new() -> Self {
        Self {
            scheduler: Nobody::new(),
            ran: Arc::new(AtomicUsize::new(0)),
            tasks: Default::default(),
        }
    }

    /// A task that finds its note, and notes itself as run.
    fn task(&self, place: u32) -> Task {
        let note = Note(UnsafeCell::new(0));
        let ran = self.ran.clone();
        // SAFETY: nobody else has it yet.
        note.0.with_mut(|note| unsafe { *note = 7 });
        let future = async move {
            let note = note;
            // SAFETY: nobody writes any more, if the slot does what it says.
            assert_eq!(note.0.with(|note| unsafe { *note }), 7);
            ran.fetch_add(10usize.pow(place), Ordering::Relaxed);
        };
        let (task, handle) = spawn_task(future, Scheduler(self.scheduler.clone()), Meta::here());
        self.tasks.lock().unwrap().push((handle, false));
        task.expect("the list is open")
    }

    /// Runs what came out, if anything did.
    fn run(&self, task: Option<Task>) {
        let Some(task) = task else { return };
        let first = {
            let mut tasks = self.tasks.lock().unwrap();
            let (_, out) = (tasks.iter_mut())
                .find(|(handle, _)| handle.id() == task.id())
                .expect("it was made here");
            !std::mem::replace(out, true)
        };
        if !first {
            std::mem::forget(task);
            panic!("a task came out twice");
        }
        assert!(task.run().is_none(), "it was not woken");
    }

    fn look_and_steal(&self, slot: &Slot) {
        let seen = slot.look();
        self.run(slot.steal(seen));
    }

    /// After all threads were joined.
    fn each_once(&self, tasks: u32) {
        let all = (0..tasks).map(|place| 10usize.pow(place)).sum::<usize>();
        assert_eq!(self.ran.load(Ordering::Relaxed), all, "each task ran once");
    }
}

/// The owner fills, displaces and takes; a thief comes once.
#[test]
fn put_put_take_and_a_thief() {
    loom::model(|| {
        let (slot, runs) = (Arc::new(Slot::new()), Runs::new());
        let thief = {
            let (slot, runs) = (slot.clone(), runs.clone());
            thread::spawn(move || runs.look_and_steal(&slot))
        };
        let first = slot.put(runs.task(0));
        assert!(first.is_none(), "it was empty");
        runs.run(slot.put(runs.task(1)));
        runs.run(slot.take());
        thief.join().unwrap();
        assert!(slot.take().is_none());
        runs.each_once(2);
    });
}

/// The slot is full when two thieves come, and the owner takes.
#[test]
fn two_thieves_and_the_owner_want_one_task() {
    loom::model(|| {
        let (slot, runs) = (Arc::new(Slot::new()), Runs::new());
        assert!(slot.put(runs.task(0)).is_none());
        let thieves = [(); 2].map(|()| {
            let (slot, runs) = (slot.clone(), runs.clone());
            thread::spawn(move || runs.look_and_steal(&slot))
        });
        runs.run(slot.take());
        for thief in thieves {
            thief.join().unwrap();
        }
        runs.each_once(1);
    });
}

/// A thief empties the slot while the owner fills it anew: the owner's plain store overwrites nothing.
#[test]
fn put_after_a_theft() {
    loom::model(|| {
        let (slot, runs) = (Arc::new(Slot::new()), Runs::new());
        assert!(slot.put(runs.task(0)).is_none());
        let thief = {
            let (slot, runs) = (slot.clone(), runs.clone());
            thread::spawn(move || {
                runs.look_and_steal(&slot);
                runs.look_and_steal(&slot);
            })
        };
        runs.run(slot.put(runs.task(1)));
        runs.run(slot.take());
        thief.join().unwrap();
        runs.each_once(2);
    });
}

/// Two who watch find the owner stuck, at the same moment, and take at once what they see; it is not, and
/// goes on to fill and empty its slot.
#[test]
fn two_helpers_and_an_owner_that_is_not_stuck() {
    loom::model(|| {
        let (slot, runs) = (Arc::new(Slot::new()), Runs::new());
        assert!(slot.put(runs.task(0)).is_none());
        let helpers = [(); 2].map(|()| {
            let (slot, runs) = (slot.clone(), runs.clone());
            thread::spawn(move || runs.look_and_steal(&slot))
        });
        runs.run(slot.take());
        runs.run(slot.put(runs.task(1)));
        runs.run(slot.take());
        for helper in helpers {
            helper.join().unwrap();
        }
        runs.each_once(2);
    });
}
