//! A child's first poll: until its end the group does not know whom to tell, and it makes no difference.

use crate::kit::{Log, run};
use crate::support::{PATIENCE, pair, runtime};
use filch::io::Write;
use filch::time::{Duration, timeout};
use filch::{Runtime, cancellable, check_cancelled, cpu, group, is_cancelled};
use filch_testkit::limits::watchdog;
use std::future::pending;
use std::io::Read;
use std::sync::Barrier;
use std::sync::mpsc;
use std::thread;

/// Waits for it; but not for ever.
async fn comes(log: &Log, what: &str) {
    let waited = timeout(Duration::from_secs(20), log.until(what));
    waited.await.unwrap_or_else(|_| panic!("{what:?} never happens: {:?}", log.all()));
}

/// GROUP-12, CANCEL-10. A child that is cancelled before it begins is polled once, and begins no operation.
#[test]
fn group_12_cancelled_before_it_begins_it_begins_no_operation() {
    let _watchdog = watchdog(PATIENCE);
    let mut theirs = Runtime::builder()
        .workers(1)
        .run(async {
            let log = Log::default();
            let (ours, theirs) = pair();
            let child = log.clone();
            group(async move |g| {
                let writes = g.spawn(async move {
                    assert!(is_cancelled());
                    child.add("polled");
                    let mut ours = &ours;
                    ours.write_all(b"never").await
                });
                g.cancel();
                assert_eq!(writes.outcome().await, None);
                Ok(())
            })
            .or_none()
            .await
            .unwrap();
            assert_eq!(log.all(), ["polled"]);
            theirs
        })
        .unwrap();
    theirs.set_nonblocking(false).unwrap();
    let mut all = Vec::new();
    theirs.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"");
}

/// GROUP-12. Code in a boundary asks that boundary, which hears of the group from the moment it is made.
#[test]
fn group_12_a_boundary_in_the_first_poll_is_told() {
    let _watchdog = watchdog(PATIENCE);
    let log = Log::default();
    let runtime = runtime(2);
    let task = {
        let log = log.clone();
        runtime.handle().spawn(group(async move |g| {
            let body = log.clone();
            g.spawn_ok(async move {
                let computes = async {
                    log.add("computes");
                    while !is_cancelled() {
                        thread::yield_now();
                    }
                };
                cancellable(computes).await.expect("it comes to its end");
                log.add("told");
            });
            body.until("computes").await;
            g.cancel();
            Ok(())
        }))
    };
    runtime.block_on(task).unwrap().unwrap();
    assert_eq!(log.all(), ["computes", "told"]);
}

/// GROUP-12, CPU-5. So are the jobs of a scope that waits, wherever they run.
#[test]
fn group_12_jobs_in_the_first_poll_are_told() {
    let _watchdog = watchdog(PATIENCE);
    let log = Log::default();
    // This thread is no worker: both of those are busy.
    let runtime = runtime(2);
    let (send, kept) = mpsc::channel();
    let task = {
        let log = log.clone();
        runtime.handle().spawn(group(async move |g| {
            send.send(g.clone()).unwrap();
            g.spawn_ok(async move {
                let barrier = Barrier::new(2);
                let until_cancelled = || {
                    barrier.wait();
                    log.add("computes");
                    while check_cancelled().is_ok() {
                        thread::yield_now();
                    }
                };
                cpu::join(until_cancelled, until_cancelled);
            });
            Ok(())
        }))
    };
    while log.all().len() < 2 {
        thread::yield_now();
    }
    kept.recv().unwrap().cancel();
    runtime.block_on(task).unwrap().unwrap();
}

/// GROUP-12. A task of another runtime, which ends in the midst of that poll, is not taken for the child.
#[test]
fn group_12_another_task_in_the_first_poll_is_not_the_child() {
    /// Asks when it is dropped.
    struct Asks(Log);
    impl Drop for Asks {
        fn drop(&mut self) {
            let _ = is_cancelled();
            self.0.add("asked");
        }
    }
    let log = Log::default();
    run(async {
        // What is spawned there is dropped at once.
        let other = Runtime::builder().workers(1).build().unwrap();
        let over = other.handle().clone();
        other.shutdown_timeout(Duration::from_secs(20));
        let (child, body) = (log.clone(), log.clone());
        filch::spawn(group(async move |g| {
            g.spawn_ok(async move {
                let asks = Asks(child.clone());
                drop(over.spawn(async move {
                    let _asks = asks;
                    pending::<()>().await;
                }));
                assert!(child.has("asked"), "it was dropped in the midst of this poll");
                let clean_up = async || child.add("told");
                child.add("waits");
                let _ = cancellable(pending::<()>()).on_cancel(clean_up).await;
            });
            body.until("waits").await;
            g.cancel();
            Ok(())
        }));
        comes(&log, "told").await;
    });
}
