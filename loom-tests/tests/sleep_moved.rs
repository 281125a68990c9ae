//! A sleep among the timers of one worker, in a task that is elsewhere: timer fire x reschedule x drop x steal.
//!
//! The protocol is the scheduler's own, from the task's state word to the wheel. What is written here is what two workers
//! do with it: the first one has the timer, and fires it; the other one steals the task, and polls it. Time stands still
//! in a model: who fires is told a time at which the sleep is due.
#![cfg(filch_loom)]

use filch_atomic::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use filch_atomic::sync::{Arc, Mutex};
use filch_atomic::thread;
use filch_sched::clock::Clock;
use filch_sched::slot::Slot;
use filch_sched::task::{ErrorHook, JoinHandle, Meta, OwnedTasks, Schedule, Task, spawn_task};
use filch_sched::timer::{Sleep, Timers, sleep_until};
use filch_sched::{Park, Peer, ThreadPark, set_own_timers};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// Far from where the clock stands, whatever that is.
const HOUR: Duration = Duration::from_secs(3600);

/// Where tasks are that can run.
struct Floor {
    /// The first worker's, for others to steal from.
    slot: Slot,
    ready: Mutex<VecDeque<Task>>,
    tasks: OwnedTasks,
    hook: ErrorHook,
}

/// Its own type, as the `Arc` is the model's.
struct OnFloor(Arc<Floor>);

impl Schedule for OnFloor {
    fn schedule(&self, task: Task) {
        self.0.ready.lock().push_back(task);
    }

    fn tasks(&self) -> &OwnedTasks {
        &self.0.tasks
    }

    fn hook(&self) -> &ErrorHook {
        &self.0.hook
    }
}

impl Floor {
    /// Runs what is ready, after `first`.
    fn run(&self, first: Option<Task>) {
        let mut next = first;
        loop {
            let Some(task) = next.take().or_else(|| self.ready.lock().pop_front()) else { return };
            if let Some(again) = task.run() {
                self.ready.lock().push_back(again);
            }
        }
    }
}

/// What a sleep wakes: its task, and it counts.
struct Fires {
    count: AtomicUsize,
    task: Waker,
}

impl Wake for Fires {
    fn wake(self: std::sync::Arc<Self>) {
        // Before the task can run.
        self.count.fetch_add(1, Ordering::SeqCst);
        self.task.wake_by_ref();
    }
}

/// What is said of the one sleep of a model.
struct Nap {
    base: Instant,
    fires: std::sync::Mutex<Option<std::sync::Arc<Fires>>>,
    /// Its time has come, wherever it was moved to.
    is_time: AtomicBool,
    is_dropped: AtomicBool,
}

impl Nap {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            base: Instant::now(),
            fires: std::sync::Mutex::new(None),
            is_time: AtomicBool::new(false),
            is_dropped: AtomicBool::new(false),
        })
    }

    fn fired(&self) -> usize {
        let fires = self.fires.lock().unwrap().clone();
        fires.expect("it was polled").count.load(Ordering::SeqCst)
    }
}

/// Says so.
struct Dropped(Arc<Nap>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.is_dropped.store(true, Ordering::SeqCst);
    }
}

/// Sleeps for an hour, but that in its second poll it moves the end of that to so long after the beginning.
fn naps(nap: &Arc<Nap>, moved_to: Duration) -> impl Future<Output = ()> + Send + use<> {
    let (nap, base) = (nap.clone(), nap.base);
    // In this order: what says that it was dropped is dropped behind it.
    let mut held: (Sleep, Dropped) = (sleep_until(base + HOUR), Dropped(nap.clone()));
    let mut polls = 0;
    poll_fn(move |cx| {
        // All that is captured as a whole, for the order.
        let (sleep, _) = &mut held;
        polls += 1;
        let fires = nap.fires.lock().unwrap().clone().unwrap_or_else(|| {
            let task = cx.waker().clone();
            std::sync::Arc::new(Fires { count: AtomicUsize::new(0), task })
        });
        if polls == 1 {
            *nap.fires.lock().unwrap() = Some(fires.clone());
        }
        if polls == 2 {
            sleep.reset(base + moved_to);
        }
        let waker = Waker::from(fires);
        let polled = Pin::new(sleep).poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            assert!(nap.is_time.load(Ordering::SeqCst), "it was put off before this poll");
        }
        polled
    })
}

/// A task that sleeps among `timers`, and has been woken by something else. It is in the slot.
fn asleep(
    floor: &Arc<Floor>,
    timers: &Arc<Timers>,
    nap: &Arc<Nap>,
    to: Duration,
) -> JoinHandle<()> {
    set_own_timers(timers.clone());
    let (task, handle) = spawn_task(naps(nap, to), OnFloor(floor.clone()), Meta::here());
    assert!(task.expect("the list is open").run().is_none());
    assert_eq!(timers.len(), 1);
    let fires = nap.fires.lock().unwrap().clone().expect("it was polled");
    fires.task.wake_by_ref();
    let task = floor.ready.lock().pop_front().expect("it is woken");
    assert!(floor.slot.put(task).is_none());
    handle
}

fn floor() -> Arc<Floor> {
    Arc::new(Floor {
        slot: Slot::new(),
        ready: Mutex::new(VecDeque::new()),
        tasks: OwnedTasks::new(),
        hook: ErrorHook::new(|_| {}),
    })
}

/// The other worker: steals the task if it still finds it, and runs that, or what else is ready.
fn thief(floor: &Arc<Floor>, timers: &Arc<Timers>) -> thread::JoinHandle<()> {
    let (floor, timers) = (floor.clone(), timers.clone());
    thread::spawn(move || {
        set_own_timers(timers);
        let seen = floor.slot.look();
        floor.run(floor.slot.steal(seen));
    })
}

fn expire(timers: &Timers, now: Instant, scratch: &mut Vec<Waker>) {
    while timers.expire(now, scratch).more {}
}

/// The first worker fires the timer while the task is stolen, puts it off, and is dropped: any of these may come first.
///
/// Nobody is lost: a task that is not dropped ends when its time has come. It is not woken twice for one deadline, not
/// by who begins to fire after its sleep was dropped, and its waker is not kept.
fn fire_and_put_off(is_aborted: bool) {
    let (floor, nap) = (floor(), Nap::new());
    let [mine, theirs] = [(); 2].map(|()| Timers::new(Clock::real(), || {}));
    let handle = asleep(&floor, &mine, &nap, 3 * HOUR);
    let thief = thief(&floor, &theirs);
    let aborter = is_aborted.then(|| {
        let handle = handle.abort_handle();
        thread::spawn(move || handle.abort())
    });
    let mut scratch = Vec::new();
    let was_dropped = nap.is_dropped.load(Ordering::SeqCst);
    expire(&mine, nap.base + 2 * HOUR, &mut scratch);
    if was_dropped {
        assert_eq!(nap.fired(), 0, "there is nobody to be woken");
    }
    floor.run(floor.slot.take());
    thief.join().unwrap();
    aborter.into_iter().for_each(|aborter| aborter.join().unwrap());
    floor.run(None);

    let before = nap.fired();
    assert!(before <= 1, "once for the first deadline");
    let is_dropped = nap.is_dropped.load(Ordering::SeqCst);
    assert_eq!(is_dropped, is_aborted);
    assert_eq!(mine.len() + theirs.len(), usize::from(!is_dropped));
    nap.is_time.store(true, Ordering::SeqCst);
    for timers in [&mine, &theirs] {
        expire(timers, nap.base + 4 * HOUR, &mut scratch);
    }
    floor.run(None);
    assert_eq!(nap.fired() - before, usize::from(!is_dropped), "once for the second deadline");
    assert!(nap.is_dropped.load(Ordering::SeqCst));
    assert_eq!(mine.len() + theirs.len(), 0);
    let fires = nap.fires.lock().unwrap().take().expect("it was polled");
    assert_eq!(std::sync::Arc::strong_count(&fires), 1, "its waker is not kept");
    assert!(scratch.is_empty());
    ended(handle, is_aborted);
}

/// The task is over. Its panics, loom's own among them, go on from here.
fn ended(mut handle: JoinHandle<()>, is_aborted: bool) {
    match Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(())) => assert!(!is_aborted, "it had no time to end"),
        Poll::Ready(Err(error)) if error.is_panic() => {
            std::panic::resume_unwind(error.into_panic())
        }
        Poll::Ready(Err(_)) => assert!(is_aborted),
        Poll::Pending => panic!("it is lost"),
    }
}

#[test]
fn fire_reschedule_and_steal() {
    check(|| fire_and_put_off(false));
}

#[test]
fn fire_reschedule_steal_and_drop() {
    check(|| fire_and_put_off(true));
}

/// The thief draws the deadline nearer, while the first worker goes to sleep until the former one.
#[test]
fn drawn_nearer_by_a_thief_while_its_owner_goes_to_sleep() {
    check(|| {
        let (floor, nap) = (floor(), Nap::new());
        nap.is_time.store(true, Ordering::SeqCst);
        let mut park = ThreadPark::new();
        let peer = park.peer();
        let mine = Timers::new(Clock::real(), move || peer.unpark());
        let theirs = Timers::new(Clock::real(), || {});
        let handle = asleep(&floor, &mine, &nap, HOUR / 2);
        let thief = thief(&floor, &theirs);
        let soon = nap.base + HOUR * 3 / 4;
        while mine.next_deadline().is_none_or(|next| next > soon) {
            // Without a deadline: what nobody unparks sleeps for ever, and the model finds that.
            park.park(None).unwrap();
        }
        expire(&mine, soon, &mut Vec::new());
        thief.join().unwrap();
        floor.run(None);
        assert_eq!((nap.fired(), mine.len(), theirs.len()), (1, 0, 0));
        drop(nap.fires.lock().unwrap().take());
        ended(handle, false);
    });
}
