//! Abort, in every state a task can be in.

use super::support::*;
use filch_sched::task::yield_now;
use std::future::{pending, poll_fn};
use std::task::Poll;

#[test]
fn of_a_task_that_never_ran() {
    let bench = Bench::new();
    let drops = Drops::new();
    let counted = drops.counted();
    let handle = bench.spawn(async move {
        let _counted = counted;
        unreachable!("it is cancelled before its first poll")
    });
    handle.abort();
    assert_eq!(bench.queued(), 1, "it was in the queue already");
    assert_eq!(drops.count(), 0, "a worker drops it, not the caller");
    assert!(!handle.is_finished());
    bench.run();
    assert_eq!(drops.count(), 1);
    let error = result::<()>(handle).unwrap_err();
    assert!(error.is_cancelled() && !error.is_shutdown() && !error.is_panic());
}

#[test]
fn of_an_idle_task_schedules_it_to_be_dropped() {
    let bench = Bench::new();
    let drops = Drops::new();
    let counted = drops.counted();
    let handle = bench.spawn(async move {
        let _counted = counted;
        pending::<()>().await
    });
    bench.run();
    handle.abort();
    handle.cancel();
    assert_eq!((bench.queued(), bench.scheduled(), drops.count()), (1, 1, 0));
    bench.run();
    assert_eq!(drops.count(), 1);
    assert!(bench.tasks().is_empty());
    assert!(result(handle).unwrap_err().is_cancelled());
}

#[test]
fn from_inside_takes_effect_when_the_poll_returns() {
    let bench = Bench::new();
    let drops = Drops::new();
    let place: std::sync::Arc<std::sync::Mutex<Option<filch_sched::task::AbortHandle>>> =
        Default::default();
    let handle = bench.spawn({
        let (place, counted, drops) = (place.clone(), drops.counted(), drops.clone());
        async move {
            let _counted = counted;
            place.lock().unwrap().take().unwrap().abort();
            assert_eq!(drops.count(), 0, "a running future is left alone");
            yield_now().await;
            unreachable!("it is not polled again")
        }
    });
    *place.lock().unwrap() = Some(handle.abort_handle());
    assert_eq!(bench.run(), 1, "the same run that polled it drops it");
    assert_eq!(drops.count(), 1);
    assert!(result::<()>(handle).unwrap_err().is_cancelled());
}

#[test]
fn completion_wins_over_an_abort_in_the_same_poll() {
    let bench = Bench::new();
    let place: std::sync::Arc<std::sync::Mutex<Option<filch_sched::task::AbortHandle>>> =
        Default::default();
    let handle = bench.spawn({
        let place = place.clone();
        async move {
            place.lock().unwrap().take().unwrap().abort();
            "done"
        }
    });
    *place.lock().unwrap() = Some(handle.abort_handle());
    bench.run();
    assert_eq!(result(handle).unwrap(), "done");
}

#[test]
fn of_a_finished_task_changes_nothing() {
    let bench = Bench::new();
    let handle = bench.spawn(async { 3 });
    bench.run();
    let abort = handle.abort_handle();
    handle.abort();
    abort.clone().abort();
    assert!(abort.is_finished());
    assert_eq!(bench.queued(), 0);
    assert_eq!(result(handle).unwrap(), 3);
    assert_eq!(bench.holders(), 2, "the abort handle keeps the cell, not the output");
    drop(abort);
    assert_eq!(bench.holders(), 1);
}

#[test]
fn of_a_detached_task_drops_it_and_is_no_failure() {
    let bench = Bench::new();
    let drops = Drops::new();
    let counted = drops.counted();
    let handle = bench.spawn(async move {
        let _counted = counted;
        pending::<()>().await
    });
    let abort = handle.abort_handle();
    drop(handle);
    bench.run();
    abort.abort();
    bench.run();
    assert_eq!(drops.count(), 1);
    assert!(bench.reports().is_empty());
}

#[test]
fn wakes_the_one_who_awaits_after_the_future_is_gone() {
    let bench = Bench::new();
    let drops = Drops::new();
    let counted = drops.counted();
    let child = bench.spawn(async move {
        let _counted = counted;
        pending::<()>().await
    });
    let abort = child.abort_handle();
    let parent = bench.spawn({
        let drops = drops.clone();
        async move {
            let result = child.await;
            (drops.count(), result)
        }
    });
    bench.run();
    abort.abort();
    bench.run();
    let (dropped, result) = result(parent).unwrap();
    assert_eq!(dropped, 1);
    assert!(result.unwrap_err().is_cancelled());
}

#[test]
fn a_task_woken_by_its_own_destructor_is_not_run_again() {
    let bench = Bench::new();
    let place = WakerPlace::default();
    struct WakeOnDrop(WakerPlace);
    impl Drop for WakeOnDrop {
        fn drop(&mut self) {
            self.0.lock().unwrap().as_ref().unwrap().wake_by_ref();
        }
    }
    let handle = bench.spawn({
        let place = place.clone();
        let wake = WakeOnDrop(place.clone());
        poll_fn(move |cx| {
            let _ = &wake;
            *place.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })
    });
    bench.run();
    handle.abort();
    assert_eq!(bench.run(), 1);
    assert_eq!(bench.queued(), 0);
    assert!(result(handle).unwrap_err().is_cancelled());
    place.lock().unwrap().take();
}
