//! The owned list, and shutdown.

use super::support::*;
use filch_atomic::current::WaitKind;
use filch_sched::task::{Builder, Meta};
use std::future::pending;

#[test]
fn tasks_are_in_the_list_until_they_end_in_any_order() {
    let bench = Bench::new();
    let handles: Vec<_> = (0..5).map(|_| bench.spawn(pending::<()>())).collect();
    bench.run();
    assert_eq!(bench.tasks().len(), 5);
    for (left, i) in [(4, 2), (3, 0), (2, 4), (1, 1), (0, 3)] {
        handles[i].abort();
        bench.run();
        assert!(handles[i].is_finished());
        assert_eq!(bench.tasks().len(), left);
    }
}

#[test]
fn shutdown_drops_idle_tasks_and_marks_queued_ones() {
    let (bench, drops) = (Bench::new(), Drops::new());
    let wait = |counted: Counted| async move {
        let _counted = counted;
        pending::<()>().await;
    };
    // More than one batch.
    let idle: Vec<_> = (0..100).map(|_| bench.spawn(wait(drops.counted()))).collect();
    bench.run();
    let queued = bench.spawn(wait(drops.counted()));
    bench.tasks().shutdown_all();
    assert_eq!(drops.count(), 100);
    assert!(bench.tasks().is_empty() && bench.tasks().is_closed());
    assert!(!queued.is_finished());
    bench.run();
    for handle in idle.into_iter().chain([queued]) {
        let error = result(handle).unwrap_err();
        assert!(error.is_shutdown() && error.is_cancelled());
        assert!(error.to_string().ends_with("its runtime has shut down"));
    }
    assert_eq!((drops.count(), bench.holders()), (101, 1));
}

#[test]
fn a_closed_list_refuses_and_the_future_is_dropped() {
    let (bench, drops) = (Bench::new(), Drops::new());
    bench.tasks().close();
    let counted = drops.counted();
    let (task, handle) = bench.unqueued(async move { drop(counted) }, Meta::here());
    assert!(task.is_none());
    assert_eq!(drops.count(), 1);
    assert!(result(handle).unwrap_err().is_shutdown());
    assert_eq!(bench.holders(), 1);
}

#[test]
fn shutdown_from_inside_a_task_ends_it_when_its_poll_returns() {
    let (bench, drops) = (Bench::new(), Drops::new());
    let (inner, counted) = (bench.clone(), drops.counted());
    let handle = bench.spawn(async move {
        let _counted = counted;
        inner.tasks().shutdown_all();
        drop(inner);
        pending::<()>().await
    });
    bench.run();
    assert_eq!(drops.count(), 1);
    assert!(result(handle).unwrap_err().is_shutdown());
}

#[test]
fn a_destructor_may_spawn_and_wake_during_shutdown() {
    struct Busy(Bench, WakerPlace);
    impl Drop for Busy {
        fn drop(&mut self) {
            let refused = self.0.spawn(async {});
            assert!(refused.is_finished());
            if let Some(waker) = self.1.lock().unwrap().take() {
                waker.wake();
            }
        }
    }
    let bench = Bench::new();
    let place = WakerPlace::default();
    // Woken by the other's destructor, after or before it was itself dropped: neither is a task to
    // run.
    let sleeper = bench.spawn(pend(place.clone()));
    let busy = Busy(bench.clone(), place);
    let other = bench.spawn(async move {
        let _busy = busy;
        pending::<()>().await
    });
    bench.run();
    bench.tasks().shutdown_all();
    bench.run();
    assert!(result(sleeper).unwrap_err().is_shutdown());
    assert!(result(other).unwrap_err().is_shutdown());
    assert_eq!(bench.holders(), 1);
}

#[test]
fn a_dropped_task_is_shut_down() {
    let (bench, drops) = (Bench::new(), Drops::new());
    let counted = drops.counted();
    let (task, handle) = bench.unqueued(async move { drop(counted) }, Meta::here());
    drop(task);
    assert_eq!(drops.count(), 1);
    assert!(result(handle).unwrap_err().is_shutdown());
    assert!(bench.tasks().is_empty());
}

#[test]
fn a_snapshot_says_what_each_task_waits_for() {
    let bench = Bench::new();
    let child = bench.spawn(pending::<()>());
    let (child_id, child_location) = (child.id(), child.spawn_location());
    let _parent = bench.spawn_with(child, Builder::new().name("parent").meta());
    bench.run();
    let mut tasks = bench.tasks().snapshot();
    tasks.sort_by_key(|task| task.name.is_some());
    let [child, parent] = &tasks[..] else { panic!("{tasks:?}") };
    assert_eq!((child.id, child.name.clone(), child.running), (child_id, None, false));
    assert_eq!(child.waits_for, None, "a future that says nothing");
    assert_eq!(parent.name.as_deref(), Some("parent"));
    let expected = (WaitKind::Join, child_id.as_u64() as usize, child_location);
    assert_eq!(parent.waits_for, Some(expected));
}
