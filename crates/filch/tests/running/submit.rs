//! Tasks that a thread waits for.

use crate::kit::{HOUR, Log, builder};
use crate::support::{PATIENCE, everywhere, runtime};
use filch::time::{Duration, sleep};
use filch::{Submitted, cancellable};
use filch_testkit::limits::{alone, watchdog};
use filch_testkit::{Cut, exec};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

/// SUBMIT-1.
#[test]
fn a_thread_waits_for_what_it_submitted() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    let handle = runtime.handle().clone();
    thread::scope(|scope| {
        for number in 0..4 {
            let handle = &handle;
            scope.spawn(move || {
                for round in 0..50 {
                    let submitted = handle.submit(async move {
                        if round % 2 == 0 {
                            filch::task::yield_now().await;
                        }
                        number + round
                    });
                    assert_eq!(submitted.wait().unwrap(), number + round);
                }
            });
        }
    });
    let panics = handle.submit(async { panic!("in there") });
    assert!(panics.wait().unwrap_err().is_panic());
    // By a blocking closure, and by a task, which awaits it.
    let inner = handle.clone();
    let closure = handle.spawn_blocking(move || inner.submit(async { 5 }).wait());
    assert_eq!(exec::block_on(closure).unwrap().unwrap(), 5);
    let inner = handle.clone();
    let task = handle.spawn(async move { inner.submit(async { 6 }).await });
    assert_eq!(exec::block_on(task).unwrap().unwrap(), 6);
}

/// SUBMIT-2.
#[test]
fn a_wait_with_a_limit_gives_itself_back() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(1);
    let (let_go, held) = mpsc::channel();
    let submitted = runtime
        .handle()
        .submit(async move { filch::spawn_blocking(move || held.recv().unwrap()).await.unwrap() });
    let submitted = submitted.wait_timeout(Duration::ZERO).expect_err("it is not over");
    let submitted = submitted.wait_timeout(Duration::from_millis(5)).expect_err("nor now");
    assert!(!submitted.is_finished());
    let_go.send(7).unwrap();
    assert_eq!(submitted.wait_timeout(Duration::MAX).expect("no limit").unwrap(), 7);
    let done = runtime.handle().submit(async { 8 });
    while !done.is_finished() {
        thread::yield_now();
    }
    assert_eq!(done.wait_timeout(Duration::ZERO).expect("it is over").unwrap(), 8);
}

/// SUBMIT-3.
#[test]
fn what_is_submitted_can_be_cancelled() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    let log = Log::default();
    let submit = |log: Log| {
        runtime.handle().submit(async move {
            let work = async {
                log.add("begun");
                sleep(HOUR).await;
            };
            let clean_up = async || sleep(Duration::from_millis(1)).await;
            cancellable(work).on_cancel(clean_up).await.unwrap_err();
            "cleaned up"
        })
    };
    let submitted = submit(log.clone());
    runtime.block_on(log.until("begun"));
    submitted.cancel();
    assert_eq!(submitted.wait().unwrap(), "cleaned up");
    log.take();
    let submitted = submit(log.clone());
    runtime.block_on(log.until("begun"));
    submitted.abort();
    assert!(submitted.wait().unwrap_err().is_cancelled());
    // Dropped it goes on.
    let (tell, told) = mpsc::channel();
    drop(runtime.handle().submit(async move { tell.send(()).unwrap() }));
    told.recv().unwrap();
}

/// SUBMIT-4.
#[test]
fn on_a_worker_it_is_awaited_and_not_waited_for() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(1);
    let handle = runtime.handle().clone();
    runtime
        .block_on(runtime.handle().spawn(async move {
            let wait = |submitted: Submitted<i32>| {
                let waited = AssertUnwindSafe(|| submitted.wait());
                let payload = catch_unwind(waited).unwrap_err();
                let message = payload.downcast_ref::<String>().unwrap();
                assert!(message.contains("this thread is a worker"), "{message}");
            };
            wait(handle.submit(async { 1 }));
            let limited =
                AssertUnwindSafe(|| handle.submit(async { 1 }).wait_timeout(HOUR).is_ok());
            assert!(catch_unwind(limited).is_err());
        }))
        .unwrap();
}

/// SUBMIT-5: from many threads, while the runtime ends.
#[test]
fn a_runtime_that_ends_leaves_no_waiter_behind() {
    let _alone = alone(PATIENCE);
    for round in 0..30 {
        let reports = Log::default();
        let runtime = builder(2, &reports).build().unwrap();
        let handle = runtime.handle().clone();
        let (begun, is_begun) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..3 {
                let (handle, begun) = (handle.clone(), begun.clone());
                scope.spawn(move || {
                    loop {
                        let waits = handle.submit(pending::<()>());
                        let done = handle.submit(async { 1 });
                        begun.send(()).unwrap();
                        if let Err(error) = done.wait() {
                            assert!(error.is_shutdown(), "{error}");
                            assert!(waits.wait().unwrap_err().is_shutdown());
                            return;
                        }
                        // As many that wait as there are rounds.
                        waits.abort();
                        assert!(waits.wait().unwrap_err().is_cancelled());
                    }
                });
            }
            for _ in 0..=round {
                is_begun.recv().unwrap();
            }
            drop(runtime);
        });
        let late = handle.submit(async { 1 });
        assert!(late.wait().unwrap_err().is_shutdown());
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// SUBMIT-1: awaited, it is as a handle.
async fn submitted(cut: Cut) {
    let handle = filch::Handle::current();
    let mut submitted = handle.submit(async {
        filch::task::yield_now().await;
        3
    });
    let done = cut.run(async move { (&mut submitted).await.unwrap() }).await;
    assert!(done.is_none_or(|done| done == 3));
}

#[test]
fn it_may_be_dropped_at_any_poll() {
    everywhere(1, submitted);
}
