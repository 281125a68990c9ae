//! Boundaries, and code that asks.

use crate::kit::{HOUR, Log, run};
use crate::support::{PATIENCE, runtime};
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{Cancelled, Runtime, cancellable, check_cancelled, is_cancelled, shielded};
use filch_testkit::limits::watchdog;
use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

#[test]
fn cancel_1_a_boundary_ends_with_an_error_and_the_code_behind_it_runs() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                log.add("begun");
                let _gone = log.on_drop("dropped", "dropped in no cancelled scope");
                cancellable(sleep(HOUR)).await.expect_err("an hour has not passed");
                log.add("behind");
                "its output"
            }
        });
        log.until("begun").await;
        task.cancel();
        assert_eq!(task.await.expect("it came to its end"), "its output");
    });
    assert_eq!(log.all(), ["begun", "behind", "dropped"]);
}

#[test]
fn cancel_1_what_was_not_cancelled_is_ok() {
    run(async {
        assert_eq!(cancellable(async { 42 }).await, Ok(42));
        let task = filch::spawn(cancellable(async {
            yield_now().await;
            42
        }));
        assert_eq!(task.await.unwrap(), Ok(42));
    });
}

#[test]
fn cancel_2_the_innermost_is_first_and_each_has_its_say() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let inner = async {
                    cancellable(async {
                        log.add("begun");
                        sleep(HOUR).await;
                    })
                    .await
                    .unwrap_err();
                    log.add("inner");
                    sleep(HOUR).await;
                    log.add("never");
                };
                cancellable(inner).await.unwrap_err();
                log.add("outer");
                sleep(HOUR).await;
                log.add("never");
            }
        });
        log.until("begun").await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(log.all(), ["begun", "inner", "outer"]);
}

/// Runs a task in which `around` puts boundaries into a combinator, cancels it when all wait, and expects
/// that each of them has told of it.
fn each_is_told<F>(many: usize, around: impl FnOnce(Vec<Child>) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let told = Arc::new(Mutex::new((0, 0)));
    run(async {
        let child = |_| -> Child {
            let told = told.clone();
            Box::pin(async move {
                let wait = async {
                    told.lock().unwrap().0 += 1;
                    pending::<()>().await;
                };
                cancellable(wait).await.unwrap_err();
                told.lock().unwrap().1 += 1;
            })
        };
        let children = (0..many).map(child).collect();
        let task = filch::spawn(async move { cancellable(around(children)).await });
        while told.lock().unwrap().0 < many {
            sleep(Duration::from_millis(1)).await;
        }
        task.cancel();
        // Whether the combinator came to its end in that poll is its own affair.
        let _ = task.await.expect("the outer boundary is the last");
    });
    assert_eq!(*told.lock().unwrap(), (many, many));
}

type Child = Pin<Box<dyn Future<Output = ()> + Send>>;

#[test]
fn cancel_2_reaches_those_whom_only_their_own_waker_wakes() {
    // It polls whom it was woken for and nobody else.
    each_is_told(100, |children| async move {
        let mut all: FuturesUnordered<_> = children.into_iter().collect();
        while all.next().await.is_some() {}
    });
}

#[test]
fn cancel_2_reaches_more_than_a_task_may_do_in_one_poll() {
    each_is_told(1000, |children| async move {
        let mut all: FuturesUnordered<_> = children.into_iter().collect();
        while all.next().await.is_some() {}
    });
}

#[test]
fn cancel_2_reaches_through_join_all() {
    each_is_told(3, |children| join_all(children).map(drop));
    // So many that it is a `FuturesUnordered`.
    each_is_told(100, |children| join_all(children).map(drop));
}

#[test]
fn cancel_2_reaches_through_select() {
    // The first to be ready ends it: one branch is enough here, the others wait for nothing.
    each_is_told(1, |mut children| async move {
        let child = children.pop().unwrap();
        filch::select! {
            () = pending() => unreachable!(),
            () = child => {}
            () = sleep(HOUR) => unreachable!(),
        }
    });
}

#[test]
fn cancel_3_completion_wins() {
    let log = Log::default();
    run(async {
        // Also if it was never polled when it was cancelled.
        let task = filch::spawn(async { 5 });
        task.cancel();
        assert_eq!(task.await.unwrap(), 5);

        let (told, tell) = filch::sync::promise();
        let task = filch::spawn({
            let log = log.clone();
            async move {
                cancellable(async {
                    log.add("waits");
                    tell.await.unwrap()
                })
                .await
            }
        });
        log.until("waits").await;
        told.set("a value").unwrap();
        task.cancel();
        assert_eq!(task.await.unwrap(), Ok("a value"));
    });
}

#[test]
fn cancel_4_it_stays_in_force() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                log.add("begun");
                let mut swallowed = 0;
                // Nobody gets away with this: it is cut where it has used up its turn.
                while let Err(Cancelled { .. }) = cancellable(sleep(HOUR)).await {
                    swallowed += 1;
                    assert!(is_cancelled() && check_cancelled().is_err());
                    assert!(swallowed < 1_000, "it never suspends");
                }
            }
        });
        log.until("begun").await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn cancel_5_without_boundaries_a_task_ends_where_it_waits() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let _gone = log.on_drop("dropped", "dropped in no cancelled scope");
                log.add("begun");
                sleep(HOUR).await;
                log.add("never");
            }
        });
        log.until("begun").await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    // CANCEL-6: its destructors see it.
    assert_eq!(log.all(), ["begun", "dropped"]);
}

#[test]
fn cancel_5_a_task_that_never_ran_is_polled_once() {
    let log = Log::default();
    let _watchdog = watchdog(PATIENCE);
    // One worker, which is here: nothing spawned runs before this waits.
    let main = async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                assert!(is_cancelled());
                let cut = cancellable(async {
                    log.add("polled");
                    sleep(HOUR).await;
                });
                cut.await.unwrap_err();
                log.add("behind");
            }
        });
        task.cancel();
        task.await.unwrap();
    };
    Runtime::builder().workers(1).run(main).unwrap();
    assert_eq!(log.all(), ["polled", "behind"]);
}

#[test]
fn cancel_6_destructors_see_the_scope() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let cut = cancellable(async {
                    let _inner = log.on_drop("in it", "inner: not in it");
                    log.add("begun");
                    sleep(HOUR).await;
                });
                cut.await.unwrap_err();
                let shield = async {
                    let _shielded = log.on_drop("shielded: cancelled", "shielded");
                    yield_now().await;
                };
                shielded(shield).await;
            }
        });
        log.until("begun").await;
        task.cancel();
        task.await.unwrap();
        // One that is not cancelled.
        drop(Box::pin(cancellable(async { log.on_drop("cancelled", "no").1 })));
        let fine = cancellable(async { drop(log.on_drop("cancelled", "not cancelled")) });
        fine.await.unwrap();
    });
    assert_eq!(log.all(), ["begun", "in it", "shielded", "not cancelled"]);
}

#[test]
fn cancel_13_code_that_computes_may_ask() {
    let log = Log::default();
    let _watchdog = watchdog(PATIENCE);
    // Not by a main future, which the task might keep from its worker.
    runtime(2).block_on(async {
        assert!(!is_cancelled() && check_cancelled().is_ok());
        let computing = filch::spawn({
            let log = log.clone();
            async move {
                log.add("computes");
                while check_cancelled().is_ok() {
                    std::thread::yield_now();
                }
                "noticed"
            }
        });
        log.until("computes").await;
        computing.cancel();
        assert_eq!(computing.await.unwrap(), "noticed");

        let blocking = filch::spawn_blocking({
            let log = log.clone();
            move || {
                log.add("blocks");
                while !is_cancelled() {
                    std::thread::yield_now();
                }
                "noticed too"
            }
        });
        log.until("blocks").await;
        blocking.cancel();
        assert_eq!(blocking.await.unwrap(), "noticed too");
    });
}

#[test]
fn cancel_13_a_blocking_closure_that_has_not_begun_never_does() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = Runtime::builder().workers(1).max_blocking_threads(1).build().unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let first = runtime.handle().spawn_blocking(move || wait.recv());
    let second = runtime.handle().spawn_blocking(|| unreachable!("there is one thread"));
    second.cancel();
    drop(go);
    runtime.block_on(async {
        assert!(first.await.unwrap().is_err());
        assert!(second.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn cancel_14_once_is_as_good_as_often_and_too_late_is_nothing() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                log.add("begun");
                cancellable(sleep(HOUR)).await.unwrap_err();
                log.add("cut");
                shielded(log.until("twice")).await;
                7
            }
        });
        let other = task.abort_handle();
        log.until("begun").await;
        other.cancel();
        log.until("cut").await;
        task.cancel();
        other.cancel();
        log.add("twice");
        while !other.is_finished() {
            yield_now().await;
        }
        task.cancel();
        assert_eq!(task.await.unwrap(), 7);
    });
    assert_eq!(log.all(), ["begun", "cut", "twice"]);
}

#[test]
fn cancel_15_a_scope_is_where_it_was_first_polled() {
    let log = Log::default();
    run(async {
        let place = Arc::new(Mutex::new(None));
        let first = filch::spawn({
            let (log, place) = (log.clone(), place.clone());
            async move {
                let mut cut = Box::pin(cancellable(pending::<()>()));
                poll_fn(|cx| {
                    assert!(cut.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
                *place.lock().unwrap() = Some(cut);
                log.add("moved");
                shielded(log.until("end")).await;
            }
        });
        log.until("moved").await;
        let cut = place.lock().unwrap().take().unwrap();
        let second = filch::spawn(cut);
        second.cancel();
        assert!(second.await.unwrap_err().is_cancelled(), "the boundary is the first one's");

        log.add("end");
        first.await.unwrap();
    });
}

/// A panic in a boundary, in a shield, in clean-up: the task's, and nobody is held up by what is left.
#[test]
fn a_panic_leaves_nothing_behind() {
    run(async {
        for kind in 0..3 {
            let task = filch::spawn(async move {
                let panics = async {
                    yield_now().await;
                    panic!("{kind}");
                };
                match kind {
                    0 => cancellable(panics).await.unwrap(),
                    1 => shielded(panics).await,
                    _ => {
                        let cut = cancellable(pending::<()>()).on_cancel(|| panics);
                        cut.await.unwrap();
                    }
                }
            });
            if kind == 2 {
                task.cancel();
            }
            assert!(task.await.unwrap_err().is_panic());
            // The thread's own record is in order.
            assert!(!is_cancelled());
        }
    });
}

/// Cancels that meet the end, from another thread, many times over.
#[test]
fn a_cancel_at_any_moment_ends_every_task() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    let rounds = 2_000;
    let counts = runtime.block_on(async {
        let mut counts = [0; 3];
        for round in 0..rounds {
            let log = Log::default();
            let task = filch::spawn({
                let log = log.clone();
                async move {
                    for _ in 0..round % 5 {
                        yield_now().await;
                    }
                    let work = async {
                        let mut both = FuturesUnordered::new();
                        both.push(cancellable(yield_now()));
                        both.push(cancellable(yield_now()));
                        while both.next().await.is_some() {}
                    };
                    let clean_up = || async {
                        yield_now().await;
                        log.add("cleaned up");
                    };
                    cancellable(work).on_cancel(clean_up).await
                }
            });
            for _ in 0..round % 7 {
                yield_now().await;
            }
            task.cancel();
            match task.await {
                Ok(Ok(())) => counts[0] += 1,
                Ok(Err(_)) => {
                    assert_eq!(log.all(), ["cleaned up"], "before the error");
                    counts[1] += 1;
                }
                Err(error) => {
                    assert!(error.is_cancelled());
                    counts[2] += 1;
                }
            }
        }
        counts
    });
    assert_eq!(counts.iter().sum::<usize>(), rounds, "{counts:?}");
    assert_eq!(runtime.handle().metrics().tasks, 0);
}
