//! The handle: awaiting, dropping, asking.

use super::support::*;
use filch_sched::task::{Builder, JoinError, JoinHandle, Meta, yield_now};
use std::future::pending;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

fn poll_with<T>(
    handle: &mut JoinHandle<T>,
    bell: &std::sync::Arc<Bell>,
) -> Poll<Result<T, JoinError>> {
    Pin::new(handle).poll(&mut Context::from_waker(&Waker::from(bell.clone())))
}

#[test]
fn wakes_the_last_waker_it_was_polled_with() {
    let bench = Bench::new();
    let (first, second) = (Bell::new(), Bell::new());
    let mut handle = bench.spawn(async { 1 });
    assert!(poll_with(&mut handle, &first).is_pending());
    assert!(poll_with(&mut handle, &first).is_pending());
    assert!(poll_with(&mut handle, &second).is_pending());
    assert_eq!(std::sync::Arc::strong_count(&first), 1, "a replaced waker is dropped at once");
    bench.run();
    assert_eq!((first.rung(), second.rung()), (0, 1));
    assert_eq!(std::sync::Arc::strong_count(&second), 1, "the waker was consumed");
    assert!(handle.is_finished());
    assert!(matches!(poll_with(&mut handle, &first), Poll::Ready(Ok(1))));
    assert_eq!((first.rung(), second.rung()), (0, 1));
}

#[test]
fn polled_again_after_ready_panics() {
    let bench = Bench::new();
    let mut handle = bench.spawn(async { 1 });
    bench.run();
    assert!(poll(&mut handle).is_ready());
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut handle)));
    assert!(again.is_err());
}

#[test]
fn dropped_before_the_task_ran() {
    let (bench, drops) = (Bench::new(), Drops::new());
    let counted = drops.counted();
    drop(bench.spawn(async move { counted }));
    assert_eq!(drops.count(), 0);
    bench.run();
    assert_eq!(drops.count(), 1, "the worker drops the output");
    assert_eq!(bench.holders(), 1);
}

#[test]
fn dropped_while_the_task_waits_with_its_waker_registered() {
    let (bench, drops) = (Bench::new(), Drops::new());
    let (counted, bell, place) = (drops.counted(), Bell::new(), WakerPlace::default());
    let mut handle = bench.spawn({
        let place = place.clone();
        async move {
            let mut first = true;
            std::future::poll_fn(|cx| {
                if std::mem::take(&mut first) {
                    *place.lock().unwrap() = Some(cx.waker().clone());
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
            .await;
            counted
        }
    });
    assert!(poll_with(&mut handle, &bell).is_pending());
    bench.run();
    drop(handle);
    assert_eq!(std::sync::Arc::strong_count(&bell), 1, "the handle takes its waker along");
    place.lock().unwrap().take().unwrap().wake();
    bench.run();
    assert_eq!(drops.count(), 1);
    assert_eq!(bell.rung(), 0);
    assert_eq!(bench.holders(), 1);
}

#[test]
fn dropped_from_inside_its_own_task() {
    let (bench, drops) = (Bench::new(), Drops::new());
    let place = std::sync::Arc::new(std::sync::Mutex::new(None::<JoinHandle<Counted>>));
    let handle = bench.spawn({
        let (place, counted) = (place.clone(), drops.counted());
        async move {
            drop(place.lock().unwrap().take());
            counted
        }
    });
    *place.lock().unwrap() = Some(handle);
    bench.run();
    assert_eq!(drops.count(), 1);
    assert_eq!(bench.holders(), 1);
}

#[test]
fn dropped_after_the_end_drops_the_output() {
    let (bench, drops) = (Bench::new(), Drops::new());
    let (counted, bell) = (drops.counted(), Bell::new());
    let mut handle = bench.spawn(async move { counted });
    assert!(poll_with(&mut handle, &bell).is_pending());
    bench.run();
    assert_eq!((drops.count(), bell.rung()), (0, 1));
    drop(handle);
    assert_eq!(drops.count(), 1);
    assert_eq!(bench.holders(), 1);
}

#[test]
fn an_output_that_was_taken_is_not_dropped_again() {
    let (bench, drops) = (Bench::new(), Drops::new());
    let counted = drops.counted();
    let mut handle = bench.spawn(async move { counted });
    bench.run();
    let Poll::Ready(Ok(output)) = poll(&mut handle) else { panic!("it is over") };
    drop(handle);
    assert_eq!((drops.count(), bench.holders()), (0, 1));
    drop(output);
    assert_eq!(drops.count(), 1);
}

#[test]
fn one_task_awaits_another() {
    let bench = Bench::new();
    let child = bench.spawn(async {
        yield_now().await;
        20
    });
    let parent = bench.spawn(async move { child.await.unwrap() + 1 });
    bench.run();
    assert_eq!(result(parent).unwrap(), 21);
    assert_eq!(bench.holders(), 1);
}

#[test]
fn awaiting_many_finished_tasks_yields_now_and_then() {
    let bench = Bench::new();
    let children: Vec<_> = (0..1_000).map(|i| bench.spawn(async move { i })).collect();
    bench.run();
    let parent = bench.spawn(async move {
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    });
    let polls = bench.run();
    assert_eq!(result(parent).unwrap(), 499_500);
    assert!((2..=20).contains(&polls), "the budget was consumed: {polls} polls");
}

#[test]
fn tells_who_the_task_is() {
    let bench = Bench::new();
    let (location, meta) = (Location::caller(), Builder::new().name("reader").meta());
    let handle = bench.spawn_with(async { silent_panic("broken pipe") }, meta.clone());
    let other = bench.spawn(async {});
    assert_eq!((handle.id(), handle.name()), (meta.id, Some("reader")));
    assert_ne!(handle.id(), other.id());
    assert_eq!(other.name(), None);
    assert_eq!(handle.spawn_location().file(), location.file());
    assert_eq!(handle.spawn_location().line(), location.line());
    assert_eq!(handle.abort_handle().name().as_deref(), Some("reader"));
    bench.run();
    let error = result::<()>(handle).unwrap_err();
    assert_eq!((error.id(), error.name()), (meta.id, Some("reader")));
    assert_eq!(error.to_string(), format!("task {} \"reader\" panicked: broken pipe", meta.id));
    let error: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
    assert!(error.source().is_none());
    result(other).unwrap();
}

#[test]
fn errors_say_how_it_ended() {
    let bench = Bench::new();
    let handle = bench.spawn(pending::<()>());
    let id = handle.id();
    handle.abort();
    bench.run();
    let error = result(handle).unwrap_err();
    assert_eq!(error.to_string(), format!("task {id} was cancelled"));
    let error = error.try_into_panic().unwrap_err();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| error.into_panic())).is_err());
}

#[test]
fn is_send_and_sync_for_outputs_that_are_only_send() {
    fn check<T: Send + Sync + Unpin>() {}
    check::<JoinHandle<std::cell::Cell<u8>>>();
    check::<filch_sched::task::AbortHandle>();
    check::<JoinError>();
    let _ = Meta::here();
}
