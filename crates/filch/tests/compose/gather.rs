//! `gather` and `try_gather`.

use crate::kit::{HOUR, Log, run};
use crate::support::PATIENCE;
use filch::task::{AbortHandle, Report, yield_now};
use filch::time::{Duration, sleep, timeout};
use filch::{
    Runtime, cancellable, gather, gather_all, is_cancelled, shielded, try_gather, try_gather_all,
};
use filch_testkit::limits::watchdog;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

const MS: Duration = Duration::from_millis(1);

/// Waits for a cancel, and takes its time then.
async fn cleans_up(log: Log) {
    let clean_up = async || {
        sleep(2 * MS).await;
        log.add("cleaned up");
    };
    let _ = cancellable(pending::<()>()).on_cancel(clean_up).await;
}

/// GATHER-1.
#[test]
fn gather_1_outputs_come_in_order() {
    run(async {
        let slow = async {
            sleep(3 * MS).await;
            "slow"
        };
        assert_eq!(gather((slow, async { 2 }, async { 'c' })).await, ("slow", 2, 'c'));
        let after = |wait: u32| async move {
            sleep(wait * MS).await;
            wait
        };
        assert_eq!(gather([after(3), after(1), after(2)]).await, [3, 1, 2]);
        assert_eq!(gather_all((0..300).map(|n| after(n % 3))).await.len(), 300);
        assert_eq!(gather(vec![after(1), after(0)]).await, [1, 0]);
        assert_eq!(gather_all((0..0).map(after)).await, [0; 0]);
        let twelve = gather((
            after(0),
            after(1),
            after(2),
            after(3),
            after(0),
            after(1),
            after(2),
            after(3),
            after(0),
            after(1),
            after(2),
            after(3),
        ));
        assert_eq!(twelve.await, (0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3));
    });
}

/// GATHER-1: each is a task, so they meet though none of them waits for long.
#[test]
fn gather_1_each_is_a_task() {
    run(async {
        let main = filch::task::try_id();
        let ids = gather((async { filch::task::id() }, async { filch::task::id() })).await;
        assert_ne!(ids.0, ids.1);
        assert_ne!(Some(ids.0), main);
        // Nothing is spawned before it is awaited.
        let log = Log::default();
        let gathered = gather_all([cleans_up(log.clone())]);
        for _ in 0..10 {
            yield_now().await;
        }
        drop(gathered);
        assert_eq!(log.all(), [""; 0]);
    });
}

fn reporting() -> (Runtime, Arc<Mutex<Vec<Report>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = reports.clone();
    let hook = move |report: &Report| kept.lock().unwrap().push(report.clone());
    (Runtime::builder().workers(2).on_error(hook).build().unwrap(), reports)
}

/// Expects a panic with this text.
async fn panics(with: &str, future: impl Future<Output: std::fmt::Debug>) {
    let payload = AssertUnwindSafe(future).catch_unwind().await.expect_err("it panics");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&with));
}

/// GATHER-2.
#[test]
fn gather_2_a_panic_goes_on_at_once_and_the_others_run_on() {
    let log = Log::default();
    run(async {
        let other = |log: Log| async move {
            log.until("failed").await;
            assert!(!is_cancelled());
            log.add("ran on");
        };
        let fails = async {
            yield_now().await;
            panic!("oh");
        };
        panics("oh", gather((other(log.clone()), fails))).await;
        log.add("failed");
        log.until("ran on").await;
        // In a row as well.
        type Child = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
        let log = Log::default();
        let all: Vec<Child> = vec![
            Box::pin(other(log.clone())),
            Box::pin(async { panic!("oh") }),
            Box::pin(async {}),
        ];
        panics("oh", gather(all)).await;
        log.add("failed");
        log.until("ran on").await;
    });
}

/// GATHER-3.
#[test]
fn gather_3_results_are_collected() {
    run(async {
        let fine = async {
            sleep(2 * MS).await;
            1
        };
        let (fine, panicked) = gather((fine, async { panic!("oh") })).results().await;
        let panicked: Result<(), _> = panicked;
        assert_eq!(fine.unwrap(), 1);
        assert!(panicked.unwrap_err().is_panic());
        let odd = |n: i32| async move { if n % 2 == 1 { n } else { panic!("{n}") } };
        let all = gather_all((0..5).map(odd)).results().await;
        assert_eq!(
            all.into_iter().map(Result::ok).collect::<Vec<_>>(),
            [None, Some(1), None, Some(3), None]
        );
    });
}

/// GATHER-4.
#[test]
fn gather_4_a_cancel_goes_to_all_and_is_waited_for() {
    let log = Log::default();
    run(async {
        for row in [false, true] {
            let task = filch::spawn({
                let log = log.clone();
                async move {
                    log.add("begun");
                    let one = cleans_up(log.clone());
                    let two = async {
                        sleep(HOUR).await;
                    };
                    if row {
                        gather([one.boxed(), two.boxed()]).await;
                    } else {
                        gather((one, two)).await;
                    }
                    log.add("never");
                }
            });
            log.until("begun").await;
            for _ in 0..20 {
                yield_now().await;
            }
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            log.add("joined");
        }
    });
    let once = ["begun", "cleaned up", "joined"];
    assert_eq!(log.all(), [once, once].concat());
}

/// GATHER-4: with a boundary or a timeout around it, those are cut when all are joined; results do not change that.
#[test]
fn gather_4_what_is_around_is_cut_when_all_are_joined() {
    let log = Log::default();
    run(async {
        let gathered = gather((cleans_up(log.clone()), pending::<()>()));
        timeout(MS, gathered).await.unwrap_err();
        log.add("elapsed");
        let gathered = gather([cleans_up(log.clone()).boxed(), pending::<()>().boxed()]).results();
        timeout(MS, cancellable(gathered)).await.unwrap_err();
        log.add("elapsed");
    });
    let once = ["cleaned up", "elapsed"];
    assert_eq!(log.all(), [once, once].concat());
}

/// GATHER-5.
#[test]
fn gather_5_if_all_come_to_their_ends_nevertheless_that_counts() {
    run(async {
        let shields = |n: u32| async move {
            shielded(sleep(3 * MS)).await;
            n
        };
        assert_eq!(timeout(MS, gather((shields(1), shields(2)))).await, Ok((1, 2)));
        assert_eq!(timeout(MS, gather_all((0..3).map(shields))).await, Ok(vec![0, 1, 2]));
        let fine = |n: u32| async move {
            shielded(sleep(3 * MS)).await;
            Ok::<_, String>(n)
        };
        assert_eq!(timeout(MS, try_gather((fine(1), fine(2)))).await, Ok(Ok((1, 2))));
    });
}

/// GATHER-6.
#[test]
fn gather_6_the_first_error_cancels_the_rest_and_is_given_when_they_are_joined() {
    let log = Log::default();
    run(async {
        let fails = |text: &'static str| async move {
            yield_now().await;
            Err::<u8, _>(text)
        };
        let cleans = |log: Log| async move {
            cleans_up(log).await;
            Err("cancelled, and a failure by that")
        };
        let error = try_gather((cleans(log.clone()), fails("first"))).await;
        assert_eq!(error, Err::<(u8, u8), _>("first"));
        log.add("given");
        let error = try_gather([cleans(log.clone()).boxed(), fails("first").boxed()]).await;
        assert_eq!(error, Err("first"));
        log.add("given");
        assert_eq!(
            try_gather_all((0..200).map(|n| async move { Ok::<_, ()>(n) })).await.unwrap().len(),
            200
        );
        let nobody: [std::future::Ready<Result<(), ()>>; 0] = [];
        assert_eq!(try_gather(nobody).await, Ok([]));
        // A panic counts, and goes on when the others have ended.
        let fails = async {
            yield_now().await;
            panic!("oh");
        };
        let gathered = try_gather((cleans(log.clone()), fails));
        panics("oh", async { gathered.await.map(|_: (u8, u8)| ()) }).await;
        log.add("given");
    });
    let once = ["cleaned up", "given"];
    assert_eq!(log.all(), [once, once, once].concat());
}

/// GATHER-6: asyncio's way, by choice.
#[test]
fn gather_6_the_rest_may_run_on() {
    let log = Log::default();
    run(async {
        let other = |log: Log| async move {
            log.until("given").await;
            assert!(!is_cancelled());
            log.add("ran on");
            Ok::<(), &str>(())
        };
        let fails = async { Err::<(), _>("first") };
        assert_eq!(try_gather((other(log.clone()), fails)).detach_rest().await, Err("first"));
        log.add("given");
        log.until("ran on").await;
    });
}

/// GATHER-6: while the others are joined, nothing cuts that off.
#[test]
fn gather_6_a_cancel_does_not_lose_the_error() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let fails = async { Err::<(), _>("first") };
                let slow = {
                    let log = log.clone();
                    async move {
                        let clean_up = async || {
                            log.add("cleans up");
                            log.until("cancelled").await;
                        };
                        let _ = cancellable(pending::<()>()).on_cancel(clean_up).await;
                        Ok(())
                    }
                };
                let cut = cancellable(try_gather((fails, slow))).await;
                assert_eq!(cut, Ok(Err("first")));
            }
        });
        log.until("cleans up").await;
        task.cancel();
        log.add("cancelled");
        task.await.unwrap();
    });
}

/// GATHER-7.
#[test]
fn gather_7_dropped_it_asks_all_to_end_and_waits_for_nobody() {
    let log = Log::default();
    run(async {
        let gathered = gather((cleans_up(log.clone()), async { sleep(HOUR).await }));
        filch::select! {
            _ = gathered => unreachable!("an hour has not passed"),
            () = sleep(2 * MS) => {}
        }
        log.add("dropped");
        log.until("cleaned up").await;
    });
    assert_eq!(log.all(), ["dropped", "cleaned up"]);
}

/// GATHER-8: what is not given to anybody is reported.
#[test]
fn gather_8_a_second_panic_is_reported() {
    let _watchdog = watchdog(PATIENCE);
    let (runtime, reports) = reporting();
    runtime.block_on(async {
        let second = || async {
            // Told to end by the failure of the first.
            let _ = cancellable(pending::<()>()).await;
            panic!("second");
        };
        let fails = async { Err::<(), _>("first") };
        assert_eq!(try_gather((fails, second())).await, Err::<((), ()), _>("first"));
        let fails = async { Err::<(), _>("first") };
        assert_eq!(try_gather([fails.boxed(), second().boxed()]).await, Err("first"));
    });
    let reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 2, "{reports:?}");
    for report in &*reports {
        let Report::TaskPanicked { message, location, .. } = report else { panic!("{report}") };
        assert_eq!((&**message, location.file()), ("second", file!()));
    }
}

/// GATHER-5, RUN-1. The end of the runtime asks the children, too, perhaps before whoever waits for them: that is no fault
/// of his.
#[test]
fn gather_5_the_end_of_the_runtime_is_no_panic() {
    for workers in [1, 2] {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let (to, log) = (reports.clone(), Log::default());
        let builder = Runtime::builder()
            .workers(workers)
            .on_error(move |report: &Report| to.lock().unwrap().push(report.to_string()));
        let cleaned = log.clone();
        let main = async move {
            filch::spawn(async move {
                let both = gather((pending::<()>(), pending::<()>()));
                let clean_up = async || cleaned.add("cleaned up");
                let _ = cancellable(both).on_cancel(clean_up).await;
            });
            sleep(2 * MS).await;
        };
        builder.run(main).unwrap();
        assert!(reports.lock().unwrap().is_empty(), "{reports:?}");
        assert_eq!(log.all(), ["cleaned up"]);
    }
}

/// A child that is ended by nobody but itself.
fn ends_itself(by_abort: bool) -> BoxFuture<'static, Result<u32, String>> {
    let ends = async move {
        let handle = AbortHandle::of_current().unwrap();
        if by_abort {
            handle.abort()
        } else {
            handle.cancel()
        }
        pending().await
    };
    ends.boxed()
}

fn comes_to_its_end() -> BoxFuture<'static, Result<u32, String>> {
    let ends = async {
        sleep(MS).await;
        Ok(1)
    };
    ends.boxed()
}

/// GATHER-10. Nobody is told of that, but who gathers.
#[test]
fn gather_10_a_child_cancels_itself() {
    async fn panics<F: Future>(gathered: F) {
        let gathered = AssertUnwindSafe(timeout(Duration::from_secs(20), gathered));
        let payload = gathered.catch_unwind().await.map(|polled| polled.map(drop)).unwrap_err();
        let text = payload.downcast_ref::<&str>().unwrap();
        assert!(text.contains("a child of a gather was cancelled"), "{text}");
    }
    run(async {
        for by_abort in [false, true] {
            let both = || (ends_itself(by_abort), comes_to_its_end());
            panics(gather(both())).await;
            panics(gather(<[_; 2]>::from(both()))).await;
            panics(gather(Vec::from(<[_; 2]>::from(both())))).await;
            panics(try_gather(both())).await;
            panics(try_gather(<[_; 2]>::from(both()))).await;
            panics(try_gather(Vec::from(<[_; 2]>::from(both())))).await;
            let (one, other) = gather(both()).results().await;
            assert!(one.unwrap_err().is_cancelled());
            assert_eq!(other.unwrap(), Ok(1));
            let [one, other] = gather(<[_; 2]>::from(both())).results().await;
            assert!(one.unwrap_err().is_cancelled());
            assert_eq!(other.unwrap(), Ok(1));
        }
    });
}
