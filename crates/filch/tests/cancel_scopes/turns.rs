//! Combinators that take turns, and tasks whose turn is over: who was told acts before what is around it is cut.

use crate::kit::{HOUR, Log, run};
use crate::support::{PATIENCE, runtime};
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{cancellable, is_cancelled, shielded};
use filch_testkit::limits::watchdog;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

type Child = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Cancels a task with so many boundaries in one `FuturesUnordered`, and so many of its other children that never
/// wait. How many boundaries acted?
fn acted(boundaries: usize, others: usize, behind: fn() -> Child, is_bounded: bool) -> usize {
    let begun = Arc::new(AtomicUsize::new(0));
    let acted = Arc::new(AtomicUsize::new(0));
    run(async {
        let child = |_| -> Child {
            let (begun, acted) = (begun.clone(), acted.clone());
            Box::pin(async move {
                let work = async {
                    begun.fetch_add(1, Ordering::SeqCst);
                    pending::<()>().await;
                };
                cancellable(work).await.unwrap_err();
                acted.fetch_add(1, Ordering::SeqCst);
                behind().await;
            })
        };
        let other = |_| -> Child {
            Box::pin(async {
                loop {
                    yield_now().await;
                }
            })
        };
        let all: FuturesUnordered<_> = (0..others).map(other).collect();
        (0..boundaries).for_each(|at| all.push(child(at)));
        let work = async move {
            let mut all = all;
            while all.next().await.is_some() {}
        };
        let task = filch::spawn(async move {
            match is_bounded {
                true => drop(cancellable(work).await),
                false => work.await,
            }
        });
        while begun.load(Ordering::SeqCst) < boundaries {
            sleep(Duration::from_millis(1)).await;
        }
        task.cancel();
        let _ = task.await;
    });
    acted.load(Ordering::SeqCst)
}

/// More of them than a task may do in one turn.
#[test]
fn cancel_2_reaches_more_than_one_turn_allows() {
    for is_bounded in [true, false] {
        assert_eq!(acted(1_000, 0, || Box::pin(async {}), is_bounded), 1_000);
        assert_eq!(acted(1_000, 0, || Box::pin(pending()), is_bounded), 1_000);
    }
}

/// `FuturesUnordered` suspends when two of its futures have woken themselves, whoever else is to be polled.
#[test]
fn cancel_2_reaches_behind_those_who_yield() {
    for is_bounded in [true, false] {
        assert_eq!(acted(100, 0, || Box::pin(yield_now()), is_bounded), 100);
        assert_eq!(acted(100, 20, || Box::pin(async {}), is_bounded), 100);
    }
}

/// In linear time: a watchdog sees to that.
#[test]
fn cancel_2_reaches_a_hundred_thousand() {
    assert_eq!(acted(100_000, 0, || Box::pin(async {}), true), 100_000);
}

/// A boundary that is kept and not polled does not act, and holds up nobody, not even where something else never
/// waits.
#[test]
fn cancel_2_a_boundary_that_is_kept_holds_up_nobody() {
    for never_waits in [false, true] {
        let log = Log::default();
        run(async {
            let task = filch::spawn({
                let log = log.clone();
                async move {
                    let mut kept = pin!(cancellable(pending::<()>()));
                    poll_fn(|cx| {
                        assert!(kept.as_mut().poll(cx).is_pending());
                        Poll::Ready(())
                    })
                    .await;
                    log.add("begun");
                    if never_waits {
                        loop {
                            yield_now().await;
                        }
                    }
                    pending::<()>().await;
                }
            });
            log.until("begun").await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
        });
    }
}

/// A poll that began before its task was told, and finds a boundary cut in its midst, is behind that boundary in a
/// scope that is cancelled.
#[test]
fn cancel_10_a_poll_that_is_overtaken_is_in_the_scope() {
    let log = Log::default();
    let go = Arc::new(AtomicBool::new(false));
    let _watchdog = watchdog(PATIENCE);
    // Not by a main future, which the task might keep from its worker.
    runtime(2).block_on(async {
        let task = filch::spawn({
            let (log, go) = (log.clone(), go.clone());
            async move {
                let mut cut = pin!(cancellable(sleep(HOUR)));
                poll_fn(|cx| {
                    if !go.load(Ordering::SeqCst) {
                        assert!(cut.as_mut().poll(cx).is_pending());
                        log.add("begun");
                        while !go.load(Ordering::SeqCst) {
                            std::thread::yield_now();
                        }
                    }
                    assert!(is_cancelled());
                    cut.as_mut().poll(cx)
                })
                .await
                .unwrap_err();
                // Which any operation asks that may begin here.
                assert!(filch_atomic::scope::here_is_cancelled());
                // Not a shield's affair.
                shielded(async { assert!(!filch_atomic::scope::here_is_cancelled()) }).await;
                log.add("behind");
            }
        });
        log.until("begun").await;
        task.cancel();
        go.store(true, Ordering::SeqCst);
        task.await.unwrap();
    });
    assert!(log.has("behind"));
}

/// A runtime that runs in the midst of a boundary is not in that.
#[test]
fn cancel_15_a_runtime_in_the_midst_of_a_boundary_is_not_in_it() {
    let inner = cancellable(async {
        run(async {
            let begun = Arc::new(AtomicBool::new(false));
            let task = filch::spawn({
                let begun = begun.clone();
                cancellable(async move {
                    begun.store(true, Ordering::SeqCst);
                    pending::<()>().await;
                })
            });
            while !begun.load(Ordering::SeqCst) {
                yield_now().await;
            }
            task.cancel();
            task.await.unwrap().unwrap_err();
        });
        filch::Runtime::builder().workers(1).run(async {
            let task = filch::spawn(cancellable(pending::<()>()));
            yield_now().await;
            task.cancel();
            task.await.unwrap().unwrap_err();
        })
    });
    smol::block_on(inner).unwrap().unwrap();
}
