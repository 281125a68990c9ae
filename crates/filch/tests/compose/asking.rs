//! Asking several tasks to end, one of which has made a waker that panics.

use crate::kit::{Log, run};
use crate::support::PATIENCE;
use filch::task::{Report, yield_now};
use filch::time::{Duration, timeout};
use filch::{Runtime, TaskSet, cancellable, gather, group, shielded, try_gather};
use filch_testkit::limits::watchdog;
use futures_util::FutureExt;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Waits for it; but not for ever.
async fn comes(log: &Log, what: &str) {
    let waited = timeout(Duration::from_secs(20), log.until(what));
    waited.await.unwrap_or_else(|_| panic!("{what:?} never happens: {:?}", log.all()));
}

struct Nasty;

impl Wake for Nasty {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new("a waker"));
    }
}

/// Has a boundary in it that whoever asks it wakes by such a waker.
async fn nasty(log: Log) {
    let mut boundary = pin!(cancellable(pending::<()>()));
    let waker = Waker::from(Arc::new(Nasty));
    assert!(boundary.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    log.add("nasty");
    pending::<()>().await;
}

async fn cleans_up(log: Log) {
    let clean_up = async || log.add("cleaned up");
    log.add("begun");
    let _ = cancellable(pending::<()>()).on_cancel(clean_up).await;
}

async fn both_there(log: &Log) {
    comes(log, "nasty").await;
    comes(log, "begun").await;
}

/// GATHER-4. All are asked, and the panic goes on behind that.
#[test]
fn gather_4_all_are_asked_whatever_a_waker_does() {
    run(async {
        for row in [false, true] {
            let log = Log::default();
            let there = log.clone();
            let task = filch::spawn(async move {
                let (bad, good) = (nasty(there.clone()), cleans_up(there.clone()));
                // Not in an async block: that is over when it panics.
                let mut gathered = if row {
                    gather([bad.boxed(), good.boxed()]).map(drop).boxed()
                } else {
                    gather((bad, good)).map(drop).boxed()
                };
                // Somebody goes on with it.
                poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| gathered.poll_unpin(cx))) {
                    Ok(polled) => polled,
                    Err(_) => {
                        there.add("panicked");
                        Poll::Pending
                    }
                })
                .await;
            });
            both_there(&log).await;
            task.cancel();
            comes(&log, "panicked").await;
            comes(&log, "cleaned up").await;
        }
    });
}

fn reporting(workers: usize) -> (Runtime, Arc<Mutex<Vec<String>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = reports.clone();
    let hook = move |report: &Report| kept.lock().unwrap().push(report.to_string());
    (Runtime::builder().workers(workers).on_error(hook).build().unwrap(), reports)
}

/// GATHER-7, SET-6. Nor does a destructor panic: it is reported.
#[test]
fn set_6_dropped_it_asks_all_and_reports_the_panic() {
    let _watchdog = watchdog(PATIENCE);
    let (runtime, reports) = reporting(2);
    runtime.block_on(async {
        let log = Log::default();
        let mut set = TaskSet::new();
        set.spawn(nasty(log.clone()));
        set.spawn(cleans_up(log.clone()));
        both_there(&log).await;
        catch_unwind(AssertUnwindSafe(|| drop(set))).expect("a destructor must not");
        comes(&log, "cleaned up").await;

        let log = Log::default();
        let mut both = Box::pin(gather((nasty(log.clone()), cleans_up(log.clone()))));
        assert!(both.as_mut().now_or_never().is_none());
        both_there(&log).await;
        catch_unwind(AssertUnwindSafe(|| drop(both))).expect("a destructor must not");
        comes(&log, "cleaned up").await;
    });
    drop(runtime);
    let reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports.iter().all(|line| line.contains("a waker")), "{reports:?}");
}

/// SET-6. `cancel_all` asks all of them.
#[test]
fn set_6_cancel_all_asks_all() {
    run(async {
        let log = Log::default();
        let mut set = TaskSet::new();
        set.spawn(nasty(log.clone()));
        set.spawn(cleans_up(log.clone()));
        both_there(&log).await;
        let payload = catch_unwind(AssertUnwindSafe(|| set.cancel_all())).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"a waker"));
        comes(&log, "cleaned up").await;
        set.shutdown().await;
    });
}

/// GROUP-2: a group asks all of its children, too.
#[test]
fn group_2_a_group_asks_all() {
    run(async {
        let log = Log::default();
        let there = log.clone();
        let done = group(async move |g| {
            g.spawn_ok(nasty(there.clone()));
            g.spawn_ok(cleans_up(there.clone()));
            both_there(&there).await;
            g.cancel();
            Ok(())
        });
        done.await.unwrap();
        assert!(log.has("cleaned up"));
    });
}

/// GATHER-8. A panic that was taken out of its task, and is not given, is reported.
#[test]
fn gather_8_a_panic_is_reported_whatever_becomes_of_the_gather() {
    let _watchdog = watchdog(PATIENCE);
    let (runtime, reports) = reporting(1);
    runtime
        .block_on(runtime.handle().spawn(async {
            let panics = || async { std::panic::resume_unwind(Box::new("lost")) };
            let panics_late = || async {
                let _ = cancellable(pending::<()>()).await;
                std::panic::resume_unwind(Box::new("lost"))
            };
            // Cut, as another one was cancelled.
            let cut = gather((panics_late(), pending::<()>())).results();
            let cut: Result<(Result<(), _>, _), _> = timeout(Duration::from_millis(1), cut).await;
            cut.map(drop).unwrap_err();
            let cut = gather([panics_late().boxed(), pending::<()>().boxed()]).results();
            timeout(Duration::from_millis(1), cut).await.map(drop).unwrap_err();

            // Dropped while the others run.
            let mut kept = Box::pin(gather((panics(), pending::<()>())).results());
            for _ in 0..5 {
                let polled: Option<(Result<(), _>, _)> = kept.as_mut().now_or_never();
                assert!(polled.is_none());
                yield_now().await;
            }
            drop(kept);

            // Dropped while it waits for the others, with that panic in hand.
            let log = Log::default();
            let slow = {
                let log = log.clone();
                async move {
                    shielded(log.until("dropped")).await;
                    Ok::<_, ()>(())
                }
            };
            let fails = async {
                yield_now().await;
                std::panic::resume_unwind(Box::new("lost"))
            };
            let mut kept = Box::pin(try_gather((fails, slow)));
            for _ in 0..5 {
                let polled: Option<Result<((), ()), ()>> = kept.as_mut().now_or_never();
                assert!(polled.is_none());
                yield_now().await;
            }
            drop(kept);
            log.add("dropped");
        }))
        .unwrap();
    drop(runtime);
    let reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 4, "{reports:?}");
    assert!(reports.iter().all(|line| line.contains("lost")), "{reports:?}");
}
