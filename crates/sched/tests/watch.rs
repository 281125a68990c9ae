//! A worker that is stuck in one poll, and what becomes of its neighbours (S5). Each test goes by the
//! order of events: what it waits for happens while the poll goes on, or never.

#[path = "support/fake_park.rs"]
mod fake_park;
mod support;

use fake_park::Parks;
use filch_sched::clock::ManualClock;
use filch_sched::task::{Builder, ErrorHook, Meta, Report, yield_now};
use filch_sched::timer::{Sleep, sleep};
use filch_sched::{Config, Handle, Scheduler, ThreadPark, WorkerMetrics, run};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;
use support::{config, run_on, spawn, within_reason};

/// Longer than it takes to be found stuck.
const LONG: Duration = Duration::from_millis(5);

/// A waker that sends.
struct Sends(mpsc::Sender<&'static str>);

impl Wake for Sends {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send("timer");
    }
}

/// To be called in a poll that does not end before this returns: gives its worker a task in the queue, one
/// in the slot and a timer, and waits until all of them have come to their turn.
fn be_stuck_until_all_is_done() {
    let (done, wait) = mpsc::channel();
    let waker = Waker::from(Arc::new(Sends(done.clone())));
    let mut nap = pin!(sleep(Duration::from_millis(1)));
    assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let queued = done.clone();
    spawn(async move { queued.send("queue").unwrap() });
    spawn(async move { done.send("slot").unwrap() });
    let mut all: Vec<_> = (0..3).map(|_| wait.recv().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, ["queue", "slot", "timer"]);
}

fn metrics() -> Vec<WorkerMetrics> {
    Handle::try_current().unwrap().metrics()
}

/// Wakes `main` from another thread once all workers sleep: then worker 0 polls it, and nobody else
/// is told anything.
async fn woken_from_rest(parks: Parks) {
    let mut waker = None;
    poll_fn(move |cx| {
        if waker.is_some() {
            return Poll::Ready(());
        }
        waker = Some(cx.waker().clone());
        let (waker, parks) = (cx.waker().clone(), parks.clone());
        thread::spawn(move || {
            parks.until(|_, seen| seen.parked && seen.alarm.is_none());
            waker.wake();
        });
        Poll::Pending
    })
    .await;
}

#[test]
fn main_that_is_stuck_holds_up_nobody() {
    within_reason(|| run_on(2, async { be_stuck_until_all_is_done() }));
}

#[test]
fn a_task_that_is_stuck_holds_up_nobody() {
    within_reason(|| {
        run_on(2, async {
            for _ in 0..10 {
                spawn(async { be_stuck_until_all_is_done() }).await.unwrap();
            }
            assert!(metrics().iter().any(|worker| worker.stuck_found > 0));
        });
    });
}

/// Here nobody is woken by a push: what is in the slot is announced to nobody, and the other worker
/// sleeps until its alarm rings.
#[test]
fn one_who_sleeps_already_notices() {
    within_reason(|| {
        run_on(2, async {
            for _ in 0..20 {
                sleep(LONG).await;
                let (done, wait) = mpsc::channel();
                spawn(async move { done.send(()).unwrap() });
                wait.recv().unwrap();
            }
        });
    });
}

#[test]
fn one_who_is_busy_notices() {
    within_reason(|| {
        run_on(2, async {
            let stop = Arc::new(AtomicBool::new(false));
            let (begun, has_begun) = mpsc::channel();
            for _ in 0..3 {
                let (stop, begun) = (stop.clone(), begun.clone());
                spawn(async move {
                    begun.send(()).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        yield_now().await;
                    }
                });
            }
            // The other worker has one of them at least, and does not search any more.
            has_begun.recv().unwrap();
            be_stuck_until_all_is_done();
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn two_of_three_are_stuck() {
    within_reason(|| {
        run_on(3, async {
            let both = Arc::new(Barrier::new(2));
            let tasks = [(); 2].map(|()| {
                let both = both.clone();
                spawn(async move {
                    both.wait();
                    be_stuck_until_all_is_done();
                    both.wait();
                })
            });
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn a_timer_of_a_worker_that_is_stuck_goes_on_elsewhere() {
    within_reason(|| {
        run_on(2, async {
            let (done, wait) = mpsc::channel();
            let mut nap = Box::pin(sleep(LONG));
            // On this worker's wheel.
            assert!(nap.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let task = spawn(async move {
                nap.await;
                done.send(()).unwrap();
            });
            yield_now().await;
            wait.recv().unwrap();
            task.await.unwrap();
        });
    });
}

#[test]
fn a_rescue_is_asked_of_the_worker_that_is_stuck() {
    within_reason(|| {
        let (parks, hand) = (Parks::new(2), ManualClock::new());
        let config = Config { clock: hand.clock(), ..config(2) };
        let main = {
            let parks = parks.clone();
            async move {
                woken_from_rest(parks.clone()).await;
                assert_eq!(parks.seen(0).rescues + parks.seen(1).rescues, 0);
                // The other one sleeps, and has an alarm, as this one is about to poll.
                assert!(parks.seen(1).parked);
                assert_eq!(parks.seen(1).alarm, Some(Duration::from_millis(1)));
                hand.advance(Duration::from_millis(2));
                parks.ring(1);
                parks.until(|worker, seen| worker == 1 || seen.rescues > 0);
                // And it comes again, at its own alarm.
                parks.until(|worker, seen| worker == 0 || seen.parked);
                assert_eq!(parks.seen(1).alarm, Some(Duration::from_micros(500)));
                hand.advance(Duration::from_micros(500));
                parks.ring(1);
                parks.until(|worker, seen| worker == 1 || seen.rescues > 1);
                assert_eq!(parks.seen(1).rescues, 0);
            }
        };
        run(config, parks.make(), main).unwrap();
        assert_eq!(parks.seen(0).rescues, 2);
    });
}

#[test]
fn a_poll_that_is_not_the_first_of_its_burst_is_found_at_a_second_look() {
    within_reason(|| {
        let (parks, hand) = (Parks::new(2), ManualClock::new());
        let config = Config { clock: hand.clock(), ..config(2) };
        let main = {
            let parks = parks.clone();
            async move {
                woken_from_rest(parks.clone()).await;
                // The next poll is not known to have begun with the burst.
                for _ in 0..3 {
                    yield_now().await;
                }
                hand.advance(Duration::from_millis(2));
                parks.ring(1);
                parks.until(|worker, seen| worker == 0 || seen.parked);
                assert_eq!(parks.seen(0).rescues, 0, "it may have been in many short polls");
                assert_eq!(parks.seen(1).alarm, Some(Duration::from_micros(125)));
                hand.advance(Duration::from_micros(125));
                parks.ring(1);
                parks.until(|worker, seen| worker == 1 || seen.rescues > 0);
            }
        };
        run(config, parks.make(), main).unwrap();
    });
}

/// Two workers in step: each poll takes 100 us, at most 200 us, of a time that moves when both are in a
/// poll.
#[test]
fn nobody_is_rescued_who_is_not_stuck() {
    within_reason(|| {
        let (parks, hand) = (Parks::new(2), ManualClock::new());
        let config = Config { clock: hand.clock(), ..config(2) };
        let workers = run(config, parks.make(), async move {
            let both = Arc::new(Barrier::new(2));
            let tasks = [(); 2].map(|()| {
                let (both, hand) = (both.clone(), hand.clone());
                spawn(async move {
                    for _ in 0..5_000 {
                        if both.wait().is_leader() {
                            hand.advance(Duration::from_micros(100));
                        }
                        both.wait();
                        yield_now().await;
                    }
                })
            });
            for task in tasks {
                task.await.unwrap();
            }
            metrics()
        })
        .unwrap();
        assert!(workers.iter().map(|worker| worker.looks).sum::<u64>() >= 100, "{workers:?}");
        assert!(workers.iter().all(|worker| worker.stuck_found == 0), "{workers:?}");
        assert_eq!(parks.seen(0).rescues + parks.seen(1).rescues, 0);
    });
}

#[test]
fn an_idle_scheduler_sets_no_alarm() {
    within_reason(|| {
        for workers in [1, 2, 3, 5] {
            let parks = Parks::new(workers);
            // Its alarms do not ring, so time must not pass either.
            let config = Config { clock: ManualClock::new().clock(), ..config(workers) };
            let scheduler = Scheduler::start(config, parks.make()).unwrap();
            // Nothing can happen any more, then.
            parks.until(|_, seen| seen.parked && seen.alarm.is_none());
            let alarms = (0..workers).map(|worker| parks.seen(worker).alarms).sum::<usize>();
            assert!(workers > 1 || alarms == 0, "alone it has nobody to watch");
            drop(scheduler);
        }
    });
}

#[test]
fn a_burst_on_its_own_wakes_nobody_and_leaves_no_alarm() {
    within_reason(|| {
        let (parks, hand) = (Parks::new(3), ManualClock::new());
        let config = Config { clock: hand.clock(), ..config(3) };
        let scheduler = Scheduler::start(config, parks.make()).unwrap();
        let at_rest = || parks.until(|_, seen| seen.parked && seen.alarm.is_none());
        at_rest();
        let before = [0, 1, 2].map(|worker| parks.seen(worker));
        for round in 1..=5 {
            hand.advance(LONG);
            let task = scheduler.handle().spawn(async {}, Meta::here());
            scheduler.handle().block_on(task).unwrap().unwrap();
            parks.until(|worker, seen| worker != 0 || seen.parks == before[0].parks + round);
            at_rest();
        }
        let after = [0, 1, 2].map(|worker| parks.seen(worker));
        assert_eq!(after[0].parks, before[0].parks + 5);
        assert_eq!([after[1].parks, after[2].parks], [before[1].parks, before[2].parks]);
        // Set and taken back, each time, for the one that is woken last.
        assert_eq!(after.map(|seen| seen.alarms)[..2], before.map(|seen| seen.alarms)[..2]);
        assert_eq!(after[2].alarms, before[2].alarms + 10);
    });
}

#[test]
fn a_series_of_bursts_sets_one_alarm_which_rings_once() {
    within_reason(|| {
        let (parks, hand) = (Parks::new(3), ManualClock::new());
        let config = Config { clock: hand.clock(), ..config(3) };
        let scheduler = Scheduler::start(config, parks.make()).unwrap();
        parks.until(|_, seen| seen.parked && seen.alarm.is_none());
        let before = [0, 1, 2].map(|worker| parks.seen(worker));
        for round in 1..=5 {
            hand.advance(Duration::from_micros(100));
            let task = scheduler.handle().spawn(async {}, Meta::here());
            scheduler.handle().block_on(task).unwrap().unwrap();
            parks.until(|worker, seen| worker != 0 || seen.parks == before[0].parks + round);
            parks.until(|_, seen| seen.parked);
        }
        let after = [0, 1, 2].map(|worker| parks.seen(worker));
        assert_eq!(after[2].alarms, before[2].alarms + 1);
        assert_eq!(after[2].parks, before[2].parks);
        assert!(after[2].alarm.is_some());
        hand.advance(LONG);
        parks.ring(2);
        parks.until(|worker, seen| worker != 2 || seen.parks == after[2].parks + 1);
        parks.until(|_, seen| seen.parked && seen.alarm.is_none());
        assert_eq!(parks.seen(2).alarms, after[2].alarms, "one who got up for nothing sets none");
        assert_eq!(parks.seen(1).alarms, before[1].alarms);
    });
}

/// A hook that sends, and a scheduler's configuration with it.
fn reporting(after: Duration) -> (Config, mpsc::Receiver<Report>) {
    let (send, reports) = mpsc::channel();
    let hook = ErrorHook::new(move |report| {
        let _ = send.send(report.clone());
    });
    (Config { hook, stuck_report: Some(after), ..config(2) }, reports)
}

#[test]
fn a_task_is_named_while_it_is_stuck() {
    within_reason(|| {
        let (config, reports) = reporting(LONG);
        run(config, |_| Ok(ThreadPark::new()), async move {
            let stuck = async move {
                let report = reports.recv().unwrap();
                (report, filch_sched::task::id())
            };
            let line = line!() + 1;
            let task = filch_sched::spawn(stuck, Builder::new().name("hog").meta());
            let (report, own) = task.await.unwrap();
            let text = report.to_string();
            let Report::TaskStuck { worker, id, name, location, for_so_long, .. } = report else {
                panic!("{text}");
            };
            assert!(worker < 2);
            assert_eq!((id, name.as_deref()), (own, Some("hog")));
            assert_eq!((location.file(), location.line()), (file!(), line));
            assert!(for_so_long >= LONG);
            assert!(text.contains("hog") && text.contains(file!()), "{text}");
            assert_eq!(text.lines().count(), 1);
        })
        .unwrap();
    });
}

#[test]
fn main_is_reported_while_it_is_stuck() {
    within_reason(|| {
        let (config, reports) = reporting(LONG);
        run(config, |_| Ok(ThreadPark::new()), async move {
            let report = reports.recv().unwrap();
            assert!(matches!(report, Report::WorkerStuck { worker: 0, .. }), "{report}");
            assert!(report.to_string().contains("main future"), "{report}");
        })
        .unwrap();
    });
}

/// The stuck poll ends while it is being helped, perhaps by the help, and the worker polls another task.
#[test]
fn nobody_is_named_for_what_another_did() {
    within_reason(|| {
        let (parks, hand) = (Parks::new(2), ManualClock::new());
        let (config, reports) = reporting(Duration::from_millis(100));
        let config = Config { clock: hand.clock(), ..config };
        let (end, is_over) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        let main = {
            let parks = parks.clone();
            async move {
                woken_from_rest(parks.clone()).await;
                let stuck = async move {
                    parks.at_rescue(0, move || {
                        end.send(()).unwrap();
                        has_begun.recv().unwrap();
                    });
                    hand.advance(Duration::from_millis(2));
                    parks.ring(1);
                    parks.until(|worker, seen| worker == 0 || seen.parked);
                    hand.advance(Duration::from_millis(200));
                    parks.ring(1);
                    is_over.recv().unwrap();
                    Some(spawn(async move {
                        begun.send(()).unwrap();
                        parks.until(|worker, seen| worker == 0 || seen.parked);
                    }))
                };
                spawn(stuck).await.unwrap().unwrap().await.unwrap();
            }
        };
        let make = parks.make();
        run(config, make, main).unwrap();
        assert_eq!(parks.seen(0).rescues, 1);
        let report = reports.try_recv();
        assert!(report.is_err(), "{}", report.unwrap());
    });
}

#[test]
fn a_waker_that_panics_on_a_helper_is_reported_and_stops_nobody() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of somebody else's");
        }
    }
    within_reason(|| {
        let (config, reports) = reporting(Duration::from_secs(3_600));
        run(config, |_| Ok(ThreadPark::new()), async move {
            let mut nap = pin!(sleep(Duration::from_millis(1)));
            let waker = Waker::from(Arc::new(Panics));
            assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            // Another worker fires it, while this one waits here.
            let report = reports.recv().unwrap();
            assert!(matches!(report, Report::ForeignWakerPanicked { worker: 1, .. }), "{report}");
            be_stuck_until_all_is_done();
        })
        .unwrap();
    });
}

/// A waker that holds its thread up until something comes.
struct HoldsUp(Mutex<mpsc::Receiver<()>>);

impl Wake for HoldsUp {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().recv().unwrap();
    }
}

/// Two sleeps on this worker: the waker of the first does not come back before the second is over. That one
/// wakes `then` as well.
fn one_holds_up_the_other(then: Waker) -> [Pin<Box<Sleep>>; 2] {
    struct LetsGo(mpsc::Sender<()>, Waker);
    impl Wake for LetsGo {
        fn wake(self: Arc<Self>) {
            self.0.send(()).unwrap();
            self.1.wake_by_ref();
        }
    }
    let (go, wait) = mpsc::channel();
    let wakers =
        [Waker::from(Arc::new(HoldsUp(Mutex::new(wait)))), Arc::new(LetsGo(go, then)).into()];
    let times = [30, 60].map(Duration::from_millis);
    let mut wakers = wakers.into_iter();
    times.map(|time| {
        let mut nap = Box::pin(sleep(time));
        let waker = wakers.next().unwrap();
        assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        nap
    })
}

/// The other sleeps, and had no alarm when this one got up for a timer.
#[test]
fn a_worker_that_is_stuck_in_a_timers_waker_is_noticed() {
    within_reason(|| {
        run_on(2, async {
            let mut naps = None;
            poll_fn(move |cx| {
                if naps.is_some() {
                    return Poll::Ready(());
                }
                naps = Some(one_holds_up_the_other(cx.waker().clone()));
                Poll::Pending
            })
            .await;
        });
    });
}

#[test]
fn one_who_helps_and_is_stuck_in_a_waker_is_noticed() {
    within_reason(|| {
        run_on(3, async {
            let (done, wait) = mpsc::channel();
            let _naps = one_holds_up_the_other(Arc::new(Sends(done)).into());
            assert_eq!(wait.recv().unwrap(), "timer");
        });
    });
}
