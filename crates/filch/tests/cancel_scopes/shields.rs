//! Shields and clean-up.

use crate::kit::{HOUR, Log, run};
use crate::support::PATIENCE;
use filch::task::{Report, yield_now};
use filch::time::{Duration, sleep};
use filch::{Runtime, cancellable, is_cancelled, shield, shielded};
use filch_testkit::limits::watchdog;
use std::future::{Future, pending, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::Poll;

#[test]
fn cancel_7_what_is_shielded_comes_to_its_end() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let cut = cancellable(async {
                    let critical = async {
                        log.add("begun");
                        log.until("cancelled").await;
                        assert!(!is_cancelled(), "it is kept off");
                        // Nor is a boundary in it told.
                        cancellable(yield_now()).await.expect("not in here");
                        log.add("shielded");
                    };
                    shielded(critical).await;
                    assert!(is_cancelled(), "in force again");
                    log.add("behind it");
                    sleep(HOUR).await;
                    log.add("never");
                });
                cut.await.unwrap_err();
                log.add("cut");
            }
        });
        log.until("begun").await;
        task.cancel();
        log.add("cancelled");
        task.await.unwrap();
    });
    assert_eq!(log.all(), ["begun", "cancelled", "shielded", "behind it", "cut"]);
}

#[test]
fn cancel_7_a_shield_holds_up_a_task_without_boundaries() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let critical = async {
                    log.add("begun");
                    log.until("cancelled").await;
                    log.add("shielded");
                };
                // By the side of one that would be dropped, were it alone.
                filch::join!(shielded(critical), sleep(Duration::from_millis(5)));
                // Neither waits any more: it is over, and a cancel that comes late changes nothing (CANCEL-3).
            }
        });
        log.until("begun").await;
        task.cancel();
        log.add("cancelled");
        let ended = task.await;
        assert!(ended.is_ok() || ended.unwrap_err().is_cancelled());
    });
    assert_eq!(log.all(), ["begun", "cancelled", "shielded"]);
}

#[test]
fn cancel_7_a_shield_that_is_dropped_elsewhere_holds_up_nobody() {
    let log = Log::default();
    run(async {
        let place = Arc::new(Mutex::new(None));
        let task = filch::spawn({
            let (log, place) = (log.clone(), place.clone());
            async move {
                let mut shield = Box::pin(shielded(pending::<()>()));
                poll_fn(|cx| {
                    assert!(shield.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
                *place.lock().unwrap() = Some(shield);
                log.add("begun");
                sleep(HOUR).await;
            }
        });
        log.until("begun").await;
        task.cancel();
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(!task.is_finished(), "it is held up");
        drop(place.lock().unwrap().take());
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn cancel_8_clean_up_may_wait_and_is_waited_for() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let inner = async {
                    let work = async {
                        let _gone = log.on_drop("work dropped", "?");
                        log.add("begun");
                        sleep(HOUR).await;
                    };
                    let clean_up = || async {
                        assert!(!is_cancelled());
                        sleep(Duration::from_millis(2)).await;
                        cancellable(yield_now()).await.expect("shielded");
                        log.add("cleaned up");
                    };
                    let cut = cancellable(work).on_cancel(clean_up).await;
                    assert!(cut.is_err());
                    log.add("inner");
                    sleep(HOUR).await;
                };
                let clean_up = async || log.add("outer cleaned up");
                cancellable(inner).on_cancel(clean_up).await.unwrap_err();
            }
        });
        log.until("begun").await;
        task.cancel();
        task.await.unwrap();
    });
    assert_eq!(log.all(), ["begun", "work dropped", "cleaned up", "inner", "outer cleaned up"]);
}

#[test]
fn cancel_8_there_is_none_after_an_end() {
    run(async {
        let clean_up = || async { unreachable!("it was not cancelled") };
        assert_eq!(cancellable(async { 1 }).on_cancel(clean_up).await, Ok(1));
        drop(cancellable(pending::<()>()).on_cancel(clean_up));
        let cut = cancellable(pending::<()>()).on_cancel(clean_up);
        filch::select! {
            cut = cut => unreachable!("it has nothing to end it: {cut:?}"),
            () = sleep(Duration::from_millis(1)) => {}
        }
    });
}

/// A runtime that keeps its reports of clean-up, and how many.
fn counting(grace: Duration) -> (Runtime, Arc<Mutex<Vec<Report>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = reports.clone();
    let runtime = Runtime::builder()
        .workers(2)
        .grace(grace)
        .on_error(move |report| kept.lock().unwrap().push(report.clone()))
        .build()
        .unwrap();
    (runtime, reports)
}

#[test]
fn cancel_9_clean_up_has_its_grace() {
    let _watchdog = watchdog(PATIENCE);
    let (runtime, reports) = counting(Duration::from_millis(5));
    let log = Log::default();
    let task = runtime.handle().spawn({
        let log = log.clone();
        async move {
            let work = async {
                log.add("begun");
                sleep(HOUR).await;
            };
            let clean_up = || async {
                let _gone = log.on_drop("?", "clean-up dropped");
                sleep(HOUR).await;
                log.add("never");
            };
            cancellable(work).on_cancel(clean_up).await.unwrap_err();
            log.add("behind");
        }
    });
    runtime.block_on(async {
        log.until("begun").await;
        task.cancel();
        task.await.unwrap();
    });
    assert_eq!(log.all(), ["begun", "clean-up dropped", "behind"]);
    let reports = reports.lock().unwrap();
    let [Report::CleanUpCut { location, grace, .. }] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((location.file(), *grace), (file!(), Duration::from_millis(5)));
    assert!(reports[0].to_string().contains("cleaned up after"), "{}", reports[0]);
}

#[test]
fn cancel_9_clean_up_may_have_a_grace_of_its_own() {
    let _watchdog = watchdog(PATIENCE);
    // An hour otherwise.
    let (runtime, reports) = counting(HOUR);
    let log = Log::default();
    let task = runtime.handle().spawn({
        let log = log.clone();
        async move {
            let work = async {
                log.add("begun");
                sleep(HOUR).await;
            };
            let clean_up = || async {
                sleep(HOUR).await;
                log.add("never");
            };
            let cut = cancellable(work).on_cancel(clean_up).grace(Duration::from_millis(5));
            cut.await.unwrap_err();
        }
    });
    runtime.block_on(async {
        log.until("begun").await;
        task.cancel();
        task.await.unwrap();
    });
    assert_eq!(log.all(), ["begun"]);
    assert_eq!(reports.lock().unwrap().len(), 1);
}

#[test]
fn cancel_11_abort_waits_for_nobody() {
    let log = Log::default();
    run(async {
        let shield = filch::spawn({
            let log = log.clone();
            async move {
                log.add("begun");
                shielded(pending::<()>()).await
            }
        });
        log.until("begun").await;
        shield.cancel();
        shield.abort();
        assert!(shield.await.unwrap_err().is_cancelled());

        let cleaning = filch::spawn({
            let log = log.clone();
            async move {
                let work = async {
                    log.add("works");
                    pending::<()>().await;
                };
                let clean_up = async || {
                    log.add("cleans up");
                    pending::<()>().await;
                };
                cancellable(work).on_cancel(clean_up).await
            }
        });
        log.until("works").await;
        cleaning.cancel();
        log.until("cleans up").await;
        cleaning.abort();
        assert!(cleaning.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn cancel_12_shield_goes_on_without_its_waiter() {
    let _watchdog = watchdog(PATIENCE);
    let (runtime, reports) = counting(Duration::from_secs(5));
    let log = Log::default();
    runtime.block_on(async {
        let waiter = filch::spawn({
            let log = log.clone();
            async move {
                let critical = {
                    let log = log.clone();
                    async move {
                        log.add("begun");
                        log.until("waiter gone").await;
                        log.add("done");
                        Err::<(), _>("a failure that nobody awaits".to_owned())
                    }
                };
                shield(critical).await.unwrap()
            }
        });
        log.until("begun").await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        log.add("waiter gone");
        log.until("done").await;
        // Awaited to its end it is as any task.
        assert_eq!(shield(async { 42 }).await.unwrap(), 42);
        while reports.lock().unwrap().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(log.all(), ["begun", "waiter gone", "done"]);
    let reports = reports.lock().unwrap();
    assert!(matches!(&reports[..], [Report::TaskFailed { .. }]), "{reports:?}");
}
