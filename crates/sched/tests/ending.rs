//! How schedulers begin and end: what is dropped, waited for, left behind, and named.

mod support;

use filch_sched::task::{Meta, yield_now};
use filch_sched::{Config, Scheduler, StartError, ThreadPark, run};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;
use support::{config, run_on, spawn, start, within_reason};

#[test]
fn shutting_down_drops_every_task_where_it_is() {
    struct CountDrop(Arc<AtomicUsize>);
    impl Drop for CountDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let scheduler = start(2);
    let handle = scheduler.handle().clone();
    let suspended: Vec<_> = (0..100)
        .map(|number| {
            let guard = CountDrop(dropped.clone());
            let body = async move {
                let _guard = guard;
                if number % 2 == 0 {
                    std::future::pending::<()>().await;
                }
                loop {
                    yield_now().await;
                }
            };
            handle.spawn(body, Meta::here())
        })
        .collect();
    scheduler.shutdown(Duration::from_secs(60));
    assert_eq!(dropped.load(Ordering::Relaxed), 100);
    for task in suspended {
        assert!(task.is_finished());
    }
    // A handle whose scheduler is gone: what it spawns ends at once.
    let guard = CountDrop(dropped.clone());
    let late = handle.spawn(async move { drop(guard) }, Meta::here());
    assert!(handle.block_on(late).unwrap().unwrap_err().is_shutdown());
    assert_eq!(dropped.load(Ordering::Relaxed), 101);
}

#[test]
fn what_is_stuck_is_left_behind_by_name() {
    let (reports, reported) = mpsc::channel();
    let hook = filch_sched::task::ErrorHook::new(move |report| {
        reports.send(report.to_string()).unwrap();
    });
    let config = Config { workers: 2, hook, ..Config::default() };
    let scheduler = Scheduler::start(config, |_| Ok(ThreadPark::new())).unwrap();
    let (release, stuck) = mpsc::channel::<()>();
    let entered = Arc::new(Barrier::new(2));
    let inside = entered.clone();
    scheduler.handle().spawn(
        async move {
            inside.wait();
            let _ = stuck.recv();
        },
        Meta::here(),
    );
    entered.wait();
    scheduler.shutdown(Duration::from_millis(10));
    let report = reported.recv().unwrap();
    assert_eq!(report.matches("that does not return").count(), 1, "{report}");
    drop(release);
}

#[test]
fn a_scheduler_may_be_dropped_by_one_of_its_tasks() {
    let scheduler = Arc::new(std::sync::Mutex::new(Some(start(2))));
    let handle = scheduler.lock().unwrap().as_ref().unwrap().handle().clone();
    let inside = scheduler.clone();
    let (ended, wait) = mpsc::channel();
    handle.spawn(
        async move {
            drop(inside.lock().unwrap().take());
            ended.send(()).unwrap();
        },
        Meta::here(),
    );
    wait.recv().unwrap();
    assert!(handle.is_shut_down());
}

#[test]
fn a_park_that_cannot_be_made_stops_the_others() {
    let error = Scheduler::start(config(3), |worker| {
        if worker == 1 { Err("no ring".into()) } else { Ok(ThreadPark::new()) }
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "worker 1 cannot start: no ring");
    let error = run(
        config(2),
        |worker| if worker == 1 { Err("no ring".into()) } else { Ok(ThreadPark::new()) },
        async {},
    )
    .unwrap_err();
    assert!(matches!(error, StartError::Park { worker: 1, .. }));
}

#[test]
fn a_panic_of_the_main_future_comes_out_after_shutting_down() {
    let dropped = Arc::new(AtomicBool::new(false));
    struct SetDrop(Arc<AtomicBool>);
    impl Drop for SetDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let guard = SetDrop(dropped.clone());
    let panic = thread::spawn(move || {
        run_on(2, async move {
            spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
            panic!("as told");
        })
    })
    .join()
    .unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "as told");
    assert!(dropped.load(Ordering::Relaxed));
}

#[test]
fn many_schedulers_one_after_the_other_leave_no_thread() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    // Other tests run beside this one: theirs come and go, ours would pile up.
    for _ in 0..500 {
        let scheduler = start(2);
        let task = scheduler.handle().spawn(async { 1 }, Meta::here());
        assert_eq!(scheduler.handle().block_on(task).unwrap().unwrap(), 1);
    }
    assert!(threads() < 200, "{} threads", threads());
}

#[test]
fn a_wake_during_the_end_drops_nothing_on_the_thread_that_wakes() {
    use std::sync::Mutex;
    use std::task::{Poll, Waker};
    within_reason(|| {
        /// Takes the lock that the waking thread holds.
        struct Locks(Arc<Mutex<Option<Waker>>>);
        impl Drop for Locks {
            fn drop(&mut self) {
                drop(self.0.lock().unwrap());
            }
        }
        for _ in 0..50 {
            let place = Arc::new(Mutex::new(None));
            let scheduler = start(2);
            let guard = Locks(place.clone());
            let wait = std::future::poll_fn(move |cx| {
                *guard.0.lock().unwrap() = Some(cx.waker().clone());
                Poll::<()>::Pending
            });
            let task = scheduler.handle().spawn(wait, Meta::here());
            while place.lock().unwrap().is_none() {
                thread::yield_now();
            }
            let waking = thread::spawn(move || {
                let place = place.lock().unwrap();
                for _ in 0..200 {
                    place.as_ref().unwrap().wake_by_ref();
                }
            });
            drop(scheduler);
            waking.join().unwrap();
            assert!(task.is_finished());
        }
    });
}

#[test]
fn a_main_future_whose_destructor_panics_ends_the_scheduler_too() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let task_ended = dropped.clone();
    let outcome = thread::spawn(move || {
        struct Ended(Arc<AtomicBool>);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (bomb, mut ended) = (Bomb, Some(Ended(task_ended)));
        run_on(
            2,
            std::future::poll_fn(move |_| {
                let (_here, ended) = (&bomb, ended.take());
                spawn(async move {
                    let _ended = ended;
                    std::future::pending::<()>().await;
                });
                std::task::Poll::Ready(())
            }),
        );
    })
    .join();
    assert!(outcome.is_err());
    assert!(dropped.load(Ordering::Relaxed), "the task was ended before the panic came out");
}

#[test]
fn a_park_whose_making_panics_is_an_error() {
    for workers in [1, 3] {
        let error = within_reason(move || {
            Scheduler::start(config(workers), |worker| {
                if worker == 0 { panic!("no park") } else { Ok(ThreadPark::new()) }
            })
            .unwrap_err()
        });
        assert!(matches!(error, StartError::Park { worker: 0, .. }), "{error}");
    }
}

#[test]
fn sleeps_among_the_timers_of_one_worker_end_with_the_tasks_of_another() {
    for _ in 0..50 {
        let scheduler = start(2);
        // Kept, as by many a program: tasks in a queue that nobody empties would stay with it.
        let handle = scheduler.handle().clone();
        let hour = || filch_sched::timer::sleep(Duration::from_secs(3600));
        let tasks: Vec<_> = (0..64).map(|_| handle.spawn(hour(), Meta::here())).collect();
        handle.block_on(yield_now()).unwrap();
        drop(scheduler);
        for task in tasks {
            assert!(handle.block_on(task).unwrap().unwrap_err().is_shutdown());
        }
        assert_eq!(handle.tasks(), 0);
    }
}

#[test]
fn a_task_that_never_began_is_dropped_where_it_may_spawn() {
    struct Spawns(mpsc::Sender<bool>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let caught = std::panic::catch_unwind(|| drop(spawn(async {})));
            self.0.send(caught.is_ok()).unwrap();
        }
    }
    let (tell, told) = mpsc::channel();
    for _ in 0..50 {
        let scheduler = start(1);
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let spawns = Spawns(tell.clone());
                let future = async move {
                    let _spawns = spawns;
                    std::future::pending::<()>().await;
                };
                scheduler.handle().spawn(future, Meta::here())
            })
            .collect();
        drop(scheduler);
        drop(tasks);
    }
    drop(tell);
    assert!(told.iter().all(|spawned| spawned));
}
