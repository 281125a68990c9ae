//! What becomes of tasks when their runtime ends.
#![expect(clippy::async_yields_async, reason = "a handle outlives its runtime here")]

use crate::kit::{HOUR, Log, builder};
use crate::support::PATIENCE;
use filch::task::{Builder, Report};
use filch::time::{Duration, sleep};
use filch::{JoinHandle, Runtime, cancellable, check_cancelled, is_cancelled, shield, shielded};
use filch_testkit::exec;
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

/// A task that waits, and takes its time to clean up: it spawns, sleeps, and has a closure run for that.
fn cleans_up(log: &Log) -> JoinHandle<()> {
    let log = log.clone();
    filch::spawn(async move {
        let work = async {
            log.add("begun");
            sleep(HOUR).await;
        };
        let clean_up = async || {
            sleep(Duration::from_millis(2)).await;
            let says = log.clone();
            filch::spawn(async move { says.add("a task's first step") }).await.unwrap();
            let says = log.clone();
            filch::spawn_blocking(move || says.add("a closure")).await.unwrap();
            log.add("cleaned up");
        };
        cancellable(work).on_cancel(clean_up).await.unwrap_err();
        log.add("behind it");
    })
}

const CLEANED_UP: [&str; 4] = ["a task's first step", "a closure", "cleaned up", "behind it"];

/// RUN-1.
#[test]
fn what_is_left_when_main_returns_cleans_up() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let task = builder(workers, &reports).run(async {
            let task = cleans_up(&log);
            log.until("begun").await;
            log.take();
            task
        });
        assert_eq!(log.take(), CLEANED_UP);
        assert!(exec::block_on(task.unwrap()).is_ok(), "it came to its end");
        assert_eq!(reports.take(), [""; 0]);
        before.check();
    }
}

/// RUN-1: whoever shuts down, and wherever.
#[test]
fn a_runtime_that_is_dropped_lets_its_tasks_clean_up() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    for workers in [1, 2] {
        for way in 0..4 {
            let (log, reports) = (Log::default(), Log::default());
            let runtime = builder(workers, &reports).build().unwrap();
            let task = runtime.block_on(async {
                let task = cleans_up(&log);
                log.until("begun").await;
                log.take();
                task
            });
            let handle = runtime.handle().clone();
            match way {
                0 => drop(runtime),
                1 => runtime.shutdown_timeout(HOUR),
                2 => drop(handle.spawn_blocking(move || drop(runtime))),
                // It is asked as well, and waits for nobody.
                _ => {
                    let waits = async move {
                        drop(runtime);
                        assert!(is_cancelled());
                        pending::<()>().await;
                    };
                    assert!(exec::block_on(handle.spawn(waits)).unwrap_err().is_shutdown());
                }
            }
            assert!(exec::block_on(task).is_ok(), "it came to its end");
            assert!(handle.is_shut_down());
            assert_eq!(log.take(), CLEANED_UP);
            drop(handle);
            before.check();
            assert_eq!(reports.take(), [""; 0]);
        }
    }
}

/// RUN-1: the same shields as for any cancel.
#[test]
fn what_is_shielded_comes_to_its_end() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        builder(workers, &reports)
            .run(async {
                let says = log.clone();
                let in_place = filch::spawn(async move {
                    let critical = async {
                        says.add("begun");
                        says.until("asked").await;
                        says.add("shielded");
                    };
                    shielded(critical).await;
                    assert!(is_cancelled(), "in force again");
                    sleep(HOUR).await;
                });
                let says = log.clone();
                drop(shield(async move {
                    says.until("shielded").await;
                    assert!(!is_cancelled(), "it is not asked");
                    says.add("a task of its own");
                }));
                let says = log.clone();
                drop(filch::spawn(async move {
                    let work = async {
                        says.add("begun, too");
                        pending::<()>().await;
                    };
                    cancellable(work).await.unwrap_err();
                    says.add("asked");
                }));
                log.until("begun").await;
                log.until("begun, too").await;
                log.take();
                drop(in_place);
            })
            .unwrap();
        assert_eq!(log.take(), ["asked", "shielded", "a task of its own"]);
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// RUN-2.
#[test]
fn what_says_nothing_is_dropped_where_it_waits() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        let reports = Log::default();
        let polled = Arc::new(AtomicU32::new(0));
        let runtime = builder(workers, &reports).build().unwrap();
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let polled = polled.clone();
                runtime.handle().spawn(async move {
                    polled.fetch_add(1, Ordering::Relaxed);
                    if number % 2 == 0 {
                        sleep(HOUR).await;
                    }
                    loop {
                        pending::<()>().await;
                    }
                })
            })
            .collect();
        let done = runtime.handle().spawn(async { 7 });
        drop(runtime);
        assert_eq!(polled.load(Ordering::Relaxed), 100, "each is polled once, as by any cancel");
        for task in tasks {
            assert!(exec::block_on(task).unwrap_err().is_shutdown());
        }
        assert_eq!(exec::block_on(done).unwrap(), 7, "completion wins");
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// RUN-3.
#[test]
fn what_does_not_stop_is_dropped_and_named() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let reports = kept.clone();
        let runtime = Runtime::builder()
            .workers(workers)
            .grace(Duration::from_secs(1))
            .report_stuck_after(None)
            .on_error(move |report| reports.lock().unwrap().push(report.clone()));
        let gone = Arc::new(());
        let (log, held) = (Log::default(), gone.clone());
        let (mut spawned, mut waited) = (0, 0);
        let handle = runtime
            .run(async {
                let says = log.clone();
                (spawned, waited) = (line!() + 1, line!() + 5);
                let handle = Builder::new().name("sleeper").spawn(async move {
                    let _held = held;
                    let forever = async {
                        says.add("begun");
                        sleep(HOUR).await;
                    };
                    shielded(forever).await;
                });
                log.until("begun").await;
                handle
            })
            .unwrap();
        assert!(exec::block_on(handle).unwrap_err().is_shutdown());
        assert_eq!(Arc::strong_count(&gone), 1, "it is dropped all the same");
        let reports = kept.lock().unwrap();
        let [Report::TaskNotStopped { name, location, waits_for: Some((_, at)), .. }] =
            &reports[..]
        else {
            panic!("{reports:?}")
        };
        assert_eq!(name.as_deref(), Some("sleeper"));
        assert_eq!((location.file(), location.line()), (file!(), spawned));
        assert_eq!((at.file(), at.line()), (file!(), waited));
        let text = reports[0].to_string();
        assert!(text.contains("did not stop with its runtime"), "{text}");
        assert!(text.contains("waited for a point in time at"), "{text}");
    }
}

/// RUN-3: of very many, only the first are named, and the others counted.
#[test]
fn many_that_do_not_stop_are_counted() {
    let _alone = alone(PATIENCE);
    let reports = Log::default();
    let (begun, is_begun) = mpsc::channel();
    let runtime = builder(2, &reports).build().unwrap();
    for _ in 0..100 {
        let begun = begun.clone();
        drop(runtime.handle().spawn(async move {
            let forever = async {
                begun.send(()).unwrap();
                pending::<()>().await;
            };
            shielded(forever).await;
        }));
    }
    is_begun.iter().take(100).for_each(drop);
    runtime.shutdown_timeout(Duration::from_secs(1));
    let said = reports.take();
    assert_eq!(said.len(), 21, "{said:?}");
    assert!(said[20].contains("80 more"), "{said:?}");
}

/// RUN-4.
#[test]
fn without_a_grace_nobody_is_asked() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let runtime = builder(workers, &reports).build().unwrap();
        let task = runtime.block_on(async {
            let task = cleans_up(&log);
            log.until("begun").await;
            log.take();
            task
        });
        runtime.shutdown_timeout(Duration::ZERO);
        assert!(exec::block_on(task).unwrap_err().is_shutdown());
        assert_eq!(log.take(), [""; 0]);
        let said = reports.take();
        assert!(!said.iter().any(|line| line.contains("did not stop")), "{said:?}");
    }
}

/// RUN-5.
#[test]
fn tasks_that_spawn_may_go_on_to_do_so_and_others_may_not() {
    let _alone = alone(PATIENCE);
    let (log, reports) = (Log::default(), Log::default());
    let runtime = builder(2, &reports).build().unwrap();
    let handle = runtime.handle().clone();
    let (let_go, held) = mpsc::channel::<()>();
    let (asked, is_asked) = mpsc::channel();
    let says = log.clone();
    let task = handle.spawn(async move {
        let work = async {
            says.add("begun");
            sleep(HOUR).await;
        };
        let clean_up = async || {
            asked.send(()).unwrap();
            // Meanwhile somebody else tries to.
            filch::spawn_blocking(move || held.recv()).await.unwrap().unwrap();
            // Asked from the start: it has one poll.
            let child = filch::spawn(async {
                assert!(is_cancelled());
                pending::<()>().await;
            });
            assert!(child.await.unwrap_err().is_shutdown());
        };
        cancellable(work).on_cancel(clean_up).await.unwrap_err();
        says.add("cleaned up");
    });
    runtime.block_on(log.until("begun"));
    std::thread::scope(|scope| {
        scope.spawn(move || drop(runtime));
        is_asked.recv().unwrap();
        let gone = Arc::new(());
        let kept = gone.clone();
        let refused = handle.spawn(async move {
            let _kept = kept;
            unreachable!("nobody polls it");
        });
        assert!(exec::block_on(refused).unwrap_err().is_shutdown());
        assert_eq!(Arc::strong_count(&gone), 1);
        let_go.send(()).unwrap();
    });
    exec::block_on(task).unwrap();
    assert_eq!(log.take(), ["begun", "cleaned up"]);
    assert_eq!(reports.take(), [""; 0]);
}

/// RUN-6.
#[test]
fn blocking_closures_are_asked_too() {
    let _alone = alone(PATIENCE);
    let reports = Log::default();
    let runtime = builder(1, &reports).max_blocking_threads(1).build().unwrap();
    let (begun, is_begun) = mpsc::channel();
    let running = runtime.handle().spawn_blocking(move || {
        begun.send(()).unwrap();
        while check_cancelled().is_ok() {
            std::thread::yield_now();
        }
        "asked"
    });
    let queued = runtime.handle().spawn_blocking(|| unreachable!("it never begins"));
    is_begun.recv().unwrap();
    drop(runtime);
    assert_eq!(exec::block_on(running).unwrap(), "asked");
    assert!(exec::block_on::<_>(queued).unwrap_err().is_shutdown());
    assert_eq!(reports.take(), [""; 0]);
}

/// RUN-7.
#[test]
fn after_a_panic_of_main_it_is_the_same() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            drop(cleans_up(&log));
            log.until("begun").await;
            log.take();
            std::panic::panic_any(7);
        };
        let run = || builder(workers, &reports).run(main);
        let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&7));
        assert_eq!(log.take(), CLEANED_UP);
        assert_eq!(reports.take(), [""; 0]);
    }
}
