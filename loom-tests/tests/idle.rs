//! The idle protocol: who publishes work and who goes to sleep do not miss each other (S2).
//!
//! The protocol is the scheduler's own (`Idle`, `Member`, `Queue`, `Injector`, `ThreadPark`), and so are the
//! orderings of the deque. What is written here is only the loop around it, in the steps of the real
//! worker's. A pusher never goes on after its push: its next poll does not end, which is the case in
//! which nobody but a sleeper can help. A task that is forgotten is then a deadlock, which loom reports.
#![cfg(filch_loom)]

use filch_atomic::deque::{Steal, Stealer};
use filch_atomic::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sched::idle::{Idle, Member};
use filch_sched::injector::Injector;
use filch_sched::queue::Queue;
use filch_sched::{Park, Peer, ThreadPark, ThreadPeer};

const BATCH: usize = 64;

/// A task is a number.
type Task = usize;

/// What the workers share, as in the real scheduler.
struct Crew {
    idle: Idle,
    injector: Injector<Task>,
    stealers: Vec<Stealer<Task>>,
    peers: Vec<ThreadPeer>,
    closing: AtomicBool,
    /// Tasks that are still to be run; the last one closes.
    left: AtomicUsize,
}

impl Crew {
    /// A crew with `tasks` to run, and its workers, all awake.
    fn new<const N: usize>(tasks: usize) -> (Arc<Self>, [Worker; N]) {
        let queues: [Queue<Task>; N] = std::array::from_fn(|_| Queue::new());
        let parks: [ThreadPark; N] = std::array::from_fn(|_| ThreadPark::new());
        let crew = Arc::new(Self {
            idle: Idle::new(N),
            injector: Injector::new(),
            stealers: queues.iter().map(Queue::stealer).collect(),
            peers: parks.iter().map(Park::peer).collect(),
            closing: AtomicBool::new(false),
            left: AtomicUsize::new(tasks),
        });
        let mut seats = queues.into_iter().zip(parks).enumerate();
        let workers = std::array::from_fn(|_| {
            let (index, (queue, park)) = seats.next().expect("there are N");
            Worker { index, crew: crew.clone(), queue, park, member: Member::new(index) }
        });
        (crew, workers)
    }

    fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.stealers.iter().any(|stealer| !stealer.is_empty())
    }

    fn wake_sleeper(&self) {
        if let Some(worker) = self.idle.sleeper_to_wake() {
            self.peers[worker].unpark();
        }
    }

    fn inject(&self, task: Task) {
        self.injector.push(task).expect("it is open");
        self.wake_sleeper();
    }

    /// As shutting down does it: the flag, then a token for everybody.
    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        for peer in &self.peers {
            peer.unpark();
        }
    }

    /// One task was run.
    fn ran(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }
}

struct Worker {
    index: usize,
    crew: Arc<Crew>,
    queue: Queue<Task>,
    park: ThreadPark,
    member: Member,
}

impl Worker {
    /// Runs tasks until the crew closes. `run` is a task's poll.
    fn run(&mut self, mut run: impl FnMut(&mut Self, Task)) {
        while !self.crew.closing.load(Ordering::Acquire) {
            match self.next().or_else(|| self.look_around()) {
                Some(task) => {
                    self.begin_poll();
                    run(self, task);
                }
                None => self.sleep(),
            }
        }
    }

    fn next(&self) -> Option<Task> {
        self.queue.pop().or_else(|| self.pull())
    }

    fn pull(&self) -> Option<Task> {
        self.queue.pull(&self.crew.injector, self.crew.stealers.len(), BATCH)
    }

    fn look_around(&mut self) -> Option<Task> {
        if !self.member.may_search(&self.crew.idle) {
            return None;
        }
        // One round: more of them only hide what the protocol must do without them.
        for victim in (0..self.crew.stealers.len()).filter(|&victim| victim != self.index) {
            for _ in 0..2 {
                match self.queue.steal(&self.crew.stealers[victim], BATCH) {
                    Steal::Success(task) => return Some(task),
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
        }
        self.pull()
    }

    fn begin_poll(&mut self) {
        let crew = &self.crew;
        if let Some(sleeper) = self.member.leave_search(&crew.idle, || crew.has_work()) {
            crew.peers[sleeper].unpark();
        }
        self.announce();
    }

    fn announce(&self) {
        if self.queue.must_announce() {
            self.crew.wake_sleeper();
        }
    }

    /// What a task does that spawns another.
    fn publish(&self, task: Task) {
        self.queue.push(task);
        self.announce();
    }

    fn sleep(&mut self) {
        self.sleep_while(|| {});
    }

    /// Sleeps; `begin` is done when it is known to, just before it parks.
    fn sleep_while(&mut self, begin: impl FnOnce()) {
        let Self { crew, member, park, .. } = self;
        let park = || {
            begin();
            park.park(None).expect("it cannot fail");
        };
        let _ = member.sleep(&crew.idle, || crew.has_work(), park);
    }
}

/// Something that a poll which does not end waits for: another task.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        let mut open = self.0.lock();
        while !*open {
            self.1.wait(&mut open);
        }
    }
}

/// A worker that just runs what there is.
fn just_run(mut worker: Worker) {
    worker.run(|worker, _| worker.crew.ran());
}

/// A task's poll in a crew where the first task does not end before the second has run, so it takes two
/// workers. `begin` is what the first does before it waits.
fn meet(begin: impl Fn(&Worker) + Clone) -> impl FnMut(&mut Worker, Task) + Clone {
    let gate = Arc::new(Gate::default());
    move |worker, task| {
        match task {
            1 => {
                begin(worker);
                gate.wait();
            }
            2 => gate.open(),
            _ => {}
        }
        worker.crew.ran();
    }
}

/// Runs each of these on a thread of its own. The first thread of a model only waits for them: to leave
/// it before it waits would count as a preemption.
fn on_threads(bodies: Vec<Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = bodies.into_iter().map(thread::spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A worker publishes two tasks in a poll that does not end; another is about to sleep.
#[test]
fn a_local_push_is_not_missed() {
    loom::model(|| {
        let (_, [stuck, other]) = Crew::new(2);
        on_threads(vec![
            Box::new(move || just_run(other)),
            Box::new(move || {
                stuck.publish(1);
                stuck.publish(2);
            }),
        ]);
    });
}

/// A thread that is no worker injects tasks while the only worker is about to sleep.
#[test]
fn an_injected_task_is_not_missed() {
    loom::model(|| {
        let (crew, [worker]) = Crew::new(2);
        on_threads(vec![
            Box::new(move || just_run(worker)),
            Box::new(move || {
                crew.inject(1);
                crew.inject(2);
            }),
        ]);
    });
}

/// Two threads inject a task each, for two workers.
#[test]
fn two_publishers_and_two_sleepers() {
    loom::model(|| {
        let (crew, [one, other]) = Crew::new(2);
        let thread = thread::spawn(move || just_run(one));
        let bodies: Vec<Box<dyn FnOnce() + Send>> = vec![
            Box::new(move || just_run(other)),
            Box::new({
                let crew = crew.clone();
                move || crew.inject(1)
            }),
        ];
        crew.inject(2);
        on_threads(bodies);
        thread.join().unwrap();
    });
}

/// A worker pulls two tasks at once from outside, and the first waits for the second.
#[test]
fn a_batch_is_announced_before_it_is_run() {
    loom::model(|| {
        let (crew, [mut one, mut other]) = Crew::new(2);
        crew.injector.push(1).unwrap();
        crew.injector.push(2).unwrap();
        let run = meet(|_| {});
        let again = run.clone();
        on_threads(vec![Box::new(move || one.run(run)), Box::new(move || other.run(again))]);
    });
}

/// A thief takes two tasks of three, and the first waits for the second.
#[test]
fn a_stolen_batch_is_announced_before_it_is_run() {
    loom::model(|| {
        let (_, [stuck, mut middle, mut last]) = Crew::new(3);
        for task in [1, 2, 3] {
            stuck.queue.push(task);
        }
        let run = meet(|_| {});
        let again = run.clone();
        on_threads(vec![Box::new(move || middle.run(run)), Box::new(move || last.run(again))]);
    });
}

/// A worker that is claimed while its own look finds the work searches, leaves and pushes before the waker
/// has counted it: nobody takes it for a searcher then, and the third worker, which sleeps, is woken.
#[test]
fn a_claimed_worker_that_is_not_counted_yet_is_no_searcher() {
    let mut model = loom::model::Builder::new();
    // It takes three preemptions to get there, so fewer would find nothing.
    model.preemption_bound = model.preemption_bound.map(|bound| bound.max(3));
    model.check(|| {
        let (_, [stuck, mut middle, mut last]) = Crew::new(2);
        let run = meet(|worker| worker.publish(2));
        let again = run.clone();
        let mut threads = Vec::new();
        last.sleep_while(|| {
            threads.push(thread::spawn(move || stuck.publish(1)));
            threads.push(thread::spawn(move || {
                middle.sleep();
                middle.run(run);
            }));
        });
        last.run(again);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A searcher finds work and leaves with it just as another push relies on it.
#[test]
fn a_searcher_that_leaves_looks_for_those_who_relied_on_it() {
    loom::model(|| {
        let (_, [stuck, mut middle, mut last]) = Crew::new(2);
        let run = meet(|_| {});
        let again = run.clone();
        on_threads(vec![
            Box::new(move || last.run(again)),
            Box::new(move || middle.run(run)),
            Box::new(move || {
                stuck.publish(1);
                stuck.publish(2);
            }),
        ]);
    });
}

/// The same with tasks from outside, whose queue is looked at without a lock.
#[test]
fn a_searcher_that_leaves_looks_into_the_injector() {
    loom::model(|| {
        let (crew, [mut middle, mut last]) = Crew::new(2);
        let run = meet(|_| {});
        let again = run.clone();
        let mut threads = Vec::new();
        last.sleep_while(|| {
            threads.push(thread::spawn(move || middle.run(run)));
            threads.push(thread::spawn(move || {
                crew.inject(1);
                crew.inject(2);
            }));
        });
        last.run(again);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// The closing flag and the token reach a worker that is about to park.
#[test]
fn closing_reaches_a_worker_that_is_about_to_park() {
    loom::model(|| {
        let (crew, [worker]) = Crew::new(1);
        on_threads(vec![Box::new(move || just_run(worker)), Box::new(move || crew.close())]);
    });
}
