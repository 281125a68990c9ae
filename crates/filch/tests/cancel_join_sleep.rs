//! Giving up to wait for a task, or for a time, at any poll.

mod support;

use filch::sync::Lock;
use filch::time::{Duration, Instant, sleep, timeout};
use filch_testkit::Cut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{breathe, everywhere};

async fn waits_for_a_task(cut: Cut) {
    let ran = Arc::new(AtomicU32::new(0));
    let work = {
        let ran = ran.clone();
        async move {
            sleep(Duration::from_millis(2)).await;
            ran.fetch_add(1, Ordering::Relaxed);
            "its output"
        }
    };
    // Waited for by reference, its output stays until somebody takes it.
    let task = Arc::new(Lock::new(filch::spawn(work)));
    let waiter = {
        let task = task.clone();
        async move { (&mut *task.lock().await).await.expect("it does not panic") }
    };
    let output = match cut.run(waiter).await {
        Some(output) => output,
        None => (&mut *task.lock().await).await.expect("it does not panic"),
    };
    assert_eq!(output, "its output");
    assert_eq!(ran.load(Ordering::Relaxed), 1);
}

#[test]
fn the_output_stays_until_it_is_taken() {
    everywhere(2, waits_for_a_task);
}

async fn waits_by_value(cut: Cut) {
    let (ran, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let work = {
        let (ran, stop) = (ran.clone(), stop.clone());
        async move {
            while stop.load(Ordering::Relaxed) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            ran.fetch_add(1, Ordering::Relaxed);
        }
    };
    let task = filch::spawn(work);
    let stopper = async {
        breathe().await;
        stop.store(1, Ordering::Relaxed);
    };
    filch::join!(cut.run(task), stopper);
    // Detached or awaited, the task ran to its end.
    while ran.load(Ordering::Relaxed) == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_task_whose_handle_goes_runs_on() {
    everywhere(2, waits_by_value);
}

async fn sleeps(cut: Cut) {
    let begin = Instant::now();
    let nap = Duration::from_millis(2);
    let sleeper = async move {
        sleep(nap).await;
        assert!(timeout(nap, std::future::pending::<()>()).await.is_err());
        timeout(Duration::from_secs(3600), sleep(nap)).await.expect("it is shorter");
    };
    if cut.run(sleeper).await.is_some() {
        assert!(begin.elapsed() >= 3 * nap, "never early");
    }
    // The wheel still turns, and the one dropped wakes nobody.
    sleep(Duration::from_millis(1)).await;
}

#[test]
fn a_sleep_that_goes_leaves_the_wheel_in_order() {
    everywhere(6, sleeps);
}

async fn blocks(cut: Cut) {
    let ran = Arc::new(AtomicU32::new(0));
    let closures = {
        let ran = ran.clone();
        async move {
            for _ in 0..2 {
                let ran = ran.clone();
                let closure = filch::spawn_blocking(move || {
                    std::thread::sleep(Duration::from_millis(1));
                    ran.fetch_add(1, Ordering::Relaxed)
                });
                closure.await.expect("it does not panic");
            }
        }
    };
    let done = cut.run(closures).await.is_some();
    // Begun, it runs to its end, whoever waits.
    if done {
        assert_eq!(ran.load(Ordering::Relaxed), 2);
    }
    filch::spawn_blocking(|| ()).await.expect("the pool still takes closures");
}

#[test]
fn a_closure_nobody_waits_for_does_no_harm() {
    everywhere(3, blocks);
}
