//! Jobs that borrow from a frame that waits.

use crate::kit::{Log, run};
use crate::support::{PATIENCE, runtime};
use filch::task::Builder;
use filch::time::{Duration, sleep};
use filch::{Runtime, cancellable, check_cancelled, cpu, is_cancelled};
use filch_testkit::limits::watchdog;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

/// Runs the test in a task with two workers, with one, in the main future, and outside of any runtime.
fn anywhere(test: impl Fn() + Copy + Send + 'static) {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2, 4] {
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        runtime.block_on(runtime.handle().spawn(async move { test() })).unwrap();
        let _enter = runtime.enter();
        test();
    }
    run(async { test() });
    test();
}

/// CPU-1: when it returns, all jobs have run, and what they wrote is there.
#[test]
fn cpu_1_it_returns_when_all_jobs_are_over() {
    anywhere(|| {
        let mut squares = vec![0; 1000];
        let mut of_the_body = 0;
        let output = cpu::scope(|s| {
            for (number, square) in squares.iter_mut().enumerate() {
                s.spawn(move || *square = number * number);
            }
            of_the_body = 7;
            "an output"
        });
        assert_eq!((output, of_the_body), ("an output", 7));
        assert!(squares.iter().enumerate().all(|(number, square)| *square == number * number));
        assert_eq!(cpu::scope(|_| 5), 5);
        assert_eq!(cpu::join(|| squares[2], || squares[3]), (4, 9));
        cpu::for_each_chunk(&mut squares, 7, |piece| piece.fill(1));
        assert_eq!(squares, [1; 1000]);
    });
}

/// CPU-1: what a job captured is gone, too.
#[test]
fn cpu_1_what_jobs_captured_is_dropped() {
    anywhere(|| {
        let held = Arc::new(());
        cpu::scope(|s| {
            for _ in 0..50 {
                let held = held.clone();
                s.spawn(move || drop(Arc::clone(&held)));
            }
        });
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

/// CPU-1: jobs may add jobs.
#[test]
fn cpu_1_jobs_may_add_others() {
    fn grow<'scope>(s: &'scope cpu::Scope<'scope, '_>, count: &'scope AtomicUsize, depth: usize) {
        count.fetch_add(1, Ordering::Relaxed);
        for _ in 0..2 {
            if depth > 0 {
                s.spawn(move || grow(s, count, depth - 1));
            }
        }
    }
    anywhere(|| {
        let count = AtomicUsize::new(0);
        cpu::scope(|s| grow(s, &count, 8));
        assert_eq!(count.into_inner(), 511);
    });
}

/// CPU-2: the panic of the body goes on, or else the first of a job, and not before all are over.
#[test]
fn cpu_2_a_panic_goes_on_when_all_are_over() {
    anywhere(|| {
        for panicking in 0..4 {
            let count = AtomicUsize::new(0);
            let scope = || {
                cpu::scope(|s| {
                    for number in 1..4 {
                        let count = &count;
                        s.spawn(move || {
                            count.fetch_add(1, Ordering::Relaxed);
                            if number == panicking {
                                std::panic::resume_unwind(Box::new(number));
                            }
                        });
                    }
                    if panicking == 0 {
                        std::panic::resume_unwind(Box::new(0));
                    }
                });
            };
            let payload = catch_unwind(AssertUnwindSafe(scope)).expect_err("somebody panics");
            assert_eq!(payload.downcast_ref(), Some(&panicking));
            assert_eq!(count.into_inner(), 3, "the others ran");
        }
        // All of them: one is passed on, the body's before any other.
        let count = AtomicUsize::new(0);
        let both = catch_unwind(AssertUnwindSafe(|| {
            cpu::join(
                || std::panic::resume_unwind(Box::new("first")),
                || {
                    count.fetch_add(1, Ordering::Relaxed);
                    std::panic::resume_unwind(Box::new("second"));
                },
            )
        }));
        let payload = both.map(|((), ())| ()).expect_err("both panic");
        assert_eq!((payload.downcast_ref(), count.into_inner()), (Some(&"first"), 1));
    });
}

/// CPU-2: the destructors of payloads that are not passed on may panic.
#[test]
fn cpu_2_payloads_may_be_nasty() {
    struct Nasty;
    impl Drop for Nasty {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new(Self));
        }
    }
    anywhere(|| {
        let count = AtomicUsize::new(0);
        let scope = || {
            cpu::scope(|s| {
                for _ in 0..5 {
                    s.spawn(|| {
                        count.fetch_add(1, Ordering::Relaxed);
                        std::panic::resume_unwind(Box::new(Nasty));
                    });
                }
            });
        };
        let payload = catch_unwind(AssertUnwindSafe(scope)).expect_err("all panic");
        std::mem::forget(payload);
        assert_eq!(count.into_inner(), 5);
        // Beside that of the body, which goes on in its place.
        let both = catch_unwind(AssertUnwindSafe(|| {
            cpu::join(
                || std::panic::resume_unwind(Box::new("the body's")),
                || std::panic::resume_unwind(Box::new(Nasty)),
            )
        }));
        let payload = both.map(|((), ())| ()).expect_err("both panic");
        assert_eq!(payload.downcast_ref(), Some(&"the body's"));
    });
}

/// CPU-3: who waits runs its own jobs and no others: none of an outer scope, and no task.
#[test]
fn cpu_3_who_waits_runs_its_own_jobs_only() {
    let _watchdog = watchdog(PATIENCE);
    // One worker, so that nobody else runs anything.
    Runtime::builder()
        .workers(1)
        .run(async {
            let waits = Arc::new(AtomicBool::new(false));
            let theirs = waits.clone();
            let task = filch::spawn(async move {
                assert!(!theirs.load(Ordering::Relaxed), "a task ran in the wait");
            });
            // A lock that a frame has that waits, and that another job of the outer scope wants.
            let lock = Mutex::new(0);
            cpu::scope(|outer| {
                for _ in 0..10 {
                    outer.spawn(|| {
                        let mut held = lock.lock().unwrap();
                        waits.store(true, Ordering::Relaxed);
                        cpu::scope(|inner| {
                            inner.spawn(|| ());
                            inner.spawn(|| cpu::scope(|innermost| innermost.spawn(|| ())));
                        });
                        waits.store(false, Ordering::Relaxed);
                        *held += 1;
                    });
                }
                waits.store(true, Ordering::Relaxed);
            });
            waits.store(false, Ordering::Relaxed);
            assert_eq!(lock.into_inner().unwrap(), 10);
            task.await.unwrap();
        })
        .unwrap();
}

/// CPU-3: a wait comes to its own jobs at once, however many others have come to be queued since.
#[test]
fn cpu_3_others_that_are_queued_cost_nobody_anything() {
    const MANY: usize = 100_000;
    let _watchdog = watchdog(PATIENCE);
    let counts = [const { AtomicUsize::new(0) }; 2];
    let count = |which: usize| {
        counts[which].fetch_add(1, Ordering::Relaxed);
    };
    // Without helpers, so that all of them are queued when the wait begins.
    cpu::scope(|outer| {
        cpu::scope(|inner| {
            for _ in 0..MANY {
                inner.spawn(|| count(0));
            }
            for _ in 0..MANY {
                outer.spawn(|| count(1));
            }
        });
        assert_eq!(counts.each_ref().map(|count| count.load(Ordering::Relaxed)), [MANY, 0]);
    });
    assert_eq!(counts.map(AtomicUsize::into_inner), [MANY, MANY]);
}

/// CPU-4: other workers come and help; to a thread that is no worker, too.
#[test]
fn cpu_4_other_workers_help() {
    let meet = || {
        // Neither goes on without the other.
        let barrier = Barrier::new(2);
        let (first, second) = cpu::join(
            || (barrier.wait(), thread::current().id()).1,
            || (barrier.wait(), thread::current().id()).1,
        );
        assert_ne!(first, second);
    };
    run(async move { meet() });
    run(async move { filch::spawn(async move { meet() }).await.unwrap() });
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let _enter = runtime.enter();
    meet();
}

/// CPU-4: without a runtime, and with one that has ended, all run in place.
#[test]
fn cpu_4_without_helpers_all_run_in_place() {
    let in_place = || {
        let here = thread::current().id();
        let mut ran = [None; 100];
        cpu::scope(|s| {
            for place in &mut ran {
                s.spawn(|| *place = Some(thread::current().id()));
            }
        });
        assert_eq!(ran, [Some(here); 100]);
    };
    in_place();
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _enter = handle.enter();
    in_place();
}

/// CPU-5: a job is asked to end when the one who waits is: in a boundary, in a task, wherever it runs.
#[test]
fn cpu_5_jobs_are_cancelled_as_who_waits_for_them_is() {
    for (bounded, abort) in [(false, false), (true, false), (false, true)] {
        let log = Log::default();
        // This thread is no worker: both of those are busy.
        let runtime = runtime(2);
        let task = runtime.handle().spawn({
            let log = log.clone();
            async move {
                let compute = || {
                    let barrier = Barrier::new(2);
                    let until_cancelled = |first: bool| {
                        assert!(!is_cancelled());
                        barrier.wait();
                        if first {
                            log.add("begun");
                        }
                        while check_cancelled().is_ok() {
                            thread::yield_now();
                        }
                    };
                    cpu::join(|| until_cancelled(true), || until_cancelled(false));
                    assert!(is_cancelled());
                    log.add("over");
                };
                if bounded {
                    assert_eq!(cancellable(async { compute() }).await, Ok(()));
                } else {
                    compute();
                }
            }
        });
        while !log.has("begun") {
            thread::yield_now();
        }
        if abort {
            task.abort()
        } else {
            task.cancel()
        }
        runtime.block_on(task).expect("it came to its end");
        assert_eq!(log.all(), ["begun", "over"]);
    }
}

/// CPU-5: nobody was asked to end, and a helper's own task does not matter.
#[test]
fn cpu_5_nobody_is_cancelled_otherwise() {
    anywhere(|| {
        let asked = AtomicUsize::new(0);
        cpu::scope(|s| {
            for _ in 0..20 {
                s.spawn(|| {
                    asked.fetch_add(usize::from(is_cancelled()), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(asked.into_inner(), 0);
    });
}

/// CPU-6: what is queued behind the worker that waits goes on elsewhere; and nobody calls it stuck.
#[test]
fn cpu_6_neighbours_go_on_and_nothing_is_reported() {
    let _watchdog = watchdog(PATIENCE);
    let reports = Arc::new(Mutex::new(Vec::new()));
    let to = reports.clone();
    let runtime = Runtime::builder()
        .workers(3)
        .report_stuck_after(Some(Duration::from_millis(50)))
        .on_error(move |report| to.lock().unwrap().push(report.to_string()))
        .build()
        .unwrap();
    let computing = runtime.handle().spawn(async {
        let (tell, told) = mpsc::channel();
        let timer = tell.clone();
        let neighbour = Builder::new().name("neighbour");
        neighbour.clone().spawn(async move { tell.send("a task").unwrap() });
        neighbour.spawn(async move {
            sleep(Duration::from_millis(200)).await;
            timer.send("a timer").unwrap();
        });
        let barrier = Barrier::new(2);
        // Two workers are in it until both have gone on.
        let both = cpu::join(
            || {
                barrier.wait();
                [told.recv().unwrap(), told.recv().unwrap()]
            },
            || barrier.wait(),
        );
        both.0
    });
    assert_eq!(runtime.block_on(computing).unwrap(), ["a task", "a timer"]);
    drop(runtime);
    // On a busy machine any other poll may be long.
    let mut reports = reports.lock().unwrap().clone();
    reports.retain(|report| !report.contains("neighbour"));
    assert_eq!(reports, Vec::<String>::new());
}

/// CPU-6: after it the worker is as any: a poll that is long without having said so is reported.
#[test]
fn cpu_6_it_is_over_with_the_scope() {
    let _watchdog = watchdog(PATIENCE);
    let reported = Arc::new(AtomicBool::new(false));
    let to = reported.clone();
    let runtime = Runtime::builder()
        .workers(2)
        .report_stuck_after(Some(Duration::from_millis(5)))
        .on_error(move |_| to.store(true, Ordering::Relaxed))
        .build()
        .unwrap();
    let stuck = runtime.handle().spawn(async move {
        cpu::join(|| (), || ());
        while !reported.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    });
    runtime.block_on(stuck).unwrap();
}

/// CPU-7: scopes within scopes, deep and on several workers, with whoever helps whom as it comes.
#[test]
fn cpu_7_scopes_nest() {
    fn fib(n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let (left, right) = cpu::join(|| fib(n - 1), || fib(n - 2));
        left + right
    }
    anywhere(|| assert_eq!(fib(14), 377));
    // Several at once, in one runtime.
    run(async {
        let tasks: Vec<_> = (0..8).map(|_| filch::spawn(async { fib(12) })).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 144);
        }
    });
}

/// CPU-7: a worker that waits for a job which another one has helps with the jobs within that.
#[test]
fn cpu_7_who_waits_helps_those_it_waits_for() {
    let _watchdog = watchdog(PATIENCE);
    run(async {
        let (taken, at_the_wait) = (Barrier::new(2), AtomicBool::new(false));
        let inner = Barrier::new(2);
        cpu::join(
            || {
                taken.wait();
                at_the_wait.store(true, Ordering::Relaxed);
            },
            || {
                taken.wait();
                while !at_the_wait.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                // There are two workers: the other one is the one who waits.
                cpu::join(|| inner.wait(), || inner.wait());
            },
        );
    });
}

/// A cancelled task that computes for ever would be left; one that asks is not. And `pending` in a boundary beside
/// it is cut as ever.
#[test]
fn a_scope_is_one_poll_and_what_follows_is_cut() {
    run(async {
        let task = filch::spawn(async {
            cpu::join(|| (), || ());
            cancellable(pending::<()>()).await
        });
        filch::task::yield_now().await;
        task.cancel();
        assert!(task.await.unwrap().is_err());
    });
}
