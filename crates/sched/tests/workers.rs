//! Whole schedulers over the park that knows no I/O.

mod support;

use filch_sched::clock::ManualClock;
use filch_sched::scope::is_cancelled;
use filch_sched::task::{JoinHandle, Meta, yield_now};
use filch_sched::{Config, Handle, StartError, ThreadPark, run};
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;
use support::{config, run_on, spawn, start, within_reason};

#[test]
fn the_main_future_may_borrow_and_need_not_be_send() {
    let here = Rc::new(Cell::new(1));
    let borrowed = &here;
    let out = run_on(2, async move {
        borrowed.set(borrowed.get() + 1);
        yield_now().await;
        spawn(async { 40 }).await.unwrap() + borrowed.get()
    });
    assert_eq!((out, here.get()), (42, 2));
}

#[test]
fn every_task_runs_once_on_any_number_of_workers() {
    for workers in [1, 2, 3, 5] {
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        run_on(workers, async move {
            let tasks: Vec<_> = (0..10_000)
                .map(|number| {
                    let count = count.clone();
                    spawn(async move {
                        for _ in 0..number % 4 {
                            yield_now().await;
                        }
                        count.fetch_add(1, Ordering::Relaxed);
                        number
                    })
                })
                .collect();
            for (number, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), number);
            }
        });
        assert_eq!(ran.load(Ordering::Relaxed), 10_000);
    }
}

#[test]
fn a_queued_task_is_stolen_from_a_worker_that_is_stuck() {
    // The main future blocks worker 0 until the task in its queue has run: only a thief can run it.
    run_on(2, async {
        let (done, wait) = mpsc::channel();
        let first = done.clone();
        spawn(async move { first.send(1).unwrap() });
        spawn(async move { done.send(2).unwrap() });
        // The second spawn pushed the first out of the slot into the queue.
        assert_eq!(wait.recv().unwrap(), 1);
    });
}

#[test]
fn a_task_that_yielded_is_stolen_from_a_worker_that_is_stuck_in_the_slot() {
    run_on(2, async {
        // So that the other worker sleeps, mostly: awake, it would come by itself.
        thread::sleep(Duration::from_millis(20));
        spawn(async {
            let (done, wait) = mpsc::channel();
            // Runs next, from the slot, and blocks its worker until this task has had its next turn.
            let stuck = spawn(async move { wait.recv().unwrap() });
            yield_now().await;
            done.send(7).unwrap();
            assert_eq!(stuck.await.unwrap(), 7);
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_task_that_yielded_is_stolen_from_a_worker_that_is_stuck_in_the_main_future() {
    run_on(2, async {
        thread::sleep(Duration::from_millis(20));
        let (done, wait) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        let mut first = true;
        std::future::poll_fn(move |cx| {
            if std::mem::take(&mut first) {
                let (waker, begun, done) = (cx.waker().clone(), begun.clone(), done.clone());
                spawn(async move {
                    // The main future runs next, and blocks its worker until this task has gone on.
                    waker.wake();
                    begun.send(()).unwrap();
                    yield_now().await;
                    done.send(7).unwrap();
                });
                return Poll::Pending;
            }
            has_begun.recv().unwrap();
            assert_eq!(wait.recv().unwrap(), 7);
            Poll::Ready(())
        })
        .await;
    });
}

#[test]
fn tasks_spawned_from_outside_wake_sleeping_workers() {
    let scheduler = start(2);
    for _ in 0..1_000 {
        let handle = scheduler.handle().spawn(async { 7 }, Meta::here());
        assert_eq!(scheduler.handle().block_on(handle).unwrap().unwrap(), 7);
    }
    let total: u64 = scheduler.handle().metrics().iter().map(|worker| worker.polls).sum();
    assert_eq!(total, 1_000, "each task was polled once");
}

#[test]
fn a_task_that_always_yields_starves_nobody() {
    run_on(1, async {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let greedy = spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                yield_now().await;
            }
        });
        // The main future and the tasks it spawns come to their turn beside it.
        for _ in 0..100 {
            spawn(async {}).await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        greedy.await.unwrap();
    });
}

#[test]
fn a_task_that_takes_long_again_and_again_does_not_hide_from_the_clock() {
    const ROUNDS: u32 = 300;
    const LONG: Duration = Duration::from_millis(5);
    let hand = ManualClock::new();
    let config = Config { workers: 1, clock: hand.clock(), ..Config::default() };
    let worker = run(config, |_| Ok(ThreadPark::new()), async move {
        // Several rounds of these fit between two looks at the clock, when nothing takes long.
        for _ in 0..5 {
            spawn(async {
                loop {
                    yield_now().await;
                }
            });
        }
        let hog = spawn(async move {
            for _ in 0..ROUNDS {
                hand.advance(LONG);
                yield_now().await;
            }
        });
        hog.await.unwrap();
        filch_sched::with_handle(|handle| handle.unwrap().metrics()[0])
    })
    .unwrap();
    // The worker submitted and reaped as often as it was kept from it, or nearly.
    assert!(worker.turns >= u64::from(ROUNDS) * 9 / 10, "{worker:?}");
    // And it never slept, all the same its time is counted.
    assert!(worker.busy >= LONG * ROUNDS * 9 / 10, "{worker:?}");
}

#[test]
fn two_tasks_that_wake_each_other_do_not_keep_the_worker() {
    use std::sync::Mutex;
    use std::task::Waker;
    /// Each poll wakes the other of a pair, for ever.
    fn volley(
        wakers: Arc<Mutex<[Option<Waker>; 2]>>,
        me: usize,
        stop: Arc<AtomicBool>,
    ) -> JoinHandle<()> {
        spawn(std::future::poll_fn(move |cx| {
            let mut wakers = wakers.lock().unwrap();
            wakers[me] = Some(cx.waker().clone());
            if let Some(other) = wakers[1 - me].take() {
                other.wake();
            }
            if stop.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        }))
    }
    run_on(1, async {
        let (wakers, stop) = (Arc::new(Mutex::new([None, None])), Arc::new(AtomicBool::new(false)));
        let pair = [0, 1].map(|me| volley(wakers.clone(), me, stop.clone()));
        let third = spawn(async {});
        third.await.unwrap();
        stop.store(true, Ordering::Relaxed);
        for waker in wakers.lock().unwrap().iter_mut() {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
        for task in pair {
            task.await.unwrap();
        }
    });
}

#[test]
fn blocking_on_a_worker_is_refused() {
    let scheduler = start(1);
    let handle = scheduler.handle().clone();
    let inner = handle.clone();
    let task = handle.spawn(
        async move {
            let refused = inner.block_on(async {}).is_err();
            let nested = run(config(1), |_| Ok(ThreadPark::new()), async {});
            (refused, matches!(nested, Err(StartError::OnWorker(_))))
        },
        Meta::here(),
    );
    assert_eq!(handle.block_on(task).unwrap().unwrap(), (true, true));
}

#[test]
fn the_context_of_a_thread_is_what_it_entered_last() {
    assert!(Handle::try_current().is_none());
    let (one, two) = (start(1), start(2));
    let first = one.handle().enter();
    assert_eq!(Handle::try_current().unwrap().workers(), 1);
    {
        let _second = two.handle().enter();
        assert_eq!(Handle::try_current().unwrap().workers(), 2);
    }
    assert_eq!(Handle::try_current().unwrap().workers(), 1);
    drop(first);
    assert!(Handle::try_current().is_none());
}

#[test]
#[should_panic(expected = "there is no filch runtime on this thread")]
fn spawning_without_a_scheduler_panics_with_a_way_out() {
    drop(spawn(async {}));
}

#[test]
fn the_main_future_is_no_task() {
    use filch_sched::task::try_id;
    let (main, task) = run_on(2, async { (try_id(), spawn(async { try_id() }).await.unwrap()) });
    assert!(main.is_none());
    assert!(task.is_some());
}

#[test]
fn a_blocking_closure_may_block_on_futures_without_end() {
    within_reason(|| {
        let scheduler = start(1);
        let handle = scheduler.handle().clone();
        let inside = handle.clone();
        let closure = move || {
            // Far more than a task may do in one turn.
            for _ in 0..1_000 {
                let task = inside.spawn(async {}, Meta::here());
                inside.block_on(task).unwrap().unwrap();
            }
        };
        let closure = handle.spawn_blocking(closure, Meta::here()).unwrap();
        handle.block_on(closure).unwrap().unwrap();
    });
}

/// What is dropped with a future is dropped where that ran, also by a panic: it is no part of the closure around it.
#[test]
fn a_future_that_is_blocked_on_ends_where_it_ran() {
    struct Asks(mpsc::Sender<bool>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.send(is_cancelled()).unwrap();
        }
    }
    within_reason(|| {
        let scheduler = start(1);
        let handle = scheduler.handle().clone();
        let inside = handle.clone();
        let (asks, asked) = mpsc::channel();
        let (begins, begun) = mpsc::channel();
        let closure = move || {
            begins.send(()).unwrap();
            while !is_cancelled() {
                thread::yield_now();
            }
            for panics in [false, true] {
                let mine = Asks(asks.clone());
                // Its own, and not the poll's: that would drop it in any case.
                let future = std::future::poll_fn(move |_| {
                    let _mine = &mine;
                    assert!(!panics, "on purpose");
                    Poll::Ready(())
                });
                let run = std::panic::AssertUnwindSafe(|| inside.block_on(future).unwrap());
                assert_eq!(std::panic::catch_unwind(run).is_err(), panics);
            }
        };
        let closure = handle.spawn_blocking(closure, Meta::here()).unwrap();
        begun.recv().unwrap();
        closure.cancel();
        let _ = handle.block_on(closure).unwrap();
        assert_eq!(asked.iter().collect::<Vec<_>>(), [false, false]);
    });
}

/// What is blocked on may panic in its poll, and by its destructor, and its output by its own: the first one goes on, and
/// the process too.
#[test]
fn a_future_that_is_blocked_on_ends_by_its_first_panic() {
    struct Panics(&'static str);
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }
    within_reason(|| {
        let scheduler = start(1);
        for (in_poll, first) in [(true, "in the poll"), (false, "the future's")] {
            let mine = Panics("the future's");
            let future = std::future::poll_fn(move |_| {
                let _mine = &mine;
                assert!(!in_poll, "in the poll");
                Poll::Ready(Panics("the output's"))
            });
            let run = || scheduler.handle().block_on(future).map(std::mem::forget);
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
            let text = panic.downcast_ref::<String>().map(String::as_str);
            assert_eq!(text.or(panic.downcast_ref().copied()), Some(first));
        }
    });
}

#[test]
fn an_error_that_cannot_be_displayed_is_reported_all_the_same() {
    #[derive(Debug)]
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Err(std::fmt::Error)
        }
    }
    impl std::error::Error for Mute {}
    let (reports, reported) = mpsc::channel();
    let hook = filch_sched::task::ErrorHook::new(move |report| {
        let _ = reports.send(report.to_string());
    });
    let config = Config { workers: 1, hook, ..Config::default() };
    run(config, |_| Ok(ThreadPark::new()), async {
        spawn(async { Err::<(), Box<dyn std::error::Error + Send + Sync>>(Box::new(Mute)) });
        yield_now().await;
    })
    .unwrap();
    assert!(reported.recv().unwrap().contains("panics when it is displayed"));
}

#[test]
fn a_waker_of_somebody_else_that_panics_stops_nobody() {
    use std::task::{Context, Wake, Waker};
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of somebody else's");
        }
    }
    let (reports, reported) = mpsc::channel();
    let hook = filch_sched::task::ErrorHook::new(move |report| {
        let _ = reports.send(report.to_string());
    });
    let config = Config { workers: 1, hook, ..Config::default() };
    run(config, |_| Ok(ThreadPark::new()), async {
        let mut nap = Box::pin(filch_sched::timer::sleep(Duration::from_millis(2)));
        let waker = Waker::from(Arc::new(Panics));
        assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        filch_sched::timer::sleep(Duration::from_millis(10)).await;
    })
    .unwrap();
    let report = reported.recv().unwrap();
    assert!(report.contains("a waker of somebody else's"), "{report}");
}

#[test]
fn timeouts_of_no_length_use_up_a_turn_like_anything_else() {
    use filch_sched::timer::timeout;
    within_reason(|| {
        run_on(1, async {
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = stop.clone();
            let greedy = spawn(async move {
                while !stopped.load(Ordering::Relaxed) {
                    let _ = timeout(Duration::ZERO, std::future::pending::<()>()).await;
                }
            });
            spawn(async {}).await.unwrap();
            stop.store(true, Ordering::Relaxed);
            greedy.await.unwrap();
        });
    });
}

#[test]
fn a_worker_may_enter_another_scheduler_and_guards_go_in_any_order() {
    let (two, three) = (start(2), start(3));
    let (to_two, to_three) = (two.handle().clone(), three.handle().clone());
    run_on(1, async move {
        let workers = || Handle::try_current().unwrap().workers();
        assert_eq!(workers(), 1);
        let first = to_two.enter();
        let second = to_three.enter();
        assert_eq!(workers(), 3);
        drop(first);
        assert_eq!(workers(), 3);
        let task = spawn(async { Handle::try_current().unwrap().workers() });
        drop(second);
        assert_eq!(workers(), 1);
        assert_eq!(task.await.unwrap(), 3);
    });
}
